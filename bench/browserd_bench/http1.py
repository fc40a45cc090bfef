"""HTTP/1.1 over one raw socket kept alive: the least a client can cost."""
from __future__ import annotations

import json
import socket
import time
from typing import Any


class Connection:
    """A keep-alive connection to a TCP address or a unix socket."""

    def __init__(self, where: tuple[str, int] | str, key: str | None = None) -> None:
        self.where = where
        self.open()
        self.head = "Host: bench\r\n" + (f"Authorization: Bearer {key}\r\n" if key else "")

    def open(self) -> None:
        if isinstance(self.where, str):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.connect(self.where)
        else:
            self.socket = socket.create_connection(self.where)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self.socket.close()

    def request(self, method: str, path: str, body: Any = None) -> bytes:
        """The bytes of a request, to be sent many times."""
        if body is None:
            return f"{method} {path} HTTP/1.1\r\n{self.head}\r\n".encode()
        sent = json.dumps(body).encode()
        return f"{method} {path} HTTP/1.1\r\n{self.head}Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n".encode() + sent

    def round_trip(self, request: bytes) -> tuple[int, bytes]:
        """Sends and reads one answer; answers status and body."""
        self.socket.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise ConnectionError("closed before an answer")
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        status = int(head[9:12])
        lowered = head.lower()
        if b"content-length:" in lowered:
            length = int(lowered.split(b"content-length:")[1].split(b"\r\n")[0])
            parts = [body]
            missing = length - len(body)
            while missing > 0:
                chunk = self.socket.recv(min(missing, 1 << 20))
                parts.append(chunk)
                missing -= len(chunk)
            body = b"".join(parts)
        elif b"transfer-encoding: chunked" in lowered:
            while not body.endswith(b"0\r\n\r\n"):
                chunk = self.socket.recv(65536)
                if not chunk:
                    raise ConnectionError("closed in the middle of an answer")
                body += chunk
        return status, body

    def timed(self, request: bytes, expect: int = 200) -> float:
        """Milliseconds of one round trip."""
        start = time.perf_counter_ns()
        status, body = self.round_trip(request)
        took = (time.perf_counter_ns() - start) / 1e6
        if status != expect:
            raise RuntimeError(f"{status}: {body[:300]!r}")
        return took

    def json(self, method: str, path: str, body: Any = None) -> Any:
        """One request that is not measured; on a new connection if the server has ended the idle one."""
        request = self.request(method, path, body)
        try:
            status, answer = self.round_trip(request)
        except ConnectionError:
            self.close()
            self.open()
            status, answer = self.round_trip(request)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {answer[:300]!r}")
        return json.loads(answer) if answer else None
