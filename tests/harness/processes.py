"""Processes of a session, without the SDK."""
from __future__ import annotations

import base64
from typing import Any

import httpx

from harness import output


class Processes:
    """Processes of one session over plain HTTP."""

    def __init__(self, wire: httpx.Client, session_id: str) -> None:
        self.wire = wire
        self.base = f"/browsers/{session_id}/process"

    def spawn(self, command: str, *args: str, **settings: Any) -> str:
        answer = self.wire.post(f"{self.base}/spawn", json={"command": command, "args": list(args), **settings})
        assert answer.status_code == 200, answer.text
        return answer.json()["process_id"]

    def sh(self, script: str, **settings: Any) -> str:
        return self.spawn("/bin/sh", "-c", script, **settings)

    def status(self, process_id: str) -> dict[str, Any]:
        answer = self.wire.get(f"{self.base}/{process_id}/status")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait(self, process_id: str, seconds: int = 60) -> dict[str, Any]:
        answer = self.wire.get(f"{self.base}/{process_id}/wait", params={"timeout": seconds}, timeout=seconds + 10)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def kill(self, process_id: str, signal: str | None = None) -> httpx.Response:
        return self.wire.post(f"{self.base}/{process_id}/kill", json={"signal": signal} if signal else {})

    def stdin(self, process_id: str, data: bytes | None = None, eof: bool | None = None, timeout: float = 60) -> httpx.Response:
        body: dict[str, Any] = {}
        if data is not None:
            body["data_b64"] = base64.b64encode(data).decode()
        if eof is not None:
            body["eof"] = eof
        return self.wire.post(f"{self.base}/{process_id}/stdin", json=body, timeout=timeout)

    def read(self, process_id: str) -> output.Output:
        return output.read(self.wire, f"{self.base}/{process_id}/stdout/stream")

    def stream(self, process_id: str) -> Any:
        return self.wire.stream("GET", f"{self.base}/{process_id}/stdout/stream", timeout=120)
