"""schemathesis over our own OpenAPI document: no 5xx but the documented 501s, no undocumented answer."""
from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Iterator

import pytest

from harness import sessions
from harness.server import Server, serving
from harness.sessions import sh

SEED = 20261123
# Longest it goes on drawing requests. Operations that answer 501 are left to test_wire.
SECONDS = 180

# Sessions are ended as they are made, so that there is always room for the next. Files are written,
# moved, closed and deleted below a folder of their own: `chmod 000 /`, which random bodies do find, is
# a session's end.
HOOKS = """
import requests, schemathesis

@schemathesis.hook
def before_call(context, case, kwargs):
    if "/fs/" in case.operation.path and isinstance(case.body, dict):
        for field in ("path", "src_path", "dest_path"):
            if isinstance(case.body.get(field), str) and case.body[field].startswith("/"):
                case.body[field] = "/tmp/fuzz" + case.body[field]

@schemathesis.hook
def after_call(context, case, response):
    if (case.method, case.operation.path) == ("POST", "/browsers") and response.status_code == 200:
        sent = response.request
        session = response.json()["session_id"]
        requests.delete(f"{{sent.url.split('?')[0]}}/{{session}}", headers={{"Authorization": "Bearer {key}"}}, timeout=30)
"""


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Server]:
    """A server of its own, for requests nobody can foresee."""
    with serving() as server:
        yield server


def settings(key: str, token: str, session: str, exited: str, running: str) -> str:
    """Keys and ids that are valid, so that requests get past the lookup; creations keep to few.

    Two documents cannot be checked against a schema this way: of an event stream the document
    describes the data of an event, not its framing, and the YAML document is text to it.
    """
    return f"""
seed = {SEED}
max-time = {SECONDS}
request-timeout = 30
max-stream-events = 20
[auth.openapi.apiKey]
bearer = "{key}"
[auth.openapi.sessionToken]
api_key = "{token}"
[parameters]
"path.id_or_name" = "{session}"
"path.process_id" = "{exited}"
"query.timeout" = 1
[checks]
enabled = false
[checks.not_a_server_error]
enabled = true
expected-statuses = ["2xx", "3xx", "4xx", 501]
[checks.status_code_conformance]
enabled = true
[checks.content_type_conformance]
enabled = true
[checks.response_schema_conformance]
enabled = true
[phases.stateful]
enabled = false
[generation]
max-examples = 15
database = "none"
[[operations]]
include-method = "POST"
include-path = "/browsers"
generation.max-examples = 8
[[operations]]
include-method = "DELETE"
include-path = "/browsers/{{id_or_name}}"
parameters = {{ "path.id_or_name" = "no-such-session" }}
[[operations]]
include-path-regex = "/logs/stream$"
parameters = {{ "path.id_or_name" = "{session}", "query.follow" = false }}
checks.response_schema_conformance.enabled = false
[[operations]]
include-path-regex = "(stdout/stream|watch/.watch_id./events|/spec.yaml)$"
checks.response_schema_conformance.enabled = false
[[operations]]
include-path-regex = "/process/.process_id./(stdin|resize)$"
parameters = {{ "path.id_or_name" = "{session}", "path.process_id" = "{running}" }}
"""


@pytest.mark.timeout(480)
def test_schemathesis(fuzzed: Server, tmp_path: pathlib.Path) -> None:
    with sessions.client(fuzzed.base_url, fuzzed.key) as kernel:
        # room for eight executors beside every tab that is opened: at its memory limit a browser crawls
        browser = sessions.create(kernel, memory="4GiB")
        exited = kernel.browsers.process.spawn(browser.session_id, command="true").process_id
        running = kernel.browsers.process.spawn(browser.session_id, command="sleep", args=["3600"], allocate_tty=True).process_id
        config = tmp_path / "schemathesis.toml"
        config.write_text(settings(fuzzed.key, sessions.jwt_of(browser.cdp_ws_url), browser.session_id, str(exited), str(running)))
        hooks = tmp_path / "hooks.py"
        hooks.write_text(HOOKS.format(key=fuzzed.key))
        report = tmp_path / "report.json"
        ran = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run",
                "--wait-for-schema", "10",
                "--phases", "examples,fuzzing", "--exclude-tag", "not built yet",
                "--continue-on-failure", "--no-shrink",
                "--report", "json", "--report-json-path", str(report),
                f"{fuzzed.base_url}/spec.json",
            ],
            capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "NO_COLOR": "1", "SCHEMATHESIS_HOOKS": str(hooks)},
        )
        why = [line for line in fuzzed.log().splitlines() if "did not answer" in line][-5:]
        assert ran.returncode == 0, f"{ran.stdout[-12000:]}\n{ran.stderr[-3000:]}\n{why}"
        assert report.exists() and json.loads(report.read_text())
        # the session and the server are none the worse
        assert sh(kernel, browser.session_id, "true").code == 0
        assert fuzzed.process.poll() is None
    assert "panicked" not in fuzzed.log()
