"""Sessions through the official SDK: every field, listing, change, end, and every refusal."""
from __future__ import annotations

import concurrent.futures
import datetime
import re
from typing import Any, Callable

import httpx
import kernel as sdk
import pytest
from kernel import Kernel

from harness import sessions
from harness.cdp import Cdp, first_page, new_page
from harness.deadline import eventually
from harness.server import Server
from harness.site import Site

CUID2 = re.compile(r"^[a-z][a-z0-9]{23}$")
# what has the viewport's size: the window on the screen, or, where there is no screen, the page
SIZE = {False: "[outerWidth, outerHeight]", True: "[innerWidth, innerHeight]"}


def blamed(error: sdk.APIStatusError) -> set[str]:
    """Fields an error names."""
    body = error.response.json()
    assert set(body) <= {"code", "message", "details", "inner_error"}
    return {detail["code"] for detail in body.get("details", [])}


# --- the answer of create


def test_defaults_of_a_headless_session(headless: Any) -> None:
    assert CUID2.match(headless.session_id)
    assert headless.headless is True
    assert headless.stealth is False
    assert headless.memory == "4GiB"
    assert headless.region == "us-east"
    assert headless.kiosk_mode is False
    assert headless.viewport.width == 1920 and headless.viewport.height == 1080
    assert headless.deleted_at is None
    age = datetime.datetime.now(datetime.timezone.utc) - headless.created_at
    assert datetime.timedelta(0) <= age < datetime.timedelta(hours=1)


def test_defaults_when_nothing_is_asked(wire: httpx.Client) -> None:
    """No body at all is a headful session with the documented defaults."""
    answer = wire.post("/browsers")
    assert answer.status_code == 200
    browser = answer.json()
    try:
        assert browser["headless"] is False
        assert browser["timeout_seconds"] == 60
        assert browser["memory"] == "8GiB"
        assert browser["viewport"] == {"width": 1920, "height": 1080, "refresh_rate": 25}
        assert browser["location"]["timezone_source"] == "default"
        assert browser["location"]["locale_source"] == "default"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", browser["created_at"])
    finally:
        assert wire.delete(f"/browsers/{browser['session_id']}").status_code == 204


def test_urls_carry_a_three_part_token(headless: Any, server: Server) -> None:
    netloc = f"127.0.0.1:{server.port}"
    assert headless.cdp_ws_url.startswith(f"ws://{netloc}/")
    assert headless.webdriver_ws_url.startswith(f"ws://{netloc}/")
    assert headless.base_url.startswith(f"http://{netloc}/")
    token = sessions.jwt_of(headless.cdp_ws_url)
    assert len(token.split(".")) == 3
    assert server.key not in headless.cdp_ws_url


def test_ready_means_one_blank_page(make: Callable[..., Any]) -> None:
    browser = make()
    with Cdp(browser.cdp_ws_url) as cdp:
        pages = [t for t in cdp.call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        assert [page["url"] for page in pages] == ["about:blank"]


# --- lookup and listing


def test_get_by_id_and_by_name(kernel: Kernel, headless: Any) -> None:
    by_id = kernel.browsers.retrieve(headless.session_id)
    by_name = kernel.browsers.retrieve("shared-headless")
    assert by_id.session_id == by_name.session_id == headless.session_id
    assert by_id.created_at == headless.created_at
    assert by_id.viewport == headless.viewport


@pytest.mark.parametrize("who", ["zz0000000000000000000000", "no-such-name", "a%2Fb", "..%2f..%2fetc"])
def test_unknown_session_is_404(wire: httpx.Client, who: str) -> None:
    for answer in (wire.get(f"/browsers/{who}"), wire.patch(f"/browsers/{who}", json={"tags": {}}), wire.delete(f"/browsers/{who}")):
        assert answer.status_code == 404, answer.text
        assert answer.json()["code"] == "browser_not_found"


def test_list_pages(wire: httpx.Client, headless: Any, neighbour: Any) -> None:
    first = wire.get("/browsers", params={"limit": 1})
    assert first.status_code == 200
    assert len(first.json()) == 1
    assert first.headers["x-limit"] == "1"
    assert first.headers["x-offset"] == "0"
    assert first.headers["x-has-more"] == "true"
    assert first.headers["x-next-offset"] == "1"
    seen = [first.json()[0]["session_id"]]
    offset = first.headers["x-next-offset"]
    while True:
        page = wire.get("/browsers", params={"limit": 1, "offset": offset})
        seen += [browser["session_id"] for browser in page.json()]
        if page.headers["x-has-more"] == "false":
            break
        assert int(page.headers["x-next-offset"]) > int(offset)
        offset = page.headers["x-next-offset"]
    assert len(seen) == len(set(seen))
    assert {headless.session_id, neighbour.session_id} <= set(seen)


def test_sdk_iterates_over_all_pages(kernel: Kernel, headless: Any, neighbour: Any) -> None:
    ids = [browser.session_id for browser in kernel.browsers.list(limit=1)]
    assert {headless.session_id, neighbour.session_id} <= set(ids)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"offset": "-1"}, "offset"),
        ({"status": "gone"}, "status"),
        ({"region": "mars"}, "region"),
    ],
)
def test_list_refuses_bad_queries(wire: httpx.Client, params: dict[str, str], field: str) -> None:
    answer = wire.get("/browsers", params=params)
    assert answer.status_code == 400, answer.text
    assert field in {detail["code"] for detail in answer.json()["details"]}


def test_list_filters(kernel: Kernel, make: Callable[..., Any]) -> None:
    one = make(name="Filter-One", tags={"team": "a", "kind": "x"}, region="eu-west")
    two = make(name="filter-two", tags={"team": "a", "kind": "y"})

    def ids(**query: Any) -> set[str]:
        return {browser.session_id for browser in kernel.browsers.list(**query)}

    assert ids(tags={"team": "a"}) == {one.session_id, two.session_id}
    assert ids(tags={"team": "a", "kind": "x"}) == {one.session_id}
    assert ids(tags={"team": "A"}) == set()
    assert ids(query="FILTER") == {one.session_id, two.session_id}
    assert ids(query="lter-o") == {one.session_id}
    assert ids(query=two.session_id) == {two.session_id}
    assert ids(query=two.session_id[:8]) == set()
    assert ids(region="eu-west") == {one.session_id}


def test_query_wildcards_are_plain_text(kernel: Kernel, make: Callable[..., Any]) -> None:
    browser = make(name="with_under*score")
    for query in ("h_u", "_", "r*s"):
        assert {b.session_id for b in kernel.browsers.list(query=query)} == {browser.session_id}, query
    for query in ("%", "w%h", "w_th", "with*", "'", '"', "\\"):
        assert not list(kernel.browsers.list(query=query)), query


# --- end


def test_deleted_sessions_stay_readable(kernel: Kernel, wire: httpx.Client) -> None:
    browser = sessions.create(kernel, name="soon-gone", tags={"keep": "me"})
    kernel.browsers.delete_by_id(browser.session_id)
    kernel.browsers.delete_by_id(browser.session_id)
    assert wire.delete(f"/browsers/{browser.session_id}").status_code == 204

    assert browser.session_id not in {b.session_id for b in kernel.browsers.list()}
    for query in ({"status": "deleted"}, {"status": "all"}, {"include_deleted": True}):
        found = [b for b in kernel.browsers.list(**query) if b.session_id == browser.session_id]
        assert len(found) == 1
        assert found[0].deleted_at is not None and found[0].deleted_at >= browser.created_at

    answer = wire.get(f"/browsers/{browser.session_id}", params={"include_deleted": "true"})
    assert answer.status_code == 200
    body = answer.json()
    assert body["deletion_reason"] == "deleted"
    assert body["tags"] == {"keep": "me"}
    assert body["name"] == "soon-gone"
    assert body["usage"]["uptime_ms"] >= 0
    kernel.browsers.retrieve(browser.session_id, include_deleted=True)


def test_what_is_inside_a_deleted_session_is_gone(kernel: Kernel) -> None:
    browser = sessions.create(kernel)
    kernel.browsers.delete_by_id(browser.session_id)
    quick = kernel.with_options(max_retries=0)
    with pytest.raises(sdk.NotFoundError) as refused:
        quick.browsers.process.exec(browser.session_id, command="true")
    assert refused.value.response.json()["code"] == "browser_not_found"
    with pytest.raises(sdk.NotFoundError):
        quick.browsers.update(browser.session_id, name="too-late")


def test_a_name_is_free_again_after_the_end(kernel: Kernel, make: Callable[..., Any]) -> None:
    first = make(name="reused")
    kernel.browsers.delete_by_id("reused")
    second = make(name="reused")
    assert second.session_id != first.session_id
    assert kernel.browsers.retrieve("reused").session_id == second.session_id


# --- names and labels


class Counting(httpx.BaseTransport):
    """Counts the requests an SDK really sends."""

    def __init__(self) -> None:
        self.inner = httpx.HTTPTransport()
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.inner.handle_request(request)

    def close(self) -> None:
        self.inner.close()


def test_taken_name_is_409_and_not_tried_again(server: Server, headless: Any) -> None:
    transport = Counting()
    with sessions.client(server.base_url, server.key, http_client=httpx.Client(transport=transport)) as client:
        with pytest.raises(sdk.ConflictError) as refused:
            client.browsers.create(headless=True, name="shared-headless")
    assert len(transport.requests) == 1
    assert refused.value.response.headers["x-should-retry"] == "false"
    body = refused.value.response.json()
    assert body["code"] == "already_exists"
    assert headless.session_id in refused.value.response.text


def test_rename_and_relabel(kernel: Kernel, make: Callable[..., Any]) -> None:
    browser = make(name="before", tags={"a": "1"})
    renamed = kernel.browsers.update(browser.session_id, name="after")
    assert renamed.name == "after" and renamed.tags == {"a": "1"}
    assert kernel.browsers.retrieve("after").session_id == browser.session_id
    with pytest.raises(sdk.NotFoundError):
        kernel.browsers.retrieve("before")

    assert kernel.browsers.update("after", tags={"b": "2", "c": "3"}).tags == {"b": "2", "c": "3"}
    assert not kernel.browsers.update("after", tags={}).tags
    assert not kernel.browsers.update("after", name="").name
    with pytest.raises(sdk.NotFoundError):
        kernel.browsers.retrieve("after")


def test_rename_to_a_taken_name_is_409(kernel: Kernel, make: Callable[..., Any], headless: Any) -> None:
    browser = make(name="wants-another")
    with pytest.raises(sdk.ConflictError) as refused:
        kernel.browsers.update(browser.session_id, name="shared-headless")
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert kernel.browsers.retrieve(browser.session_id).name == "wants-another"
    assert kernel.browsers.update(browser.session_id, name="wants-another").name == "wants-another"


@pytest.mark.parametrize("headless", [True, False], ids=["headless", "headful"])
def test_the_window_changes_while_it_runs(kernel: Kernel, make: Callable[..., Any], headless: bool) -> None:
    browser = make(headless=headless, viewport={"width": 1024, "height": 768})
    with Cdp(browser.cdp_ws_url) as cdp:
        page = first_page(cdp)
        page.evaluate("window.marker = 1")
        for width, height in ((800, 600), (1280, 800)):
            changed = kernel.browsers.update(browser.session_id, viewport={"width": width, "height": height})
            assert changed.viewport and (changed.viewport.width, changed.viewport.height) == (width, height)
            assert page.evaluate(SIZE[headless]) == [width, height]
        assert page.evaluate("window.marker") == 1, "nothing was loaded again"
    assert kernel.browsers.retrieve(browser.session_id).viewport == changed.viewport


@pytest.mark.parametrize("headless", [True, False], ids=["headless", "headful"])
def test_sizes_asked_for_at_once_end_with_the_one_on_record(kernel: Kernel, make: Callable[..., Any], headless: bool) -> None:
    browser = make(headless=headless, viewport={"width": 1024, "height": 768})
    sizes = [(800, 600), (1280, 800), (640, 480), (1000, 700)]
    with Cdp(browser.cdp_ws_url) as cdp, concurrent.futures.ThreadPoolExecutor(4) as pool:
        page = first_page(cdp)
        for _ in range(5):
            changes = [
                pool.submit(kernel.browsers.update, browser.session_id, viewport={"width": width, "height": height})
                for width, height in sizes]
            answers = [change.result().viewport for change in changes]
            assert [(answer.width, answer.height) for answer in answers] == sizes
            said = kernel.browsers.retrieve(browser.session_id).viewport
            assert page.evaluate(SIZE[headless]) == [said.width, said.height]


def test_the_size_of_a_recorded_screen_needs_force(kernel: Kernel, wire: httpx.Client, make: Callable[..., Any]) -> None:
    browser = make(headless=False, viewport={"width": 1024, "height": 768})
    replay = kernel.browsers.replays.start(browser.session_id)
    wanted = {"viewport": {"width": 800, "height": 600}}
    refused = wire.patch(f"/browsers/{browser.session_id}", json=wanted)
    assert (refused.status_code, refused.json()["code"]) == (409, "being_recorded")
    assert refused.headers["x-should-retry"] == "false"
    assert kernel.browsers.retrieve(browser.session_id).viewport.width == 1024
    changed = kernel.browsers.update(browser.session_id, viewport={"width": 800, "height": 600, "force": True})
    assert changed.viewport and changed.viewport.width == 800
    kernel.browsers.replays.stop(replay.replay_id, id_or_name=browser.session_id)
    assert kernel.browsers.update(browser.session_id, viewport={"width": 640, "height": 480}).viewport.width == 640


def test_start_url_navigates_the_page_that_is_open(kernel: Kernel, make: Callable[..., Any], site: Site) -> None:
    browser = make()
    with Cdp(browser.cdp_ws_url) as cdp:
        assert kernel.browsers.update(browser.session_id, start_url=site.url("/title/changed")).start_url == site.url("/title/changed")

        def titles() -> list[str]:
            return [target["title"] for target in cdp.call("Target.getTargets")["targetInfos"] if target["type"] == "page"]

        eventually(lambda: titles() == ["changed"], "the one page went there")


@pytest.mark.parametrize(
    "settings",
    [{"headless": True}, {"headless": False}, {"headless": True, "chrome_policy": {"BookmarkBarEnabled": True}}],
    ids=["headless", "headful", "started for it"],
)
def test_nothing_of_ours_comes_after_a_start_url(kernel: Kernel, make: Callable[..., Any], site: Site, settings: dict[str, Any]) -> None:
    """Whoever is answered opens a tab, or sends the tab elsewhere, at once: neither is aborted or taken over."""
    browser = make(start_url=site.url("/title/started"), **settings)
    with Cdp(browser.cdp_ws_url) as cdp:
        page = first_page(cdp)
        assert page.goto(site.url("/title/elsewhere")) is None

        def title() -> str:
            return next(one["title"] for one in cdp.call("Target.getTargets")["targetInfos"] if one["targetId"] == page.target)

        for turn in range(10):
            kernel.browsers.update(browser.session_id, start_url=site.url(f"/title/first-{turn}"))
            assert page.goto(site.url("/title/elsewhere")) is None
            kernel.browsers.update(browser.session_id, start_url=site.url(f"/title/second-{turn}"))
            tab = new_page(cdp)
            assert tab.goto(site.url("/title/mine")) is None
            eventually(lambda: title() == f"second-{turn}", "the tab that was in front went there")
            assert tab.evaluate("document.title") == "mine"
            tab.close()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"viewport": {"width": 1, "height": 600}}, "viewport.width"), ({"viewport": {"width": 800}}, "viewport.height"),
        ({"viewport": {"width": 800, "height": 600, "force": 1}}, "viewport.force"), ({"start_url": "file:///etc/passwd"}, "start_url"), ({"name": "a/b"}, "name"),
    ],
)
def test_bad_changes_are_refused_and_change_nothing(wire: httpx.Client, headless: Any, change: dict[str, Any], field: str) -> None:
    answer = wire.patch(f"/browsers/{headless.session_id}", json={"tags": {"never": "set"}, **change})
    assert answer.status_code == 400, answer.text
    assert {detail["code"] for detail in answer.json()["details"]} == {field}
    assert not wire.get(f"/browsers/{headless.session_id}").json().get("tags")


@pytest.mark.parametrize(
    "change",
    [
        {"stealth": True}, {"headless": False}, {"memory": "2GiB"},
        {"proxy": {"id": "p"}}, {"telemetry": {"browser": {"console": {"enabled": True}}}}, {"chrome_policy": {}},
    ],
)
def test_what_cannot_be_changed_yet_is_refused_in_words(wire: httpx.Client, headless: Any, change: dict[str, Any]) -> None:
    answer = wire.patch(f"/browsers/{headless.session_id}", json=change)
    assert answer.status_code in (400, 501), answer.text
    assert next(iter(change)) in answer.text


# --- refusals of create


BAD_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"timeout_seconds": 9}, "timeout_seconds"),
    ({"timeout_seconds": 259_201}, "timeout_seconds"),
    ({"timeout_seconds": "60"}, "timeout_seconds"),
    ({"timeout_seconds": -1}, "timeout_seconds"),
    ({"headless": "yes"}, "headless"),
    ({"viewport": {"width": 319, "height": 600}}, "viewport.width"),
    ({"viewport": {"width": 800, "height": 239}}, "viewport.height"),
    ({"viewport": {"width": 7681, "height": 600}}, "viewport.width"),
    ({"viewport": {"width": 800}}, "viewport.height"),
    ({"viewport": {"width": 800, "height": 600, "refresh_rate": 0}}, "viewport.refresh_rate"),
    ({"memory": "3GiB"}, "memory"),
    ({"headless": True, "memory": "8GiB"}, "memory"),
    ({"headless": False, "memory": "1GiB"}, "memory"),
    ({"region": "mars"}, "region"),
    ({"location": {"timezone": "Mars/Olympus"}}, "location.timezone"),
    ({"location": {"timezone": "../../etc/passwd"}}, "location.timezone"),
    ({"location": {"locale": "not a locale"}}, "location.locale"),
    ({"name": "x" * 1000}, "name"),
    ({"name": "a/b"}, "name"),
    ({"name": "a%b"}, "name"),
    ({"name": "abcdefghijklmnopqrstuvwx"}, "name"),
    ({"tags": {f"k{n}": "v" for n in range(51)}}, "tags"),
    ({"tags": {"k": 1}}, "tags.k"),
    ({"start_url": "javascript:alert(1)"}, "start_url"),
    ({"start_url": "file:///etc/passwd"}, "start_url"),
    ({"chrome_policy": {"ProxySettings": {"ProxyMode": "direct"}}}, "chrome_policy.ProxySettings"),
    ({"chrome_policy": {"ExtensionInstallForcelist": ["x"]}}, "chrome_policy.ExtensionInstallForcelist"),
    ({"chrome_policy": {"RemoteDebuggingAllowed": False}}, "chrome_policy.RemoteDebuggingAllowed"),
    ({"chrome_policy": []}, "chrome_policy"),
    ({"kiosk_mode": 1}, "kiosk_mode"),
]


@pytest.mark.parametrize(("body", "field"), BAD_FIELDS, ids=lambda value: str(value)[:60])
def test_bad_field_is_400_and_named(wire: httpx.Client, body: dict[str, Any], field: str) -> None:
    answer = wire.post("/browsers", json={"headless": True, **body})
    if answer.status_code == 200:
        wire.delete(f"/browsers/{answer.json()['session_id']}")
    assert answer.status_code == 400, answer.text
    assert field in {detail["code"] for detail in answer.json()["details"]}, answer.text
    assert all(detail["message"] for detail in answer.json()["details"])


def test_all_bad_fields_are_named_at_once(wire: httpx.Client) -> None:
    answer = wire.post("/browsers", json={"headless": True, "timeout_seconds": 1, "viewport": {"width": 1, "height": 1}, "region": "us-east", "name": "a/b"})
    assert answer.status_code == 400
    assert {"timeout_seconds", "viewport.width", "viewport.height", "name"} <= {d["code"] for d in answer.json()["details"]}


NOT_YET: list[dict[str, Any]] = [
    {"gpu": True},
    {"video_memory": "2GiB"},
    {"extensions": [{"name": "e"}]},
    {"network": {"allowed_hosts": ["example.com"]}},
    {"telemetry": {"browser": {"console": {"enabled": True}}}},
    {"vaults": [{"name": "v"}]},
    {"invocation_id": "i"},
]


@pytest.mark.parametrize("body", NOT_YET, ids=lambda body: next(iter(body)))
def test_fields_of_later_versions_are_refused_by_name(wire: httpx.Client, body: dict[str, Any]) -> None:
    answer = wire.post("/browsers", json={"headless": True, **body})
    if answer.status_code == 200:
        wire.delete(f"/browsers/{answer.json()['session_id']}")
    assert answer.status_code == 400, answer.text
    field = next(iter(body))
    assert any(detail["code"].split(".")[0].split("[")[0] == field for detail in answer.json()["details"]), answer.text


def test_unknown_fields_are_ignored_and_said(wire: httpx.Client) -> None:
    """Clients of newer versions must not break, but can see what was not understood."""
    answer = wire.post("/browsers", json={"headless": True, "from_the_future": {"x": 1}})
    assert answer.status_code == 200, answer.text
    try:
        assert "from_the_future" in answer.headers["x-browserd-ignored-fields"]
    finally:
        wire.delete(f"/browsers/{answer.json()['session_id']}")


def test_empty_values_of_refused_fields_change_nothing(wire: httpx.Client) -> None:
    """Clients send defaults for fields they do not use."""
    answer = wire.post("/browsers", json={"headless": True, "stealth": False, "extensions": [], "telemetry": None, "proxy": None})
    assert answer.status_code == 200, answer.text
    wire.delete(f"/browsers/{answer.json()['session_id']}")


def test_a_policy_over_the_limit_is_refused(wire: httpx.Client) -> None:
    answer = wire.post("/browsers", json={"headless": True, "chrome_policy": {"HomepageLocation": "x" * (5 * 1024 * 1024 + 1)}})
    assert answer.status_code in (400, 413), answer.text[:500]


# --- what the settings do


def test_timezone_and_locale(kernel: Kernel, make: Callable[..., Any]) -> None:
    browser = make(location={"timezone": "Asia/Tokyo", "locale": "fr-FR"})
    assert browser.location.timezone == "Asia/Tokyo" and browser.location.timezone_source == "override"
    assert browser.location.locale == "fr-FR" and browser.location.locale_source == "override"
    with Cdp(browser.cdp_ws_url) as cdp:
        for page in (first_page(cdp), new_page(cdp)):
            assert page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone") == "Asia/Tokyo"
            assert page.evaluate("new Date(0).getTimezoneOffset()") == -540
            assert page.evaluate("navigator.language") == "fr-FR"
            assert page.evaluate("(1234.5).toLocaleString()") in ("1 234,5", "1\u202f234,5", "1\u00a0234,5")


def test_headless_viewport_is_the_page(make: Callable[..., Any]) -> None:
    browser = make(viewport={"width": 1024, "height": 768})
    assert (browser.viewport.width, browser.viewport.height) == (1024, 768)
    with Cdp(browser.cdp_ws_url) as cdp:
        page = first_page(cdp)
        assert page.evaluate("[innerWidth, innerHeight]") == [1024, 768]


def test_headful_window_fills_the_screen(kernel: Kernel, headful: Any) -> None:
    with Cdp(headful.cdp_ws_url) as cdp:
        page = first_page(cdp)
        assert page.evaluate("[screen.width, screen.height]") == [1280, 800]
        assert page.evaluate("[outerWidth, outerHeight]") == [1280, 800]
        # the browser's own interface is there
        assert 600 < page.evaluate("innerHeight") < 800
    display = sessions.sh(kernel, headful.session_id, "echo $DISPLAY")
    assert re.match(r"^:\d+", display.out)


def test_kiosk_hides_the_interface(make: Callable[..., Any]) -> None:
    browser = make(headless=False, kiosk_mode=True, viewport={"width": 1024, "height": 768})
    assert browser.kiosk_mode is True
    with Cdp(browser.cdp_ws_url) as cdp:
        page = first_page(cdp)
        assert page.evaluate("[innerWidth, innerHeight]") == [1024, 768]


def test_a_page_of_chromiums_own_is_opened(kernel: Kernel, make: Callable[..., Any]) -> None:
    browser = make(start_url="about:version")
    with Cdp(browser.cdp_ws_url) as cdp:
        urls = lambda: [t["url"] for t in cdp.call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        eventually(lambda: urls() == ["chrome://version/"], "the start page is open")


def test_start_url_is_opened(make: Callable[..., Any], site: Site) -> None:
    browser = make(start_url=site.url("/title/started"))
    assert browser.start_url == site.url("/title/started")
    with Cdp(browser.cdp_ws_url) as cdp:
        eventually(
            lambda: any(t["title"] == "started" for t in cdp.call("Target.getTargets")["targetInfos"] if t["type"] == "page"),
            "the start page is open",
        )


def test_a_start_url_that_fails_does_not_fail_create(make: Callable[..., Any]) -> None:
    browser = make(start_url="http://192.168.255.254:81/nothing")
    with Cdp(browser.cdp_ws_url) as cdp:
        assert cdp.call("Browser.getVersion")["product"]


def test_chrome_policy_is_in_force(make: Callable[..., Any]) -> None:
    browser = make(chrome_policy={"BookmarkBarEnabled": True, "URLBlocklist": ["blocked.example"]})
    assert browser.chrome_policy == {"BookmarkBarEnabled": True, "URLBlocklist": ["blocked.example"]}
    with Cdp(browser.cdp_ws_url) as cdp:
        page = new_page(cdp)
        assert page.goto("http://blocked.example/") == "net::ERR_BLOCKED_BY_ADMINISTRATOR"
        assert page.goto("chrome://policy") is None
        names = """(() => { const all = []; const walk = node => {
            if (node.shadowRoot) walk(node.shadowRoot);
            for (const child of node.children || []) walk(child);
            if (node.classList && node.classList.contains('name')) all.push(node.textContent.trim());
        }; walk(document.body); return all.join(' '); })()"""
        eventually(lambda: "BookmarkBarEnabled" in page.evaluate(names), "chrome://policy lists the policy")


def test_browser_language_reaches_servers(make: Callable[..., Any], site: Site) -> None:
    browser = make(location={"locale": "de-DE"})
    with Cdp(browser.cdp_ws_url) as cdp:
        page = first_page(cdp)
        assert page.goto(site.url("/echo")) is None
        assert page.evaluate("JSON.parse(document.body.innerText).headers['accept-language']").startswith("de-DE")
