"""The dispatcher's heartbeat, by which a health check tells one that works from one that only runs."""

from __future__ import annotations

from pathlib import Path

from processes import services, until
from redis import Redis
from sqlalchemy.orm import Session


def test_it_beats_while_it_leads_and_while_it_waits_to_lead(db: Session, redis: Redis, tmp_path: Path) -> None:
    beats = [tmp_path / "leader", tmp_path / "second"]
    with services(tmp_path / "logs") as started:
        for file in beats:
            started.start(file.name, "terrarium.workers.dispatcher", TERRARIUM_HEARTBEAT_FILE=str(file))
            until(file.exists)
        for file in beats:
            file.unlink()
            until(file.exists)  # again and again
        assert "leading" in started.log("leader") and "leading" not in started.log("second")


def test_it_does_not_beat_where_it_starts_over_and_over(redis: Redis, tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    with services(
        tmp_path / "logs", DATABASE_URL=f"postgresql://terrarium:wrong@/terrarium?host={tmp_path}"
    ) as started:
        dispatcher = started.start("dispatcher", "terrarium.workers.dispatcher", TERRARIUM_HEARTBEAT_FILE=str(file))
        until(lambda: started.log("dispatcher").count("starting over") > 1)
        assert dispatcher.alive() and not file.exists()
