"""A session's network as programs see it that know nothing of the gateway: an interface, names, TCP; and nothing else."""
from __future__ import annotations

import socket
from typing import Any, Iterator

import pytest
from kernel import Kernel

from harness import sessions
from harness.cdp import Cdp, first_page, new_page
from harness.server import KEY, Server, serving
from harness.sessions import AS_ROOT, python
from harness.site import Site
from harness.upstream import PASSWORD, USER, Upstream
from test_egress import REFUSED

# What every script here may use. None of it looks at proxy variables.
PRELUDE = r"""
import errno, json, os, select, socket, struct
def outcome(call):
    try: return call()
    except TimeoutError: return 'timeout'
    except socket.gaierror as error: return errno.errorcode.get(error.errno) or {-2: 'NONAME', -3: 'AGAIN', -5: 'NODATA'}.get(error.errno, str(error))
    except OSError as error: return errno.errorcode.get(error.errno, str(error))
def get(host, port, path='/title/direct'):
    with socket.create_connection((host, port), 20) as s:
        s.sendall(f'GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n'.encode())
        got = b''
        while chunk := s.recv(65536): got += chunk
        return int(got.split()[1]) if got else 'nothing'
def flood(at, host, port):
    many = [socket.create_connection(at, 20) for _ in range(300)]
    poll = select.poll()
    for s in many: poll.register(s, select.POLLIN)
    while len(over := poll.poll()) < 300 - 256: pass
    for s in many:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('2i', 1, 0))
        s.close()
    while outcome(lambda: get(host, port)) != 200: pass
    return len(over)
def ask(name, kind, server='198.18.0.1', port=53):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(2); s.connect((server, port))
        labels = b''.join(bytes([len(label)]) + label.encode() for label in name.split('.'))
        # As resolvers do: a datagram may be lost, and is sent again.
        for attempt in range(10):
            s.send(struct.pack('!6H', 7, 0x0100, 1, 0, 0, 0) + labels + b'\0' + struct.pack('!2H', kind, 1))
            answer = outcome(lambda: s.recv(4096))
            if answer != 'timeout': break
        head = struct.unpack('!6H', answer[:12])
        assert head[0] == 7 and head[1] & 0x8000
        return [head[1] & 15, head[3], answer[-4:].hex() if head[3] else '']
"""


def inside(kernel: Kernel, session_id: str, expression: str, **settings: Any) -> Any:
    """What a Python expression is in a process inside that has no proxy variables."""
    bare = "import os\nfor name in list(os.environ):\n    if 'proxy' in name.lower(): del os.environ[name]"
    return python(kernel, session_id, f"{bare}\n{PRELUDE}\nprint(json.dumps({expression}))", **settings)


@pytest.mark.parametrize("kind", ["headless", "headful"])
def test_a_browser_is_online(request: pytest.FixtureRequest, kind: str) -> None:
    browser = request.getfixturevalue(kind)
    with Cdp(browser.cdp_ws_url) as cdp:
        assert first_page(cdp).evaluate("navigator.onLine") is True


def test_it_looks_like_a_network(kernel: Kernel, headless: Any) -> None:
    seen = inside(kernel, headless.session_id, """{
        'interfaces': sorted(name for _, name in socket.if_nameindex()),
        'own name': socket.gethostbyname(socket.gethostname()),
        'localhost': [outcome(lambda: socket.gethostbyname(name)) for name in ('localhost', 'a.localhost')],
        'route': [line.split()[0] for line in open('/proc/net/route').readlines()[1:]],
        'inet6': [line.split()[-1] for line in open('/proc/net/if_inet6')],
    }""")
    assert seen == {
        "interfaces": ["eth0", "lo"],
        "own name": "127.0.1.1",
        "localhost": ["127.0.0.1", "127.0.0.1"],
        "route": ["eth0", "eth0"],
        "inet6": ["lo"],
    }


def test_connections_that_are_over_are_forgotten_soon(kernel: Kernel, headless: Any) -> None:
    """What the kernel remembers of them is memory that is nobody's: how long is set, and nobody inside can set it."""
    names = ["tcp_timeout_time_wait", "tcp_timeout_close", "udp_timeout"]
    at = "'/proc/sys/net/netfilter/nf_conntrack_' + name"
    assert inside(kernel, headless.session_id, f"[int(open({at}).read()) for name in {names}]") == [1, 1, 5]
    assert set(inside(kernel, headless.session_id, f"[outcome(lambda: open({at}, 'w')) for name in {names}]")) <= {"EROFS", "EACCES", "EPERM"}


@pytest.mark.parametrize("kind", ["headless", "headful"])
def test_peers_of_one_page_connect(request: pytest.FixtureRequest, kind: str, site: Site) -> None:
    """WebRTC within a session, by its own address; nothing of it leaves."""
    said = """new Promise(async (done, failed) => {
        const [a, b] = [new RTCPeerConnection(), new RTCPeerConnection()];
        a.onicecandidate = ({candidate}) => candidate && b.addIceCandidate(candidate);
        b.onicecandidate = ({candidate}) => candidate && a.addIceCandidate(candidate);
        b.ondatachannel = ({channel}) => channel.onmessage = ({data}) => done(data);
        const channel = a.createDataChannel('x');
        channel.onopen = () => channel.send('hello');
        await a.setLocalDescription(await a.createOffer());
        await b.setRemoteDescription(a.localDescription);
        await b.setLocalDescription(await b.createAnswer());
        await a.setRemoteDescription(b.localDescription);
        setTimeout(() => failed(a.iceConnectionState), 20000);
    })"""
    with Cdp(request.getfixturevalue(kind).cdp_ws_url) as cdp:
        page = new_page(cdp)
        assert page.goto(site.url("/hello")) is None
        assert page.evaluate(said) == "hello"
        page.close()


@AS_ROOT
def test_any_program_reaches_what_is_allowed(kernel: Kernel, headless: Any, site: Site, as_root: bool) -> None:
    before = site.seen("/title/direct")
    assert inside(kernel, headless.session_id, f"[get({site.host!r}, {site.port}) for _ in range(3)]", as_root=as_root) == [200] * 3
    assert site.seen("/title/direct") == before + 3
    # Many at once, with bodies both ways.
    script = f"""
import concurrent.futures, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
body = bytes(range(256)) * 4096
def echo(_):
    return json.load(opener.open({site.url('/echo')!r}, body, 60))['body'] == body.decode('latin-1')
with concurrent.futures.ThreadPoolExecutor(8) as pool: print(json.dumps(list(pool.map(echo, range(16)))))
"""
    assert python(kernel, headless.session_id, PRELUDE + script, as_root=as_root) == [True] * 16


def test_what_is_refused_is_refused_to_any_program(kernel: Kernel, headless: Any, site: Site, forbidden_site: Site) -> None:
    """Each destination the gateway refuses is refused here as well: by a reset, or because it is the session itself."""
    before, allowed = forbidden_site.total(), site.total()
    hosts = [forbidden_site.host if host == "host_address" else host.strip("[]") for host in REFUSED]
    got = inside(kernel, headless.session_id, f"{{host: outcome(lambda: get(host, {forbidden_site.port})) for host in {hosts!r}}}")
    fitting = {"ECONNRESET", "ECONNREFUSED", "ENETUNREACH", "EADDRNOTAVAIL", "EHOSTUNREACH", "EINVAL", "EACCES", "NONAME", "AGAIN", "EPERM"}
    assert set(got.values()) <= fitting, got
    for host in ("10.1.2.3", "172.16.0.1", "169.254.169.254", "100.64.0.1", "198.18.0.1", "198.18.77.7", forbidden_site.host):
        assert got.get(host, "ECONNRESET") == "ECONNRESET", (host, got)
    # Nor by another port of an allowed host, nor for mail.
    assert inside(kernel, headless.session_id, f"[outcome(lambda: get(*at)) for at in [({site.host!r}, {site.port - 1}), ('93.184.216.34', 25), ('93.184.216.34', 587)]]") == ["ECONNRESET"] * 3
    assert (forbidden_site.total(), site.total()) == (before, allowed)


@AS_ROOT
def test_nothing_leaves_but_tcp_and_names(kernel: Kernel, headless: Any, site: Site, as_root: bool) -> None:
    got = inside(kernel, headless.session_id, f"""{{
        'udp': [outcome(lambda: (socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', at), 'sent')[1])
                for at in [('8.8.8.8', 443), ({site.host!r}, 9), ('224.0.0.1', 5353), ('198.18.0.1', 123), ('198.18.255.255', 9)]],
        'six': [outcome(lambda: socket.socket(socket.AF_INET6, kind).connect((at, 443))) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM) for at in ('2606:4700::1111', 'fe80::1')],
        'raw': [outcome(lambda: (socket.socket(*kind), 'made')[1]) for kind in [(socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_PACKET, socket.SOCK_RAW), (socket.AF_NETLINK, socket.SOCK_RAW, 12)]],
    }}""", as_root=as_root)
    assert set(got["udp"]) <= {"EPERM", "EACCES", "ECONNREFUSED"}, got
    assert set(got["six"]) <= {"ENETUNREACH", "EINVAL", "EADDRNOTAVAIL"}, got
    assert "made" not in got["raw"], got


@pytest.fixture(scope="module")
def named(site: Site, forbidden_site: Site) -> Iterator[tuple[Server, Kernel, Any]]:
    """A server that knows names, and a session of it."""
    hosts = {"allowed.example": site.host, "xn--bcher-kva.example": site.host, "ours.example": forbidden_site.host, "private.example": "10.9.8.7", "metadata.example": "169.254.169.254"}
    with serving(private_hosts=[site.authority], hosts=hosts) as server, sessions.client(server.base_url, KEY) as kernel:
        yield server, kernel, sessions.create(kernel)


def test_names_lead_where_the_gateway_allows(named: tuple[Server, Kernel, Any], site: Site, forbidden_site: Site) -> None:
    _, kernel, browser = named
    before = forbidden_site.total()
    got = inside(kernel, browser.session_id, f"""{{
        'allowed': [outcome(lambda: get(name, {site.port})) for name in ('allowed.example', 'ALLOWED.example', 'xn--bcher-kva.example')],
        'others': [outcome(lambda: get(name, {forbidden_site.port})) for name in ('ours.example', 'private.example', 'metadata.example')],
        'address': outcome(lambda: socket.gethostbyname('allowed.example')),
        'again': outcome(lambda: socket.gethostbyname('allowed.example')),
        'a': ask('allowed.example', 1), 'elsewhere': ask('allowed.example', 1, '8.8.8.8'),
        'aaaa': ask('allowed.example', 28), 'https': ask('allowed.example', 65), 'mx': ask('allowed.example', 15),
        'odd': [ask(name, 1)[0] for name in ('127.1', 'a%2eb', 'a b', '-'.join('x' * 9))],
        'back': socket.gethostbyaddr(socket.gethostbyname('allowed.example'))[0],
    }}""")
    assert got["allowed"] == [200, 200, 200] and got["others"] == ["ECONNRESET"] * 3, got
    assert got["address"] == got["again"] and got["address"].startswith("198.18."), got
    packed = bytes(map(int, got["address"].split("."))).hex()
    assert got["a"] == got["elsewhere"] == [0, 1, packed], got
    assert (got["aaaa"], got["https"], got["mx"]) == ([0, 0, ""], [0, 0, ""], [4, 0, ""]), got
    assert 0 not in got["odd"], got
    assert got["back"] == "allowed.example", got
    assert forbidden_site.total() == before


def test_no_question_ends_the_answers(kernel: Kernel, headless: Any) -> None:
    """Whatever is sent as a question, the next one is answered."""
    got = inside(kernel, headless.session_id, """[
        [s := socket.socket(socket.AF_INET, socket.SOCK_DGRAM), s.connect(('198.18.0.1', 53))] and
        [s.send(os.urandom(n)) for n in range(200)] +
        [s.send(struct.pack('!6H', 1, flags, counts, counts, counts, counts) + tail) for flags in (0, 0x100, 0x8180, 0x2800) for counts in (0, 1, 65535) for tail in (b'', b'\\xc0\\x0c', b'\\xc0\\x0c' * 9, b'\\x3f' + b'a' * 500)]
        and s.close(), ask('a.localhost', 1)][1]""")
    assert got == [0, 1, "7f000001"]


def test_proxies_are_gone_through(site: Site) -> None:
    """That of the session by every program; that of one browser context by Chromium, which dials it itself."""
    upstream, other = Upstream(site, "http"), Upstream(site, "http")
    try:
        allowed = [f"{site.host}:{proxy.port}" for proxy in (upstream, other)]
        with serving(private_hosts=allowed) as server, sessions.client(server.base_url, KEY) as kernel:
            proxy = kernel.proxies.create(type="custom", name="p", protocol="http", config=upstream.config)
            browser = sessions.create(kernel, proxy_id=proxy.id)
            # No host has these names; the proxies look them up.
            assert inside(kernel, browser.session_id, "outcome(lambda: get('by-any-program.test', 8081))") == 200
            assert (upstream.seen("by-any-program.test:8081"), other.seen("")) == (1, 0)
            ran = kernel.browsers.playwright.execute(browser.session_id, code=f"""
                const apart = await browser.newContext({{proxy: {{server: 'http://{site.host}:{other.port}', username: '{USER}', password: '{PASSWORD}'}}}});
                const tab = await apart.newPage();
                await tab.goto('http://by-a-context.test/title/of-its-own');
                const title = await tab.title();
                await apart.close();
                return title;""")
            assert ran.result == "of-its-own", ran
            assert (other.seen("by-a-context.test") > 0, upstream.seen("by-a-context.test")) == (True, 0)
            # Without it nothing leaves, whoever asks.
            kernel.proxies.delete(proxy.id)
            assert inside(kernel, browser.session_id, "outcome(lambda: get('by-any-program.test', 8081))") == "ECONNRESET"
    finally:
        upstream.close()
        other.close()


def test_connections_are_counted_with_all_others(site: Site) -> None:
    """Those that are too many are reset, the others are left alone, and when they end another may come."""
    with socket.create_server((site.host, 0), backlog=512) as silent:
        allowed = [site.authority, f"{site.host}:{silent.getsockname()[1]}"]
        with serving(private_hosts=allowed) as server, sessions.client(server.base_url, KEY) as kernel:
            reset = inside(kernel, sessions.create(kernel).session_id, f"flood(({site.host!r}, {silent.getsockname()[1]}), {site.host!r}, {site.port})")
    # Chromium may have some of its own.
    assert 300 - 256 <= reset <= 300 - 256 + 16, reset
