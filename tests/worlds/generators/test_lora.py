import copy

import pytest
import torch

from terrarium.worlds.generators.lora import adapt, base_of
from terrarium.worlds.training.lora import adapters, is_adapters, merge


@pytest.fixture
def adapted(generator):
    made = copy.deepcopy(generator)
    adapt(made, 2)
    return made


def predicted(generator):
    torch.manual_seed(1)
    with torch.no_grad():
        said = generator.say(["a tower"])
        return generator(torch.randn(1, *generator.shape), torch.tensor([500]), said)


def test_an_adapter_begins_as_nothing_and_alone_learns(adapted, generator) -> None:
    assert predicted(adapted).equal(predicted(generator))
    learning = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert learning and all(is_adapters(name) for name in learning)
    assert len(learning) == 2 * len(adapters(adapted)) == 2 * (4 * 2 + 3 + 1)


def test_without_it_the_base_is_the_same_to_the_bit(adapted, generator) -> None:
    for each in adapters(adapted):
        torch.nn.init.normal_(each.up.weight)
    changed = predicted(adapted)
    with base_of(adapted):
        assert predicted(adapted).equal(predicted(generator))
    assert predicted(adapted).equal(changed) and not changed.equal(predicted(generator))
    merge(adapted)
    assert not adapters(adapted)
    torch.testing.assert_close(predicted(adapted), changed, rtol=1e-3, atol=1e-3)
    assert adapted.state_dict().keys() == generator.state_dict().keys()


def test_no_rank_is_no_adapter(generator) -> None:
    with pytest.raises(ValueError, match="rank 0: expected at least 1"):
        adapt(copy.deepcopy(generator), 0)
