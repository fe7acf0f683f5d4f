import threading

import pytest
import torch

from terrarium.worlds.world_model.side_by_side import SideBySide


@pytest.fixture(autouse=True)
def as_before():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("threads", "calls", "own", "shared"), [(1, 3, False, 1), (2, 1, False, 2), (2, 5, True, 1), (4, 2, True, 2)]
)
def test_calls_share_the_threads(threads, calls, own, shared):
    """`own`: on other threads than this one; `shared`: torch's threads in each call."""
    torch.set_num_threads(threads)
    side_by_side, here = SideBySide(), threading.get_ident()

    def call(number):
        return number, threading.get_ident() != here, torch.get_num_threads()

    for _ in range(2):
        assert side_by_side(call, [(n,) for n in range(calls)]) == [(n, own, shared) for n in range(calls)]
    assert torch.get_num_threads() == threads


def test_calls_that_may_be_at_once_are():
    torch.set_num_threads(2)
    meet = threading.Barrier(2, timeout=30)
    SideBySide()(meet.wait, [(), ()])


def test_an_error_comes_out():
    torch.set_num_threads(2)
    with pytest.raises(ZeroDivisionError):
        SideBySide()(lambda x: 1 / x, [(1,), (0,)])
