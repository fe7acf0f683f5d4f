"""MatSynth's parquet files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrarium.worlds.materials.matsynth import list_materials, read_maps
from terrarium.worlds.materials.parquet import unpack
from terrarium.worlds.materials.procedural import material

pa = pytest.importorskip("pyarrow", reason="extra `parquet` is not installed")


def png(pixels: np.ndarray) -> dict[str, object]:
    values = np.rint(255 * pixels).astype(np.uint8)
    Image.fromarray(values if values.ndim == 2 else values.transpose(1, 2, 0)).save(out := io.BytesIO(), "PNG")
    return {"bytes": out.getvalue(), "path": None}


def row(name: str) -> dict[str, object]:
    maps = material("brick", 1, 32).maps
    pictures = {"basecolor": maps[:3], "roughness": maps[3], "metallic": maps[4], "normal": 0.5 + 0.5 * maps[5:]}
    return {"name": name, "category": "brick", **{k: png(v) for k, v in pictures.items()}, "height": None}


def test_rows_become_folders_that_are_read_as_any_others(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([row("one"), row("two")]), tmp_path / "train.parquet")
    assert unpack(tmp_path, tmp_path / "out") == ["one", "two"] == list_materials(tmp_path / "out")
    np.testing.assert_allclose(read_maps(tmp_path / "out" / "one")[:5], material("brick", 1, 32).maps[:5], atol=0.003)
    assert unpack(tmp_path / "train.parquet", tmp_path / "out", most=1) == ["one"]
    pq.write_table(pa.Table.from_pylist([row("../evil")]), tmp_path / "train.parquet")
    with pytest.raises(ValueError, match=r"named '\.\./evil'"):
        unpack(tmp_path, tmp_path / "out")
    pq.write_table(pa.table({"name": ["x"]}), tmp_path / "train.parquet")
    with pytest.raises(ValueError, match="has no column basecolor"):
        unpack(tmp_path, tmp_path / "out")
    with pytest.raises(ValueError, match="holds no parquet files"):
        unpack(tmp_path / "out", tmp_path / "none")
