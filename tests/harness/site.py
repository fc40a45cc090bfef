"""A local web site for the browser to visit, on an ephemeral port of this host.

Loopback addresses mean the session itself inside a session, so the site that sessions may reach
listens on an address of a network interface.
"""
from __future__ import annotations

import http.server
import json
import socket
import sys
import threading
import urllib.parse
from typing import Any, Callable

HELLO = """<!doctype html><html lang="en"><head><title>Hello</title></head>
<body><h1 id="greeting">hello</h1><script>window.visited = (window.visited || 0) + 1;</script></body></html>"""


def host_address() -> str:
    """An IPv4 address of this host that is not loopback. Nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("203.0.113.1", 9))
        return probe.getsockname()[0]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Site"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def _answer(self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        sent = self.rfile.read(length) if length else b""
        path = urllib.parse.urlsplit(self.path).path
        self.server.note(self.command, self.path)
        if path == "/hello":
            self._answer(200, "text/html", HELLO.encode())
        elif path.startswith("/title/"):
            title = urllib.parse.unquote(path.removeprefix("/title/"))
            self._answer(200, "text/html", f"<title>{title}</title><p>{title}</p>".encode())
        elif path == "/echo":
            body = {
                "method": self.command,
                "path": self.path,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "body": sent.decode("latin-1"),
                "peer": self.client_address[0],
            }
            self._answer(200, "application/json", json.dumps(body).encode())
        elif path.startswith("/download/"):
            name = path.removeprefix("/download/")
            self._answer(200, "application/octet-stream", bytes(range(256)) * 40, {"Content-Disposition": f'attachment; filename="{name}"'})
        elif path == "/redirect":
            target = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["to"][0]
            self._answer(302, "text/plain", b"", {"Location": target})
        elif path in self.server.routes:
            self.server.routes[path](self, sent)
        else:
            self._answer(404, "text/plain", b"no such page")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _handle


class Site(http.server.ThreadingHTTPServer):
    """The site; `seen` tells which requests reached it. Suites add pages of their own to `routes`."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, everywhere: bool = False) -> None:
        """Listens on the host's own address, or on every address, both families, loopback too."""
        self.host = host_address()
        if everywhere:
            self.address_family = socket.AF_INET6
        super().__init__(("::" if everywhere else self.host, 0), _Handler, bind_and_activate=False)
        if everywhere:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.server_bind()
        self.server_activate()
        self.routes: dict[str, Callable[[Any, bytes], None]] = {}
        self._lock = threading.Lock()
        self._seen: list[tuple[str, str]] = []
        threading.Thread(target=self.serve_forever, name="site", daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says what went wrong in a page; a client that went away is nothing wrong."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def port(self) -> int:
        return self.server_address[1]

    @property
    def authority(self) -> str:
        return f"{self.host}:{self.port}"

    def url(self, path: str) -> str:
        return f"http://{self.authority}{path}"

    def note(self, method: str, path: str) -> None:
        with self._lock:
            self._seen.append((method, path))

    def seen(self, path: str) -> int:
        """How many requests for `path` (query included) have come."""
        with self._lock:
            return sum(1 for _, seen in self._seen if seen == path)

    def total(self) -> int:
        """How many requests have come."""
        with self._lock:
            return len(self._seen)

    def close(self) -> None:
        self.shutdown()
        self.server_close()
