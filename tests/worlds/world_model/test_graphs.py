"""Without a GPU: what a graph does on replay, its program run again on the tensors that it was captured with, is done
here by calling; that the step can be captured at all is held by a device that refuses copies from and to the host."""

import pytest
import torch
from second_device import SECOND, capturing, without_inference_mode

from terrarium.worlds.world_model import graphs
from terrarium.worlds.world_model.frozen import example
from terrarium.worlds.world_model.graphs import Graph, Graphs
from terrarium.worlds.world_model.rollout import load_world_model, step


def capture(run, given):
    """Replayed, it writes where it wrote when it was captured."""
    outputs = run(given)

    def replay():
        for place, x in zip(outputs, run(given), strict=True):
            place.copy_(x)

    return Graph(given, outputs, replay)


@torch.inference_mode()
def test_play_by_graphs_is_eager_play(debug_model):
    torch.manual_seed(0)
    dynamics, _ = load_world_model(debug_model)
    captured = []

    def counted(run, given):
        captured.append(len(given[0]))
        return capture(run, given)

    def eager(*given):
        return step(dynamics, *given)

    by_graph = Graphs(eager, counted)
    for players in (3, 1, 4, 2, 3):
        one = two = example(dynamics, players)[0]
        for _ in range(3):
            action, cold = torch.randn(players, dynamics.actions), torch.zeros(players)
            one, two, before = eager(one, action, cold), by_graph(two, action, cold), two
            kept = before.picture.clone()
            for name, x in one.tensors().items():
                apart = 1 if x.dtype == torch.uint8 else 1e-4  # another number of rows is summed in another order
                torch.testing.assert_close(two.tensors()[name], x, rtol=1e-4, atol=apart)
        by_graph(two, action, cold)
        assert torch.equal(kept, before.picture), "a state that was handed out changes with the next replay"
    assert captured == [4, 1, 2]


def test_more_players_than_any_graph_has_are_eager(monkeypatch):
    monkeypatch.setattr(graphs, "BUCKETS", (1, 2))
    asked = []
    by_graph = Graphs(lambda *given: asked.append(given), lambda *_: pytest.fail("captured"))
    given = None, torch.zeros(3, 1), torch.zeros(3)
    by_graph(*given)
    assert asked == [given]


@torch.inference_mode()
def test_what_cannot_be_captured_is_eager_for_good(debug_model, caplog):
    dynamics, _ = load_world_model(debug_model)

    def refuse(run, given):
        raise RuntimeError("operation not permitted when stream is capturing")

    by_graph = Graphs(lambda *given: step(dynamics, *given), refuse)
    for _ in range(2):
        assert by_graph(*example(dynamics, 2)).picture.shape[0] == 2
    assert [r.message for r in caplog.records] == [
        "no CUDA graph of 2 players, steps stay eager: operation not permitted when stream is capturing"
    ]


def test_a_step_never_looks_at_a_value_and_copies_nothing_from_the_host(debug_model, monkeypatch):
    """Either would end a capture."""
    monkeypatch.setenv("TERRARIUM_DEVICE", str(SECOND))
    without_inference_mode(monkeypatch)
    dynamics, _ = load_world_model(debug_model)
    given = example(dynamics, 2)
    with torch.no_grad(), capturing():
        step(dynamics, *given)
        for look in (lambda: given[1].sum().item(), lambda: given[1].new_tensor([1.0]), lambda: given[1].cpu()):
            with pytest.raises(RuntimeError, match="capture"):
                look()
