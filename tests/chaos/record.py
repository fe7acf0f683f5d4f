"""What a chaos run leaves to be judged: what clients were told, and what the database and the disk hold in the end."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

Curve = dict[str, dict[int, float]]  # {key: {step: value}}
Event = tuple[int, str, dict[str, Any]]  # seq, type, data


@dataclass
class Told:
    """What clients were told. Threads of the harness only add to it."""

    accepted: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # {Idempotency-Key: job ids}
    cancels: set[str] = field(default_factory=set)  # ids whose cancel was asked for
    watched: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))  # {id: seqs, as they came}
    refusals: list[str] = field(default_factory=list)  # answers that no client should get
    frames: int = 0  # of play


@dataclass
class Kept:
    """What is there when everything is over."""

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)  # {id: kind, config, state, error, fence, last_seq}
    keys: dict[str, str] = field(default_factory=dict)  # {Idempotency-Key: job id}
    runs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # {id: fence, state, began, ended}, by fence
    events: dict[str, list[Event]] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    assets: dict[str, int] = field(default_factory=dict)  # {id of a job: assets that it made}
    artifacts: dict[str, str] = field(default_factory=dict)  # {artifact: sha256 of its row}
    hashes: dict[str, str] = field(default_factory=dict)  # {artifact: sha256 of its bytes}
    open_sessions: list[str] = field(default_factory=list)  # of play, though nobody plays


@dataclass
class Record:
    told: Told
    kept: Kept
    references: dict[str, Curve]  # {config as JSON: curve of a job that nothing disturbed}
    orphans: list[str]  # processes and files that nobody owns
    disk_was_full: bool = False  # then jobs may fail for that
