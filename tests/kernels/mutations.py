"""Plants errors into kernels/, one at a time, and asks whether the tests that need no GPU see them.

python tests/kernels/mutations.py [-j 2] [WORD ...]     words choose mutants by their file or text

Every mutant is a copy of kernels/ with one piece of text replaced. Its operator's tests run on it in Triton's
interpreter and stop at the first failure. One that passes them all lives; the command then ends with 1. Some minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    file: str  # below kernels/
    old: str  # stands there once
    new: str


GRU, BEFORE = "conv_gru/triton_kernels.py", "conv_gru/reset_before_kernels.py"
VQ, EMBED = "vq/triton_kernels.py", "soft_embed/triton_kernels.py"
CODES = "codes/triton_kernels.py"
LPIPS, SSIM, MARCH = "lpips/triton_kernels.py", "ssim/triton_kernels.py", "march/triton_kernels.py"
MUTANTS = [
    Mutant(GRU, "return 2 * tl.sigmoid(2 * x) - 1", "return 2 * tl.sigmoid(x) - 1"),
    Mutant(GRU, "n + z * (h - n)", "h + z * (n - h)"),
    Mutant(GRU, "tl.where(mask, z - mean, 0)", "z - mean"),
    Mutant(GRU, "mean3(r * r, z * z, n * n, C) + ROW_EPS", "mean3(r * r, z * z, n * n, C)"),
    Mutant(GRU, "n = tl.load(ptr + at + 2 * step", "n = tl.load(ptr + at + step"),
    Mutant(GRU, "dn = dout * (1 - z) * (1 - n * n)", "dn = dout * (1 - z) * (1 - n)"),
    Mutant(GRU, "dr = dn * gh_n * r * (1 - r)", "dr = dn * n * r * (1 - r)"),
    Mutant(GRU, "dy = dn * r", "dy = dn"),
    Mutant(GRU, "begun, dr * r, dz * z, dn * n, ACC)", "begun, dr * r, dz, dn * n, ACC)"),
    Mutant(GRU, "rstd * (dn - mean - n * slope)", "rstd * (dn - n * slope)"),
    Mutant(GRU, "(pid // blocks).to(tl.int64)", "(pid // blocks)"),
    Mutant(GRU, "begun = start >= tl.num_programs(1) * BLOCK_M", "begun = start < 0"),
    Mutant(GRU, "(b * tl.num_programs(1) + tl.program_id(1)) * 6 * C", "b * tl.num_programs(1) * 6 * C"),
    Mutant(GRU, "cells, tl.num_programs(1) * BLOCK_M):", "cells, BLOCK_M):"),
    Mutant("conv_gru/fused.py", "x_norm or x_bias or scale or shift, h_norm or h_bias",
           "x_norm or x_bias or scale or shift, h_norm"),
    Mutant("conv_gru/launch.py", "*(x if need else None for x, need in zip(results, needs, strict=True))",
           "*results"),
    Mutant("conv_gru/fused.py", "found[2:4] = h_sums[:, 1].sum(0), h_sums[:, 0].sum(0)",
           "found[2:4] = h_sums[:, 0].sum(0), h_sums[:, 1].sum(0)"),
    Mutant(BEFORE, "drh * h * r * (1 - r)", "drh * h * r"),
    Mutant(BEFORE, "dout * (h - n), C)", "dout * (n - h), C)"),
    Mutant(VQ, "low < best", "low <= best"),
    Mutant(VQ, "mask=k < n_codes, other=float(\"inf\"))", "mask=k < n_codes, other=0.0)"),
    Mutant(VQ, "k[None, :], n_codes), axis=1)", "-k[None, :], n_codes), axis=1)"),
    Mutant(VQ, "wide.square().sum(dim=1) / 2", "wide.square().sum(dim=1)"),
    Mutant(EMBED, "total = total * shrink", "total = total"),
    Mutant(EMBED, "out * shrink[:, None]", "out"),
    Mutant(EMBED, "top = tl.full((BLOCK_N,), -1e38, WIDE)", "top = tl.full((BLOCK_N,), float(\"-inf\"), WIDE)"),
    Mutant(EMBED, "n_rounds=7", "n_rounds=6"),
    Mutant(EMBED, "(dp - centre[:, None]) * inverse_tau", "(dp - centre[:, None])"),
    Mutant(EMBED, "p = tl.where(mask, tl.exp(s - lse[:, None]), 0.0)", "p = tl.exp(s - lse[:, None])"),
    Mutant(CODES, "x - heat * tl.log", "x + heat * tl.log"),
    Mutant(CODES, "k[None, :], BLOCK_K - 1), axis=1)  # the first", "-k[None, :], BLOCK_K - 1), axis=1)  # the first"),
    Mutant(CODES, "rest = rest // FACTORS[f]", "rest = rest % FACTORS[f]"),
    Mutant(CODES, "tl.exp(x - top[:, None])", "tl.exp(score - top[:, None])"),
    Mutant(CODES, "first += FACTORS[f]", "first += BLOCK_K"),
    Mutant(CODES, "tl.where((k < FACTORS[f])[None, :], tl", "tl.where((k <= FACTORS[f])[None, :], tl"),
    Mutant(LPIPS, "1.0 / (safe + 1e-10)", "1.0 / safe"),
    Mutant(LPIPS, "zero = norm == 0.0", "zero = norm < 0.0"),
    Mutant(LPIPS, "inverse0 * v - along * u0", "inverse0 * v"),
    Mutant(LPIPS, "along * u1 - inverse1 * v", "inverse1 * v - along * u1"),
    Mutant(LPIPS, "2.0 * tl.load(grad_ptr + b) / n_pixels", "2.0 * tl.load(grad_ptr + b)"),
    Mutant(SSIM, "inside = (i[:, None] < TALL)", "inside = (i[:, None] <= TALL)"),
    Mutant(SSIM, "(offset <= 10)", "(offset < 10)"),
    Mutant(SSIM, "tl.store(maps_ptr + 2 * apart, -scale * s / b2", "tl.store(maps_ptr + 2 * apart, -scale * s / b1"),
    Mutant(SSIM, "c < width - 10)\n", "c < width - 9)\n"),
    Mutant(MARCH, "light *= 1 - a", "light *= 1 - a * a"),
    Mutant(MARCH, "enter_x == t, (dx < 0)", "enter_x == t, (dx > 0)"),
    Mutant(MARCH, "behind = tl.where(there, a * alone + (1 - a) * behind, behind)",
           "behind = tl.where(there, a * alone, behind)"),
    Mutant(MARCH, "others *= tl.maximum(least, through)", "others *= through"),
    Mutant(MARCH, "go_y = (ty <= tx) & (ty < tz)", "go_y = (ty <= tx)"),
]  # fmt: skip


def operator(mutant: Mutant) -> str:
    return mutant.file.split("/")[0]


def seen(name: str, mutant: Mutant | None) -> bool:
    """Whether the tests of operator `name` fail on the mutant, or on kernels/ as it is.

    Raises RuntimeError where pytest neither passes nor fails, ValueError for a text that does not stand there once.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        without = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "kernels", root / "terrarium/kernels", ignore=without)
        shutil.copy(ROOT / "terrarium/__init__.py", root / "terrarium")
        for part in ("worlds", "store"):
            (root / "terrarium" / part).symlink_to(ROOT / part)
        shutil.copytree(ROOT / "tests/kernels/interpreted", root / "tests", ignore=without)
        shutil.copy(ROOT / "tests/kernel_checks.py", root)
        if mutant is not None:
            plant(mutant, root / "terrarium/kernels")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"tests/test_{name}.py"]
        env = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
        done = subprocess.run(command, cwd=root, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode > 1:
        raise RuntimeError(f"pytest ended with {done.returncode}:\n{done.stdout[-2000:]}")
    return done.returncode != 0  # below 0: a program that read or wrote elsewhere took the process with it


def plant(mutant: Mutant, kernels: Path) -> None:
    text = (kernels / mutant.file).read_text()
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.old!r} stands {text.count(mutant.old)} times in {mutant.file}; expected once")
    (kernels / mutant.file).write_text(text.replace(mutant.old, mutant.new))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-j", type=int, default=2, help="processes")
    parser.add_argument("words", nargs="*")
    given = parser.parse_args()
    mutants = [m for m in MUTANTS if not given.words or any(w in m.file + m.old for w in given.words)]
    living = 0
    with ThreadPoolExecutor(given.j) as pool:
        names = sorted({operator(m) for m in mutants})
        for name, failed in zip(names, pool.map(lambda n: seen(n, None), names), strict=True):
            if failed:
                raise SystemExit(f"the tests of {name} fail on kernels/ as it is")
        for mutant, caught in zip(mutants, pool.map(lambda m: seen(operator(m), m), mutants), strict=True):
            living += not caught
            print("caught" if caught else "LIVES ", mutant.file, "|", mutant.old, "->", mutant.new.strip(), flush=True)
    print(f"{len(mutants)} mutants, {len(mutants) - living} caught")
    return int(living > 0)


if __name__ == "__main__":
    sys.exit(main())
