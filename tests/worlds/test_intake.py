"""What was made elsewhere: taken whole, or refused with what is wrong and nothing left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import brought
import numpy as np
import pytest
import torch
from brought import MAKE, change_manifest, make_dataset, make_world, make_world_model, zipped
from PIL import Image

from terrarium.worlds.checkpoint import load_checkpoint, save_checkpoint
from terrarium.worlds.intake import ORIGIN, Taken, new_draft, sweep_drafts, take_in

ROOT = Path(__file__).resolve().parent.parent.parent
ORIGINAL = {"name": None, "file": "mine", "from": "a test"}


def take(path: Path, root: Path, **options: object) -> Taken:
    with new_draft(root / "incoming") as draft:
        (draft / "asset").mkdir()
        return take_in(path, draft / "asset", lambda type, id: root / type / id, ORIGINAL, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("type", MAKE)
def test_a_folder_and_its_zip_are_the_same_asset(tmp_path: Path, type: str) -> None:
    folder, root = MAKE[type](tmp_path / "mine"), tmp_path / "data"
    (folder / "notes.txt").write_text("not of its files")
    taken = take(folder, root, opened=True)
    for top in ("", "mine/", "Ünser Modell/"):
        (tmp_path / "mine.zip").write_bytes(zipped(folder, top))
        assert take(tmp_path / "mine.zip", root, type=type) == taken
    (place,) = (root / type).iterdir()
    files = {str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()}
    assert (taken.type, taken.folder) == (type, place) and "notes.txt" not in files
    for name in files - {ORIGIN}:
        assert (place / name).read_bytes() == (folder / name).read_bytes()
    origin = json.loads((place / ORIGIN).read_text())
    assert origin["name"] == f"{type}-{taken.id[:8]}" and origin["file"] == "mine" and origin["from"] == "a test"
    assert not any((root / "incoming").iterdir())


def test_a_map_may_come_by_itself(tmp_path: Path) -> None:
    """As a file of any name, or in a folder or a zip without a manifest: the same asset as with one."""
    folder, root = make_world(tmp_path / "mine"), tmp_path / "data"
    taken = take(folder, root)
    (tmp_path / "castle.json").write_bytes((folder / "map.json").read_bytes())
    (folder / "manifest.json").unlink()
    (tmp_path / "mine.zip").write_bytes(zipped(folder))
    for path in (tmp_path / "castle.json", folder, tmp_path / "mine.zip"):
        assert take(path, tmp_path / "others" / path.name, opened=True).id == taken.id
        with pytest.raises(ValueError, match="expected the files of a dataset"):
            take(path, root, type="dataset")


def rewrite(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        file = next(folder.rglob(name))
        file.write_bytes(change(file.read_bytes()))

    return act


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: next(folder.rglob(name)).unlink()


def saying(**fields: object) -> Callable[[Path], None]:
    return lambda folder: change_manifest(folder, **fields)


def entry(**fields: object) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        episodes = json.loads((folder / "manifest.json").read_text())["episodes"]
        change_manifest(folder, episodes=[episodes[0] | fields, *episodes[1:]])

    return act


def of_other_shape(folder: Path) -> None:
    np.save(next(folder.rglob("frames.npy")), np.zeros((5, 8, 9, 3), np.uint8))


def pickled(folder: Path) -> None:
    np.save(next(folder.rglob("actions.npy")), np.array([{}], object), allow_pickle=True)


def a_pickle(folder: Path) -> None:
    torch.save({"a": torch.zeros(3)}, folder / "model.safetensors")


def of_a_game(folder: Path) -> None:
    data = json.loads((folder / "manifest.json").read_text())["data"]
    change_manifest(folder, data=data | {"source": {"kind": "gym", "env": "crafter:Env"}})


def with_broken_starts(folder: Path) -> None:
    of_a_game(folder)
    (folder / "starts.npz").write_bytes(zipped(folder))


BAD: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "no manifest": ("dataset", without("manifest.json"), "manifest.json is not there: expected the files of a"),
    "not JSON": ("dataset", rewrite("manifest.json", lambda b: b[:-9]), "manifest.json is not JSON"),
    "not UTF-8": ("dataset", rewrite("manifest.json", lambda b: b"\xff" + b), "manifest.json is not JSON"),
    "a list": ("dataset", rewrite("manifest.json", lambda b: b"[]"), "expected a JSON object, found list"),
    "a judge": (
        "tokenizer",
        saying(kind="judge"),
        "is that of 'judge', expected a dataset or .*block-world or ",
    ),
    "an odd kind": ("tokenizer", saying(kind=["tokenizer"]), r"is that of .*\['tokenizer'\]"),
    "another version": ("dataset", saying(format_version=2), "format_version 2, expected 1"),
    "no frames a second": ("dataset", saying(fps=0), "manifest.json: fps: .* found 0"),
    "odd actions": ("dataset", saying(action_names="w"), "action_names 'w': expected a list"),
    "no episodes": ("dataset", saying(episodes=[]), "holds no episodes"),
    "a trained dataset": ("dataset", saying(data=5), "data: a dataset has no such field"),
    "an episode elsewhere": ("dataset", entry(id="../x"), r"episodes\.0\.id"),
    "a missing file": ("dataset", without("actions.npy"), "episode 00000.: actions.npy is missing"),
    "a changed frame": ("dataset", rewrite("frames.npy", lambda b: b[:-1] + b"?"), "frames.npy differs from its rec"),
    "a cut file": ("dataset", rewrite("frames.npy", lambda b: b[:-1]), "frames.npy has 1087 bytes, expected 1088"),
    "junk frames": ("dataset", rewrite("frames.npy", lambda b: b"junk"), "frames.npy is not a .npy file"),
    "another shape": ("dataset", of_other_shape, r"\(5, 8, 9, 3\), expected '\|u1' \(5, 8, 8, 3\)"),
    "pickled objects": ("dataset", pickled, "actions.npy is '|O'"),
    "no weights": ("world-model", without("model.safetensors"), "model.safetensors is missing"),
    "a pickle": ("world-model", a_pickle, "not a safetensors file: other weight formats are refused"),
    "cut weights": ("tokenizer", rewrite("model.safetensors", lambda b: b[:-4]), "it was cut short or added to"),
    "changed weights": (
        "tokenizer",
        rewrite("model.safetensors", lambda b: b[:-4] + bytes(4)),
        "differs from the sha",
    ),
    "an odd grid": ("world-model", saying(grid=[3, 3]), r"grid \(3, 3\) of frames 64x64"),
    "odd dynamics": ("world-model", saying(dynamics={"channels": "many"}), r"manifest.json: dynamics\."),
    "no data": ("tokenizer", saying(data=None), "manifest.json: data: "),
    "seeds": ("world-model", saying(data={"seeds": []}), "manifest.json: data"),
    "no starts": ("world-model", of_a_game, "starts.npz is missing"),
    "odd starts": ("world-model", with_broken_starts, "starts.npz lacks actions.npy and frames.npy"),
    "a small view": (
        "capture-set",
        lambda folder: Image.new("RGB", (8, 9)).save(folder / "rgb_0001.png"),
        r"view 1 \(view-0001\): rgb_0001.png has 8 x 9 pixels, imageSize says 16 x 16",
    ),
    "a changed view": (
        "capture-set",
        lambda folder: Image.new("RGB", (16, 16)).save(folder / "rgb_0001.png"),
        "manifest.json: files .*the set has",
    ),
    "a foreign block": (
        "block-world",
        rewrite("map.json", lambda b: b.replace(b"Grass", b"Lava")),
        "block [0-9]+ at .*Lava",
    ),
    "another map": ("block-world", saying(blocks=3), "manifest.json: blocks 3, the map has"),
    "no map": ("block-world", without("map.json"), "map.json is missing"),
    "an odd report": ("world-model", rewrite("evaluation.json", lambda b: b"[]"), "evaluation.json: expected a JSON"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
def test_what_is_wrong_is_refused_and_leaves_nothing(tmp_path: Path, name: str, as_zip: bool) -> None:
    type, spoil, says = BAD[name]
    path = MAKE[type](tmp_path / "mine")
    spoil(path)
    if as_zip:
        (tmp_path / "mine.zip").write_bytes(zipped(path))
        path = tmp_path / "mine.zip"
    with pytest.raises(ValueError, match=says) as refused:
        take(path, tmp_path / "data")
    assert str(tmp_path) not in str(refused.value), "no path of the server's"
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["incoming"]
    assert not any((tmp_path / "data" / "incoming").iterdir())


def test_another_type_than_the_wanted_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"that of 'dataset', expected a tokenizer$"):
        take(make_dataset(tmp_path / "mine"), tmp_path / "data", type="tokenizer")


def test_weights_that_only_torch_sees_through_are_refused_where_there_is_torch(tmp_path: Path) -> None:
    folder = make_world_model(tmp_path / "mine")
    tensors, manifest = load_checkpoint(folder, "world-model")
    spoiled = {name: torch.full_like(t, torch.nan) if t.is_floating_point() else t for name, t in tensors.items()}
    save_checkpoint(folder, "world-model", spoiled, {k: v for k, v in manifest.items() if k != "sha256"})
    with pytest.raises(ValueError, match="NaN or infinity"):
        take(folder, tmp_path / "data", opened=True)


def test_nothing_is_copied_where_there_is_no_room(tmp_path: Path) -> None:
    def refuse(size: int) -> None:
        raise OSError(f"{size} bytes")

    with pytest.raises(OSError, match=r"^\d\d\d\d bytes$"):
        take(make_dataset(tmp_path / "mine"), tmp_path / "data", room=refuse)
    assert not (tmp_path / "data" / "dataset").exists()


def test_the_same_thing_twice_at_once_is_one_asset(tmp_path: Path) -> None:
    folder, taken = make_dataset(tmp_path / "mine"), []
    threads = [threading.Thread(target=lambda: taken.append(take(folder, tmp_path / "data"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 4 and len(set(taken)) == 1 and len(list((tmp_path / "data" / "dataset").iterdir())) == 1


def test_drafts_of_killed_processes_are_swept_and_those_in_use_kept(tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.mkdir()
    (left / "upload.zip").write_bytes(b"half")
    with new_draft(tmp_path) as draft:
        sweep_drafts(tmp_path)
        assert draft.is_dir() and not left.exists()
    assert not draft.exists()


def test_the_gateway_can_do_it_without_torch_and_numpy(tmp_path: Path) -> None:
    for name, make in MAKE.items():
        make(tmp_path / name)
    code = (
        "import sys; sys.modules['numpy'] = sys.modules['torch'] = None\n"
        "from pathlib import Path; from terrarium.worlds.intake import take_in\n"
        f"for name in {tuple(MAKE)}:\n"
        "    draft = Path('draft'); draft.mkdir()\n"
        "    origin = {'name': None, 'file': '', 'from': ''}\n"
        "    print(take_in(Path(name), draft, lambda type, id: Path('data', type), origin).type)\n"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout.split() == list(brought.MAKE), done.stderr
