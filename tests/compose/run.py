"""A real deployment, walked through, with a transcript: build, health, a debug pipeline and live play through the
published port, every container killed and crashed in turn, stop and start.

    make test-compose                         # with the docker and docker compose at hand (DOCKER_HOST)
    make test-compose ARGS="--profile gpu"    # or --no-build: with the images that are there

It needs some 5 GB of disk. Everything has a name, volumes and a port of its own, and is removed at the end.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from client import Gateway, Play
from deployment import Clock, Deployment, image_mb, say
from processes import until

MOST_MB = {"terrarium-gateway": 400, "terrarium-cpu": 2000}
# Struck in the middle: some 20 s on two cores.
TRAINING = {"channels": 32, "batch": 32, "steps": 300, "log_every": 5, "checkpoint_every_s": 2.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--profile", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--no-build", action="store_true", help="use the images that are there")
    parser.add_argument("--build-network", help="network of the build's containers, such as host")
    arguments = parser.parse_args()
    with Deployment(arguments.profile, arguments.build_network) as deployment:
        refuses_no_password(deployment)
        if not arguments.no_build:
            build(deployment)
        images(deployment)
        gateway = start(deployment)
        dataset, model = pipeline(gateway)
        recorded_play(deployment, gateway, model)
        compiled_step(deployment)
        for service in ("dispatcher", "gateway", deployment.player, deployment.worker, "redis", "postgres"):
            for strike in (deployment.kill, deployment.crash):
                outage(deployment, gateway, service, strike, dataset, model)
        stop_and_start(deployment, gateway, dataset, model)
    say("all of it held")


def refuses_no_password(deployment: Deployment) -> None:
    try:
        deployment.compose("config", "--quiet", POSTGRES_PASSWORD="")
    except RuntimeError as e:
        assert "set POSTGRES_PASSWORD" in str(e), e
        say("without a password: refused, and .env.example named")
    else:
        raise AssertionError("an empty password was taken")


def build(deployment: Deployment) -> None:
    with Clock() as clock:
        deployment.compose("build")
    say(f"built in {clock.s:.0f} s")


def images(deployment: Deployment) -> None:
    for image in deployment.images:
        size, most = image_mb(image), MOST_MB.get(image)
        say(f"{image}: {size:.0f} MB" + (f", at most {most}" if most else ""))
        assert most is None or size <= most


def start(deployment: Deployment) -> Gateway:
    with Clock() as clock:
        deployment.up()
    say(f"all healthy {clock.s:.0f} s after `up`, with a password of every kind of character")
    for service in deployment.services():
        if service["State"] == "running":
            user = deployment.inside(service["Service"], "id -u")
            say(f"  {service['Service']:<11}{service['Health']}, uid {user}, ports {service['Ports'] or 'none'}")
            assert service["Health"] == "healthy" and user != "0", service
    missing = deployment.inside(
        "gateway",
        "python -c 'from importlib.util import find_spec as f; "
        'print(*[m for m in ("torch", "triton", "numba", "numpy") if not f(m)])\'',
    )
    say(f"the gateway has no {missing}")
    assert missing == "torch triton numba numpy"
    return Gateway(deployment.url, deployment.first_key())


def pipeline(gateway: Gateway) -> tuple[str, str]:
    """The ids of a dataset and of a world model that was trained on it."""
    timed(gateway, "dataset.record-gym")
    dataset = timed(gateway, "dataset.record")
    tokenizer = timed(gateway, "tokenizer.train", data=dataset)
    model = timed(gateway, "world-model.train", data=dataset, tokenizer=tokenizer)
    with Clock() as clock:  # a world model submits it by itself
        jobs = gateway.get("/jobs?kind=world-model.evaluate")["items"]
        assert [job["config"]["checkpoint"] for job in jobs] == [model]
        result = gateway.wait(jobs[0]["id"])["result"]
    say(f"world-model.evaluate in {clock.s:.1f} s: {brief(result)}")
    return dataset, model


def timed(gateway: Gateway, kind: str, **inputs: str) -> str:
    """The id of a job that has succeeded."""
    with Clock() as clock:
        id = gateway.submit(kind, **inputs)
        result = gateway.wait(id)["result"]
    say(f"{kind} in {clock.s:.1f} s: {brief(result)}")
    return id


def brief(result: dict) -> str:
    """Its first numbers."""
    numbers = {k: v for k, v in result.items() if isinstance(v, int | float)}
    return ", ".join(f"{k} {v:.4g}" for k, v in list(numbers.items())[:4])


def recorded_play(deployment: Deployment, gateway: Gateway, model: str) -> None:
    for seed in (1, 2, 3):
        play = Play(gateway, model, seed)
        frames = play.wait_frames(60)
        play.stop()
        say(f"play {seed}: first frame after {play.first_frame_s:.1f} s, {frames} frames, recorded")
    until(lambda: plays(deployment) == 3)
    with Clock() as clock:
        result = gateway.wait(gateway.submit("dataset.import-play", pictures="model"))["result"]
    say(f"dataset.import-play of {plays(deployment)} recordings in {clock.s:.1f} s: {brief(result)}")
    assert result["episodes"] == 3, result


def plays(deployment: Deployment) -> int:
    """Recordings on the volume."""
    return len(deployment.inside(deployment.player, "ls /data/plays").split())


def compiled_step(deployment: Deployment) -> None:
    """The player has compiled the shipped model's step with the image's own compiler."""
    logs = until(
        lambda: [x for x in player_log(deployment) if "compiled step in use" in x or "uncompiled" in x], 900, 5
    )
    say(logs[0].partition("| ")[2])
    assert "compiled step in use" in logs[0]


def player_log(deployment: Deployment) -> list[str]:
    return deployment.compose("logs", "--no-color", deployment.player).splitlines()


def outage(
    deployment: Deployment, gateway: Gateway, service: str, strike: Callable[[str], None], dataset: str, model: str
) -> None:
    """A service goes down under a running job, a queued one and a player who records."""
    recordings = plays(deployment)
    play = Play(gateway, model, seed=4)
    play.wait_frames(60)
    running = training(gateway, dataset)
    queued = gateway.submit("dataset.record", seed=50)
    with Clock() as clock:
        strike(service)
        if strike == deployment.kill:
            say(f"  the gateway's readiness without it: {gateway.status()}")
            deployment.compose("start", service)
        until(lambda: deployment.healthy(service), 300, every_s=0.5)
        until(lambda: gateway.status() == "200", 120, every_s=0.5)
    say(f"{strike.__name__} {service}: healthy again after {clock.s:.1f} s")
    what_became_of(play, to_the_end=service in ("gateway", deployment.player))
    ended_well(gateway, running, queued)
    again = Play(gateway, model, seed=5)
    again.wait_frames(60)
    again.stop()
    # what was seen before a player dies is lost with it, at most the minute that a recording holds
    expected = recordings + (1 if service == deployment.player else 2)
    until(lambda: plays(deployment) >= expected)
    more = plays(deployment) - recordings
    say(f"  play again: first frame after {again.first_frame_s:.1f} s; recordings kept: {recordings} + {more}")


def training(gateway: Gateway, dataset: str) -> str:
    """The id of a training that has saved a state."""
    id = gateway.submit("tokenizer.train", data=dataset, **TRAINING)
    step = gateway.wait_saved(id)
    say(f"a training has saved step {step} of {TRAINING['steps']}, a job is queued, somebody plays")
    return id


def what_became_of(play: Play, to_the_end: bool) -> None:
    if to_the_end:
        say(f"  the session ended with {play.closed_with()}")
        return
    before = play.frames
    play.wait_frames(before + 30)
    play.stop()
    say(f"  the session played on: {play.frames} frames")


def ended_well(gateway: Gateway, running: str, queued: str) -> None:
    """Both have succeeded, once, and the training's curve has no hole."""
    gateway.wait(queued)
    gateway.wait(running)
    stories = [gateway.story(running), gateway.story(queued)]
    say(f"  the training: {stories[0]}; the queued job: {stories[1]}")
    assert [story.count("succeeded") for story in stories] == [1, 1]
    logged = gateway.logged_steps(running)
    every, steps = TRAINING["log_every"], TRAINING["steps"]
    assert logged == list(range(every, steps + 1, every)), f"these steps were logged: {logged}"


def stop_and_start(deployment: Deployment, gateway: Gateway, dataset: str, model: str) -> None:
    """A stop saves the training and what is being recorded; everything is there after the start."""
    recordings = plays(deployment)
    play = Play(gateway, model, seed=6)
    play.wait_frames(60)
    running = training(gateway, dataset)
    queued = gateway.submit("dataset.record", seed=51)
    counts = gateway.counts()
    with Clock() as clock:
        deployment.compose("stop")
    codes = {s["Service"]: s["ExitCode"] for s in deployment.services()}
    say(f"stopped in {clock.s:.1f} s; exit codes {codes}")
    assert 137 not in codes.values(), "something did not stop in its time"
    say(f"  the session ended with {play.closed_with()}")
    with Clock() as clock:
        deployment.up()
    more = plays(deployment) - recordings
    say(f"all healthy again after {clock.s:.1f} s: {gateway.counts()}, recordings {recordings} + {more}")
    assert more == 1 and all(gateway.counts()[what] >= count for what, count in counts.items())
    ended_well(gateway, running, queued)


if __name__ == "__main__":
    main()
