"""What many do at once: changes of one session, one profile in many, a proxy that goes meanwhile.

The clients here try nothing twice: what an SDK would try again is a failure.
"""
from __future__ import annotations

import concurrent.futures
import errno
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
from typing import Any, Callable, Iterator

import httpx
import kernel as sdk
import pytest
from kernel import Kernel

from harness import leaks, sessions
from harness.cdp import Cdp, Page, first_page, new_page
from harness.deadline import eventually
from harness.http import NO_AUTHORITIES
from harness.server import KEY, Server, serving
from harness.sessions import refused
from harness.site import Site
from harness.upstream import Upstream

SHOWN = """[outerWidth, outerHeight, Intl.DateTimeFormat().resolvedOptions().timeZone, navigator.language].join(' ')"""


@pytest.fixture(scope="module")
def upstream(site: Site) -> Iterator[Upstream]:
    made = Upstream(site, "http")
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(site: Site, upstream: Upstream) -> Iterator[Server]:
    """A server of this suite's own, so that what is left of profiles can be counted."""
    hosts = [site.authority, f"{site.host}:{upstream.port}"]
    with serving(private_hosts=hosts, extra_env={"BROWSERD_POOL": "headless=2"}) as server:
        yield server


@pytest.fixture(scope="module")
def kernel(server: Server) -> Iterator[Kernel]:
    with sessions.client(server.base_url, KEY, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def crowd() -> Iterator[concurrent.futures.ThreadPoolExecutor]:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def profiles(kernel: Kernel) -> Iterator[Callable[[str], Any]]:
    """Makes profiles that go with the test."""
    made: list[str] = []

    def make(name: str) -> Any:
        profile = kernel.profiles.create(name=name)
        made.append(profile.id)
        return profile

    yield make
    for profile_id in made:
        kernel.profiles.delete(profile_id)


def mark(page: Page, site: Site, text: str | None = None) -> str:
    """The mark a session finds at the site; leaves another there, if one is given."""
    assert page.goto(site.url("/hello")) is None
    found = page.evaluate("localStorage.getItem('mark')")
    if text is not None:
        page.evaluate(f"localStorage.setItem('mark', {json.dumps(text)})")
    return found


def saved(kernel: Kernel, site: Site, profile: Any, text: str) -> str:
    """A session that leaves a mark in a profile, which is saved by the time this answers."""
    session = sessions.create(kernel, profile={"id": profile.id, "save_changes": True})
    with Cdp(session.cdp_ws_url) as cdp:
        mark(first_page(cdp), site, text)
    before = kernel.profiles.retrieve(profile.id).updated_at
    kernel.browsers.delete_by_id(session.session_id)
    eventually(lambda: kernel.profiles.retrieve(profile.id).updated_at != before, "it is saved")
    return session.session_id


def ended(kernel: Kernel, session_id: str) -> Any:
    return kernel.browsers.retrieve(session_id, include_deleted=True)


def save_error(kernel: Kernel, session_id: str) -> str | None:
    return ended(kernel, session_id).to_dict().get("profile_save_error")


def saves(server: Server, outcome: str) -> int:
    """How many profiles were saved, or not, as /metrics counts them."""
    text = httpx.get(f"{server.base_url}/metrics", headers={"Authorization": f"Bearer {KEY}"}, verify=NO_AUTHORITIES).text
    found = re.search(rf'^browserd_profile_saves_total{{outcome="{outcome}"}} (\d+)$', text, re.M)
    return int(found[1]) if found else 0


def archives(server: Server) -> list[pathlib.Path]:
    return [path for path in server.state_dir.glob("blobs/projects/*/profiles/**/*") if path.is_file()]


def test_one_profile_in_many_sessions(
    kernel: Kernel, server: Server, site: Site, profiles: Callable[[str], Any]
) -> None:
    """Sessions, four at a time, begin with a profile that others are just saving, and save it."""
    profile = profiles("shared")
    saved(kernel, site, profile, "everybody's")
    counted = saves(server, "saved")

    def one(_: int) -> tuple[str, str | None]:
        session = sessions.create(kernel, profile={"name": "shared", "save_changes": True})
        with Cdp(session.cdp_ws_url) as cdp:
            found = mark(first_page(cdp), site)
        assert len(kernel.profiles.download(profile.id).read()) > 0
        kernel.browsers.delete_by_id(session.session_id)
        return session.session_id, found

    with concurrent.futures.ThreadPoolExecutor(4) as four:
        done = list(four.map(one, range(12)))
    assert {found for _, found in done} == {"everybody's"}
    eventually(lambda: saves(server, "saved") == counted + 12, "all are saved")
    assert {save_error(kernel, session_id) for session_id, _ in done} == {None}
    eventually(lambda: not leaks.left_over([session_id for session_id, _ in done], server.state_dir), "all are cleared away", 60)
    assert len(archives(server)) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it mounts a small file system")
def test_a_save_on_a_full_disk_is_told(site: Site, folder: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory(prefix="browserd-test-small-") as small:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "small", small], check=True)
        try:
            (folder / "blobs").symlink_to(small)
            # Smaller than what is kept free on a disk, and it is to be full.
            reserve = {"BROWSERD_DISK_RESERVE_MIB": "0"}
            with (
                serving(private_hosts=[site.authority], state_dir=folder, extra_env=reserve) as server,
                sessions.client(server.base_url, KEY) as kernel,
            ):
                profile = kernel.profiles.create(name="full")
                saved(kernel, site, profile, "before")
                before = kernel.profiles.retrieve(profile.id)
                filler = pathlib.Path(small) / "filler"
                with pytest.raises(OSError) as caught, filler.open("wb", buffering=0) as file:
                    while file.write(b"x" * 4096):
                        pass
                assert caught.value.errno == errno.ENOSPC
                session = sessions.create(kernel, profile={"id": profile.id, "save_changes": True})
                with Cdp(session.cdp_ws_url) as cdp:
                    assert mark(first_page(cdp), site, "after") == "before"
                assert save_error(kernel, session.session_id) is None
                kernel.browsers.delete_by_id(session.session_id)
                said = eventually(lambda: save_error(kernel, session.session_id), "the session says what came of it")
                assert said is not None and "no room" in said and str(folder) not in said
                listed = kernel.browsers.list(status="deleted", query=profile.id).items
                assert [one.to_dict().get("profile_save_error") for one in listed] == [said, None]
                assert (saves(server, "failed"), saves(server, "saved")) == (1, 1)
                assert "a profile was not saved" in server.log()
                # What was saved before is there, and nothing lies beside it.
                assert kernel.profiles.retrieve(profile.id).updated_at == before.updated_at
                assert len(list(pathlib.Path(small).glob("**/*.tar.zst"))) == 1
                assert not list(pathlib.Path(small).glob(".unfinished/*"))
                filler.unlink()
                saved(kernel, site, profile, "room again")
        finally:
            subprocess.run(["umount", small], check=True)


def test_why_nothing_was_saved_of_a_crash_is_told(kernel: Kernel, server: Server, profiles: Callable[[str], Any]) -> None:
    profile = profiles("crashed")
    session = sessions.create(kernel, profile={"id": profile.id, "save_changes": True})
    shims = [pid for pid, command in leaks.processes([session.session_id]).items() if " shim" in command]
    assert len(shims) == 1
    os.kill(shims[0], signal.SIGKILL)
    eventually(lambda: ended(kernel, session.session_id).deleted_at, "it has ended")
    said = save_error(kernel, session.session_id)
    assert said is not None and "deletion_reason" in said
    assert kernel.profiles.retrieve(profile.id).updated_at is None
    # Whose guest has lost its parent, and waits for the host's first process to hear of its end.
    eventually(lambda: not leaks.left_over([session.session_id], server.state_dir), "nothing of the session is left")


def test_what_a_killed_save_left_is_swept(site: Site, folder: pathlib.Path) -> None:
    with serving(private_hosts=[site.authority], state_dir=folder) as first, sessions.client(first.base_url, KEY) as kernel:
        profile = kernel.profiles.create(name="swept")
        saved(kernel, site, profile, "kept")
        (archive,) = archives(first)
    # As a server leaves it that is killed after it has copied an archive, before the row names it.
    stray = archive.with_name("a" * 24 + ".tar.zst")
    stray.write_bytes(archive.read_bytes())
    with serving(private_hosts=[site.authority], state_dir=folder) as again, sessions.client(again.base_url, KEY) as kernel:
        assert archives(again) == [archive]
        session = sessions.create(kernel, profile={"id": profile.id})
        with Cdp(session.cdp_ws_url) as cdp:
            assert mark(first_page(cdp), site) == "kept"
        kernel.browsers.delete_by_id(session.session_id)


@pytest.mark.parametrize("headless", [True, False], ids=["headless", "headful"])
def test_changes_at_once_end_with_what_the_session_says(
    kernel: Kernel, make: Callable[..., Any], crowd: concurrent.futures.ThreadPoolExecutor, headless: bool
) -> None:
    """Size and place: each of eight is answered with its own, and the browser has those of the last."""
    session = make(headless=headless)
    sizes = [{"viewport": {"width": width, "height": 768}} for width in (1024, 1280, 1440)]
    places = [{"location": {"timezone": "Asia/Tokyo", "locale": "ja-JP"}}, {"location": {"timezone": "America/Lima", "locale": "es-PE"}}]
    both = [sizes[0] | places[0], sizes[1], sizes[2], places[1]]
    with Cdp(session.cdp_ws_url) as cdp:
        for storm, choices in enumerate((sizes, sizes, sizes, both)):
            asked = [choices[n % len(choices)] for n in range(8)]
            changes = [crowd.submit(kernel.browsers.update, session.session_id, **choice) for choice in asked]
            for choice, change in zip(asked, changes):
                answer = change.result()
                if size := choice.get("viewport"):
                    assert (answer.viewport.width, answer.viewport.height) == (size["width"], size["height"])
                if place := choice.get("location"):
                    assert answer.location.timezone == place["timezone"]
            said = kernel.browsers.retrieve(session.session_id)
            wanted = f"{said.viewport.width} {said.viewport.height} {said.location.timezone} {said.location.locale}"
            page = new_page(cdp)
            # headless the page has the size, and not its window
            shown = SHOWN.replace("outer", "inner") if headless else SHOWN
            eventually(lambda: page.evaluate(shown) == wanted, f"after storm {storm} a page shows {wanted}", 10)
            page.close()


def test_one_of_many_profiles_at_once_is_the_sessions(
    kernel: Kernel, make: Callable[..., Any], site: Site, profiles: Callable[[str], Any], crowd: concurrent.futures.ThreadPoolExecutor
) -> None:
    names = ("left", "right")
    ids = {}
    for name in names:
        profile = profiles(name)
        saved(kernel, site, profile, name)
        ids[name] = profile.id
    for _ in range(3):
        session = make()
        changes = [crowd.submit(kernel.browsers.update, session.session_id, profile={"name": names[n % 2]}) for n in range(8)]
        won = []
        for n, change in enumerate(changes):
            error = change.exception()
            if error is None:
                assert change.result().profile.id == ids[names[n % 2]]
                won.append(names[n % 2])
            else:
                assert isinstance(error, sdk.APIStatusError) and error.body["code"] == "invalid_input", error
        assert len(won) == 1
        assert kernel.browsers.retrieve(session.session_id).profile.id == ids[won[0]]
        with Cdp(session.cdp_ws_url) as cdp:
            assert mark(first_page(cdp), site) == won[0]


def test_after_a_storm_the_proxy_on_record_is_the_one_to_delete(
    kernel: Kernel, make: Callable[..., Any], upstream: Upstream, crowd: concurrent.futures.ThreadPoolExecutor
) -> None:
    session = make()
    for storm in range(5):
        ids = [kernel.proxies.create(type="custom", protocol="http", config=upstream.config).id for _ in range(2)]
        changes = [crowd.submit(kernel.browsers.update, session.session_id, proxy={"id": ids[n % 2]}) for n in range(8)]
        assert [change.result().proxy_id for change in changes] == [ids[n % 2] for n in range(8)]
        said = kernel.browsers.retrieve(session.session_id).proxy_id
        assert said in ids
        kernel.proxies.delete(said)
        host = f"storm-{storm}.test"
        answer = sessions.sh(kernel, session.session_id, f"curl -sS http://{host}/echo")
        assert not upstream.seen(host), "it goes through the other one"
        assert json.loads(answer.out)["code"] == "proxy_unavailable"
        kernel.proxies.delete(ids[1 - ids.index(said)])


def test_a_proxy_deleted_while_sessions_come_change_and_go_is_not_gone_through(
    kernel: Kernel, upstream: Upstream, crowd: concurrent.futures.ThreadPoolExecutor
) -> None:
    """Whoever had it, is getting it, or ends just now: once DELETE is answered nothing goes through it."""
    for storm in range(2):
        made = kernel.proxies.create(type="custom", protocol="http", config=upstream.config)
        assert made.id
        through = {"proxy": {"id": made.id}}
        stay, go = ([sessions.create(kernel, **through).session_id for _ in range(2)] for _ in range(2))
        other = sessions.create(kernel).session_id
        creating = [crowd.submit(sessions.create, kernel, **through) for _ in range(2)]
        changing = crowd.submit(kernel.browsers.update, other, **through)
        going = [crowd.submit(kernel.browsers.delete_by_id, session_id) for session_id in go]
        deleted = crowd.submit(kernel.proxies.delete, made.id)
        deleted.result()
        for done in going:
            done.result()
        host = f"gone-{storm}.test"
        for late in (changing, *creating):
            if error := late.exception():
                assert isinstance(error, sdk.APIStatusError) and error.body["code"] == "proxy_not_found", error
        running = stay + [other] + [late.result().session_id for late in creating if not late.exception()]
        for session_id in running:
            sessions.sh(kernel, session_id, f"curl -sS -m 20 http://{host}/echo")
        assert not upstream.seen(host), f"{upstream.seen(host)} of {len(running)} sessions go through a proxy that is deleted"
        refused("proxy_not_found", lambda: kernel.browsers.update(other, **through))
        for session_id in running:
            kernel.browsers.delete_by_id(session_id)
