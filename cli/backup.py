"""A data directory in one file, taken while everything runs, and a new data directory out of it.

    terrarium backup garden.tar
    terrarium restore garden.tar --data-dir /srv/garden

The file is a tar: database.dump (pg_dump), then files under their paths in the data directory, then manifest.json
with the size and SHA-256 of each. The database comes first, and its rows say which files are taken: assets, artifacts,
and the training states of jobs that have not ended; recorded play, which has no rows, as a whole. So each row has its
files. What was deleted between the two is in the manifest's `gone`, and a restore deletes its row. Where files are in
an object store (TERRARIUM_ARTIFACTS_URL) they stay there, and the backup holds the database and recorded play.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

import psycopg
import typer
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from terrarium.cli.adopt import database_url
from terrarium.store.data_dir import lock_data_dir, prepare_data_dir
from terrarium.store.db import connection_options, upgrade_database
from terrarium.store.disk import check_room, human
from terrarium.store.embedded import Postgres, make_socket_dir, postgres_tool, remove_socket_dir, socket_dir
from terrarium.store.errors import Conflict, InvalidInput, Unavailable
from terrarium.store.places import SHIPPED, place
from terrarium.store.settings import settings
from terrarium.worlds.durable import new_file

FORMAT = 1
DUMP, MANIFEST = "database.dump", "manifest.json"
STATES = """
SELECT s.job_id::text, s.path FROM training_states s JOIN jobs ON jobs.id = s.job_id WHERE jobs.finished_at IS NULL
"""


# ---- backup


def backup(file: Path, data_dir: Path) -> None:
    """Writes `file`, whose reader can do what the keys and webhooks in it can: only its owner may read it."""
    data_dir = prepare_data_dir(data_dir)
    url = database_url(data_dir)
    if not url:
        raise Unavailable(f"no server runs on {data_dir}: start `terrarium up` there, or set DATABASE_URL")
    settings().data_dir, settings().database_url = data_dir, url
    files: dict[str, dict[str, Any]] = {}
    with new_file(file) as stream, tarfile.open(fileobj=stream, mode="w") as tar, tempfile.TemporaryDirectory() as temp:
        os.chmod(stream.name, 0o600)
        dump = Path(temp) / DUMP
        rows = dump_database(dump)
        files[DUMP] = _put(tar, DUMP, dump)
        gone: dict[str, list[str]] = {"assets": [], "artifacts": []}
        for table, id, path in rows:
            found = sorted(p for p in (path.rglob("*") if path.is_dir() else [path]) if p.is_file())
            try:
                put = {str(p.relative_to(data_dir)): _put(tar, str(p.relative_to(data_dir)), p) for p in found}
            except FileNotFoundError:  # deleted while it was read
                put = {}
            files |= put
            if not put and table in gone:
                gone[table].append(id)
        about = {"format": FORMAT, "taken_at": datetime.now(UTC).isoformat(), "gone": gone, "files": files}
        _put_text(tar, MANIFEST, json.dumps(about, indent=1))
    typer.echo(f"{file}: {len(files)} files, {human(file.stat().st_size)}")


def dump_database(file: Path) -> list[tuple[str, str, Path]]:
    """Writes the dump, and returns (table, id, file or folder) of what the rows in it name: both of one snapshot."""
    with psycopg.connect(**connection_options()) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        (snapshot,) = connection.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        _run("pg_dump", "--format=custom", "--no-owner", "--no-acl", f"--snapshot={snapshot}", f"--file={file}")
        rows = [] if settings().artifacts_url else list(_named(connection))
    plays = sorted(settings().plays_dir.resolve().glob("[!.]*"))
    return [*rows, *(("plays", play.name, play) for play in plays)]


def _named(connection: psycopg.Connection) -> Iterator[tuple[str, str, Path]]:
    """The files that rows name, of whichever of its runs a job's training state is in."""
    assets = connection.execute("SELECT type, id FROM assets WHERE deleted_at IS NULL AND id <> %s", [SHIPPED])
    for type, id in assets.fetchall():
        yield "assets", id, place(type, id)
    for (id,) in connection.execute("SELECT id::text FROM artifacts").fetchall():
        yield "artifacts", id, settings().artifacts_dir.resolve() / id
    for id, path in connection.execute(STATES).fetchall():
        for state in (settings().runs_dir.resolve() / id).glob(f"*/{path}"):
            yield "training_states", id, state


def _put(tar: tarfile.TarFile, name: str, file: Path) -> dict[str, Any]:
    """FileNotFoundError before anything is written."""
    with file.open("rb") as stream:
        info = tar.gettarinfo(arcname=name, fileobj=stream)
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        hashing = _Hashing(stream)
        tar.addfile(info, hashing)
    return {"size": info.size, "sha256": hashing.digest.hexdigest()}


def _put_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(text.encode())
    tar.addfile(info, io.BytesIO(text.encode()))


class _Hashing(io.RawIOBase):
    """What is read through it is hashed."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.digest = stream, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size)
        self.digest.update(data)
        return data


# ---- restore


def restore(file: Path, data_dir: Path) -> None:
    """Fills an empty data directory, and its database, or that of DATABASE_URL if it is empty too. On an error, the
    directory is removed."""
    if data_dir.exists() and any(data_dir.iterdir()):
        raise Conflict(f"{data_dir} is not empty: expected a new data directory")
    data_dir = prepare_data_dir(data_dir)
    lock_data_dir(data_dir)
    try:
        with _opened(file) as tar:
            about = _manifest(tar, file)
            check_room(data_dir, sum(of["size"] for of in about["files"].values()), str(file))
            for name, of in about["files"].items():
                _take(tar, name, of, data_dir)
        _fill_database(data_dir, about["gone"])
    except BaseException:
        shutil.rmtree(data_dir)
        raise
    (data_dir / DUMP).unlink()
    typer.echo(f"{data_dir}: {len(about['files']) - 1} files; start it with: terrarium up --data-dir {data_dir}")


def _opened(file: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(file, "r:")
    except (OSError, tarfile.TarError) as e:
        raise InvalidInput(f"{file} is no backup: {e}") from None


def _manifest(tar: tarfile.TarFile, file: Path) -> dict[str, Any]:
    try:
        stream = tar.extractfile(MANIFEST)
        assert stream is not None
        about: dict[str, Any] = json.load(stream)
        version, files = about["format"], about["files"]
    except (KeyError, ValueError, AssertionError, tarfile.TarError):
        raise InvalidInput(f"{file} is no backup, or not a whole one: {MANIFEST} is missing at its end") from None
    if version != FORMAT:
        raise InvalidInput(f"{file} has format {version}, expected {FORMAT}: upgrade Terrarium")
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise InvalidInput(f"{file} names {name!r}, expected paths within the data directory")
    return about


def _take(tar: tarfile.TarFile, name: str, of: dict[str, Any], data_dir: Path) -> None:
    """Copies one file and checks its hash."""
    try:
        stream = tar.extractfile(name)
    except KeyError:
        stream = None
    if stream is None:
        raise InvalidInput(f"{name} is missing in the backup")
    target = data_dir / name
    target.parent.mkdir(parents=True, exist_ok=True)
    hashing = _Hashing(stream)
    with target.open("xb") as out:
        shutil.copyfileobj(hashing, out, 2**20)
    if hashing.digest.hexdigest() != of["sha256"]:
        raise InvalidInput(f"{name} is damaged: SHA-256 {hashing.digest.hexdigest()}, expected {of['sha256']}")


def _fill_database(data_dir: Path, gone: dict[str, list[str]]) -> None:
    if settings().database_url:
        return _load(data_dir / DUMP, gone)
    make_socket_dir(data_dir)
    server = Postgres(data_dir / "postgres", socket_dir(data_dir), data_dir / "logs" / "postgres.log")
    server.start()
    try:
        server.wait_ready()
        settings().database_url = server.url
        _load(data_dir / DUMP, gone)
    finally:
        settings().database_url = ""
        server.stop()
        remove_socket_dir(data_dir)


def _load(dump: Path, gone: dict[str, list[str]]) -> None:
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    with psycopg.connect(**connection_options(), autocommit=True) as connection:
        (count,) = connection.execute(tables).fetchone() or (0,)
        if count:
            raise Conflict(f"the database of DATABASE_URL has {count} tables, expected an empty one")
        _run("pg_restore", "--no-owner", "--no-acl", "--exit-on-error", "--single-transaction", str(dump))
        connection.execute("UPDATE assets SET deleted_at = now() WHERE id = ANY (%s)", [gone["assets"]])
        connection.execute("DELETE FROM artifacts WHERE id::text = ANY (%s)", [gone["artifacts"]])
    upgrade_database(settings().database_url)


def _run(tool: str, *options: str) -> None:
    """One of Postgres' programs on the database of the settings, whose password no list of processes shows."""
    parts = {name: str(value) for name, value in conninfo_to_dict(connection_options()["conninfo"]).items()}
    password = parts.pop("password", None)
    env = dict(os.environ) | ({"PGPASSWORD": password} if password else {})
    argv = [postgres_tool(tool), *options, f"--dbname={make_conninfo(**parts)}"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Unavailable(f"{tool} ended with code {done.returncode}: {done.stderr.strip()[-500:]}")
