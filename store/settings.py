"""One Settings for every process, from the environment (`TERRARIUM_*`; DATABASE_URL and REDIS_URL as usual).

What DATABASE_URL leaves out comes from libpq's own variables: `postgresql://` with PGHOST, PGUSER, PGPASSWORD and
PGDATABASE needs no quoting of a password.

With neither URL set, `terrarium up` starts an embedded PostgreSQL and Redis under `data_dir` and sets both
for its children.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="TERRARIUM_", extra="ignore", populate_by_name=True)

    data_dir: Path = Path(".terrarium")
    database_url: str = Field(default="", validation_alias=AliasChoices("DATABASE_URL", "TERRARIUM_DATABASE_URL"))
    redis_url: str = Field(default="", validation_alias=AliasChoices("REDIS_URL", "TERRARIUM_REDIS_URL"))
    host: str = "127.0.0.1"
    port: int = 8420
    player_url: str = ""  # ws://host:port or unix:///path; empty: a socket under data_dir
    artifacts_url: str = ""  # s3://bucket/prefix, where machines share artifacts and files of assets (store/shared.py)
    max_copies_gb: float = 100.0  # of shared assets on this machine; the longest unused go first
    allowed_origins: list[str] = []  # besides the gateway's own origin
    require_keys: bool = False  # on loopback too; on any other address a key is always needed
    key_requests_per_minute: int = 3000  # of an API key, on each gateway
    key_sessions: int = 4  # live sessions of an API key at a time, on each gateway
    torch_threads: int = 0  # of a runner; 0: torch's default
    lease_s: float = 60.0
    heartbeat_s: float = 10.0
    database_timeout_s: float = 5.0  # for a connection, a statement, or a place in the pool; then 503
    runner_memory_gb: float = 0.0  # of a job with its processes; 0: nine tenths of the machine's or the container's
    workers: int = Field(default=1, ge=1, le=64)  # of `terrarium up`; each runs one job at a time
    processes: int = Field(default=1, ge=1, le=64)  # of a job of a worker: one for each of its GPUs
    hung_after_s: float = 60.0  # a service of `terrarium up` that answers no probe for this long is started again
    silence_s: float = 900.0  # a runner that reports nothing for this long is hung: killed, and its job tried again
    reserve_mb: int = 512  # kept free on the disk of data_dir, for Postgres and logs; what would eat into it is refused
    max_players: int = 16
    compile_play: bool = True  # the live step of each model in play, in the background: minutes of a core (freezer.py)
    session_minutes: float = 0.0  # the longest live session; 0: as long as somebody plays
    max_upload_gb: float = 20.0  # of an upload, and of what it unpacks to
    max_plays_gb: float = 5.0  # of recorded play; what comes after is not kept
    allowed_environments: list[str] = ["crafter:Env"]  # besides gymnasium's ids: what a client may have imported
    allowed_rewards: list[str] = []  # module:Class of the operator's own, which a client may have imported
    allowed_losses: list[str] = []  # module:function of the operator's own, likewise
    keep_failed_days: float = 7.0  # the training states of a failed or cancelled job: its retry goes on
    keep_events_days: float = 90.0  # of an ended job: its progress, metrics and log lines as events
    keep_previews_days: float = 30.0  # of an ended job: previews that a later one of the same name has replaced
    keep_plays_days: float = 0.0  # recorded play; 0: until somebody deletes it
    keep_sessions_days: float = 7.0  # records of live sessions
    keep_idempotency_days: float = 7.0  # Idempotency-Keys
    webhook_private: bool = False  # webhooks may call private addresses, and by http
    webhook_days: float = 5.0  # a webhook to which nothing was delivered for so long is disabled
    log: Literal["text", "json"] = "text"  # lines of every service (store/logs.py)
    heartbeat_file: Path | None = None  # touched by the dispatcher as its loop goes round, for health checks

    @property
    def broker_url(self) -> str:
        """redis_url as Celery spells it: unix:///path becomes redis+socket:///path."""
        return re.sub("^unix://", "redis+socket://", self.redis_url)

    @property
    def needs_key(self) -> bool:
        """Whether requests must carry an API key. On loopback the machine's own users are alone, and pages of other
        sites are kept out by Host and Origin (api/guard.py)."""
        return self.require_keys or not _is_loopback(self.host)

    @property
    def reserve_bytes(self) -> int:
        return self.reserve_mb * 10**6

    @property
    def max_upload_bytes(self) -> int:
        return int(self.max_upload_gb * 1e9)

    @property
    def plays_dir(self) -> Path:
        """Recorded play, a folder a part (workers/play_log.py)."""
        return self.data_dir / "plays"

    @property
    def runs_dir(self) -> Path:
        """Scratch of jobs that have not ended, a folder each (workers/run_folder.py)."""
        return self.data_dir / "runs"

    @property
    def incoming_dir(self) -> Path:
        """What is being uploaded, a folder each (worlds/intake.py)."""
        return self.data_dir / "incoming"

    @property
    def artifacts_dir(self) -> Path:
        return self.data_dir / "artifacts"


@lru_cache
def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache
def settings() -> Settings:
    return Settings()
