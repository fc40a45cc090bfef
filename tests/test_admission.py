"""Who gets a session when this host has not enough for all."""
from __future__ import annotations

import os
import pathlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Iterator

import httpx
import kernel as sdk
import pytest

from harness import leaks, sessions
from harness.deadline import eventually
from harness.server import Server, serving

MEBIBYTE = 1 << 20
CGROUPS = pathlib.Path("/sys/fs/cgroup")


@pytest.fixture
def crowded() -> Iterator[Server]:
    """A server with two places, at which a create waits for up to 20 s."""
    with serving(extra_env={"BROWSERD_POOL": "off", "BROWSERD_MAX_SESSIONS": "2", "BROWSERD_CREATE_WAIT_SECONDS": "20"}) as server:
        yield server


def refused(server: Server) -> httpx.Response:
    """A create that does not fit, as it comes over the wire."""
    answer = httpx.post(f"{server.base_url}/browsers", json={"headless": True}, headers={"Authorization": f"Bearer {server.key}"}, timeout=60)
    assert answer.status_code == 529, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["x-should-retry"] == "true"
    assert answer.json()["code"] == "capacity_exhausted"
    return answer


def limit(answer: httpx.Response) -> str:
    return next(detail["message"] for detail in answer.json()["details"] if detail["code"] == "limit")


def test_a_full_server_refuses_with_the_limit_and_leaves_nothing() -> None:
    with serving(extra_env={"BROWSERD_POOL": "off", "BROWSERD_MAX_SESSIONS": "1", "BROWSERD_CREATE_WAIT_SECONDS": "0"}) as server:
        with sessions.client(server.base_url, server.key, max_retries=0) as client:
            browser = sessions.create(client)
            assert limit(refused(server)) == "max_sessions"
            with pytest.raises(sdk.InternalServerError) as caught:
                client.browsers.create(headless=True)
            assert caught.value.status_code == 529
            assert [one.session_id for one in client.browsers.list(status="all")] == [browser.session_id]
            metrics = httpx.get(f"{server.base_url}/metrics", headers={"Authorization": f"Bearer {server.key}"}, timeout=30).text
            assert 'browserd_session_refusals_total{limit="max_sessions"} 2' in metrics
            client.browsers.delete_by_id(browser.session_id)


def test_who_waits_gets_the_permit_that_is_freed(crowded: Server) -> None:
    with sessions.client(crowded.base_url, crowded.key, max_retries=0) as client:
        held = [sessions.create(client) for _ in range(2)]
        begun = threading.Event()

        def wait() -> Any:
            begun.set()
            return client.browsers.with_raw_response.create(headless=True, timeout_seconds=600)

        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(wait)
            begun.wait(10)
            client.browsers.delete_by_id(held[0].session_id)
            answer = waiting.result(60)
        made = answer.parse()
        assert answer.headers["server-timing"].startswith("admit;dur=")
        # the permit is free once nothing of the other session is left, and not before
        assert not leaks.left_over([held[0].session_id], crowded.state_dir)
        for one in (held[1], made):
            client.browsers.delete_by_id(one.session_id)
        eventually(lambda: not leaks.left_over([held[1].session_id, made.session_id], crowded.state_dir), "nothing is left")


def test_many_at_once_all_get_one_in_turn(crowded: Server) -> None:
    """Eight clients and two permits: each creates, uses and deletes, and none is refused."""
    def life(number: int) -> str:
        with sessions.client(crowded.base_url, crowded.key, max_retries=0) as client:
            browser = client.browsers.create(headless=True, timeout_seconds=600)
            assert sessions.sh(client, browser.session_id, f"echo {number}").out == f"{number}\n"
            client.browsers.delete_by_id(browser.session_id)
            return browser.session_id

    with ThreadPoolExecutor(4) as threads:
        ids = list(threads.map(life, range(8)))
    assert len(set(ids)) == 8
    eventually(lambda: not leaks.left_over(ids, crowded.state_dir), "nothing is left")


class Box:
    """A cgroup with a limit of memory, as a container or a service has."""

    def __init__(self, name: str, limit: int) -> None:
        v1 = CGROUPS / "memory"
        self.folder = (v1 if v1.is_dir() else CGROUPS) / name
        self.limit_file = self.folder / ("memory.limit_in_bytes" if v1.is_dir() else "memory.max")
        self.folder.mkdir()
        self.limit(limit)

    def limit(self, number: int) -> None:
        self.limit_file.write_text(str(number))

    def remove(self) -> None:
        self.folder.rmdir()


@pytest.fixture
def box() -> Iterator[Box]:
    if os.geteuid() != 0:
        pytest.skip("needs root: a cgroup with a limit is made")
    try:
        made = Box(f"browserd-test-{os.getpid()}", 200 * MEBIBYTE)
    except OSError as error:
        pytest.skip(f"no cgroup with a limit of memory can be made here: {error}")
    yield made
    eventually(lambda: not made.folder.exists() or made.remove() is None, "the cgroup is removed")


def test_memory_that_is_not_there_is_not_given_away(box: Box) -> None:
    """The server is in a cgroup that does not hold a session, until it is widened."""
    with serving(cgroup=box.folder, extra_env={"BROWSERD_POOL": "headless=1", "BROWSERD_CREATE_WAIT_SECONDS": "0"}) as server:
        answer = refused(server)
        assert limit(answer) == "memory" and "memory" in answer.json()["message"]
        assert not any((server.state_dir / "sessions").iterdir()), "nothing was started, for the pool neither"
        box.limit(4096 * MEBIBYTE)
        with sessions.client(server.base_url, server.key) as client:
            browser = sessions.create(client)
            assert sessions.sh(client, browser.session_id, "echo here").out == "here\n"
            client.browsers.delete_by_id(browser.session_id)
