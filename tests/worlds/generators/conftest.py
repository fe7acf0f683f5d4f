"""One tiny untrained generator for all tests of this folder."""

import pytest
import torch

from terrarium.worlds.generators.kinds import train_debug
from terrarium.worlds.generators.model import Generator
from terrarium.worlds.generators.train import new_generator, save_generator


@pytest.fixture(scope="session")
def generator() -> Generator:
    """Its last layers are not zero, so that its predictions depend on what it is given."""
    torch.manual_seed(0)
    made = new_generator(train_debug())
    for p in made.parameters():
        p.data += 0.02 * torch.randn_like(p)
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def folder(generator, tmp_path_factory):
    """The same as a checkpoint."""
    out = tmp_path_factory.mktemp("generator") / "output"
    save_generator(out, generator, train_debug(), {})
    return out
