"""The gates of the reset-after ConvGRU in Triton, forward and backward. Names and equations: naive.py.

A program holds all 3C channels of BLOCK_M cells of one sample in registers, so the layer norm costs no second pass.
Inputs may have any strides (three: sample, channel, cell); what is written is channels-last. Arithmetic is in ACC, fp32
but for float64 tensors. The backward's programs are few and take tile after tile of one sample: the gradients of
parameters leave as one partial sum a program, in ACC, and are added up outside.
"""

from __future__ import annotations

import triton
import triton.language as tl

from terrarium.kernels.conv_gru.naive import EPS

ROW_EPS = tl.constexpr(EPS)


@triton.jit
def tanh(x):
    return 2 * tl.sigmoid(2 * x) - 1


@triton.jit
def load3(ptr, at, step, mask, ACC: tl.constexpr):
    """The r, z and n tiles of 3C channels, `step` elements apart; 0 where masked."""
    r = tl.load(ptr + at, mask=mask, other=0).to(ACC)
    z = tl.load(ptr + at + step, mask=mask, other=0).to(ACC)
    n = tl.load(ptr + at + 2 * step, mask=mask, other=0).to(ACC)
    return r, z, n


@triton.jit
def store3(ptr, at, step, mask, r, z, n):
    kind = ptr.dtype.element_ty
    tl.store(ptr + at, r.to(kind), mask=mask)
    tl.store(ptr + at + step, z.to(kind), mask=mask)
    tl.store(ptr + at + 2 * step, n.to(kind), mask=mask)


@triton.jit
def mean3(r, z, n, C: tl.constexpr):
    """The mean over the 3C channels of each cell, [BLOCK_M, 1]."""
    return (tl.sum(r, 1) + tl.sum(z, 1) + tl.sum(n, 1))[:, None] / (3 * C)


@triton.jit
def normalise3(r, z, n, mask, C: tl.constexpr):
    """Layer norm without its affine part -> the three tiles and 1 / std [BLOCK_M, 1]. Variance as E[(x - mean)^2]."""
    mean = mean3(r, z, n, C)
    r, z, n = tl.where(mask, r - mean, 0), tl.where(mask, z - mean, 0), tl.where(mask, n - mean, 0)
    rstd = 1 / tl.sqrt(mean3(r * r, z * z, n * n, C) + ROW_EPS)
    return r * rstd, z * rstd, n * rstd, rstd


@triton.jit
def times3(ptr, c, C: tl.constexpr, r, z, n, ACC: tl.constexpr):
    """Times a row of 3C; unchanged where there is no row."""
    if ptr is not None:
        row_r, row_z, row_n = load3(ptr, c, C, c < C, ACC)
        r, z, n = r * row_r[None, :], z * row_z[None, :], n * row_n[None, :]
    return r, z, n


@triton.jit
def plus3(ptr, c, C: tl.constexpr, r, z, n, ACC: tl.constexpr):
    if ptr is not None:
        row_r, row_z, row_n = load3(ptr, c, C, c < C, ACC)
        r, z, n = r + row_r[None, :], z + row_z[None, :], n + row_n[None, :]
    return r, z, n


@triton.jit
def place(cells, C: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr):
    """-> sample (int64), cells [BLOCK_M], channels [BLOCK_C], mask of the tile."""
    blocks = tl.cdiv(cells, BLOCK_M)
    pid = tl.program_id(0)
    m = (pid % blocks) * BLOCK_M + tl.arange(0, BLOCK_M)
    c = tl.arange(0, BLOCK_C)
    return (pid // blocks).to(tl.int64), m, c, (m < cells)[:, None] & (c < C)[None, :]


@triton.jit
def gates_fwd(
    gx_ptr, gh_ptr, h_ptr, x_norm_ptr, x_bias_ptr, h_norm_ptr, h_bias_ptr, scale_ptr, shift_ptr, out_ptr, gates_ptr,
    gx_b, gx_c, gx_m, gh_b, gh_c, gh_m, h_b, h_c, h_m, cells,
    C: tl.constexpr, ACC: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """out [B, cells, C] = h'. gates [B, cells, 4C] or None: r, z, n and Gh_n, all that the backward wants beside h."""
    b, m, c, mask = place(cells, C, BLOCK_M, BLOCK_C)
    r, z, n = load3(gx_ptr + b * gx_b, m[:, None] * gx_m + c[None, :] * gx_c, C * gx_c, mask, ACC)
    yr, yz, yn = load3(gh_ptr + b * gh_b, m[:, None] * gh_m + c[None, :] * gh_c, C * gh_c, mask, ACC)
    h = tl.load(h_ptr + b * h_b + m[:, None] * h_m + c[None, :] * h_c, mask=mask, other=0).to(ACC)
    if x_norm_ptr is not None:
        r, z, n, _ = normalise3(r, z, n, mask, C)
    if h_norm_ptr is not None:
        yr, yz, yn, _ = normalise3(yr, yz, yn, mask, C)
    r, z, n = times3(x_norm_ptr, c, C, r, z, n, ACC)
    r, z, n = plus3(x_bias_ptr, c, C, r, z, n, ACC)
    if scale_ptr is not None:
        r, z, n = times3(scale_ptr + b * 3 * C, c, C, r, z, n, ACC)
    if shift_ptr is not None:
        r, z, n = plus3(shift_ptr + b * 3 * C, c, C, r, z, n, ACC)
    yr, yz, yn = times3(h_norm_ptr, c, C, yr, yz, yn, ACC)
    yr, yz, yn = plus3(h_bias_ptr, c, C, yr, yz, yn, ACC)
    r, z = tl.sigmoid(r + yr), tl.sigmoid(z + yz)
    n = tanh(n + r * yn)
    at = b * cells * C + m[:, None] * C + c[None, :]
    tl.store(out_ptr + at, (n + z * (h - n)).to(out_ptr.dtype.element_ty), mask=mask)
    if gates_ptr is not None:
        at = b * cells * 4 * C + m[:, None] * 4 * C + c[None, :]
        store3(gates_ptr, at, C, mask, r, z, n)
        tl.store(gates_ptr + at + 3 * C, yn.to(gates_ptr.dtype.element_ty), mask=mask)


@triton.jit
def add3(ptr, c, C: tl.constexpr, begun, r, z, n, ACC: tl.constexpr):
    """Adds the sums over a tile's cells to a row of 3C, which holds nothing before the program has begun it."""
    r_before, z_before, n_before = load3(ptr, c, C, (c < C) & begun, ACC)
    store3(ptr, c, C, c < C, r_before + tl.sum(r, 0), z_before + tl.sum(z, 0), n_before + tl.sum(n, 0))


@triton.jit
def sums3(ptr, c, C: tl.constexpr, begun, dr, dz, dn, r, z, n, ACC: tl.constexpr):
    """partial [2, 3C]: the sums over the program's cells of d and of d * x. In memory, which the caches keep: in
    registers the twelve rows would spill."""
    add3(ptr, c, C, begun, dr, dz, dn, ACC)
    add3(ptr + 3 * C, c, C, begun, dr * r, dz * z, dn * n, ACC)


@triton.jit
def through_norm(norm_ptr, c, C: tl.constexpr, dr, dz, dn, r, z, n, rstd, ACC: tl.constexpr):
    """The gradient to the norm's input, given that to its affine output; r, z, n are the normalised values."""
    dr, dz, dn = times3(norm_ptr, c, C, dr, dz, dn, ACC)
    mean, slope = mean3(dr, dz, dn, C), mean3(dr * r, dz * z, dn * n, C)
    return rstd * (dr - mean - r * slope), rstd * (dz - mean - z * slope), rstd * (dn - mean - n * slope)


@triton.jit
def gates_bwd(
    dout_ptr, gates_ptr, gx_ptr, gh_ptr, h_ptr,
    x_norm_ptr, x_bias_ptr, h_norm_ptr, h_bias_ptr, scale_ptr, shift_ptr,
    dgx_ptr, dgh_ptr, dh_ptr, x_sums_ptr, h_sums_ptr,
    dout_b, dout_c, dout_m, gx_b, gx_c, gx_m, gh_b, gh_c, gh_m, h_b, h_c, h_m, cells,
    C: tl.constexpr, ACC: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Grid (B, programs of a sample). Reads the gates where they were kept, else computes them again from gx and gh;
    writes those of dgx, dgh, dh that are given. x_sums, h_sums: [B, programs of a sample, 6C]."""
    b = tl.program_id(0).to(tl.int64)
    c = tl.arange(0, BLOCK_C)
    sums = (b * tl.num_programs(1) + tl.program_id(1)) * 6 * C
    for start in range(tl.program_id(1) * BLOCK_M, cells, tl.num_programs(1) * BLOCK_M):
        m = start + tl.arange(0, BLOCK_M)
        mask = (m < cells)[:, None] & (c < C)[None, :]
        h = tl.load(h_ptr + b * h_b + m[:, None] * h_m + c[None, :] * h_c, mask=mask, other=0).to(ACC)
        if gates_ptr is not None:
            at = b * cells * 4 * C + m[:, None] * 4 * C + c[None, :]
            r, z, n = load3(gates_ptr, at, C, mask, ACC)
            gh_n = tl.load(gates_ptr + at + 3 * C, mask=mask, other=0).to(ACC)
            x_r, x_z, x_n = r, z, n  # without a norm or scale no one asks for d * x
            y_r, y_z, y_n = r, z, n
        else:
            x_r, x_z, x_n = load3(gx_ptr + b * gx_b, m[:, None] * gx_m + c[None, :] * gx_c, C * gx_c, mask, ACC)
            y_r, y_z, y_n = load3(gh_ptr + b * gh_b, m[:, None] * gh_m + c[None, :] * gh_c, C * gh_c, mask, ACC)
            if x_norm_ptr is not None:
                x_r, x_z, x_n, x_rstd = normalise3(x_r, x_z, x_n, mask, C)
            if h_norm_ptr is not None:
                y_r, y_z, y_n, y_rstd = normalise3(y_r, y_z, y_n, mask, C)
            r, z, n = times3(x_norm_ptr, c, C, x_r, x_z, x_n, ACC)
            r, z, n = plus3(x_bias_ptr, c, C, r, z, n, ACC)
            if scale_ptr is not None:
                r, z, n = times3(scale_ptr + b * 3 * C, c, C, r, z, n, ACC)
            if shift_ptr is not None:
                r, z, n = plus3(shift_ptr + b * 3 * C, c, C, r, z, n, ACC)
            gh_r, gh_z, gh_n = times3(h_norm_ptr, c, C, y_r, y_z, y_n, ACC)
            gh_r, gh_z, gh_n = plus3(h_bias_ptr, c, C, gh_r, gh_z, gh_n, ACC)
            r, z = tl.sigmoid(r + gh_r), tl.sigmoid(z + gh_z)
            n = tanh(n + r * gh_n)
        dout = tl.load(dout_ptr + b * dout_b + m[:, None] * dout_m + c[None, :] * dout_c, mask=mask, other=0).to(ACC)
        if dh_ptr is not None:
            at = b * cells * C + m[:, None] * C + c[None, :]
            tl.store(dh_ptr + at, (dout * z).to(dh_ptr.dtype.element_ty), mask=mask)
        dn = dout * (1 - z) * (1 - n * n)
        dz = dout * (h - n) * z * (1 - z)
        dr = dn * gh_n * r * (1 - r)
        dy = dn * r
        at = b * cells * 3 * C + m[:, None] * 3 * C + c[None, :]
        begun = start >= tl.num_programs(1) * BLOCK_M
        if h_sums_ptr is not None:
            sums3(h_sums_ptr + sums, c, C, begun, dr, dz, dy, y_r, y_z, y_n, ACC)
        if dgh_ptr is not None:
            if h_norm_ptr is not None:
                d_r, d_z, d_n = through_norm(h_norm_ptr, c, C, dr, dz, dy, y_r, y_z, y_n, y_rstd, ACC)
                store3(dgh_ptr, at, C, mask, d_r, d_z, d_n)
            else:
                store3(dgh_ptr, at, C, mask, dr, dz, dy)
        if x_sums_ptr is not None:
            sums3(x_sums_ptr + sums, c, C, begun, dr, dz, dn, x_r, x_z, x_n, ACC)
        if dgx_ptr is not None:
            if scale_ptr is not None:
                dr, dz, dn = times3(scale_ptr + b * 3 * C, c, C, dr, dz, dn, ACC)
            if x_norm_ptr is not None:
                dr, dz, dn = through_norm(x_norm_ptr, c, C, dr, dz, dn, x_r, x_z, x_n, x_rstd, ACC)
            store3(dgx_ptr, at, C, mask, dr, dz, dn)
        tl.debug_barrier()  # the next tile reads sums that other threads have written
