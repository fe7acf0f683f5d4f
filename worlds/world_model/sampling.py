"""`grid_sample` in the compiled live step: how Inductor (torch 2.13) is told to compile it.

Inductor knows no C function for ATen's operator and calls it by its name, through an executor of torch's own loader;
its decomposition gathers single numbers, and finds out where anew for each of a state's channels. Here it is ATen's
vectorised operator, called by a C function that is compiled into the step.
"""

from __future__ import annotations

import torch

# As the other functions of torch/csrc/inductor/aoti_torch/generated/c_shim_cpu.h; a stack of StableIValue owns its
# tensors.
C_FUNCTION = """inline AOTITorchError aoti_torch_cpu_grid_sampler_2d(
    AtenTensorHandle input, AtenTensorHandle grid, int64_t interpolation_mode, int64_t padding_mode,
    int32_t align_corners, AtenTensorHandle* ret0) {
  AtenTensorHandle owned[2];
  if (aoti_torch_new_tensor_handle(input, &owned[0]) || aoti_torch_new_tensor_handle(grid, &owned[1])) return 1;
  uint64_t stack[5] = {
      (uint64_t)owned[0], (uint64_t)owned[1], (uint64_t)interpolation_mode, (uint64_t)padding_mode,
      (uint64_t)(align_corners != 0)};
  if (aoti_torch_call_dispatcher("aten::grid_sampler_2d", "", stack)) return 1;
  *ret0 = (AtenTensorHandle)stack[0];
  return 0;
}"""


def prepare_inductor() -> None:
    """From here on this process compiles `grid_sample` as above."""
    from torch._inductor import config, decomposition, lowering
    from torchgen.aoti.fallback_ops import inductor_fallback_ops

    sampler = torch.ops.aten.grid_sampler_2d.default
    config.aot_inductor.custom_ops_to_c_shims = {sampler: [C_FUNCTION]}
    inductor_fallback_ops[str(sampler)] = {}
    lowering.make_fallback(sampler, warn=False, override_decomp=True)
    decomposition.decompositions.pop(sampler, None)
