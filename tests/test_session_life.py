"""How sessions end, and what they survive: inactivity, Chromium crashing, memory running out."""
from __future__ import annotations

import base64
import datetime
import os
import pathlib
import signal
from typing import Any, Callable

import httpx
import pytest
from kernel import Kernel
from websockets.exceptions import ConnectionClosed

from harness import leaks, sessions
from harness.cdp import Cdp, first_page
from harness.deadline import eventually
from harness.server import Server


def ended(wire: httpx.Client, session_id: str) -> dict[str, Any] | None:
    """The session's record once it has ended."""
    answer = wire.get(f"/browsers/{session_id}", params={"include_deleted": "true"})
    assert answer.status_code == 200, answer.text
    return answer.json() if answer.json().get("deleted_at") else None


def lived(record: dict[str, Any]) -> float:
    """Seconds between creation and end."""
    parse = datetime.datetime.fromisoformat
    return (parse(record["deleted_at"]) - parse(record["created_at"])).total_seconds()


@pytest.mark.timeout(240)
def test_inactive_sessions_time_out_and_used_ones_do_not(kernel: Kernel, wire: httpx.Client, server: Server) -> None:
    watched = sessions.create(kernel, timeout_seconds=10)
    # an open CDP connection is activity though nothing is said on it; so is a stream being read
    with Cdp(watched.cdp_ws_url) as cdp:
        busy = sessions.create(kernel, timeout_seconds=10)
        idle = sessions.create(kernel, timeout_seconds=10)
        # The clock of this test: a second after the timeout and the sweep of 5 s have passed for the
        # idle session, whose last activity lies before.
        spawned = kernel.browsers.process.spawn(busy.session_id, command="sh", args=["-c", "sleep 16; echo late; sleep 600"])
        with kernel.browsers.process.stdout_stream(spawned.process_id or "", id_or_name=busy.session_id) as stream:
            assert next(iter(stream)).stream == "stdout"
            record = ended(wire, idle.session_id)
            assert record is not None, "the idle session is over by now"
            assert record["deletion_reason"] == "timed_out"
            assert lived(record) >= 10
            assert ended(wire, busy.session_id) is None
            assert ended(wire, watched.session_id) is None
        assert cdp.call("Browser.getVersion")["product"]
    for session_id in (busy.session_id, watched.session_id):
        released = eventually(lambda: ended(wire, session_id), "the session times out once its client is gone", 40)
        assert released["deletion_reason"] == "timed_out"
    ids = [idle.session_id, watched.session_id, busy.session_id]
    eventually(lambda: not leaks.left_over(ids, server.state_dir), "nothing of the sessions is left")


@pytest.mark.parametrize("headless", [True, False], ids=["headless", "headful"])
@pytest.mark.parametrize("which", ["-x chromium", "-f '[t]ype=zygote'"], ids=["all of it", "its zygotes"])
def test_chromium_crashing_keeps_the_session(kernel: Kernel, make: Callable[..., Any], server: Server, which: str, headless: bool) -> None:
    browser = make(headless=headless)
    spawned = kernel.browsers.process.spawn(browser.session_id, command="sleep", args=["1000"])
    with Cdp(browser.cdp_ws_url) as cdp:
        first_page(cdp).evaluate("window.marker = 1")
        killed = sessions.sh(kernel, browser.session_id, f"pkill -9 {which}; true")
        assert killed.code == 0
        with pytest.raises(ConnectionClosed):
            while True:
                cdp.call("Browser.getVersion")

    def back() -> bool:
        try:
            with Cdp(browser.cdp_ws_url) as again:
                pages = [t for t in again.call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
                return bool(pages)
        except Exception:
            return False

    eventually(back, "the same address reaches the new Chromium")
    with Cdp(browser.cdp_ws_url) as cdp:
        assert first_page(cdp).evaluate("typeof window.marker") == "undefined"
    # what else runs in the session is untouched, and so is the session
    assert kernel.browsers.process.status(spawned.process_id, id_or_name=browser.session_id).state == "running"
    assert kernel.browsers.retrieve(browser.session_id).deleted_at is None
    lines = [line for line in server.log().splitlines() if browser.session_id in line]
    for said in ("Chromium ended by itself", "Chromium runs again"):
        assert any(said in line for line in lines), "\n".join(lines)


EAT = "b = bytearray()\nwhile len(b) < 3 << 30: b += b'x' * (16 << 20)\nprint(len(b))"


def test_memory_limit_holds(kernel: Kernel, make: Callable[..., Any]) -> None:
    """A process that eats past the class's limit is ended by the kernel; the session is not."""
    browser = make(memory="1GiB")
    assert sessions.run(kernel, browser.session_id, "python3", "-c", EAT).code == 137
    assert sessions.sh(kernel, browser.session_id, "true").code == 0


def test_a_session_out_of_memory_says_so(kernel: Kernel, wire: httpx.Client, server: Server) -> None:
    """When it is PID 1 that the kernel has to end: the last it would choose, so this makes it the first."""
    browser = sessions.create(kernel, memory="1GiB")
    # started before, because children are chosen as their parents are
    eater = kernel.browsers.process.spawn(browser.session_id, command="sh", args=["-c", 'read go; exec python3 -c "$0"', EAT])
    guests = [pid for pid, command in leaks.processes([browser.session_id]).items() if " guest" in command]
    assert len(guests) == 1, leaks.processes([browser.session_id])
    pathlib.Path(f"/proc/{guests[0]}/oom_score_adj").write_text("1000")
    kernel.browsers.process.stdin(eater.process_id or "", id_or_name=browser.session_id, data_b64=base64.b64encode(b"\n").decode())
    record = eventually(lambda: ended(wire, browser.session_id), "the end is noticed")
    assert record["deletion_reason"] == "out_of_memory", record
    eventually(lambda: not leaks.left_over([browser.session_id], server.state_dir), "nothing of the session is left")


def test_shim_killed_from_outside_ends_the_session_with_the_reason(kernel: Kernel, wire: httpx.Client, server: Server) -> None:
    browser = sessions.create(kernel)
    shims = [pid for pid, command in leaks.processes([browser.session_id]).items() if " shim" in command]
    assert len(shims) == 1, leaks.processes([browser.session_id])
    os.kill(shims[0], signal.SIGKILL)
    record = eventually(lambda: ended(wire, browser.session_id), "the loss of the shim is noticed", 30)
    assert record["deletion_reason"] in ("crashed", "host_lost"), record
    eventually(lambda: not leaks.left_over([browser.session_id], server.state_dir), "nothing of the session is left")
