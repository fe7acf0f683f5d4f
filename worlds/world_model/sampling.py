"""`grid_sample` in the compiled live step: how Inductor (torch 2.13) is told to compile it.

Inductor knows no C function for ATen's operator and calls it by its name, through an executor of torch's own loader;
its decomposition gathers single numbers. Here bilinear sampling, of states with many channels, is a gather of whole
rows that is fused with what stands around it. Bicubic sampling, of pictures with four or five, is ATen's vectorised
operator, called by a C function that is compiled into the step: gathered by rows it took more than half of a step.
"""

from __future__ import annotations

import torch

BILINEAR, BORDER = 0, 1
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
    decomposition.decompositions[sampler] = by_rows


def by_rows(
    pictures: torch.Tensor,
    grid: torch.Tensor,
    interpolation_mode: int = BILINEAR,
    padding_mode: int = 0,
    align_corners: bool = False,
) -> torch.Tensor:
    """pictures [N, C, H, W] at grid [N, h, w, 2] (x, y; -1 and 1 are the edges) -> [N, C, h, w].

    NotImplemented, which leaves it to ATen, for all but bilinear sampling whose padding is the border.
    """
    if (interpolation_mode, padding_mode) != (BILINEAR, BORDER):
        return NotImplemented
    n, c, height, width = pictures.shape
    columns, lines = (_taps(at, size, align_corners) for at, size in zip(grid.unbind(-1), (width, height), strict=True))
    rows = pictures.permute(0, 2, 3, 1).reshape(n * height * width, c)
    first = torch.arange(n, device=grid.device).view(n, 1, 1) * (height * width)
    parts = [
        rows[first + line * width + column] * (line_weight * column_weight).unsqueeze(-1)
        for line, line_weight in lines
        for column, column_weight in columns
    ]
    return (parts[0] + parts[1] + parts[2] + parts[3]).permute(0, 3, 1, 2).contiguous()


def _taps(at: torch.Tensor, size: int, align_corners: bool) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Along one axis, -1 to 1: the two pixels around each place, and their weights."""
    at = ((at + 1) * ((size - 1) / 2) if align_corners else ((at + 1) * size - 1) / 2).clamp(0, size - 1)
    low = at.floor()
    t = at - low
    return [(low.long(), 1 - t), ((low + 1).clamp(max=size - 1).long(), t)]
