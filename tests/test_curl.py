"""`curl` and `curl/raw`: requests through the browser's own network stack, by key and direct."""
from __future__ import annotations

import base64
import concurrent.futures
import gzip
import json
import socket
import threading
from typing import Any, Iterator

import httpx
import kernel as sdk
import pytest
from kernel import Kernel

from harness import sessions
from harness.cdp import Cdp, new_page
from harness.deadline import eventually
from harness.server import Server
from harness.site import Site

BLOB = bytes(range(256)) * 4096 * 5


@pytest.fixture(scope="module", params=["headless", "headful"])
def browser(request: pytest.FixtureRequest) -> Any:
    """A session, once without and once with a screen."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module", params=["direct", "by key"])
def kernel_client(request: pytest.FixtureRequest, server: Server) -> Iterator[Kernel]:
    """The official client, once routed directly and once through the control plane."""
    patch = pytest.MonkeyPatch()
    if request.param == "by key":
        patch.setenv("KERNEL_BROWSER_ROUTING_SUBRESOURCES", "")
    with sessions.client(server.base_url, server.key, max_retries=0) as client:
        yield client
    patch.undo()


@pytest.fixture(scope="module", autouse=True)
def pages(site: Site) -> Iterator[threading.Event]:
    """The pages of these suites; `/curl/hang` answers once the event is set."""
    release = threading.Event()

    def cookies(page: Any, _: bytes) -> None:
        page.send_response(200)
        page.send_header("Set-Cookie", "plain=1; Path=/")
        page.send_header("Set-Cookie", "hidden=2; Path=/; HttpOnly; SameSite=Strict")
        page.send_header("X-Twice", "a")
        page.send_header("X-Twice", "b")
        page.send_header("Content-Length", "0")
        page.end_headers()

    def packed(page: Any, _: bytes) -> None:
        page._answer(200, "text/plain", gzip.compress(b"unpacked" * 1000), {"Content-Encoding": "gzip"})

    def blob(page: Any, _: bytes) -> None:
        page._answer(200, "application/octet-stream", BLOB, {"Content-Disposition": "attachment; filename=blob.bin"})

    def huge(page: Any, _: bytes) -> None:
        page.send_response(200)
        page.send_header("Content-Length", str(64 * len(BLOB)))
        page.end_headers()
        try:
            for _ in range(64):
                page.wfile.write(BLOB)
        except OSError:
            page.close_connection = True

    def cut(page: Any, _: bytes) -> None:
        page.send_response(200)
        page.send_header("Content-Length", "1000")
        page.end_headers()
        page.wfile.write(b"half")
        page.wfile.flush()
        page.close_connection = True

    def status(page: Any, _: bytes) -> None:
        number = int(page.path.split("?")[1])
        page.send_response(number)
        if number not in (204, 304):
            page.send_header("Content-Length", "4")
        page.end_headers()
        if number not in (204, 304):
            page.wfile.write(b"body")

    def hang(page: Any, _: bytes) -> None:
        release.wait(60)
        page._answer(200, "text/plain", b"at last")

    def closes(page: Any, _: bytes) -> None:
        page.close_connection = True

    def speaks(page: Any, _: bytes) -> None:
        headers = {"Access-Control-Allow-Origin": "*", "Strict-Transport-Security": "max-age=9", "X-Mine": "1",
                   "Content-Security-Policy": "default-src *", "X-Request-Id": "forged", "Set-Cookie": "raw=1",
                   "WWW-Authenticate": "Basic"}
        page._answer(500, "text/html", b"<script>1</script>", headers)

    mine = {"/curl/cookies": cookies, "/curl/gzip": packed, "/curl/blob": blob, "/curl/huge": huge, "/curl/cut": cut,
            "/curl/status": status, "/curl/hang": hang, "/curl/closes": closes, "/curl/speaks": speaks}
    site.routes.update(mine)
    yield release
    release.set()
    for path in mine:
        del site.routes[path]


def tabs(cdp: Cdp) -> set[str]:
    """The pages clients see."""
    return {info["targetId"] for info in cdp.call("Target.getTargets")["targetInfos"] if info["type"] == "page"}


def echo(answer: Any) -> dict[str, Any]:
    """What the site's /echo got."""
    assert answer.status == 200
    return json.loads(answer.body)


# --- buffered


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method(kernel_client: Kernel, browser: Any, site: Site, method: Any) -> None:
    body: Any = sdk.omit if method in ("GET", "HEAD") else "grüße"
    answer = kernel_client.browsers.curl(browser.session_id, url=site.url("/echo?x=1"), method=method, body=body,
                                         headers={"X-Mine": "1"})
    assert answer.status == 200 and answer.duration_ms >= 0
    assert answer.headers["Content-Type"] == ["application/json"]
    if method == "HEAD":
        assert answer.body == ""
        return
    got = echo(answer)
    assert (got["method"], got["path"], got["headers"]["x-mine"]) == (method, "/echo?x=1", "1")
    if body is not sdk.omit:
        assert got["body"].encode("latin-1").decode() == body


def test_it_looks_like_the_browser(kernel: Kernel, browser: Any, site: Site) -> None:
    plain = echo(kernel.browsers.curl(browser.session_id, url=site.url("/echo")))["headers"]
    assert "Chrome/" in plain["user-agent"] and plain["upgrade-insecure-requests"] == "1"
    assert plain["accept-language"].startswith("en-US") and "gzip" in plain["accept-encoding"]
    given = echo(kernel.browsers.curl(browser.session_id, url=site.url("/echo"), headers={"X-Mine": "1"}))["headers"]
    assert given.pop("x-mine") == "1"
    assert given == plain
    # The order is the browser's, too (the site keeps the order in which headers came).
    assert [name for name in given if name in plain] == list(given)
    other = echo(kernel.browsers.curl(browser.session_id, url=site.url("/echo"),
                                      headers={"User-Agent": "me", "referer": "http://r.example/"}))["headers"]
    assert (other["user-agent"], other["referer"]) == ("me", "http://r.example/")


def test_cookies_both_ways(kernel: Kernel, make: Any, site: Site) -> None:
    session = make().session_id
    answer = kernel.browsers.curl(session, url=site.url("/curl/cookies"))
    assert answer.body == "" and answer.headers["X-Twice"] == ["a", "b"]
    assert answer.headers["Set-Cookie"] == ["plain=1; Path=/", "hidden=2; Path=/; HttpOnly; SameSite=Strict"]
    assert echo(kernel.browsers.curl(session, url=site.url("/echo")))["headers"]["cookie"] == "plain=1; hidden=2"
    mine = echo(kernel.browsers.curl(session, url=site.url("/echo"), headers={"Cookie": "mine=3"}))
    assert mine["headers"]["cookie"] == "mine=3"
    retrieved = kernel.browsers.retrieve(session)
    with Cdp(retrieved.cdp_ws_url) as cdp:
        jar = {cookie["name"]: cookie for cookie in cdp.call("Storage.getCookies")["cookies"]}
        assert set(jar) == {"plain", "hidden"} and jar["hidden"]["httpOnly"]
        cdp.call("Storage.setCookies", cookies=[{"name": "set", "value": "by-cdp", "url": site.url("/")}])
    assert "set=by-cdp" in echo(kernel.browsers.curl(session, url=site.url("/echo")))["headers"]["cookie"]


def test_bodies(kernel_client: Kernel, browser: Any, site: Site) -> None:
    session = browser.session_id
    assert kernel_client.browsers.curl(session, url=site.url("/curl/gzip")).body == "unpacked" * 1000
    answer = kernel_client.browsers.curl(session, url=site.url("/curl/blob"), response_encoding="base64")
    assert base64.b64decode(answer.body) == BLOB
    text = kernel_client.browsers.curl(session, url=site.url("/curl/blob"))
    assert "\ufffd" in text.body
    for status in (204, 304, 404, 418, 500):
        answer = kernel_client.browsers.curl(session, url=site.url(f"/curl/status?{status}"))
        assert (answer.status, answer.body) == (status, "" if status in (204, 304) else "body")


def test_redirects_are_not_followed(kernel_client: Kernel, browser: Any, site: Site) -> None:
    before = site.seen("/hello")
    answer = kernel_client.browsers.curl(browser.session_id, url=site.url("/redirect?to=/hello"))
    assert (answer.status, answer.headers["Location"], answer.body) == (302, ["/hello"], "")
    assert site.seen("/hello") == before


def test_nothing_is_downloaded_opened_or_rendered(kernel: Kernel, browser: Any, site: Site) -> None:
    session = browser.session_id
    with Cdp(browser.cdp_ws_url) as cdp:
        cdp.call("Target.setDiscoverTargets", discover=True)
        before = tabs(cdp)
        kernel.browsers.curl(session, url=site.url("/curl/blob"))
        kernel.browsers.curl(session, url=site.url("/hello"))
        assert tabs(cdp) == before
    assert sessions.sh(kernel, session, "ls -A Downloads").out == ""


def test_a_client_stays_undisturbed(kernel: Kernel, browser: Any, site: Site) -> None:
    with Cdp(browser.cdp_ws_url) as cdp:
        page = new_page(cdp)
        assert page.goto(site.url("/hello")) is None
        page.evaluate("window.mark = 1")
        assert kernel.browsers.curl(browser.session_id, url=site.url("/hello")).status == 200
        assert page.evaluate("window.mark") == 1
        cdp.call("Target.closeTarget", targetId=page.target)


def test_many_at_once(kernel: Kernel, headless: Any, site: Site) -> None:
    def path(number: int) -> str:
        return echo(kernel.browsers.curl(headless.session_id, url=site.url(f"/echo?{number}")))["path"]

    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        assert list(pool.map(path, range(80))) == [f"/echo?{number}" for number in range(80)]


def blamed(wire: httpx.Client, session_id: str, body: dict[str, Any], field: str) -> None:
    answer = wire.post(f"/browsers/{session_id}/curl", json=body)
    assert answer.status_code == 400, answer.text
    assert field in {detail["code"] for detail in answer.json()["details"]}, answer.text


def test_what_is_refused(wire: httpx.Client, headless: Any, site: Site) -> None:
    session, url = headless.session_id, site.url("/echo")
    before = site.total()
    blamed(wire, session, {}, "url")
    for wrong in ("", "nowhere", "ftp://a.example/", "file:///etc/passwd", "javascript:1", "chrome://version"):
        blamed(wire, session, {"url": wrong}, "url")
    blamed(wire, session, {"url": url, "method": "TRACE"}, "method")
    blamed(wire, session, {"url": url, "timeout_ms": 999}, "timeout_ms")
    blamed(wire, session, {"url": url, "timeout_ms": 60001}, "timeout_ms")
    blamed(wire, session, {"url": url, "response_encoding": "hex"}, "response_encoding")
    blamed(wire, session, {"url": url, "body": "x"}, "body")
    blamed(wire, session, {"url": url, "headers": {"a b": "x"}}, "headers")
    blamed(wire, session, {"url": url, "headers": {"a": "x\r\ny: z"}}, "headers.a")
    for name in ("Host", "Content-Length", "Transfer-Encoding", "Upgrade"):
        blamed(wire, session, {"url": url, "headers": {name: "1"}}, f"headers.{name}")
    assert site.total() == before
    answer = wire.post(f"/browsers/{session}/curl", json={"url": site.url("/curl/huge")})
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


def test_transport_errors(wire: httpx.Client, kernel_client: Kernel, browser: Any, site: Site) -> None:
    session = browser.session_id
    with pytest.raises(sdk.APIStatusError) as failed:
        kernel_client.browsers.curl(session, url="http://127.0.0.1:9/")
    assert failed.value.status_code == 502
    body = failed.value.response.json()
    assert set(body) == {"code", "message", "net_error", "net_error_name"}, body
    assert (body["code"], body["net_error"], body["net_error_name"]) == ("transport_error", -312, "ERR_UNSAFE_PORT")
    expected = [("http://127.0.0.1:45678/", -102, "ERR_CONNECTION_REFUSED"),
                (site.url("/curl/closes"), -324, "ERR_EMPTY_RESPONSE"),
                ("http://nowhere.invalid/", -105, "ERR_NAME_NOT_RESOLVED"),
                ("https://nowhere.invalid/", -111, "ERR_TUNNEL_CONNECTION_FAILED"),
                ("http://10.1.2.3/", -22, "ERR_BLOCKED_BY_ADMINISTRATOR")]
    for url, number, name in expected:
        answer = wire.post(f"/browsers/{session}/curl", json={"url": url})
        assert answer.status_code == 502 and answer.headers["x-should-retry"] == "false", answer.text
        assert (answer.json()["net_error"], answer.json()["net_error_name"]) == (number, name), answer.text
        assert answer.json()["message"]
    cut = wire.post(f"/browsers/{session}/curl", json={"url": site.url("/curl/cut")})
    assert (cut.status_code, cut.json()["net_error_name"]) == (502, "ERR_CONTENT_LENGTH_MISMATCH"), cut.text
    assert kernel_client.browsers.curl(session, url=site.url("/hello")).status == 200


def test_timeout(wire: httpx.Client, headless: Any, site: Site, pages: threading.Event) -> None:
    before = site.seen("/curl/hang")
    answer = wire.post(f"/browsers/{headless.session_id}/curl", json={"url": site.url("/curl/hang"), "timeout_ms": 1000})
    assert answer.status_code == 408 and answer.headers["x-should-retry"] == "false"
    assert (answer.json()["code"], answer.json()["net_error_name"]) == ("timeout", "ERR_TIMED_OUT")
    assert site.seen("/curl/hang") == before + 1
    pages.set()


# --- raw


def raw(server: Server, browser: Any, direct: bool) -> tuple[str, dict[str, str], dict[str, str]]:
    """URL, parameters and headers that reach `curl/raw`."""
    if direct:
        return f"{browser.base_url}/curl/raw", {"jwt": sessions.jwt_of(browser.cdp_ws_url)}, {}
    return f"{server.base_url}/browsers/{browser.session_id}/curl/raw", {}, {"Authorization": f"Bearer {server.key}"}


@pytest.fixture(params=[True, False], ids=["direct", "by key"])
def fetch(request: pytest.FixtureRequest, server: Server, headless: Any) -> Iterator[Any]:
    """Sends a request through `curl/raw`: `fetch(method, target, …)`."""
    where, parameters, headers = raw(server, headless, request.param)
    with httpx.Client(timeout=60) as client:
        def fetch(method: str, target: str, **more: Any) -> httpx.Response:
            params = {**parameters, "url": target, **more.pop("params", {})}
            return client.request(method, where, params=params, headers={**headers, **more.pop("headers", {})}, **more)
        yield fetch


def test_sdk_requests(kernel: Kernel, browser: Any, site: Site) -> None:
    kernel.browsers.retrieve(browser.session_id)
    answer = kernel.browsers.request(browser.session_id, "POST", site.url("/echo"), json={"a": 1}, params={"q": "x y"},
                                     headers={"X-Mine": "1"})
    got = answer.json()
    assert (got["method"], got["path"], got["body"], got["headers"]["x-mine"]) == ("POST", "/echo?q=x+y", '{"a":1}', "1")
    assert got["headers"]["content-type"] == "application/json"
    got = kernel.browsers.request(browser.session_id, "GET", site.url("/echo")).json()["headers"]
    assert not [name for name in got if name.startswith(("x-stainless", "x-kernel", "x-browserd"))]
    assert "Chrome/" in got["user-agent"] and "content-type" not in got and "gzip" in got["accept-encoding"]
    assert "authorization" not in got
    with kernel.browsers.stream(browser.session_id, "GET", site.url("/curl/blob")) as stream:
        assert stream.read() == BLOB
        assert stream.headers["content-disposition"] == "attachment; filename=blob.bin"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_raw_methods_and_bytes(fetch: Any, site: Site, method: str) -> None:
    body = b"" if method in ("GET", "HEAD") else bytes(range(256))
    answer = fetch(method, site.url("/echo"), content=body, headers={"X-Mine": "1", "Content-Type": "x/y"} if body else {})
    assert answer.status_code == 200
    if method == "HEAD":
        assert answer.content == b"" and int(answer.headers["content-length"]) > 0
        return
    got = answer.json()
    assert got["method"] == method and got["body"].encode("latin-1") == body
    if body:
        assert (got["headers"]["x-mine"], got["headers"]["content-type"]) == ("1", "x/y")


def test_raw_answers(fetch: Any, site: Site) -> None:
    answer = fetch("GET", site.url("/curl/gzip"))
    assert answer.text == "unpacked" * 1000 and "content-encoding" not in answer.headers
    for status in (204, 304, 403, 418, 500):
        answer = fetch("GET", site.url(f"/curl/status?{status}"))
        assert (answer.status_code, answer.headers["x-should-retry"]) == (status, "false")
        assert answer.content == (b"" if status in (204, 304) else b"body")
    answer = fetch("GET", site.url("/curl/speaks"))
    assert answer.status_code == 500 and answer.headers["x-mine"] == "1"
    for name in ("access-control-allow-origin", "strict-transport-security", "set-cookie", "www-authenticate"):
        assert name not in answer.headers
    assert answer.headers["x-target-set-cookie"] == "raw=1" and answer.headers["x-request-id"] != "forged"
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_raw_redirects_stay_in_the_browser(fetch: Any, site: Site) -> None:
    there = site.url("/redirect?to=/echo")
    answer = fetch("GET", there)
    assert answer.status_code == 302 and answer.content == b""
    assert answer.headers["x-target-location"] == site.url("/echo")
    followed = fetch("GET", there, follow_redirects=True)
    assert followed.status_code == 200
    assert followed.json()["headers"]["upgrade-insecure-requests"] == "1"


def test_raw_refusals(fetch: Any, site: Site) -> None:
    for params, field in (({"url": ""}, "url"), ({"url": "file:///etc/passwd"}, "url"), ({"timeout_ms": "9"}, "timeout_ms")):
        answer = fetch("GET", site.url("/hello"), params=params)
        assert answer.status_code == 400 and field in {detail["code"] for detail in answer.json()["details"]}
    assert fetch("TRACE", site.url("/hello")).status_code == 405
    assert fetch("GET", "http://127.0.0.1:45678/").json()["net_error"] == -102
    large = fetch("POST", site.url("/echo"), content=bytes((4 << 20) + 1))
    assert (large.status_code, large.json()["code"]) == (413, "payload_too_large")
    answer = fetch("PUT", site.url("/echo"), content=bytes(4 << 20))
    assert answer.status_code == 200 and len(answer.json()["body"]) == 4 << 20


def test_raw_is_streamed_with_flat_memory(fetch: Any, kernel: Kernel, headless: Any, site: Site) -> None:
    def guest_memory() -> int:
        status = sessions.sh(kernel, headless.session_id, "cat /proc/1/status", as_root=True).out
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))

    before = guest_memory()
    answer = fetch("GET", site.url("/curl/huge"))
    assert len(answer.content) == 64 * len(BLOB)
    assert guest_memory() - before < 48 << 10


def test_raw_breaks_off_where_the_target_does(fetch: Any, site: Site) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        fetch("GET", site.url("/curl/cut"))


def test_a_client_that_goes_gives_the_request_up(server: Server, make: Any, site: Site) -> None:
    session = make()
    released = threading.Event()
    gone = threading.Event()

    def endless(page: Any, _: bytes) -> None:
        page.send_response(200)
        page.send_header("Content-Length", str(1 << 40))
        page.end_headers()
        try:
            while not released.is_set():
                page.wfile.write(BLOB)
        except OSError:
            gone.set()
        page.close_connection = True

    site.routes["/curl/endless"] = endless
    try:
        where, parameters, _ = raw(server, session, True)
        with httpx.stream("GET", where, params={**parameters, "url": site.url("/curl/endless")}, timeout=30) as stream:
            next(stream.iter_raw())
        assert gone.wait(30)
    finally:
        released.set()
        del site.routes["/curl/endless"]
    with Cdp(session.cdp_ws_url) as cdp:
        def hidden() -> list[str]:
            return [target["url"] for target in cdp.call("Target.getTargets")["targetInfos"] if target["type"] == "other"]
        eventually(lambda: not hidden(), "the hidden target is closed")


def test_it_works_after_chromium_comes_back(kernel: Kernel, make: Any, site: Site) -> None:
    session = make().session_id
    assert kernel.browsers.curl(session, url=site.url("/hello")).status == 200
    sessions.sh(kernel, session, "pkill -9 -o chromium", as_root=True)
    assert kernel.browsers.curl(session, url=site.url("/hello")).status == 200


def test_the_port_of_the_host_stays_closed(wire: httpx.Client, headless: Any) -> None:
    """Loopback is the session's own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        answer = wire.post(f"/browsers/{headless.session_id}/curl", json={"url": url})
        assert answer.json()["net_error"] == -102
