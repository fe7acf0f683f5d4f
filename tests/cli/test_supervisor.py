"""The supervisor alone, with shell one-liners as services."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrarium.cli.supervisor import MISSES, Service, Supervisor
from terrarium.store.embedded import Child
from terrarium.store.errors import Unavailable


def child(log_dir: Path, name: str, script: str) -> Child:
    return Child(name, ["sh", "-c", script], log_dir / f"{name}.log")


def test_services_start_after_what_they_need_and_stop_in_turns(tmp_path: Path) -> None:
    log = tmp_path / "order"

    def writes(name: str) -> Child:
        script = f"echo +{name} >> {log}; trap 'echo -{name} >> {log}; exit' TERM; while :; do sleep 0.05; done"
        return child(tmp_path, name, script)

    def has_begun(name: str) -> bool:
        return log.exists() and f"+{name}" in log.read_text()

    services = [
        Service(writes("late"), ["schema", "early"], probe=lambda: has_begun("late")),
        Service(writes("early"), probe=lambda: has_begun("early"), stop_turn=1),
    ]
    supervisor = Supervisor(services)
    supervisor.on_ready = supervisor.stop
    supervisor.run()
    lines = log.read_text().split()
    assert lines.index("+early") < lines.index("+late") < lines.index("-late") < lines.index("-early")
    assert not any(service.child.alive() for service in services)


def test_a_service_that_never_gets_ready_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    other = Service(child(tmp_path, "other", "sleep 60"))
    broken = Service(child(tmp_path, "broken", "echo no such model >&2; exit 3"))
    with pytest.raises(Unavailable, match=r"(?s)broken ended with code 3; .*no such model"):
        Supervisor([other, broken]).run()
    assert broken.ends == 3 and not other.child.alive()


def test_what_outlives_its_time_is_killed_and_a_second_stop_kills_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stubborn = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    for drain_s, stops in ((0.2, 1), (600.0, 2)):
        log = tmp_path / f"{stops}"
        service = Service(child(log, "stubborn", stubborn), drain_s=drain_s)
        service.probe = lambda log=log: "ready" in (log / "stubborn.log").read_text()
        supervisor = Supervisor([service])
        supervisor.on_ready = lambda s=supervisor, n=stops: [s.stop() for _ in range(n)] and None
        supervisor.run()
        assert service.child.poll() == -9
        assert "stubborn did not stop in 0 s: killed" in capsys.readouterr().out


def test_a_service_that_misses_fewer_probes_than_allowed_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [0]

    def lives() -> bool:
        """Every sixth time."""
        asked[0] += 1
        if asked[0] == 2 * MISSES:
            supervisor.stop()
        if asked[0] % MISSES == 1:
            raise OSError("a probe that fails is one that was missed")
        return asked[0] % MISSES == 0

    slow = Service(child(tmp_path, "slow", "sleep 60"), lives=lives)
    supervisor = Supervisor([slow], hung_after_s=3.0)
    supervisor.run()
    assert slow.child.poll() == -15 and "killed" not in capsys.readouterr().out


def test_a_service_that_never_gets_ready_is_killed_but_not_one_that_recovers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hung = Service(child(tmp_path, "hung", "sleep 60"), probe=lambda: False)
    recovering = Service(child(tmp_path, "recovering", "sleep 60"), probe=lambda: False, recovers=True)
    with pytest.raises(Unavailable, match="hung ended with code -9"):
        Supervisor([hung, recovering], hung_after_s=0.03).run()
    assert "hung did not get ready in 0.3 s: killed" in capsys.readouterr().out
    assert recovering.ends == 0
