"""Creating sessions and running things in them through the official SDK."""
from __future__ import annotations

import base64
import json
from typing import Any, Callable, NamedTuple
from urllib.parse import parse_qs, urlsplit

import kernel as sdk
import pytest
from kernel import Kernel

from harness.http import NO_AUTHORITIES


AS_ROOT = pytest.mark.parametrize("as_root", [False, True], ids=["kernel", "root"])
"""For what must hold for both users of a session."""


class Ran(NamedTuple):
    """What an exec left."""

    code: int
    out: str
    err: str


def client(base_url: str, key: str, **options: Any) -> Kernel:
    """The official client, refusing every answer that does not fit its types."""
    options.setdefault("_strict_response_validation", True)
    if "http_client" not in options:
        options["http_client"] = sdk.DefaultHttpxClient(base_url=base_url, verify=NO_AUTHORITIES)
    return Kernel(base_url=base_url, api_key=key, **options)


def create(kernel: Kernel, **settings: Any) -> Any:
    """A session that outlives its suite unless deleted."""
    settings.setdefault("headless", True)
    settings.setdefault("timeout_seconds", 3600)
    return kernel.browsers.create(**settings)


def run(kernel: Kernel, session_id: str, command: str, *args: str, **settings: Any) -> Ran:
    """Runs a program to its end."""
    settings.setdefault("timeout_sec", 60)
    answer = kernel.browsers.process.exec(session_id, command=command, args=list(args), **settings)
    assert answer.exit_code is not None
    return Ran(
        answer.exit_code,
        base64.b64decode(answer.stdout_b64 or "").decode("utf-8", "replace"),
        base64.b64decode(answer.stderr_b64 or "").decode("utf-8", "replace"),
    )


def sh(kernel: Kernel, session_id: str, script: str, **settings: Any) -> Ran:
    """Runs a shell script to its end."""
    return run(kernel, session_id, "/bin/sh", "-c", script, **settings)


def python(kernel: Kernel, session_id: str, script: str, **settings: Any) -> Any:
    """Runs a Python script inside and answers the JSON it prints."""
    ran = run(kernel, session_id, "python3", "-c", script, **settings)
    assert ran.code == 0, ran
    return json.loads(ran.out)


def refused(code: str, call: Callable[[], Any]) -> dict[str, Any]:
    """The body of a refusal, which must be this one."""
    with pytest.raises(sdk.APIStatusError) as caught:
        call()
    body = caught.value.body
    assert isinstance(body, dict) and body["code"] == code, body
    return body


def namespaces(kernel: Kernel, session_id: str) -> set[str]:
    """The namespaces a session's processes are in, as `kind:[inode]`."""
    ran = sh(kernel, session_id, "for kind in pid mnt net ipc uts cgroup user; do readlink /proc/self/ns/$kind; done")
    names = set(ran.out.split())
    assert len(names) == 7, ran
    return names


def jwt_of(url: str) -> str:
    """The token in a URL the server handed out."""
    return parse_qs(urlsplit(url).query)["jwt"][0]
