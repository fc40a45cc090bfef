"""The wire itself: who may, what exists, what is said about it, and direct routing."""
from __future__ import annotations

import base64
import json
import os
import pathlib
import re
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from kernel import Kernel

from harness import sessions
from harness.server import Server
from test_sessions import Counting

OPERATIONS = [
    line.split("\t")[:3]
    for line in (pathlib.Path(__file__).parents[1] / "crates/api/src/operations.tsv").read_text().splitlines()
    if line and not line.startswith("#")
]
MADE_UP = {"process_id": "00000000-0000-4000-8000-000000000000"}


def filled(path: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda m: MADE_UP.get(m.group(1), "zz0000000000000000000000"), path)


def assert_refusal(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """A refusal has one shape everywhere."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].split(";")[0] == "application/json"
    body = answer.json()
    assert body["code"] == code
    assert body["message"]
    assert set(body) <= {"code", "message", "details", "inner_error"}
    assert answer.headers["x-request-id"]
    return body


# --- who may


@pytest.mark.parametrize(
    "header",
    [None, "Bearer wrong", "Bearer", "Basic dXNlcjpwYXNz", "bearer-ish sk_test", "Bearer sk_test_0123456789abcdefghijklmnopqrstuX", "Bearer \u00ff".encode("latin-1")],
)
def test_no_key_no_answer(server: Server, headless: Any, header: Any) -> None:
    headers = {} if header is None else {"Authorization": header}
    with httpx.Client(base_url=server.base_url, headers=headers) as stranger:
        bodies = set()
        for method, path in (
            ("GET", "/browsers"), ("POST", "/browsers"), ("GET", f"/browsers/{headless.session_id}"),
            ("DELETE", f"/browsers/{headless.session_id}"), ("POST", f"/browsers/{headless.session_id}/process/exec"),
            ("GET", "/browsers/zz0000000000000000000000"), ("GET", "/profiles"), ("GET", "/auth/context"),
        ):
            answer = stranger.request(method, path)
            assert_refusal(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"].startswith("Bearer")
            bodies.add(answer.text)
        # nothing tells an existing session from one that never was
        assert len(bodies) == 1


def test_the_scheme_is_case_insensitive(server: Server) -> None:
    answer = httpx.get(f"{server.base_url}/browsers", headers={"Authorization": f"bearer {server.key}"})
    assert answer.status_code == 200


def test_the_key_is_stored_only_as_a_hash(server: Server) -> None:
    read = 0
    for folder, _, names in os.walk(server.state_dir):
        for name in names:
            path = pathlib.Path(folder, name)
            try:
                assert not path.is_file() or server.key.encode() not in path.read_bytes(), path
                read += path.is_file()
            except FileNotFoundError:  # files of running sessions come and go
                continue
    assert read, "the database at least"
    assert server.key not in server.log()


# --- what exists


@pytest.mark.parametrize(("method", "path", "name"), OPERATIONS, ids=[f"{m} {p}" for m, p, _ in OPERATIONS])
def test_every_operation_of_the_contract_is_routed(wire: httpx.Client, method: str, path: str, name: str) -> None:
    body = {"content": b"{}", "headers": {"Content-Type": "application/json"}} if method in ("POST", "PUT", "PATCH") else {}
    answer = wire.request(method, filled(path), **body)
    if (method, path) == ("POST", "/browsers"):
        wire.delete(f"/browsers/{answer.json()['session_id']}")
    if answer.status_code == 501:
        refusal = assert_refusal(answer, 501, "not_implemented")
        assert answer.headers["x-should-retry"] == "false"
        assert name.split(".")[-1] in refusal["message"], refusal
    else:
        assert answer.status_code < 500, answer.text
        assert answer.status_code != 405
        if answer.status_code == 404:
            assert answer.json()["code"] != "route_not_found", path


def test_operations_of_this_version_are_not_501(wire: httpx.Client) -> None:
    for method, path, name in OPERATIONS:
        if name.startswith("browsers.process.") or name in (
            "browsers.browsers.list", "browsers.browsers.retrieve", "browsers.browsers.update", "browsers.browsers.delete_by_id",
        ):
            answer = wire.request(method, filled(path), json={} if method in ("POST", "PATCH") else None)
            assert answer.status_code in (200, 400, 404), (name, answer.text)


@pytest.mark.parametrize("path", ["/nope", "/browsers/x/nope", "/browsers/x/process/y/z/w", "/v9/browsers", "//browsers", "/%00"])
def test_unknown_path_is_404(wire: httpx.Client, server: Server, path: str) -> None:
    answer = wire.get(server.base_url + path)
    assert_refusal(answer, 404, "route_not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/browsers", {"GET", "POST"}),
        ("POST", "/browsers/zz0000000000000000000000", {"GET", "PATCH", "DELETE"}),
        ("GET", "/browsers/zz0000000000000000000000/process/exec", {"POST"}),
        ("DELETE", f"/browsers/zz0000000000000000000000/process/{MADE_UP['process_id']}/status", {"GET"}),
        ("POST", "/health", {"GET"}),
        ("DELETE", "/profiles", {"GET", "POST"}),
    ],
)
def test_wrong_method_is_405_and_says_what_is_right(wire: httpx.Client, method: str, path: str, allowed: set[str]) -> None:
    answer = wire.request(method, path)
    assert_refusal(answer, 405, "method_not_allowed")
    assert allowed <= {verb.strip() for verb in answer.headers["allow"].split(",")}


def test_body_over_the_limit_is_413(wire: httpx.Client, headless: Any) -> None:
    answer = wire.post(
        f"/browsers/{headless.session_id}/process/exec",
        content=b'{"command":"' + b"x" * (64 << 20) + b'"}', headers={"Content-Type": "application/json"},
    )
    assert_refusal(answer, 413, "payload_too_large")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/octet-stream"])
def test_wrong_content_type_is_415(wire: httpx.Client, headless: Any, kind: str) -> None:
    for path in ("/browsers", f"/browsers/{headless.session_id}/process/exec"):
        answer = wire.post(path, content=b"{}", headers={"Content-Type": kind})
        assert_refusal(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("body", [b"{", b"[]", b"nul", b'{"command": "true"} x', b"\xff\xfe", b'{"command": 1}', b'{"a":' * 300 + b"1" + b"}" * 300])
def test_what_is_not_the_right_json_is_400(wire: httpx.Client, headless: Any, body: bytes) -> None:
    for path in ("/browsers", f"/browsers/{headless.session_id}/process/exec"):
        answer = wire.post(path, content=body, headers={"Content-Type": "application/json"})
        if answer.status_code == 200 and path == "/browsers":  # an unknown field, not a wrong one
            wire.delete(f"/browsers/{answer.json()['session_id']}")
            assert b"command" in body
            continue
        assert answer.status_code == 400, answer.text
        assert answer.json()["code"] in ("bad_request", "invalid_input")
        assert answer.json()["details"]


def test_a_broken_request_is_not_a_server_error(server: Server) -> None:
    for raw in (b"\x00\x01\x02\r\n\r\n", b"GET /browsers HTTP/9.9\r\n\r\n", b"GET " + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n", b"POST /browsers HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
            connection.settimeout(10)
            received = b""
            try:
                connection.sendall(raw)
                while b"\r\n" not in received:
                    chunk = connection.recv(4096)
                    if not chunk:
                        break
                    received += chunk
            except ConnectionError:
                continue
            assert not received or received.split()[1].startswith(b"4"), received[:200]
    assert httpx.get(f"{server.base_url}/health").status_code == 200


def test_every_answer_has_a_request_id(wire: httpx.Client) -> None:
    ids = {wire.get(path).headers["x-request-id"] for path in ("/health", "/browsers", "/nope")}
    assert len(ids) == 3


def test_an_unknown_project_is_404(wire: httpx.Client) -> None:
    for header in ("X-Kernel-Project", "X-Kernel-Project-Id"):
        assert_refusal(wire.get("/browsers", headers={header: "no-such-project"}), 404, "project_not_found")


# --- what is said about it


def test_health_and_status(server: Server) -> None:
    with httpx.Client(base_url=server.base_url) as stranger:
        assert stranger.get("/health").status_code == 200
        status = stranger.get("/status")
        assert status.status_code == 200
        states = {"operational", "degraded_performance", "partial_outage", "full_outage", "maintenance", "unknown"}
        body = status.json()
        assert body["status"] == "operational"
        for group in body["groups"]:
            assert group["name"] and group["status"] in states
            for component in group["components"]:
                assert component["name"] and component["status"] in states


def test_the_documents(server: Server) -> None:
    with httpx.Client(base_url=server.base_url, follow_redirects=True) as stranger:
        spec = stranger.get("/spec.json")
        assert spec.headers["content-type"].split(";")[0] == "application/json"
        document = spec.json()
        assert document["openapi"].startswith("3.1")
        # OpenAPI is YAML 1.2, which has no dates; this reader knows 1.1
        reader = type("Reader", (yaml.CSafeLoader,), {})
        reader.yaml_implicit_resolvers = {
            first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
            for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
        }
        assert yaml.load(stranger.get("/spec.yaml").text, Loader=reader) == document
        docs = stranger.get("/docs")
        assert docs.status_code == 200 and "text/html" in docs.headers["content-type"]
        assert "/browsers" in docs.text
        llms = stranger.get("/llms.txt")
        assert llms.status_code == 200 and llms.text.startswith("# ")
        links = re.findall(r"\]\((\S+\.md)\)", llms.text)
        assert len(links) >= 13
        for link in links:
            page = stranger.get(urlsplit(link).path)
            assert page.status_code == 200, link
            assert page.text.startswith("#"), link


def test_the_document_describes_what_works(server: Server) -> None:
    document = httpx.get(f"{server.base_url}/spec.json").json()
    for method, path, name in OPERATIONS:
        if name.startswith("browsers.process.") or name in (
            "browsers.browsers.create", "browsers.browsers.list", "browsers.browsers.retrieve", "browsers.browsers.update", "browsers.browsers.delete_by_id",
        ):
            assert method.lower() in document["paths"][path], (method, path)
    for method, path in (
        ("get", "/browsers/{id_or_name}/process"),
        ("get", "/browsers/{id_or_name}/process/{process_id}/wait"),
        ("get", "/browsers/{id_or_name}/process/{process_id}/attach"),
    ):
        assert method in document["paths"][path], (method, path)
    committed = yaml.load((pathlib.Path(__file__).parents[1] / "docs/openapi.yaml").read_text(), Loader=yaml.CSafeLoader)
    assert committed["paths"].keys() == document["paths"].keys()


# --- direct routing


def direct(browser: Any, path: str, token: str | None = None) -> str:
    token = sessions.jwt_of(browser.cdp_ws_url) if token is None else token
    return f"{browser.base_url.rstrip('/')}{path}?jwt={token}"


def test_the_sdk_goes_straight_to_the_session(server: Server) -> None:
    transport = Counting()
    with sessions.client(server.base_url, server.key, http_client=httpx.Client(transport=transport)) as client:
        browser = client.browsers.create(headless=True)
        try:
            transport.requests.clear()
            ran = client.browsers.process.exec(browser.session_id, command="true")
            assert ran.exit_code == 0
            spawned = client.browsers.process.spawn(browser.session_id, command="true")
            client.browsers.process.status(spawned.process_id, id_or_name=browser.session_id)
            assert len(transport.requests) == 3
            for request in transport.requests:
                assert str(request.url).startswith(browser.base_url.rstrip("/") + "/process/")
                assert request.url.params["jwt"] == sessions.jwt_of(browser.cdp_ws_url)
                assert "authorization" not in request.headers
        finally:
            client.browsers.delete_by_id(browser.session_id)


def test_control_plane_routing_works_too(server: Server, headless: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNEL_BROWSER_ROUTING_SUBRESOURCES", "")
    transport = Counting()
    with sessions.client(server.base_url, server.key, http_client=httpx.Client(transport=transport)) as client:
        assert client.browsers.process.exec("shared-headless", command="true").exit_code == 0
    assert transport.requests[-1].url.path == "/browsers/shared-headless/process/exec"


def forged(token: str) -> list[str]:
    head, payload, signature = token.split(".")

    def encode(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    flipped = signature[:-2] + ("AA" if signature[-2:] != "AA" else "BB")
    return [
        "", "x", "a.b.c", f"{head}.{payload}.", f"{head}.{payload}.{flipped}",
        f"{encode({'alg': 'none', 'typ': 'JWT'})}.{payload}.",
        f"{head}.{encode({**claims, 'exp': 99999999999})}.{signature}",
        token + "x",
    ]


def test_wrong_tokens_are_the_same_401_and_dead_ones_say_what_became_of_their_session(kernel: Kernel, headless: Any) -> None:
    gone = sessions.create(kernel)
    with httpx.Client() as stranger:
        assert stranger.post(direct(gone, "/process/exec"), json={"command": "true"}).status_code == 200
        kernel.browsers.delete_by_id(gone.session_id)
        mine = sessions.jwt_of(headless.cdp_ws_url)
        refused = [direct(headless, "/process/exec", token) for token in forged(mine)]
        refused.append(f"{headless.base_url.rstrip('/')}/process/exec")
        bodies = set()
        for url in refused:
            answer = stranger.post(url, json={"command": "true"})
            assert_refusal(answer, 401, "unauthorized")
            bodies.add(answer.text)
        assert len(bodies) == 1, bodies
        answer = stranger.post(direct(gone, "/process/exec"), json={"command": "true"})
        assert_refusal(answer, 404, "browser_not_found")
        assert f"{gone.session_id} ended at 20" in answer.json()["message"] and ": deleted;" in answer.json()["message"]
        assert {"code": "deletion_reason", "message": "deleted"} in answer.json()["details"]


def test_a_foreign_token_reaches_its_own_session_only(kernel: Kernel, headless: Any, neighbour: Any) -> None:
    """`base_url` is one for all, so the token alone says whose request it is (docs/decisions/0006)."""
    assert headless.base_url == neighbour.base_url
    process = kernel.browsers.process.spawn(headless.session_id, command="sleep", args=["600"]).process_id
    with httpx.Client() as holder:
        foreign = sessions.jwt_of(neighbour.cdp_ws_url)
        for method, operation, body in (("GET", "status", None), ("POST", "kill", {"signal": "KILL"}), ("POST", "stdin", {"eof": True})):
            answer = holder.request(method, direct(headless, f"/process/{process}/{operation}", foreign), json=body)
            assert_refusal(answer, 404, "process_not_found")
        where = {"command": "readlink", "args": ["/proc/self/ns/pid"]}
        theirs = holder.post(direct(headless, "/process/exec", foreign), json=where).json()["stdout_b64"]
        own = holder.post(direct(headless, "/process/exec"), json=where).json()["stdout_b64"]
        assert theirs != own
        assert base64.b64decode(theirs).decode().strip() in sessions.namespaces(kernel, neighbour.session_id)
        assert holder.get(direct(headless, f"/process/{process}/status")).json()["state"] == "running"
        assert holder.post(direct(headless, f"/process/{process}/kill"), json={"signal": "KILL"}).status_code == 200


def test_a_token_opens_nothing_but_its_session(server: Server, headless: Any) -> None:
    token = sessions.jwt_of(headless.cdp_ws_url)
    for headers, params in (({"Authorization": f"Bearer {token}"}, {}), ({}, {"jwt": token})):
        with httpx.Client(base_url=server.base_url, headers=headers, params=params) as holder:
            assert holder.get("/browsers").status_code == 401
            assert holder.delete(f"/browsers/{headless.session_id}").status_code == 401


def test_tokens_are_not_logged(server: Server, headless: Any) -> None:
    httpx.post(direct(headless, "/process/exec"), json={"command": "true"})
    signature = sessions.jwt_of(headless.cdp_ws_url).split(".")[2]
    assert signature not in server.log()


def test_direct_routes_answer_in_the_same_shape(headless: Any) -> None:
    with httpx.Client() as holder:
        assert_refusal(holder.get(direct(headless, "/nope")), 404, "route_not_found")
        assert_refusal(holder.get(direct(headless, "/process/exec")), 405, "method_not_allowed")
        assert_refusal(holder.post(direct(headless, "/process/exec"), content=b"{}", headers={"Content-Type": "text/plain"}), 415, "unsupported_media_type")
        answer = holder.post(direct(headless, "/process/exec"), json={})
        assert assert_refusal(answer, 400, "invalid_input")["details"][0]["code"] == "command"


def test_requests_are_counted_by_route(wire: httpx.Client, server: Server, headless: Any) -> None:
    """By its template: what a client makes up neither shows nor adds up."""
    def figures() -> dict[str, float]:
        lines = (line.rpartition(" ") for line in wire.get("/metrics").text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def counted(method: str, route: str, status: int) -> float:
        return figures().get(f'browserd_http_answers_total{{method="{method}",route="{route}",status="{status}"}}', 0)

    before = counted("GET", "/browsers/{id_or_name}", 404), counted("other", "-", 404)
    for made_up in ("made-up-one", "made-up-two"):
        assert wire.get(f"/browsers/{made_up}").status_code == 404
        assert wire.request("BREW", f"/{made_up}").status_code == 404
    assert (counted("GET", "/browsers/{id_or_name}", 404), counted("other", "-", 404)) == (before[0] + 2, before[1] + 2)
    httpx.post(direct(headless, "/process/exec"), json={"command": "true"})
    text = wire.get("/metrics").text
    assert "made-up" not in text and "BREW" not in text
    assert sessions.jwt_of(headless.cdp_ws_url).split(".")[2] not in text and headless.session_id not in text
    now = figures()
    assert 1 <= now["browserd_connections"] <= now["browserd_connections_limit"] == 16384
    assert now["process_resident_memory_bytes"] > 1 << 20 and now["process_open_fds"] > 3
    assert 'browserd_build_info{version="' in text
