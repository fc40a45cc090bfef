"""Recordings: started, stopped, listed and downloaded through the official SDK; what is in them is read off their pictures."""
from __future__ import annotations

import pathlib
import re
import urllib.parse
from typing import Any, Callable

import httpx
import kernel as sdk
import pytest
from kernel import Kernel

from harness import film, leaks, sessions
from harness.cdp import Cdp, Page, first_page, new_page
from harness.deadline import eventually
from harness.server import KEY, Server, serving

ID = re.compile(r"^[a-z][a-z0-9]{23}$")
CLOCK = "data:text/html," + urllib.parse.quote(film.CLOCK)

# So many that asking each of them whenever one opens makes more events than are kept for a slow listener.
TABS = 25


@pytest.fixture(params=[True, False], ids=["headless", "headful"])
def recorded(request: Any, make: Callable[..., Any]) -> Any:
    """A session of its own, the page as large as the screen where there is one."""
    headless = request.param
    memory = "4GiB" if headless else "8GiB"
    return make(headless=headless, kiosk_mode=not headless, viewport={"width": 1280, "height": 720}, memory=memory)


class Recorder:
    """Recordings of one session."""

    def __init__(self, kernel: Kernel, session_id: str, folder: pathlib.Path) -> None:
        self.kernel, self.session_id, self.folder = kernel, session_id, folder

    def start(self, **settings: Any) -> Any:
        replay = self.kernel.browsers.replays.start(self.session_id, **settings)
        assert ID.match(replay.replay_id) and replay.started_at is not None and replay.finished_at is None
        return replay

    def stop(self, replay: Any) -> None:
        self.kernel.browsers.replays.stop(replay.replay_id, id_or_name=self.session_id)

    def listed(self, replay: Any) -> Any:
        return next(item for item in self.kernel.browsers.replays.list(self.session_id) if item.replay_id == replay.replay_id)

    def ended(self, replay: Any) -> Any:
        """The recording once it is finished."""
        return eventually(lambda: (item := self.listed(replay)).finished_at and item, "the recording is finished", 60)

    def file(self, replay: Any) -> pathlib.Path:
        answer = self.kernel.browsers.replays.download(replay.replay_id, id_or_name=self.session_id)
        assert answer.status_code == 200 and answer.headers["content-type"] == "video/mp4"
        path = self.folder / f"{replay.replay_id}.mp4"
        path.write_bytes(answer.read())
        return path


@pytest.fixture
def recorder(kernel: Kernel, recorded: Any, tmp_path: pathlib.Path) -> Recorder:
    return Recorder(kernel, recorded.session_id, tmp_path)


def wall(item: Any) -> float:
    return (item.finished_at - item.started_at).total_seconds()


def last(page: Page, seconds: float) -> None:
    """Lets the page live on for a while."""
    page.evaluate(f"new Promise(done => setTimeout(done, {seconds * 1000}))", timeout=seconds + 30)


def test_shows_what_was_there_when_it_was_there(recorder: Recorder, recorded: Any) -> None:
    with Cdp(recorded.cdp_ws_url) as browser:
        page = first_page(browser)
        page.goto(CLOCK)
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        replay = recorder.start()
        last(page, 6)
        page.evaluate("clearInterval(window.clock)")
        # from here on nothing changes
        last(page, 6)
        recorder.stop(replay)
    item = recorder.listed(replay)
    assert item.end_reason == "stopped" and item.size_bytes > 0
    path = recorder.file(replay)
    assert path.stat().st_size == item.size_bytes
    seen = film.probe(path)
    assert abs(seen.duration - wall(item)) <= max(0.01 * wall(item), 0.1), (seen.duration, wall(item))
    assert seen.video["codec_name"] == "h264" and seen.video["pix_fmt"] == "yuv420p" and seen.audio is None
    if recorded.headless:
        assert seen.video["width"] == 1280
    else:
        assert (seen.video["width"], seen.video["height"]) == (1280, 720)
    frames = [(at, clock) for at, clock in film.clocks(path) if clock is not None]
    assert len(frames) > 10
    ticks = [clock for _, clock in frames]
    assert ticks == sorted(ticks), "time goes forward"
    # The clock in the picture and the recording's own time agree; a busy machine paints late, never early.
    began = replay.started_at.timestamp()
    turn = (1 << film.BITS) * film.TICK
    early = [(at, clock) for at, clock in frames if ((clock - began - at + turn / 2) % turn) - turn / 2 > 0.3]
    assert not early, early[:5]
    # While the page stood still, few frames were taken.
    assert len([at for at, _ in frames if at > seen.duration - 4]) <= 6
    # The index is in front, for players that read from a network.
    head = path.read_bytes()[:64]
    assert head.index(b"moov") < 64


def test_two_at_once_have_settings_of_their_own(recorder: Recorder, recorded: Any) -> None:
    with Cdp(recorded.cdp_ws_url) as browser:
        page = first_page(browser)
        page.goto(CLOCK)
        slow = recorder.start(framerate=1)
        last(page, 2)
        fast = recorder.start(framerate=20)
        last(page, 4)
        recorder.stop(slow)
        recorder.stop(fast)
    assert [item.replay_id for item in recorder.kernel.browsers.replays.list(recorded.session_id)] == [slow.replay_id, fast.replay_id]
    few, many = (film.times(recorder.file(replay)) for replay in (slow, fast))
    assert len(few) < len(many)
    for replay in (slow, fast):
        item = recorder.listed(replay)
        assert abs(film.probe(recorder.file(replay)).duration - wall(item)) <= 0.15


def test_ends_by_itself_at_its_duration(recorder: Recorder, recorded: Any) -> None:
    replay = recorder.start(max_duration_in_seconds=2)
    item = recorder.ended(replay)
    assert item.end_reason == "max_duration"
    assert wall(item) >= 2
    recorder.stop(replay)
    recorder.stop(replay)
    assert recorder.listed(replay).end_reason == "max_duration"
    assert abs(film.probe(recorder.file(replay)).duration - wall(item)) <= 0.15


def test_a_download_before_the_end_is_asked_to_come_back(recorder: Recorder, wire: httpx.Client) -> None:
    replay = recorder.start()
    answer = recorder.kernel.browsers.replays.download(replay.replay_id, id_or_name=recorder.session_id)
    assert answer.status_code == 202 and int(answer.headers["retry-after"]) > 0
    assert answer.read() == b""
    page = httpx.get(replay.replay_view_url)
    assert page.status_code == 202 and "refresh" in page.text and page.headers["content-type"].startswith("text/html")
    recorder.stop(replay)
    assert film.probe(recorder.file(replay)).duration > 0


def test_outlives_its_session(recorder: Recorder, recorded: Any, kernel: Kernel) -> None:
    finished, cut = recorder.start(), recorder.start()
    with Cdp(recorded.cdp_ws_url) as browser:
        page = first_page(browser)
        page.goto(CLOCK)
        last(page, 4)
    recorder.stop(finished)
    kernel.browsers.delete_by_id(recorded.session_id)
    item = recorder.ended(cut)
    assert item.end_reason == "session_ended"
    for replay in (finished, cut):
        seen = film.probe(recorder.file(replay))
        # What the killed encoder had not written yet may be missing.
        assert seen.duration > 1.5
        part = httpx.get(replay.replay_view_url, headers={"Range": "bytes=4-7"})
        assert part.status_code == 206 and part.content == b"ftyp", "its address works on"
    recorder.stop(cut)
    with pytest.raises(sdk.NotFoundError) as refused:
        recorder.start()
    assert refused.value.body["code"] == "browser_not_found"


def test_a_killed_encoder_leaves_a_film(recorder: Recorder, recorded: Any, server: Server) -> None:
    replay = recorder.start()
    with Cdp(recorded.cdp_ws_url) as browser:
        page = first_page(browser)
        page.goto(CLOCK)
        last(page, 4)
    ran = sessions.sh(recorder.kernel, recorded.session_id, "pkill -KILL -x ffmpeg")
    assert ran.code == 0, ran
    item = recorder.ended(replay)
    assert item.end_reason == "encoder_failed"
    assert film.probe(recorder.file(replay)).duration > 1.5
    # The session has taken no harm.
    after = recorder.start(max_duration_in_seconds=1)
    assert recorder.ended(after).end_reason == "max_duration"


def test_goes_on_when_chromium_restarts(recorder: Recorder, recorded: Any) -> None:
    with Cdp(recorded.cdp_ws_url) as browser:
        first_page(browser).goto("data:text/html,<body style='background:black'>")
    replay = recorder.start()
    kill = "pkill -KILL -o chromium"
    assert sessions.sh(recorder.kernel, recorded.session_id, kill).code == 0

    def back() -> bool:
        try:
            with Cdp(recorded.cdp_ws_url) as browser:
                page = first_page(browser)
                page.goto(CLOCK)
                last(page, 3)
            return True
        except Exception:
            return False

    eventually(back, "Chromium is back", 60)
    assert recorder.listed(replay).finished_at is None
    recorder.stop(replay)
    path = recorder.file(replay)
    assert [clock for _, clock in film.clocks(path) if clock is not None], "the new Chromium is seen"
    assert abs(film.probe(path).duration - wall(recorder.listed(replay))) <= 0.2


def test_follows_the_page_in_front(recorder: Recorder, recorded: Any) -> None:
    with Cdp(recorded.cdp_ws_url) as browser:
        first = first_page(browser)
        first.goto("data:text/html,<body style='background:white'>")
        replays = [recorder.start()]
        last(first, 1)
        second = new_page(browser, "data:text/html,<body style='background:black'>")
        last(second, 2)
        recorder.stop(replays[0])
        replays.append(recorder.start())
        second.close()
        browser.call("Target.activateTarget", targetId=first.target)
        last(first, 2)
        recorder.stop(replays[1])
    assert film.brightness(recorder.file(replays[0])) < 60
    assert film.brightness(recorder.file(replays[1])) > 200


def test_tabs_nobody_is_attached_to_are_no_burden(recorder: Recorder, recorded: Any) -> None:
    """Looking at the tabs causes no event on which they are looked at again, and again."""
    with Cdp(recorded.cdp_ws_url) as browser:
        first_page(browser).goto("data:text/html,<body style='background:white'>")
        for _ in range(4):
            browser.call("Target.createTarget", url="data:text/html,<body style='background:black'>", background=True)
    replay = recorder.start()
    recorder.stop(replay)
    assert film.probe(recorder.file(replay)).duration >= 0


def test_many_tabs_are_looked_at_once_and_not_for_ever(recorder: Recorder, recorded: Any) -> None:
    """Every tab that opens is an event on which all tabs are looked at, and looking at a tab is an event as well."""
    with Cdp(recorded.cdp_ws_url) as browser:
        first = first_page(browser)
        first.goto("data:text/html,<body style='background:white'>")
        for _ in range(TABS):
            browser.call("Target.createTarget", url="about:blank", background=True)
        replay = recorder.start()
        for _ in range(TABS):
            browser.call("Target.createTarget", url="about:blank", background=True)
        browser.call("Target.activateTarget", targetId=first.target)
        last(first, 2)
        recorder.stop(replay)
    assert film.probe(recorder.file(replay)).duration >= 2


def test_a_hidden_pointer_is_not_drawn(recorder: Recorder, recorded: Any, kernel: Kernel) -> None:
    computer = kernel.browsers.computer
    with Cdp(recorded.cdp_ws_url) as browser:
        page = first_page(browser)
        page.goto("data:text/html,<body style='background:white'>")
        computer.move_mouse(recorded.session_id, x=700, y=300, smooth=False)
        replay = recorder.start()
        for hidden in (False, True, False):
            computer.set_cursor_visibility(recorded.session_id, hidden=hidden)
            last(page, 2)
        recorder.stop(replay)
    drawn = [dark < 128 for dark in film.darkest(recorder.file(replay), 680, 280, 40, 40)]
    changes = [drawn[0]] + [now for before, now in zip(drawn, drawn[1:]) if now != before]
    # a headless session has no pointer
    assert changes == ([False] if recorded.headless else [True, False, True]), drawn


def test_a_forced_change_of_size_leaves_one_film(recorder: Recorder, recorded: Any, kernel: Kernel) -> None:
    with Cdp(recorded.cdp_ws_url) as browser:
        page = first_page(browser)
        page.goto("data:text/html,<body style='background:black'>")
        replay = recorder.start()
        last(page, 2)
        kernel.browsers.update(recorded.session_id, viewport={"width": 800, "height": 600, "force": True})
        page.evaluate("document.body.style.background = 'white'")
        last(page, 3)
        recorder.stop(replay)
    item = recorder.listed(replay)
    assert item.end_reason == "stopped"
    path = recorder.file(replay)
    seen = film.probe(path)
    assert seen.video["width"] == 1280
    assert abs(seen.duration - wall(item)) <= max(0.01 * wall(item), 0.1), (seen.duration, wall(item))
    shown = film.times(path)
    assert shown == sorted(shown)
    # the smaller screen, between bars
    assert 100 < film.brightness(path) < 250


def test_plays_in_a_browser(recorder: Recorder, recorded: Any, make: Callable[..., Any], server: Server) -> None:
    with Cdp(recorded.cdp_ws_url) as browser:
        page = first_page(browser)
        page.goto(CLOCK)
        replay = recorder.start()
        last(page, 3)
        recorder.stop(replay)
    url = recorder.listed(replay).replay_view_url
    assert url.startswith(f"{server.base_url}/browser/replays?jwt=") and f"replay_id={replay.replay_id}" in url
    # A session does not reach this server; its page is given the file by the test.
    film_file = recorder.file(replay).read_bytes()
    with Cdp(recorded.cdp_ws_url) as browser:
        page = new_page(browser)
        page.call("Fetch.enable", patterns=[{"urlPattern": "http://127.0.0.1:*"}])
        browser.events.clear()
        frame = f"<iframe src='{url}' style='width:640px;height:360px'></iframe><video muted></video>"
        page.evaluate(f"document.body.innerHTML = {frame!r}")
        page.evaluate(f"void (document.querySelector('video').src = {url!r})")
        served = 0
        while served < 2:
            paused = browser.event("Fetch.requestPaused", page.session)
            asked = {name.lower(): value for name, value in paused["request"]["headers"].items() if name.lower() == "range"}
            answer = httpx.get(paused["request"]["url"], headers=asked)
            import base64
            page.call(
                "Fetch.fulfillRequest", requestId=paused["requestId"], responseCode=answer.status_code,
                responseHeaders=[{"name": name, "value": value} for name, value in answer.headers.items()],
                body=base64.b64encode(answer.content).decode(),
            )
            served += 1
        video = "document.querySelector('video')"
        seen = eventually(
            lambda: page.evaluate(f"{video}.readyState >= 2 && [{video}.duration, {video}.videoWidth]"), "the video plays", 30
        )
        assert abs(seen[0] - film.probe(recorder.file(replay)).duration) < 0.2 and seen[1] == 1280
        page.close()
    assert len(film_file) > 0


def test_parts_of_a_file(recorder: Recorder, wire: httpx.Client) -> None:
    replay = recorder.start(max_duration_in_seconds=1)
    recorder.ended(replay)
    path = f"/browsers/{recorder.session_id}/replays/{replay.replay_id}"
    whole = wire.get(path)
    size = len(whole.content)
    assert whole.status_code == 200 and whole.headers["accept-ranges"] == "bytes"
    part = wire.get(path, headers={"Range": "bytes=10-19"})
    assert part.status_code == 206 and part.content == whole.content[10:20]
    assert part.headers["content-range"] == f"bytes 10-19/{size}"
    tail = wire.get(path, headers={"Range": "bytes=-5", "If-Range": whole.headers["etag"]})
    assert tail.status_code == 206 and tail.content == whole.content[-5:]
    stale = wire.get(path, headers={"Range": "bytes=-5", "If-Range": '"other"'})
    assert stale.status_code == 200 and stale.content == whole.content
    beyond = wire.get(path, headers={"Range": f"bytes={size}-"})
    assert beyond.status_code == 416 and beyond.json()["code"] == "range_not_satisfiable"
    assert beyond.headers["content-range"] == f"bytes */{size}"
    head = wire.head(path)
    assert head.status_code == 200 and int(head.headers["content-length"]) == size


@pytest.mark.parametrize("body, field", [
    ({"framerate": 0}, "framerate"),
    ({"framerate": 61}, "framerate"),
    ({"framerate": -1}, "framerate"),
    ({"framerate": 2.5}, "framerate"),
    ({"framerate": "fast"}, "framerate"),
    ({"max_duration_in_seconds": 0}, "max_duration_in_seconds"),
    ({"max_duration_in_seconds": 10**9}, "max_duration_in_seconds"),
    ({"record_audio": "yes"}, "record_audio"),
])
def test_settings_that_cannot_be(wire: httpx.Client, headless: Any, body: dict[str, Any], field: str) -> None:
    answer = wire.post(f"/browsers/{headless.session_id}/replays", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "invalid_input" and answer.json()["details"][0]["code"] == field


def test_what_is_not_there(wire: httpx.Client, headless: Any, neighbour: Any) -> None:
    replay = wire.post(f"/browsers/{neighbour.session_id}/replays", json={"max_duration_in_seconds": 1}).json()
    for replay_id in ("x", "htzv5orfit78e1m2biiifpbv", "..%2F..%2Fx", replay["replay_id"]):
        for method, tail in (("GET", ""), ("POST", "/stop")):
            answer = wire.request(method, f"/browsers/{headless.session_id}/replays/{replay_id}{tail}")
            assert (answer.status_code, answer.json()["code"]) == (404, "replay_not_found"), replay_id
    for method, path in (("GET", "/replays"), ("POST", "/replays"), ("GET", "/replays/x"), ("POST", "/replays/x/stop")):
        answer = wire.request(method, f"/browsers/nobody{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "browser_not_found")
    assert wire.request("DELETE", f"/browsers/{headless.session_id}/replays").status_code == 405


def test_a_recording_address_opens_nothing_else(wire: httpx.Client, server: Server, headless: Any, neighbour: Any) -> None:
    replays = [
        wire.post(f"/browsers/{session.session_id}/replays", json={"max_duration_in_seconds": 1}).json()
        for session in (headless, neighbour)
    ]
    jwt = sessions.jwt_of(replays[0]["replay_view_url"])
    view = f"{server.base_url}/browser/replays"
    assert httpx.get(view, params={"jwt": jwt}).status_code in (200, 202)
    other = httpx.get(view, params={"jwt": jwt, "replay_id": replays[1]["replay_id"]})
    assert (other.status_code, other.json()["code"]) == (404, "replay_not_found")
    for params in ({}, {"jwt": "x"}, {"jwt": jwt + "x"}, {"jwt": sessions.jwt_of(headless.cdp_ws_url)}):
        refused = httpx.get(view, params=params)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
    assert httpx.get(f"{headless.base_url}/process", params={"jwt": jwt}).status_code == 401
    # Nor are the routes between server and guest anybody's.
    own = sessions.jwt_of(headless.cdp_ws_url)
    assert httpx.get(f"{headless.base_url}/internal/replays/x/end", params={"jwt": own}).status_code == 404
    assert wire.get(f"/browsers/{headless.session_id}/internal/replays/x/end").status_code == 404


def test_a_session_has_so_many_at_once(make: Callable[..., Any], wire: httpx.Client) -> None:
    session = make(headless=True)
    path = f"/browsers/{session.session_id}/replays"
    started = [wire.post(path, json={"framerate": 1}) for _ in range(8)]
    assert [answer.status_code for answer in started] == [201] * 8
    refused = wire.post(path)
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_replays")
    assert refused.headers["x-should-retry"] == "false"
    assert wire.post(f"{path}/{started[0].json()['replay_id']}/stop").status_code == 200
    assert wire.post(path, json={"max_duration_in_seconds": 1}).status_code == 201


def test_sound(kernel: Kernel, make: Callable[..., Any], tmp_path: pathlib.Path, recorded: Any) -> None:
    recorder = Recorder(kernel, recorded.session_id, tmp_path)
    tone = """(async () => { const context = new AudioContext(); const tone = context.createOscillator();
        tone.connect(context.destination); tone.start(); await context.resume(); window.context = context; })()"""
    with Cdp(recorded.cdp_ws_url) as browser:
        page = first_page(browser)
        page.goto(CLOCK)
        silent = recorder.start()
        running = sessions.sh(kernel, recorded.session_id, "pgrep -x pulseaudio")
        assert running.code == 1, "without sound nothing of it runs"
        replay = recorder.start(record_audio=True)
        page.call("Runtime.evaluate", expression=tone, awaitPromise=True, userGesture=True)
        last(page, 4)
        recorder.stop(replay)
        recorder.stop(silent)
    path = recorder.file(replay)
    seen = film.probe(path)
    assert seen.audio is not None and seen.audio["codec_name"] == "aac"
    assert film.loudness(path) > -30
    item = recorder.listed(replay)
    assert abs(seen.duration - wall(item)) <= 0.5
    assert film.probe(recorder.file(silent)).audio is None


def test_a_full_quota_ends_the_recording_and_not_the_session(tmp_path: pathlib.Path) -> None:
    noise = """<body style='margin:0'><canvas id=c width=1280 height=700></canvas><script>
        const context = c.getContext('2d'), image = context.createImageData(1280, 700);
        setInterval(() => { for (let n = 0; n < image.data.length; n += 65536) crypto.getRandomValues(image.data.subarray(n, n + 65536));
            for (let n = 3; n < image.data.length; n += 4) image.data[n] = 255; context.putImageData(image, 0, 0); }, 100);</script>"""
    server = Server(extra_env={"BROWSERD_REPLAY_LIMIT_MIB": "1"})
    try:
        with sessions.client(server.base_url, KEY) as kernel:
            session = sessions.create(kernel, headless=True)
            recorder = Recorder(kernel, session.session_id, tmp_path)
            with Cdp(session.cdp_ws_url) as browser:
                page = first_page(browser)
                page.goto("data:text/html," + urllib.parse.quote(noise))
                replay = recorder.start()
                item = recorder.ended(replay)
                assert item.end_reason == "disk_limit"
                assert page.evaluate("1 + 1") == 2
            assert film.probe(recorder.file(replay)).duration > 0
            # A later server still has it, and a recording that the server's end cut short.
            cut = recorder.start()
        server.stop()
        with serving(state_dir=server.state_dir) as again:
            with sessions.client(again.base_url, KEY) as kernel:
                recorder = Recorder(kernel, session.session_id, tmp_path)
                assert film.probe(recorder.file(replay)).duration > 0
                assert recorder.listed(cut).end_reason == "session_ended"
            assert not leaks.left_over([session.session_id], again.state_dir)
    finally:
        server.stop()
        server.discard()
