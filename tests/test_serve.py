"""Starting the server: what it refuses, the key it makes, the URLs it hands out, its log, its limits."""
from __future__ import annotations

import json
import os
import pathlib
import re
import stat
import subprocess
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from kernel import Kernel

from harness import sessions
from harness.deadline import eventually
from harness.server import BINARY, Server, serving
from harness.sessions import python
from harness.site import host_address


def browserd(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BINARY), *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)


def test_a_host_that_lacks_something_is_told_so_in_the_doctors_words(folder: pathlib.Path) -> None:
    lacking = ("--chromium", "/nonexistent", "--state-dir", str(folder / "state"), "--listen", "127.0.0.1:0")
    doctor = browserd("doctor", *lacking)
    assert doctor.returncode == 1, doctor
    failed = re.findall(r"^FAIL .*\n +fix: .*$", doctor.stdout, re.MULTILINE)
    assert len(failed) == 1 and "/nonexistent" in failed[0], doctor.stdout
    refused = browserd("serve", *lacking)
    assert refused.returncode == 1
    assert failed[0] in refused.stderr
    assert not (folder / "state").exists()


def test_the_first_key_is_printed_once_and_kept_for_its_owner_only(folder: pathlib.Path) -> None:
    with serving(state_dir=folder, key=None) as server:
        key = server.key
        assert re.fullmatch(r"sk_\S{16,}", key)
        assert server.log().count(f"KERNEL_API_KEY={key}\n") == 1
        kept = (folder / "api-key").stat()
        assert stat.S_IMODE(kept.st_mode) == 0o600 and kept.st_uid == os.geteuid()
        assert httpx.get(f"{server.base_url}/browsers").status_code == 401
        assert httpx.get(f"{server.base_url}/browsers", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    with serving(state_dir=folder, key=None) as again:
        assert httpx.get(f"{again.base_url}/browsers", headers={"Authorization": f"Bearer {key}"}).status_code == 200
        assert key not in again.log()


def test_urls_begin_with_the_public_url() -> None:
    with serving(arguments=("--public-url", "https://x.example")) as server:
        with httpx.Client(base_url=server.base_url, headers={"Authorization": f"Bearer {server.key}"}, timeout=60) as client:
            made = client.post("/browsers", json={"headless": True}).json()
            for name, scheme in (("cdp_ws_url", "wss"), ("webdriver_ws_url", "wss"), ("base_url", "https")):
                assert made[name].startswith(f"{scheme}://x.example/"), made[name]
            # as a proxy at that address would ask
            cdp = urlsplit(made["cdp_ws_url"])
            for path in ("/json/version", "/json/list"):
                answer = client.get(f"{cdp.path}{path}?{cdp.query}", headers={"Host": "x.example"}).json()
                for row in answer if isinstance(answer, list) else [answer]:
                    assert row["webSocketDebuggerUrl"].startswith("wss://x.example/"), row


def test_it_listens_on_a_name() -> None:
    with serving(arguments=("--listen", "localhost:0")) as server:
        assert httpx.get(f"http://localhost:{server.port}/health").status_code == 200
        assert "without encryption" not in server.log()


def test_every_address_takes_a_public_url(folder: pathlib.Path) -> None:
    for listen in (":0", "0.0.0.0:0", "[::]:0"):
        refused = browserd("serve", "--listen", listen, "--state-dir", str(folder / "state"))
        assert refused.returncode == 1 and f"listen: {listen} is every address" in refused.stderr and "--public-url" in refused.stderr, refused
        assert not (folder / "state").exists()
    host = host_address()
    with serving(arguments=("--listen", ":0", "--public-url", f"http://{host}:1")) as server:
        for address in ("127.0.0.1", host):
            assert httpx.get(f"http://{address}:{server.port}/health").status_code == 200
        assert "without encryption" in server.log(), "another machine's requests cross the network"
        made = httpx.post(f"{server.base_url}/browsers", json={"headless": True}, headers={"Authorization": f"Bearer {server.key}"}, timeout=60).json()
        assert made["cdp_ws_url"].startswith(f"ws://{host}:1/")


def test_log_lines_carry_the_request_id(server: Server, wire: httpx.Client) -> None:
    mine = {"X-Request-Id": "from-the-test_1.2"}
    assert wire.get("/browsers", headers=mine).headers["x-request-id"] == mine["X-Request-Id"]
    given = wire.get("/browsers/zz0000000000000000000000").headers["x-request-id"]

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]

    for request_id, route, status in ((mine["X-Request-Id"], "/browsers", 200), (given, "/browsers/{id_or_name}", 404)):
        said = eventually(lambda: [line for line in lines() if line.get("request_id") == request_id], "the request is logged")
        assert [(line["route"], line["status"]) for line in said] == [(route, status)], said
    # Where there is no route, the path says what was tried, but for what may be a token.
    lost = wire.get(f"/v9/browsers/{'t' * 40}?jwt=secret").headers["x-request-id"]
    said = eventually(lambda: [line for line in lines() if line.get("request_id") == lost], "the request is logged")
    assert [(line["route"], line["path"]) for line in said] == [("-", "/v9/browsers/…")], said


# Two processes that use half a second of CPU each; answers what they used and how long it took.
BURN = """
import json, os, time
start, children = time.monotonic(), []
for _ in range(2):
    if (child := os.fork()) == 0:
        while time.process_time() < 0.5: pass
        os._exit(0)
    children.append(child)
for child in children: os.waitpid(child, 0)
used = os.times()
print(json.dumps([used.children_user + used.children_system, time.monotonic() - start]))
"""


def test_a_limit_of_cpu_holds(kernel: Kernel, headless: Any) -> None:
    with serving(extra_env={"BROWSERD_CPU_MAX_PCT": "20"}) as server, sessions.client(server.base_url, server.key) as limited:
        browser = sessions.create(limited)
        used, took = python(limited, browser.session_id, BURN)
        assert used > 0.9
        # of one core; a period's rest may come on top
        assert used / took < 0.25, (used, took)

    def without() -> bool:
        used, took = python(kernel, headless.session_id, BURN)
        return used / took > 0.5

    eventually(without, "the same is faster without the limit")
