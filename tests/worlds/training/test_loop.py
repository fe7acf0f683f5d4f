"""The loop as the rooms use it: two optimisers, phases, grids that grow, adapters; each is stopped and resumed."""

import json

import pytest
import torch
from safetensors.torch import load_file
from second_device import SECOND, without_inference_mode
from training_toys import (
    MATERIAL_SCHEDULES,
    adapter_stages,
    material_stages,
    painter_stages,
    run,
    run_in_pieces,
    voxel_stages,
)

from terrarium.worlds.training import schedules
from terrarium.worlds.training.task import Learner, Stage, Task

TOYS = {
    "painter": painter_stages,
    **{f"materials, {name}": lambda name=name: material_stages(name) for name in MATERIAL_SCHEDULES},
    "voxels": voxel_stages,
    "voxels that stop early": lambda: voxel_stages(patience=2),
    "adapter": adapter_stages,
}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def newest(out):
    """-> tensors, manifest of the newest state."""
    folder = max((out / "state").iterdir())
    return load_file(folder / "model.safetensors"), json.loads((folder / "manifest.json").read_text())


def same(a, b):
    return a.keys() == b.keys() and all(a[k].equal(b[k]) for k in a)


@pytest.mark.parametrize("toy", TOYS)
def test_a_run_stopped_after_every_step_is_the_undisturbed_one(toy, tmp_path):
    whole, log = run(TOYS[toy](), tmp_path / "whole")
    pieces, logs = run_in_pieces(TOYS[toy], tmp_path / "pieces")
    assert [each.resumed_at for each in logs] == [None, *range(1, len(logs))] and len(logs) == log.at == log.total
    assert same(whole.state_dict(), pieces.state_dict())
    assert same(newest(tmp_path / "whole")[0], newest(tmp_path / "pieces")[0])  # optimisers, averages and pool too
    assert log.values == {step: each.values[step] for step, each in enumerate(logs, 1)}


@pytest.mark.parametrize("toy", ["painter", "materials, plateau", "voxels", "adapter"])
def test_a_run_goes_on_on_another_device(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("TERRARIUM_DEVICE", str(SECOND))
    without_inference_mode(monkeypatch)
    assert run(TOYS[toy](), tmp_path, stop_at=4)[0] is None
    model, log = run(TOYS[toy](), tmp_path)
    assert log.resumed_at == 4 and {p.device for p in model.parameters()} == {SECOND}


def test_what_lives_beside_the_model_is_moved_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TERRARIUM_DEVICE", str(SECOND))
    task = painter_stages()[0].make(None)
    run([Stage("paint", 9, lambda _: task)], tmp_path, stop_at=1)
    assert task.extra.held.device == SECOND


def test_a_run_stopped_at_a_boundary_goes_on_with_the_next_stage(tmp_path):
    whole, _ = run(voxel_stages(coarse=5), tmp_path / "whole")
    assert run(voxel_stages(coarse=5), tmp_path / "parts", stop_at=5)[0] is None
    tensors, facts = newest(tmp_path / "parts")
    assert (facts["step"], facts["stage"]) == (5, 0) and tensors["model.logits"].shape == (2, 2, 2)
    rest, log = run(voxel_stages(coarse=5), tmp_path / "parts")
    assert log.resumed_at == 5 and list(log.values) == list(range(6, 17))
    assert rest.logits.equal(whole.logits) and rest.logits.shape == (8, 8, 8)


def test_a_stage_that_stops_early_shortens_the_run(tmp_path):
    _, log = run(voxel_stages(coarse=50, patience=2), tmp_path)
    assert log.at == log.total < 50 and list(log.values) == list(range(1, log.at + 1))
    assert newest(tmp_path)[1]["begins"] == log.at - 6  # the last stage has no rule to stop


def test_learners_train_their_own_parameters_alone(tmp_path):
    stages = painter_stages()
    (stage,) = stages
    task = stage.make(None)
    before = {k: v.clone() for k, v in task.model.critic.state_dict().items()}
    trained = {learner.name: [] for learner in task.learners}
    for learner in task.learners:

        def loss(step, *batch, learner=learner, of=learner.loss):
            parts = task.model.named_children()
            trained[learner.name].append({k for k, part in parts if all(p.requires_grad for p in part.parameters())})
            return of(step, *batch)

        learner.loss = loss
    run([Stage("paint", 9, lambda _: task)], tmp_path, stop_at=2)
    tensors, _ = newest(tmp_path)
    assert all(tensors[f"model.critic.{k}"].equal(v) for k, v in before.items())  # the painter's turns left it alone
    assert not any(name.startswith("critic.") for name in tensors)
    run([Stage("paint", 9, lambda _: task)], tmp_path)
    assert trained == {"critic": 7 * [{"critic"}], "painter": 9 * [{"painter"}]}
    assert all(p.requires_grad for p in task.model.parameters())


def test_a_frozen_backbone_keeps_its_weights_and_statistics(tmp_path):
    first = material_stages()[0].make(None).model.backbone.state_dict()
    assert run(material_stages(), tmp_path, stop_at=5)[0] is None
    held = {k: v for k, v in newest(tmp_path)[0].items() if k.startswith("model.backbone.")}
    assert same({k.removeprefix("model.backbone."): v for k, v in held.items()}, first)
    last = run(material_stages(), tmp_path)[0].backbone.state_dict()
    changed = {k for k in first if not first[k].equal(last[k])}
    assert changed == {"0.weight", "0.bias", "1.weight", "1.bias"}  # learned; the norm's statistics stay


def test_states_hold_what_is_kept_alone(tmp_path):
    model, _ = run(adapter_stages(), tmp_path)
    tensors, _ = newest(tmp_path)
    names = {"adapter_a", "adapter_b"}
    assert {k for k in tensors if not k.startswith("optimizer.")} == {
        f"{of}.{k}" for of in ("model", "ema") for k in names
    }
    assert {k.split(".")[1] for k in tensors if k.startswith("optimizer.")} == {"0", "1"}
    assert same(model.base.state_dict(), adapter_stages()[0].make(None).model.base.state_dict())
    assert model.adapter_b.abs().max() > 0


def test_without_an_average_the_weights_are_the_result(tmp_path):
    model, _ = run(voxel_stages(), tmp_path)
    tensors, _ = newest(tmp_path)
    assert model.logits.equal(tensors["model.logits"]) and not any(k.startswith("ema.") for k in tensors)


def test_every_validation_draws_the_same(tmp_path):
    task = voxel_stages()[0].make(None)
    drawn = []
    task.validate, task.validate_every = lambda *_: {"draw": drawn.append(torch.rand(()).item()) or 0.0}, 1
    run([Stage("2", 4, lambda _: task)], tmp_path)
    assert len(drawn) == 4 and len(set(drawn)) == 1


def test_groups_are_clipped_apart_and_the_others_together():
    parts = [torch.nn.Parameter(torch.zeros(1)) for _ in range(3)]
    optimizer = torch.optim.SGD(
        [{"params": parts[:1], "clip": 0.5}, {"params": parts[1:2]}, {"params": parts[2:]}], lr=1
    )
    learner = Learner(loss=None, optimizer=optimizer, clip=1.0)
    for p, slope in zip(parts, (2.0, 3.0, 4.0), strict=True):
        p.grad = torch.tensor([slope])
    assert learner.clip_gradients().item() == pytest.approx(29**0.5)
    assert [p.grad.item() for p in parts] == pytest.approx([0.5, 0.6, 0.8], rel=1e-4)


def test_tasks_that_could_not_be_resumed_are_refused():
    task = painter_stages()[0].make(None)
    critic, painter = task.learners
    with pytest.raises(AssertionError, match="a step without a learner"):
        Task(model=task.model, learners=[critic], sample=task.sample)
    with pytest.raises(AssertionError, match="two learners hold the same"):
        Task(model=task.model, learners=[painter, painter], sample=task.sample)
    with pytest.raises(AssertionError, match="not the model's"):
        Task(model=task.model["critic"], learners=[painter], sample=task.sample)
    with pytest.raises(AssertionError, match="without validations"):
        Task(model=task.model, learners=[painter], sample=task.sample, stop=schedules.early_stop("error", 3))
