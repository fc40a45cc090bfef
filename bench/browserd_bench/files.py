"""Recipe 6: files. Reads beside a plain file server, writes beside `cp`."""
from __future__ import annotations

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any

from . import inside
from .context import Context
from .http1 import Connection
from .stream import Memory
from .table import Row, percentile

SMALL = 4096
PATH = "/home/kernel/bench"

# As little as a file server can do: one sendfile a request.
SENDFILE = """
import os, socket, sys, threading
listener = socket.create_server(('127.0.0.1', 0)); print(listener.getsockname()[1], flush=True)
def serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while request := connection.recv(65536):
        path = sys.argv[1] + request.split(b' ')[1].decode()
        with open(path, 'rb') as file:
            size = os.fstat(file.fileno()).st_size
            connection.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n' % size)
            connection.sendfile(file)
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

NGINX = """
user root; worker_processes 1; daemon off; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
    client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
    server {{ listen 127.0.0.1:{port}; root {dir}/www; }}
}}
"""


class Plain:
    """The baseline: nginx where there is one, else a sendfile loop."""

    def __init__(self, www: pathlib.Path) -> None:
        folder = www.parent
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if nginx:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            config = folder / "nginx.conf"
            config.write_text(NGINX.format(dir=folder, port=self.port))
            folder.chmod(0o755)
            self.name = "nginx, sendfile"
            self.process = subprocess.Popen([nginx, "-c", str(config), "-e", str(folder / "error.log")])
            end = time.monotonic() + 10
            while True:
                try:
                    socket.create_connection(("127.0.0.1", self.port)).close()
                    return
                except OSError:
                    if time.monotonic() > end:
                        raise
        self.name = "a sendfile loop (Python)"
        self.process = subprocess.Popen([sys.executable, "-c", SENDFILE, str(www)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def fetch(connection: Connection, request: bytes, buffer: bytearray) -> float:
    """Seconds until the last byte of an answer of known length is there."""
    start = time.perf_counter()
    connection.socket.sendall(request)
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.socket.recv(65536)
    head, _, body = head.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head[:300])
    missing = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]) - len(body)
    while missing > 0:
        got = connection.socket.recv_into(buffer)
        if not got:
            raise ConnectionError("the body broke off")
        missing -= got
    return time.perf_counter() - start


def send(connection: Connection, head: bytes, source: pathlib.Path) -> float:
    """Seconds until a file that was sent is answered for."""
    start = time.perf_counter()
    connection.socket.sendall(head)
    with source.open("rb") as file:
        connection.socket.sendfile(file)
    answer = connection.socket.recv(65536)
    if not answer.startswith(b"HTTP/1.1 201"):
        raise RuntimeError(answer[:300])
    return time.perf_counter() - start


def files(context: Context, browser: dict[str, Any]) -> None:
    session_id = browser["session_id"]
    connection = context.connection()
    base = f"/browsers/{session_id}/fs"
    # beside the sessions' folders, so that both are on one disk
    folder = pathlib.Path(tempfile.mkdtemp(dir=context.server.state_dir))
    www = folder / "www"
    www.mkdir()
    www.chmod(0o755)
    plain = Plain(www)
    other = Connection(("127.0.0.1", plain.port))
    buffer = bytearray(1 << 20)
    memory = Memory([context.server.pid, *inside.own(session_id)])
    memory.start()
    try:
        small(context, connection, other, base, www, plain.name)
        for mebibytes in (64, 512):
            large(context, connection, other, base, www, plain.name, mebibytes, buffer)
        grown = memory.grown()
        context.table.add(Row("memory grown over all files (serve + shim + guest)", "MiB", [grown], goal="≤ 32", met=grown <= 32))
    finally:
        connection.close()
        other.close()
        plain.close()
        shutil.rmtree(folder)


def small(context: Context, connection: Connection, other: Connection, base: str, www: pathlib.Path, name: str) -> None:
    content = os.urandom(SMALL)
    (www / "small").write_bytes(content)
    write = f"PUT {base}/write_file?path={PATH}/small HTTP/1.1\r\n{connection.head}Content-Type: application/octet-stream\r\nContent-Length: {SMALL}\r\n\r\n".encode() + content
    connection.timed(write, 201)
    read = connection.request("GET", f"{base}/read_file?path={PATH}/small")
    baseline = other.request("GET", "/small")
    target = www / "copy"

    def copied() -> float:
        """What cp does, without starting it: open, copy, close."""
        start = time.perf_counter_ns()
        shutil.copyfile(www / "small", target)
        return (time.perf_counter_ns() - start) / 1e6

    count = 100
    figures = context.take_turns(context.rounds(10), {
        "read": lambda: [connection.timed(read) for _ in range(count)],
        "write": lambda: [connection.timed(write, 201) for _ in range(count)],
        "plain": lambda: [other.timed(baseline) for _ in range(count)],
        "copy": lambda: [copied() for _ in range(count)],
    })
    context.table.add(Row("read_file, 4 KiB", "ms", figures["read"], figures["plain"], name))
    context.table.add(Row("write_file, 4 KiB", "ms", figures["write"], figures["copy"], "copying a file in process"))


def large(
    context: Context, connection: Connection, other: Connection, base: str, www: pathlib.Path, name: str, mebibytes: int, buffer: bytearray,
) -> None:
    source, target = www / "large", www / "copy"
    with source.open("wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(1 << 20))
    size = mebibytes << 20
    head = f"PUT {base}/write_file?path={PATH}/large HTTP/1.1\r\n{connection.head}Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n".encode()
    send(connection, head, source)
    read = connection.request("GET", f"{base}/read_file?path={PATH}/large")
    baseline = other.request("GET", "/large")

    def copy() -> float:
        target.unlink(missing_ok=True)
        start = time.perf_counter()
        subprocess.run(["cp", "--reflink=never", str(source), str(target)], check=True)
        return mebibytes / (time.perf_counter() - start)

    figures = context.take_turns(context.rounds(10 if mebibytes < 100 else 5), {
        "read": lambda: mebibytes / fetch(connection, read, buffer),
        "plain": lambda: mebibytes / fetch(other, baseline, buffer),
        "write": lambda: mebibytes / send(connection, head, source),
        "copy": copy,
    })
    ratios = {ours: percentile(figures[ours], 0.5) / percentile(figures[theirs], 0.5) for ours, theirs in (("read", "plain"), ("write", "copy"))}
    context.table.add(Row(f"read_file, {mebibytes} MiB", "MiB/s", figures["read"], figures["plain"], name, "≥ 0.80 ×", ratios["read"] >= 0.8))
    context.table.add(Row(f"write_file, {mebibytes} MiB", "MiB/s", figures["write"], figures["copy"], "cp, no fsync", "≥ 0.70 ×", ratios["write"] >= 0.7))
    source.unlink()
    target.unlink(missing_ok=True)
