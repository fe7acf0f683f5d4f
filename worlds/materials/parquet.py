"""MatSynth as its hub publishes it, parquet files with a row for each material, laid out as folders of PNGs (extra
`parquet`):

    python -m terrarium.worlds.materials.parquet data/matsynth out/matsynth --most 200

Rows have `name`, perhaps `category`, and, for each map, a picture {bytes, path} in a column of its name (matsynth.py).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from terrarium.worlds.durable import new_folder
from terrarium.worlds.materials.matsynth import REQUIRED, read_maps, write_category

OTHERS = ("height", "displacement", "diffuse", "specular", "opacity", "blend_mask")


def unpack(source: Path, out: Path, most: int | None = None) -> list[str]:
    """Writes a folder for each material of the parquet files below `source` into `out`, which is replaced -> their
    names. Each is read back: ValueError names the first that is no material."""
    names: list[str] = []
    with new_folder(out) as draft:
        for row in _rows(source):
            if len(names) == most:
                break
            name = str(row["name"])
            if not name or "/" in name or "\\" in name or name in (".", "..") or name in names:
                raise ValueError(f"{source}: a material named {name!r}, expected names of folders, each once")
            folder = draft / name
            folder.mkdir()
            for column in (*REQUIRED, *OTHERS):
                picture = row.get(column)
                if picture is not None and picture["bytes"] is not None:
                    (folder / f"{column}.png").write_bytes(picture["bytes"])
            if row.get("category") is not None:
                write_category(folder, str(row["category"]))
            read_maps(folder)
            names.append(name)
    return names


def _rows(source: Path) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise ValueError("parquet files need pyarrow: pip install 'terrarium[parquet]'") from None
    files = [source] if source.is_file() else sorted(source.rglob("*.parquet"))
    if not files:
        raise ValueError(f"{source} holds no parquet files")
    for file in files:
        opened = pq.ParquetFile(file)
        if absent := [name for name in ("name", *REQUIRED) if name not in opened.schema_arrow.names]:
            raise ValueError(f"{file} has no column {absent[0]}: expected name, {', '.join(REQUIRED)}")
        columns = [name for name in ("name", "category", *REQUIRED, *OTHERS) if name in opened.schema_arrow.names]
        for batch in opened.iter_batches(batch_size=1, columns=columns):
            yield from batch.to_pylist()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a parquet file, or a folder of them")
    parser.add_argument("out", type=Path, help="folder for the materials; replaced")
    parser.add_argument("--most", type=int, help="materials to take; if omitted, all")
    args = parser.parse_args()
    print(len(unpack(args.source, args.out, args.most)), "materials")
