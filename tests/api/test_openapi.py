"""The gateway does what its OpenAPI document says, for requests that nobody thought of."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings
from processes import free_port
from schemathesis.checks import CHECKS
from sqlalchemy.orm import Session

from api.app import app

# Ids in the examples name nothing that exists, so a request that fits the schema may still be refused.
SKIPPED = ("positive_data_acceptance",)


@pytest.fixture(scope="module")
def url(database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERRARIUM_DATA_DIR", str(tmp_path_factory.mktemp("openapi")))
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join(10)


schema = schemathesis.openapi.from_dict(app.openapi()).exclude(path_regex="/events$|play")


@schema.parametrize()
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_endpoint_keeps_its_word(case: schemathesis.Case, url: str, db: Session) -> None:
    skipped = [CHECKS.get_one(name) for name in SKIPPED]
    case.call_and_validate(base_url=url, excluded_checks=skipped, timeout=10)
