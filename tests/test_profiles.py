"""Profiles: the resource, saving a session's state into one, and loading it into a running browser."""
from __future__ import annotations

import io
import json
import tarfile
from typing import Any, Callable, Iterator

import httpx
import kernel as sdk
import pytest
from kernel import Kernel

from harness import leaks, sessions
from harness.cdp import Cdp, Page, first_page, new_page
from harness.deadline import eventually
from harness.server import KEY, Server, serving
from harness.sessions import refused
from harness.site import Site

WRITE = """(async () => {
    document.cookie = `plain=${MARK}; max-age=3600; path=/`;
    document.cookie = `session=${MARK}; path=/`;
    localStorage.setItem('mark', MARK);
    const open = indexedDB.open('marks', 1);
    open.onupgradeneeded = () => open.result.createObjectStore('all');
    const database = await new Promise((done, failed) => { open.onsuccess = () => done(open.result); open.onerror = failed; });
    const writing = database.transaction('all', 'readwrite');
    writing.objectStore('all').put({text: MARK, when: new Date(0), bytes: new Uint8Array([1, 2]), blob: new Blob([MARK])}, 'mark');
    await new Promise((done, failed) => { writing.oncomplete = done; writing.onerror = failed; });
    database.close();
    return true;
})()"""
READ = """(async () => {
    const open = indexedDB.open('marks', 1);
    open.onupgradeneeded = () => open.result.createObjectStore('all');
    const database = await new Promise((done, failed) => { open.onsuccess = () => done(open.result); open.onerror = failed; });
    const reading = database.transaction('all').objectStore('all').get('mark');
    const kept = await new Promise((done, failed) => { reading.onsuccess = () => done(reading.result); reading.onerror = failed; });
    database.close();
    return {
        cookies: document.cookie.split('; ').sort().join(' '),
        local: localStorage.getItem('mark'),
        indexed: kept ? [kept.text, kept.when.getTime(), kept.bytes.join(), await kept.blob.text()] : null,
    };
})()"""
NOTHING = {"cookies": "", "local": None, "indexed": None}


def state(mark: str) -> dict[str, Any]:
    return {"cookies": f"plain={mark} session={mark}", "local": mark, "indexed": [mark, 0, "1,2", mark]}


@pytest.fixture(scope="module")
def pages(site: Site) -> Iterator[Site]:
    """The site, with a page that gives a cookie scripts do not see, and one that notes the cookies it is sent."""
    seen: list[str] = []
    site.routes["/profile-login"] = lambda handler, _: handler._answer(
        200, "text/html", b"<title>in</title>", {"Set-Cookie": "login=secret; HttpOnly; SameSite=Lax; Path=/; Max-Age=3600"})

    def note(handler: Any, _: bytes) -> None:
        seen.append(handler.headers.get("Cookie") or "")
        handler._answer(200, "text/html", b"<title>noted</title>")

    site.routes["/profile-noted"] = note
    site.cookies = seen  # type: ignore[attr-defined]
    yield site
    del site.routes["/profile-login"], site.routes["/profile-noted"]


@pytest.fixture(scope="module")
def server(site: Site) -> Iterator[Server]:
    """A server of this suite's own, so that what is left of profiles can be counted."""
    with serving(private_hosts=[site.authority], extra_env={"BROWSERD_POOL": "headless=1"}) as server:
        yield server


@pytest.fixture(scope="module")
def kernel(server: Server) -> Iterator[Kernel]:
    with sessions.client(server.base_url, KEY) as client:
        yield client


@pytest.fixture
def profile(kernel: Kernel) -> Iterator[Any]:
    made = kernel.profiles.create(name="shop-1")
    yield made
    try:
        kernel.profiles.delete(made.id)
    except sdk.NotFoundError:
        pass


def blobs(server: Server) -> list[str]:
    return sorted(str(path) for path in server.state_dir.glob("blobs/projects/*/profiles/**/*") if path.is_file())


def login(page: Page, site: Site, mark: str) -> None:
    """Leaves marks of all kinds at the site."""
    assert page.goto(site.url("/profile-login")) is None
    assert page.evaluate(WRITE.replace("MARK", json.dumps(mark)).replace("${" + json.dumps(mark) + "}", mark)) is True


def found(page: Page, site: Site) -> dict[str, Any]:
    assert page.goto(site.url("/hello")) is None
    return page.evaluate(READ)


def saved(kernel: Kernel, site: Site, profile: Any, mark: str, **settings: Any) -> str:
    """A session that leaves marks and saves them; it has ended."""
    session = sessions.create(kernel, profile={"id": profile.id, "save_changes": True}, **settings)
    assert session.profile.id == profile.id and session.profile_save_changes is True
    with Cdp(session.cdp_ws_url) as cdp:
        login(first_page(cdp), site, mark)
    kernel.browsers.delete_by_id(session.session_id)
    return session.session_id


def test_the_resource(kernel: Kernel) -> None:
    made = kernel.profiles.create(name="Shop-2.eu_x")
    try:
        assert made.updated_at is None and made.last_used_at is None
        assert kernel.profiles.retrieve("Shop-2.eu_x") == kernel.profiles.retrieve(made.id)
        assert [one.id for one in kernel.profiles.list(query="shop-2")] == [made.id]
        assert [one.id for one in kernel.profiles.list(name="Shop-2.eu_x")] == [made.id]
        body = refused("already_exists", lambda: kernel.profiles.create(name="Shop-2.eu_x"))
        assert {"code": "existing_id", "message": made.id} in body["details"]
        renamed = kernel.profiles.update(made.id, name="other")
        assert (renamed.id, renamed.name) == (made.id, "other")
        refused("profile_not_found", lambda: kernel.profiles.retrieve("Shop-2.eu_x"))
        nameless = kernel.profiles.create()
        refused("already_exists", lambda: kernel.profiles.update(nameless.id, name="other"))
        kernel.profiles.delete(nameless.id)
        answer = kernel.profiles.with_raw_response.download(made.id)
        assert answer.http_response.status_code == 202
        for name in ("", "a b", "a/b", "größe", "..", made.id):
            refused("invalid_input", lambda name=name: kernel.profiles.create(name=name))
    finally:
        kernel.profiles.delete(made.id)
    for call in (kernel.profiles.retrieve, kernel.profiles.delete, kernel.profiles.download):
        refused("profile_not_found", lambda call=call: call(made.id))
    refused("profile_not_found", lambda: kernel.profiles.update(made.id, name="x"))


@pytest.mark.parametrize("headless", [True, False], ids=["headless", "headful"])
def test_what_a_session_leaves_the_next_one_has(
    kernel: Kernel, make: Callable[..., Any], pages: Site, profile: Any, server: Server, headless: bool
) -> None:
    first = saved(kernel, pages, profile, "one", headless=headless)
    # At once: who asks for a profile waits until it is saved.
    session = make(profile={"name": "shop-1"}, headless=headless, start_url=pages.url("/profile-noted"))
    assert session.profile.name == "shop-1" and session.profile_save_changes is False
    assert session.start_url == pages.url("/profile-noted")
    eventually(lambda: bool(pages.cookies), "the start page is asked for")  # type: ignore[attr-defined]
    sent = dict(part.split("=") for part in pages.cookies.pop().split("; "))  # type: ignore[attr-defined]
    assert sent == {"plain": "one", "session": "one", "login": "secret"}
    shown = kernel.profiles.retrieve(profile.id)
    assert shown.updated_at is not None and shown.last_used_at is not None
    with Cdp(session.cdp_ws_url) as cdp:
        page = new_page(cdp)
        assert found(page, pages) == state("one")
        cookies = {cookie["name"]: cookie for cookie in cdp.call("Storage.getCookies")["cookies"]}
        assert cookies["login"]["httpOnly"] and cookies["login"]["sameSite"] == "Lax" and cookies["session"]["session"]
        # Not to be saved.
        login(page, pages, "two")
    kernel.browsers.delete_by_id(session.session_id)
    other = make(profile={"id": profile.id}, headless=headless)
    with Cdp(other.cdp_ws_url) as cdp:
        assert found(first_page(cdp), pages) == state("one")
    # Saved again, it takes the place of what was there.
    saved(kernel, pages, profile, "three", headless=headless)
    third = make(profile={"id": profile.id}, headless=headless)
    with Cdp(third.cdp_ws_url) as cdp:
        assert found(first_page(cdp), pages) == state("three")
    assert len(blobs(server)) == 1
    eventually(lambda: not leaks.left_over([first], server.state_dir), "the session that saved is cleared away")


def test_it_is_loaded_while_a_client_is_connected(kernel: Kernel, make: Callable[..., Any], pages: Site, profile: Any) -> None:
    saved(kernel, pages, profile, "live")
    session = make()
    assert session.profile is None
    before = sessions.sh(kernel, session.session_id, "pgrep -o chromium").out
    with Cdp(session.cdp_ws_url) as cdp:
        page = first_page(cdp)
        assert page.goto("about:blank") is None
        page.evaluate("window.kept = 1")
        changed = kernel.browsers.update(session.session_id, profile={"id": profile.id}, start_url=pages.url("/hello"))
        assert changed.profile is not None and changed.profile.id == profile.id
        assert found(new_page(cdp), pages) == state("live")
        assert sessions.sh(kernel, session.session_id, "pgrep -o chromium").out == before
        refused("invalid_input", lambda: kernel.browsers.update(session.session_id, profile={"id": profile.id}))
        assert [one.session_id for one in kernel.browsers.list(query="shop-1")] == [session.session_id]


def test_it_is_saved_when_the_session_times_out(kernel: Kernel, make: Callable[..., Any], pages: Site, profile: Any) -> None:
    session = make(profile={"id": profile.id, "save_changes": True}, timeout_seconds=10)
    with Cdp(session.cdp_ws_url) as cdp:
        login(first_page(cdp), pages, "late")
    eventually(lambda: kernel.browsers.retrieve(session.session_id, include_deleted=True).deleted_at, "it times out")
    other = make(profile={"id": profile.id})
    with Cdp(other.cdp_ws_url) as cdp:
        assert found(first_page(cdp), pages) == state("late")


def test_a_download_has_cookies_and_storage(kernel: Kernel, server: Server, pages: Site, profile: Any) -> None:
    saved(kernel, pages, profile, "down")
    eventually(lambda: kernel.profiles.retrieve(profile.id).updated_at, "it is saved")
    packed = kernel.profiles.download(profile.id).read()
    assert packed.startswith(b"\x28\xb5\x2f\xfd")
    plain = kernel.profiles.download("shop-1", format="tar").read()
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        names = archive.getnames()
        cookies = json.load(archive.extractfile("cookies.json"))  # type: ignore[arg-type]
        assert all(member.isfile() or member.isdir() for member in archive.getmembers())
    assert {cookie["name"] for cookie in cookies} == {"plain", "session", "login"}
    assert any(name.startswith("Default/Local Storage/") for name in names)
    assert any(name.startswith("Default/IndexedDB/") for name in names)
    with httpx.Client(base_url=server.base_url, headers={"Authorization": f"Bearer {KEY}"}) as wire:
        answer = wire.get(f"/profiles/{profile.id}/download", params={"format": "zip"})
        assert answer.status_code == 400 and answer.json()["details"][0]["code"] == "format"


def test_what_is_deleted_is_not_saved(kernel: Kernel, make: Callable[..., Any], pages: Site, profile: Any, server: Server) -> None:
    session = make(profile={"id": profile.id, "save_changes": True})
    with Cdp(session.cdp_ws_url) as cdp:
        login(first_page(cdp), pages, "gone")
    kernel.profiles.delete(profile.id)
    kernel.browsers.delete_by_id(session.session_id)
    eventually(lambda: not leaks.left_over([session.session_id], server.state_dir), "the session is cleared away")
    assert blobs(server) == []


def test_what_there_is_not_is_refused(kernel: Kernel, make: Callable[..., Any], server: Server) -> None:
    before = len(list(kernel.browsers.list()))
    session = make()
    for choice, code in (
        ({"id": "a" * 24}, "profile_not_found"),
        ({"name": "nobody"}, "profile_not_found"),
        ({}, "invalid_input"),
        ({"id": "a" * 24, "name": "b"}, "invalid_input"),
    ):
        refused(code, lambda choice=choice: kernel.browsers.create(headless=True, profile=choice))
        refused(code, lambda choice=choice: kernel.browsers.update(session.session_id, name="x", profile=choice))
    assert kernel.browsers.retrieve(session.session_id).name is None
    assert len(list(kernel.browsers.list())) == before + 1


def test_nothing_is_there_without_one(make: Callable[..., Any], pages: Site) -> None:
    with Cdp(make().cdp_ws_url) as cdp:
        assert found(first_page(cdp), pages) == NOTHING


def test_a_recording_goes_on_until_it_is_saved(kernel: Kernel, site: Site, pages: Site, profile: Any) -> None:
    """Saving closes the browser, and the screen with it."""
    for headless in (True, False):
        session = sessions.create(kernel, profile={"id": profile.id, "save_changes": True}, headless=headless)
        replay = kernel.browsers.replays.start(session.session_id)
        with Cdp(session.cdp_ws_url) as cdp:
            login(first_page(cdp), pages, "seen")
            file = f"/var/lib/browserd/replays/{replay.replay_id}.mp4"
            eventually(lambda: int(sessions.sh(kernel, session.session_id, f"wc -c <{file}", as_root=True).out) > 1000, "something is recorded")
        before = kernel.profiles.retrieve(profile.id).updated_at
        kernel.browsers.delete_by_id(session.session_id)
        eventually(lambda: kernel.profiles.retrieve(profile.id).updated_at != before, "it is saved")

        def film() -> bytes | None:
            answer = kernel.browsers.replays.with_raw_response.download(replay.replay_id, id_or_name=session.session_id)
            return answer.http_response.read() if answer.http_response.status_code == 200 else None

        assert eventually(film, "the recording is kept")[4:8] == b"ftyp"


def test_a_server_that_stops_saves_before(site: Site, pages: Site, folder: Any) -> None:
    with serving(private_hosts=[site.authority], state_dir=folder) as first, sessions.client(first.base_url, KEY) as kernel:
        made = kernel.profiles.create(name="kept")
        session = sessions.create(kernel, profile={"name": "kept", "save_changes": True})
        with Cdp(session.cdp_ws_url) as cdp:
            login(first_page(cdp), pages, "kept")
    with serving(private_hosts=[site.authority], state_dir=folder) as again, sessions.client(again.base_url, KEY) as kernel:
        assert kernel.profiles.retrieve("kept").updated_at is not None
        session = sessions.create(kernel, profile={"id": made.id})
        with Cdp(session.cdp_ws_url) as cdp:
            assert found(first_page(cdp), pages) == state("kept")
        kernel.browsers.delete_by_id(session.session_id)
