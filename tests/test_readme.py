"""The quick start of the README, as it is printed there."""
from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from typing import Iterator

import httpx
import pytest

from harness.server import Server

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text()
QUICK_START = README.split("\n## Quick start\n")[1].split("\n## ")[0]
BLOCKS: list[str] = re.findall(r"^```sh\n(.*?)^```$", QUICK_START, re.MULTILINE | re.DOTALL)


@pytest.fixture
def environment(server: Server, wire: httpx.Client) -> Iterator[dict[str, str]]:
    """What the second terminal has, but for where the server is; its sessions end with the test."""

    def ids() -> set[str]:
        return {browser["session_id"] for browser in wire.get("/browsers", params={"limit": 100}).json()}

    before = ids()
    yield {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "KERNEL_BASE_URL": server.base_url, "KERNEL_API_KEY": server.key}
    for session_id in ids() - before:
        wire.delete(f"/browsers/{session_id}")


def block(mark: str) -> str:
    found = [text for text in BLOCKS if mark in text]
    assert len(found) == 1, BLOCKS
    return found[0]


def test_python(environment: dict[str, str]) -> None:
    pasted = block("<<'PY'")
    # the SDK comes from the environment of the suites, which is pinned; the address is the test's
    assert "python3 -m venv" in pasted and "export KERNEL_BASE_URL=" in pasted
    program = re.search(r"<<'PY'\n(.*)\nPY\n", pasted, re.DOTALL)
    assert program
    ran = subprocess.run([sys.executable, "-"], input=program[1], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran
    said = re.search(r"ProcessStatusResponse\(cpu_pct=([\d.]+), exit_code=None, mem_bytes=(\d+), state='running'\)", ran.stdout)
    assert said, ran.stdout
    assert float(said[1]) >= 0 and int(said[2]) > 100_000
    assert re.search(r"^ws://\S+jwt=\S+$", ran.stdout, re.MULTILINE)


def test_curl(environment: dict[str, str], wire: httpx.Client) -> None:
    ran = subprocess.run(["bash", "-euc", block("curl ")], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran
    assert '"state":"running"' in ran.stdout.replace(" ", ""), ran.stdout
    assert "mine" not in {browser.get("name") for browser in wire.get("/browsers", params={"limit": 100}).json()}
