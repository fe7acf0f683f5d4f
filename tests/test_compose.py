"""The deployment, as far as it can be checked where no container engine runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
TORCH_FREE = ("gateway", "dispatcher", "migrate")


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


def command_of(service: dict, dockerfile: str) -> list[str]:
    """The service's command, or the CMD of its image's stage."""
    if "command" in service:
        return service["command"]
    target = service["build"]["target"]
    stage = dockerfile.split(f"AS {target}\n")[1].split("\nFROM")[0]
    return json.loads(re.search(r"^CMD (\[.*?\])", stage.replace("\\\n", ""), re.MULTILINE)[1])


def test_it_is_a_compose_file(compose: dict) -> None:
    schema = Path(find_spec("check_jsonschema").origin).parent / "builtin_schemas/vendor/compose-spec.json"
    jsonschema.validate(compose, json.loads(schema.read_text()))


def test_only_the_gateway_is_reachable_and_all_are_locked_down(compose: dict) -> None:
    for name, service in compose["services"].items():
        assert ("ports" in service) == (name == "gateway"), name
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["tmpfs"], name
        assert "user" in service or "build" in service, f"{name}: our images name their own user"
        assert "healthcheck" in service or name in ("migrate", "dispatcher"), name
    assert compose["networks"]["back"]["internal"]
    assert set(compose["volumes"]) == {"postgres", "redis", "data"}


def test_stores_keep_what_they_are_told(compose: dict) -> None:
    redis = " ".join(compose["services"]["redis"]["command"])
    assert "--appendonly yes --appendfsync everysec --maxmemory-policy noeviction" in redis
    assert compose["services"]["postgres"]["image"] == "postgres:18"


def test_profiles_give_a_worker_and_a_player_each(compose: dict) -> None:
    for profile in ("gpu", "cpu"):
        services = {n: s for n, s in compose["services"].items() if profile in s.get("profiles", [])}
        assert len(services) == 2 and all("deploy" in s for s in services.values()) == (profile == "gpu")
        assert any("player" in s["networks"]["back"]["aliases"] for s in services.values() if "command" in s)


def test_what_the_dockerfile_copies_exists_and_is_sent(dockerfile: str) -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists() and source in sent, source


def test_the_image_holds_every_package(dockerfile: str) -> None:
    find = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    for package in find["include"]:
        assert f"COPY {package.rstrip('*')} " in dockerfile


def test_torch_free_services_start_without_what_their_image_leaves_out(compose: dict, dockerfile: str) -> None:
    left_out = re.findall(r'"([\w-]+)"', re.search(r"left_out = \{(.*)\}", dockerfile)[1])
    modules = [m.replace("-", "_") for m in left_out]
    services = [compose["services"][name] for name in TORCH_FREE]
    assert {service["build"]["target"] for service in services} == {"gateway"}
    imports = ", ".join(module_of(command_of(service, dockerfile)) for service in services)
    code = f"import sys; sys.modules.update(dict.fromkeys({modules})); import {imports}"
    env = os.environ | {"DATABASE_URL": "postgresql://nowhere/none", "REDIS_URL": "redis://nowhere"}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, check=True)


def module_of(command: list[str]) -> str:
    """What a command imports: `python -m X`, `celery -A X worker`."""
    if command[:2] == ["python", "-m"]:
        return command[2]
    assert command[0] == "celery", command
    return command[2]


def test_every_command_names_a_module_of_ours(compose: dict, dockerfile: str) -> None:
    for name, service in compose["services"].items():
        if "build" in service:
            module = module_of(command_of(service, dockerfile))
            assert (ROOT / (module.replace(".", os.sep) + ".py")).exists(), f"{name}: {module}"
