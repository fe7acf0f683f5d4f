"""The reset-before gates in Triton: no norm, no rows, each value on its own. Equations: naive.py.

As in triton_kernels.py inputs lie anyhow, results are channels-last, arithmetic is in ACC.
"""

from __future__ import annotations

import triton
import triton.language as tl

from terrarium.kernels.conv_gru.triton_kernels import place, tanh


@triton.jit
def load(ptr, b, m, c, stride_b, stride_c, stride_m, mask, ACC: tl.constexpr):
    return tl.load(ptr + b * stride_b + m[:, None] * stride_m + c[None, :] * stride_c, mask=mask, other=0).to(ACC)


@triton.jit
def store(ptr, b, m, c, cells, mask, x, CHANNELS: tl.constexpr):
    """To [B, cells, CHANNELS]."""
    at = b * cells * CHANNELS + m[:, None] * CHANNELS + c[None, :]
    tl.store(ptr + at, x.to(ptr.dtype.element_ty), mask=mask)


@triton.jit
def reset_fwd(
    gx_ptr, gh_ptr, h_ptr, rh_ptr, z_ptr, r_ptr,
    gx_b, gx_c, gx_m, gh_b, gh_c, gh_m, h_b, h_c, h_m, cells,
    C: tl.constexpr, ACC: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    b, m, c, mask = place(cells, C, BLOCK_M, BLOCK_C)
    r = load(gx_ptr, b, m, c, gx_b, gx_c, gx_m, mask, ACC) + load(gh_ptr, b, m, c, gh_b, gh_c, gh_m, mask, ACC)
    gx_z = load(gx_ptr + C * gx_c, b, m, c, gx_b, gx_c, gx_m, mask, ACC)
    gh_z = load(gh_ptr + C * gh_c, b, m, c, gh_b, gh_c, gh_m, mask, ACC)
    h = load(h_ptr, b, m, c, h_b, h_c, h_m, mask, ACC)
    r = tl.sigmoid(r)
    store(rh_ptr, b, m, c, cells, mask, r * h, C)
    store(z_ptr, b, m, c, cells, mask, tl.sigmoid(gx_z + gh_z), C)
    if r_ptr is not None:
        store(r_ptr, b, m, c, cells, mask, r, C)


@triton.jit
def reset_bwd(
    drh_ptr, dz_ptr, r_ptr, z_ptr, h_ptr, dg_ptr, dh_ptr,
    drh_b, drh_c, drh_m, dz_b, dz_c, dz_m, r_b, r_c, r_m, z_b, z_c, z_m, h_b, h_c, h_m, cells,
    C: tl.constexpr, ACC: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    b, m, c, mask = place(cells, C, BLOCK_M, BLOCK_C)
    drh = load(drh_ptr, b, m, c, drh_b, drh_c, drh_m, mask, ACC)
    dz = load(dz_ptr, b, m, c, dz_b, dz_c, dz_m, mask, ACC)
    r = load(r_ptr, b, m, c, r_b, r_c, r_m, mask, ACC)
    z = load(z_ptr, b, m, c, z_b, z_c, z_m, mask, ACC)
    h = load(h_ptr, b, m, c, h_b, h_c, h_m, mask, ACC)
    if dg_ptr is not None:
        store(dg_ptr, b, m, c, cells, mask, drh * h * r * (1 - r), 2 * C)
        store(dg_ptr + C, b, m, c, cells, mask, dz * z * (1 - z), 2 * C)
    if dh_ptr is not None:
        store(dh_ptr, b, m, c, cells, mask, drh * r, C)


@triton.jit
def update_fwd(
    gx_ptr, gh_ptr, z_ptr, h_ptr, out_ptr, n_ptr,
    gx_b, gx_c, gx_m, gh_b, gh_c, gh_m, z_b, z_c, z_m, h_b, h_c, h_m, cells,
    C: tl.constexpr, ACC: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    b, m, c, mask = place(cells, C, BLOCK_M, BLOCK_C)
    n = load(gx_ptr, b, m, c, gx_b, gx_c, gx_m, mask, ACC) + load(gh_ptr, b, m, c, gh_b, gh_c, gh_m, mask, ACC)
    z = load(z_ptr, b, m, c, z_b, z_c, z_m, mask, ACC)
    h = load(h_ptr, b, m, c, h_b, h_c, h_m, mask, ACC)
    n = tanh(n)
    store(out_ptr, b, m, c, cells, mask, n + z * (h - n), C)
    if n_ptr is not None:
        store(n_ptr, b, m, c, cells, mask, n, C)


@triton.jit
def update_bwd(
    dout_ptr, n_ptr, z_ptr, h_ptr, dg_ptr, dz_ptr, dh_ptr,
    dout_b, dout_c, dout_m, n_b, n_c, n_m, z_b, z_c, z_m, h_b, h_c, h_m, cells,
    C: tl.constexpr, ACC: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    b, m, c, mask = place(cells, C, BLOCK_M, BLOCK_C)
    dout = load(dout_ptr, b, m, c, dout_b, dout_c, dout_m, mask, ACC)
    n = load(n_ptr, b, m, c, n_b, n_c, n_m, mask, ACC)
    z = load(z_ptr, b, m, c, z_b, z_c, z_m, mask, ACC)
    h = load(h_ptr, b, m, c, h_b, h_c, h_m, mask, ACC)
    if dg_ptr is not None:
        store(dg_ptr, b, m, c, cells, mask, dout * (1 - z) * (1 - n * n), C)
    if dz_ptr is not None:
        store(dz_ptr, b, m, c, cells, mask, dout * (h - n), C)
    if dh_ptr is not None:
        store(dh_ptr, b, m, c, cells, mask, dout * z, C)
