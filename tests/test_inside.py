"""The guest's half of `PATCH /browsers/{id}`, called directly: size, start page."""
from __future__ import annotations

import time
from typing import Any, Callable, Iterator

import httpx
import pytest
from kernel import Kernel
from websockets.exceptions import ConnectionClosed

from harness import sessions
from harness.cdp import Cdp, Page, back, first_page, new_page
from harness.deadline import eventually
from harness.server import Server
from harness.site import Site

# what the viewport is the size of: the screen with the window on it, or, where there is no screen, the page
SIZES = {False: "[outerWidth, outerHeight, screen.width, screen.height].join('x')", True: "[innerWidth, innerHeight, outerWidth, innerHeight].join('x')"}


@pytest.fixture
def guest(server: Server) -> Iterator[Callable[[Any, str, dict[str, Any]], httpx.Response]]:
    """Sends a request to a session's guest itself, as the server does."""
    def post(session: Any, path: str, body: dict[str, Any]) -> httpx.Response:
        socket = server.state_dir / "sessions" / session.session_id / "guest.sock"
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://guest", timeout=30) as client:
            return client.post(path, json=body)
    yield post


def shows(page: Page, width: int, height: int, headless: bool, kiosk: bool) -> None:
    """The page has this size within moments."""
    wanted = f"{width}x{height}x{width}x{height}"
    eventually(lambda: page.evaluate(SIZES[headless]) == wanted, f"the page shows {wanted}", 10)
    if kiosk:
        eventually(lambda: page.evaluate("innerHeight") == height, "the page fills the screen", 10)


@pytest.mark.parametrize("headless", [True, False], ids=["headless", "headful"])
@pytest.mark.parametrize("kiosk", [True, False], ids=["kiosk", "windowed"])
def test_another_size(make: Callable[..., Any], guest: Any, kernel: Kernel, headless: bool, kiosk: bool) -> None:
    session = make(headless=headless, kiosk_mode=kiosk, viewport={"width": 1280, "height": 800})
    with Cdp(session.cdp_ws_url) as cdp:
        page = first_page(cdp)
        shows(page, 1280, 800, headless, kiosk)
        for width, height in ((1024, 768), (1920, 1080), (2560, 1440), (600, 844)):
            began = time.monotonic()
            answer = guest(session, "/internal/viewport", {"width": width, "height": height})
            answered = (time.monotonic() - began) * 1000
            assert (answer.status_code, answer.content) == (204, b""), answer.text
            shows(page, width, height, headless, kiosk)
            seen = (time.monotonic() - began) * 1000
            print(f"{width}x{height} headless={headless} kiosk={kiosk}: {answered:.0f} ms, seen after {seen:.0f} ms")
            later = new_page(cdp)
            shows(later, width, height, headless, kiosk)
            later.close()
    sessions.sh(kernel, session.session_id, "pkill -9 -o chromium", as_root=True)
    with back(session.cdp_ws_url) as cdp:
        shows(first_page(cdp), 600, 844, headless, kiosk)
        if not headless:
            answer = guest(session, "/internal/viewport", {"width": 7680, "height": 4320})
            assert answer.status_code == 400 and "3840 by 2160" in answer.json()["message"]
        assert guest(session, "/internal/viewport", {"width": 0, "height": 1}).status_code == 400


def test_the_size_after_the_x_server_ended(make: Callable[..., Any], guest: Any, kernel: Kernel) -> None:
    session = make(headless=False)
    assert guest(session, "/internal/viewport", {"width": 1000, "height": 700}).status_code == 204
    with Cdp(session.cdp_ws_url) as before:
        sessions.sh(kernel, session.session_id, "pkill -9 Xvfb", as_root=True)
        # Chromium outlives its X server by a moment, in which one could connect to it
        with pytest.raises(ConnectionClosed):
            while True:
                before.socket.recv(30)
    with back(session.cdp_ws_url) as cdp:
        shows(first_page(cdp), 1000, 700, False, False)


@pytest.mark.parametrize("headless", [True, False], ids=["headless", "headful"])
def test_start_page_opens_in_the_tab_in_front(make: Callable[..., Any], guest: Any, site: Site, headless: bool) -> None:
    session = make(headless=headless)
    with Cdp(session.cdp_ws_url) as cdp:
        first = first_page(cdp)
        front = new_page(cdp, site.url("/hello"))
        new_page(cdp)
        cdp.call("Target.activateTarget", targetId=front.target)
        answer = guest(session, "/internal/start_url", {"url": site.url("/title/started")})
        assert (answer.status_code, answer.content) == (204, b"")
        eventually(lambda: front.evaluate("document.title") == "started", "the start page is there")
        assert first.evaluate("location.href") == "about:blank"
        assert guest(session, "/internal/start_url", {"url": "http://127.0.0.1:9/"}).status_code == 204


def test_nobody_else_gets_there(wire: httpx.Client, headless: Any) -> None:
    for path in ("viewport", "start_url"):
        assert wire.post(f"/browsers/{headless.session_id}/internal/{path}", json={}).status_code == 404
        jwt = sessions.jwt_of(headless.cdp_ws_url)
        assert httpx.post(f"{headless.base_url}/internal/{path}?jwt={jwt}", json={}).status_code == 404
