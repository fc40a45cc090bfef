"""`exec`: what is run, as whom, with which surroundings, how it ends, and what is refused."""
from __future__ import annotations

import base64
import json
import socket
from typing import Any

import httpx
import kernel as sdk
import pytest
from kernel import Kernel

from harness import sessions
from harness.deadline import eventually
from harness.server import Server
from harness.sessions import run, sh
from test_sessions import Counting


def refused(wire: httpx.Client, session_id: str, body: dict[str, Any], field: str | None, operation: str = "exec") -> httpx.Response:
    """The request is 400 and blames `field`."""
    answer = wire.post(f"/browsers/{session_id}/process/{operation}", json=body)
    assert answer.status_code == 400, answer.text
    if field is not None:
        assert field in {detail["code"] for detail in answer.json()["details"]}, answer.text
    return answer


# --- what is run


def test_result(kernel: Kernel, headless: Any) -> None:
    answer = kernel.browsers.process.exec(headless.session_id, command="sh", args=["-c", "printf out; printf err >&2; exit 3"])
    assert answer.exit_code == 3
    assert base64.b64decode(answer.stdout_b64 or "") == b"out"
    assert base64.b64decode(answer.stderr_b64 or "") == b"err"
    assert answer.duration_ms is not None and answer.duration_ms >= 0


def test_answer_has_the_contract_fields_only(wire: httpx.Client, headless: Any) -> None:
    answer = wire.post(f"/browsers/{headless.session_id}/process/exec", json={"command": "true"})
    assert set(answer.json()) == {"exit_code", "stdout_b64", "stderr_b64", "duration_ms"}


def test_arguments_reach_the_program_as_they_are(kernel: Kernel, headless: Any) -> None:
    args = ["$HOME", "a b", "", "'q'", '"d"', ";", "|", "&&", "*", "\\", "\n", "ü", "--x=1"]
    ran = run(kernel, headless.session_id, "printf", "%s\\0", *args)
    assert ran.out.split("\0")[:-1] == args


def test_a_bare_string_with_shell_syntax_is_run_by_a_shell(kernel: Kernel, headless: Any) -> None:
    for command, out in (
        ("echo one && echo two", "one\ntwo\n"), ("echo $((6 * 7))", "42\n"), ("printf 'a b' | wc -c", "3\n"),
        ("echo hello world", "hello world\n"), ("exit 7 || true", ""),
    ):
        ran = run(kernel, headless.session_id, command)
        assert ran.out == out, command


def test_binary_output_survives(kernel: Kernel, headless: Any) -> None:
    answer = kernel.browsers.process.exec(
        headless.session_id, command="python3",
        args=["-c", "import os, sys; sys.stdout.buffer.write(bytes(range(256)) * 4096); os.write(2, b'\\xff\\x00')"],
    )
    assert base64.b64decode(answer.stdout_b64 or "", validate=True) == bytes(range(256)) * 4096
    assert base64.b64decode(answer.stderr_b64 or "", validate=True) == b"\xff\x00"


def test_by_name(kernel: Kernel, headless: Any) -> None:
    assert run(kernel, "shared-headless", "true").code == 0


@pytest.mark.parametrize(("signal", "code"), [("KILL", 137), ("TERM", 143), ("SEGV", 139), ("INT", 130)])
def test_death_by_signal_is_128_plus_n(kernel: Kernel, headless: Any, signal: str, code: int) -> None:
    assert sh(kernel, headless.session_id, f"kill -{signal} $$").code == code


# --- surroundings


def environment(kernel: Kernel, session_id: str, **settings: Any) -> dict[str, str]:
    ran = run(kernel, session_id, "env", "-0", **settings)
    return dict(entry.split("=", 1) for entry in ran.out.split("\0") if entry)


def test_environment_is_clean(kernel: Kernel, headless: Any, headful: Any) -> None:
    found = environment(kernel, headless.session_id)
    assert found["HOME"] == "/home/kernel"
    assert found["USER"] == "kernel"
    assert "/usr/bin" in found["PATH"].split(":")
    assert "UTF-8" in found["LANG"]
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        assert found[name].startswith("http://127.0.0.1:"), found
    leaked = {name for name in found if name.startswith("BROWSERD") or "SECRET" in name or "API_KEY" in name}
    assert not leaked
    assert environment(kernel, headful.session_id)["DISPLAY"].startswith(":")


def test_env_is_laid_over_it(kernel: Kernel, headless: Any) -> None:
    found = environment(kernel, headless.session_id, env={"ADDED": "1 2\n3=ü", "LANG": "C", "EMPTY": ""})
    assert found["ADDED"] == "1 2\n3=ü"
    assert found["LANG"] == "C"
    assert found["EMPTY"] == ""
    assert found["HOME"] == "/home/kernel"
    assert "ADDED" not in environment(kernel, headless.session_id)


@pytest.mark.parametrize("name", ["", "A=B", "A\0B"])
def test_impossible_variables_are_refused(wire: httpx.Client, headless: Any, name: str) -> None:
    answer = refused(wire, headless.session_id, {"command": "true", "env": {name: "x"}}, None)
    assert any(detail["code"].startswith("env") for detail in answer.json()["details"])


def test_working_folder(kernel: Kernel, headless: Any) -> None:
    assert run(kernel, headless.session_id, "pwd").out.strip() == "/home/kernel"
    assert run(kernel, headless.session_id, "pwd", cwd="/tmp").out.strip() == "/tmp"


@pytest.mark.parametrize("cwd", ["tmp", "./tmp", "", "/no/such/folder", "/etc/passwd", "/tmp\0x"])
def test_impossible_working_folders_are_refused(wire: httpx.Client, headless: Any, cwd: str) -> None:
    refused(wire, headless.session_id, {"command": "true", "cwd": cwd}, "cwd")


def test_users(kernel: Kernel, headless: Any) -> None:
    def ids(**settings: Any) -> list[str]:
        return sh(kernel, headless.session_id, "id -u; id -g; id -un; echo $HOME; echo $USER", **settings).out.split()

    assert ids() == ["1000", "1000", "kernel", "/home/kernel", "kernel"]
    assert ids(as_user="kernel") == ids()
    assert ids(as_user="1000") == ids()
    assert ids(as_user="1000:1000") == ids()
    assert ids(as_root=True) == ["0", "0", "root", "/root", "root"]
    assert ids(as_user="root")[:2] == ["0", "0"]


@pytest.mark.parametrize("user", ["nobody-by-this-name", "999999", "-1", "1000:", "kernel:x:y", "root; id"])
def test_unknown_users_are_refused(wire: httpx.Client, headless: Any, user: str) -> None:
    refused(wire, headless.session_id, {"command": "true", "as_user": user}, "as_user")


def test_both_users_are_refused(wire: httpx.Client, headless: Any) -> None:
    answer = refused(wire, headless.session_id, {"command": "true", "as_user": "kernel", "as_root": True}, None)
    assert {detail["code"] for detail in answer.json()["details"]} & {"as_user", "as_root"}


def test_stdin_is_closed(kernel: Kernel, headless: Any) -> None:
    ran = run(kernel, headless.session_id, "cat")
    assert ran == (0, "", "")


def test_no_descriptor_leaks_in(kernel: Kernel, headless: Any) -> None:
    ran = run(kernel, headless.session_id, "python3", "-c", "import os; print([fd for fd in range(3, 256) if os.path.exists(f'/proc/self/fd/{fd}') and 'pipe:' not in os.readlink(f'/proc/self/fd/{fd}') and '/proc/' not in os.readlink(f'/proc/self/fd/{fd}')])")
    assert ran.out.strip() == "[]"


def test_signals_are_not_blocked_or_ignored(kernel: Kernel, headless: Any) -> None:
    ran = run(kernel, headless.session_id, "grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status")
    assert [line.split()[1] for line in ran.out.splitlines()] == ["0" * 16, "0" * 16]


# --- how it ends


def test_timeout_is_a_result_and_is_not_tried_again(server: Server, kernel: Kernel, headless: Any) -> None:
    transport = Counting()
    with sessions.client(server.base_url, server.key, http_client=httpx.Client(transport=transport)) as client:
        answer = client.browsers.process.exec(
            headless.session_id, command="sh",
            args=["-c", "echo before; echo warned >&2; sleep 7531 & echo $!; wait"], timeout_sec=1,
        )
    assert len(transport.requests) == 1
    assert answer.exit_code == 124
    assert answer.model_extra == {"timed_out": True}
    out = base64.b64decode(answer.stdout_b64 or "").decode().split()
    assert out[0] == "before"
    assert base64.b64decode(answer.stderr_b64 or "") == b"warned\n"
    # the whole group is gone
    eventually(lambda: sh(kernel, headless.session_id, "pgrep -fx 'sleep 7531'").code == 1, "the group is killed")


def test_a_timeout_cannot_be_blocked(kernel: Kernel, headless: Any) -> None:
    answer = kernel.browsers.process.exec(headless.session_id, command="sh", args=["-c", "trap '' TERM INT HUP; while :; do sleep 1; done"], timeout_sec=1)
    assert answer.exit_code == 124


def test_timeout_zero_is_none(kernel: Kernel, headless: Any) -> None:
    assert run(kernel, headless.session_id, "true", timeout_sec=0).code == 0


def test_a_background_child_with_our_stdout_does_not_hold_the_call(kernel: Kernel, headless: Any) -> None:
    ran = sh(kernel, headless.session_id, "sleep 8642 & echo done", timeout_sec=40)
    assert ran.code == 0 and ran.out == "done\n"
    # the shell may be gone before its child has become `sleep`
    eventually(lambda: sh(kernel, headless.session_id, "pkill -fx 'sleep 8642'").code == 0, "the child lives on")


def test_output_over_the_limit_is_cut_and_said(wire: httpx.Client, headless: Any) -> None:
    size = 192 << 20
    answer = wire.post(
        f"/browsers/{headless.session_id}/process/exec",
        json={"command": "head", "args": ["-c", str(size), "/dev/zero"], "timeout_sec": 60}, timeout=90,
    ).json()
    assert answer["exit_code"] == 0
    kept = len(base64.b64decode(answer["stdout_b64"]))
    assert 0 < kept < size
    assert kept + answer["stdout_truncated_bytes"] == size
    assert "stderr_truncated_bytes" not in answer


def test_client_going_away_ends_it(kernel: Kernel, headless: Any, server: Server) -> None:
    body = json.dumps({"command": "sh", "args": ["-c", "sleep 9753 & wait"]})
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall((
            f"POST /browsers/{headless.session_id}/process/exec HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {server.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode())
        eventually(lambda: sh(kernel, headless.session_id, "pgrep -fx 'sleep 9753'").code == 0, "the process has started")
    eventually(lambda: sh(kernel, headless.session_id, "pgrep -fx 'sleep 9753'").code == 1, "the process has ended")


def test_many_at_once(kernel: Kernel, headless: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(16) as pool:
        ran = list(pool.map(lambda n: run(kernel, headless.session_id, "echo", str(n)), range(64)))
    assert [r.out.strip() for r in ran] == [str(n) for n in range(64)]


# --- refusals


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "command"),
        ({"command": ""}, "command"),
        ({"command": "   "}, "command"),
        ({"command": None}, "command"),
        ({"command": ["true"]}, "command"),
        ({"command": "a\0b"}, "command"),
        ({"command": "no-such-program", "args": []}, "command"),
        ({"command": "/no/such/program"}, "command"),
        ({"command": "/etc/passwd"}, "command"),
        ({"command": "/tmp"}, "command"),
        ({"command": "true", "args": "x"}, "args"),
        ({"command": "true", "args": ["a\0b"]}, "args[0]"),
        ({"command": "true", "args": [1]}, "args[0]"),
        ({"command": "true", "timeout_sec": -1}, "timeout_sec"),
        ({"command": "true", "timeout_sec": "1"}, "timeout_sec"),
        ({"command": "true", "timeout_sec": 10**9}, "timeout_sec"),
        ({"command": "true", "env": []}, "env"),
        ({"command": "true", "as_root": "yes"}, "as_root"),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_bad_requests_name_the_field(wire: httpx.Client, headless: Any, body: dict[str, Any], field: str) -> None:
    for operation in ("exec", "spawn"):
        refused(wire, headless.session_id, body, field, operation)


def test_arguments_too_long_for_the_kernel_are_the_clients_fault(wire: httpx.Client, headless: Any) -> None:
    answer = wire.post(f"/browsers/{headless.session_id}/process/exec", json={"command": "true", "args": ["x" * 200_000]})
    assert answer.status_code == 400, answer.text


def test_a_client_hears_something_before_it_stops_waiting(kernel: Kernel, headless: Any) -> None:
    # as the SDK announces it, but for its waiting so long
    announced = {"x-stainless-read-timeout": "1.0"}
    with pytest.raises(sdk.APIStatusError) as late:
        kernel.browsers.process.exec(headless.session_id, command="sleep", args=["5"], extra_headers=announced)
    answer = late.value.response
    assert (answer.status_code, answer.json()["code"], answer.headers["x-should-retry"]) == (408, "timeout", "false")
    assert run(kernel, headless.session_id, "true").code == 0


def test_unknown_session(kernel: Kernel) -> None:
    with pytest.raises(sdk.NotFoundError) as error:
        kernel.browsers.process.exec("zz0000000000000000000000", command="true")
    assert error.value.response.json()["code"] == "browser_not_found"
