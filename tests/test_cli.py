"""The official command line client, a Go program, unmodified. Skipped where it could not be installed."""
from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from typing import Any, Iterator

import pytest

from harness.server import Server

CLI = os.environ.get("KERNEL_CLI", "")
pytestmark = pytest.mark.skipif(not CLI, reason="the official CLI is not installed (its Go module could not be had); set KERNEL_CLI to its path")


class Cli:
    def __init__(self, server: Server) -> None:
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"),
            "KERNEL_BASE_URL": server.base_url, "KERNEL_API_KEY": server.key,
            "KERNEL_NO_UPDATE_CHECK": "1", "NO_COLOR": "1",
        }

    def __call__(self, *args: str, fails: bool = False) -> str:
        ran = subprocess.run([CLI, *args], env=self.environment, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        assert (ran.returncode != 0) is fails, f"{args}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout + (ran.stderr if fails else "")

    def json(self, *args: str) -> Any:
        return json.loads(self(*args, "-o", "json"))


@pytest.fixture(scope="module")
def cli(server: Server) -> Cli:
    return Cli(server)


@pytest.fixture(scope="module")
def browser(cli: Cli) -> Iterator[dict[str, Any]]:
    browser = cli.json("browsers", "create", "--headless", "--timeout", "600", "--name", "from-the-cli", "--tag", "by=cli")
    yield browser
    cli("browsers", "delete", browser["session_id"], "--yes")


def test_create_get_list_view(cli: Cli, browser: dict[str, Any]) -> None:
    assert browser["headless"] is True and browser["name"] == "from-the-cli"
    assert cli.json("browsers", "get", "from-the-cli")["session_id"] == browser["session_id"]
    assert browser["session_id"] in {row["session_id"] for row in cli.json("browsers", "list")}
    assert browser["session_id"] in {row["session_id"] for row in cli.json("browsers", "list", "--tag", "by=cli")}
    assert browser["session_id"] in cli("browsers", "list")


def test_update(cli: Cli, browser: dict[str, Any]) -> None:
    assert cli.json("browsers", "update", browser["session_id"], "--tag", "by=cli", "--tag", "more=1")["tags"] == {"by": "cli", "more": "1"}


def test_exec(cli: Cli, browser: dict[str, Any]) -> None:
    ran = cli.json("browsers", "process", "exec", browser["session_id"], "--", "echo", "out;", "exit", "4")
    assert base64.b64decode(ran["stdout_b64"]) == b"out\n" and ran["exit_code"] == 4
    ran = cli.json("browsers", "process", "exec", browser["session_id"], "--command", "id", "--args", "-u", "--as-root", "--cwd", "/tmp")
    assert base64.b64decode(ran["stdout_b64"]) == b"0\n"


def test_spawn_status_stream_kill(cli: Cli, browser: dict[str, Any]) -> None:
    session = browser["session_id"]
    process = cli.json("browsers", "process", "spawn", session, "--", "echo started; read line; echo got $line; sleep 600")["process_id"]
    assert "running" in cli("browsers", "process", "status", session, process)
    cli("browsers", "process", "stdin", session, process, "--data-b64", base64.b64encode(b"input\n").decode())
    cli("browsers", "process", "kill", session, process, "--signal", "TERM")
    streamed = cli("browsers", "process", "stdout-stream", session, process)
    assert "started" in streamed
    assert re.search(r"\b143\b", streamed)


def test_errors_show_code_and_message(cli: Cli, browser: dict[str, Any]) -> None:
    said = cli("browsers", "get", "no-such-browser", fails=True)
    assert "browser_not_found" in said or "no active browser" in said


def test_status_page(cli: Cli) -> None:
    assert "perational" in cli("status")
