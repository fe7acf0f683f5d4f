"""The simulation against what queueing theory says exactly."""

from random import Random

import pytest
from scale.simulate import STEP_MS, erlang_b, line, play, processes_for, slots, step_ms


def test_people_turned_away_are_those_of_erlang():
    turned, seats, most = play(load=8.0, stay_s=60.0, seats=10, seconds=40 * 3600, rng=Random(0))
    assert turned == pytest.approx(erlang_b(8.0, 10), rel=0.1) and most == 10
    assert seats == pytest.approx(8.0 * (1 - turned), rel=0.15)
    assert erlang_b(1.0, 1) == 0.5 and processes_for(8.0, 5, 0.01) == 3


def test_a_process_holds_what_fits_into_a_frame():
    assert [step_ms(n) for n in STEP_MS] == list(STEP_MS.values())
    held = slots(15, 1.0, 0.03)
    assert step_ms(held) + held * 0.03 <= 1000 / 15 < step_ms(held + 1) + (held + 1) * 0.03
    assert slots(15, 0.01, 0.03) == 0


def test_a_line_that_is_seldom_used_makes_nobody_wait():
    assert line(a_day=24, mean_s=60, workers=2, count=500, rng=Random(0))["p50_min"] == 0
    busy = line(a_day=86400 * 0.9 / 60, mean_s=60, workers=1, count=5000, rng=Random(0))
    assert busy["used"] == pytest.approx(0.9, abs=0.1) and busy["p99_min"] > busy["p50_min"] > 0
