"""Each regulariser against its formula, written out voxel by voxel."""

from math import exp, log

import pytest
import torch

from terrarium.worlds.voxels.regularisers import connectivity, material_entropy, smoothness, sparsity

SHAPE = (3, 2, 4)


def probabilities(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_against_loops():
    p = probabilities(*SHAPE)
    at = {(x, y, z): float(p[x, y, z]) for x in range(3) for y in range(2) for z in range(4)}
    alone, squares = 0.0, [[], [], []]
    for place, value in at.items():
        n6 = 0.0
        for axis in range(3):
            for step in (-1, 1):
                other = tuple(v + step * (k == axis) for k, v in enumerate(place))
                n6 += at.get(other, 0.0)
                if step == 1 and other in at:
                    squares[axis].append((at[other] - value) ** 2)
        alone += value * exp(-n6 / 3)
    assert float(sparsity(p)) == pytest.approx(sum(at.values()) / 24)
    assert float(connectivity(p)) == pytest.approx(alone / 24)
    assert float(smoothness(p)) == pytest.approx(sum(sum(s) / len(s) for s in squares))


def test_entropy_counts_what_is_there():
    materials = torch.zeros(*SHAPE, 7, dtype=torch.float64)
    materials[..., 0] = 1
    materials[0] = 1 / 7
    there = torch.ones(SHAPE, dtype=torch.float64)
    assert float(material_entropy(materials, there)) == pytest.approx(log(7) / 3)
    there[0] = 0
    assert float(material_entropy(materials, there)) == pytest.approx(0)
    assert float(material_entropy(materials, there * 0)) == 0


def test_gradients_are_finite_at_the_ends():
    p = torch.tensor([0.0, 1.0]).view(1, 1, 2).requires_grad_()
    materials = torch.tensor([1.0, 0.0]).expand(1, 1, 2, 2).clone().requires_grad_()
    loss = sparsity(p) + smoothness(p) + connectivity(p) + material_entropy(materials, p)
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(loss, (p, materials)))
