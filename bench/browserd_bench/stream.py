"""Recipe 5: a process's output as an event stream."""
from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import threading
import time
from typing import Any

from . import inside
from .context import Context
from .table import Row, percentile

SIZE = 256 << 20

# The same bytes over plain chunked HTTP: as little as a server can do.
CHUNKED = """
import socket, subprocess, sys
listener = socket.create_server(('127.0.0.1', 0)); print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    connection.recv(65536)
    connection.sendall(b'HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n')
    head = subprocess.Popen(['head', '-c', sys.argv[1], '/dev/zero'], stdout=subprocess.PIPE, bufsize=0)
    buffer = bytearray(65536); view = memoryview(buffer)
    while got := head.stdout.readinto(buffer):
        connection.sendall(b'%x\\r\\n' % got); connection.sendall(view[:got]); connection.sendall(b'\\r\\n')
    connection.sendall(b'0\\r\\n\\r\\n'); head.wait(); connection.close()
"""

# A line every millisecond with the time it was written; the clock is the same in every session.
LINES = """
import sys, time
due = time.monotonic_ns()
for _ in range(int(sys.argv[1])):
    due += 1_000_000
    rest = due - time.monotonic_ns()
    if rest > 0: time.sleep(rest / 1e9)
    sys.stdout.write(f'{time.monotonic_ns()}\\n'); sys.stdout.flush()
"""


def drain(connected: socket.socket, request: bytes) -> tuple[float, float, bytes]:
    """Seconds to the first byte of the body and to the last, and the tail."""
    buffer = bytearray(1 << 20)
    start = time.perf_counter()
    connected.sendall(request)
    first = 0.0
    tail = b""
    while not tail.endswith(b"0\r\n\r\n"):
        got = connected.recv_into(buffer)
        if not got:
            raise ConnectionError("the stream broke off")
        first = first or time.perf_counter() - start
        tail = (tail + bytes(buffer[max(0, got - 4096):got]))[-4096:]
    return first, time.perf_counter() - start, tail


class Memory(threading.Thread):
    """The most memory some processes have had while this ran, MiB."""

    def __init__(self, pids: list[int]) -> None:
        super().__init__(daemon=True)
        self.pids = pids
        self.start_mib = inside.pss(pids)
        self.peak = self.start_mib
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.05):
            self.peak = max(self.peak, inside.pss(self.pids))

    def grown(self) -> float:
        self.over.set()
        self.join()
        return max(self.peak, inside.pss(self.pids)) - self.start_mib


def stdout_stream(context: Context, browser: dict[str, Any]) -> None:
    session_id = browser["session_id"]
    control = context.connection()
    base = f"/browsers/{session_id}/process"
    plain = subprocess.Popen([sys.executable, "-c", CHUNKED, str(SIZE)], stdout=subprocess.PIPE, text=True)
    assert plain.stdout is not None
    port = int(plain.stdout.readline())
    ours_pids = [context.server.pid, *inside.own(session_id)]
    first_bytes: list[float] = []

    def spawn() -> str:
        return control.json("POST", f"{base}/spawn", {"command": "sh", "args": ["-c", f"read x; exec head -c {SIZE} /dev/zero"]})["process_id"]

    def go(process: str) -> None:
        control.json("POST", f"{base}/{process}/stdin", {"data_b64": base64.b64encode(b"\n").decode()})

    def ours() -> float:
        process = spawn()
        reader = context.connection()
        # the reader is there before the first byte, as with the plain server
        starter = threading.Timer(0.05, go, [process])
        starter.start()
        start = time.perf_counter()
        first, took, tail = drain(reader.socket, reader.request("GET", f"{base}/{process}/stdout/stream"))
        reader.close()
        starter.join()
        if b'"exit"' not in tail:
            raise RuntimeError(f"no exit event: {tail[-300:]!r}")
        return SIZE / (1 << 20) / (time.perf_counter() - start - 0.05)

    def finished() -> float:
        """The same, of a process that has ended: what is retained, as fast as it can be read."""
        process = control.json("POST", f"{base}/spawn", {"command": "head", "args": ["-c", str(32 << 20), "/dev/zero"]})["process_id"]
        control.json("GET", f"{base}/{process}/wait?timeout=60")
        reader = context.connection()
        first, took, _ = drain(reader.socket, reader.request("GET", f"{base}/{process}/stdout/stream"))
        first_bytes.append(first * 1000)
        reader.close()
        return 32 / took

    def chunked() -> float:
        with socket.create_connection(("127.0.0.1", port)) as reader:
            _, took, _ = drain(reader, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        return SIZE / (1 << 20) / took

    memory = Memory(ours_pids)
    memory.start()
    figures = context.take_turns(context.rounds(10), {"ours": ours, "finished": finished, "chunked": chunked})
    grown = memory.grown()
    plain.kill()
    plain.wait()
    ratio = percentile(figures["ours"], 0.5) / percentile(figures["chunked"], 0.5)
    context.table.add(Row("stdout stream, 256 MiB while written", "MiB/s", figures["ours"], figures["chunked"], "plain chunked HTTP of the same bytes", "≥ 0.60 ×", ratio >= 0.60, "base64 makes 4/3 of them"))
    context.table.add(Row("stdout stream, 32 MiB of an exited process", "MiB/s", figures["finished"], figures["chunked"], "plain chunked HTTP", "", None))
    context.table.add(Row("stdout stream, first byte", "ms", first_bytes))
    context.table.add(Row("memory grown over all streams (serve + shim + guest)", "MiB", [grown], goal="flat (≤ 8)", met=grown <= 8))

    # a reader that never reads, while another process's worth is written
    process = spawn()
    stalled = context.connection()
    stalled.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.socket.sendall(stalled.request("GET", f"{base}/{process}/stdout/stream"))
    memory = Memory(ours_pids)
    memory.start()
    start = time.perf_counter()
    go(process)
    control.json("GET", f"{base}/{process}/wait?timeout=120")
    took = time.perf_counter() - start
    grown = memory.grown()
    stalled.close()
    alone = time.perf_counter()
    subprocess.run(["sh", "-c", f"head -c {SIZE} /dev/zero | cat >/dev/null"], check=True)
    alone = time.perf_counter() - alone
    context.table.add(Row("256 MiB written with a stalled reader", "s", [took], [alone], "`head \\| cat`"))
    context.table.add(Row("memory grown with a stalled reader", "MiB", [grown], goal="flat (≤ 8)", met=grown <= 8))


def lag(context: Context, browser: dict[str, Any]) -> None:
    """How late a line is, 1,000 lines a second."""
    count = context.rounds(3000)
    connection = context.connection()
    base = f"/browsers/{browser['session_id']}/process"

    def ours() -> list[float]:
        process = connection.json("POST", f"{base}/spawn", {"command": "python3", "args": ["-c", LINES, str(count)]})["process_id"]
        reader = context.connection()
        reader.socket.sendall(reader.request("GET", f"{base}/{process}/stdout/stream"))
        late: list[float] = []
        rest = b""
        while True:
            data = reader.socket.recv(1 << 16)
            now = time.monotonic_ns()
            rest += data
            *events, rest = rest.split(b"\n\n")
            for event in events:
                start = event.find(b"data: ")
                if start < 0:
                    continue
                body = json.loads(event[start + 6:])
                if body.get("event") == "exit":
                    reader.close()
                    return late
                late += [(now - int(line)) / 1e6 for line in base64.b64decode(body["data_b64"]).split()]

    def pipe() -> list[float]:
        child = subprocess.Popen([sys.executable, "-c", LINES, str(count)], stdout=subprocess.PIPE, bufsize=0)
        assert child.stdout is not None
        late = []
        while data := child.stdout.read(65536):
            now = time.monotonic_ns()
            late += [(now - int(line)) / 1e6 for line in data.split()]
        child.wait()
        return late

    figures = context.take_turns(3, {"ours": ours, "pipe": pipe})
    late = percentile(figures["ours"], 0.99)
    context.table.add(Row("lag of a line, 1,000 lines a second", "ms", figures["ours"], figures["pipe"], "a pipe", "p99 ≤ 5 ms", late <= 5))
