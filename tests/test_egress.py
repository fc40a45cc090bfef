"""The only way out of a session: its gateway, and what it lets through."""
from __future__ import annotations

import json
from typing import Any

import pytest
from kernel import Kernel

from harness import sessions
from harness.cdp import Cdp, new_page
from harness.deadline import eventually
from harness.server import serving
from harness.sessions import python, sh
from harness.site import Site


def via_gateway(kernel: Kernel, session_id: str, request: str) -> tuple[int, dict[str, str]]:
    """Sends a raw request to the session's gateway from inside; answers status and headers."""
    script = f"""
import json, os, socket, urllib.parse
proxy = urllib.parse.urlsplit(os.environ['http_proxy'])
s = socket.create_connection((proxy.hostname, proxy.port), 20); s.settimeout(20)
s.sendall({request.encode()!r})
data = b''
while b'\\r\\n\\r\\n' not in data:
    chunk = s.recv(4096)
    if not chunk: break
    data += chunk
print(json.dumps(data.split(b'\\r\\n\\r\\n')[0].decode('latin-1')))
"""
    head = python(kernel, session_id, script)
    first, *rest = head.split("\r\n")
    return int(first.split()[1]), {line.split(":", 1)[0].lower(): line.split(":", 1)[1].strip() for line in rest}


REFUSED = [
    "127.0.0.1", "127.1.2.3", "localhost", "LOCALHOST.", "a.localhost", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.254", "192.168.1.1",
    "100.64.0.1", "169.254.169.254", "169.254.1.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::a00:1]", "[2002:7f00:1::]",
    "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.1", "0", "3232235777", "ip6-localhost", "host_address",
]


@pytest.mark.parametrize("host", REFUSED)
def test_private_destinations_are_refused(kernel: Kernel, headless: Any, forbidden_site: Site, host: str) -> None:
    host = forbidden_site.host if host == "host_address" else host
    before = forbidden_site.total()
    authority = f"{host}:{forbidden_site.port}"
    for request in (f"GET http://{authority}/hello HTTP/1.1\r\nHost: {authority}\r\n\r\n", f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"):
        status, headers = via_gateway(kernel, headless.session_id, request)
        if host == "ip6-localhost" and status == 502:
            continue  # this host has no such name
        assert status in (400, 403), (request, status, headers)
        if status == 403:
            assert headers["x-kernel-proxy-error"] == "destination_blocked"
    assert forbidden_site.total() == before


def test_names_of_private_addresses_are_refused(site: Site, forbidden_site: Site) -> None:
    """The gateway looks a name up as this host does, and judges the address it would dial."""
    names = {"private.example": "10.9.8.7", "loopback.example": "127.0.0.1", "metadata.example": "169.254.169.254", "ours.example": forbidden_site.host, "six.example": "::1"}
    hosts = {**names, "allowed.example": site.host}
    with serving(private_hosts=[site.authority], hosts=hosts) as server, sessions.client(server.base_url, server.key) as kernel:
        browser = sessions.create(kernel)
        before = forbidden_site.total()
        for name in names:
            authority = f"{name}:{forbidden_site.port}"
            for request in (f"GET http://{authority}/hello HTTP/1.1\r\nHost: {authority}\r\n\r\n", f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"):
                status, headers = via_gateway(kernel, browser.session_id, request)
                assert (status, headers.get("x-kernel-proxy-error")) == (403, "destination_blocked"), request
        assert forbidden_site.total() == before
        # the address is on the list, so this proves that names are looked up at all
        authority = f"allowed.example:{site.port}"
        status, _ = via_gateway(kernel, browser.session_id, f"GET http://{authority}/hello HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")
        assert status == 200


def test_an_allowed_private_host_is_reached(kernel: Kernel, headless: Any, site: Site) -> None:
    status, headers = via_gateway(kernel, headless.session_id, f"GET {site.url('/hello')} HTTP/1.1\r\nHost: {site.authority}\r\nConnection: close\r\n\r\n")
    assert status == 200 and "x-kernel-proxy-error" not in headers
    status, _ = via_gateway(kernel, headless.session_id, f"CONNECT {site.authority} HTTP/1.1\r\nHost: {site.authority}\r\n\r\n")
    assert status == 200
    # its port only
    other = f"{site.host}:{site.port - 1}"
    status, headers = via_gateway(kernel, headless.session_id, f"CONNECT {other} HTTP/1.1\r\nHost: {other}\r\n\r\n")
    assert status == 403 and headers["x-kernel-proxy-error"] == "destination_blocked"


def test_programs_find_the_gateway_by_themselves(kernel: Kernel, headless: Any, site: Site) -> None:
    ran = sh(kernel, headless.session_id, f"curl -sS --max-time 20 {site.url('/title/by-curl')}")
    assert ran.code == 0 and "by-curl" in ran.out, ran
    for spelling in ("2130706433", "0x7f000001", "0177.0.0.1", "127.1"):
        ran = sh(kernel, headless.session_id, f"curl -sS -o /dev/null -w '%{{http_code}}' --max-time 20 http://{spelling}:{site.port}/hello")
        assert ran.out.strip() in ("000", "400", "403"), (spelling, ran)


def test_gateway_hides_nothing_but_itself(kernel: Kernel, headless: Any, site: Site) -> None:
    body = sh(kernel, headless.session_id, f"curl -sS --max-time 20 -H 'Proxy-Connection: keep-alive' -H 'X-Mine: 1' {site.url('/echo')}").out
    headers = json.loads(body)["headers"]
    assert headers["x-mine"] == "1"
    assert not {"proxy-connection", "proxy-authorization", "via", "x-forwarded-for", "forwarded"} & headers.keys(), headers


def test_chromium_goes_through_the_gateway(headless: Any, site: Site, forbidden_site: Site) -> None:
    before = forbidden_site.total()
    port = forbidden_site.port
    with Cdp(headless.cdp_ws_url) as cdp:
        page = new_page(cdp)
        assert page.goto(site.url("/hello")) is None
        for host in ("127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "169.254.169.254", forbidden_site.host):
            page.goto(f"http://{host}:{port}/hello")
            assert page.evaluate("document.querySelector('#greeting')") is None, host
            page.evaluate(f"fetch('http://{host}:{port}/hello', {{mode: 'no-cors'}}).then(() => 1, () => 0)")
            page.evaluate(f"new Promise(done => {{ const s = new WebSocket('ws://{host}:{port}/'); s.onopen = s.onerror = () => done(1); }})")
        # nor by way of an allowed host
        page.goto(site.url(f"/redirect?to=http://{forbidden_site.host}:{port}/hello"))
        page.goto(site.url(f"/redirect?to=http://127.0.0.1:{port}/hello"))
        page.close()
    assert forbidden_site.total() == before


def test_pages_of_the_session_itself_are_reachable(kernel: Kernel, headless: Any) -> None:
    """A program inside may serve pages to the browser inside."""
    spawned = kernel.browsers.process.spawn(headless.session_id, command="python3", args=["-u", "-m", "http.server", "48123", "--bind", "127.0.0.1"], cwd="/tmp")
    with Cdp(headless.cdp_ws_url) as cdp:
        page = new_page(cdp)
        eventually(lambda: page.goto("http://127.0.0.1:48123/") is None, "the page inside is reached")
        assert "Directory listing" in page.evaluate("document.title")
        page.close()
    kernel.browsers.process.kill(spawned.process_id or "", id_or_name=headless.session_id, signal="KILL")


def test_webrtc_learns_and_leaks_no_address(headless: Any, site: Site) -> None:
    gather = """new Promise(done => {
        const found = [];
        const pc = new RTCPeerConnection({iceServers: [{urls: 'stun:203.0.113.1:3478'}, {urls: 'stun:127.0.0.1:3478'}]});
        pc.createDataChannel('x');
        pc.onicecandidate = event => event.candidate ? found.push(event.candidate.candidate) : done(found);
        pc.createOffer().then(offer => pc.setLocalDescription(offer));
        setTimeout(() => done(found), 8000);
    })"""
    with Cdp(headless.cdp_ws_url) as cdp:
        page = new_page(cdp)
        assert page.goto(site.url("/hello")) is None
        candidates = page.evaluate(gather)
        page.close()
    for candidate in candidates:
        fields = candidate.split()
        assert fields[7] == "host", candidate
        assert fields[4].endswith(".local") or fields[4].startswith("127."), candidate
        assert site.host not in candidate


def test_a_refusal_is_shown_to_the_page(headless: Any) -> None:
    with Cdp(headless.cdp_ws_url) as cdp:
        page = new_page(cdp)
        page.call("Network.enable")
        page.goto("http://192.168.7.7/")
        response = cdp.event("Network.responseReceived", page.session)["response"]
        assert response["status"] == 403
        headers = {name.lower(): value for name, value in response["headers"].items()}
        assert headers["x-kernel-proxy-error"] == "destination_blocked"
        page.close()
