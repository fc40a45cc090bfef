"""Web servers that speak HTTP their own way: over plain HTTP a session shows what plain Chromium shows."""
from __future__ import annotations

import pathlib
import socketserver
import subprocess
import threading
from typing import Any, Iterator

import pytest
from kernel import Kernel

from harness import sessions
from harness.cdp import Cdp, Page, new_page
from harness.deadline import eventually
from harness.server import KEY, serving
from harness.site import host_address

BODY = b"<title>T</title><p>hi"
OK = b"HTTP/1.1 200 OK\r\n"
HTML = b"Content-Type: text/html\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)


def with_header(line: bytes, body: bytes = BODY) -> bytes:
    return OK + HTML + line + b"\r\n\r\n" + body


def with_status(line: bytes) -> bytes:
    return line + b"\r\n" + HTML + LENGTH + b"\r\n" + BODY


# What is answered, by its name.
KINDS = {
    # As it should be.
    "plain": with_header(LENGTH.strip()),
    "until the end": with_header(b"A: b"),
    "chunked": with_header(b"Transfer-Encoding: chunked", CHUNKED),
    "1.0": with_status(b"HTTP/1.0 200 OK"),
    "no reason": with_status(b"HTTP/1.1 200"),
    "odd reason": with_status(b"HTTP/1.1 200 \xff\xfe ok"),
    "404": with_status(b"HTTP/1.1 404 Not Found"),
    "500": with_status(b"HTTP/1.1 500 Oops"),
    "599": with_status(b"HTTP/1.1 599 Odd"),
    # The first line.
    "small letters": with_status(b"http/1.1 200 OK"),
    "mixed letters": with_status(b"HtTp/1.1 200 OK"),
    "1.2": with_status(b"HTTP/1.2 200 OK"),
    "1.9": with_status(b"HTTP/1.9 200 OK"),
    "2.0": with_status(b"HTTP/2.0 200 OK"),
    "no version": with_status(b"HTTP 200 OK"),
    "ICY": with_status(b"ICY 200 OK"),
    "no status": with_status(b"HTTP/1.1"),
    "a word for a status": with_status(b"HTTP/1.1 OK"),
    "four digits": with_status(b"HTTP/1.1 2000 OK"),
    "two spaces": with_status(b"HTTP/1.1  200 OK"),
    "a tab": with_status(b"HTTP/1.1\t200 OK"),
    "000": with_status(b"HTTP/1.1 000 Zero"),
    "after an empty line": b"\r\n" + with_header(LENGTH.strip()),
    "after noise": b"ab\n" + with_header(LENGTH.strip()),
    "after much noise": b"abcdefghij\n" + with_header(LENGTH.strip()),
    # Lines of the head.
    "space before the colon": with_header(b"Content-Length : %d" % len(BODY)),
    "tab before the colon": with_header(b"X-A\t: b"),
    "folded": with_header(b"X-A: b\r\n  c\r\n\td"),
    "folded first": OK + b"  X-A: b\r\n" + HTML + b"\r\n" + BODY,
    "no colon": with_header(b"just words"),
    "no name": with_header(b": value"),
    "name with spaces": with_header(b"X A B: c"),
    "name with letters of others": with_header(b"X-\xc3\xa9: c"),
    "odd characters in a name": with_header(b"X(@)[]{}: c"),
    "leading space": with_header(b" X-A: b"),
    "control byte in a value": with_header(b"X-A: b\x01c"),
    "control byte in a name": with_header(b"X\x01A: bc"),
    "bare carriage return": with_header(b"X-A: b\rX-B: c"),
    "carriage returns at the end": with_header(b"X-A: b\r\r"),
    "nul in a value": with_header(b"X-A: b\x00c"),
    "nul in a name": with_header(b"X\x00A: bc"),
    "eight bits in a value": with_header(b"X-A: \xe9\xff"),
    "line feeds only": (OK + HTML + LENGTH).replace(b"\r\n", b"\n") + b"\n" + BODY,
    "empty value": with_header(b"X-A:"),
    "120 headers": with_header(b"\r\n".join(b"X-%d: y" % number for number in range(120))),
    "1000 headers": with_header(b"\r\n".join(b"X-%d: y" % number for number in range(1000))),
    "40 KiB of head": with_header(b"X-A: " + b"y" * (40 << 10)),
    "200 KiB of head": with_header(b"X-A: " + b"y" * (200 << 10)),
    "300 KiB of head": with_header(b"X-A: " + b"y" * (300 << 10)),
    "head cut short": OK + HTML + b"X-A: b",
    "name cut short": OK + b"Content-Ty",
    # How the body is framed.
    "empty length": with_header(b"Content-Length: "),
    "length with a plus": with_header(b"Content-Length: +%d" % len(BODY)),
    "negative length": with_header(b"Content-Length: -1"),
    "a word for a length": with_header(b"Content-Length: many"),
    "length twice": with_header(LENGTH + LENGTH.strip()),
    "two lengths": with_header(LENGTH + b"Content-Length: 3"),
    "lengths in a list": with_header(b"Content-Length: %d, %d" % (len(BODY), len(BODY))),
    "too great a length": with_header(b"Content-Length: 1000"),
    "too small a length": with_header(b"Content-Length: 17"),
    "identity": with_header(b"Transfer-Encoding: identity"),
    "identity and a length": with_header(LENGTH + b"Transfer-Encoding: identity"),
    "coding unknown": with_header(b"Transfer-Encoding: odd"),
    "chunked in capitals": with_header(b"Transfer-Encoding: CHUNKED", CHUNKED),
    "chunked and a length": with_header(LENGTH + b"Transfer-Encoding: chunked", CHUNKED),
    "chunked twice": with_header(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", CHUNKED),
    "chunked that is not": with_header(b"Transfer-Encoding: chunked"),
    "chunks cut short": with_header(b"Transfer-Encoding: chunked", CHUNKED[:-5]),
    "chunk with an extension": with_header(b"Transfer-Encoding: chunked", CHUNKED.replace(b"\r\n", b";a=b\r\n", 1)),
    "chunk with spaces": with_header(b"Transfer-Encoding: chunked", CHUNKED.replace(b"\r\n", b"  \r\n", 1)),
    "chunk of line feeds": with_header(b"Transfer-Encoding: chunked", CHUNKED.replace(b"\r\n", b"\n")),
    "chunked in 1.0": b"HTTP/1.0 200 OK\r\n" + HTML + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    # Nothing like HTTP.
    "nothing": b"",
    "text": b"hello",
    "markup": BODY,
    "SSH": b"SSH-2.0-x\r\n",
}
# Plain Chromium fails at these too, in a way of its own; of what only the gateway may say, nothing gets through.
OURS = {
    "credentials": with_status(b"HTTP/1.1 407 No").replace(b"\r\n", b"\r\nProxy-Authenticate: Basic realm=x\r\n", 1),
    "credentials, oddly": with_status(b"HTTP/1.1 407 No").replace(b"\r\n", b"\r\nProxy-Authenticate : Basic realm=x\r\n", 1),
    "another protocol, oddly": b"HTTP/1.1 101 Yes\r\nUpgrade : x\r\n\r\n",
}


class _Answer(socketserver.BaseRequestHandler):
    server: "OddServer"

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = self.request.recv(65536)
            if not piece:
                return
            head += piece
        counts = b"%d %d" % (head.count(b"\r\n") - 2, len(head))
        counted = OK + b"Content-Length: %d\r\n\r\n%s" % (len(counts), counts)
        answers = {b"/count": counted, **self.server.answers}
        self.request.sendall(answers.get(head.split(b" ")[1], b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"))


class OddServer(socketserver.ThreadingTCPServer):
    """Answers each path with its bytes, /count with the number of headers and the length of the head, and closes."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__((host_address(), 0), _Answer)
        every = {**KINDS, **OURS}
        self.paths = {name: f"/{number}" for number, name in enumerate(every)}
        self.answers = {path.encode(): every[name] for name, path in self.paths.items()}
        threading.Thread(target=self.serve_forever, name="odd server", daemon=True).start()

    @property
    def authority(self) -> str:
        return "%s:%d" % self.server_address

    def url(self, name: str) -> str:
        return f"http://{self.authority}{self.paths[name]}"


@pytest.fixture(scope="module")
def odd() -> Iterator[OddServer]:
    server = OddServer()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of the host's own Chromium."""
    profile = tmp_path_factory.mktemp("plain")
    flags = ["--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}", "--no-first-run", "--no-proxy-server", "--disable-gpu"]
    if pathlib.Path("/proc/self/status").read_text().split("\nUid:\t")[1].startswith("0"):
        flags.append("--no-sandbox")
    chromium = subprocess.Popen(["chromium", *flags, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        announced = profile / "DevToolsActivePort"
        eventually(lambda: announced.exists() and "\n" in announced.read_text(), "Chromium listens")
        port, path = announced.read_text().split("\n")[:2]
        with Cdp(f"ws://127.0.0.1:{port}{path}") as cdp:
            page = new_page(cdp)
            page.call("Network.enable")
            yield page
            cdp.call("Browser.close")
    finally:
        try:
            chromium.wait(20)
        except subprocess.TimeoutExpired:
            chromium.kill()
            chromium.wait()


@pytest.fixture(scope="module")
def within(odd: OddServer) -> Iterator[tuple[Kernel, Any]]:
    with serving(private_hosts=[odd.authority]) as server, sessions.client(server.base_url, KEY) as kernel:
        yield kernel, sessions.create(kernel)


def seen(page: Page, url: str) -> tuple[str, ...]:
    """What a visit comes to: the status and the text, or that it failed."""
    page.browser.events.clear()
    answer = page.call("Page.navigate", url=url)
    if answer.get("errorText"):
        return ("failed",)
    # One that breaks off has no load event.
    ends = ("Network.loadingFinished", "Network.loadingFailed")
    end = page.browser.event(ends, page.session, lambda end: end["requestId"] == answer["loaderId"])
    status, kind, text = page.evaluate(
        "[performance.getEntriesByType('navigation')[0].responseStatus, document.contentType, (document.documentElement?.innerText ?? '').slice(0, 200)]"
    )
    return ("failed",) if status == 502 and "origin_response_incomplete" in text else (str(status), kind, text, end.get("errorText", "whole"))


def test_answers_are_taken_as_plain_chromium_takes_them(odd: OddServer, plain: Page, within: tuple[Kernel, Any]) -> None:
    assert len(KINDS) >= 60
    with Cdp(within[1].cdp_ws_url) as cdp:
        page = new_page(cdp)
        page.call("Network.enable")
        differ = {}
        for name in [*KINDS, *OURS]:
            ours, theirs = seen(page, odd.url(name)), seen(plain, odd.url(name))
            if ours != theirs and not (name in OURS and theirs == ("failed",)):
                differ[name] = (ours, theirs)
        # After all of it, the page is as good as new.
        assert seen(page, odd.url("plain")) == ("200", "text/html", "hi", "whole")
        page.close()
    assert not differ, "\n".join(f"{name}: {ours} for {theirs}" for name, (ours, theirs) in differ.items())


def test_large_requests_arrive(odd: OddServer, within: tuple[Kernel, Any]) -> None:
    with Cdp(within[1].cdp_ws_url) as cdp:
        page = new_page(cdp)
        assert page.goto(odd.url("plain")) is None
        counted = "(async headers => (await (await fetch('/count', {headers})).text()).split(' ').map(Number))"
        many, _ = page.evaluate(f"{counted}(Object.fromEntries(Array.from({{length: 110}}, (_, n) => ['x-' + n, 'y'])))")
        _, long = page.evaluate(f"{counted}({{'x-long': 'y'.repeat(97 << 10)}})")
        assert many > 110 and long > 97 << 10
        page.close()
