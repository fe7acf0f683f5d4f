import numpy as np
import pytest
import torch

from terrarium.worlds.voxels.guidance import sds

ALPHABAR = torch.tensor([0.9999, 0.7, 0.25, 0.01], dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("sigma2", lambda a: 1 - a),
        ("sigma", lambda a: (1 - a) ** 0.5),
        ("uniform", lambda a: 1.0),
        ("fantasia3d", lambda a: a**0.5 * (1 - a)),
    ],
)
def test_weights_are_their_formulas(name: str, formula) -> None:
    want = [formula(float(a)) for a in ALPHABAR]
    assert sds.WEIGHTINGS[name](ALPHABAR).tolist() == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "done", "between"),
    [
        ("anneal", 0.0, (0.02, 0.98)),
        ("anneal", 0.5, (0.02, 0.74)),
        ("anneal", 1.0, (0.02, 0.5)),
        ("plan", 0.0, (0.5, 0.9)),
        ("plan", 0.499, (0.5, 0.9)),
        ("plan", 0.5, (0.0, 0.5)),
        ("uniform", 0.9, (0.02, 0.98)),
    ],
)
def test_schedules_give_the_times_between_which_t_is_drawn(name: str, done: float, between) -> None:
    assert sds.SCHEDULES[name](done, 0.02, 0.98, 0.5) == pytest.approx(between)


def test_times_fill_their_range_and_stay_in_it() -> None:
    rng = np.random.default_rng(0)
    drawn = {sds.draw_time((0.5, 0.52), 1000, rng) for _ in range(500)}
    assert drawn == set(range(500, 520))
    assert {sds.draw_time((1.0, 1.0), 1000, rng) for _ in range(5)} == {999}
    assert {sds.draw_time((0.0, 0.0), 1000, rng) for _ in range(5)} == {0}


def test_the_surrogates_gradient_is_the_given_one_over_the_batch() -> None:
    torch.manual_seed(0)
    z = torch.randn(3, 4, 5, 5, requires_grad=True)
    gradient = torch.randn_like(z)
    sds.surrogate(z, gradient).backward()
    torch.testing.assert_close(z.grad, gradient / 3, rtol=0, atol=1e-6)


def test_every_prediction_gives_the_noise_that_was_added() -> None:
    torch.manual_seed(0)
    x, eps = torch.randn(2, 3, 4, 4).double(), torch.randn(2, 3, 4, 4).double()
    for alphabar in ALPHABAR:
        noisy = sds.noised(x, eps, alphabar)
        v = alphabar.sqrt() * eps - (1 - alphabar).sqrt() * x
        torch.testing.assert_close(sds.noise_of(v, noisy, alphabar, "v_prediction"), eps)
        torch.testing.assert_close(sds.noise_of(x, noisy, alphabar, "sample"), eps)
        assert sds.noise_of(eps, noisy, alphabar, "epsilon") is eps
    with pytest.raises(ValueError, match="'flow': expected epsilon, sample or v_prediction"):
        sds.noise_of(x, x, ALPHABAR[0], "flow")


def test_guidance_of_one_is_the_caption_and_of_zero_is_the_other() -> None:
    given, other = torch.ones(2), torch.zeros(2)
    assert [float(sds.guided(given, other, cfg)[0]) for cfg in (0, 1, 7.5)] == [0, 1, 7.5]


@pytest.mark.parametrize(
    ("azimuth", "elevation", "side"),
    [(0, 0, "front"), (350, 60, "front"), (45, 0, "front"), (46, 0, "side"), (-90, 0, "side"), (180, 0, "back"),
     (225, 10, "back"), (0, 61, "overhead"), (720, 0, "front")],
)  # fmt: skip
def test_prompts_name_the_side_that_is_seen(azimuth: float, elevation: float, side: str) -> None:
    assert sds.view_prompt("a hut", azimuth, elevation) == f"a hut, {side} view"


def test_prompts_are_chosen_as_often_as_they_weigh() -> None:
    rng = np.random.default_rng(0)
    drawn = [sds.choose_prompt(("a", "b"), (3.0, 1.0), rng) for _ in range(2000)]
    assert drawn.count("a") / len(drawn) == pytest.approx(0.75, abs=0.03)
    assert {sds.choose_prompt(("a", "b"), (), rng) for _ in range(50)} == {"a", "b"}
