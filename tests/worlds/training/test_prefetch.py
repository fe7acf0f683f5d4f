import threading
import time

import pytest

from terrarium.worlds.training.prefetch import prefetch


def test_items_come_in_order_and_the_thread_stays_near():
    made = []

    def make(key):
        made.append((key, threading.current_thread().name))
        return 10 * key

    with prefetch(make, range(20), ahead=3) as items:
        for i, item in enumerate(items):
            assert item == 10 * i
            assert len(made) <= i + 4
    assert [key for key, _ in made] == list(range(20))
    assert {name for _, name in made} == {"prefetch_0"}


def test_the_next_item_is_made_while_one_is_used():
    second = threading.Event()

    def make(key):
        if key == 1:
            second.set()
        return key

    with prefetch(make, range(3)) as items:
        next(items)
        assert second.wait(10), "nothing was made ahead"


def test_an_error_is_raised_where_its_item_is_asked_for():
    def make(key):
        if key == 2:
            raise ValueError(f"no item {key}")
        return key

    with prefetch(make, range(9)) as items:
        assert [next(items), next(items)] == [0, 1]
        with pytest.raises(ValueError, match="no item 2"):
            next(items)


def test_leaving_early_ends_the_thread():
    made = []

    def make(key):
        time.sleep(0.01)
        made.append(key)
        return key

    with pytest.raises(RuntimeError, match="enough"), prefetch(make, iter(range(1000))) as items:
        next(items)
        raise RuntimeError("enough")
    seen = len(made)
    assert seen <= 3 and not [t for t in threading.enumerate() if t.name.startswith("prefetch")]
    time.sleep(0.05)
    assert len(made) == seen
