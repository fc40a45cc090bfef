"""WebSocket frames over a raw socket; payloads are counted, not parsed, unless asked."""
from __future__ import annotations

import base64
import json
import os
import socket
import struct
import time
from typing import Any
from urllib.parse import urlsplit


def frame(payload: bytes) -> bytes:
    """A masked text frame. The mask is zero, which leaves the payload as it is."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x81, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x81, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x81, 0x80 | 127, size)
    return head + b"\0\0\0\0" + payload


class Socket:
    """One WebSocket, as client."""

    def __init__(self, connected: socket.socket, host: str, path: str) -> None:
        self.socket = connected
        key = base64.b64encode(os.urandom(16)).decode()
        connected.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = connected.recv(4096)
            if not chunk:
                raise ConnectionError(f"no handshake: {data!r}")
            data += chunk
        head, _, self.rest = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(head.decode("latin-1"))

    @classmethod
    def open(cls, url: str) -> "Socket":
        parts = urlsplit(url)
        connected = socket.create_connection((parts.hostname or "", parts.port or 80))
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(connected, parts.netloc, parts.path + (f"?{parts.query}" if parts.query else ""))

    def close(self) -> None:
        self.socket.close()

    def _take(self, size: int) -> bytes:
        while len(self.rest) < size:
            chunk = self.socket.recv(max(65536, min(size - len(self.rest), 1 << 20)))
            if not chunk:
                raise ConnectionError("closed")
            self.rest += chunk
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def _take_large(self, size: int) -> bytes:
        buffer = bytearray(size)
        have = min(size, len(self.rest))
        buffer[:have], self.rest = self.rest[:have], self.rest[have:]
        view = memoryview(buffer)
        while have < size:
            got = self.socket.recv_into(view[have:])
            if not got:
                raise ConnectionError("closed")
            have += got
        return bytes(buffer)

    def receive(self) -> bytes:
        """The next message; Chromium does not fragment."""
        first, second = self._take(2)
        size = second & 0x7F
        if size == 126:
            size = struct.unpack("!H", self._take(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self._take(8))[0]
        payload = self._take(size) if size < 65536 else self._take_large(size)
        if first & 0x0F == 8:
            raise ConnectionError(f"closed: {payload!r}")
        return payload

    def call(self, method: str, params: dict[str, Any] | None = None, session: str | None = None, number: int = 1) -> Any:
        """A CDP command and its result."""
        message: dict[str, Any] = {"id": number, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        self.socket.sendall(frame(json.dumps(message).encode()))
        while True:
            answer = json.loads(self.receive())
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                return answer["result"]

    def timed(self, sent: bytes, answer_to: bytes) -> float:
        """Milliseconds until the answer that starts with `answer_to`; other messages are skipped."""
        start = time.perf_counter_ns()
        self.socket.sendall(sent)
        while not self.receive().startswith(answer_to):
            pass
        return (time.perf_counter_ns() - start) / 1e6
