import pytest

from terrarium.worlds.precision import play_precisions
from terrarium.worlds.world_model.forms import MOST, Form, best_form, forms, read_gains, write_gains

FP32, BF16 = Form("fp32", 1), Form("bf16", 1)
MANY, MANY_BF16 = Form("fp32", MOST), Form("bf16", MOST)


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
    gains = {FP32: {1: 1.5}, MANY: {2: 1.4, 4: 1.3, 8: 0.9, MOST: 0.8}, MANY_BF16: {2: 1.2, 4: 1.6, 8: 1.7, MOST: 0.9}}
    chosen = {n: best_form(gains, n) for n in (1, 2, 3, 4, 5, 8, 9, MOST, MOST + 1)}
    assert chosen == {
        1: FP32, 2: MANY, 3: MANY_BF16, 4: MANY_BF16, 5: MANY_BF16, 8: MANY_BF16, 9: None, MOST: None, MOST + 1: None,
    }  # fmt: skip


def test_every_number_up_to_the_most_is_held_by_one_form_of_a_precision():
    for precision in ("fp32", "bf16"):
        every = forms([precision])
        assert all(sum(form.holds(n) for form in every) == 1 for n in range(1, MOST + 1))
        assert all(form.measured[-1] == form.players for form in every), "what it holds is judged by what was measured"
    assert {str(form): form for form in every} == {name: Form.of(name) for name in ("bf16-1", f"bf16-{MOST}")}
    with pytest.raises(ValueError, match="form 'bf16-3': expected one of fp32-1, bf16-1"):
        Form.of("bf16-3")


def test_gains_are_kept_beside_the_package(tmp_path):
    write_gains(FP32.package(tmp_path), {1: 1.23456})
    assert [file.name for file in tmp_path.iterdir()] == ["fp32-1.json"]
    assert read_gains(FP32.package(tmp_path)) == {1: 1.235}
