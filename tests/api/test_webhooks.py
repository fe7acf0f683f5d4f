"""Webhooks over HTTP, from the command line too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from processes import gateway_thread
from sqlalchemy.orm import Session
from typer.testing import CliRunner

import terrarium
from terrarium.cli.main import app as command_line
from terrarium.store import keys
from terrarium.store.errors import TerrariumError
from terrarium.store.settings import settings

HERE = "http://127.0.0.1:9/hook"


@pytest.fixture
def server(db: Session, redis_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[terrarium.Client]:
    monkeypatch.setattr(settings(), "webhook_private", True)
    with gateway_thread() as url:
        monkeypatch.setenv("TERRARIUM_URL", url)
        yield terrarium.Client(url)


def refused(code: str, call: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(TerrariumError) as e:
        call(*args, **options)
    assert e.value.code == code, e.value
    return e.value.message


def test_a_webhook_from_its_making_to_its_end(server: terrarium.Client) -> None:
    made = server.add_webhook(HERE, ["job.ended"], "ci")
    assert made["secret"].startswith("whsec_") and made["events"] == ["job.ended"]
    (listed,) = server.webhooks()
    assert "secret" not in listed and listed == {name: made[name] for name in listed}
    assert server.call("GET", f"/webhooks/{made['id']}") == listed
    rotated = server.rotate_webhook(made["id"])
    assert rotated["secret"].startswith("whsec_") and rotated["secret"] != made["secret"]
    assert server.change_webhook(made["id"], events=["plan.ended"], name="")["events"] == ["plan.ended"]
    ping = server.ping_webhook(made["id"])
    assert ping["event"] == "ping" and server.deliveries(made["id"]) == [ping]
    off = server.change_webhook(made["id"], enabled=False)
    assert off["disabled_at"] and server.deliveries(made["id"])[0]["due_at"] is None
    refused("webhook_disabled", server.ping_webhook, made["id"])
    assert server.change_webhook(made["id"], enabled=True)["disabled_at"] is None
    server.delete_webhook(made["id"])
    assert server.webhooks() == []
    refused("webhook_not_found", server.rotate_webhook, str(uuid4()))


def test_addresses_and_events_are_checked(server: terrarium.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    refused("invalid_input", server.add_webhook, HERE, ["job.began"])
    made = server.add_webhook(HERE)
    monkeypatch.setattr(settings(), "webhook_private", False)
    for url in (HERE, "https://127.0.0.1/", "https://169.254.169.254/latest/meta-data", "https://[::1]/"):
        refused("webhook_refused", server.add_webhook, url)
        refused("webhook_refused", server.change_webhook, made["id"], url=url)


def test_only_an_admin_sees_them(server: terrarium.Client, db: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = keys.make(db, "ada", keys.USUAL)[1]
    db.commit()
    monkeypatch.setattr(settings(), "require_keys", True)
    refused("scope_missing", terrarium.Client(server.url, ada).webhooks)


def test_the_command_line(server: terrarium.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    def run(*argv: str) -> str:
        done = CliRunner().invoke(command_line, ["webhooks", *argv])
        assert done.exit_code == 0, done.output
        return done.stdout

    id, secret = run("create", HERE, "--events", "plan.ended").split()
    assert secret.startswith("whsec_") and id in run("list") and json.loads(run("list", "--json"))[0]["id"] == id
    assert run("rotate", id).startswith("whsec_")
    run("ping", id)
    assert "not sent yet" in run("deliveries", id)
    run("disable", id)
    assert "disabled" in run("list") and "given up" in run("deliveries", id)
    run("enable", id)
    run("delete", id)
    assert "none" in run("list")
