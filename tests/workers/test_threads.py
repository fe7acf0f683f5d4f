from __future__ import annotations

from terrarium.workers.threads import FIRST_REST_S, SAMPLE, Threads

PERIOD_S = 0.033


class Run:
    """A ticker whose step takes `one_s` with one thread and `many_s` with four."""

    def __init__(self, one_s: float, many_s: float) -> None:
        self.seen: list[int] = []
        self.threads = Threads(4, self.seen.append)
        self.one_s, self.many_s, self.time_s = one_s, many_s, 0.0

    def steps(self, count: int, batch: int = 8) -> Run:
        for _ in range(count):
            step_s = self.one_s if self.threads.now == 1 else self.many_s
            self.time_s += PERIOD_S
            self.threads.after(step_s, batch, PERIOD_S, self.time_s)
        return self


def test_quick_step_keeps_one_thread() -> None:
    run = Run(one_s=0.014, many_s=0.005).steps(100)
    assert run.threads.now == 1 and run.seen == []


def test_late_step_gets_more_threads_where_they_help() -> None:
    run = Run(one_s=0.06, many_s=0.04).steps(SAMPLE + 1)
    assert run.threads.now == 4
    assert run.steps(200).threads.now == 4 and run.seen == [4]


def test_threads_that_wait_for_each_other_are_given_up_at_once() -> None:
    run = Run(one_s=0.06, many_s=0.2).steps(SAMPLE + 1)
    assert run.threads.now == 4
    assert run.steps(3).threads.now == 1  # the first step started them, two were slow


def test_no_gain_is_given_up_too_and_tried_again_ever_more_rarely() -> None:
    run = Run(one_s=0.06, many_s=0.058).steps(2 * SAMPLE + 1)
    assert run.seen == [4, 1]
    rest = int(FIRST_REST_S / PERIOD_S) - SAMPLE
    assert run.steps(rest - 1).seen == [4, 1]
    assert run.steps(3 * SAMPLE).seen == [4, 1, 4, 1]
    assert run.steps(rest + 2 * SAMPLE).seen == [4, 1, 4, 1]  # rests twice as long
    assert run.steps(rest + SAMPLE).seen == [4, 1, 4, 1, 4, 1]


def test_machine_that_gets_busy_costs_the_threads() -> None:
    run = Run(one_s=0.06, many_s=0.04).steps(100)
    run.many_s = 0.3
    assert run.steps(3).threads.now == 1


def test_another_batch_starts_from_one() -> None:
    run = Run(one_s=0.06, many_s=0.04).steps(20)
    assert run.steps(1, batch=9).threads.now == 1
    run = Run(one_s=0.06, many_s=0.04).steps(20)
    run.steps(5, batch=3)  # a tick of the faster sessions alone
    assert run.threads.now == 4
    run.one_s = 0.01
    assert run.steps(100, batch=3).threads.now == 1


def test_one_core_or_a_fixed_count_changes_nothing() -> None:
    seen: list[int] = []
    threads = Threads(1, seen.append)
    for i in range(50):
        threads.after(1.0, 8, PERIOD_S, float(i))
    assert seen == []
