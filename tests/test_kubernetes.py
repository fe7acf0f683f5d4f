"""The manifests, as far as they can be checked without a cluster: by Kubernetes' own schema, and against compose."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from test_compose import command_of

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "deploy/kubernetes"
SERVICES = ("gateway", "dispatcher", "worker", "player", "redis")


def documents(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


@pytest.fixture(scope="module")
def kustomization() -> dict[str, Any]:
    return yaml.safe_load((HOME / "kustomization.yaml").read_text())


@pytest.fixture(scope="module")
def objects(kustomization: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    found = [object for file in kustomization["resources"] for object in documents((HOME / file).read_text())]
    return {(object["kind"], object["metadata"]["name"]): object for object in found}


@pytest.fixture(scope="module")
def common() -> dict[str, Any]:
    return yaml.safe_load((HOME / "common.yaml").read_text())["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_every_file_is_part_of_it(kustomization: dict[str, Any]) -> None:
    named = {*kustomization["resources"], *(patch["path"] for patch in kustomization["patches"]), "kustomization.yaml"}
    assert {path.name for path in HOME.iterdir()} == named


def test_each_object_is_what_kubernetes_expects(objects: dict[tuple[str, str], dict[str, Any]]) -> None:
    version = kubernetes_validate.latest_version()
    for object in objects.values():
        kubernetes_validate.validate(object, version, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        wrong = objects["Deployment", "worker"]
        kubernetes_validate.validate(wrong | {"spec": wrong["spec"] | {"replica": 2}}, version, strict=True)


def test_what_kustomize_makes_of_it_is_too() -> None:
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl here: its kustomize was not run, the parts were checked one by one")
    built = subprocess.run(["kubectl", "kustomize", str(HOME)], capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stderr
    for object in documents(built.stdout):
        kubernetes_validate.validate(object, kubernetes_validate.latest_version(), strict=True)
        if object["kind"] in ("Deployment", "StatefulSet"):
            pod = object["spec"]["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
            for container in pod["containers"] + pod.get("initContainers", []):
                locks = container["securityContext"]
                assert locks["readOnlyRootFilesystem"] and not locks["allowPrivilegeEscalation"]
                assert locks["capabilities"] == {"drop": ["ALL"]} and "memory" in container["resources"]["limits"]


def test_commands_are_those_of_compose(
    objects: dict[tuple[str, str], dict[str, Any]], common: dict[str, Any], compose: dict[str, Any]
) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    for name in SERVICES:
        (container,) = objects["Deployment", name]["spec"]["template"]["spec"]["containers"]
        wanted = command_of(compose[name], dockerfile)
        assert container.get("command", wanted) == wanted  # none: that of its image
        assert "command" in container or "command" not in compose[name]
        if name != "redis":
            assert container["image"] == compose[name]["image"]
    inits = [*common["initContainers"], *objects["Deployment", "gateway"]["spec"]["template"]["spec"]["initContainers"]]
    commands = {init["name"]: init["command"] for init in inits if "command" in init}
    assert commands == {name: compose[name]["command"] for name in ("migrate", "first-key")}


def test_the_environment_is_that_of_compose(
    objects: dict[tuple[str, str], dict[str, Any]], common: dict[str, Any], compose: dict[str, Any]
) -> None:
    settings = objects["ConfigMap", "settings"]["data"]
    secret = {entry["name"] for entry in common["containers"][0]["env"]}
    for name in ("gateway", "dispatcher", "worker", "player"):
        (container,) = objects["Deployment", name]["spec"]["template"]["spec"]["containers"]
        own = {entry["name"]: entry["value"] for entry in container.get("env", [])}
        wanted = compose[name]["environment"]
        assert set(wanted) <= {*settings, *own, *secret}, name
        same = {key for key in wanted if key not in secret and not str(wanted[key]).startswith("${")}
        assert {key: (settings | own)[key] for key in same} == {key: wanted[key] for key in same}, name


def test_only_gateways_are_reached_from_outside(objects: dict[tuple[str, str], dict[str, Any]]) -> None:
    policies = [object["spec"] for (kind, _), object in objects.items() if kind == "NetworkPolicy"]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in policies
    to_all = [p["podSelector"]["matchLabels"] for p in policies for rule in p.get("ingress", []) if "from" not in rule]
    assert to_all == [{"app": "gateway"}]
    services = [object["spec"] for (kind, _), object in objects.items() if kind == "Service"]
    assert all(service.get("type", "ClusterIP") == "ClusterIP" for service in services)
