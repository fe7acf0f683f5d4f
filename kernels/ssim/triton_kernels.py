"""SSIM in Triton. The window is separable: across, eleven shifted loads that the cache serves; down, eleven gathers
of rows through shared memory. (The product of a banded matrix with the tile, on tensor cores as tf32x3, compiles well
for sm_90, spills on sm_80, and does not compile for sm_100 in Triton 3.7.1.)

Forward never writes the map. Backward writes the map's derivatives by the window's raw moments (the forward kernel
with another ending) and spreads them over the pixels in a second kernel. Maths and names: naive.py.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from terrarium.kernels.block_sizes import block_sizes
from terrarium.kernels.ssim.naive import constants

SIZES = {"BLOCK_W": 32, "num_warps": 8}
TILE = 54  # windows a tile holds from top to bottom: they need 64 rows
ROWS = tl.constexpr(64)
TALL = tl.constexpr(54)


@triton.jit
def _weight(offset, WIDE: tl.constexpr):
    """The window's weight along one axis at 0 .. 10, and 0 outside."""
    from_centre = offset.to(WIDE) - 5.0
    weight = 0.26601172486179436 * tl.exp(from_centre * from_centre * (-1.0 / 4.5))
    return tl.where((offset >= 0) & (offset <= 10), weight, 0.0)


@triton.jit
def _down(across):
    """[ROWS, BLOCK_W] -> row i: the weighted sum of rows i .. i + 10, the last row standing in for those below it."""
    i = tl.arange(0, ROWS)[:, None] + tl.zeros(across.shape, tl.int32)
    total = across * 0
    for j in tl.static_range(11):
        below = tl.gather(across, tl.minimum(i + j, ROWS - 1), 0)
        total += _weight(tl.full((1, 1), j, tl.int32), across.dtype) * below
    return total


@triton.jit
def ssim_map(
    x_ptr, y_ptr, grad_ptr, partial_ptr, maps_ptr, n_channels, height, width, map_size, c1, c2,
    x_b, x_c, x_h, x_w, y_b, y_c, y_h, y_w,
    BACKWARD: tl.constexpr, NEED_X: tl.constexpr, NEED_Y: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """Grid (B * C, tiles across, tiles down); the strides of x and y follow their sizes.

    Forward: partial [B * C, tiles down, tiles across], the sum of S over the tile's windows.
    Backward: maps [4, B * C, H - 10, W - 10], grad-weighted dS/dE[x], dS/dE[y], dS/dE[x^2], dS/dE[xy].
    """
    plane = tl.program_id(0)
    b, c = (plane // n_channels).to(tl.int64), (plane % n_channels).to(tl.int64)
    i = tl.arange(0, ROWS)
    rows = tl.program_id(2) * TALL + i
    columns = tl.program_id(1) * BLOCK_W + tl.arange(0, BLOCK_W)
    x_ptr += b * x_b + c * x_c
    y_ptr += b * y_b + c * y_c
    WIDE: tl.constexpr = tl.float64 if x_ptr.dtype.element_ty == tl.float64 else tl.float32
    x_sum = tl.zeros((ROWS, BLOCK_W), WIDE)
    y_sum, squares, products = x_sum, x_sum, x_sum
    for j in tl.static_range(11):
        mask = (rows[:, None] < height) & (columns[None, :] + j < width)
        x = tl.load(x_ptr + rows[:, None] * x_h + (columns[None, :] + j) * x_w, mask=mask, other=0.0).to(WIDE)
        y = tl.load(y_ptr + rows[:, None] * y_h + (columns[None, :] + j) * y_w, mask=mask, other=0.0).to(WIDE)
        weight = _weight(tl.full((1, 1), j, tl.int32), WIDE)
        x_sum += weight * x
        y_sum += weight * y
        squares += weight * (x * x + y * y)
        products += weight * (x * y)
    mx, my = _down(x_sum), _down(y_sum)
    a1 = 2.0 * mx * my + c1
    b1 = mx * mx + my * my + c1
    a2 = 2.0 * (_down(products) - mx * my) + c2
    b2 = _down(squares) - mx * mx - my * my + c2
    s = a1 * a2 / (b1 * b2)
    inside = (i[:, None] < TALL) & (rows[:, None] < height - 10) & (columns[None, :] < width - 10)
    if BACKWARD:
        scale = tl.load(grad_ptr + b) / (n_channels * map_size)
        cross = scale * 2.0 * (a2 - a1) / (b1 * b2)
        along = scale * 2.0 * s * (1.0 / b2 - 1.0 / b1)
        maps_ptr += plane.to(tl.int64) * map_size + rows[:, None] * (width - 10) + columns[None, :]
        apart = tl.num_programs(0).to(tl.int64) * map_size
        if NEED_X:
            tl.store(maps_ptr, cross * my + along * mx, mask=inside)
        if NEED_Y:
            tl.store(maps_ptr + apart, cross * mx + along * my, mask=inside)
        tl.store(maps_ptr + 2 * apart, -scale * s / b2, mask=inside)
        tl.store(maps_ptr + 3 * apart, 2.0 * scale * a1 / (b1 * b2), mask=inside)
    else:
        tile = (plane.to(tl.int64) * tl.num_programs(2) + tl.program_id(2)) * tl.num_programs(1) + tl.program_id(1)
        tl.store(partial_ptr + tile, tl.sum(tl.sum(tl.where(inside, s, 0.0), axis=1), axis=0))


@triton.jit
def _spread(map_ptr, rows, columns, height, width, BLOCK_W: tl.constexpr):
    """The transpose of the window, [ROWS, BLOCK_W]: pixel (r, c) gathers from the windows that hold it."""
    WIDE: tl.constexpr = map_ptr.dtype.element_ty
    total = tl.zeros((ROWS, BLOCK_W), WIDE)
    r = rows[:, None] - 10
    for j in tl.static_range(11):
        c = columns[None, :] - 10 + j
        mask = (r >= 0) & (r < height - 10) & (c >= 0) & (c < width - 10)
        m = tl.load(map_ptr + r * (width - 10) + c, mask=mask, other=0.0)
        total += _weight(tl.full((1, 1), j, tl.int32), WIDE) * m
    return _down(total)


@triton.jit
def ssim_spread(
    maps_ptr, x_ptr, y_ptr, dx_ptr, dy_ptr, n_channels, height, width, map_size,
    x_b, x_c, x_h, x_w, y_b, y_c, y_h, y_w,
    NEED_X: tl.constexpr, NEED_Y: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """Grid as above, over pixels. dx and dy are laid out as x and y; one that is not needed is not written."""
    plane = tl.program_id(0)
    b, c = (plane // n_channels).to(tl.int64), (plane % n_channels).to(tl.int64)
    i = tl.arange(0, ROWS)
    rows = tl.program_id(2) * TALL + i
    columns = tl.program_id(1) * BLOCK_W + tl.arange(0, BLOCK_W)
    maps_ptr += plane.to(tl.int64) * map_size
    apart = tl.num_programs(0).to(tl.int64) * map_size
    mask = (i[:, None] < TALL) & (rows[:, None] < height) & (columns[None, :] < width)
    x_at = b * x_b + c * x_c + rows[:, None] * x_h + columns[None, :] * x_w
    y_at = b * y_b + c * y_c + rows[:, None] * y_h + columns[None, :] * y_w
    WIDE: tl.constexpr = maps_ptr.dtype.element_ty
    squares = 2.0 * _spread(maps_ptr + 2 * apart, rows, columns, height, width, BLOCK_W)
    products = _spread(maps_ptr + 3 * apart, rows, columns, height, width, BLOCK_W)
    x = tl.load(x_ptr + x_at, mask=mask, other=0.0).to(WIDE)
    y = tl.load(y_ptr + y_at, mask=mask, other=0.0).to(WIDE)
    if NEED_X:
        dx = _spread(maps_ptr, rows, columns, height, width, BLOCK_W) + squares * x + products * y
        tl.store(dx_ptr + x_at, dx, mask=mask)
    if NEED_Y:
        dy = _spread(maps_ptr + apart, rows, columns, height, width, BLOCK_W) + squares * y + products * x
        tl.store(dy_ptr + y_at, dy, mask=mask)


def forward(x: torch.Tensor, y: torch.Tensor, data_range: float) -> torch.Tensor:
    """x, y [B, C, H, W] of any strides -> [B], fp32, or fp64 for fp64."""
    batch, channels, height, width = x.shape
    map_size = (height - 10) * (width - 10)
    sizes = block_sizes("ssim", SIZES, x.device)
    grid = _grid(batch * channels, height - 10, width - 10, sizes)
    partial = x.new_empty((batch, channels, *grid[1:]), dtype=torch.promote_types(x.dtype, torch.float32))
    ssim_map[grid](
        x, y, None, partial, None, channels, height, width, map_size, *constants(data_range), *x.stride(), *y.stride(),
        BACKWARD=False, NEED_X=False, NEED_Y=False, **sizes,
    )  # fmt: skip
    return partial.sum(dim=(1, 2, 3)) / (channels * map_size)


def backward(
    grad: torch.Tensor, x: torch.Tensor, y: torch.Tensor, data_range: float, need_x: bool, need_y: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """grad [B]; dense x and y -> dx, dy, laid out as they are; one that is not needed is empty."""
    batch, channels, height, width = x.shape
    map_size = (height - 10) * (width - 10)
    maps = grad.new_empty((4, batch, channels, height - 10, width - 10))
    sizes = block_sizes("ssim", SIZES, x.device)
    ssim_map[_grid(batch * channels, height - 10, width - 10, sizes)](
        x, y, grad.contiguous(), None, maps, channels, height, width, map_size, *constants(data_range),
        *x.stride(), *y.stride(), BACKWARD=True, NEED_X=need_x, NEED_Y=need_y, **sizes,
    )  # fmt: skip
    dx = torch.empty_like(x) if need_x else x.new_empty(0)
    dy = torch.empty_like(y) if need_y else y.new_empty(0)
    ssim_spread[_grid(batch * channels, height, width, sizes)](
        maps, x, y, dx, dy, channels, height, width, map_size, *x.stride(), *y.stride(),
        NEED_X=need_x, NEED_Y=need_y, **sizes,
    )  # fmt: skip
    return dx, dy


def _grid(planes: int, height: int, width: int, sizes: dict[str, int]) -> tuple[int, int, int]:
    return planes, triton.cdiv(width, sizes["BLOCK_W"]), triton.cdiv(height, TILE)
