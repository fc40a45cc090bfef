"""An upstream proxy of the suites: HTTP, HTTPS or SOCKS5. Whatever it is asked for, it reaches the site."""
from __future__ import annotations

import base64
import pathlib
import socket
import socketserver
import ssl
import subprocess
import threading

from .site import Site

USER, PASSWORD = "agent", "hunter2-is-secret"
_BASIC = b"basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode())


def certificate(folder: pathlib.Path, host: str) -> pathlib.Path:
    """Makes a key and a certificate for an address, in one file: also the only authority it needs."""
    pem = folder / "proxy.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=proxy", "-addext", f"subjectAltName=IP:{host}", "-addext", "basicConstraints=critical,CA:FALSE",
         "-keyout", str(pem), "-out", str(folder / "certificate.pem")],
        check=True, capture_output=True,
    )
    pem.write_text(pem.read_text() + (folder / "certificate.pem").read_text())
    return pem


def _relay(a: socket.socket, b: socket.socket) -> None:
    def one_way(source: socket.socket, target: socket.socket) -> None:
        try:
            while piece := source.recv(65536):
                target.sendall(piece)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    back = threading.Thread(target=one_way, args=(b, a), daemon=True)
    back.start()
    one_way(a, b)
    back.join()


class _Client(socketserver.BaseRequestHandler):
    server: "Upstream"

    def handle(self) -> None:
        try:
            if self.server.tls is not None:
                self.request = self.server.tls.wrap_socket(self.request, server_side=True)
            if self.server.protocol == "socks5":
                self._socks()
            else:
                self._http()
        except OSError:
            pass

    def _exactly(self, count: int) -> bytes:
        read = b""
        while len(read) < count:
            piece = self.request.recv(count - len(read))
            if not piece:
                raise OSError("hung up")
            read += piece
        return read

    def _socks(self) -> None:
        # RFC 1928 section 3, RFC 1929 section 2
        offered = self._exactly(self._exactly(2)[1])
        if 2 not in offered:
            self.request.sendall(b"\x05\xff")
            return
        self.request.sendall(b"\x05\x02")
        self._exactly(1)
        user = self._exactly(self._exactly(1)[0])
        password = self._exactly(self._exactly(1)[0])
        good = (user.decode(), password.decode()) == (USER, PASSWORD)
        self.request.sendall(b"\x01" + (b"\x00" if good else b"\x01"))
        if not good:
            return
        kind = self._exactly(4)[3]
        host = self._exactly(self._exactly(1)[0]).decode() if kind == 3 else socket.inet_ntoa(self._exactly(4))
        port = int.from_bytes(self._exactly(2), "big")
        self.server.note(f"{host}:{port}")
        with socket.create_connection((self.server.site.host, self.server.site.port)) as origin:
            self.request.sendall(b"\x05\x00\x00\x01" + bytes(6))
            _relay(self.request, origin)

    def _http(self) -> None:
        while True:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += self._exactly(1)
            request, *headers = head[:-4].split(b"\r\n")
            method, target, _ = request.decode().split(" ")
            shown = next((line.split(b":", 1)[1].strip() for line in headers if line.lower().startswith(b"proxy-authorization:")), b"")
            if shown.lower() != _BASIC.lower() or shown[6:] != _BASIC[6:]:
                self.request.sendall(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
                continue
            with socket.create_connection((self.server.site.host, self.server.site.port)) as origin:
                if method == "CONNECT":
                    self.server.note(target)
                    self.request.sendall(b"HTTP/1.1 200 Yes\r\n\r\n")
                else:
                    self.server.note(target)
                    kept = [line for line in headers if not line.lower().startswith((b"proxy-", b"connection:"))]
                    path = "/" + target.split("/", 3)[3]
                    origin.sendall(b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *kept, b"Connection: close", b"", b""]))
                _relay(self.request, origin)
            return


class Upstream(socketserver.ThreadingTCPServer):
    """The proxy; `seen` tells where clients wanted to go. It wants `USER` and `PASSWORD`."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, site: Site, protocol: str, pem: pathlib.Path | None = None) -> None:
        super().__init__((site.host, 0), _Client)
        self.site = site
        self.protocol = protocol
        self.tls = None
        if protocol == "https":
            assert pem is not None
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(pem)
        self._lock = threading.Lock()
        self._seen: list[str] = []
        threading.Thread(target=self.serve_forever, name="proxy", daemon=True).start()

    @property
    def port(self) -> int:
        return self.server_address[1]

    @property
    def config(self) -> dict[str, object]:
        """What `POST /proxies` is told of it."""
        return {"host": self.site.host, "port": self.port, "username": USER, "password": PASSWORD}

    def note(self, target: str) -> None:
        with self._lock:
            self._seen.append(target)

    def seen(self, part: str) -> int:
        """How many clients wanted to go where this is a part of."""
        with self._lock:
            return sum(1 for target in self._seen if part in target)

    def close(self) -> None:
        self.shutdown()
        self.server_close()
