"""Fifty sessions come and go, some of them headful; nothing of them stays."""
from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Iterator

import pytest
from kernel import Kernel

from harness import leaks, sessions
from harness.cdp import Cdp
from harness.deadline import eventually
from harness.server import Server, serving

ROUNDS = 50


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that starts nothing ahead: the kernel gives numbers of namespaces again, and one that waits may have one of a session that ended."""
    with serving(extra_env={"BROWSERD_POOL": "off"}) as server:
        yield server


@pytest.fixture(scope="module")
def kernel(server: Server) -> Iterator[Kernel]:
    with sessions.client(server.base_url, server.key) as client:
        yield client


@pytest.mark.timeout(300)
def test_fifty_rounds_leave_nothing(kernel: Kernel, server: Server) -> None:
    namespaces: set[str] = set()

    def a_round(number: int) -> str:
        browser = sessions.create(kernel, headless=number % 10 != 3)
        namespaces.update(sessions.namespaces(kernel, browser.session_id))
        if number % 5 == 0:
            # ended with a client attached and a process running
            kernel.browsers.process.spawn(browser.session_id, command="sh", args=["-c", "trap '' TERM; (setsid sleep 600 &); sleep 600"])
            with Cdp(browser.cdp_ws_url) as cdp:
                cdp.call("Browser.getVersion")
                kernel.browsers.delete_by_id(browser.session_id)
        else:
            kernel.browsers.delete_by_id(browser.session_id)
        return browser.session_id

    # connections and caches that stay for good are there after a few
    for number in range(3):
        first = a_round(number)
        eventually(lambda: not leaks.left_over([first], server.state_dir), "nothing of the session is left")
    files = leaks.open_files(server.pid)
    # sessions of other suites may live beside these
    ours: set[str] = set()
    for browser in kernel.browsers.list():
        ours |= sessions.namespaces(kernel, browser.session_id)
    with ThreadPoolExecutor(2) as pool:
        ids = list(pool.map(a_round, range(ROUNDS)))
    assert len(set(ids)) == ROUNDS

    left: dict[str, object] = {}

    def nothing_left() -> bool:
        left.clear()
        left.update(leaks.left_over(ids, server.state_dir))
        held = leaks.namespaces_held(server.pid, namespaces - ours)
        if held:
            left["namespaces"] = held
        zombies = [pid for pid, command in leaks.children(server.pid).items() if command.startswith("zombie")]
        if zombies:
            left["zombies"] = zombies
        return not left

    try:
        eventually(nothing_left, "nothing of the sessions is left", 60)
    except AssertionError as error:
        raise AssertionError(f"{error}: {left}") from None
    eventually(lambda: leaks.open_files(server.pid) <= files + 2, f"descriptors of serve are back at {files}")
