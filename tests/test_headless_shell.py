"""`--headless-engine shell`: headless sessions run chromium-headless-shell, headful ones Chromium; and `--ksm on`."""
from __future__ import annotations

import os
import pathlib
from typing import Any, Iterator

import kernel as sdk
import pytest
from kernel import Kernel

from harness import leaks, png, sessions
from harness.cdp import Cdp, back, first_page, new_page
from harness.deadline import eventually
from harness.server import Server, serving
from harness.sessions import sh
from harness.site import Site
from test_pool import figure, frozen, needs_freezer

SHELL = "chromium-headless-shell"


@pytest.fixture(scope="module")
def shells(site: Site) -> Iterator[Server]:
    with serving(private_hosts=[site.authority], extra_env={"BROWSERD_HEADLESS_ENGINE": "shell", "BROWSERD_POOL": "headless=2", "BROWSERD_STANDBY_SECONDS": "1"}) as server:
        yield server


@pytest.fixture(scope="module")
def client(shells: Server) -> Iterator[Kernel]:
    with sessions.client(shells.base_url, shells.key) as client:
        yield client


@pytest.fixture
def made(client: Kernel) -> Iterator[Any]:
    browser = client.browsers.create(headless=True, timeout_seconds=600)
    yield browser
    client.browsers.delete_by_id(browser.session_id)


def programs(client: Kernel, session: str) -> set[str]:
    """Names of the programs whose processes were started from /usr/lib/chromium."""
    lines = sh(client, session, "cat /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep ^/usr/lib/chromium/", as_root=True).out.splitlines()
    # Chromium writes over its arguments, with blanks between them.
    return {pathlib.PurePath(line.split()[0]).name for line in lines} - {"chrome_crashpad_handler"}


def merging(pid: int | str) -> set[str]:
    """What the kernel says of merging a process's pages, `yes` or `no`; nothing when the process is gone."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/ksm_stat").read_text().splitlines()
    except OSError:
        return set()
    return {line.split(":")[1].strip() for line in lines if line.startswith("ksm_merge_any:")}


def test_only_headless_sessions_run_it(client: Kernel, made: Any) -> None:
    assert programs(client, made.session_id) == {SHELL}
    headful = client.browsers.create(timeout_seconds=600)
    try:
        assert programs(client, headful.session_id) == {"chromium"}
    finally:
        client.browsers.delete_by_id(headful.session_id)


def test_a_page_from_end_to_end(client: Kernel, made: Any, site: Site) -> None:
    """Input, a picture of it, code, and a request through the browser."""
    session = made.session_id
    site.routes["/shell"] = lambda handler, _: handler._answer(200, "text/html", b"<body style='margin:0;background:#123456'><textarea autofocus style='position:fixed;left:0;top:0;width:400px;height:200px'></textarea>")
    with Cdp(made.cdp_ws_url) as cdp:
        page = first_page(cdp)
        assert page.goto(site.url("/shell")) is None
        client.browsers.computer.click_mouse(session, x=100, y=100)
        client.browsers.computer.type_text(session, text="grüße 你好")
        eventually(lambda: page.evaluate("document.querySelector('textarea').value") == "grüße 你好", "the text is there")
        picture = png.read(client.browsers.computer.capture_screenshot(session).read())
        assert (picture.width, picture.height) == (1920, 1080) and picture.pixel(1000, 800) == (0x12, 0x34, 0x56)
        page.evaluate("document.cookie = 'shell=1'")
    executed = client.browsers.playwright.execute(session, code="return await page.title() + page.url()")
    assert executed.success and executed.result == site.url("/shell"), executed
    site.routes["/cookies"] = lambda handler, _: handler._answer(200, "text/plain", handler.headers.get("cookie", "").encode())
    assert client.browsers.curl(session, url=site.url("/cookies")).body == "shell=1"


def test_another_size_and_zone_with_a_client_connected(client: Kernel, made: Any) -> None:
    with Cdp(made.cdp_ws_url) as cdp:
        page = first_page(cdp)
        client.browsers.update(made.session_id, viewport={"width": 1024, "height": 768})
        eventually(lambda: page.evaluate("[innerWidth, innerHeight, screen.width]+''") == "1024,768,1024", "the page has the size")
        client.browsers.update(made.session_id, location={"timezone": "Asia/Tokyo"})
        assert page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone") == "Asia/Tokyo"
        with pytest.raises(sdk.BadRequestError, match="chromium-headless-shell"):
            client.browsers.update(made.session_id, location={"timezone": "Asia/Tokyo", "locale": "ja-JP"})
        assert page.evaluate("navigator.languages.join()") == "en-US,en"


def test_a_language_is_had_from_the_start(client: Kernel, site: Site) -> None:
    browser = client.browsers.create(headless=True, timeout_seconds=600, location={"timezone": "Europe/Paris", "locale": "fr-FR"})
    try:
        with Cdp(browser.cdp_ws_url) as cdp:
            page = first_page(cdp)
            assert page.evaluate("navigator.languages.join()") == "fr-FR,fr,en-US,en"
            assert page.evaluate("(1234.5).toLocaleString().replace(/\\s/, ' ')") == "1 234,5"
            assert page.evaluate("new Date(0).toString().slice(16, 33)") == "01:00:00 GMT+0100"
            site.routes["/languages"] = lambda handler, _: handler._answer(200, "text/plain", handler.headers.get("accept-language", "").encode())
            assert page.goto(site.url("/languages")) is None
            assert page.evaluate("document.body.innerText").startswith("fr-FR,fr,")
    finally:
        client.browsers.delete_by_id(browser.session_id)


def test_what_it_cannot_do_is_refused(client: Kernel, made: Any) -> None:
    with pytest.raises(sdk.BadRequestError, match="has no policies"):
        client.browsers.create(headless=True, chrome_policy={"BookmarkBarEnabled": False})
    with pytest.raises(sdk.BadRequestError, match="takes no extensions"):
        client.browsers.load_extensions(made.session_id, extensions=[{"name": "one", "zip_file": b"PK"}])


def test_the_newest_tab_is_the_one_in_front(client: Kernel, made: Any) -> None:
    with Cdp(made.cdp_ws_url) as cdp:
        first_page(cdp).goto("data:text/html,<body style='background:red'>")
        second = new_page(cdp, "data:text/html,<body style='background:lime'>")
        shown = lambda: png.read(client.browsers.computer.capture_screenshot(made.session_id).read()).pixel(5, 700)
        eventually(lambda: shown() == (0, 255, 0), "the new tab shows")
        second.close()
        eventually(lambda: shown() == (255, 0, 0), "the first one shows again")


def test_downloads_recordings_and_a_crash(client: Kernel, made: Any, site: Site) -> None:
    session = made.session_id
    site.routes["/file"] = lambda handler, _: handler._answer(200, "application/zip", b"content", {"content-disposition": "attachment; filename=name.zip"})
    replay = client.browsers.replays.start(session)
    with Cdp(made.cdp_ws_url) as cdp:
        first_page(cdp).goto(site.url("/file"))
        eventually(lambda: sh(client, session, "cat /home/kernel/Downloads/name.zip").out == "content", "the file is there")
        pid = cdp.call("SystemInfo.getProcessInfo")["processInfo"]
        browser = next(process["id"] for process in pid if process["type"] == "browser")
    client.browsers.replays.stop(replay.replay_id, id_or_name=session)
    film = client.browsers.replays.download(replay.replay_id, id_or_name=session).read()
    assert film[4:8] == b"ftyp"
    sh(client, session, f"kill -9 {browser}", as_root=True)
    with back(made.cdp_ws_url) as cdp:
        assert first_page(cdp).evaluate("1 + 1") == 2
    assert programs(client, session) == {SHELL}


def test_it_has_no_profiles(client: Kernel, made: Any) -> None:
    profile = client.profiles.create()
    for call in (
        lambda: client.browsers.create(headless=True, profile={"id": profile.id}),
        lambda: client.browsers.update(made.session_id, profile={"id": profile.id, "save_changes": True}),
    ):
        with pytest.raises(sdk.BadRequestError) as caught:
            call()
        assert caught.value.body["details"][0]["code"] == "profile"
    client.profiles.delete(profile.id)


@needs_freezer
def test_it_waits_frozen_and_is_suspended(client: Kernel, shells: Server) -> None:
    eventually(lambda: figure(shells, 'browserd_pool_frozen{kind="headless"}') == 1, "one waits frozen", 60)
    answer = client.browsers.with_raw_response.create(headless=True, timeout_seconds=600)
    browser = answer.parse()
    assert "claim" in answer.headers["server-timing"]
    with Cdp(browser.cdp_ws_url) as cdp:
        assert first_page(cdp).evaluate("navigator.userAgent").count("Headless") == 0
    eventually(lambda: frozen(browser.session_id), "it is suspended")
    with Cdp(browser.cdp_ws_url) as cdp:
        assert first_page(cdp).evaluate("1 + 1") == 2
    client.browsers.delete_by_id(browser.session_id)
    eventually(lambda: not leaks.left_over([browser.session_id], shells.state_dir), "nothing is left")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: an ordinary user may not have pages merged")
@pytest.mark.skipif(not merging("self"), reason="this kernel has no KSM, or does not say who takes part")
def test_pages_may_be_merged_where_the_operator_wants_it() -> None:
    def merges(session: str) -> set[str]:
        browsers = (pid for pid, command in leaks.processes([session]).items() if "/chromium" in command)
        return {said for pid in browsers for said in merging(pid)}

    for setting, wanted in (("on", {"yes"}), ("off", {"no"})):
        with serving(extra_env={"BROWSERD_KSM": setting, "BROWSERD_POOL": "off"}) as server, sessions.client(server.base_url, server.key) as kernel:
            browser = kernel.browsers.create(headless=True)
            assert merges(browser.session_id) == wanted
            kernel.browsers.delete_by_id(browser.session_id)
