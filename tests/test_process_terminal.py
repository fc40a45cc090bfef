"""Processes with a terminal, and attaching to one."""
from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from harness import output, sessions
from harness.processes import Processes
from harness.server import Server


def test_terminal_size_is_set_before_the_program_starts(processes: Processes) -> None:
    process_id = processes.sh("stty size; tty; echo $TERM; test -t 0 && test -t 1 && test -t 2 && echo yes", allocate_tty=True, rows=37, cols=113)
    read = processes.read(process_id)
    lines = read.stdout.decode().split()
    assert lines[:2] == ["37", "113"]
    assert lines[2].startswith("/dev/pts/")
    assert lines[3].startswith("xterm")
    assert lines[4] == "yes"
    assert read.exit_code == 0


def test_terminal_default_size(processes: Processes) -> None:
    assert processes.read(processes.spawn("stty", "size", allocate_tty=True)).stdout.split() == [b"24", b"80"]


def test_terminal_input_resize_and_interrupt(processes: Processes) -> None:
    process_id = processes.spawn("sh", allocate_tty=True, rows=10, cols=20)
    resized = processes.wire.post(f"{processes.base}/{process_id}/resize", json={"rows": 50, "cols": 160})
    assert resized.status_code == 200 and resized.json() == {"ok": True}
    processes.stdin(process_id, b"stty size; sleep 600\n")
    with processes.stream(process_id) as response:
        seen = b""
        for event in output.events(response):
            seen += base64.b64decode(event.get("data_b64", ""))
            if b"50 160\r\n" in seen:
                break
    processes.stdin(process_id, b"\x03")  # Ctrl-C ends sleep, not the shell
    processes.stdin(process_id, b"exit 12\n")
    assert processes.wait(process_id)["exit_code"] == 12


def test_terminal_eof(processes: Processes) -> None:
    process_id = processes.spawn("cat", allocate_tty=True)
    processes.stdin(process_id, b"line\n", eof=True)
    assert processes.wait(process_id)["exit_code"] == 0


def test_resize_refusals(processes: Processes) -> None:
    plain = processes.spawn("sleep", "600")
    answer = processes.wire.post(f"{processes.base}/{plain}/resize", json={"rows": 10, "cols": 10})
    assert answer.status_code == 400, answer.text
    assert answer.json()["message"]
    tty = processes.spawn("sleep", "600", allocate_tty=True)
    for body, field in (({"rows": 0, "cols": 1}, "rows"), ({"rows": 1, "cols": 65536}, "cols"), ({"rows": 1}, "cols"), ({"rows": "1", "cols": 1}, "rows"), ({"rows": -1, "cols": 1}, "rows")):
        answer = processes.wire.post(f"{processes.base}/{tty}/resize", json=body)
        assert answer.status_code == 400, answer.text
        assert field in {detail["code"] for detail in answer.json()["details"]}, answer.text
    for process_id in (plain, tty):
        processes.kill(process_id, "KILL")


def test_spawn_refuses_impossible_terminals(processes: Processes) -> None:
    for body, field in (
        ({"allocate_tty": True, "rows": 0, "cols": 80}, "rows"), ({"allocate_tty": True, "rows": 24, "cols": 70000}, "cols"),
        ({"allocate_tty": "yes"}, "allocate_tty"),
    ):
        answer = processes.wire.post(f"{processes.base}/spawn", json={"command": "true", **body})
        assert answer.status_code == 400, answer.text
        assert field in {detail["code"] for detail in answer.json()["details"]}


# --- attach


def attach_url(browser: Any, process_id: str) -> str:
    return f"{browser.base_url.rstrip('/')}/process/{process_id}/attach?jwt={sessions.jwt_of(browser.cdp_ws_url)}".replace("http", "ws", 1)


def until(socket: Any, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        message = socket.recv(30)
        assert isinstance(message, bytes), message
        seen += message
    return seen


def test_attach_is_interactive_and_shared(processes: Processes, headless: Any, server: Server) -> None:
    process_id = processes.spawn("sh", allocate_tty=True)
    by_key = f"{server.base_url}/browsers/{headless.session_id}/process/{process_id}/attach".replace("http", "ws", 1)
    with connect(attach_url(headless, process_id), proxy=None) as one, connect(by_key, additional_headers={"Authorization": f"Bearer {server.key}"}, proxy=None) as two:
        one.send(b"echo marker-$((40 + 2))\n")
        until(one, b"marker-42\r\n")
        until(two, b"marker-42\r\n")
        two.send(json.dumps({"type": "resize", "rows": 33, "cols": 99}))
        two.send(b"stty size\n")
        until(one, b"33 99\r\n")
        one.send(b"exit 21\n")
        for socket in (one, two):
            while isinstance(message := socket.recv(30), bytes):
                pass
            assert json.loads(message) == {"type": "exit", "exitCode": 21}
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(30)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1000
    assert processes.wait(process_id)["exit_code"] == 21


def test_attach_to_a_plain_process(processes: Processes, headless: Any) -> None:
    process_id = processes.sh("echo hello; cat; exit 2")
    with connect(attach_url(headless, process_id), proxy=None) as socket:
        until(socket, b"hello\n")
        socket.send(b"typed\n")
        until(socket, b"typed\n")
        socket.send(json.dumps({"type": "eof"}))
        assert json.loads(socket.recv(30)) == {"type": "exit", "exitCode": 2}


def test_attach_refusals(processes: Processes, headless: Any, wire: httpx.Client) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    with pytest.raises(InvalidStatus) as refused, connect(attach_url(headless, unknown), proxy=None):
        pass
    assert refused.value.response.status_code == 404
    process_id = processes.spawn("sleep", "600")
    plain = wire.get(f"{processes.base}/{process_id}/attach")
    assert plain.status_code == 426, plain.text
    assert plain.json()["code"] == "upgrade_required"
    with pytest.raises(InvalidStatus) as refused, connect(attach_url(headless, process_id)[:-3] + "xxx", proxy=None):
        pass
    assert refused.value.response.status_code == 401
    processes.kill(process_id, "KILL")
