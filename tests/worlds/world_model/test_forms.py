import pytest

from terrarium.worlds.precision import play_precisions
from terrarium.worlds.world_model.forms import (
    MOST,
    SIZES,
    Form,
    best_form,
    forms,
    next_form,
    read_gains,
    speed,
    write_gains,
)

FP32, BF16 = Form("fp32", 1), Form("bf16", 1)
FOUR = Form("fp32", 4)


def test_a_processor_without_a_unit_compiles_fp32_alone():
    assert play_precisions("auto", has_unit=False) == ("fp32",)
    assert play_precisions("auto", has_unit=True) == ("fp32", "bf16")
    for unit in (True, False):
        assert play_precisions("fp32", unit) == ("fp32",) and play_precisions("bf16", unit) == ("bf16",)
    with pytest.raises(ValueError, match="TERRARIUM_PRECISION is 'half'; expected auto, fp32 or bf16"):
        play_precisions("half", True)


def test_the_form_measured_fastest_is_taken():
    assert best_form({FP32: {1: 1.5}, BF16: {1: 2.0}}, 1) == BF16
    assert best_form({FP32: {1: 2.0}, BF16: {1: 1.5}}, 1) == FP32
    assert best_form({FP32: {1: 1.5}, BF16: {1: 1.55}}, 1) == FP32, "bf16 has to pay"


def test_nothing_slower_than_the_eager_step_is_taken():
    assert best_form({}, 1) is None
    assert best_form({FP32: {1: 0.9}}, 1) is None
    assert best_form({FP32: {1: 0.9}, BF16: {1: 1.02}}, 1) is None
    assert best_form({FP32: {1: 0.9}, BF16: {1: 1.2}}, 1) == BF16


def test_each_number_of_players_has_a_form():
    gains = {FP32: {1: 1.5, 2: 1.1, 4: 1.0, 8: 0.9, MOST: 0.9}, FOUR: {4: 1.4, 8: 1.3, MOST: 0.9}}
    chosen = {n: best_form(gains, n) for n in (1, 2, 3, 4, 5, 7, 8, 9, MOST, MOST + 1)}
    assert chosen == {
        1: FP32, 2: FP32, 3: FOUR, 4: FOUR, 5: None, 7: FOUR, 8: FOUR, 9: None, MOST: None, MOST + 1: None,
    }  # fmt: skip


def test_several_threads_take_pieces_side_by_side():
    """Two runs of one player at once are done before one run of four, which is a piece for both threads."""
    gains = {FP32: {1: 1.5, 2: 1.4, 4: 1.3, 8: 1.2, MOST: 1.1}, FOUR: {4: 1.5, 8: 1.4, MOST: 1.3}}
    assert [speed(pieces, 2) for pieces in (1, 2, 3, 4)] == [1.6, 2, 1.5, 2]
    assert {n: best_form(gains, n, threads=2) for n in (1, 2, 8)} == {1: FP32, 2: FP32, 8: FOUR}
    assert best_form({FOUR: {4: 1.5, 8: 0.9, MOST: 0.9}}, 8, threads=2) == FOUR, "eager threads share every operation"


def test_precisions_compete_for_one_player_alone():
    both, one = ("fp32", "bf16"), {FP32: {1: 1.5}}
    assert [next_form(both, {}), next_form(both, one)] == [FP32, BF16]
    assert next_form(both, one | {BF16: {1: 2.0}}) == Form("bf16", SIZES[1])
    assert next_form(both, one | {BF16: {1: 1.5}}) == next_form(("fp32",), one) == Form("fp32", SIZES[1])
    assert next_form(("fp32",), {form: dict.fromkeys(form.measured, 1.0) for form in forms(["fp32"])}) is None


def test_every_form_is_measured_for_as_many_as_it_may_get():
    every = forms(("fp32", "bf16"))
    assert all(form.measured[0] == form.players and form.measured[-1] == MOST for form in every)
    assert {str(form): form for form in every} == {str(form): Form.of(str(form)) for form in every}
    with pytest.raises(ValueError, match="form 'bf16-3': expected one of fp32-1, bf16-1"):
        Form.of("bf16-3")


def test_gains_are_kept_beside_the_package(tmp_path):
    write_gains(FP32.package(tmp_path), {1: 1.23456})
    assert [file.name for file in tmp_path.iterdir()] == ["fp32-1.json"]
    assert read_gains(FP32.package(tmp_path)) == {1: 1.235}
