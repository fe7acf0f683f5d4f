"""Where a job's inputs lie, and what its end makes of its `output/`: an asset, or the evaluation of one."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from terrarium.store import assets, jobs, line, shared
from terrarium.store.db import session_scope
from terrarium.store.disk import size_of
from terrarium.store.jsonb import clean
from terrarium.store.places import SHIPPED, place
from terrarium.store.settings import settings
from terrarium.store.shared import Staged
from terrarium.store.tables import Asset, Job, TrainingState
from terrarium.worlds.durable import sync, write_text
from terrarium.worlds.kinds import Slot, kinds


def input_folders(config: dict[str, Any]) -> dict[str, str | list[str]]:
    """{field: folder or folders} of the ids in a job's config. ValueError for one whose folder is gone, and for a kind
    that is not installed here."""
    if config["kind"] not in kinds():
        raise ValueError(
            f"kind {config['kind']!r} is not installed on this worker; it has {', '.join(sorted(kinds()))}"
        )
    inputs = kinds()[config["kind"]].inputs
    found: dict[str, str | list[str]] = {}
    for field, value in _given(config).items():
        folders = [_existing(field, inputs[field], id) for id in inputs[field].named(value)]
        if inputs[field].types == ("play",) and not folders:
            shared.mirror(settings().plays_dir)
            folders = [str(settings().plays_dir.resolve())]  # none named: all there are
        found[field] = folders if inputs[field].many else folders[0]
    return found


def _given(config: dict[str, Any]) -> dict[str, Any]:
    """The fields that name inputs, without those left out."""
    return {name: config[name] for name in kinds()[config["kind"]].inputs if config.get(name) is not None}


def _ids(config: dict[str, Any]) -> list[str]:
    """Of all its inputs that are assets: recorded play is none."""
    inputs = kinds()[config["kind"]].inputs
    given = [(inputs[field], value) for field, value in _given(config).items()]
    return [id for slot, value in given if slot.types != ("play",) for id in slot.named(value)]


def _existing(field: str, slot: Slot, id: str) -> str:
    folders = [place(type, id) for type in slot.types]
    for type, folder in zip(slot.types, folders, strict=True):
        if type == "play":  # in parts, each by itself
            shared.mirror(folder)
        if shared.fetch(folder):
            return str(folder)
    raise ValueError(f"{field}: the files of {' or '.join(slot.types)} {id} are gone ({folders[0]})")


def stage(job: Job, run_dir: Path) -> Staged | None:
    """Sends the output to where other machines find it, once it is committed. Takes as long as it is large."""
    kind = kinds()[job.kind]
    if kind.makes == "evaluation":
        return None
    folder, output = place(kind.makes, str(job.id)), run_dir / "output"
    return shared.stage(folder, output if output.is_dir() else folder)  # an earlier try has moved it


def commit(job: Job, result: dict[str, Any], run_dir: Path, staged: Staged | None = None) -> None:
    """Ends the job: one transaction for its state, its row and the move of its output. Raises LeaseLost.

    The move happens under the lock of the job's row, so a worker that lost the job cannot overwrite anything. May be
    repeated: what an earlier try has moved stays in its place.
    """
    kind, output = kinds()[job.kind], run_dir / "output"
    manifest: dict[str, Any] = {}
    with session_scope() as session:
        jobs.finish(session, job.id, job.fence, result)
        session.execute(delete(TrainingState).where(TrainingState.job_id == job.id))
        if kind.makes == "evaluation":
            _store_evaluation(session, job.config[next(iter(kind.inputs))], result)
        else:
            folder = _move(output, place(kind.makes, str(job.id)))
            if staged:
                staged.publish()
            manifest = _manifest(folder, job)
            assets.add(session, job, kind.makes, manifest, _ids(job.config), size_of(folder), _given_name(session, job))
        following = kind.then(str(job.id), manifest) if kind.then else None
        if following is not None:
            after = kinds()[following.kind]
            name = after.job_name(following, assets.names(session, _ids(asdict(following))))
            # What a person asks for goes before it: an evaluation may take half an hour of the only worker.
            low = line.OF_THE_SYSTEM
            jobs.submit(session, asdict(following), after.queue, parent_id=job.id, name=name, priority=low)


def _given_name(session: Session, job: Job) -> str:
    """The job's name if a person chose it, so that what it makes is found by it; else none."""
    kind = kinds()[job.kind]
    made_up = kind.job_name(kind.read(job.config), assets.names(session, _ids(job.config)))
    return "" if job.name in (job.kind, made_up) else job.name


def _store_evaluation(session: Session, checkpoint: str, result: dict[str, Any]) -> None:
    """On the checkpoint's row, and beside its weights (the shipped one's folder belongs to the package)."""
    session.execute(update(Asset).where(Asset.id == checkpoint).values(evaluation=result))
    folder = place("world-model", checkpoint)
    if checkpoint != SHIPPED and folder.is_dir():
        write_text(folder / "evaluation.json", json.dumps(result, indent=1))


def _manifest(output: Path, job: Job) -> dict[str, Any]:
    """The output's own manifest, and the ids that it was made from."""
    manifest = clean(json.loads((output / "manifest.json").read_text()))
    return manifest | {"inputs": _given(job.config)}


def _move(output: Path, target: Path) -> Path:
    """A rename within the data directory -> `target`. One that is there has no row: its end was never committed."""
    if output.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        output.rename(target)
        sync(target.parent)
    return target
