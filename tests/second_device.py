"""A second device without a GPU: tensors on it compute on the CPU, and refuse what CUDA refuses.

`SECOND` is a device of type "second", registered as PyTorch's PrivateUse1 backend. A tensor on it wraps a CPU tensor.
Everything really runs, so control flow that reads values back works, and results are those of the CPU.

Seen: tensors of two devices in one operator (a CPU tensor of no dimensions may take part in arithmetic, as on CUDA);
a CPU generator for a result on the device; `.numpy()` without `.cpu()`; a module or a batch that was never moved.
One rule is stricter than CUDA's: an index on the CPU is refused, where CUDA copies it and waits.

Not seen: what only `device.type == "cuda"` does (the Triton programs, pinned memory, autocast, NCCL), which of two GPUs
is current, copies that are not awaited, memory, and values, which are the CPU's.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

aten = torch.ops.aten
COPIES = {aten._to_copy.default, aten.copy_.default}
SCALARS = {aten.masked_fill.Tensor, aten.masked_fill_.Tensor}  # take a CPU scalar, and are not tagged as pointwise


class Backend(_DummyBackendModule):
    """What PyTorch asks `torch.second` for."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


_setup_privateuseone_for_python_backend("second", Backend())
SECOND = torch.device("second", 0)
CPU = torch.device("cpu")


class SecondTensor(torch.Tensor):
    """`on_cpu` holds its values."""

    on_cpu: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, on_cpu: torch.Tensor) -> SecondTensor:
        strides, offset = on_cpu.stride(), on_cpu.storage_offset()
        return torch.Tensor._make_wrapper_subclass(
            cls, on_cpu.shape, strides=strides, storage_offset=offset, dtype=on_cpu.dtype, device=SECOND
        )

    def __init__(self, on_cpu: torch.Tensor) -> None:
        self.on_cpu = on_cpu

    def __repr__(self) -> str:  # type: ignore[override]
        return f"second({self.on_cpu!r})"

    def numpy(self, **_: Any) -> Any:  # type: ignore[override]
        raise TypeError("can't convert second:0 device type tensor to numpy: copy it to the host by .cpu() first")

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["on_cpu"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, torch.Tensor], *_: Any) -> SecondTensor:
        return SecondTensor(inner["on_cpu"])

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, *args, **(kwargs or {}))


def run(func: Any, *args: Any, **kwargs: Any) -> Any:
    """An operator on the values, its results on the device that CUDA would give them."""
    given = pytree.tree_leaves((args, kwargs))
    here = any(isinstance(x, SecondTensor) for x in given)
    if here and func not in COPIES:
        refuse_mixed(func, [x for x in given if isinstance(x, torch.Tensor)], args)
    if kwargs.get("device") is not None:
        here = torch.device(kwargs["device"]).type == SECOND.type
        kwargs = kwargs | {"device": CPU}
    elif func is aten.copy_.default:
        here = isinstance(args[0], SecondTensor)
    if here and any(isinstance(x, torch.Generator) for x in given):
        raise RuntimeError(f"{func}: expected a 'second' device type for generator but found 'cpu'")
    if kwargs.get("pin_memory"):
        raise RuntimeError(f"{func}: only CPU tensors can be pinned")
    on_cpu = pytree.tree_map_only(SecondTensor, lambda x: x.on_cpu, (args, kwargs))
    result = func(*on_cpu[0], **on_cpu[1])
    if here:
        result = pytree.tree_map_only(torch.Tensor, SecondTensor, result)
    return return_and_correct_aliasing(func, args, kwargs, result)


def refuse_mixed(func: Any, tensors: list[torch.Tensor], args: Any) -> None:
    """RuntimeError where a tensor on the CPU takes part that CUDA would not take."""
    written = [x for x, argument in zip(args, func._schema.arguments, strict=False) if argument.is_write]
    scalars = torch.Tag.pointwise in func.tags or func in SCALARS
    for x in tensors:
        fits = isinstance(x, SecondTensor) or (scalars and x.dim() == 0 and not any(x is w for w in written))
        if not fits:
            found = ", ".join(f"{t.device} {list(t.shape)}" for t in tensors)
            raise RuntimeError(f"{func}: expected all tensors to be on the same device, but found {found}")


def copy_from(source: torch.Tensor, to: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    return run(aten.copy_.default, to, source)


# What PyTorch asks a backend for before there is a tensor on it; all else reaches `__torch_dispatch__`.
KERNELS = torch.library.Library("aten", "IMPL")
KERNELS.impl("empty.memory_format", partial(run, aten.empty.memory_format), "PrivateUse1")
KERNELS.impl("empty_strided", partial(run, aten.empty_strided.default), "PrivateUse1")
KERNELS.impl("_copy_from", copy_from, "PrivateUse1")
AUTOCAST = torch.library.Library("_", "IMPL")
AUTOCAST.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
