"""`terrarium doctor`, with real servers."""

import json
import socket

import pytest
from typer.testing import CliRunner

from terrarium.cli import doctor
from terrarium.cli.main import app
from terrarium.store.settings import settings


@pytest.fixture(autouse=True)
def no_servers_named(monkeypatch):
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    settings.cache_clear()
    yield
    settings.cache_clear()


def findings(*options):
    done = CliRunner().invoke(app, ["doctor", "--json", *options])
    return done.exit_code, {found["what"]: found for found in json.loads(done.stdout)}


def test_everything_works_here(tmp_path):
    code, found = findings("--data-dir", str(tmp_path / "new"), "--port", "0")
    assert {what: each["state"] for what, each in found.items()} == dict.fromkeys(doctor.CHECKS, "ok")
    assert code == 0 and "embedded: started and stopped" in found["database"]["seen"]
    assert not (tmp_path / "new").exists(), "it leaves nothing behind"


def test_what_fails_is_named_with_a_remedy_and_the_rest_goes_on(tmp_path, monkeypatch):
    changed = tmp_path / "worlds/some/shipped"
    changed.mkdir(parents=True)
    (changed / "model.safetensors").write_bytes(b"cut short")
    (changed / "manifest.json").write_text('{"sha256": "0"}')
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    monkeypatch.setenv("DATABASE_URL", "mysql://somewhere")
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path}/no.sock")
    settings.cache_clear()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        code, found = findings("--data-dir", "/dev/null/x", "--port", str(other.getsockname()[1]))
    assert code == 1
    assert "DATABASE_URL starts with mysql://, expected postgresql://" in found["database"]["seen"]
    assert "no.sock" in found["broker"]["seen"]
    assert "Address already in use" in found["address"]["seen"]
    assert "is not the file that its manifest describes" in found["models"]["seen"]
    assert "cannot write to /dev/null" in found["data"]["seen"]
    failed = {what for what, each in found.items() if each["state"] == "failure"}
    assert failed == {"database", "broker", "address", "models", "data", "client"}
    assert all(found[what]["remedy"] for what in failed)
