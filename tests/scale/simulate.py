"""Players and jobs that come and go, simulated from measured unit costs: the tables of docs/scale.md.

    python tests/scale/simulate.py [--gpu-speed 20]

Play: people arrive at random (Poisson), stay for a time that varies (exponential), and find a slot or are turned away.
A player process steps all of its people in one batch; it has slots for as many as a batch can hold at the pace asked.
Jobs: they arrive at random, take a time that varies (log-normal), and wait in line for a worker.

STEP_MS is the table of the live step (docs/lab-notes.md: two cores, bf16, with the painter), ENCODE_MS and the rest are
what tests/scale/units.py printed. Nothing was measured on a GPU: `--gpu-speed` says how many times as fast as those two
cores one is supposed to be, and every line that depends on it says so.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
from collections import deque
from collections.abc import Iterator
from itertools import pairwise

STEP_MS = {1: 6.0, 2: 12.7, 4: 20.0, 8: 41.7, 16: 71.2}  # people in a batch -> the fastest form measured
MOST = 256  # people that one process takes (TERRARIUM_MAX_PLAYERS has a default of its own)


def step_ms(people: int) -> float:
    """On straight lines between what was measured, and along the last one beyond."""
    points = sorted(STEP_MS.items())
    lines = list(pairwise(points))
    (n0, t0), (n1, t1) = next((pair for pair in lines if people <= pair[1][0]), lines[-1])
    return t0 + (people - n0) * (t1 - t0) / (n1 - n0)


def slots(fps: float, speed: float, encode_ms: float) -> int:
    """People that one process can hold at `fps`: the batch's step and everybody's encoding within a frame's time. The
    encoding is a processor's, whatever the step runs on."""
    held = [n for n in range(1, MOST + 1) if step_ms(n) / speed + n * encode_ms <= 1e3 / fps]
    return max(held, default=0)


def erlang_b(load: float, servers: int) -> float:
    """Share that is turned away where `load` people would be there on average (Erlang 1917)."""
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked


def processes_for(load: float, slots_each: int, turned_away: float) -> int:
    """The fewest processes of so many slots that turn away at most that share."""
    count = math.ceil(load / slots_each)
    while erlang_b(load, count * slots_each) > turned_away:
        count += 1
    return count


def play(load: float, stay_s: float, seats: int, seconds: float, rng: random.Random) -> tuple[float, float, int]:
    """-> share turned away, seats taken on average, at most; after a warm-up of five stays."""
    now, leaving, turned, came, area, most = 0.0, list[float](), 0, 0, 0.0, 0
    warm = 5 * stay_s
    while now < warm + seconds:
        following = now + rng.expovariate(load / stay_s)
        while leaving and leaving[0] <= following:
            left = heapq.heappop(leaving)
            area += (len(leaving) + 1) * max(0.0, left - max(now, warm))
            now = left
        area += len(leaving) * max(0.0, following - max(now, warm))
        now = following
        counted = now > warm
        came += counted
        if len(leaving) < seats:
            heapq.heappush(leaving, now + rng.expovariate(1 / stay_s))
        else:
            turned += counted
        most = max(most, len(leaving))
    return turned / max(1, came), area / (now - warm), most


def durations(mean_s: float, spread: float, rng: random.Random) -> Iterator[float]:
    """Log-normal with this mean; `spread` is the standard deviation of its logarithm."""
    while True:
        yield rng.lognormvariate(math.log(mean_s) - spread**2 / 2, spread)


def line(a_day: float, mean_s: float, workers: int, count: int, rng: random.Random) -> dict[str, float]:
    """`count` jobs, first come, first served -> minutes waited, median and 99th percentile, and utilisation."""
    free, now, waits, busy = [0.0] * workers, 0.0, deque[float](), 0.0
    takes = durations(mean_s, 1.0, rng)
    for _ in range(count):
        now += rng.expovariate(a_day / 86400)
        start, taken = max(now, heapq.heappop(free)), next(takes)
        heapq.heappush(free, start + taken)
        waits.append(start - now)
        busy += taken
    ordered = sorted(waits)
    return {
        "p50_min": ordered[len(ordered) // 2] / 60,
        "p99_min": ordered[int(0.99 * len(ordered))] / 60,
        "used": busy / (workers * max(free)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gpu-speed", type=float, default=20.0, help="supposed, against two cores; not measured")
    parser.add_argument("--encode-ms", type=float, default=ENCODE_MS)
    parser.add_argument("--relay-ms", type=float, default=RELAY_MS)
    parser.add_argument("--frame-bytes", type=float, default=FRAME_BYTES)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)

    print("| a player process on | fps | people in it | processes for 1,000 | seats | turned away | most at once |")
    print("|---|---|---|---|---|---|---|")
    for where, speed in (("two cores", 1.0), (f"a GPU, if {given.gpu_speed:g}x of that", given.gpu_speed)):
        for fps in (15, 30):
            each = slots(fps, speed, given.encode_ms)
            count = processes_for(1000, each, 0.01)
            turned, _, most = play(1000, 600, count * each, 12 * 3600, rng)
            print(f"| {where} | {fps} | {each} | {count} | {count * each} | {turned:.2%} | {most} |")

    print("\n| 1,000 people at | frames a second | relay, cores | gateways at 60 % of a core | to browsers, Mbit/s |")
    print("|---|---|---|---|---|")
    for fps in (15, 30):
        cores = 1000 * fps * given.relay_ms / 1e3
        print(f"| {fps} fps | {1000 * fps:,} | {cores:.1f} | {math.ceil(cores / 0.6)} | "
              f"{1000 * fps * given.frame_bytes * 8 / 1e6:,.0f} |")  # fmt: skip

    print("\n| jobs a day, ten minutes each | workers | used | wait p50, min | wait p99, min |\n|---|---|---|---|---|")
    for a_day in (100, 2_740, 33_333):  # 2,740: a million in a year; 33,333: in a month
        least = a_day * 600 / 86400
        for share in (0.95, 0.8, 0.5):
            workers = math.ceil(least / share)
            found = line(a_day, 600, workers, 50_000, rng)
            print(f"| {a_day:,} | {workers} | {found['used']:.0%} | {found['p50_min']:.1f} | {found['p99_min']:.1f} |")


# What units.py printed (docs/scale.md).
ENCODE_MS, RELAY_MS, FRAME_BYTES = 0.030, 0.533, 2431.0

if __name__ == "__main__":
    main()
