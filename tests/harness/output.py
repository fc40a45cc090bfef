"""Reading `stdout/stream` without an SDK."""
from __future__ import annotations

import base64
import json
from typing import Any, Iterator, NamedTuple

import httpx


class Output(NamedTuple):
    """What one subscriber was told."""

    stdout: bytes
    stderr: bytes
    dropped: int
    exit_code: int | None
    order: list[str]
    comments: int


def lines(response: httpx.Response) -> Iterator[str]:
    """Lines of an event stream as they come; `httpx` splits on more than line feeds."""
    rest = b""
    for chunk in response.iter_bytes():
        rest += chunk
        *whole, rest = rest.split(b"\n")
        for line in whole:
            yield line.decode()
    assert not rest, f"the stream ended in the middle of a line: {rest!r}"


def events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """Events of the stream; comments are left out."""
    for line in lines(response):
        if line.startswith("data:"):
            yield json.loads(line[5:])


def read(client: httpx.Client, url: str) -> Output:
    """Subscribes and reads to the end."""
    stdout, stderr, dropped, code, order, comments = bytearray(), bytearray(), 0, None, [], 0
    with client.stream("GET", url, timeout=120) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].split(";")[0] == "text/event-stream"
        assert response.headers["x-sse-content-type"] == "application/json"
        assert "no-cache" in response.headers["cache-control"]
        for line in lines(response):
            if line.startswith(":"):
                comments += 1
            if not line.startswith("data:"):
                continue
            event = json.loads(line[5:])
            assert code is None, f"an event after the exit: {event}"
            if event.get("event") == "exit":
                code = event["exit_code"]
                continue
            order.append(event["stream"])
            dropped += event.get("dropped_bytes", 0)
            (stdout if event["stream"] == "stdout" else stderr).extend(base64.b64decode(event["data_b64"], validate=True))
    return Output(bytes(stdout), bytes(stderr), dropped, code, order, comments)
