"""A job's inputs: they exist, are of the right type and fit each other; and which others would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from terrarium.api.errors import FieldError, InvalidFields, echo
from terrarium.store import assets
from terrarium.store.plays import Play, find_play, list_plays
from terrarium.store.settings import settings
from terrarium.store.tables import Asset
from terrarium.worlds.episodes.kinds import ImportPlayConfig
from terrarium.worlds.kinds import JobKind, Slot, kinds

MOST = 200  # the newest of a type, which are offered
NAMED = 5  # in an error
LEAN = Asset.manifest.op("-")("episodes")  # which may be thousands, and say nothing of what fits


class Choice(BaseModel):
    """An asset or recorded play: what decides whether a job can take it."""

    id: str
    type: str
    name: str
    created_at: datetime
    manifest: dict[str, Any] = Field(exclude=True)


class Candidate(Choice):
    misfits: dict[str, str] = Field(description="{field: reason} of what does not fit with this one in its place")


def check_inputs(session: Session, config: Any, made: Mapping[str, Choice] = MappingProxyType({})) -> dict[str, Any]:
    """Raises a 422 that names each input which does not exist or is of another type; of those that are there, each
    which does not fit the others, and what would (code `input_misfit`). `made`: what is going to be there, by id.

    -> {field: manifest of the input, or a list of them where the field takes many}."""
    kind = kinds()[config.kind]
    found = {field: _given(session, slot, getattr(config, field), made) for field, slot in kind.inputs.items()}
    if isinstance(config, ImportPlayConfig) and not config.plays and not list_plays(settings().plays_dir):
        raise InvalidFields([FieldError(loc=["body", "plays"], msg="nothing was recorded here yet", value="[]")])
    if errors := [error for field, slot in kind.inputs.items() for error in _wrong(field, slot, found[field])]:
        raise InvalidFields(errors)
    manifests = _manifests(kind, found)
    if misfits := kind.misfits(config, manifests):
        offered = candidates(session, config)
        errors = [_misfit(config, field, reason, offered.get(field)) for field, reason in misfits.items()]
        raise InvalidFields(errors, code="input_misfit")
    return manifests


def default_name(session: Session, config: Any) -> str:
    """Of a job that was given none: by its kind, the names of its inputs, and the preset."""
    kind = kinds()[config.kind]
    ids = [id for field, slot in kind.inputs.items() for id in slot.named(getattr(config, field))]
    return kind.job_name(config, assets.names(session, ids))


def candidates(session: Session, config: Any) -> dict[str, list[Candidate]]:
    """For each field of a config that takes inputs, those of its types, newest first, each judged beside the others
    that the config names. A config may be a draft."""
    kind = kinds()[config.kind]
    given = {field: _given(session, slot, getattr(config, field)) for field, slot in kind.inputs.items()}
    manifests = _manifests(kind, given)
    offered: dict[str, list[Candidate]] = {}
    for field, slot in kind.inputs.items():
        chosen = [asset for asset in given[field].values() if asset is not None and asset.type in slot.types]
        known = {asset.id: asset for asset in [*_newest(session, slot.types), *chosen]}
        offered[field] = [
            Candidate(
                **dict(asset),
                misfits=kind.misfits(config, manifests | {field: [asset.manifest] if slot.many else asset.manifest}),
            )
            for asset in known.values()
        ]
    return offered


def uses(type: str, manifest: dict[str, Any]) -> dict[str, str]:
    """{kind: field} of the jobs that can take an asset, and where."""
    found: dict[str, str] = {}
    for name, kind in kinds().items():
        for field, slot in kind.inputs.items() if kind.http else ():
            alone = {field: [manifest] if slot.many else manifest}
            if type in slot.types and field not in kind.misfits(kind.draft({}), alone):
                found.setdefault(name, field)
    return found


def _given(
    session: Session, slot: Slot, value: Any, made: Mapping[str, Choice] = MappingProxyType({})
) -> dict[str, Choice | None]:
    """{id: asset} of a field's value; None where there is no such."""
    return {id: made.get(id) or _find(session, slot, id) for id in slot.named(value)}


def _manifests(kind: JobKind, found: dict[str, dict[str, Choice | None]]) -> dict[str, Any]:
    """Of the assets that are there and of a type that their field takes."""
    manifests: dict[str, Any] = {}
    for field, slot in kind.inputs.items():
        read = [asset.manifest for asset in found[field].values() if asset is not None and asset.type in slot.types]
        if read:
            manifests[field] = read if slot.many else read[0]
    return manifests


def _wrong(field: str, slot: Slot, found: dict[str, Choice | None]) -> Iterator[FieldError]:
    wanted = " or ".join(slot.types)
    for id, asset in found.items():
        if asset is None:
            yield FieldError(loc=["body", field], msg=f"no such {wanted}", value=echo(id))
        elif asset.type not in slot.types:
            msg = f"this is a {asset.type}, expected a {wanted}"
            yield FieldError(loc=["body", field], msg=msg, value=echo(id))


def _misfit(config: Any, field: str, reason: str, offered: list[Candidate] | None) -> FieldError:
    """`offered`: None where it is not an input that does not fit, but another field."""
    fitting = [f"{c.name} ({c.id})" for c in offered or () if field not in c.misfits]
    more = f" and {len(fitting) - NAMED} more" if len(fitting) > NAMED else ""
    advice = f"these fit: {', '.join(fitting[:NAMED])}{more}" if fitting else "none here fits"
    msg = reason if offered is None else f"{reason}; {advice}"
    return FieldError(loc=["body", field], msg=msg, value=echo(getattr(config, field)))


def _find(session: Session, slot: Slot, id: str) -> Choice | None:
    if slot.types == ("play",):
        play = find_play(settings().plays_dir, id)
        return _of_play(play) if play is not None else None
    if "\x00" in id:
        return None
    row = session.execute(_facts().where(Asset.id == id)).one_or_none()
    return _of_row(row) if row is not None else None


def _newest(session: Session, types: tuple[str, ...]) -> list[Choice]:
    if types == ("play",):
        return [_of_play(play) for play in list_plays(settings().plays_dir)[:MOST]]
    newest = _facts().where(Asset.type.in_(types)).order_by(Asset.created_at.desc()).limit(MOST)
    return [_of_row(row) for row in session.execute(newest)]


def _facts() -> Select[Any]:
    return select(Asset.id, Asset.type, Asset.name, Asset.created_at, LEAN).where(Asset.deleted_at.is_(None))


def _of_row(row: Any) -> Choice:
    id, type, name, created_at, manifest = row
    return Choice(id=id, type=type, name=name, created_at=created_at, manifest=manifest)


def _of_play(play: Play) -> Choice:
    name = f"{play.world or 'no simulator'}, seed {play.seed}, {play.seconds:.0f} s"
    return Choice(id=play.id, type="play", name=name, created_at=play.recorded_at, manifest=asdict(play))
