"""Sessions that are started ahead of their clients, and standby."""
from __future__ import annotations

import os
import pathlib
import re
from typing import Any, Iterator

import httpx
import pytest
from kernel import Kernel

from harness import leaks, sessions
from harness.cdp import Cdp, first_page
from harness.deadline import eventually
from harness.server import Server, serving
from harness.sessions import sh
from harness.site import Site

CGROUPS = pathlib.Path("/sys/fs/cgroup")
pytestmark = pytest.mark.timeout(300)
needs_freezer = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: an ordinary user has no cgroup of its own to freeze")


@pytest.fixture(scope="module")
def pooled(site: Site) -> Iterator[Server]:
    """A server that keeps two headless sessions and a headful one ready, and suspends idle ones after a second."""
    with serving(private_hosts=[site.authority], extra_env={"BROWSERD_POOL": "headless=2,headful=1", "BROWSERD_STANDBY_SECONDS": "1", "BROWSERD_PAGE_OUT_SECONDS": "1"}) as server:
        yield server


@pytest.fixture(scope="module")
def client(pooled: Server) -> Iterator[Kernel]:
    with sessions.client(pooled.base_url, pooled.key) as client:
        yield client


def figure(server: Server, name: str) -> float:
    """A figure of /metrics, with its labels as they are written."""
    answer = httpx.get(f"{server.base_url}/metrics", headers={"Authorization": f"Bearer {server.key}"}, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    found = re.search(rf"^{re.escape(name)} ([0-9.e+-]+)$", answer.text, re.M)
    return float(found.group(1)) if found else 0.0


def full(server: Server) -> None:
    """Waits until the pool is as large as it should be."""
    eventually(
        lambda: figure(server, 'browserd_pool_ready{kind="headless"}') == 2 and figure(server, 'browserd_pool_ready{kind="headful"}') == 1,
        "the pool is full", 60,
    )


def create(client: Kernel, **settings: Any) -> tuple[Any, str]:
    """A session, and what the server says its creation's time went into."""
    settings.setdefault("headless", True)
    answer = client.browsers.with_raw_response.create(timeout_seconds=600, **settings)
    return answer.parse(), answer.headers["server-timing"]


def frozen(session: str) -> bool:
    """Whether everything inside a session is frozen, as the kernel has it."""
    for folder, names, _ in os.walk(CGROUPS):
        if session in names:
            events = pathlib.Path(folder, session, "inside", "cgroup.events")
            if events.exists():
                return "frozen 1" in events.read_text()
    raise AssertionError(f"no cgroup of {session}")


def evaluate(browser: Any, expression: str) -> Any:
    """The value of an expression in the session's first page."""
    with Cdp(browser.cdp_ws_url) as cdp:
        page = next(t for t in cdp.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = cdp.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        return cdp.call("Runtime.evaluate", attached, expression=expression, returnByValue=True)["result"].get("value")


@pytest.mark.parametrize("headless", [True, False])
def test_a_ready_session_is_handed_out(pooled: Server, client: Kernel, headless: bool) -> None:
    full(pooled)
    before = figure(pooled, 'browserd_session_create_seconds_count{source="pool"}')
    browser, timing = create(client, headless=headless)
    assert re.fullmatch(r"admit;dur=[0-9.]+, store;dur=[0-9.]+, claim;dur=[0-9.]+, total;dur=[0-9.]+", timing), timing
    assert figure(pooled, 'browserd_session_create_seconds_count{source="pool"}') == before + 1
    assert evaluate(browser, "location.href") == "about:blank"
    assert browser.viewport.width == 1920 and evaluate(browser, "outerWidth") == 1920
    assert sh(client, browser.session_id, "echo hello").out == "hello\n"
    client.browsers.delete_by_id(browser.session_id)
    eventually(lambda: not leaks.left_over([browser.session_id], pooled.state_dir), "nothing of the session is left")


@pytest.mark.parametrize("headless", [True, False])
def test_it_becomes_what_was_asked_for_without_a_restart(pooled: Server, client: Kernel, site: Site, headless: bool) -> None:
    full(pooled)
    browser, timing = create(
        client, headless=headless, viewport={"width": 1280, "height": 720}, kiosk_mode=True, start_url=site.url("/title/started"), name=f"kiosk-{headless}",
    )
    assert "claim" in timing
    assert browser.kiosk_mode and browser.viewport.width == 1280
    with Cdp(browser.cdp_ws_url) as cdp:
        page = next(t for t in cdp.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        bounds = cdp.call("Browser.getWindowForTarget", targetId=page["targetId"])["bounds"]
        assert bounds["windowState"] == "fullscreen"
    eventually(lambda: evaluate(browser, "document.title") == "started", "the start page is open")
    eventually(lambda: evaluate(browser, "[innerWidth, innerHeight]") == [1280, 720], "the page fills the screen")
    log = sh(client, browser.session_id, "cat /var/log/browserd/*.log").out
    assert log.count("chromium is ready") == 1 and "restarting" not in log
    client.browsers.delete_by_id(browser.session_id)


def test_two_of_one_kind_share_nothing(pooled: Server, client: Kernel) -> None:
    full(pooled)
    one, timing = create(client)
    other, second = create(client)
    assert "claim" in timing and "claim" in second
    random = "Array.from(crypto.getRandomValues(new Uint32Array(4))).join()"

    def identity(browser: Any) -> list[str]:
        own = sh(client, browser.session_id, "cat /etc/machine-id; readlink /proc/self/ns/net /proc/self/ns/pid /proc/self/ns/user; cat /proc/self/uid_map").out
        return [browser.session_id, browser.cdp_ws_url, evaluate(browser, random), *own.split("\n")[:4], " ".join(own.split("\n")[4].split()[1:2])]

    for mine, theirs in zip(identity(one), identity(other)):
        assert mine and mine != theirs
    client.browsers.fs.write_file(one.session_id, b"secret", path="/tmp/mine")
    assert sh(client, other.session_id, "cat /tmp/mine").code != 0
    for browser in (one, other):
        client.browsers.delete_by_id(browser.session_id)


def test_what_chromium_reads_at_start_gets_a_chromium_of_its_own(pooled: Server, client: Kernel) -> None:
    full(pooled)
    browser, timing = create(client, chrome_policy={"BookmarkBarEnabled": False})
    assert "start" in timing
    client.browsers.delete_by_id(browser.session_id)


@needs_freezer
def test_those_that_wait_are_frozen_but_for_the_next(pooled: Server, client: Kernel) -> None:
    for _ in range(2):
        full(pooled)
        eventually(lambda: figure(pooled, 'browserd_pool_frozen{kind="headless"}') == 1, "the second of two has settled and is frozen", 60)
        assert figure(pooled, 'browserd_pool_frozen{kind="headful"}') == 0
        waiting = {entry.name for entry in (pooled.state_dir / "sessions").iterdir()} - set(pooled.session_ids())
        suspended = {session for session in waiting if frozen(session)}
        assert len(waiting) == 3 and len(suspended) == 1
        browser, timing = create(client)
        assert "claim" in timing and browser.session_id in waiting - suspended
        eventually(lambda: not frozen(*suspended), "the next one wakes")
        client.browsers.delete_by_id(browser.session_id)


@needs_freezer
@pytest.mark.parametrize("headless", [True, False])
def test_an_idle_session_is_suspended_and_goes_on_where_it_was(pooled: Server, client: Kernel, headless: bool) -> None:
    full(pooled)
    browser, _ = create(client, headless=headless)
    evaluate(browser, "window.kept = 41; window.ticks = 0; setInterval(() => window.ticks++, 10); 0")
    sh(client, browser.session_id, "echo kept > /tmp/kept")
    eventually(lambda: frozen(browser.session_id), "it is suspended")
    assert figure(pooled, "browserd_sessions_standby") >= 1
    # it is listed and read without being woken
    assert client.browsers.retrieve(browser.session_id).session_id == browser.session_id
    assert frozen(browser.session_id)
    with Cdp(browser.cdp_ws_url) as cdp:
        assert cdp.call("Browser.getVersion")["product"]
        assert not frozen(browser.session_id)
    assert evaluate(browser, "window.kept") == 41
    assert sh(client, browser.session_id, "cat /tmp/kept").out == "kept\n"
    eventually(lambda: frozen(browser.session_id), "it is suspended again")
    client.browsers.delete_by_id(browser.session_id)
    eventually(lambda: not leaks.left_over([browser.session_id], pooled.state_dir), "a frozen session is cleared away")


def swap() -> int:
    """Free swap of this host, bytes."""
    found = re.search(r"^SwapFree: +(\d+) kB", pathlib.Path("/proc/meminfo").read_text(), re.M)
    return int(found.group(1)) << 10 if found else 0


@needs_freezer
def test_the_memory_of_a_suspended_session_goes_to_swap(pooled: Server, client: Kernel) -> None:
    browser, _ = create(client)
    evaluate(browser, "window.kept = Array.from({length: 4_000_000}, (_, n) => n); 0")
    before = figure(pooled, "browserd_session_page_outs_total")
    used = swap()
    eventually(lambda: frozen(browser.session_id), "it is suspended")
    if used < 512 << 20:
        client.browsers.delete_by_id(browser.session_id)
        pytest.skip("this host has no swap: suspended sessions keep their memory")
    eventually(lambda: figure(pooled, "browserd_session_page_outs_total") > before and swap() < used - (32 << 20), "its memory is in swap", 60)
    assert evaluate(browser, "window.kept[3_999_999]") == 3_999_999
    client.browsers.delete_by_id(browser.session_id)


@needs_freezer
def test_a_silent_client_stays_connected_while_its_session_is_suspended(site: Site) -> None:
    """By choice of the operator: the connection, its sessions and the page's timers are there after it."""
    settings = {"BROWSERD_POOL": "off", "BROWSERD_STANDBY_SECONDS": "1", "BROWSERD_STANDBY_SILENT_SECONDS": "1"}
    with serving(private_hosts=[site.authority], extra_env=settings) as server, sessions.client(server.base_url, server.key) as kernel:
        browser = kernel.browsers.create(headless=True, timeout_seconds=600)
        with Cdp(browser.cdp_ws_url) as cdp:
            page = first_page(cdp)
            page.call("Runtime.enable")
            page.evaluate("window.kept = 41; console.log('here')")
            cdp.event("Runtime.consoleAPICalled")
            for round_ in range(3):
                eventually(lambda: frozen(browser.session_id), f"it is suspended, round {round_}")
                assert page.evaluate("window.kept += 1") == 42 + round_
            # A page that says something by itself keeps it awake, and is heard.
            page.evaluate("window.ticks = setInterval(() => console.log('tick'), 100)")
            for _ in range(30):
                cdp.event("Runtime.consoleAPICalled")
            assert not frozen(browser.session_id)
            page.evaluate("clearInterval(ticks)")
            eventually(lambda: frozen(browser.session_id), "it is suspended again")
            # Others may use it meanwhile, and more than fits into a socket arrives.
            assert kernel.browsers.process.exec(browser.session_id, command="true").exit_code == 0
            eventually(lambda: frozen(browser.session_id), "and again")
            assert page.evaluate(f"'{'x' * 3_000_000}'.length") == 3_000_000
        kernel.browsers.delete_by_id(browser.session_id)


@needs_freezer
def test_a_connected_client_keeps_it_awake(pooled: Server, client: Kernel) -> None:
    browser, _ = create(client)
    other, _ = create(client)
    with Cdp(browser.cdp_ws_url) as cdp:
        # by the time another idle one is suspended, this one would be
        eventually(lambda: frozen(other.session_id), "the other is suspended")
        assert not frozen(browser.session_id)
        cdp.call("Browser.getVersion")
    eventually(lambda: frozen(browser.session_id), "it is suspended once the client is gone")
    for one in (browser, other):
        client.browsers.delete_by_id(one.session_id)


@needs_freezer
def test_a_process_keeps_the_session_awake(pooled: Server, client: Kernel) -> None:
    browser, _ = create(client)
    other, _ = create(client)
    work = "while [ ! -e /tmp/enough ]; do sleep 0.05; done"
    kept = client.browsers.process.spawn(browser.session_id, command="sh", args=["-c", work])
    client.browsers.process.spawn(other.session_id, command="sh", args=["-c", work], extra_body={"keep_awake": False})
    eventually(lambda: frozen(other.session_id), "one whose process does not keep it awake is suspended")
    assert not frozen(browser.session_id)
    sh(client, browser.session_id, "touch /tmp/enough")
    assert client.browsers.process.status(str(kept.process_id), id_or_name=browser.session_id).state in ("running", "exited")
    eventually(lambda: frozen(browser.session_id), "it is suspended once the process has ended")
    for one in (browser, other):
        client.browsers.delete_by_id(one.session_id)


def test_the_timeout_can_be_changed_and_ends_a_suspended_session(pooled: Server, client: Kernel) -> None:
    browser, _ = create(client)
    answer = httpx.patch(
        f"{pooled.base_url}/browsers/{browser.session_id}", json={"timeout_seconds": 10}, headers={"Authorization": f"Bearer {pooled.key}"}, timeout=30,
    )
    assert answer.status_code == 200 and answer.json()["timeout_seconds"] == 10, answer.text

    def ended() -> Any:
        found = client.browsers.list(status="deleted", query=browser.session_id).items
        return found and found[0].to_dict().get("deletion_reason")

    eventually(lambda: ended() == "timed_out", "it timed out", 60)
    eventually(lambda: not leaks.left_over([browser.session_id], pooled.state_dir), "nothing of the session is left")


def test_many_rounds_leave_memory_descriptors_and_processes_flat(pooled: Server, client: Kernel) -> None:
    def held() -> tuple[int, int]:
        full(pooled)
        return leaks.open_files(pooled.pid), len(leaks.processes([str(pooled.state_dir)]))

    def rounds(count: int) -> list[str]:
        ids = []
        for _ in range(count):
            browser, _ = create(client)
            ids.append(browser.session_id)
            client.browsers.delete_by_id(browser.session_id)
        eventually(lambda: not leaks.left_over(ids, pooled.state_dir), "nothing of the sessions is left", 120)
        return ids

    rounds(4)
    eventually(lambda: held() == held(), "the server is at rest", 60)
    files, processes = held()
    assert len(set(rounds(20))) == 20
    eventually(lambda: held()[0] <= files + 2 and held()[1] <= processes + 2, f"it is back at {files} descriptors and {processes} processes", 60)
