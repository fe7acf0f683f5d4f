"""A second device without a GPU: tensors on it compute on the CPU, and refuse what CUDA refuses.

`SECOND` is a device of type "second", registered as PyTorch's PrivateUse1 backend. A tensor on it wraps a CPU tensor.
Everything really runs, so control flow that reads values back works, and results are those of the CPU.

Seen: tensors of two devices in one operator (a CPU tensor of no dimensions may take part in arithmetic, as on CUDA);
a CPU generator for a result on the device; `.numpy()` without `.cpu()`; a module or a batch that was never moved.
One rule is stricter than CUDA's: an index on the CPU is refused, where CUDA copies it and waits.

Not seen: what only `device.type == "cuda"` does (the Triton programs, pinned memory, autocast, NCCL), which of two GPUs
is current, copies that are not awaited, memory, and values, which are the CPU's. Inference mode cannot have wrappers:
`without_inference_mode` makes no_grad of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

aten = torch.ops.aten
COPIES = {aten._to_copy.default, aten.copy_.default}
LOOKS = {aten._local_scalar_dense.default, aten.is_nonzero.default}
SCALARS = {aten.masked_fill.Tensor, aten.masked_fill_.Tensor}  # take a CPU scalar, and are not tagged as pointwise


class Backend(_DummyBackendModule):
    """What PyTorch asks `torch.second` for. Its generator's state is the seed that it was given last."""

    seed = 0

    def manual_seed_all(self, seed: int) -> None:
        self.seed = seed

    def get_rng_state(self, _: torch.device) -> int:
        return self.seed

    def set_rng_state(self, seed: int, _: torch.device) -> None:
        self.seed = seed

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


BACKEND = Backend()
_setup_privateuseone_for_python_backend("second", BACKEND)
SECOND = torch.device("second", 0)


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

    def tolist(self) -> Any:
        return self.on_cpu.tolist()

    # With these two nn.Module.to() swaps a parameter for its wrapper and keeps the object, as on CUDA.
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
    given = list(leaves((args, *kwargs.values())))
    here = any(isinstance(x, SecondTensor) for x in given)
    if here and func not in COPIES:
        refuse_mixed(func, [x for x in given if isinstance(x, torch.Tensor)], args, kwargs)
    if kwargs.get("device") is not None:
        here = torch.device(kwargs["device"]).type == SECOND.type
    elif func is aten.copy_.default:
        here = isinstance(args[0], SecondTensor)
    if here and any(isinstance(x, torch.Generator) for x in given):
        raise RuntimeError(f"{func}: expected a 'second' device type for generator but found 'cpu'")
    sides = {here} | {isinstance(x, SecondTensor) for x in given if isinstance(x, torch.Tensor)}
    if _capturing and ((here and func in LOOKS) or (func in COPIES and len(sides) > 1)):
        raise RuntimeError(f"{func}: a capture takes no copy between host and device, and no look at a value")
    if kwargs.get("pin_memory"):
        raise RuntimeError(f"{func}: only CPU tensors can be pinned")
    result = func(*on_cpu(args), **{name: on_cpu(x) for name, x in kwargs.items()})
    for x in given:
        if isinstance(x, SecondTensor) and x.shape != x.on_cpu.shape:
            raise NotImplementedError(f"{func} resized a tensor from {list(x.shape)} to {list(x.on_cpu.shape)}")
    result = wrapped(result) if here else result
    aliases = any(x.alias_info for x in func._schema.returns)
    return return_and_correct_aliasing(func, args, kwargs, result) if aliases else result


@contextmanager
def capturing() -> Iterator[None]:
    """In it what would end the capture of a CUDA graph is refused: waiting for the device."""
    global _capturing
    _capturing = True
    try:
        yield
    finally:
        _capturing = False


_capturing = False


def leaves(x: Any) -> Iterator[Any]:
    if isinstance(x, (list, tuple)):
        for each in x:
            yield from leaves(each)
    else:
        yield x


def on_cpu(x: Any) -> Any:
    if isinstance(x, (list, tuple)):
        return [on_cpu(each) for each in x]
    if isinstance(x, torch.device):
        return torch.device("cpu")
    return x.on_cpu if isinstance(x, SecondTensor) else x


def wrapped(x: Any) -> Any:
    if isinstance(x, (list, tuple)):
        return type(x)(wrapped(each) for each in x)
    return SecondTensor(x) if isinstance(x, torch.Tensor) else x


def refuse_mixed(func: Any, tensors: list[torch.Tensor], args: Any, kwargs: Any) -> None:
    """RuntimeError where a tensor on the CPU takes part that CUDA would not take."""
    strangers = [x for x in tensors if not isinstance(x, SecondTensor)]
    if not strangers:
        return
    named = dict(zip((a.name for a in func._schema.arguments), args, strict=False)) | kwargs
    written = [named[a.name] for a in func._schema.arguments if a.is_write]
    scalars = torch.Tag.pointwise in func.tags or func in SCALARS
    if not scalars or any(x.dim() or any(x is w for w in written) for x in strangers):
        found = ", ".join(f"{x.device} {list(x.shape)}" for x in tensors)
        raise RuntimeError(f"{func}: expected all tensors to be on the same device, but found {found}")


def copy_from(source: torch.Tensor, to: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    return run(aten.copy_.default, to, source)


# What PyTorch asks a backend for before there is a tensor on it; all else reaches `__torch_dispatch__`. `arange` and
# `eye` would be made empty and resized, which a wrapper cannot follow.
KERNELS = torch.library.Library("aten", "IMPL")
FACTORIES = [aten.empty.memory_format, aten.empty_strided.default]
FACTORIES += [aten.arange.default, aten.arange.start, aten.arange.start_step, aten.eye.default, aten.eye.m]
for factory in FACTORIES:
    KERNELS.impl(factory, partial(run, factory), "PrivateUse1")
KERNELS.impl("_copy_from", copy_from, "PrivateUse1")
AUTOCAST = torch.library.Library("_", "IMPL")
AUTOCAST.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")


def without_inference_mode(monkeypatch: Any) -> None:
    """torch.inference_mode() is torch.no_grad() from here on."""
    monkeypatch.setattr(torch._C, "_InferenceMode", lambda on: torch.no_grad() if on else nullcontext())
