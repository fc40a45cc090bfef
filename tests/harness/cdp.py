"""A raw CDP client: one WebSocket, JSON both ways, nothing in between."""
from __future__ import annotations

import contextlib
import itertools
import json
from typing import Any, Callable
from urllib.parse import urlsplit, urlunsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from .deadline import eventually


class CdpError(Exception):
    """Chromium refused a command."""


class Cdp:
    """A connection to a browser or page endpoint."""

    def __init__(self, url: str, timeout: float = 30) -> None:
        self.timeout = timeout
        self._open = contextlib.ExitStack()
        self.socket: ClientConnection = self._open.enter_context(
            connect(url, max_size=None, compression=None, proxy=None, open_timeout=timeout)
        )
        self._ids = itertools.count(1)
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> "Cdp":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._open.close()

    def call(self, method: str, session: str | None = None, timeout: float | None = None, **params: Any) -> dict[str, Any]:
        """Sends a command and answers its result; events met on the way are kept."""
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv(timeout or self.timeout))
            if answer.get("id") == number:
                if "error" in answer:
                    raise CdpError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def event(
        self,
        method: str | tuple[str, ...],
        session: str | None = None,
        accept: Callable[[dict[str, Any]], bool] = lambda _: True,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Parameters of the next event of this kind, or of one of these, from those kept or still to come."""
        methods = (method,) if isinstance(method, str) else method

        def wanted(message: dict[str, Any]) -> bool:
            return (
                message.get("method") in methods
                and (session is None or message.get("sessionId") == session)
                and accept(message["params"])
            )

        for kept in self.events:
            if wanted(kept):
                self.events.remove(kept)
                return kept["params"]
        while True:
            message = json.loads(self.socket.recv(timeout or self.timeout))
            if wanted(message):
                return message["params"]
            self.events.append(message)

    def evaluate(self, expression: str, session: str | None = None, timeout: float | None = None) -> Any:
        """Evaluates in the page, waiting for a promise, and answers the value."""
        answer = self.call(
            "Runtime.evaluate", session, timeout,
            expression=expression, returnByValue=True, awaitPromise=True,
        )
        if "exceptionDetails" in answer:
            raise CdpError(json.dumps(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")


def back(url: str) -> Cdp:
    """A connection to a browser that is being started again; while the last one dies, it may be refused."""

    def tried() -> Cdp | None:
        with contextlib.suppress(CdpError, OSError, WebSocketException):
            connection = Cdp(url)
            connection.call("Browser.getVersion")
            return connection
        return None

    connection = eventually(tried, "the browser is back")
    assert connection is not None
    return connection


class Page:
    """One page of a browser connection, attached flat."""

    def __init__(self, browser: Cdp, target: str) -> None:
        self.browser = browser
        self.target = target
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Runtime.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **params)

    def evaluate(self, expression: str, timeout: float | None = None) -> Any:
        return self.browser.evaluate(expression, self.session, timeout)

    def goto(self, url: str) -> str | None:
        """Navigates and waits for `load`; answers the network error, if any."""
        self.browser.events.clear()
        answer = self.call("Page.navigate", url=url)
        if answer.get("errorText"):
            return answer["errorText"]
        loader = answer.get("loaderId")
        if loader is None:
            return None
        self.browser.event("Page.loadEventFired", self.session)
        return None

    def close(self) -> None:
        self.browser.call("Target.closeTarget", targetId=self.target)


def new_page(browser: Cdp, url: str = "about:blank") -> Page:
    """Opens a tab and waits until its page is there: Chromium answers when it begins to load it, and what is
    evaluated before is lost with the empty page."""
    page = Page(browser, browser.call("Target.createTarget", url=url)["targetId"])

    def loaded() -> bool:
        # the empty page goes away while it is asked
        with contextlib.suppress(CdpError):
            return bool(page.evaluate("location.href !== 'about:blank' && document.readyState === 'complete'"))
        return False

    if url != "about:blank":
        eventually(loaded, f"the tab shows {url}")
    return page


def first_page(browser: Cdp) -> Page:
    """The tab that is there when a session is created."""
    pages = [info for info in browser.call("Target.getTargets")["targetInfos"] if info["type"] == "page"]
    return Page(browser, pages[0]["targetId"])


def http_url(cdp_ws_url: str, path: str = "") -> str:
    """The HTTP form of a CDP address: what Playwright's `connectOverCDP(http…)` is given."""
    parts = urlsplit(cdp_ws_url)
    scheme = {"ws": "http", "wss": "https"}[parts.scheme]
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + path, parts.query, ""))
