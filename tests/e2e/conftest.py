"""A server and a browser for each file of tests that open pages: while Playwright runs, no other test can run an event
loop. Without Chromium these are skipped, but fail where CI is set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    from browsing import running_terrarium

    with running_terrarium() as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from browsing import running_browser

    with running_browser() as running:
        yield running


@pytest.fixture
def new_page(browser: Any, url: str) -> Iterator[Any]:
    from browsing import pages

    with pages(browser, url) as open_page:
        yield open_page
