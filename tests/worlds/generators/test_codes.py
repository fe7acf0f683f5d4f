import numpy as np
import pytest
import torch

from terrarium.worlds.blocks.palette import ID
from terrarium.worlds.blocks.structures.source import structure
from terrarium.worlds.generators.codes import (
    TYPES,
    check_types,
    codes,
    decode,
    encode,
    evidence,
    expected,
    mixture,
)


def test_codes_are_equally_far_apart() -> None:
    distances = torch.cdist(codes(), codes())
    assert distances[~torch.eye(TYPES, dtype=torch.bool)].sub(2**0.5).abs().max() < 1e-6


def test_worlds_survive_their_codes_and_a_little_noise() -> None:
    ids = torch.from_numpy(np.stack([structure(seed).blocks for seed in range(3)]))
    x = encode(ids)
    assert x.shape == (3, 8, 16, 16, 16) and decode(x).equal(ids)
    assert decode(x + 0.1 * torch.randn_like(x)).equal(ids)
    occupancy, materials = mixture(x)
    assert occupancy.equal((ids > 0).float())
    assert (materials.argmax(-1) + 1)[ids > 0].equal(ids[ids > 0].long())
    torch.testing.assert_close(materials.sum(-1), torch.ones(3, 16, 16, 16))


def test_evidence_is_the_likelihood_of_the_noise() -> None:
    z = torch.randn(1, 8, 1, 1, 1)
    alpha, sigma = torch.tensor([0.8]).view(1, 1, 1, 1, 1), torch.tensor([0.6]).view(1, 1, 1, 1, 1)
    wanted = torch.distributions.Normal(0.8 * codes(), 0.6).log_prob(z.view(1, 8)).sum(1)
    found = evidence(z, alpha, sigma).flatten()
    torch.testing.assert_close(found.log_softmax(0), wanted.log_softmax(0))
    torch.testing.assert_close(expected(torch.ones(1, TYPES, 1, 1, 1) / TYPES).flatten(), codes().mean(0))


def test_a_foreign_block_is_named() -> None:
    blocks = np.zeros((2, 3, 4), np.uint8)
    blocks[1, 2, 3] = ID["Brick"]
    with pytest.raises(ValueError, match=r"the block at \[1, 2, 3\] is Brick: a generator knows Grass, Dirt"):
        check_types(blocks)
