"""An X server that hangs while somebody works with it: a clear refusal, nothing stays down, and the session goes on."""
from __future__ import annotations

import os
import threading
from typing import Any, Callable, Iterator

import kernel as sdk
import pytest
from kernel import Kernel

from harness import sessions
from harness.cdp import Cdp, Page, first_page
from harness.deadline import eventually

PAGE = """<!doctype html><style>body { margin: 0 }</style><textarea id="field" style="width: 600px; height: 200px"></textarea>
<script>
window.log = [];
for (const kind of ["keydown", "keyup", "mousedown", "mouseup"]) addEventListener(kind, e => log.push(kind + " " + (e.key ?? e.button)));
</script>"""


class Screen:
    """A headful session whose X server can be stopped and continued."""

    def __init__(self, kernel: Kernel, browser: Any, page: Page) -> None:
        # Whoever tries again by itself would hide what is answered.
        self.kernel, self.browser, self.page = kernel.with_options(max_retries=0), browser, page
        self.computer = self.kernel.browsers.computer
        self.id = browser.session_id

    def signal(self, name: str) -> None:
        ran = sessions.sh(self.kernel, self.id, f"pkill -{name} Xvfb", as_root=os.geteuid() == 0)
        assert ran.code == 0, ran

    def seen(self, what: str) -> int:
        return self.page.evaluate("log").count(what)

    def refused(self, action: Callable[..., Any], status: int, code: str, words: str, **arguments: Any) -> None:
        with pytest.raises(sdk.APIStatusError) as refusal:
            action(self.id, **arguments)
        answer = refusal.value.response
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert "the X server did not answer" in answer.json()["message"] and words in answer.json()["message"], answer.text

    def works(self) -> None:
        """Text arrives as it is typed: nothing is held down that changes it."""
        self.page.evaluate("field.value = ''; field.focus()")
        self.computer.type_text(self.id, text="now")
        eventually(lambda: self.page.evaluate("field.value") == "now", "the text is in the field")
        assert self.kernel.browsers.retrieve(self.id).deleted_at is None


@pytest.fixture
def screen(kernel: Kernel, make: Callable[..., Any]) -> Iterator[Screen]:
    browser = make(headless=False, viewport={"width": 1280, "height": 800})
    with Cdp(browser.cdp_ws_url) as cdp:
        page = first_page(cdp)
        page.evaluate(f"document.open(); document.write({PAGE!r}); document.close()")
        page.call("Page.bringToFront")
        page.evaluate("field.focus()")
        eventually(lambda: page.evaluate("document.hasFocus()"), "the page has the focus")
        screen = Screen(kernel, browser, page)
        screen.works()
        yield screen


def test_what_begins_meanwhile_is_refused_and_may_be_tried_again(screen: Screen) -> None:
    again = "try again"
    screen.signal("STOP")
    computer = screen.computer
    screen.refused(computer.click_mouse, 502, "upstream_unavailable", again, x=100, y=200)
    screen.refused(computer.type_text, 502, "upstream_unavailable", again, text="lost")
    screen.refused(computer.capture_screenshot, 502, "upstream_unavailable", again)
    screen.refused(computer.get_mouse_position, 502, "upstream_unavailable", again)
    screen.signal("CONT")
    computer.get_mouse_position(screen.id)
    assert computer.capture_screenshot(screen.id).read().startswith(b"\x89PNG")
    screen.works()
    assert "lost" not in screen.page.evaluate("field.value")


def during(screen: Screen, begun: str, action: Callable[..., Any], **arguments: Any) -> None:
    """The X server hangs once the page has seen `begun`; the action says that it broke off."""
    failures: list[BaseException] = []

    def act() -> None:
        try:
            screen.refused(action, 500, "action_failed", "part of it may have been done", **arguments)
        except BaseException as failure:
            failures.append(failure)

    acting = threading.Thread(target=act)
    acting.start()
    eventually(lambda: screen.seen(begun) > 0, f"the page has seen {begun}")
    screen.signal("STOP")
    acting.join()
    screen.signal("CONT")
    assert failures == []


def test_keys_that_were_down_do_not_stay_down(screen: Screen) -> None:
    during(screen, "keydown A", screen.computer.press_key, keys=["a"], hold_keys=["Shift"], duration=4000)
    # Until whatever comes next, the key repeats.
    screen.computer.get_mouse_position(screen.id)
    eventually(lambda: screen.seen("keyup A") + screen.seen("keyup a") > 0 and screen.seen("keyup Shift") > 0, "the keys are up")
    screen.works()


def test_a_button_that_was_down_does_not_stay_down(screen: Screen) -> None:
    during(screen, "mousedown 0", screen.computer.drag_mouse, path=[[700, 600], [800, 650]], delay=4000)
    screen.computer.get_mouse_position(screen.id)
    eventually(lambda: screen.seen("mouseup 0") > 0, "the button is up")
    screen.works()
