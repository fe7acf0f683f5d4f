"""/docs works without a network: the page and all that it loads come from the gateway."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from terrarium.api.app import app


@pytest.fixture(scope="module")
def http() -> TestClient:
    return TestClient(app, base_url="http://localhost")  # not entered: no database is needed


def test_the_page_names_no_other_host_and_its_files_are_served(http: TestClient) -> None:
    page = http.get("/docs")
    assert page.status_code == 200
    assert re.findall(r"(?:https?:)?//[\w.-]+\.\w+", page.text) == []
    paths = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text) + re.findall(r"url: '([^']+)'", page.text)
    assert len(paths) == 4, paths  # script, style, icon, description
    for path in paths:
        answer = http.get(path)
        assert answer.status_code == 200 and not answer.text.startswith("<!doctype html>"), path


def test_the_browser_refuses_other_hosts_to_it(http: TestClient) -> None:
    policy = http.get("/docs").headers["content-security-policy"]
    assert policy.startswith("default-src 'self';") and "http" not in policy


def test_the_licences_of_swagger_ui_come_with_it(http: TestClient) -> None:
    assert "swagger-ui-dist" in http.get("/THIRD-PARTY.txt").text
    for name, word in {
        "LICENSE": "Apache License",
        "NOTICE": "SmartBear",
        "swagger-ui-bundle.js.LICENSE.txt": "MIT",
    }.items():
        assert word in http.get(f"/swagger/{name}").text


def test_pages_of_a_cdn_are_gone(http: TestClient) -> None:
    assert "cdn" not in http.get("/redoc", headers={"accept": "text/html"}).text
