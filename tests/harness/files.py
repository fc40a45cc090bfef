"""The file routes of a session, by key or by its own token, without an SDK."""
from __future__ import annotations

from typing import Any, Iterator
from urllib.parse import parse_qs, urlsplit

import httpx

from harness.http import NO_AUTHORITIES


class Fs:
    """Plain HTTP to `/fs` and `/logs` of one session."""

    def __init__(self, base: str, key: str | None, token: str | None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = httpx.Client(base_url=base, headers=headers, params={"jwt": token} if token else {}, timeout=60, verify=NO_AUTHORITIES)

    @classmethod
    def by_key(cls, server_url: str, key: str, browser: Any) -> "Fs":
        return cls(f"{server_url}/browsers/{browser.session_id}", key, None)

    @classmethod
    def direct(cls, browser: Any) -> "Fs":
        return cls(browser.base_url.rstrip("/"), None, parse_qs(urlsplit(browser.cdp_ws_url).query)["jwt"][0])

    def close(self) -> None:
        self.http.close()

    def get(self, route: str, **query: Any) -> httpx.Response:
        headers = query.pop("headers", {})
        return self.http.get(f"/fs/{route}", params=query, headers=headers)

    def put(self, route: str, **body: Any) -> httpx.Response:
        return self.http.put(f"/fs/{route}", json=body)

    def write(self, path: str, content: Any, **query: Any) -> httpx.Response:
        return self.http.put("/fs/write_file", params={"path": path, **query}, content=content, headers={"Content-Type": "application/octet-stream"})

    def read(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get("/fs/read_file", params={"path": path}, headers=headers)

    def names(self, path: str) -> list[str]:
        answer = self.get("list_files", path=path)
        assert answer.status_code == 200, answer.text
        return [entry["name"] for entry in answer.json()]

    def form(self, route: str, parts: list[tuple[str, Any]]) -> httpx.Response:
        """A form whose parts go in this order; bytes become file parts, text becomes text parts."""
        fields = [(name, ("blob", value, "application/octet-stream") if isinstance(value, bytes) else (None, value)) for name, value in parts]
        return self.http.post(f"/fs/{route}", files=fields)


def refused(answer: httpx.Response, status: int, code: str, field: str | None = None) -> None:
    """The answer is this refusal, and blames this field."""
    assert answer.status_code == status, (answer.status_code, answer.text[:500])
    body = answer.json()
    assert body["code"] == code, body
    assert len(body["message"]) > 10
    if field is not None:
        assert field in {detail["code"] for detail in body.get("details", [])}, body
    if status >= 500 or status in (409, 429):
        assert answer.headers["x-should-retry"] in ("true", "false")


def lines(response: httpx.Response) -> Iterator[str]:
    rest = b""
    for chunk in response.iter_bytes():
        rest += chunk
        *whole, rest = rest.split(b"\n")
        for line in whole:
            yield line.decode()
