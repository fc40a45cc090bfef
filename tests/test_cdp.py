"""CDP: discovery, browser and page endpoints, many clients, large messages, and how it ends."""
from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from kernel import Kernel
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from harness import sessions
from harness.cdp import Cdp, Page, first_page, http_url, new_page
from harness.deadline import eventually
from harness.server import Server
from harness.site import Site


def test_a_raw_client(cdp: Cdp) -> None:
    version = cdp.call("Browser.getVersion")
    assert version["product"].startswith(("Chrome/", "HeadlessChrome/", "Chromium/"))
    assert first_page(cdp).evaluate("6 * 7") == 42


def test_pages_load_through_the_gateway(cdp: Cdp, site: Site) -> None:
    page = new_page(cdp)
    assert page.goto(site.url("/title/over%20the%20gateway")) is None
    assert page.evaluate("document.title") == "over the gateway"
    assert site.seen("/title/over%20the%20gateway") == 1
    page.close()


def test_several_clients_at_once(headless: Any) -> None:
    def drive(number: int) -> int:
        with Cdp(headless.cdp_ws_url) as cdp:
            page = new_page(cdp)
            total = sum(page.evaluate(f"{number} + {step}") for step in range(50))
            page.close()
            return total

    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(drive, range(5))) == [50 * n + sum(range(50)) for n in range(5)]


def test_clients_see_the_same_browser(headless: Any) -> None:
    with Cdp(headless.cdp_ws_url) as one, Cdp(headless.cdp_ws_url) as two:
        one.call("Target.setDiscoverTargets", discover=True)
        created = two.call("Target.createTarget", url="about:blank#shared")["targetId"]
        one.event("Target.targetCreated", accept=lambda p: p["targetInfo"]["targetId"] == created)
        two.call("Target.closeTarget", targetId=created)
        one.event("Target.targetDestroyed", accept=lambda p: p["targetId"] == created)


# --- discovery


def ours(url: str, headless: Any, server: Server) -> None:
    """The URL is one of the server's, with the session's token, and nothing of Chromium's."""
    parts = urlsplit(url)
    assert parts.scheme == "ws"
    assert parts.netloc == f"127.0.0.1:{server.port}"
    assert sessions.jwt_of(url) == sessions.jwt_of(headless.cdp_ws_url)


@pytest.mark.parametrize("slash", ["", "/"])
def test_version(headless: Any, server: Server, slash: str) -> None:
    answer = httpx.get(http_url(headless.cdp_ws_url, f"/json/version{slash}"))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["Browser"] and body["Protocol-Version"]
    ours(body["webSocketDebuggerUrl"], headless, server)
    with Cdp(body["webSocketDebuggerUrl"]) as cdp:
        assert cdp.call("Browser.getVersion")["product"] == body["Browser"]


@pytest.mark.parametrize("path", ["/json", "/json/", "/json/list", "/json/list/"])
def test_list_and_page_endpoints(headless: Any, server: Server, path: str) -> None:
    with Cdp(headless.cdp_ws_url) as cdp:
        pages = [new_page(cdp, f"about:blank#{n}") for n in range(2)]
        listed = {row["id"]: row for row in httpx.get(http_url(headless.cdp_ws_url, path)).json()}
        for n, page in enumerate(pages):
            row = listed[page.target]
            ours(row["webSocketDebuggerUrl"], headless, server)
            inspected = parse_qs(urlsplit(row["devtoolsFrontendUrl"]).query)["ws"][0]
            ours(f"ws://{inspected}", headless, server)
            # the endpoint is that page's, not the browser's
            with Cdp(row["webSocketDebuggerUrl"]) as direct:
                assert direct.evaluate("location.href") == f"about:blank#{n}"
                direct.evaluate(f"window.mine = {n}")
            assert page.evaluate("window.mine") == n
            page.close()


def test_new_activate_close_protocol(headless: Any, server: Server, site: Site) -> None:
    base = headless.cdp_ws_url
    target = site.url("/title/made%20by%20json%20new")

    def with_target(url: str) -> str:
        # the address of the new page is the bare query, as Chromium has it; ours is beside the token
        return f"{http_url(base, '/json/new')}&{url}"

    made = httpx.put(with_target(target))
    assert made.status_code == 200, made.text
    row = made.json()
    ours(row["webSocketDebuggerUrl"], headless, server)
    with Cdp(row["webSocketDebuggerUrl"]) as page:
        eventually(lambda: page.evaluate("document.title") == "made by json new", "the page of /json/new has loaded")
    assert httpx.get(http_url(base, f"/json/activate/{row['id']}")).status_code == 200
    assert httpx.get(http_url(base, f"/json/close/{row['id']}")).status_code == 200
    eventually(lambda: row["id"] not in {r["id"] for r in httpx.get(http_url(base, "/json/list")).json()}, "the page is closed")
    for gone in ("activate", "close"):
        assert httpx.get(http_url(base, f"/json/{gone}/{row['id']}")).status_code == 404
    protocol = httpx.get(http_url(base, "/json/protocol"))
    assert protocol.status_code == 200
    assert {"Page", "Runtime", "Target"} <= {domain["domain"] for domain in protocol.json()["domains"]}


def test_unknown_pages_are_refused_before_the_upgrade(headless: Any) -> None:
    rows = httpx.get(http_url(headless.cdp_ws_url, "/json/list")).json()
    url = rows[0]["webSocketDebuggerUrl"].replace(rows[0]["id"], "0" * 32)
    with pytest.raises(InvalidStatus) as refused, connect(url, proxy=None):
        pass
    assert refused.value.response.status_code == 404


def without_a_valid_token(url: str) -> list[str]:
    """The address with the token missing, cut short, too long, and with another's signature."""
    token = sessions.jwt_of(url)
    return [url.split("?")[0], url[:-1], url + "x", url.replace(token, token.rsplit(".", 1)[0] + "." + "A" * 43)]


def test_discovery_needs_the_token(headless: Any) -> None:
    for refused in without_a_valid_token(http_url(headless.cdp_ws_url, "/json/version")):
        answer = httpx.get(refused)
        assert answer.status_code == 401, refused
        assert "webSocketDebuggerUrl" not in answer.text


def test_the_socket_needs_the_token(headless: Any) -> None:
    for refused in without_a_valid_token(headless.cdp_ws_url):
        with pytest.raises(InvalidStatus) as error, connect(refused, proxy=None):
            pass
        assert error.value.response.status_code == 401


def test_a_token_finds_the_pages_of_its_session_only(headless: Any, neighbour: Any) -> None:
    with Cdp(headless.cdp_ws_url) as cdp:
        page = new_page(cdp, "about:blank#mine")
        ids = {row["id"] for row in httpx.get(http_url(neighbour.cdp_ws_url, "/json/list")).json()}
        assert page.target not in ids
        theirs = neighbour.cdp_ws_url.replace("/browser/cdp", f"/browser/cdp/devtools/page/{page.target}")
        with pytest.raises(InvalidStatus) as refused, connect(theirs, proxy=None):
            pass
        assert refused.value.response.status_code == 404
        page.close()


def test_a_plain_request_is_told_to_upgrade(headless: Any) -> None:
    answer = httpx.get(http_url(headless.cdp_ws_url))
    assert answer.status_code == 426, answer.text
    assert answer.json()["code"] == "upgrade_required"


# --- sizes


def test_a_50_megabyte_answer(headless: Any) -> None:
    with Cdp(headless.cdp_ws_url, timeout=90) as cdp:
        page = new_page(cdp)
        text = page.evaluate("'x'.repeat(50 * 1024 * 1024)")
        assert len(text) == 50 * 1024 * 1024 and set(text[:1000] + text[-1000:]) == {"x"}
        page.close()


def test_a_20_megabyte_question(headless: Any) -> None:
    with Cdp(headless.cdp_ws_url, timeout=90) as cdp:
        page = new_page(cdp)
        assert page.evaluate("'" + "y" * (20 * 1024 * 1024) + "'.length") == 20 * 1024 * 1024
        page.close()


def test_a_flood_of_events_loses_none(headless: Any) -> None:
    with Cdp(headless.cdp_ws_url, timeout=60) as cdp:
        page = new_page(cdp)
        page.evaluate("for (let i = 0; i < 20000; i++) console.log(i); 'done'")
        seen = [e["params"]["args"][0]["value"] for e in cdp.events if e.get("method") == "Runtime.consoleAPICalled"]
        while len(seen) < 20000:
            seen.append(cdp.event("Runtime.consoleAPICalled", page.session)["args"][0]["value"])
        assert seen == list(range(20000))
        page.close()


# --- ends


def test_deleting_the_session_closes_the_socket_with_a_reason(kernel: Kernel) -> None:
    browser = sessions.create(kernel)
    with Cdp(browser.cdp_ws_url) as one, Cdp(browser.cdp_ws_url) as two:
        one.call("Browser.getVersion")
        kernel.browsers.delete_by_id(browser.session_id)
        for cdp in (one, two):
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    cdp.socket.recv(30)
            assert closed.value.rcvd is not None, "a close frame was sent"
            assert closed.value.rcvd.code == 1001
            assert "deleted" in closed.value.rcvd.reason
    with pytest.raises(InvalidStatus) as refused, connect(browser.cdp_ws_url, proxy=None):
        pass
    assert refused.value.response.status_code == 404
    assert b": deleted;" in refused.value.response.body


def test_a_client_that_vanishes_is_let_go(headless: Any) -> None:
    with Cdp(headless.cdp_ws_url) as steady:
        before = len(steady.call("Target.getTargets")["targetInfos"])
        for _ in range(10):
            other = Cdp(headless.cdp_ws_url)
            other.call("Browser.getVersion")
            other.socket.socket.close()
        assert len(steady.call("Target.getTargets")["targetInfos"]) == before


def test_client_closing_gets_its_close_answered(headless: Any) -> None:
    with connect(headless.cdp_ws_url, proxy=None) as socket:
        socket.send('{"id": 1, "method": "Browser.getVersion"}')
        socket.recv(30)
        socket.close(1000, "bye")
        assert socket.close_code == 1000


def test_chromium_is_sandboxed(cdp: Cdp) -> None:
    page = new_page(cdp)
    assert page.goto("chrome://sandbox") is None
    eventually(lambda: "You are adequately sandboxed." in page.evaluate("document.body.innerText"), "chrome://sandbox says so", 15)
    page.close()


def test_existing_page_is_attached_by_playwright_style_auto_attach(cdp: Cdp) -> None:
    cdp.call("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True)
    attached = cdp.event("Target.attachedToTarget", accept=lambda p: p["targetInfo"]["type"] == "page")
    assert attached["sessionId"]
    assert isinstance(first_page(cdp), Page)
