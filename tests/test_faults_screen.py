"""What a client sees of the screen right after it has been answered: sizes, input, pictures."""
from __future__ import annotations

import base64
import threading
from typing import Any, Callable, Iterator

import httpx
import pytest
from kernel import Kernel

from harness import png, sessions
from harness.cdp import Cdp, CdpError, Page, first_page
from harness.deadline import eventually
from harness.site import Site

WIDTH, HEIGHT = 1280, 800
SIZES = "[innerWidth, innerHeight, outerWidth, screen.width]"
CLICKS = "window.clicks = []; onclick = event => { clicks.push([event.clientX, event.clientY]) }; 0"


def picture(kernel: Kernel, session_id: str) -> tuple[int, int]:
    shown = png.read(kernel.browsers.computer.capture_screenshot(session_id).read())
    return shown.width, shown.height


def opened(cdp: Cdp, how: Callable[[], Any]) -> Page:
    """The page that `how` opens."""
    pages = lambda: {info["targetId"] for info in cdp.call("Target.getTargets")["targetInfos"] if info["type"] == "page"}
    before = pages()
    how()
    return Page(cdp, eventually(lambda: pages() - before, "another page is open").pop())


# --- the screen of a headless session is its page


@pytest.mark.parametrize("kiosk", [False, True], ids=["windowed", "kiosk"])
def test_a_headless_page_has_the_size_of_the_screen(kernel: Kernel, make: Callable[..., Any], site: Site, kiosk: bool) -> None:
    browser = make(viewport={"width": WIDTH, "height": HEIGHT}, kiosk_mode=kiosk)
    session_id = browser.session_id

    def fills(page: Page, width: int = WIDTH, height: int = HEIGHT) -> None:
        # a picture waits until the page has its size, so what is evaluated after it needs no waiting
        assert picture(kernel, session_id) == (width, height)
        assert page.evaluate(SIZES) == [width, height, width, width]
        assert page.evaluate("outerHeight <= screen.height"), "the screen has room for the window"
        page.evaluate(CLICKS)
        kernel.browsers.computer.click_mouse(session_id, x=width - 1, y=height - 1)
        assert page.evaluate("clicks") == [[width - 1, height - 1]]
        with pytest.raises(Exception, match=f"{width}x{height}"):
            kernel.browsers.computer.click_mouse(session_id, x=1, y=height)

    with Cdp(browser.cdp_ws_url) as cdp:
        page = first_page(cdp)
        page.goto(site.url("/hello"))
        fills(page)
        for features in ("", "width=400,height=300", "width=400,height=300,noopener"):
            # no gesture: a driver has none, and there is nobody to unblock a popup
            popup = opened(cdp, lambda features=features: page.evaluate(f"open('/title/popup', '_blank', '{features}'); 0"))
            eventually(lambda popup=popup: popup.evaluate("document.title") == "popup", "the popup is there")
            fills(popup)
            popup.close()
            eventually(lambda: page.evaluate("document.visibilityState") == "visible", "the page is in front again")
        window = opened(cdp, lambda: cdp.call("Target.createTarget", url="about:blank", newWindow=True))
        fills(window)
        popup = opened(cdp, lambda: window.evaluate("open('about:blank', '_blank', 'popup'); 0"))
        fills(popup)
        for width, height in ((1000, 700), (1400, 900)):
            kernel.browsers.update(session_id, viewport={"width": width, "height": height})
            fills(popup, width, height)
        popup.close()
        window.close()
        eventually(lambda: page.evaluate("document.visibilityState") == "visible", "the page is in front again")
        fills(page, 1400, 900)


def test_a_window_keeps_the_size_a_client_gave_it(kernel: Kernel, make: Callable[..., Any]) -> None:
    browser = make(viewport={"width": WIDTH, "height": HEIGHT})
    with Cdp(browser.cdp_ws_url) as cdp:
        page = first_page(cdp)
        window = cdp.call("Browser.getWindowForTarget", targetId=page.target)["windowId"]
        cdp.call("Browser.setWindowBounds", windowId=window, bounds={"width": WIDTH, "height": 600})
        eventually(lambda: page.evaluate("outerHeight") == 600, "the window has the size")
        inner = page.evaluate("innerHeight")
        assert picture(kernel, browser.session_id) == (WIDTH, inner)
        # a size that a driver emulates is the driver's, and the window stays as it is
        cdp.call("Browser.setWindowBounds", windowId=window, bounds={"width": WIDTH, "height": HEIGHT + 600 - inner})
        eventually(lambda: page.evaluate("innerHeight") == HEIGHT, "the page has the size of the screen")
        before = page.evaluate("outerHeight")
        page.call("Emulation.setDeviceMetricsOverride", width=WIDTH, height=HEIGHT - 80, deviceScaleFactor=1, mobile=False)
        assert picture(kernel, browser.session_id) == (WIDTH, HEIGHT - 80)
        assert page.evaluate("outerHeight") == before


# --- an action has been dealt with when it is answered

FORM = """<!doctype html><style>body { margin: 0; height: 9000px } textarea { position: fixed; left: 0; top: 0; width: 600px; height: 300px }</style>
<textarea id=field></textarea><script>
window.seen = [];
for (const kind of ['click', 'mousemove', 'mouseup', 'wheel', 'keyup'])
    addEventListener(kind, event => { const end = performance.now() + 20; while (performance.now() < end); seen.push(kind); }, { passive: true });
</script>"""


@pytest.fixture(scope="module")
def desk(kernel: Kernel, site: Site) -> Iterator[tuple[str, Page]]:
    """A headful session with a slow form in front."""
    site.routes["/form"] = lambda handler, _: handler._answer(200, "text/html", FORM.encode())
    browser = sessions.create(kernel, headless=False, viewport={"width": WIDTH, "height": HEIGHT})
    with Cdp(browser.cdp_ws_url) as cdp:
        page = first_page(cdp)
        page.goto(site.url("/form"))
        page.call("Page.bringToFront")
        page.evaluate("field.focus()")
        eventually(lambda: page.evaluate("document.hasFocus()"), "the page has the focus")
        yield browser.session_id, page
    kernel.browsers.delete_by_id(browser.session_id)


def test_what_was_copied_is_in_the_clipboard(kernel: Kernel, desk: tuple[str, Page]) -> None:
    session_id, page = desk
    computer = kernel.browsers.computer
    for number in range(25):
        page.evaluate(f"field.value = 'copy {number}'; field.focus()")
        computer.press_key(session_id, keys=["Ctrl+a", "Ctrl+c"])
        assert computer.read_clipboard(session_id).text == f"copy {number}"


def test_the_address_bar_can_be_copied(kernel: Kernel, desk: tuple[str, Page], site: Site) -> None:
    """What the official templates do to know where they are."""
    session_id, page = desk
    computer = kernel.browsers.computer
    for number in range(10):
        page.evaluate(f"history.replaceState(null, '', '/form?{number}'); field.focus()")
        computer.press_key(session_id, keys=["Ctrl+l"])
        computer.press_key(session_id, keys=["Ctrl+c"])
        assert computer.read_clipboard(session_id).text == site.url(f"/form?{number}")
        # from the address bar to the page
        computer.press_key(session_id, keys=["Escape", "Escape"])
        page.call("Page.bringToFront")


def test_pages_have_seen_input_when_it_is_answered(kernel: Kernel, desk: tuple[str, Page]) -> None:
    session_id, page = desk
    computer = kernel.browsers.computer
    left, top = page.evaluate("[screenX + outerWidth - innerWidth, screenY + outerHeight - innerHeight]")
    for number in range(8):
        x, y = left + 700 + number, top + 400
        for act, seen in (
            (lambda: computer.move_mouse(session_id, x=x, y=y, smooth=False), "mousemove"),
            (lambda: computer.click_mouse(session_id, x=x, y=y), "click"),
            (lambda: computer.scroll(session_id, x=x, y=y, delta_y=1), "wheel"),
            (lambda: computer.press_key(session_id, keys=["F9"]), "keyup"),
            (lambda: computer.drag_mouse(session_id, path=[[x, y], [x + 5, y + 5]], duration_ms=50), "mouseup"),
        ):
            page.evaluate("seen.length = 0; field.focus()")
            act()
            assert seen in page.evaluate("seen")
        page.evaluate("field.value = ''; field.focus()")
        computer.type_text(session_id, text=f"text {number}")
        assert page.evaluate("field.value") == f"text {number}"


def test_the_window_has_its_size_when_it_is_answered(kernel: Kernel, make: Callable[..., Any]) -> None:
    browser = make(headless=False, viewport={"width": 1024, "height": 768})
    with Cdp(browser.cdp_ws_url) as cdp:
        page = first_page(cdp)
        for width, height in ((1200, 900), (1024, 768), (1280, 800), (1024, 700), (1200, 800), (1024, 768)) * 2:
            kernel.browsers.update(browser.session_id, viewport={"width": width, "height": height})
            shown = page.evaluate("[outerWidth, outerHeight, innerWidth, screen.width, screen.height]")
            assert shown == [width, height, width, width, height]


# --- pictures of a page that is becoming another


def test_a_picture_comes_while_pages_change(kernel: Kernel, make: Callable[..., Any], wire: httpx.Client, site: Site) -> None:
    browser = make(viewport={"width": WIDTH, "height": HEIGHT})
    done = threading.Event()
    failed: list[BaseException] = []
    there = "data:text/html;base64," + base64.b64encode(b"<body style='background: #fc3'>data").decode()

    def change() -> None:
        try:
            with Cdp(browser.cdp_ws_url) as cdp:
                page = first_page(cdp)
                while not done.is_set():
                    page.goto(there)
                    page.goto(site.url("/hello"))
        except BaseException as error:
            failed.append(error)

    changing = threading.Thread(target=change)
    changing.start()
    try:
        answers = []
        for number in range(12):
            body = {"region": {"x": 0, "y": 0, "width": 100, "height": HEIGHT}} if number % 3 == 0 else {}
            answers.append(wire.post(f"/browsers/{browser.session_id}/computer/screenshot", json=body))
    finally:
        done.set()
        changing.join()
    assert not failed
    assert [answer.text for answer in answers if answer.status_code != 200] == []
    assert {(lambda shown: (shown.width, shown.height))(png.read(answer.content)) for answer in answers} == {(100, HEIGHT), (WIDTH, HEIGHT)}


def test_fractions_of_pixels_are_rounded(kernel: Kernel, make: Callable[..., Any], wire: httpx.Client) -> None:
    """Models that look at scaled pictures send them."""
    browser = make(viewport={"width": WIDTH, "height": HEIGHT})
    with Cdp(browser.cdp_ws_url) as cdp:
        page = first_page(cdp)
        page.evaluate(CLICKS)
        computer = f"/browsers/{browser.session_id}/computer"
        for action, body in (
            ("click_mouse", {"x": 100.4, "y": 200.5}),
            ("scroll", {"x": 10.5, "y": 10, "delta_y": 1.2}),
            ("drag_mouse", {"path": [[0.4, 0.4], [5.6, 5]], "duration_ms": 50}),
            ("screenshot", {"region": {"x": 0.2, "y": 0, "width": 9.6, "height": 10}}),
        ):
            answer = wire.post(f"{computer}/{action}", json=body)
            assert answer.status_code == 200, answer.text
        assert png.read(answer.content).width == 10
        assert page.evaluate("clicks[0]") == [100, 201]
        refused = wire.post(f"{computer}/click_mouse", json={"x": WIDTH - 0.4, "y": 0})
        assert refused.status_code == 400 and f"{WIDTH}x{HEIGHT}" in refused.json()["message"]


# --- what a page can tell (docs/stealth.md)

TOLD = """(async () => {
    const worker = new Worker(URL.createObjectURL(new Blob(['postMessage([navigator.userAgent, navigator.languages])'])));
    const [agent, languages] = await new Promise(told => worker.onmessage = event => told(event.data));
    return {
        agents: [...new Set([navigator.userAgent, agent])], driven: navigator.webdriver,
        languages: [...new Set([navigator.languages.join(), languages.join()])], zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
        mouse: matchMedia('(hover: hover) and (pointer: fine)').matches, plugins: navigator.plugins.length, chrome: typeof window.chrome,
        fits: outerWidth <= screen.width && outerHeight <= screen.height && innerHeight <= outerHeight,
    };
})()"""


@pytest.mark.parametrize("headless", [True, False], ids=["headless", "headful"])
def test_pages_are_not_told_of_automation(make: Callable[..., Any], kernel: Kernel, site: Site, headless: bool) -> None:
    browser = make(headless=headless, stealth=True, location={"timezone": "Asia/Tokyo", "locale": "fr-FR"})
    assert browser.stealth and kernel.browsers.retrieve(browser.session_id).stealth
    with Cdp(browser.cdp_ws_url) as cdp:
        page = first_page(cdp)
        page.goto(site.url("/hello"))
        told = page.evaluate(TOLD)
        version = cdp.call("Browser.getVersion")["product"].split("/")[1].split(".")[0]
        agent = f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
        assert told == {
            "agents": [agent], "driven": False, "languages": ["fr-FR,fr,en-US,en"], "zone": "Asia/Tokyo",
            "mouse": True, "plugins": 5, "chrome": "object", "fits": True,
        }
        sent = page.evaluate("fetch('/echo').then(answer => answer.json()).then(echo => echo.headers)")
        assert sent["user-agent"] == agent and "Headless" not in str(sent)
        assert sent["accept-language"].startswith("fr-FR,fr;q=0.9")
