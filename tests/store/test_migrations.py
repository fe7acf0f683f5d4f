"""Data written by an older Terrarium opens: schema_0001.json holds the rows of a real data directory of schema 0001."""

from __future__ import annotations

import json
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session

from terrarium.store.db import MIGRATIONS, sqlalchemy_url, upgrade_database
from terrarium.store.tables import Artifact, Asset, Job, JobEvent, PlaySession

ROWS = Path(__file__).with_name("schema_0001.json")


def test_jobs_datasets_and_checkpoints_of_schema_0001_are_kept(empty_database: str) -> None:
    before = json.loads(ROWS.read_text())
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = sqlalchemy_url(empty_database)
    command.upgrade(config, "0001")
    engine = create_engine(sqlalchemy_url(empty_database))
    with engine.begin() as connection:
        for table in ("jobs", *(name for name in before if name != "jobs")):  # the others point to jobs
            rows = {"rows": json.dumps(before[table])}
            insert = f"INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, :rows)"
            connection.execute(text(insert), rows)
    upgrade_database(empty_database)
    with Session(engine) as session:
        assets = {asset.type: asset for asset in session.scalars(select(Asset)) if asset.id != "shipped"}
        assert set(assets) == {"dataset", "tokenizer", "world-model"} and session.get(Asset, "shipped") is not None
        data, eye, model = assets["dataset"], assets["tokenizer"], assets["world-model"]
        (row,) = before["datasets"]
        assert (data.id, data.name, data.manifest) == (row["id"], row["name"], row["manifest"])
        assert [str(asset.made_by) for asset in (data, eye, model)] == [data.id, eye.id, model.id]
        assert (data.made_from, eye.made_from, set(model.made_from)) == ([], [data.id], {data.id, eye.id})
        by_id = {row["id"]: row for row in before["checkpoints"]}
        assert all(asset.manifest == by_id[asset.id]["manifest"] for asset in (eye, model))
        assert all(asset.created_at.isoformat() == by_id[asset.id]["created_at"] for asset in (eye, model))
        assert {str(job.id): job.state for job in session.scalars(select(Job))} == {
            job["id"]: job["state"] for job in before["jobs"]
        }
        assert len(session.scalars(select(JobEvent)).all()) == len(before["job_events"])
        assert all(job.name == job.kind for job in session.scalars(select(Job)))
        assert {(a.name, a.role) for a in session.scalars(select(Artifact))} == {
            (
                row["name"],
                "preview"
                if row["media_type"].startswith("image/")
                else "log"
                if row["name"] == "runner.log"
                else "result",
            )
            for row in before["artifacts"]
        }
        events = session.scalars(select(JobEvent.type)).all()
        assert events.count("file") == sum(row["type"] == "preview" for row in before["job_events"]) > 0
        assert session.scalars(select(PlaySession.checkpoint)).all() == ["shipped"]
    engine.dispose()
