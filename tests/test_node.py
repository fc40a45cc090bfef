"""Runs the Node suites (official SDK, Playwright, Puppeteer, BiDi) and shows their report when one fails."""
from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

from harness.server import Server
from harness.site import Site

SUITES = sorted((pathlib.Path(__file__).parent / "node").glob("*.test.mjs"))


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.name)
def test_node_suite(server: Server, site: Site, suite: pathlib.Path) -> None:
    environment = {
        **os.environ,
        "KERNEL_BASE_URL": server.base_url,
        "KERNEL_API_KEY": server.key,
        "TEST_SITE": site.url(""),
    }
    ran = subprocess.run(
        ["node", "--test", "--test-reporter=spec", str(suite)],
        env=environment, cwd=suite.parent, capture_output=True, text=True, timeout=150,
    )
    assert ran.returncode == 0, f"{ran.stdout[-6000:]}\n{ran.stderr[-2000:]}"
    assert "pass 0" not in ran.stdout
