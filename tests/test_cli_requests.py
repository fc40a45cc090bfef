"""The requests the official CLI and the Go SDK under it make, made by hand.

Their shapes differ from the other SDKs in small ways: bracketed tag filters, absent instead of
null fields, a shell given as program and arguments, project headers.
"""
from __future__ import annotations

import base64
from typing import Any, Iterator

import httpx
import pytest

from harness import output
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


def test_create_get_update_delete_by_name(go: httpx.Client) -> None:
    """`browsers create`, `get`, `update` and `delete`, the last of which asks before it ends anything."""
    made = go.post("/browsers", json={"headless": True, "timeout_seconds": 600, "name": "from-the-cli", "tags": {"by": "cli"}, "viewport": {"width": 1280, "height": 800, "refresh_rate": 60}})
    assert made.status_code == 200, made.text
    session_id = made.json()["session_id"]
    found = go.get("/browsers/from-the-cli")
    assert found.status_code == 200 and found.json()["session_id"] == session_id
    assert found.json()["viewport"] == {"width": 1280, "height": 800, "refresh_rate": 60}
    assert go.get(f"/browsers/{session_id}?include_deleted=true").json()["name"] == "from-the-cli"
    updated = go.patch("/browsers/from-the-cli", json={"name": "renamed", "tags": {"by": "cli", "more": "1"}})
    assert updated.status_code == 200, updated.text
    assert (updated.json()["name"], updated.json()["tags"]) == ("renamed", {"by": "cli", "more": "1"})
    assert go.get("/browsers/renamed").json()["session_id"] == session_id
    answer = go.delete("/browsers/renamed", headers={"Accept": "*/*"})
    assert answer.status_code == 204 and answer.content == b""
    # gone already, which the client takes for success when it is told so
    assert go.delete("/browsers/renamed", headers={"Accept": "*/*"}).status_code in (204, 404)
    assert go.get(f"/browsers/{session_id}?include_deleted=true").json()["deleted_at"]


@pytest.fixture
def process(go: httpx.Client, headless: Any) -> str:
    """Every process command looks the session up by what was typed, and goes on with its id."""
    found = go.get(f"/browsers/{headless.name}")
    assert found.status_code == 200 and found.json()["session_id"] == headless.session_id
    return f"/browsers/{found.json()['session_id']}/process"


def spawn(go: httpx.Client, process: str, script: str, **more: Any) -> str:
    answer = go.post(f"{process}/spawn", json={"command": "/bin/bash", "args": ["-c", script], **more})
    assert answer.status_code == 200, answer.text
    assert answer.json()["pid"] > 1 and answer.json()["started_at"]
    return f"{process}/{answer.json()['process_id']}"


def streamed(go: httpx.Client, spawned: str) -> tuple[bytes, int | None]:
    """What `stdout-stream` shows: its decoder knows `data:` lines and blank ones."""
    shown, code = b"", None
    with go.stream("GET", f"{spawned}/stdout/stream", headers={"Accept": "text/event-stream"}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].split(";")[0] == "text/event-stream"
        for event in output.events(response):
            if event.get("event") == "exit":
                code = event["exit_code"]
            else:
                shown += base64.b64decode(event["data_b64"], validate=True)
    return shown, code


def test_trailing_arguments_run_in_bash(go: httpx.Client, process: str) -> None:
    answer = go.post(f"{process}/exec", json={"command": "/bin/bash", "args": ["-c", "echo out; exit 4"]})
    assert answer.status_code == 200
    assert base64.b64decode(answer.json()["stdout_b64"]) == b"out\n"
    assert answer.json()["exit_code"] == 4


def test_exec_with_every_flag(go: httpx.Client, process: str) -> None:
    answer = go.post(f"{process}/exec", json={"command": "pwd", "args": ["-P"], "cwd": "/tmp", "timeout_sec": 30, "as_user": "kernel", "as_root": False})
    assert answer.status_code == 200, answer.text
    assert base64.b64decode(answer.json()["stdout_b64"]) == b"/tmp\n"


def test_status_and_kill(go: httpx.Client, process: str) -> None:
    spawned = spawn(go, process, "sleep 600", as_root=False)
    status = go.get(f"{spawned}/status").json()
    assert status["state"] == "running" and status["exit_code"] is None
    assert go.post(f"{spawned}/kill", json={"signal": "TERM"}).json() == {"ok": True}
    assert streamed(go, spawned) == (b"", 143)


def test_stdin_and_stdout_stream(go: httpx.Client, process: str) -> None:
    spawned = spawn(go, process, "echo started; read line; echo got $line; exit 3")
    answer = go.post(f"{spawned}/stdin", json={"data_b64": base64.b64encode(b"input\n").decode()})
    assert answer.status_code == 200 and answer.json() == {"written_bytes": 6}
    assert streamed(go, spawned) == (b"started\ngot input\n", 3)


def test_resize(go: httpx.Client, process: str) -> None:
    spawned = spawn(go, process, "read; stty size", allocate_tty=True)
    answer = go.post(f"{spawned}/resize", json={"cols": 132, "rows": 43})
    assert answer.status_code == 200 and answer.json() == {"ok": True}
    go.post(f"{spawned}/stdin", json={"data_b64": "Cg=="})
    shown, code = streamed(go, spawned)
    assert shown.endswith(b"43 132\r\n") and code == 0
    # spawned without a terminal, as the CLI itself does
    refused = go.post(f"{spawn(go, process, 'exit')}/resize", json={"cols": 1, "rows": 1})
    assert refused.status_code in (400, 409) and refused.json()["message"]


def test_default_project_headers(go: httpx.Client) -> None:
    """Naming no project, or an empty one, is the default project."""
    assert go.get("/browsers").status_code == 200
    for header in ("X-Kernel-Project", "X-Kernel-Project-Id"):
        assert go.get("/browsers", headers={header: "default"}).status_code == 200
