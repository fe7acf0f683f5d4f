from terrarium.worlds.world_model.bench.figures import figures_of, over_seeds, step_ms
from terrarium.worlds.world_model.evaluation.judged import WINDOWS
from terrarium.worlds.world_model.rollout import load_world_model

EVALUATION = {
    "judge": {"available": True},
    "judge_share": {w: {"w": 0.5, "jump": 1.0, "s": None} for w in WINDOWS},
    "realism": {w: {"frechet_ratio": i, "two_sample_error": 0.5, "legibility": 1.0} for i, w in enumerate(WINDOWS)},
    "counterfactual_retrieval": {"1": 0.25, "4": 0.5},
    "rollout_psnr": {"1": 20.0, "4": 18.0},
    "memory_drop": {"2": 1.0, "circle": None},
    "edge_energy_ratio": {"16": 1.1},
    "noop_churn": 0.0,
}


def test_figures_of_an_evaluation():
    found = figures_of(EVALUATION)
    assert found["judge_share"] == [0.75] * 4 and found["worst_key"] == [0.5] * 4
    assert found["frechet_ratio"] == [0, 1, 2, 3] and found["memory_drop_circle"] is None


def test_what_cannot_be_read_is_none():
    found = figures_of(EVALUATION | {"judge": {"available": False}, "realism": None})
    assert found.keys() == figures_of(EVALUATION).keys()
    assert found["judge_share"] is None and found["worst_key"] is None and found["legibility"] is None


def test_means_and_deviations_over_seeds():
    one = figures_of(EVALUATION)
    both = over_seeds([one, one | {"retrieval_1": 0.75, "frechet_ratio": [2, 3, 4, 5]}])
    assert both["retrieval_1"] == ([0.5], [0.25]) and both["frechet_ratio"] == ([1, 2, 3, 4], [1] * 4)
    assert "memory_drop_circle" not in both


def test_a_step_is_timed(debug_model):
    assert step_ms(*load_world_model(debug_model), steps=2) > 0
