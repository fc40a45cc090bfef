"""Extensions loaded into a running browser."""
from __future__ import annotations

import concurrent.futures
import io
import json
import stat
import zipfile
from typing import Any, Callable

import httpx
import kernel as sdk
import pytest
from kernel import Kernel

from harness import sessions
from harness.cdp import Cdp, back, new_page
from harness.deadline import eventually
from harness.site import Site

MANIFEST = {
    "manifest_version": 3, "name": "Marker", "version": "1.0",
    "content_scripts": [{"matches": ["<all_urls>"], "js": ["js/mark.js"]}],
    "background": {"service_worker": "worker.js"},
}
SCRIPT = """document.documentElement.dataset.mark = 'NAME';
chrome.runtime.sendMessage('hello', answer => { document.documentElement.dataset.worker = answer; });"""
WORKER = "chrome.runtime.onMessage.addListener((message, sender, answer) => { answer(message + ' from NAME'); });"


def packed(files: dict[str, str | bytes]) -> bytes:
    """A zip of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def extension(mark: str = "one") -> bytes:
    """An extension that marks pages with `mark`."""
    return packed({"manifest.json": json.dumps(MANIFEST), "js/mark.js": SCRIPT.replace("NAME", mark),
                   "worker.js": WORKER.replace("NAME", mark)})


@pytest.fixture(params=["headless", "headful"])
def session(request: pytest.FixtureRequest, make: Callable[..., Any]) -> Any:
    return make(headless=request.param == "headless")


def folders(kernel: Kernel, session_id: str) -> list[str]:
    return sessions.sh(kernel, session_id, "ls -A /home/kernel/extensions 2>/dev/null || true").out.split()


def refused(kernel: Kernel, session_id: str, extensions: Any, words: str, status: int = 400) -> None:
    """The load is refused with these words and leaves nothing behind."""
    before = folders(kernel, session_id)
    with pytest.raises(sdk.APIStatusError) as failed:
        kernel.browsers.load_extensions(session_id, extensions=extensions)
    answer = failed.value.response
    assert answer.status_code == status and words in answer.json()["message"], answer.text
    assert folders(kernel, session_id) == before
    spooled = "ls -A /var/lib/browserd | grep extensions"
    eventually(lambda: sessions.sh(kernel, session_id, spooled, as_root=True).out == "", "nothing is left of the upload")


def mark(cdp: Cdp, url: str) -> tuple[Any, Any]:
    """What the extension wrote into a fresh page."""
    page = new_page(cdp, url)
    try:
        read = "[document.documentElement?.dataset.mark, document.documentElement?.dataset.worker]"
        eventually(lambda: page.evaluate(f"{read}[1]"), "the service worker has answered the content script")
        mark, worker = page.evaluate(read)
        return mark, worker
    finally:
        page.close()


def test_it_acts_at_once_and_clients_stay(kernel: Kernel, session: Any, site: Site) -> None:
    with Cdp(session.cdp_ws_url) as cdp:
        page = new_page(cdp, site.url("/hello"))
        page.evaluate("window.kept = 1")
        kernel.browsers.load_extensions(session.session_id, extensions=[{"name": "one", "zip_file": extension()}])
        assert page.evaluate("window.kept") == 1
        assert mark(cdp, site.url("/hello")) == ("one", "hello from one")
    assert sessions.sh(kernel, session.session_id, "cat extensions/one/js/mark.js").out == SCRIPT.replace("NAME", "one")
    assert sessions.sh(kernel, session.session_id, "stat -c '%U %a' extensions/one extensions/one/worker.js").out.split() == \
        ["kernel", "755", "kernel", "644"]


def test_several_and_a_taken_name(kernel: Kernel, make: Callable[..., Any], site: Site) -> None:
    session_id = make().session_id
    two = [{"name": "a", "zip_file": extension("a")}, {"name": "b.c-d_e", "zip_file": extension("b")}]
    kernel.browsers.load_extensions(session_id, extensions=two)
    assert folders(kernel, session_id) == ["a", "b.c-d_e"]
    assert "a" in sessions.sh(kernel, session_id, "cat extensions/a/worker.js").out
    assert "from b" in sessions.sh(kernel, session_id, "cat extensions/b.c-d_e/worker.js").out
    refused(kernel, session_id, [{"name": "c", "zip_file": extension()}, {"name": "a", "zip_file": extension()}], "there already")


def test_it_stays_when_chromium_comes_back(kernel: Kernel, make: Callable[..., Any], site: Site) -> None:
    session = make()
    kernel.browsers.load_extensions(session.session_id, extensions=[{"name": "one", "zip_file": extension()}])
    with Cdp(session.cdp_ws_url) as cdp:
        cdp.call("Browser.getVersion")
        sessions.sh(kernel, session.session_id, "pkill -9 -o chromium", as_root=True)
    with back(session.cdp_ws_url) as cdp:
        assert mark(cdp, site.url("/hello")) == ("one", "hello from one")


def test_what_chromium_refuses(kernel: Kernel, make: Callable[..., Any], site: Site) -> None:
    session = make()
    session_id = session.session_id
    good = {"name": "good", "zip_file": extension("good")}
    for broken, words in (({"manifest.json": "{"}, "Chromium"), ({"x.js": ""}, "anifest"),
                          ({"manifest.json": json.dumps({"manifest_version": 3, "version": "1"})}, "name"),
                          ({"manifest.json": json.dumps({**MANIFEST, "manifest_version": 1})}, "anifest")):
        refused(kernel, session_id, [good, {"name": "bad", "zip_file": packed(broken)}], words)
    with Cdp(session.cdp_ws_url) as cdp:
        page = new_page(cdp, site.url("/hello"))
        assert page.evaluate("document.documentElement.dataset.mark ?? null") is None
    kernel.browsers.load_extensions(session_id, extensions=[good])


def test_archives_that_are_refused(kernel: Kernel, headless: Any) -> None:
    session_id = headless.session_id
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    linked = io.BytesIO()
    with zipfile.ZipFile(linked, "w") as archive:
        archive.writestr("manifest.json", json.dumps(MANIFEST))
        archive.writestr(link, "/etc/passwd")
    policy = packed({"manifest.json": json.dumps({**MANIFEST, "permissions": ["webRequest", "webRequestBlocking"]}),
                     "update.xml": "<gupdate/>", "x.crx": b"Cr24", "js/mark.js": "", "worker.js": ""})
    for content, words in ((b"no zip", "cannot be unpacked"), (packed({"../evil": "x"}), "leads out"), (packed({"/evil": "x"}), "absolute"),
                           (linked.getvalue(), "neither a file nor a folder"), (policy, "x.crx has a header"),
                           (packed({"bomb": bytes(513 << 20)}), "unpacks to more than"),
                           (packed({str(n): "" for n in range(20_001)}), "entries")):
        refused(kernel, session_id, [{"name": "x", "zip_file": content}], words)
    assert folders(kernel, session_id) == []


def test_forms(kernel: Kernel, wire: httpx.Client, make: Callable[..., Any]) -> None:
    session_id = make().session_id
    path = f"/browsers/{session_id}/extensions"
    for number, (name, archive) in enumerate([("extensions[0][name]", "extensions[0][zip_file]"),
                                              ("extensions.name", "extensions.zip_file"),
                                              ("extensions[][name]", "extensions[][zip_file]")]):
        answer = wire.post(path, data={name: f"form{number}"}, files={archive: extension()})
        assert (answer.status_code, answer.content) == (201, b""), answer.text
    assert folders(kernel, session_id) == ["form0", "form1", "form2"]
    cases: list[tuple[dict[str, str], dict[str, bytes], str]] = [
        ({}, {"extensions[][zip_file]": extension()}, "extensions"),
        ({"extensions[][name]": "x"}, {"other": b""}, "other"),
        ({"extensions[0][name]": "x"}, {"extensions[1][zip_file]": extension()}, "extensions"),
        ({"extensions[][name]": "../x"}, {"extensions[][zip_file]": extension()}, "extensions.name"),
        ({"extensions[][name]": ".."}, {"extensions[][zip_file]": extension()}, "extensions.name"),
    ]
    for data, files, field in cases:
        answer = wire.post(path, data=data, files=files)
        assert answer.status_code == 400 and answer.json()["details"][0]["code"] == field, answer.text
    assert wire.post(path, json={}).status_code == 415
    too_large = wire.post(path, data={"extensions[][name]": "x"}, files={"extensions[][zip_file]": bytes((50 << 20) + 1)})
    assert too_large.status_code == 413
    many = [("extensions[][name]", (None, f"n{n}")) for n in range(21)]
    assert wire.post(path, files=many).status_code == 400
    assert folders(kernel, session_id) == ["form0", "form1", "form2"]


def test_at_the_same_time(kernel: Kernel, make: Callable[..., Any]) -> None:
    session_id = make().session_id

    def load(number: int) -> None:
        kernel.browsers.load_extensions(session_id, extensions=[{"name": f"n{number}", "zip_file": extension()}])

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        list(pool.map(load, range(5)))
    assert folders(kernel, session_id) == [f"n{number}" for number in range(5)]
