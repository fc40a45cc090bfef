"""Log streams of a session."""
from __future__ import annotations

import contextlib
import json
import threading
from typing import Any, Callable, Iterator

import httpx
import pytest
from kernel import Kernel

from harness.cdp import Cdp, new_page
from harness.deadline import eventually
from harness.files import Fs, lines, refused
from harness.server import KEY, Server
from harness.sessions import sh
from harness.site import Site

T = "/home/kernel/t"


class Log(threading.Thread):
    """Reads a log stream in the background."""

    def __init__(self, fs: Fs, **query: Any) -> None:
        super().__init__(daemon=True)
        self.messages: list[str] = []
        self.fs, self.query = fs, query
        self.ready, self.over = threading.Event(), threading.Event()
        self.start()
        assert self.ready.wait(30)

    def run(self) -> None:
        # A stream that is followed ends with the client, in the middle.
        with contextlib.suppress(httpx.HTTPError), self.fs.http.stream("GET", "/logs/stream", params=self.query, timeout=None) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/event-stream"
            self.ready.set()
            for line in lines(answer):
                if line.startswith("data:"):
                    event = json.loads(line[5:])
                    assert set(event) == {"event", "timestamp", "message"} and event["event"] == "log"
                    self.messages.append(event["message"])
        self.over.set()

    def wait(self, *messages: str) -> None:
        eventually(lambda: self.messages == list(messages), f"{messages}; there is {self.messages[:10]}")


@pytest.fixture(params=["by key", "direct"])
def fs(request: pytest.FixtureRequest, headless: Any, server: Server) -> Iterator[Fs]:
    made = Fs.direct(headless) if request.param == "direct" else Fs.by_key(server.base_url, KEY, headless)
    made.put("create_directory", path=T)
    yield made
    made.put("delete_directory", path=T)
    made.close()


def test_through_the_sdk(kernel: Kernel, headless: Any) -> None:
    sh(kernel, headless.session_id, f"mkdir -p {T} && printf 'one\\ntwo\\n\\nlast' > {T}/log")
    with kernel.browsers.logs.stream(headless.session_id, source="path", path=f"{T}/log", follow=False) as events:
        assert [(event.event, event.message) for event in events] == [("log", text) for text in ("one", "two", "", "last")]
    sh(kernel, headless.session_id, f"rm -r {T}")


def test_following(kernel: Kernel, headless: Any, fs: Fs) -> None:
    """Growth, truncation, rotation, and a file that is not there yet."""
    run = lambda script: sh(kernel, headless.session_id, f"cd {T} && {script}")  # noqa: E731
    run("echo before > log")
    follower, starter, absent = Log(fs, source="path", path=f"{T}/log"), Log(fs, source="path", path=f"{T}/log", **{"from": "start"}), Log(fs, source="path", path=f"{T}/absent")
    run("echo one >> log; printf tw >> log")
    follower.wait("one")
    run("echo o >> log")
    follower.wait("one", "two")
    run("echo x > log")
    follower.wait("one", "two", "x")
    run("mv log log.1; echo late >> log.1; echo new > log; echo more >> log")
    follower.wait("one", "two", "x", "late", "new", "more")
    starter.wait("before", "one", "two", "x", "late", "new", "more")
    run("rm log; echo again > log")
    follower.wait("one", "two", "x", "late", "new", "more", "again")
    run("echo here > absent")
    absent.wait("here")


def test_long_and_broken_lines(kernel: Kernel, headless: Any, fs: Fs) -> None:
    sh(kernel, headless.session_id, f"cd {T} && (head -c 200000 /dev/zero | tr '\\0' x; printf '\\nbad \\377 byte\\r\\nend\\n') > log")
    log = Log(fs, source="path", path=f"{T}/log", follow="false")
    assert log.over.wait(30)
    assert log.messages == ["x" * 65536, "bad \ufffd byte", "end"]
    empty = Log(fs, source="path", path=f"{T}/log", follow="false", **{"from": "end"})
    assert empty.over.wait(30) and empty.messages == []


def test_much_at_once(kernel: Kernel, headless: Any, fs: Fs) -> None:
    sh(kernel, headless.session_id, f"cd {T} && seq 200000 > log")
    log = Log(fs, source="path", path=f"{T}/log", follow="false")
    assert log.over.wait(60)
    assert log.messages == [str(number) for number in range(1, 200_001)]


def test_what_pages_say_is_in_chromiums_log(kernel: Kernel, headless: Any, headful: Any, server: Server, site: Site) -> None:
    for browser in (headless, headful):
        fs = Fs.by_key(server.base_url, KEY, browser)
        log = Log(fs, source="supervisor", supervisor_process="chromium")
        with Cdp(browser.cdp_ws_url) as cdp:
            page = new_page(cdp, site.url("/hello"))
            for level in ("debug", "log", "info", "warn", "error"):
                page.evaluate(f"console.{level}('said with {level} ü')")
            page.evaluate("setTimeout(() => { throw new Error('thrown on purpose') }); 0")
            for text in (*(f"said with {level} ü" for level in ("log", "info", "warn", "error")), "thrown on purpose"):
                eventually(lambda: any(text in message for message in log.messages), f"{text!r} is in the log")
            page.close()
        fs.close()


def test_the_sessions_own_programs(headless: Any, headful: Any, server: Server) -> None:
    for browser, names in ((headless, ("chromium", "guest")), (headful, ("chromium", "xserver", "guest"))):
        fs = Fs.by_key(server.base_url, KEY, browser)
        for name in names:
            log = Log(fs, source="supervisor", supervisor_process=name, follow="false")
            assert log.over.wait(30)
            if name == "chromium":
                assert any("DevTools listening" in message for message in log.messages)
        answer = fs.http.get("/logs/stream", params={"source": "supervisor", "supervisor_process": "nginx"})
        refused(answer, 404, "not_found", "supervisor_process")
        for name in names:
            assert name in answer.json()["message"]
        fs.close()


def test_refusals(fs: Fs) -> None:
    def stream(**query: Any) -> Any:
        return fs.http.get("/logs/stream", params=query)

    for query, field in (
        ({}, "source"), ({"source": "journal"}, "source"), ({"source": "path"}, "path"), ({"source": "supervisor"}, "supervisor_process"),
        ({"source": "path", "path": "/x", "supervisor_process": "guest"}, "supervisor_process"), ({"source": "supervisor", "path": "/x", "supervisor_process": "guest"}, "path"),
        ({"source": "path", "path": "relative"}, "path"), ({"source": "path", "path": T, "follow": "perhaps"}, "follow"),
        ({"source": "path", "path": T, "from": "middle"}, "from"), ({"source": "path", "path": T}, "path"), ({"source": "path", "path": "/dev/zero"}, "path"),
        ({"source": "path", "path": "/proc/kmsg"}, "path"), ({"source": "path", "path": "/proc/1/environ", "follow": "false"}, "path"),
    ):
        refused(stream(**query), 400, "invalid_input", field)
    refused(stream(source="path", path=f"{T}/none", follow="false"), 404, "not_found")
    refused(stream(source="path", path=f"{T}/none/log"), 404, "not_found")


def test_streams_are_limited_and_end_with_their_readers(kernel: Kernel, make: Callable[..., Any], server: Server) -> None:
    browser = make()
    fs = Fs.by_key(server.base_url, KEY, browser)
    fs.write(f"{T}/log", b"x")
    query = {"source": "path", "path": f"{T}/log"}
    streams = [fs.http.stream("GET", "/logs/stream", params=query) for _ in range(64)]
    opened = [stream.__enter__() for stream in streams]
    assert {answer.status_code for answer in opened} == {200}
    refused(fs.http.get("/logs/stream", params=query), 429, "too_many_requests")
    for stream in streams:
        stream.__exit__(None, None, None)

    def room() -> bool:
        with fs.http.stream("GET", "/logs/stream", params=query) as answer:
            return answer.status_code == 200

    eventually(room, "there is room again")
    fs.close()
