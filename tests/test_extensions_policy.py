"""Extensions by enterprise policy: archives with `update.xml` and a `.crx`."""
from __future__ import annotations

import base64
import io
import json
import tarfile
from typing import Any, Callable, Iterator, NamedTuple

import pytest
from kernel import Kernel

from harness import sessions
from harness.cdp import Cdp, CdpError, Page, back, new_page
from harness.deadline import eventually
from harness.site import Site
from test_extensions import extension, folders, mark, packed, refused

MANIFEST = {
    "manifest_version": 3, "name": "Blocker", "version": "1.0",
    "permissions": ["webRequest", "webRequestBlocking"], "host_permissions": ["<all_urls>"],
    "background": {"service_worker": "worker.js"},
}
WORKER = "chrome.webRequest.onBeforeRequest.addListener(() => ({cancel: true}), {urls: ['*://*/echo*']}, ['blocking']);"
POLICY = "/etc/chromium/policies/managed/browserd-extensions.json"
ID_FOLLOWS = b"\x82\xf1\x04\x12\x0a\x10"
"""What is before the 16 bytes of the id in a `.crx` of Chromium's."""


class Crx(NamedTuple):
    """A packed extension."""

    content: bytes
    manifest: dict[str, Any]

    @property
    def id(self) -> str:
        at = self.content.index(ID_FOLLOWS) + len(ID_FOLLOWS)
        return "".join(chr(97 + half) for byte in self.content[at:at + 16] for half in (byte >> 4, byte & 15))

    def update(self, **changed: str) -> str:
        """An `update.xml` for it, with a codebase that leads nowhere."""
        said = {"appid": self.id, "version": self.manifest["version"], "codebase": "https://updates.test/some/where.crx", **changed}
        return (f'<?xml version="1.0"?><gupdate xmlns="http://www.google.com/update2/response" protocol="2.0">'
                f'<app appid="{said["appid"]}"><updatecheck codebase="{said["codebase"]}" version="{said["version"]}"/></app></gupdate>')

    def archive(self, **instead: str | bytes | None) -> bytes:
        """The archive with it; files are given by their names with underscores, or left out."""
        files: dict[str, Any] = {"manifest.json": json.dumps(self.manifest), "worker.js": WORKER, "update.xml": self.update(),
                                 "blocker.crx": self.content}
        files.update({name.replace("_", "."): content for name, content in instead.items()})
        return packed({name: content for name, content in files.items() if content is not None})


class Packer:
    """Packs extensions with the Chromium of a session, each with a key of its own unless it is given one."""

    def __init__(self, kernel: Kernel, session_id: str) -> None:
        self.kernel = kernel
        self.session_id = session_id
        self.packed = 0

    def __call__(self, key_of: int | None = None, **changed: Any) -> Crx:
        """Packs the manifest with these changes; `key_of` is the number of an earlier one."""
        manifest = {**MANIFEST, **changed}
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as files:
            for name, content in (("manifest.json", json.dumps(manifest)), ("worker.js", WORKER)):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                files.addfile(info, io.BytesIO(content.encode()))
        key = "" if key_of is None else f"--pack-extension-key=/tmp/packed/{key_of}.pem"
        folder = f"/tmp/packed/{self.packed}"
        script = f"""set -e; mkdir -p {folder}; echo {base64.b64encode(tar.getvalue()).decode()} | base64 -d | tar -x -C {folder}
            /usr/lib/chromium/chromium --headless=new --user-data-dir=/tmp/packed/profile --pack-extension={folder} {key} >&2
            base64 -w0 {folder}.crx"""
        ran = sessions.sh(self.kernel, self.session_id, script)
        assert ran.code == 0, ran
        self.packed += 1
        return Crx(base64.b64decode(ran.out), manifest)


@pytest.fixture(scope="module")
def pack(kernel: Kernel) -> Iterator[Packer]:
    session = sessions.create(kernel)
    yield Packer(kernel, session.session_id)
    kernel.browsers.delete_by_id(session.session_id)


@pytest.fixture(scope="module")
def blocker(pack: Packer) -> Crx:
    return pack()


def load(kernel: Kernel, session_id: str, name: str, archive: bytes) -> None:
    kernel.browsers.load_extensions(session_id, extensions=[{"name": name, "zip_file": archive}])


def visit(cdp: Cdp, site: Site) -> Page:
    """A page of the site, loaded."""
    page = new_page(cdp, site.url("/hello"))
    eventually(lambda: page.evaluate("document.title") == "Hello", "the page is there")
    return page


def blocked(page: Page, site: Site) -> bool:
    """Whether a request of the page is blocked, as the page sees it and as the site does."""
    before = site.seen("/echo")
    failed = page.evaluate("fetch('/echo').then(() => false, () => true)")
    assert failed == (site.seen("/echo") == before)
    return failed


def info(cdp: Cdp, extension_id: str) -> dict[str, Any] | None:
    """What Chromium says of an extension."""
    page = new_page(cdp, "chrome://extensions/")
    try:
        eventually(lambda: page.evaluate("document.readyState === 'complete' && !!chrome.developerPrivate"), "the page is there")
        script = f"chrome.developerPrivate.getExtensionsInfo().then(all => all.find(one => one.id === {json.dumps(extension_id)}))"
        return page.evaluate(script)
    finally:
        page.close()


def served(kernel: Kernel, session_id: str, path: str, method: str = "GET", port: int = 10001) -> tuple[int, int]:
    """Status and length of what the update server inside answers; status 0: nobody listens."""
    return tuple(sessions.python(kernel, session_id, f"""
import http.client, json
connection = http.client.HTTPConnection('127.0.0.1', {port})
try:
    connection.request({method!r}, {path!r})
    answer = connection.getresponse()
    print(json.dumps([answer.status, len(answer.read())]))
except ConnectionRefusedError:
    print('[0, 0]')
"""))


def policy_is_there(kernel: Kernel, session_id: str) -> bool:
    return sessions.sh(kernel, session_id, f"test -e {POLICY}").code == 0


def chromiums(kernel: Kernel, session_id: str) -> str:
    """Pid of the browser process: another one after a restart."""
    return sessions.sh(kernel, session_id, "pgrep -o chromium").out


@pytest.mark.parametrize("headless", [True, False], ids=["headless", "headful"])
def test_it_blocks_requests_and_clients_stay(kernel: Kernel, make: Callable[..., Any], blocker: Crx, site: Site, headless: bool) -> None:
    session = make(headless=headless)
    before = chromiums(kernel, session.session_id)
    with Cdp(session.cdp_ws_url) as cdp:
        page = visit(cdp, site)
        assert not blocked(page, site)
        page.evaluate("window.kept = 1")
        targets = len(cdp.call("Target.getTargets")["targetInfos"])
        load(kernel, session.session_id, "one", blocker.archive())
        eventually(lambda: blocked(page, site), "requests of a page that was there are blocked")
        assert page.evaluate("window.kept") == 1 and chromiums(kernel, session.session_id) == before
        pages = [target for target in cdp.call("Target.getTargets")["targetInfos"] if target["type"] != "service_worker"]
        assert len(pages) == targets, pages
        said = info(cdp, blocker.id)
        assert said is not None and said["state"] == "ENABLED" and not said["userMayModify"] and said["mustRemainInstalled"], said
        with pytest.raises(CdpError):
            cdp.call("Extensions.uninstall", id=blocker.id)
    assert sorted(sessions.sh(kernel, session.session_id, "ls extensions/one").out.split()) == \
        ["blocker.crx", "manifest.json", "update.xml", "worker.js"]


def test_the_update_server_has_two_files(kernel: Kernel, make: Callable[..., Any], blocker: Crx) -> None:
    session_id = make().session_id
    assert served(kernel, session_id, "/extensions/one/update.xml") == (0, 0)
    load(kernel, session_id, "one", blocker.archive())
    crx = f"/extensions/one/{blocker.id}.crx"
    assert served(kernel, session_id, "/extensions/one/update.xml")[0] == 200
    assert served(kernel, session_id, crx) == (200, len(blocker.content))
    for path in ("/", "/extensions/one/manifest.json", "/extensions/two/update.xml", "/extensions/one/../../etc/shadow",
                 "/extensions/one/..%2f..%2f..%2fetc%2fshadow", "/extensions/one//etc/shadow"):
        assert served(kernel, session_id, path)[0] == 404, path
    assert served(kernel, session_id, crx, "POST")[0] == 405
    # What is in the folder is the user's, and what is served is not what it becomes.
    sessions.sh(kernel, session_id, "ln -sf /etc/shadow extensions/one/blocker.crx")
    assert served(kernel, session_id, crx) == (200, len(blocker.content))


def test_it_stays_when_chromium_comes_back(kernel: Kernel, make: Callable[..., Any], blocker: Crx, site: Site) -> None:
    session = make()
    load(kernel, session.session_id, "one", blocker.archive())
    for lost in ("true", "rm -rf user-data extensions"):
        with Cdp(session.cdp_ws_url) as cdp:
            cdp.call("Browser.getVersion")
            sessions.sh(kernel, session.session_id, f"pkill -9 chromium; {lost}", as_root=True)
        with back(session.cdp_ws_url) as cdp:
            page = visit(cdp, site)
            eventually(lambda: blocked(page, site), "requests are blocked again")


def test_beside_others(kernel: Kernel, make: Callable[..., Any], pack: Packer, blocker: Crx, site: Site) -> None:
    """Unpacked ones and several by policy in one request, and the same one again."""
    session = make()
    other = pack(name="Other", permissions=["webRequest"])
    both = [{"name": "a", "zip_file": blocker.archive()}, {"name": "b", "zip_file": extension("b")},
            {"name": "c", "zip_file": other.archive()}]
    kernel.browsers.load_extensions(session.session_id, extensions=both)
    with Cdp(session.cdp_ws_url) as cdp:
        assert mark(cdp, site.url("/hello")) == ("b", "hello from b")
        page = visit(cdp, site)
        eventually(lambda: blocked(page, site), "requests are blocked")
        for crx in (blocker, other):
            said = info(cdp, crx.id)
            assert said is not None and said["state"] == "ENABLED", said
        again = [{"name": "d", "zip_file": extension("d")}, {"name": "e", "zip_file": blocker.archive()}]
        refused(kernel, session.session_id, again, "there already")
        assert mark(cdp, site.url("/hello"))[0] == "b" and blocked(page, site)
    assert folders(kernel, session.session_id) == ["a", "b", "c"]


def test_without_a_crx_it_is_unpacked(kernel: Kernel, make: Callable[..., Any], blocker: Crx, site: Site) -> None:
    session = make()
    load(kernel, session.session_id, "no-crx", blocker.archive(blocker_crx=None))
    load(kernel, session.session_id, "no-update", blocker.archive(update_xml=None))
    with Cdp(session.cdp_ws_url) as cdp:
        assert info(cdp, blocker.id) is None
        assert not blocked(visit(cdp, site), site)
    assert not policy_is_there(kernel, session.session_id)
    assert folders(kernel, session.session_id) == ["no-crx", "no-update"]


def test_what_is_refused_leaves_nothing(kernel: Kernel, make: Callable[..., Any], pack: Packer, blocker: Crx, site: Site) -> None:
    session = make()
    session_id = session.session_id
    good = [{"name": "plain", "zip_file": extension("plain")}, {"name": "good", "zip_file": blocker.archive()}]
    changed = bytearray(blocker.content)
    changed[-40] ^= 1
    newer = pack(version="2.0")
    old = pack(manifest_version=2, background={"scripts": ["worker.js"]}, permissions=["webRequest", "<all_urls>"], host_permissions=[])
    cases: list[tuple[bytes, str]] = [
        (blocker.archive(blocker_crx=b"no crx"), "blocker.crx is no packed extension"),
        (blocker.archive(blocker_crx=b"Cr24\x02\0\0\0" + bytes(8)), "CRX version 2"),
        (blocker.archive(blocker_crx=blocker.content[:100]), "header"),
        (blocker.archive(blocker_crx=bytes(changed)), "signature that does not hold"),
        (blocker.archive(blocker_crx=blocker.content[:-1]), "signature that does not hold"),
        (blocker.archive(update_xml="<gupdate>"), "update.xml cannot be read"),
        (blocker.archive(update_xml="<html/>"), "no update manifest"),
        (blocker.archive(update_xml='<!DOCTYPE x [<!ENTITY a SYSTEM "/etc/passwd">]>' + blocker.update()), "update.xml cannot be read"),
        (blocker.archive(update_xml=blocker.update(appid="a" * 32)), "appid"),
        (blocker.archive(update_xml=blocker.update(version="3")), "version 3, and blocker.crx is version 1.0"),
        (blocker.archive(other_crx=blocker.content), "several .crx"),
        (newer.archive(blocker_crx=blocker.content), "appid"),
        # What only Chromium finds, in its words.
        (old.archive(), "manifest version"),
    ]
    for archive, words in cases:
        refused(kernel, session_id, [*good, {"name": "bad", "zip_file": archive}], words)
    assert not policy_is_there(kernel, session_id)
    with Cdp(session.cdp_ws_url) as cdp:
        page = visit(cdp, site)
        assert not blocked(page, site) and page.evaluate("document.documentElement.dataset.mark ?? null") is None
        assert info(cdp, blocker.id) is None and info(cdp, old.id) is None
    assert served(kernel, session_id, "/extensions/good/update.xml")[0] == 404
    kernel.browsers.load_extensions(session_id, extensions=good)


def test_the_port_is_taken(kernel: Kernel, make: Callable[..., Any], blocker: Crx, site: Site) -> None:
    session = make()
    kernel.browsers.process.spawn(session.session_id, command="python3", args=["-m", "http.server", "--bind", "127.0.0.1", "10001"])
    eventually(lambda: served(kernel, session.session_id, "/")[0] == 200, "another server listens")
    load(kernel, session.session_id, "one", blocker.archive())
    with Cdp(session.cdp_ws_url) as cdp:
        page = visit(cdp, site)
        eventually(lambda: blocked(page, site), "requests are blocked")


def test_with_policies_of_the_clients(kernel: Kernel, make: Callable[..., Any], blocker: Crx, site: Site) -> None:
    session = make(chrome_policy={"HomepageLocation": "https://example.com/"})
    load(kernel, session.session_id, "one", blocker.archive())
    with Cdp(session.cdp_ws_url) as cdp:
        page = visit(cdp, site)
        eventually(lambda: blocked(page, site), "requests are blocked")
    kept_away = make(chrome_policy={"URLBlocklist": ["chrome://*"]}).session_id
    refused(kernel, kept_away, [{"name": "one", "zip_file": blocker.archive()}], "keep chrome://extensions away")
    assert not policy_is_there(kernel, kept_away)
