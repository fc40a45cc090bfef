"""Watching folders, and the downloads a browser makes."""
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


class Subscriber(threading.Thread):
    """Reads a watch in the background."""

    def __init__(self, fs: Fs, watch_id: str) -> None:
        super().__init__(daemon=True)
        self.events: list[dict[str, Any]] = []
        self.over = threading.Event()
        self.fs, self.watch_id = fs, watch_id
        self.ready = threading.Event()
        self.start()
        assert self.ready.wait(30)

    def run(self) -> None:
        with contextlib.suppress(httpx.HTTPError), self.fs.http.stream("GET", f"/fs/watch/{self.watch_id}/events", timeout=None) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/event-stream"
            assert answer.headers["x-sse-content-type"] == "application/json"
            self.ready.set()
            for line in lines(answer):
                if line.startswith("data:"):
                    self.events.append(json.loads(line[5:]))
        self.over.set()

    def seen(self) -> list[tuple[str, str]]:
        return [(event["type"], event["path"].removeprefix(T + "/")) for event in list(self.events)]

    def wait(self, *event: str) -> None:
        eventually(lambda: tuple(event) in self.seen(), f"{event} is announced")


@pytest.fixture
def fs(headless: Any, server: Server) -> Iterator[Fs]:
    made = Fs.by_key(server.base_url, KEY, headless)
    made.put("create_directory", path=T)
    yield made
    made.put("delete_directory", path=T)
    made.close()


@pytest.fixture
def watch(fs: Fs) -> Iterator[Callable[..., str]]:
    made: list[str] = []

    def start(path: str = T, **settings: Any) -> str:
        answer = fs.http.post("/fs/watch", json={"path": path, **settings})
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["watch_id"])
        return made[-1]

    yield start
    for watch_id in made:
        fs.http.delete(f"/fs/watch/{watch_id}")


@pytest.mark.parametrize("which", ["headless", "headful"])
def test_through_the_sdk(kernel: Kernel, request: pytest.FixtureRequest, which: str) -> None:
    session_id = request.getfixturevalue(which).session_id
    kernel.browsers.fs.create_directory(session_id, path=T)
    watch_id = kernel.browsers.fs.watch.start(session_id, path=T).watch_id or ""
    kernel.browsers.fs.write_file(session_id, b"x", path=f"{T}/file")
    with kernel.browsers.fs.watch.events(watch_id, id_or_name=session_id) as events:
        event = next(iter(events))
        assert (event.type, event.path, event.name, event.is_dir) == ("CREATE", f"{T}/file", "file", False)
        assert next(iter(events)).type == "WRITE"
    kernel.browsers.fs.watch.stop(watch_id, id_or_name=session_id)
    kernel.browsers.fs.delete_directory(session_id, path=T)


def test_every_kind_and_every_subscriber(kernel: Kernel, headless: Any, server: Server, fs: Fs, watch: Callable[..., str]) -> None:
    watch_id = watch()
    direct = Fs.direct(headless)
    early = [Subscriber(fs, watch_id), Subscriber(direct, watch_id)]
    sh(kernel, headless.session_id, f"cd {T} && echo x > f && mv f g && mkdir d && echo y > d/inside && rm g && rmdir d 2>/dev/null; rm -r d; touch last")
    expected = [("CREATE", "f"), ("WRITE", "f"), ("RENAME", "f"), ("CREATE", "g"), ("CREATE", "d"), ("DELETE", "g"), ("DELETE", "d"), ("CREATE", "last")]
    for subscriber in (*early, Subscriber(fs, watch_id)):
        subscriber.wait("CREATE", "last")
        assert subscriber.seen() == expected
        assert [event["is_dir"] for event in subscriber.events] == [False] * 4 + [True, False, True, False]
        assert all(set(event) == {"type", "path", "name", "is_dir"} for event in subscriber.events)
    assert fs.http.delete(f"/fs/watch/{watch_id}").status_code == 204
    for subscriber in early:
        assert subscriber.over.wait(30)
    refused(fs.http.delete(f"/fs/watch/{watch_id}"), 404, "not_found")
    refused(fs.http.get(f"/fs/watch/{watch_id}/events"), 404, "not_found")
    direct.close()


def test_what_our_own_routes_do_is_seen_whole(fs: Fs, watch: Callable[..., str]) -> None:
    subscriber = Subscriber(fs, watch())
    fs.write(f"{T}/f", b"x")
    fs.write(f"{T}/f", b"y")
    fs.form("upload", [("files[0][file]", b"1"), ("files[0][dest_path]", f"{T}/f"), ("files[1][file]", b"2"), ("files[1][dest_path]", f"{T}/g")])
    fs.put("move", src_path=f"{T}/g", dest_path=f"{T}/h")
    fs.put("delete_file", path=f"{T}/h")
    subscriber.wait("DELETE", "h")
    both = [("CREATE", "f"), ("WRITE", "f")]
    assert subscriber.seen() == both * 3 + [("CREATE", "g"), ("WRITE", "g"), ("RENAME", "g"), ("CREATE", "h"), ("DELETE", "h")]


def test_recursive_misses_nothing_in_new_folders(kernel: Kernel, headless: Any, fs: Fs, watch: Callable[..., str]) -> None:
    """Folders and what is in them appear faster than anybody can watch them."""
    sh(kernel, headless.session_id, f"mkdir -p {T}/old/er")
    subscriber = Subscriber(fs, watch(recursive=True))
    flat = Subscriber(fs, watch())
    script = f"cd {T} && for i in $(seq 60); do mkdir -p $i/a/b && : > $i/a/b/f && : > $i/g; done; : > old/er/x; mv 1 moved; : > moved/a/late; : > end"
    sh(kernel, headless.session_id, script)
    subscriber.wait("CREATE", "end")
    subscriber.wait("CREATE", "moved/a/late")
    created = [path for kind, path in subscriber.seen() if kind == "CREATE"]
    wanted = [path for i in range(1, 61) for path in (f"{i}", f"{i}/a", f"{i}/a/b", f"{i}/a/b/f", f"{i}/g")]
    moved = {path.replace("1", "moved", 1) for path in wanted if path == "1" or path.startswith("1/")}
    assert sorted(created) == sorted([*wanted, *moved, "old/er/x", "moved/a/late", "end"])
    assert ("RENAME", "1") in subscriber.seen()
    flat.wait("CREATE", "end")
    assert not [path for _, path in flat.seen() if "/" in path]


def test_a_watch_nobody_reads_is_bounded_and_says_what_was_lost(kernel: Kernel, headless: Any, fs: Fs, watch: Callable[..., str]) -> None:
    watch_id = watch()
    sh(kernel, headless.session_id, f"cd {T} && for i in $(seq 7000); do : > $i; done; : > end")
    # The command can be over before all it did has been noted: the first to read waits for that and may get more.
    Subscriber(fs, watch_id).wait("CREATE", "end")
    late = Subscriber(fs, watch_id)
    late.wait("CREATE", "end")
    assert late.events[0] == {"type": "WRITE", "path": T, "name": "t", "is_dir": True, "overflow": True}
    assert late.seen().index(("CREATE", "end")) <= 4096


def test_the_folder_itself_goes(kernel: Kernel, headless: Any, fs: Fs, watch: Callable[..., str]) -> None:
    fs.put("create_directory", path=f"{T}/w")
    subscriber = Subscriber(fs, watch(f"{T}/w"))
    fs.put("delete_directory", path=f"{T}/w")
    assert subscriber.over.wait(30)
    assert subscriber.seen() == [("DELETE", "w")]


def test_what_cannot_be_watched(fs: Fs, watch: Callable[..., str]) -> None:
    fs.write(f"{T}/f", b"")
    refused(fs.http.post("/fs/watch", json={"path": f"{T}/none"}), 404, "not_found")
    refused(fs.http.post("/fs/watch", json={"path": f"{T}/f"}), 400, "invalid_input", "path")
    refused(fs.http.post("/fs/watch", json={}), 400, "invalid_input", "path")
    refused(fs.http.post("/fs/watch", json={"path": T, "recursive": "yes"}), 400, "invalid_input", "recursive")
    refused(fs.http.post("/fs/watch", json={"path": "/usr", "recursive": True}), 429, "too_many_requests")
    refused(fs.http.get("/fs/watch/nothing/events"), 404, "not_found")
    for _ in range(32):
        watch()
    refused(fs.http.post("/fs/watch", json={"path": T}), 429, "too_many_requests")


@pytest.mark.parametrize("which", ["headless", "headful"])
def test_downloads_appear_under_their_names(kernel: Kernel, request: pytest.FixtureRequest, server: Server, site: Site, which: str) -> None:
    browser = request.getfixturevalue(which)
    folder = "/home/kernel/Downloads"
    watch_id = kernel.browsers.fs.watch.start(browser.session_id, path=folder).watch_id or ""
    fs = Fs.by_key(server.base_url, KEY, browser)
    subscriber = Subscriber(fs, watch_id)
    with Cdp(browser.cdp_ws_url) as cdp:
        page = new_page(cdp, site.url("/hello"))
        page.evaluate("new Promise(done => { if (document.readyState === 'complete') done(); else addEventListener('load', done) })")
        page.evaluate(
            "(() => { const a = document.createElement('a'); a.href = URL.createObjectURL(new Blob(['x'.repeat(100000)])); a.download = 'report 1.txt'; document.body.append(a); a.click() })()"
        )
        eventually(lambda: any(event["name"] == "report 1.txt" and event["type"] == "CREATE" for event in list(subscriber.events)), "the download is announced")
        eventually(lambda: fs.read(f"{folder}/report 1.txt").content == b"x" * 100_000, "it is there under its name")
        page.evaluate(f"location.href = {json.dumps(site.url('/download/data.bin'))}; 0")
        eventually(lambda: fs.read(f"{folder}/data.bin").content == bytes(range(256)) * 40, "the server's name")
        page.close()
    assert sh(kernel, browser.session_id, f"stat -c %U '{folder}/report 1.txt'").out.strip() == "kernel"
    for name in fs.names(folder):
        fs.put("delete_file", path=f"{folder}/{name}")
    kernel.browsers.fs.watch.stop(watch_id, id_or_name=browser.session_id)
    fs.close()
