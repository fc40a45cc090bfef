"""What real clients and pages meet first: odd handshakes, old decoders, names in all letters, kinds of downloads, users, scripts."""
from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
from typing import Any, Callable
from urllib.parse import quote, urlsplit

import httpx
import pytest
from kernel import Kernel

from harness import sessions
from harness.cdp import Cdp, Page, first_page, http_url, new_page
from harness.deadline import eventually
from harness.files import Fs
from harness.processes import Processes
from harness.server import Server
from harness.sessions import AS_ROOT, python, sh
from harness.site import Site

# --- WebSocket handshakes


def upgraded(url: str, key: str, **headers: str) -> socket.socket:
    """A WebSocket opened by hand; the answer must be the one that belongs to `key`."""
    parts = urlsplit(url)
    lines = [
        f"GET {parts.path}?{parts.query} HTTP/1.1", f"Host: {parts.netloc}", "Connection: Upgrade", "Upgrade: websocket",
        f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", *(f"{name}: {value}" for name, value in headers.items()),
    ]
    connection = socket.create_connection((parts.hostname, parts.port), 30)
    try:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            some = connection.recv(1)
            assert some, head
            head += some
        status, *fields = head.decode().strip().split("\r\n")
        assert status.split()[1] == "101", head
        answer = {name.lower(): value.strip() for name, value in (field.split(":", 1) for field in fields)}
        digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        assert answer["sec-websocket-accept"] == base64.b64encode(digest).decode()
    except BaseException:
        connection.close()
        raise
    return connection


@pytest.mark.parametrize("key", ["nil", "x", "no base64 at all!", "k" * 300], ids=["rod", "letter", "words", "long"])
def test_any_websocket_key_is_taken_everywhere(processes: Processes, headless: Any, server: Server, key: str) -> None:
    process_id = processes.spawn("cat")
    jwt = sessions.jwt_of(headless.cdp_ws_url)
    attach = f"/process/{process_id}/attach"
    pages = httpx.get(http_url(headless.cdp_ws_url, "/json/list")).json()
    direct = headless.base_url.rstrip("/").replace("http", "ws", 1)
    with contextlib.ExitStack() as open_ones:
        for url, headers in (
            (headless.cdp_ws_url, {}),
            (next(page for page in pages if page["type"] == "page")["webSocketDebuggerUrl"], {}),
            (headless.webdriver_ws_url, {}),
            (f"{direct}{attach}?jwt={jwt}", {}),
            (f"ws://127.0.0.1:{server.port}/browsers/{headless.session_id}{attach}?", {"Authorization": f"Bearer {server.key}"}),
        ):
            open_ones.enter_context(upgraded(url, key, **headers))
        # what rod does next: a command in one masked frame
        connection = open_ones.enter_context(upgraded(headless.cdp_ws_url, key))
        command, mask = json.dumps({"id": 1, "method": "Browser.getVersion"}).encode(), bytes((0, 1, 2, 3))
        connection.sendall(bytes((0x81, 0x80 | len(command))) + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(command)))
        assert connection.recv(1) == b"\x81"
    processes.kill(process_id)


# --- event streams


def test_quiet_streams_keep_to_comments_that_end_no_event(processes: Processes, headless: Any, wire: httpx.Client) -> None:
    """The Go SDK (0.28) takes every empty line for an event, and fails on one that has no data."""
    process_id = processes.spawn("cat")
    session = f"/browsers/{headless.session_id}"
    watch = wire.post(f"{session}/fs/watch", json={"path": "/var/tmp"}).json()["watch_id"]
    streams = (
        (f"{session}/process/{process_id}/stdout/stream", {}),
        (f"{session}/fs/watch/{watch}/events", {}),
        (f"{session}/logs/stream", {"source": "path", "path": "/var/tmp/never.log"}),
    )
    with contextlib.ExitStack() as open_ones:
        # all at once, because each stays quiet for 15 seconds first
        answers = [open_ones.enter_context(wire.stream("GET", path, params=query)) for path, query in streams]
        for answer in answers:
            assert answer.status_code == 200
            assert next(answer.iter_raw()) == b":\n"
    assert wire.delete(f"{session}/fs/watch/{watch}").status_code == 204
    processes.kill(process_id)


# --- who asks


def test_the_context_of_a_key(kernel: Kernel, wire: httpx.Client) -> None:
    """What the official MCP server asks first."""
    context = kernel.auth.context.retrieve()
    assert (context.authentication.method, context.authentication.source) == ("api_key", "api_key")
    assert (context.principal.type, context.principal.id) == ("api_key", context.authentication.credential_id)
    assert context.organization.id
    scope = context.authorization
    assert scope.credential_scope.project_id is None and scope.effective_scope.project_id is None
    named = wire.get("/auth/context", headers={"X-Kernel-Project": "default"}).json()["authorization"]
    assert named["credential_scope"]["project_id"] is None and named["effective_scope"]["project_id"]
    assert wire.get("/auth/context", headers={"Authorization": ""}).status_code == 401


# --- names in all letters

NAMES = ("レポート 日本語.txt", "résumé d’été.txt", "отчёт за год.txt")
DOWNLOADS = "/home/kernel/Downloads"


@pytest.mark.parametrize("which", ["headless", "headful"])
def test_files_keep_names_in_all_letters(kernel: Kernel, request: pytest.FixtureRequest, server: Server, site: Site, which: str) -> None:
    browser = request.getfixturevalue(which)
    files = Fs.by_key(server.base_url, server.key, browser)
    for number, name in enumerate(NAMES):
        header = f"attachment; filename*=UTF-8''{quote(name)}"
        site.routes[f"/named/{number}"] = lambda handler, _, header=header: handler._answer(200, "application/octet-stream", b"named", {"Content-Disposition": header})
    with Cdp(browser.cdp_ws_url) as cdp:
        page = new_page(cdp, site.url("/hello"))
        for number in range(len(NAMES)):
            cdp.call("Runtime.evaluate", page.session, expression=f"location.href = '/named/{number}'; 0", userGesture=True)
            eventually(lambda number=number: NAMES[number] in files.names(DOWNLOADS), f"{NAMES[number]} is there", 20)
        page.evaluate("document.body.innerHTML = '<input type=file multiple>'")
        node = page.call("DOM.querySelector", nodeId=page.call("DOM.getDocument")["root"]["nodeId"], selector="input")["nodeId"]
        page.call("DOM.setFileInputFiles", nodeId=node, files=[f"{DOWNLOADS}/{name}" for name in NAMES])
        chosen = "Promise.all([...document.querySelector('input').files].map(async file => [file.name, await file.text()]))"
        assert page.evaluate(chosen) == [[name, "named"] for name in NAMES]
        page.close()
    # programs, on a terminal too, where `ls` writes question marks for what the locale does not have
    ran = sh(kernel, browser.session_id, f"locale charmap; ls {DOWNLOADS}")
    assert ran.out.splitlines() == ["UTF-8", *sorted(NAMES)], ran
    programs = Processes(files.http, "")
    programs.base = "/process"
    shown = programs.read(programs.spawn("ls", "-1N", DOWNLOADS, allocate_tty=True)).stdout.decode()
    assert sorted(shown.split("\r\n")) == ["", *sorted(NAMES)]
    for name in NAMES:
        assert files.put("delete_file", path=f"{DOWNLOADS}/{name}").status_code in (200, 204)
    files.close()


# --- what a page sees of being driven

DRIVEN = """({
    value: navigator.webdriver, own: Object.getOwnPropertyNames(navigator).join(),
    getter: String(Object.getOwnPropertyDescriptor(Navigator.prototype, 'webdriver').get),
})"""


@pytest.mark.parametrize("which", ["headless", "headful"])
def test_no_page_is_told_of_a_driver(make: Callable[..., Any], site: Site, which: str) -> None:
    """As in a Chromium whose user has given it a debugging port."""
    browser = make(headless=which == "headless")
    site.routes["/framed"] = lambda handler, _: handler._answer(200, "text/html", b"<iframe src=/hello></iframe>")
    plain = {"value": False, "own": "", "getter": "function get webdriver() { [native code] }"}
    with Cdp(browser.cdp_ws_url) as cdp:
        page = new_page(cdp, site.url("/framed"))
        assert page.evaluate(DRIVEN) == plain
        assert page.evaluate(DRIVEN.replace("navigator", "frames[0].navigator").replace("Navigator", "frames[0].Navigator")) == plain


def above(page: Page) -> int:
    """Pixels of the window that are not the page's, once the tab in front has its size."""
    return eventually(lambda: page.evaluate("outerHeight && outerHeight - innerHeight"), "the tab has a size")


def test_no_bar_over_the_first_tab_warns_of_a_flag(make: Callable[..., Any]) -> None:
    """Its page would be smaller by a bar, which it could see."""
    with Cdp(make(headless=False).cdp_ws_url) as cdp:
        usual = above(first_page(cdp))
        assert above(new_page(cdp)) == usual, "only the first tab would have the bar"
    with Cdp(make(headless=False, chrome_policy={"CommandLineFlagSecurityWarningsEnabled": True}).cdp_ws_url) as cdp:
        eventually(lambda: above(first_page(cdp)) > usual + 20, "the bar is there for a client that wants it")


# --- kinds of files that Chromium may keep back

KINDS = (
    *("sh", "bash", "csh", "ksh", "run", "py", "pyc", "rb", "pl", "jar", "class", "jnlp", "deb", "rpm", "apk", "pkg", "desktop", "swf", "out"),
    *("exe", "msi", "dmg", "iso", "zip", "js", "html", "svg", "txt", "bin"),
)


@pytest.mark.parametrize(("which", "behaviour"), [("headless", "default"), ("headful", "default"), ("headful", None)])
def test_downloads_of_all_kinds_complete(kernel: Kernel, make: Callable[..., Any], server: Server, which: str, behaviour: str | None) -> None:
    """From a secure page (the session's own loopback is one), whether or not a client has chosen how downloads go."""
    browser = make(headless=which == "headless")
    files = Fs.by_key(server.base_url, server.key, browser)
    page_of_links = "".join(f"<a id={kind} href=file.{kind} download>{kind}</a>" for kind in KINDS)
    assert sh(kernel, browser.session_id, f"mkdir /tmp/site && cd /tmp/site && for kind in {' '.join(KINDS)}; do echo $kind > file.$kind; done").code == 0
    files.write("/tmp/site/index.html", page_of_links.encode())
    programs = Processes(files.http, "")
    programs.base = "/process"
    web_server = programs.spawn("python3", "-c", "import functools, http.server as h; s = h.ThreadingHTTPServer(('127.0.0.1', 8765), functools.partial(h.SimpleHTTPRequestHandler, directory='/tmp/site')); print('up', flush=True); s.serve_forever()")
    with programs.stream(web_server) as lines:
        next(lines.iter_raw())
    with Cdp(browser.cdp_ws_url) as cdp:
        if behaviour:
            cdp.call("Browser.setDownloadBehavior", behavior=behaviour)
        for number, kind in enumerate(KINDS):
            if number % 8 == 0:
                # a page starts no more than ten downloads in a burst
                page = new_page(cdp, "http://127.0.0.1:8765/")
            # a click of a user: without one Chromium asks about the second download of a page
            cdp.call("Runtime.evaluate", page.session, expression=f"document.getElementById('{kind}').click()", userGesture=True)
            eventually(lambda kind=kind: f"file.{kind}" in files.names(DOWNLOADS), f"file.{kind} is complete", 15)
    assert {name for name in files.names(DOWNLOADS)} == {f"file.{kind}" for kind in KINDS}
    files.close()


# --- users of a session


def test_users_are_added_as_on_any_debian(kernel: Kernel, make: Callable[..., Any]) -> None:
    """`useradd` and the others report to the audit subsystem, and do without it where there is none."""
    session = make(headless=True).session_id
    for script in (
        "groupadd builders",
        "useradd --create-home --groups builders --shell /bin/sh worker",
        "echo worker:secret-1 | chpasswd",
        "usermod --comment Worker worker",
        "id worker | grep -q builders",
        "test $(su worker -c 'id -un') = worker",
        "test $(su - worker -c pwd) = /home/worker",
        "getent shadow worker | grep -q '^worker:[$]'",
        "if command -v adduser; then adduser --system --group --home /var/lib/robot robot && id robot; fi",
        "userdel --remove worker && ! id worker",
    ):
        ran = sh(kernel, session, script, as_root=True)
        assert ran.code == 0, (script, ran)


def test_a_package_that_adds_a_user_installs(kernel: Kernel, make: Callable[..., Any]) -> None:
    session = make(headless=True).session_id
    control = "Package: robots\\nVersion: 1\\nArchitecture: all\\nMaintainer: t <t@example.org>\\nDescription: adds a user\\n"
    build = (
        "set -e; mkdir -p /tmp/robots/DEBIAN; cd /tmp; "
        f"printf '{control}' > robots/DEBIAN/control; "
        "printf '#!/bin/sh\\nset -e\\nuseradd --system --user-group robots\\n' > robots/DEBIAN/postinst; "
        "chmod 755 robots/DEBIAN/postinst; dpkg-deb --root-owner-group --build robots robots.deb; "
        "dpkg --install robots.deb; id robots"
    )
    ran = sh(kernel, session, build, as_root=True)
    assert ran.code == 0, ran


@AS_ROOT
def test_netlink_is_there_for_routes_only(kernel: Kernel, headless: Any, as_root: bool) -> None:
    script = """
import errno, json, socket
def opened(protocol):
    try:
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol).close()
    except OSError as error:
        return errno.errorcode[error.errno]
print(json.dumps([opened(protocol) for protocol in range(23)]))
"""
    assert python(kernel, headless.session_id, script, as_root=as_root) == [None] + ["EPROTONOSUPPORT"] * 22


# --- all scripts

SCRIPTS = {
    "Latin": "Añ", "Greek": "Ωλ", "Cyrillic": "Жя", "Hebrew": "שם", "Arabic": "سع", "Hindi": "हन", "Bengali": "কখ", "Tamil": "கட",
    "Thai": "กข", "Chinese": "汉语", "Japanese": "あア", "Korean": "한글",
}
DRAWN = """text => {
    const canvas = new OffscreenCanvas(64, 64).getContext('2d', {willReadFrequently: true});
    canvas.font = '40px sans-serif';
    canvas.textBaseline = 'middle';
    canvas.fillText(text, 4, 32);
    return canvas.getImageData(0, 0, 64, 64).data.filter((_, at) => at % 4 === 3).join();
}"""


@pytest.mark.parametrize("which", ["headless", "headful"])
def test_twelve_scripts_have_glyphs(request: pytest.FixtureRequest, which: str) -> None:
    """A letter without a glyph is drawn as that of a code point that no font has: a box, or nothing."""
    browser = request.getfixturevalue(which)
    with Cdp(browser.cdp_ws_url) as cdp:
        page = new_page(cdp)
        boxes = {page.evaluate(f"({DRAWN})({json.dumps(text)})") for text in ("\U0003fffd", "\u0378", " ")}
        for script, letters in SCRIPTS.items():
            drawn = [page.evaluate(f"({DRAWN})({json.dumps(letter)})") for letter in letters]
            assert len({*drawn}) == 2 and not boxes & {*drawn}, f"{script} is drawn as boxes"
        page.close()
