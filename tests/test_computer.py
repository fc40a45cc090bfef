"""Mouse, keyboard, screen and clipboard, headless and headful, by key and direct."""
from __future__ import annotations

import base64
import threading
from dataclasses import dataclass
from typing import Any, Iterator

import httpx
import kernel as sdk
import pytest
from kernel import Kernel

from harness import png, sessions
from harness.cdp import Cdp, Page, first_page, new_page
from harness.deadline import eventually

PAGE = """<!doctype html><style>body { margin: 0 } textarea { position: absolute; left: 20px; top: 20px; width: 400px; height: 100px }
canvas { position: absolute; left: 20px; top: 200px } #far { position: absolute; top: 5000px; left: 5000px }</style>
<textarea id="field"></textarea><canvas id="canvas" width="400" height="200"></canvas><div id="far">.</div>
<script>{
window.log = [];
for (const kind of ["mousedown", "mouseup", "click", "auxclick", "dblclick", "contextmenu", "keydown", "keyup"])
    addEventListener(kind, e => { log.push({kind, button: e.button, x: e.clientX, y: e.clientY, key: e.key, code: e.code,
        held: (e.ctrlKey ? "c" : "") + (e.shiftKey ? "s" : "") + (e.altKey ? "a" : "") + (e.metaKey ? "m" : "")});
        if (kind === "contextmenu" || (e.button ?? 0) > 2) e.preventDefault(); });
window.moves = [];
addEventListener("mousemove", e => moves.push([e.clientX, e.clientY]));
window.wheels = 0;
addEventListener("wheel", e => wheels++);
window.pen = canvas.getContext("2d");
let last = null;
for (const kind of ["mousedown", "mousemove", "mouseup"])
    canvas.addEventListener(kind, e => { const here = [e.offsetX, e.offsetY];
        if (last) { pen.lineWidth = 3; pen.beginPath(); pen.moveTo(...last); pen.lineTo(...here); pen.stroke(); }
        last = kind === "mouseup" || !e.buttons ? null : here; });
}</script>"""

TEXTS = {
    "latin": "Grüße, Žluťoučký kůň! façade €5 ½",
    "greek": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία",
    "cyrillic": "Съешь ещё этих мягких французских булок",
    "arabic": "نص حكيم له سر قاطع",
    "devanagari": "ऋषियों को सताने वाले दुष्ट",
    "chinese": "天地玄黃宇宙洪荒日月盈昃辰宿列張",
    "hangul": "다람쥐 헌 쳇바퀴에 타고파",
    "emoji": "🎉👩‍💻🇪🇺❤️𝒳",
}


@dataclass
class Screen:
    """A session with a page in front, and where the page is on the screen."""

    kernel: Kernel
    browser: Any
    cdp: Cdp
    page: Page
    headless: bool

    @property
    def id(self) -> str:
        return self.browser.session_id

    @property
    def computer(self) -> Any:
        return self.kernel.browsers.computer

    def at(self, x: int, y: int) -> dict[str, int]:
        """A point of the page as a point of the screen."""
        if self.headless:
            return {"x": x, "y": y}
        left, top = self.page.evaluate("[screenX + outerWidth - innerWidth, screenY + outerHeight - innerHeight]")
        return {"x": left + x, "y": top + y}

    def size(self) -> tuple[int, int]:
        width, height = self.page.evaluate("[innerWidth, innerHeight]" if self.headless else "[screen.width, screen.height]")
        return width, height

    def fresh(self) -> None:
        """The test page, as new, in front and with the keyboard."""
        self.page.evaluate(f"document.open(); document.write({PAGE!r}); document.close()")
        self.page.call("Page.bringToFront")
        self.page.evaluate("field.focus()")
        eventually(lambda: self.page.evaluate("document.hasFocus()"), "the page has the focus")

    def log(self, *kinds: str) -> list[dict[str, Any]]:
        return [entry for entry in self.page.evaluate("log") if entry["kind"] in kinds]

    def text(self) -> str:
        return self.page.evaluate("field.value")

    def typed(self, text: str) -> None:
        """The field ends up with `text`."""
        eventually(lambda: self.text() == text, "the text is in the field", 10)


@pytest.fixture(scope="module", params=["headless", "headful"])
def session(request: pytest.FixtureRequest, kernel: Kernel) -> Iterator[Screen]:
    headless = request.param == "headless"
    browser = sessions.create(kernel, headless=headless, viewport={"width": 1280, "height": 800})
    with Cdp(browser.cdp_ws_url) as cdp:
        yield Screen(kernel, browser, cdp, first_page(cdp), headless)
    kernel.browsers.delete_by_id(browser.session_id)


@pytest.fixture
def screen(session: Screen) -> Screen:
    session.fresh()
    return session


# --- mouse


def test_a_click_lands_where_it_is_aimed(screen: Screen) -> None:
    screen.computer.click_mouse(screen.id, **screen.at(600, 50))
    [click] = eventually(lambda: screen.log("click"), "the click")
    assert (click["x"], click["y"], click["button"]) == (600, 50, 0)
    assert screen.computer.get_mouse_position(screen.id).to_dict() == screen.at(600, 50)


@pytest.mark.parametrize(("button", "number"), [("left", 0), ("middle", 1), ("right", 2), ("back", 3), ("forward", 4)])
def test_buttons(screen: Screen, button: Any, number: int) -> None:
    screen.computer.click_mouse(screen.id, button=button, **screen.at(600, 50))
    eventually(lambda: screen.log("mouseup"), "the button is up")
    assert [entry["button"] for entry in screen.log("mousedown", "mouseup")] == [number, number]


def test_double_and_triple_click(screen: Screen) -> None:
    screen.computer.click_mouse(screen.id, num_clicks=2, **screen.at(600, 50))
    eventually(lambda: screen.log("dblclick"), "the double click")
    assert len(screen.log("click")) == 2
    screen.page.evaluate("field.value = 'one two three'; log.length = 0")
    screen.computer.click_mouse(screen.id, num_clicks=3, **screen.at(60, 30))
    eventually(lambda: screen.page.evaluate("getSelection().toString()") == "one two three", "the line is selected")


def test_down_and_up(screen: Screen) -> None:
    screen.computer.click_mouse(screen.id, click_type="down", **screen.at(600, 50))
    eventually(lambda: screen.log("mousedown"), "the button is down")
    screen.computer.move_mouse(screen.id, smooth=False, **screen.at(700, 60))
    assert screen.log("mouseup") == []
    screen.computer.click_mouse(screen.id, click_type="up", **screen.at(700, 60))
    [up] = eventually(lambda: screen.log("mouseup"), "the button is up")
    assert (up["x"], up["y"]) == (700, 60)


def test_keys_held_during_a_click(screen: Screen) -> None:
    screen.computer.click_mouse(screen.id, hold_keys=["Ctrl", "Shift_L"], **screen.at(600, 50))
    [click] = eventually(lambda: screen.log("click"), "the click")
    assert click["held"] == "cs"
    eventually(lambda: len(screen.log("keyup")) == 2, "the keys are up")
    screen.computer.click_mouse(screen.id, **screen.at(610, 50))
    eventually(lambda: len(screen.log("click")) == 2, "the next click")
    assert screen.log("click")[1]["held"] == ""


def test_moves(screen: Screen) -> None:
    screen.computer.move_mouse(screen.id, smooth=False, **screen.at(500, 400))
    eventually(lambda: [500, 400] in screen.page.evaluate("moves"), "the move")
    screen.page.evaluate("moves.length = 0")
    screen.computer.move_mouse(screen.id, duration_ms=300, **screen.at(900, 600))
    eventually(lambda: screen.page.evaluate("moves")[-1:] == [[900, 600]], "the end of the move")
    moves = screen.page.evaluate("moves")
    assert len(moves) >= 5
    assert screen.computer.get_mouse_position(screen.id).to_dict() == screen.at(900, 600)
    screen.computer.move_mouse(screen.id, hold_keys=["alt"], **screen.at(910, 610))
    eventually(lambda: screen.log("keyup"), "the key is up")


@pytest.mark.parametrize("how", [{}, {"duration_ms": 600}, {"smooth": False, "steps_per_segment": 5, "step_delay_ms": 50}, {"delay": 30, "smooth": False, "step_delay_ms": 20}])
def test_a_drag_draws(screen: Screen, how: dict[str, Any]) -> None:
    points = [(40, 220), (240, 220), (240, 380)]
    path = [list(screen.at(*point).values()) for point in points]
    screen.computer.drag_mouse(screen.id, path=path, **how)
    eventually(lambda: screen.log("mouseup"), "the end of the drag")
    down, up = screen.log("mousedown", "mouseup")
    assert (down["x"], down["y"], up["x"], up["y"]) == (40, 220, 240, 380)
    # Browsers hand a page one move a frame, so that the corner may be cut a little; frames are few where processors are busy.
    for (x, y), near in zip(points, (5, 60, 5)):
        size = 2 * near
        inked = screen.page.evaluate(f"pen.getImageData({x - 20 - near}, {y - 200 - near}, {size}, {size}).data.some(value => value > 0)")
        assert inked, (x, y)


def test_scroll(screen: Screen) -> None:
    def offset() -> list[int]:
        return screen.page.evaluate("[Math.round(scrollX), Math.round(scrollY)]")

    screen.computer.scroll(screen.id, delta_y=3, **screen.at(700, 300))
    eventually(lambda: offset() == [0, 360], "three notches down")
    screen.computer.scroll(screen.id, delta_y=-1, delta_x=2, **screen.at(700, 300))
    eventually(lambda: offset() == [240, 240], "one notch up, two to the right")
    screen.computer.scroll(screen.id, delta_x=-2, delta_y=-9, **screen.at(700, 300))
    eventually(lambda: offset() == [0, 0], "back again")


def test_position_is_true_when_others_move_the_mouse(screen: Screen) -> None:
    if screen.headless:
        assert set(screen.computer.get_mouse_position(screen.id).to_dict()) == {"x", "y"}
        return
    before = screen.computer.get_mouse_position(screen.id)
    script = (
        "import ctypes; x = ctypes.CDLL('libX11.so.6'); x.XOpenDisplay.restype = ctypes.c_void_p; d = ctypes.c_void_p(x.XOpenDisplay(None));"
        "x.XDefaultRootWindow.restype = ctypes.c_ulong; r = ctypes.c_ulong(x.XDefaultRootWindow(d));"
        "x.XWarpPointer(d, 0, r, 0, 0, 0, 0, 123, 234); x.XSync(d, 0); print(1)"
    )
    assert sessions.python(screen.kernel, screen.id, script) == 1
    after = screen.computer.get_mouse_position(screen.id)
    assert (after.x, after.y) == (123, 234) != (before.x, before.y)


# --- keyboard


def test_plain_text(screen: Screen) -> None:
    text = "The quick brown Fox!\n\t0123456789 ~`@#$%^&*()_+-={}[]|\\:;\"'<>,.?/"
    # a tab leaves a textarea
    screen.page.evaluate("field.addEventListener('keydown', e => { if (e.key === 'Tab') { e.preventDefault(); field.setRangeText('\\t', field.selectionStart, field.selectionEnd, 'end') } })")
    screen.computer.type_text(screen.id, text=text)
    screen.typed(text)


@pytest.mark.parametrize("script", TEXTS)
def test_any_script(screen: Screen, script: str) -> None:
    screen.computer.type_text(screen.id, text=TEXTS[script])
    screen.typed(TEXTS[script])


def test_all_scripts_at_once_and_again(screen: Screen) -> None:
    text = " / ".join(TEXTS.values())
    for count in range(1, 4):
        screen.computer.type_text(screen.id, text=text)
        screen.typed(text * count)


def test_long_text(screen: Screen) -> None:
    """2,000 characters, 1,500 of them different."""
    text = "".join(chr(0x4E00 + n) for n in range(1500)) + "plain text 12345 " * 30
    text = text[:2000]
    screen.computer.type_text(screen.id, text=text)
    screen.typed(text)


def test_other_layouts(screen: Screen) -> None:
    if screen.headless:
        return
    ran = sessions.sh(screen.kernel, screen.id, "command -v setxkbmap >/dev/null && setxkbmap -layout ru && echo set; true")
    if "set" not in ran.out:
        return
    try:
        screen.computer.type_text(screen.id, text="mixed текст 漢字")
        screen.typed("mixed текст 漢字")
    finally:
        sessions.sh(screen.kernel, screen.id, "setxkbmap -layout us")


def test_paced_text(screen: Screen, wire: httpx.Client) -> None:
    screen.computer.type_text(screen.id, text="né ж", delay=5)
    screen.typed("né ж")
    screen.page.evaluate("field.value = ''")
    answer = wire.post(f"/browsers/{screen.id}/computer/type", json={"text": "typed by hand", "typo_chance": 0.1, "delay": 10})
    assert answer.status_code == 200, answer.text
    screen.typed("typed by hand")
    screen.page.evaluate("field.value = ''")
    answer = wire.post(f"/browsers/{screen.id}/computer/type", json={"text": "a person", "smooth": True})
    assert answer.status_code == 200, answer.text
    screen.typed("a person")


def test_keys(screen: Screen) -> None:
    screen.computer.press_key(screen.id, keys=["a", "Shift+b", "space", "é", "U+4e2d", "minus", "BackSpace", "Return"])
    screen.typed("aB é中\n")
    eventually(lambda: len(screen.log("keyup")) >= 9, "all keys are up")
    assert [entry["key"] for entry in screen.log("keydown")][:4] == ["a", "Shift", "B", " "]
    screen.page.evaluate("log.length = 0")
    screen.computer.press_key(screen.id, keys=["F9", "Left", "Page_Down", "KP_5"], hold_keys=["Shift"])
    eventually(lambda: len(screen.log("keyup")) >= 5, "all keys are up")
    assert [entry["code"] for entry in screen.log("keydown")][:4] == ["ShiftLeft", "F9", "ArrowLeft", "PageDown"]


def test_keys_held_for_a_time(screen: Screen) -> None:
    screen.computer.press_key(screen.id, keys=["Control_L", "Alt_L"], duration=50)
    eventually(lambda: len(screen.log("keyup")) == 2, "both are up")
    assert [(entry["kind"], entry["key"]) for entry in screen.log("keydown", "keyup")] == [
        ("keydown", "Control"), ("keydown", "Alt"), ("keyup", "Alt"), ("keyup", "Control"),
    ]


def test_copy_and_paste_by_keys(screen: Screen) -> None:
    screen.page.evaluate("field.value = 'kopiert: 写し 🎉'; field.focus()")
    screen.computer.press_key(screen.id, keys=["ctrl+a", "Ctrl+c"])
    eventually(lambda: screen.computer.read_clipboard(screen.id).text == "kopiert: 写し 🎉", "the clipboard")
    screen.computer.press_key(screen.id, keys=["Delete", "Ctrl+v", "Ctrl+v"])
    screen.typed("kopiert: 写し 🎉" * 2)


# --- clipboard


@pytest.mark.parametrize("text", ["", "plain", "two\nlines\ttab", "\r\n", " ", *TEXTS.values(), "x" * 300_000, "é漢" * 50_000], ids=lambda text: text[:8].strip())
def test_clipboard(screen: Screen, text: str) -> None:
    screen.computer.write_clipboard(screen.id, text=text)
    assert screen.computer.read_clipboard(screen.id).text == text


def test_pages_see_the_clipboard(screen: Screen) -> None:
    screen.computer.write_clipboard(screen.id, text="für die Seite: 🧵")
    screen.computer.press_key(screen.id, keys=["Ctrl+v"])
    screen.typed("für die Seite: 🧵")
    # and no tab is left of how it is done
    pages = [info for info in screen.cdp.call("Target.getTargets")["targetInfos"] if info["type"] in ("page", "other")]
    assert len(pages) == 1, pages


# --- screenshots

COLOURS = """<style>body { margin: 0; display: grid; grid-template: 50vh 50vh / 50vw 50vw; height: 100vh; overflow: hidden }</style>
<div style="background:#f00"></div><div style="background:#0f0"></div><div style="background:#00f"></div><div style="background:#fc3"></div>"""


def shown(screen: Screen) -> png.Picture:
    """The page as CDP captures it, once the colours are painted."""
    screen.page.evaluate(f"document.open(); document.write({COLOURS!r}); document.close()")
    screen.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return png.read(base64.b64decode(screen.page.call("Page.captureScreenshot", format="png")["data"]))


def test_a_screenshot_is_what_cdp_captures(screen: Screen, wire: httpx.Client) -> None:
    screen.computer.set_cursor_visibility(screen.id, hidden=True)
    expected = shown(screen)
    place = screen.at(0, 0)
    whole = screen.computer.capture_screenshot(screen.id)
    assert whole.headers["content-type"] == "image/png"

    def same() -> bool:
        picture = png.read(screen.computer.capture_screenshot(screen.id).read())
        assert (picture.width, picture.height) == screen.size()
        return picture.crop(place["x"], place["y"], expected.width, expected.height) == expected

    eventually(same, "the same picture", 20)
    region = {"x": place["x"] + expected.width // 2 - 20, "y": place["y"] + expected.height // 2 - 10, "width": 40, "height": 20}
    by_key = wire.post(f"/browsers/{screen.id}/computer/screenshot", json={"region": region})
    direct = screen.computer.capture_screenshot(screen.id, region=region).read()
    part = expected.crop(expected.width // 2 - 20, expected.height // 2 - 10, 40, 20)
    assert png.read(direct) == part
    assert png.read(by_key.content) == part
    screen.computer.set_cursor_visibility(screen.id, hidden=False)


def test_a_region_of_a_page_that_is_scrolled(screen: Screen) -> None:
    screen.computer.set_cursor_visibility(screen.id, hidden=True)
    screen.page.evaluate("document.body.style = 'background: #fff'; far.style = 'left: 0; top: 5000px; height: 2000px; width: 2000px; background: #123456'; scrollTo(0, 5000)")
    region = {**screen.at(100, 100), "width": 10, "height": 10}

    def dark() -> bool:
        picture = png.read(screen.computer.capture_screenshot(screen.id, region=region).read())
        return picture.rows == [bytes([0x12, 0x34, 0x56]) * 10] * 10

    eventually(dark, "the part that was scrolled to")
    screen.computer.set_cursor_visibility(screen.id, hidden=False)


def test_other_formats(screen: Screen, wire: httpx.Client) -> None:
    def take(**body: Any) -> httpx.Response:
        answer = wire.post(f"/browsers/{screen.id}/computer/screenshot", json=body)
        assert answer.status_code == 200, answer.text
        return answer

    good, poor = take(format="jpeg", quality=95), take(format="jpeg", quality=5)
    assert good.headers["content-type"] == "image/jpeg"
    assert good.content[:3] == b"\xff\xd8\xff"
    assert len(poor.content) < len(good.content)
    half = png.read(take(scale=0.5).content)
    width, height = screen.size()
    assert abs(half.width - width / 2) <= 1 and abs(half.height - height / 2) <= 1
    small = png.read(take(scale=0.25, region={"x": 0, "y": 0, "width": 400, "height": 200}).content)
    assert (small.width, small.height) == (100, 50)


def test_the_pointer_is_in_the_picture_unless_hidden(screen: Screen) -> None:
    assert screen.computer.set_cursor_visibility(screen.id, hidden=False).ok
    screen.computer.move_mouse(screen.id, smooth=False, **screen.at(700, 300))
    region = {key: value - 15 for key, value in screen.at(700, 300).items()} | {"width": 40, "height": 40}

    def colours() -> set[tuple[int, int, int]]:
        picture = png.read(screen.computer.capture_screenshot(screen.id, region=region).read())
        return {picture.pixel(x, y) for x in range(40) for y in range(40)}

    if not screen.headless:
        eventually(lambda: len(colours()) > 1, "the pointer")
    assert screen.computer.set_cursor_visibility(screen.id, hidden=True).ok
    assert colours() == {(255, 255, 255)}
    assert screen.computer.set_cursor_visibility(screen.id, hidden=False).ok


# --- batches and order


def test_a_batch_is_done_in_order(screen: Screen) -> None:
    place = screen.at(60, 60)
    screen.computer.batch(
        screen.id,
        actions=[
            {"type": "click_mouse", "click_mouse": place},
            {"type": "type_text", "type_text": {"text": "one "}},
            {"type": "sleep", "sleep": {"duration_ms": 10}},
            {"type": "type_text", "type_text": {"text": "zwei ж", "delay": 1}},
            {"type": "press_key", "press_key": {"keys": ["Home", "x"]}},
            {"type": "move_mouse", "move_mouse": {**screen.at(800, 500), "smooth": False}},
            {"type": "scroll", "scroll": {**screen.at(800, 500), "delta_y": 1}},
            {"type": "drag_mouse", "drag_mouse": {"path": [list(screen.at(800, 500).values()), list(screen.at(820, 520).values())], "duration_ms": 50}},
            {"type": "set_cursor", "set_cursor": {"hidden": False}},
        ],
    )
    screen.typed("xone zwei ж")
    eventually(lambda: screen.page.evaluate("wheels") >= 1, "the wheel")
    assert screen.computer.get_mouse_position(screen.id).to_dict() == screen.at(820, 520)


def test_a_batch_with_a_mistake_does_nothing(screen: Screen, wire: httpx.Client) -> None:
    answer = wire.post(
        f"/browsers/{screen.id}/computer/batch",
        json={"actions": [
            {"type": "type_text", "type_text": {"text": "never"}},
            {"type": "press_key", "press_key": {"keys": ["NoSuchKey"]}},
            {"type": "click_mouse", "click_mouse": {"x": -1, "y": 0}},
        ]},
    )
    assert answer.status_code == 400
    details = {detail["code"]: detail["message"] for detail in answer.json()["details"]}
    assert set(details) == {"actions[1].press_key.keys[0]", "actions[2].click_mouse.x"}
    assert details["actions[1].press_key.keys[0]"].startswith("actions[1] (press_key): ")
    assert "NoSuchKey" in details["actions[1].press_key.keys[0]"]
    assert answer.json()["message"].startswith("actions[1] (press_key): ")
    outside = wire.post(
        f"/browsers/{screen.id}/computer/batch",
        json={"actions": [{"type": "type_text", "type_text": {"text": "never"}}, {"type": "click_mouse", "click_mouse": {"x": 9999, "y": 1}}]},
    )
    assert outside.status_code == 400
    assert outside.json()["details"][0]["code"] == "actions[1].click_mouse.x"
    screen.computer.type_text(screen.id, text="now")
    screen.typed("now")


def test_one_action_at_a_time(screen: Screen) -> None:
    """What several clients type at once comes whole, one after another."""
    words = [character * 30 for character in "abcde"]
    threads = [threading.Thread(target=screen.computer.type_text, args=(screen.id,), kwargs={"text": word, "delay": 1}) for word in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: len(screen.text()) == 150, "all is typed")
    text = screen.text()
    assert sorted(text[start : start + 30] for start in range(0, 150, 30)) == words


def test_a_client_that_goes_leaves_nothing_down(screen: Screen, wire: httpx.Client) -> None:
    with pytest.raises(httpx.TimeoutException):
        wire.post(f"/browsers/{screen.id}/computer/press_key", json={"keys": ["a"], "hold_keys": ["Shift"], "duration": 60_000}, timeout=0.7)
    eventually(lambda: len(screen.log("keyup")) >= 2, "the keys are up")
    x, y = screen.at(100, 300).values()
    with pytest.raises(httpx.TimeoutException):
        wire.post(f"/browsers/{screen.id}/computer/drag_mouse", json={"path": [[x, y], [x + 50, y]], "delay": 30_000}, timeout=0.7)
    eventually(lambda: screen.log("mouseup"), "the button is up")
    with pytest.raises(httpx.TimeoutException):
        wire.post(f"/browsers/{screen.id}/computer/batch", json={"actions": [{"type": "sleep", "sleep": {"duration_ms": 30_000}}, {"type": "type_text", "type_text": {"text": "late"}}]}, timeout=0.7)
    screen.page.evaluate("field.value = ''; field.focus()")
    screen.computer.type_text(screen.id, text="next")
    screen.typed("next")


# --- which page


def test_the_page_in_front(session: Screen) -> None:
    if not session.headless:
        return
    session.fresh()
    other = new_page(session.cdp)
    try:
        other.evaluate("document.body.innerHTML = '<input id=i>'; i.focus()")
        session.computer.type_text(session.id, text="new tab")
        eventually(lambda: other.evaluate("i.value") == "new tab", "the new tab has it")
        session.page.call("Page.bringToFront")
        session.computer.type_text(session.id, text="old tab")
        session.typed("old tab")
        other.call("Page.bringToFront")
        session.computer.type_text(session.id, text="!")
        eventually(lambda: other.evaluate("i.value") == "new tab!", "the new tab again")
    finally:
        other.close()
    session.computer.type_text(session.id, text="!")
    session.typed("old tab!")


def test_a_dialog_does_not_hang_the_computer(session: Screen) -> None:
    session.fresh()
    session.page.evaluate("addEventListener('click', () => alert('hello'))")
    session.computer.click_mouse(session.id, **session.at(600, 50))
    session.cdp.event("Page.javascriptDialogOpening", session.page.session)
    session.computer.get_mouse_position(session.id)
    session.page.call("Page.handleJavaScriptDialog", accept=True)


# --- refusals

BAD: list[tuple[str, dict[str, Any], str]] = [
    ("click_mouse", {"y": 1}, "x"),
    ("click_mouse", {"x": 1, "y": "1"}, "y"),
    ("click_mouse", {"x": -1, "y": 1}, "x"),
    ("click_mouse", {"x": 100_000, "y": 1}, "x"),
    ("click_mouse", {"x": 1, "y": 100_000}, "y"),
    ("click_mouse", {"x": 1, "y": 1, "button": "side"}, "button"),
    ("click_mouse", {"x": 1, "y": 1, "click_type": "tap"}, "click_type"),
    ("click_mouse", {"x": 1, "y": 1, "num_clicks": 0}, "num_clicks"),
    ("click_mouse", {"x": 1, "y": 1, "num_clicks": 2, "click_type": "down"}, "num_clicks"),
    ("click_mouse", {"x": 1, "y": 1, "hold_keys": ["Nope"]}, "hold_keys[0]"),
    ("click_mouse", {"x": 1, "y": 1, "hold_keys": ["Ctrl"] * 17}, "hold_keys"),
    ("move_mouse", {"x": 1, "y": -1}, "y"),
    ("move_mouse", {"x": 1, "y": 1, "duration_ms": 49}, "duration_ms"),
    ("move_mouse", {"x": 1, "y": 1, "duration_ms": 5001}, "duration_ms"),
    ("move_mouse", {"x": 1, "y": 1, "duration_ms": 100, "smooth": False}, "duration_ms"),
    ("move_mouse", {"x": 100_000, "y": 1}, "x"),
    ("drag_mouse", {"path": [[1, 1]]}, "path"),
    ("drag_mouse", {"path": [[1, 1], [1]]}, "path[1]"),
    ("drag_mouse", {"path": [[1, 1], [1, -2]]}, "path[1][1]"),
    ("drag_mouse", {"path": [[1, 1], [100_000, 2]]}, "path[1][0]"),
    ("drag_mouse", {"path": [[1, 1], [2, 2]], "button": "back"}, "button"),
    ("drag_mouse", {"path": [[1, 1], [2, 2]], "duration_ms": 10_001}, "duration_ms"),
    ("drag_mouse", {"path": [[1, 1], [2, 2]], "duration_ms": 100, "smooth": False}, "duration_ms"),
    ("drag_mouse", {"path": [[1, 1], [2, 2]], "steps_per_segment": 0}, "steps_per_segment"),
    ("drag_mouse", {"path": [[1, 1], [2, 2]], "step_delay_ms": -1}, "step_delay_ms"),
    ("drag_mouse", {"path": [[1, 1], [2, 2]], "delay": 30_001}, "delay"),
    ("scroll", {"x": 1, "y": 1}, "delta_y"),
    ("scroll", {"x": 1, "y": 1, "delta_y": 1001}, "delta_y"),
    ("scroll", {"x": 100_000, "y": 1, "delta_y": 1}, "x"),
    ("type", {}, "text"),
    ("type", {"text": "a", "delay": -1}, "delay"),
    ("type", {"text": "a", "delay": 5001}, "delay"),
    ("type", {"text": "bell \x07"}, "text"),
    ("type", {"text": "x" * 100_001}, "text"),
    ("type", {"text": "a", "typo_chance": 0.2}, "typo_chance"),
    ("type", {"text": "a", "typo_chance": 0.1, "smooth": False}, "typo_chance"),
    ("press_key", {"keys": []}, "keys"),
    ("press_key", {"keys": ["Retrun"]}, "keys[0]"),
    ("press_key", {"keys": ["a", "Ctrl+Foo"]}, "keys[1]"),
    ("press_key", {"keys": ["Ctrl+"]}, "keys[0]"),
    ("press_key", {"keys": ["a"] * 65}, "keys"),
    ("press_key", {"keys": ["a"], "duration": 60_001}, "duration"),
    ("cursor", {}, "hidden"),
    ("cursor", {"hidden": "yes"}, "hidden"),
    ("clipboard/write", {}, "text"),
    ("clipboard/write", {"text": "x" * (1 << 20) + "x"}, "text"),
    ("screenshot", {"region": {"x": 0, "y": 0, "width": 10}}, "region.height"),
    ("screenshot", {"region": {"x": 0, "y": 0, "width": 0, "height": 10}}, "region.width"),
    ("screenshot", {"region": {"x": -1, "y": 0, "width": 10, "height": 10}}, "region.x"),
    ("screenshot", {"region": {"x": 10, "y": 0, "width": 100_000, "height": 10}}, "region.width"),
    ("screenshot", {"region": {"x": 0, "y": 100_000, "width": 1, "height": 1}}, "region.y"),
    ("screenshot", {"format": "gif"}, "format"),
    ("screenshot", {"quality": 50}, "quality"),
    ("screenshot", {"format": "jpeg", "quality": 101}, "quality"),
    ("screenshot", {"scale": 2}, "scale"),
    ("batch", {}, "actions"),
    ("batch", {"actions": []}, "actions"),
    ("batch", {"actions": [{"type": "sleep", "sleep": {"duration_ms": 0}}] * 101}, "actions"),
    ("batch", {"actions": [{"type": "sleep"}]}, "actions[0].sleep"),
    ("batch", {"actions": [{"type": "sleep", "sleep": {"duration_ms": 30_001}}]}, "actions[0].sleep.duration_ms"),
    ("batch", {"actions": [{"type": "sleep", "sleep": {"duration_ms": 1}, "scroll": {"x": 1, "y": 1, "delta_y": 1}}]}, "actions[0].scroll"),
    ("batch", {"actions": [{"type": "dance"}]}, "actions[0].type"),
]


@pytest.mark.parametrize(("operation", "body", "field"), BAD, ids=lambda value: str(value)[:60])
def test_refusals_name_the_field(session: Screen, wire: httpx.Client, operation: str, body: dict[str, Any], field: str) -> None:
    answer = wire.post(f"/browsers/{session.id}/computer/{operation}", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "invalid_input"
    assert field in {detail["code"] for detail in answer.json()["details"]}, answer.text


def test_refusals_say_the_bounds_and_the_name(session: Screen, wire: httpx.Client) -> None:
    width, height = session.size()
    answer = wire.post(f"/browsers/{session.id}/computer/click_mouse", json={"x": width, "y": 0})
    assert f"{width}x{height}" in answer.json()["message"]
    answer = wire.post(f"/browsers/{session.id}/computer/press_key", json={"keys": ["Retrun"]})
    assert "Retrun" in answer.json()["message"]
    with pytest.raises(sdk.BadRequestError):
        session.computer.press_key(session.id, keys=["Retrun"])


def test_headless_refuses_keys_that_pages_do_not_have(session: Screen, wire: httpx.Client) -> None:
    answer = wire.post(f"/browsers/{session.id}/computer/press_key", json={"keys": ["XF86Eject"]})
    assert answer.status_code == (400 if session.headless else 200), answer.text


def test_unknown_sessions(wire: httpx.Client) -> None:
    for operation in ("get_mouse_position", "screenshot", "clipboard/read"):
        assert wire.post(f"/browsers/nosuch/computer/{operation}").status_code == 404
