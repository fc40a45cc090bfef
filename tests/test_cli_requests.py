"""The requests the official CLI and the Go SDK under it make, made by hand.

Their shapes differ from the other SDKs in small ways: bracketed tag filters, absent instead of
null fields, a shell given as program and arguments, project headers.
"""
from __future__ import annotations

import base64
from typing import Any, Iterator

import httpx
import pytest

from harness.server import Server


@pytest.fixture(scope="module")
def go(server: Server) -> Iterator[httpx.Client]:
    headers = {
        "Authorization": f"Bearer {server.key}",
        "User-Agent": "Kernel/Go 0.88.1",
        "Accept": "application/json",
        "X-Stainless-Lang": "go", "X-Stainless-Package-Version": "0.88.1", "X-Stainless-OS": "Linux",
        "X-Stainless-Arch": "x64", "X-Stainless-Runtime": "go", "X-Stainless-Runtime-Version": "go1.25.0",
        "X-Stainless-Retry-Count": "0", "X-Stainless-Timeout": "0",
        "X-Source": "cli", "X-Kernel-Cli-Version": "0.99.0",
    }
    with httpx.Client(base_url=server.base_url, headers=headers, timeout=60) as client:
        yield client


def test_status_without_a_key(server: Server) -> None:
    answer = httpx.get(f"{server.base_url}/status")
    assert answer.status_code == 200
    assert {"status", "groups"} <= answer.json().keys()


def test_bracketed_tag_filters(go: httpx.Client) -> None:
    made = go.post("/browsers", json={"headless": True, "tags": {"by": "go", "k": "a=b&c"}}).json()
    try:
        for query in ("tags[by]=go", "tags%5Bby%5D=go", "tags%5Bby%5D=go&tags%5Bk%5D=a%3Db%26c", "limit=20&offset=0&status=active&tags%5Bby%5D=go"):
            assert [b["session_id"] for b in go.get(f"/browsers?{query}").json()] == [made["session_id"]], query
        assert go.get("/browsers?tags%5Bby%5D=go&tags%5Bk%5D=other").json() == []
    finally:
        answer = go.delete(f"/browsers/{made['session_id']}", headers={"Accept": "*/*"})
        assert answer.status_code == 204 and answer.content == b""


def test_trailing_arguments_run_in_bash(go: httpx.Client, headless: Any) -> None:
    answer = go.post(f"/browsers/{headless.session_id}/process/exec", json={"command": "/bin/bash", "args": ["-c", "echo out; exit 4"]})
    assert answer.status_code == 200
    assert base64.b64decode(answer.json()["stdout_b64"]) == b"out\n"
    assert answer.json()["exit_code"] == 4


def test_kill_and_status_paths(go: httpx.Client, headless: Any) -> None:
    base = f"/browsers/{headless.session_id}/process"
    spawned = go.post(f"{base}/spawn", json={"command": "/bin/bash", "args": ["-c", "sleep 600"], "as_root": False}).json()
    assert go.get(f"{base}/{spawned['process_id']}/status").json()["state"] == "running"
    assert go.post(f"{base}/{spawned['process_id']}/kill", json={"signal": "TERM"}).json() == {"ok": True}


def test_default_project_headers(go: httpx.Client) -> None:
    """Naming no project, or an empty one, is the default project."""
    assert go.get("/browsers").status_code == 200
    for header in ("X-Kernel-Project", "X-Kernel-Project-Id"):
        assert go.get("/browsers", headers={header: "default"}).status_code == 200
