"""Zips of people we do not know: each is refused with its reason, or holds plain files."""

from __future__ import annotations

import io
import random
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from terrarium.worlds import archive
from terrarium.worlds.archive import open_archive


def info(name: str, **fields: int) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def mode(kind: int) -> dict[str, int]:
    return {"external_attr": (kind | 0o644) << 16, "create_system": 3}


def holding(*entries: zipfile.ZipInfo | str, data: bytes = b"abc") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for entry in entries:
            made.writestr(entry, data)
    return buffer.getvalue()


def encrypted() -> bytes:
    data = bytearray(holding("a"))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    return bytes(data)


def with_a_long_list() -> bytes:
    """Its end says that the list of files has 2 GB."""
    data = bytearray(holding("a") + bytes(2**25))
    end = bytes(data[data.index(b"PK\x05\x06") :][:22])
    del data[data.index(b"PK\x05\x06") :]
    data += bytes(2**25) + end[:12] + struct.pack("<I", 2**24 + 1) + end[16:]
    return bytes(data)


BAD = {
    "no zip": (b"\x89PNG\r\n" + bytes(100), "damaged, or no zip"),
    "nothing": (b"", "damaged, or no zip"),
    "cut short": (holding("a", "b")[:-30], "damaged, or no zip"),
    "a parent": (holding("../a"), r"'\.\./a': expected relative names"),
    "a parent within": (holding("a/../../b"), "expected relative names"),
    "absolute": (holding("/etc/passwd"), "'/etc/passwd': expected relative names"),
    "a drive": (holding("C:\\a"), "expected relative names"),
    "a control character": (holding("a\nb"), "expected relative names"),
    "a link": (holding(info("a", **mode(stat.S_IFLNK))), "'a', which is a link: expected regular files only"),
    "a device": (holding(info("a", **mode(stat.S_IFCHR))), "'a', which is a special file"),
    "bzip2": (holding(info("a", compress_type=zipfile.ZIP_BZIP2)), "by a method other than deflate"),
    "encrypted": (encrypted(), "'a' encrypted"),
    "a bomb": (holding("a", data=bytes(10**7)), "of 9.* bytes unpacks to 10000000, expected at most 200 times"),
    "a long list": (with_a_long_list(), "list of files has 16777217 bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_archive_is_refused_with_its_reason(tmp_path: Path, name: str) -> None:
    data, says = BAD[name]
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(ValueError, match=says), open_archive(tmp_path / "a.zip"):
        pass


def test_a_file_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        (tmp_path / "a.zip").write_bytes(holding("a", "b", "a"))
    with pytest.raises(ValueError, match="holds 'a' twice"), open_archive(tmp_path / "a.zip"):
        pass


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_FILES", 2)
    (tmp_path / "a.zip").write_bytes(holding("a", "b", "c"))
    with pytest.raises(ValueError, match="holds 3 files, expected at most 2"), open_archive(tmp_path / "a.zip"):
        pass


def test_a_flipped_byte_is_an_error_or_changes_nothing_that_is_read(tmp_path: Path) -> None:
    whole = holding("manifest.json", "a/b.npy", data=bytes(range(256)) * 4)
    draw = random.Random(0)

    def flip(data: bytearray) -> None:
        data[draw.randrange(len(data))] = draw.randrange(256)

    def cut(data: bytearray) -> None:
        del data[draw.randrange(len(data)) :]

    changes: list[Callable[[bytearray], None]] = [flip, flip, flip, cut]
    for i in range(500):
        data = bytearray(whole)
        changes[i % 4](data)
        (tmp_path / "a.zip").write_bytes(data)
        try:
            with open_archive(tmp_path / "a.zip") as found:
                for file in found.values():
                    with file.open() as stream:
                        assert stream.read() in (b"", bytes(range(256)) * 4)
        except ValueError:
            continue
