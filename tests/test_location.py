"""Another time zone and language while a session runs: what pages, workers, servers and processes see."""
from __future__ import annotations

import datetime
import json
from typing import Any, Callable, Iterator

import httpx
import kernel as sdk
import pytest
from kernel import Kernel

from harness import sessions
from harness.cdp import Cdp, Page, back, first_page, new_page
from harness.deadline import eventually
from harness.site import Site

SEEN = """({
    zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    offset: new Date(0).getTimezoneOffset(),
    date: new Date(0).toString().slice(16, 33),
    languages: navigator.languages.join(),
    written: (1234.5).toLocaleString().replace(/\\s/, ' '),
})"""
WORKER = f"onmessage = () => postMessage({SEEN})"
IN_WORKER = """new Promise(answer => {
    const worker = globalThis.kept ??= new Worker('/location-worker.js');
    worker.onmessage = event => answer(event.data);
    worker.postMessage(0);
})"""

TOKYO = {"zone": "Asia/Tokyo", "offset": -540, "date": "09:00:00 GMT+0900", "languages": "ja-JP,ja,en-US,en", "written": "1,234.5"}
PARIS = {"zone": "Europe/Paris", "offset": -60, "date": "01:00:00 GMT+0100", "languages": "fr-FR,fr,en-US,en", "written": "1 234,5"}


@pytest.fixture(scope="module")
def pages(site: Site) -> Iterator[Site]:
    """The site, with a worker."""
    site.routes["/location-worker.js"] = lambda handler, _: handler._answer(200, "text/javascript", WORKER.encode())
    yield site
    del site.routes["/location-worker.js"]


def evaluate(page: Page, script: str = SEEN) -> Any:
    answer = page.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
    return answer["result"]["value"]


def accept_language(page: Page, site: Site) -> str:
    return evaluate(page, f"fetch({json.dumps(site.url('/echo'))}).then(r => r.json()).then(echo => echo.headers['accept-language'])")


def environment(kernel: Kernel, session_id: str) -> list[str]:
    ran = sessions.sh(kernel, session_id, "date -d @0 +%H:%M; printf '%s\\n' \"$TZ\"; env -u TZ date -d @0 +%H:%M; cat /etc/timezone")
    assert ran.code == 0, ran
    return ran.out.split()


def offset(zone: str) -> str:
    """The time of 1970-01-01T00:00Z in a zone."""
    import zoneinfo

    return datetime.datetime.fromtimestamp(0, zoneinfo.ZoneInfo(zone)).strftime("%H:%M")


@pytest.mark.parametrize("headless", [True, False], ids=["headless", "headful"])
def test_everything_follows_a_change(kernel: Kernel, make: Callable[..., Any], pages: Site, headless: bool) -> None:
    browser = make(headless=headless, location={"timezone": "Europe/Paris", "locale": "fr-FR"})
    with Cdp(browser.cdp_ws_url) as cdp:
        page = first_page(cdp)
        assert page.goto(pages.url("/hello")) is None
        assert (evaluate(page), evaluate(page, IN_WORKER)) == (PARIS, PARIS)
        assert accept_language(page, pages).startswith("fr-FR,fr;")
        cdp.call("Target.setDiscoverTargets", discover=True)
        cdp.events.clear()

        changed = kernel.browsers.update(browser.session_id, location={"timezone": "Asia/Tokyo", "locale": "ja-JP"})
        location = changed.location
        assert (location.timezone, location.timezone_source) == ("Asia/Tokyo", "override")
        assert (location.locale, location.locale_source) == ("ja-JP", "override")
        assert kernel.browsers.retrieve(browser.session_id).location == location

        # the page and its worker were there before, were not loaded again, and the connection is the same
        eventually(lambda: evaluate(page) == TOKYO, "an open page follows")
        eventually(lambda: evaluate(page, IN_WORKER) == TOKYO, "a running worker follows")
        assert evaluate(page, "visited") == 1
        assert accept_language(page, pages).startswith("ja-JP,ja;")
        other = new_page(cdp, pages.url("/hello"))
        eventually(lambda: evaluate(other, "location.href") == pages.url("/hello"), "the new tab has arrived")
        eventually(lambda: evaluate(other) == TOKYO, "a new tab has it")
        eventually(lambda: evaluate(other, IN_WORKER) == TOKYO, "and its worker")
        # nothing of ours showed up as a page; drivers leave targets of other types alone
        created = [event["params"]["targetInfo"] for event in cdp.events if event["method"] == "Target.targetCreated"]
        assert {info["targetId"] for info in created if info["type"] == "page"} == {other.target}, created
        assert page.goto(pages.url("/echo")) is None
        assert evaluate(page, "JSON.parse(document.body.innerText).headers['accept-language']").startswith("ja-JP,ja;")
    assert environment(kernel, browser.session_id) == ["09:00", "Asia/Tokyo", "09:00", "Asia/Tokyo"]


def test_hundreds_of_pages_follow(kernel: Kernel, make: Callable[..., Any]) -> None:
    """More than there could be processes for, each page having its own."""
    browser = make(location={"timezone": "Europe/Paris", "locale": "fr-FR"})
    with Cdp(browser.cdp_ws_url) as cdp:
        opened = [new_page(cdp) for _ in range(260)]
        kernel.browsers.update(browser.session_id, location={"timezone": "Asia/Tokyo", "locale": "ja-JP"})
        for page in (opened[0], opened[-1], new_page(cdp)):
            for what, wanted in (("timeZone", "Asia/Tokyo"), ("locale", "ja-JP")):
                eventually(lambda: evaluate(page, f"Intl.DateTimeFormat().resolvedOptions().{what}") == wanted, f"a page has its {what}")


def test_fields_change_alone_and_null_is_the_default(kernel: Kernel, make: Callable[..., Any], pages: Site) -> None:
    browser = make(location={"timezone": "Europe/Paris", "locale": "fr-FR"})
    default = make().location
    assert (default.timezone_source, default.locale_source) == ("default", "default")
    with Cdp(browser.cdp_ws_url) as cdp:
        page = first_page(cdp)

        def sees(zone: str, language: str) -> None:
            eventually(lambda: (evaluate(page)["zone"], evaluate(page, "navigator.language")) == (zone, language), f"{zone}, {language}")

        changed = kernel.browsers.update(browser.session_id, location={"locale": "de-CH"})
        assert (changed.location.timezone, changed.location.locale) == ("Europe/Paris", "de-CH")
        sees("Europe/Paris", "de-CH")
        changed = kernel.browsers.update(browser.session_id, location={"timezone": "America/Argentina/Buenos_Aires"})
        assert (changed.location.timezone, changed.location.locale) == ("America/Argentina/Buenos_Aires", "de-CH")
        assert evaluate(page, "navigator.language") == "de-CH"
        eventually(lambda: evaluate(page)["offset"] == 180, "the time zone follows")
        assert environment(kernel, browser.session_id)[0] == offset("America/Argentina/Buenos_Aires")
        # nothing asked, nothing changed
        assert kernel.browsers.update(browser.session_id, location={}).location == changed.location

        changed = kernel.browsers.update(browser.session_id, location={"timezone": None})
        assert (changed.location.timezone, changed.location.timezone_source) == (default.timezone, "default")
        assert (changed.location.locale, changed.location.locale_source) == ("de-CH", "override")
        changed = kernel.browsers.update(browser.session_id, location={"locale": None})
        assert changed.location == default
        with Cdp(make().cdp_ws_url) as untouched:
            fresh = evaluate(first_page(untouched))
        eventually(lambda: evaluate(page) == fresh, "a page is where one of a session without a location is")
    assert environment(kernel, browser.session_id)[1] == default.timezone


def test_a_change_outlives_chromium(kernel: Kernel, make: Callable[..., Any], pages: Site) -> None:
    browser = make()
    kernel.browsers.update(browser.session_id, location={"timezone": "Asia/Tokyo", "locale": "ja-JP"})
    with Cdp(browser.cdp_ws_url) as cdp:
        assert evaluate(first_page(cdp)) == TOKYO
    sessions.sh(kernel, browser.session_id, "pkill -9 -o chromium; true")
    with back(browser.cdp_ws_url) as cdp:
        page = first_page(cdp)
        assert evaluate(page) == TOKYO
        assert evaluate(page, "(1234.5).toLocaleString() + new Date(0).toLocaleDateString()") == "1,234.51970/1/1"
        # and changes again, right after the start
        kernel.browsers.update(browser.session_id, location={"timezone": "Europe/Paris", "locale": "fr-FR"})
        eventually(lambda: evaluate(page) == PARIS, "the next change is taken too")


def test_sessions_do_not_share_a_location(kernel: Kernel, make: Callable[..., Any]) -> None:
    here, there = (make(location={"timezone": "Europe/Paris", "locale": "fr-FR"}) for _ in range(2))
    kernel.browsers.update(here.session_id, location={"timezone": "Asia/Tokyo", "locale": "ja-JP"})
    with Cdp(here.cdp_ws_url) as moved, Cdp(there.cdp_ws_url) as stayed:
        assert evaluate(first_page(moved)) == TOKYO
        assert (evaluate(first_page(stayed)), evaluate(new_page(stayed))) == (PARIS, PARIS)
    assert environment(kernel, there.session_id)[1] == "Europe/Paris"
    assert kernel.browsers.retrieve(there.session_id).location.timezone == "Europe/Paris"


def test_a_drivers_own_time_zone_and_language_go_first(kernel: Kernel, make: Callable[..., Any]) -> None:
    """Before a change, through it, and when they are set after it."""
    browser = make()
    own = {"zone": "America/New_York", "offset": 300, "date": "19:00:00 GMT-0500", "languages": "de-DE", "written": "1,234.5"}
    with Cdp(browser.cdp_ws_url) as cdp:
        page = first_page(cdp)

        def override(page: Page) -> None:
            page.call("Emulation.setTimezoneOverride", timezoneId="America/New_York")
            agent = page.evaluate("navigator.userAgent")
            page.call("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage="de-DE")

        override(page)
        kernel.browsers.update(browser.session_id, location={"timezone": "Asia/Tokyo", "locale": "ja-JP"})
        assert evaluate(page) == own
        later = new_page(cdp)
        eventually(lambda: evaluate(later) == TOKYO, "a new tab has the session's")
        override(later)
        assert evaluate(later) == own
        page.call("Emulation.setTimezoneOverride", timezoneId="")
        assert evaluate(page)["zone"] == "Asia/Tokyo"
    code = """
        const own = await browser.newContext({timezoneId: 'America/New_York', locale: 'de-DE'});
        try {
            const page = await own.newPage();
            const [popup] = await Promise.all([page.waitForEvent('popup'), page.evaluate(() => { open('about:blank'); })]);
            await popup.evaluate(() => document.readyState);
            return await page.evaluate(() => [
                Intl.DateTimeFormat().resolvedOptions().timeZone, Intl.DateTimeFormat().resolvedOptions().locale, navigator.language,
            ]);
        } finally { await own.close(); }
    """
    answer = kernel.browsers.playwright.execute(browser.session_id, code=code)
    assert answer.result == ["America/New_York", "de-DE", "de-DE"], answer


def test_pages_that_share_a_renderer_keep_their_language(kernel: Kernel, make: Callable[..., Any], pages: Site) -> None:
    browser = make(location={"timezone": "Europe/Paris", "locale": "fr-FR"})
    kernel.browsers.update(browser.session_id, location={"timezone": "Asia/Tokyo", "locale": "ja-JP"})
    with Cdp(browser.cdp_ws_url) as cdp:
        opener = new_page(cdp, pages.url("/hello"))
        eventually(lambda: evaluate(opener, "document.readyState") == "complete", "the opener is there")
        cdp.call("Target.setDiscoverTargets", discover=True)
        cdp.events.clear()
        opener.call("Runtime.evaluate", expression="open('/title/popup'); 0", userGesture=True)
        created = cdp.event("Target.targetCreated", accept=lambda params: params["targetInfo"].get("openerId") == opener.target)
        popup = Page(cdp, created["targetInfo"]["targetId"])
        eventually(lambda: evaluate(popup) == TOKYO, "the popup is where its opener is")
        opener.close()
        cdp.event("Target.targetDestroyed", accept=lambda params: params["targetId"] == opener.target)
        eventually(lambda: evaluate(popup) == TOKYO, "and stays there")
        assert popup.goto(pages.url("/hello")) is None
        assert evaluate(popup) == TOKYO


def test_the_start_page_opens_at_the_new_place(kernel: Kernel, make: Callable[..., Any], pages: Site) -> None:
    browser = make()
    kernel.browsers.update(browser.session_id, location={"timezone": "Asia/Tokyo", "locale": "ja-JP"}, start_url=pages.url("/echo"))
    with Cdp(browser.cdp_ws_url) as cdp:
        page = first_page(cdp)
        eventually(lambda: evaluate(page, "location.href") == pages.url("/echo"), "the start page is open")
        echoed = "JSON.parse(document.body?.innerText || '{}').headers?.['accept-language'] ?? ''"
        eventually(lambda: evaluate(page, echoed).startswith("ja-JP"), "the start page was requested in the new language")


def test_a_policy_with_languages_goes_first(kernel: Kernel, make: Callable[..., Any]) -> None:
    browser = make(chrome_policy={"ForcedLanguages": ["it-IT", "it"], "URLBlocklist": ["chrome://*"]})
    kernel.browsers.update(browser.session_id, location={"timezone": "Asia/Tokyo", "locale": "ja-JP"})
    with Cdp(browser.cdp_ws_url) as cdp:
        seen = evaluate(first_page(cdp))
    assert seen["zone"] == "Asia/Tokyo"
    assert seen["languages"].startswith("it-IT,it")


@pytest.mark.parametrize(
    ("location", "fields"),
    [
        ({"timezone": "Mars/Olympus", "locale": "ja-JP"}, {"location.timezone"}),
        ({"timezone": "../../etc/passwd"}, {"location.timezone"}),
        ({"timezone": ""}, {"location.timezone"}),
        ({"timezone": 5}, {"location.timezone"}),
        ({"timezone": "Asia/Tokyo", "locale": "not a locale"}, {"location.locale"}),
        ({"timezone": "x", "locale": "y_z"}, {"location.timezone", "location.locale"}),
    ],
)
def test_what_is_no_place_is_refused_by_field(
    kernel: Kernel, wire: httpx.Client, headless: Any, location: dict[str, Any], fields: set[str]
) -> None:
    before = kernel.browsers.retrieve(headless.session_id).location
    with pytest.raises(sdk.BadRequestError) as refused:
        kernel.browsers.update(headless.session_id, location=location)  # type: ignore[arg-type]
    assert {detail["code"] for detail in refused.value.response.json()["details"]} == fields
    assert kernel.browsers.retrieve(headless.session_id).location == before
    answer = wire.patch(f"/browsers/{headless.session_id}", json={"location": "Tokyo"})
    assert (answer.status_code, [detail["code"] for detail in answer.json()["details"]]) == (400, ["location"])
