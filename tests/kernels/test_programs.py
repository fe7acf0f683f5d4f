"""What the programs of all operators but conv_gru would use of an H100, compiled with none at hand."""

from __future__ import annotations

import importlib

import pytest

SHARED_BYTES = 227 * 1024  # most that a program may have on an H100


@pytest.mark.timeout(900)  # compiles
@pytest.mark.parametrize("operator", ["lpips", "march", "vq", "soft_embed", "ssim", "codes"])
def test_programs_compile_for_an_h100(operator: str) -> None:
    pytest.importorskip("triton", reason="Triton is not made for this platform")
    from terrarium.kernels.compile_only import compile_case
    from terrarium.kernels.report import describe

    for case in importlib.import_module(f"terrarium.kernels.{operator}.cases").COMPILE():
        used = compile_case(case)
        line = f"{case.name}: {describe(used)}"
        print(line)
        assert (used.spill_bytes, used.local_bytes) == (0, 0), line
        assert used.registers * 32 * case.num_warps <= 65536, line
        assert used.shared_bytes <= SHARED_BYTES, line
        assert used.tensor_cores == case.tensor_cores, line
        if operator in ("lpips", "vq"):  # the others read through shared memory, or columns shifted by one
            assert max(used.loads) == 16 and max(used.stores) >= (4 if "fwd" in case.name else 16), line
