"""What releases a phase of the staged plan."""

from __future__ import annotations

import pytest

from terrarium.worlds.materials.texture.gate import gate, judge


def test_the_plans_example_that_passes() -> None:
    verdict = gate([0.1000, 0.0975, 0.0948], [0.0900, 0.0910, 0.0935])
    assert verdict.open and "epoch 3: game 0.0948 <= 0.95 x 0.1000 = 0.0950" in verdict.why
    assert "clean 0.0935 <= 1.10 x 0.0900 = 0.0990" in verdict.why


def test_the_plans_example_that_fails_by_both_rules() -> None:
    verdict = gate([0.0830, 0.0835, 0.0795], [0.0800, 0.0860, 0.0885])
    assert not verdict.open and "game 0.0795 > 0.95 x 0.0830 = 0.0789" in verdict.why
    assert "clean 0.0885 > 1.10 x 0.0800 = 0.0880" in verdict.why


@pytest.mark.parametrize(
    ("game", "clean", "opens"),
    [
        ([0.1, 0.09], [0.1, 0.1], False),  # no third epoch
        ([0.1, 0.1, 0.1, 0.09], [0.1] * 4, True),  # any epoch from the third on: here the fourth
        ([0.1, 0.1, 0.09, 0.12], [0.1] * 4, True),  # that it rose again does not matter
        ([0.1, 0.1, 0.09], [0.1, 0.1, 0.12], False),  # at the cost of clean materials
        ([0.1, 0.1, 0.1, 0.09], [0.1, 0.1, 0.1, 0.12], False),
        ([0.1, 0.1, 0.095], [0.1, 0.1, 0.11], True),  # both bounds are met exactly
    ],
)
def test_any_epoch_from_the_third_on_may_open_it(game: list[float], clean: list[float], opens: bool) -> None:
    assert gate(game, clean).open is opens


def test_what_is_exempt_is_open_after_an_epoch() -> None:
    assert judge("exempt", [{"game": 1.0, "clean": 1.0}]).open


def test_a0_ends_where_its_loss_settles() -> None:
    settled = [{"loss": x} for x in (1.0, 0.5, 0.3, 0.25, 0.24, 0.23)]
    assert judge("settles", settled).open
    assert not judge("settles", [{"loss": x} for x in (1.0, 0.8, 0.6, 0.4)]).open
    assert not judge("settles", [{"loss": x} for x in (0.5, 0.5, 0.6)]).open
    assert not judge("settles", settled[:1]).open


def test_a_ends_before_its_plateau_is_four_epochs_long() -> None:
    clean = [{"clean": x} for x in (0.3, 0.2, 0.21, 0.22, 0.2)]
    assert judge("plateau", clean).open
    assert not judge("plateau", [*clean, {"clean": 0.3}]).open
    assert "0.2000 in epoch 2 was the best, 4 epochs ago" in judge("plateau", [*clean, {"clean": 0.3}]).why


def test_the_albedo_ends_where_both_measures_fell() -> None:
    first = {"albedo_l1": 0.2, "albedo_lpips": 0.3}
    assert judge("both_fall", [first, {"albedo_l1": 0.1, "albedo_lpips": 0.2}]).open
    assert not judge("both_fall", [first, {"albedo_l1": 0.1, "albedo_lpips": 0.3}]).open
    assert not judge("both_fall", [first]).open
