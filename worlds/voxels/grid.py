"""The block world that is optimised: an occupancy logit and seven material logits a voxel.

Air is the occupancy's matter alone, and the two are never multiplied into each other: a voxel that fades becomes
transparent, not grey. Colours are the palette's, lit and clamped a material before they are mixed, so that the picture
is linear in the probabilities.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.worlds.blocks.palette import AIR, ID, NAMES, sun_lut

MATERIALS = ("Grass", "Dirt", "Stone", "Plank", "Snow", "Sand", "Water")  # the map format's own, ids 1 to 7
CLEAR = 0.6  # share of the light that a column of voxels lets through where nothing is set yet
Shape = tuple[int, int, int]


class DifferentiableVoxelGrid(nn.Module):
    """`occupancy_logits` [X, Y, Z], `material_logits` [X, Y, Z, 7] in the order of MATERIALS."""

    lut: Tensor  # [7, 6, 3]

    def __init__(self, occupancy_logits: Tensor, material_logits: Tensor) -> None:
        super().__init__()
        if occupancy_logits.ndim != 3 or material_logits.shape != (*occupancy_logits.shape, len(MATERIALS)):
            raise ValueError(
                f"occupancy has shape {list(occupancy_logits.shape)}, materials {list(material_logits.shape)}: "
                f"expected [X, Y, Z] and [X, Y, Z, {len(MATERIALS)}]"
            )
        self.occupancy_logits = nn.Parameter(occupancy_logits)
        self.material_logits = nn.Parameter(material_logits)
        lut = torch.from_numpy(sun_lut()[[ID[name] for name in MATERIALS]])
        self.register_buffer("lut", lut.to(occupancy_logits), persistent=False)

    @property
    def shape(self) -> Shape:
        nx, ny, nz = self.occupancy_logits.shape
        return nx, ny, nz

    def occupancy(self) -> Tensor:
        """Probability that a voxel is there, [X, Y, Z]."""
        return torch.sigmoid(self.occupancy_logits)

    def materials(self, temperature: float = 1.0) -> Tensor:
        """Probability of each material of a voxel that is there, [X, Y, Z, 7]."""
        return F.softmax(self.material_logits / temperature, dim=-1)

    def forward(self, temperature: float = 1.0, *, hard: bool = False) -> tuple[Tensor, Tensor]:
        """alpha [X, Y, Z] and face_colour [X, Y, Z, 6, 3], for `render`.

        With `hard`, the values are those of the exported blocks and the gradients those of the soft ones
        (straight-through, Bengio et al. 2013, arXiv:1308.3432).
        """
        alpha, mixed = self.occupancy(), self.materials(temperature)
        if hard:
            alpha = alpha + ((alpha > 0.5).to(alpha) - alpha).detach()
            one = F.one_hot(mixed.argmax(-1), len(MATERIALS)).to(mixed)
            mixed = mixed + (one - mixed).detach()
        return alpha, torch.einsum("xyzm,mfc->xyzfc", mixed, self.lut)

    def blocks(self) -> np.ndarray:
        """The world that is meant: ids uint8 [X, Y, Z] of the likeliest material where a voxel is likelier than not."""
        ids = torch.tensor([ID[name] for name in MATERIALS], device=self.lut.device)[self.material_logits.argmax(-1)]
        return torch.where(self.occupancy_logits > 0, ids, AIR).cpu().numpy().astype(np.uint8)


def clear_logit(layers: int) -> float:
    """The occupancy logit at which `layers` voxels in a row let CLEAR of the light through."""
    p = 1 - CLEAR ** (1 / layers)
    return log(p / (1 - p))


def _unset(shape: Shape) -> tuple[Tensor, Tensor]:
    """Logits of a grid of which nothing is known: transparent, all materials alike."""
    return torch.full(shape, clear_logit(shape[1])), torch.zeros(*shape, len(MATERIALS))


def of_map(blocks: np.ndarray) -> DifferentiableVoxelGrid:
    """Blocks uint8 [X, Y, Z]: what is solid starts at 5, its material at 10.

    Raises ValueError that names the first block whose type is none of MATERIALS.
    """
    index = np.full(len(NAMES), -1)
    index[[ID[name] for name in MATERIALS]] = range(len(MATERIALS))
    strange = np.argwhere((blocks != AIR) & (index[blocks] < 0))
    if len(strange):
        x, y, z = (int(v) for v in strange[0])
        kind = NAMES[blocks[x, y, z]]
        raise ValueError(f"the block at [{x}, {y}, {z}] is {kind}: a voxel grid knows {', '.join(MATERIALS)}")
    nx, ny, nz = blocks.shape
    occupancy, material = _unset((nx, ny, nz))
    solid = torch.from_numpy(blocks != AIR)
    occupancy[solid] = 5.0
    material[solid] = 10.0 * F.one_hot(torch.from_numpy(index[blocks])[solid], len(MATERIALS)).float()
    return DifferentiableVoxelGrid(occupancy, material)


def ground_plane(shape: Shape, generator: torch.Generator) -> DifferentiableVoxelGrid:
    """Grass at y = 0, and above it a little noise in nearly clear air."""
    occupancy, material = _unset(shape)
    occupancy += 0.5 * torch.randn(shape, generator=generator)
    occupancy[:, 0] = 3.0
    material[:, 0, :, MATERIALS.index("Grass")] = 5.0
    return DifferentiableVoxelGrid(occupancy, material)


def cube(shape: Shape, generator: torch.Generator) -> DifferentiableVoxelGrid:
    """A stone cube of 8 blocks a side, two above the floor; smaller where the grid is."""
    occupancy, material = _unset(shape)
    sides = [min(8, n) for n in shape]
    low = [(shape[0] - sides[0]) // 2, min(2, shape[1] - sides[1]), (shape[2] - sides[2]) // 2]
    x, y, z = (slice(start, start + side) for start, side in zip(low, sides, strict=True))
    occupancy[x, y, z] = 3.0
    material[x, y, z, MATERIALS.index("Stone")] = 5.0
    return DifferentiableVoxelGrid(occupancy, material)


def noise(shape: Shape, generator: torch.Generator) -> DifferentiableVoxelGrid:
    """Nothing but noise in nearly clear air."""
    occupancy, material = _unset(shape)
    occupancy += torch.randn(shape, generator=generator)
    return DifferentiableVoxelGrid(occupancy, material + 0.1 * torch.randn(material.shape, generator=generator))


INITS: dict[str, Callable[[Shape, torch.Generator], DifferentiableVoxelGrid]] = {
    "ground_plane": ground_plane,
    "cube": cube,
    "noise": noise,
}


def coarser(grid: DifferentiableVoxelGrid, shape: Shape) -> DifferentiableVoxelGrid:
    """A grid of `shape` that begins where a coarser one of the same world ended: logits, trilinearly.

    Raises ValueError unless `shape` is the same multiple of the grid's along each axis.
    """
    factors = {wide / narrow for wide, narrow in zip(shape, grid.shape, strict=True)}
    if len(factors) > 1 or not (factor := factors.pop()).is_integer() or factor < 1:
        raise ValueError(f"a grid of {list(grid.shape)} cannot become {list(shape)}: expected one whole multiple of it")

    def finer(logits: Tensor) -> Tensor:
        return F.interpolate(logits[None], size=shape, mode="trilinear", align_corners=False)[0]

    occupancy = finer(grid.occupancy_logits.detach()[None])[0]
    material = finer(grid.material_logits.detach().permute(3, 0, 1, 2)).permute(1, 2, 3, 0)
    return DifferentiableVoxelGrid(occupancy.contiguous(), material.contiguous())
