"""Upstream proxies: the resource, sessions that go through one, and changing it while they run."""
from __future__ import annotations

import concurrent.futures
import json
from typing import Any, Callable, Iterator

import pytest
from kernel import Kernel

from harness import sessions
from harness.cdp import Cdp, Page, first_page, new_page
from harness.deadline import eventually
from harness.server import KEY, Server, serving
from harness.sessions import refused
from harness.site import Site
from harness.upstream import PASSWORD, USER, Upstream, certificate

PROTOCOLS = ("http", "https", "socks5")


@pytest.fixture(scope="module")
def upstreams(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Upstream]]:
    """A proxy of each kind."""
    pem = certificate(tmp_path_factory.mktemp("proxy"), site.host)
    made = {protocol: Upstream(site, protocol, pem) for protocol in PROTOCOLS}
    made["second"] = Upstream(site, "http")
    made["pem"] = pem  # type: ignore[assignment]
    yield made
    for protocol in (*PROTOCOLS, "second"):
        made[protocol].close()


@pytest.fixture(scope="module")
def server(site: Site, upstreams: dict[str, Any]) -> Iterator[Server]:
    """A server that may reach the proxies, and trusts the one with a certificate."""
    ports = [upstreams[name].port for name in (*PROTOCOLS, "second")]
    hosts = [site.authority, *(f"{site.host}:{port}" for port in ports)]
    settings = {
        "SSL_CERT_FILE": str(upstreams["pem"]),
        "BROWSERD_PROXY_CHECK_URL": "https://checked.test/",
        "BROWSERD_POOL": "headless=1",
    }
    with serving(private_hosts=hosts, extra_env=settings) as server:
        yield server


@pytest.fixture(scope="module")
def kernel(server: Server) -> Iterator[Kernel]:
    with sessions.client(server.base_url, KEY) as client:
        yield client


@pytest.fixture(scope="module")
def lax(server: Server) -> Iterator[Kernel]:
    """The official client as it is used: its types know http and https only, and it reads socks5 all the same."""
    with sessions.client(server.base_url, KEY, _strict_response_validation=False) as client:
        yield client


@pytest.fixture(scope="module")
def proxies(kernel: Kernel, lax: Kernel, upstreams: dict[str, Any]) -> dict[str, Any]:
    """The same as the API has them."""
    return {
        name: (lax if name == "socks5" else kernel).proxies.create(
            type="custom", name=name, protocol=upstreams[name].protocol, config=upstreams[name].config)
        for name in (*PROTOCOLS, "second")
    }


def fetched(page: Page, url: str) -> str | None:
    """What a page is answered at a URL: the path the site saw, or nothing."""
    script = f"fetch({json.dumps(url)}, {{mode: 'no-cors'}}).then(r => 'answered', () => null)"
    return page.evaluate(script)


def arrives(cdp: Cdp, url: str) -> Page:
    """A new page at a URL of the site."""
    page = new_page(cdp)
    assert page.goto(url) is None
    assert page.evaluate("document.title") == "Hello", url
    return page


def test_the_resource(kernel: Kernel) -> None:
    made = kernel.proxies.create(
        type="custom", name="Größe", protocol="http", bypass_hosts=["*.direct.test"],
        config={"host": "proxy.example", "port": 3128, "username": USER, "password": PASSWORD})
    assert made.id and made.config is not None
    assert made.type == "custom" and made.protocol == "http" and made.bypass_hosts == ["*.direct.test"]
    shown = made.to_dict()
    assert shown["config"] == {"host": "proxy.example", "port": 3128, "username": USER, "has_password": True, "has_ca_bundle": False}
    assert PASSWORD not in made.to_json()
    try:
        for key in (made.id, "Größe", "GRÖSSE".replace("SS", "ß")):
            assert kernel.proxies.retrieve(key).id == made.id
        assert [one.id for one in kernel.proxies.list(query="PROXY.exam")] == [made.id]
        assert [one.id for one in kernel.proxies.list(name="größe")] == [made.id]
        assert made.id in [one.id for one in kernel.proxies.list(limit=1)]
        renamed = kernel.proxies.update("Größe", name="small")
        assert (renamed.id, renamed.name) == (made.id, "small")
        refused("proxy_not_found", lambda: kernel.proxies.retrieve("Größe"))
        twin = kernel.proxies.create(type="custom", name="small", config={"host": "192.0.2.1", "port": 8080})
        assert twin.protocol == "https"
        refused("ambiguous_proxy_name", lambda: kernel.proxies.retrieve("small"))
        refused("ambiguous_proxy_name", lambda: kernel.browsers.create(proxy={"name": "small"}))
        kernel.proxies.delete(twin.id)
        assert kernel.proxies.retrieve("small").id == made.id
    finally:
        kernel.proxies.delete(made.id)
    for call in (kernel.proxies.retrieve, kernel.proxies.delete, kernel.proxies.check):
        refused("proxy_not_found", lambda: call(made.id))


@pytest.mark.parametrize(("body", "fields"), [
    ({"type": "residential", "config": {"country": "US"}}, ["type"]),
    ({"type": "custom"}, ["config"]),
    ({"type": "custom", "config": {"host": "a b", "port": 1}}, ["config.host"]),
    ({"type": "custom", "config": {"host": "a.example", "port": 70000}}, ["config.port", "config.port"]),
    ({"type": "custom", "config": {"host": "a.example", "port": 1, "password": "x"}}, ["config.password"]),
    ({"type": "custom", "config": {"host": "a.example", "port": 1, "ca_bundle": "x"}}, ["config.ca_bundle"]),
    ({"type": "custom", "bypass_hosts": ["10.0.0.1"], "config": {"host": "a.example", "port": 1}}, ["bypass_hosts"]),
])
def test_what_it_cannot_be_is_named(kernel: Kernel, body: dict[str, Any], fields: list[str]) -> None:
    answer = refused("invalid_input", lambda: kernel.proxies.create(**body))
    assert [detail["code"] for detail in answer["details"]] == fields
    assert not list(kernel.proxies.list(query="a.example"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_session_goes_through_it_from_its_first_page_on(
    kernel: Kernel, make: Callable[..., Any], proxies: dict[str, Any], upstreams: dict[str, Any], site: Site, protocol: str
) -> None:
    name = f"{protocol}.test"
    session = make(proxy={"id": proxies[protocol].id}, start_url=f"http://start.{name}/hello")
    assert (session.proxy.id, session.proxy_id) == (proxies[protocol].id, proxies[protocol].id)
    upstream = upstreams[protocol]
    eventually(lambda: upstream.seen(f"start.{name}") > 0, "the start page is asked for through the proxy")
    with Cdp(session.cdp_ws_url) as cdp:
        # A name nobody here knows: only the proxy can have found it.
        arrives(cdp, f"http://page.{name}/hello")
        page = arrives(cdp, f"http://other.{name}/hello")
        assert fetched(page, f"https://tls.{name}/") is None, "the site speaks no TLS"
    assert upstream.seen(f"page.{name}") > 0 and upstream.seen(f"tls.{name}:443") > 0
    ran = sessions.sh(kernel, session.session_id, f"curl -sS http://process.{name}/echo")
    echo = json.loads(ran.out)
    assert echo["headers"]["host"] == f"process.{name}" and "proxy-authorization" not in echo["headers"]
    assert upstream.seen(f"process.{name}") > 0
    # What is listed by its address is reached as ever.
    ran = sessions.sh(kernel, session.session_id, f"curl -sS {site.url('/echo')}")
    assert json.loads(ran.out)["path"] == "/echo" and upstream.seen(site.host) == 0
    # And what is private and not listed is not, by any way.
    for host in ("127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254"):
        ran = sessions.sh(kernel, session.session_id, f"curl -sS --noproxy '' http://{host}/")
        assert json.loads(ran.out)["code"] == "destination_blocked", ran
        assert upstream.seen(host) == 0
    # Nothing inside knows how to get through it.
    found = sessions.sh(
        kernel, session.session_id,
        f"grep -rl '[{PASSWORD[0]}]{PASSWORD[1:]}' /proc/[0-9]*/environ /proc/[0-9]*/cmdline /etc /home /run /var/lib /var/log 2>/dev/null | head", as_root=False)
    assert found.out == "", found


def test_it_changes_while_a_client_is_connected(
    kernel: Kernel, make: Callable[..., Any], proxies: dict[str, Any], upstreams: dict[str, Any], site: Site
) -> None:
    session = make()
    assert session.proxy.mode == "direct" and session.proxy_id is None
    with Cdp(session.cdp_ws_url) as cdp:
        page = first_page(cdp)
        assert page.goto(site.url("/hello")) is None
        page.evaluate("window.kept = 1")
        for choice, name in (
            ({"proxy": {"id": proxies["http"].id}}, "http"),
            ({"proxy": {"name": "second"}}, "second"),
            ({"proxy_id": proxies["socks5"].id}, "socks5"),
            ({"proxy": {"id": proxies["https"].id}}, "https"),
        ):
            changed = kernel.browsers.update(session.session_id, **choice)
            assert changed.proxy.id == proxies[name].id
            # The same names again: connections that went the old way are not used any more.
            arrives(cdp, "http://switch.test/hello").close()
            arrives(cdp, "http://switch.test/hello").close()
            # A page of its own, whatever those before still ask for.
            arrives(cdp, f"http://only-{name}.test/hello").close()
            for other in (*PROTOCOLS, "second"):
                assert (upstreams[other].seen(f"only-{name}.test") > 0) == (other == name), (name, other)
        assert page.evaluate("window.kept") == 1
        assert kernel.browsers.retrieve(session.session_id).proxy_id == proxies["https"].id
        assert session.session_id in [one.session_id for one in kernel.browsers.list(query=proxies["https"].id)]
        for choice in ({"proxy": {"mode": "direct"}}, {"proxy_id": ""}, {"proxy": {"mode": "default"}}):
            kernel.browsers.update(session.session_id, proxy={"id": proxies["http"].id})
            changed = kernel.browsers.update(session.session_id, **choice)
            assert changed.proxy.mode == "direct" and changed.proxy_id is None
            other = new_page(cdp)
            other.goto("http://switch.test/hello")
            assert other.evaluate("JSON.parse(document.body.innerText).code") == "upstream_dns_failure", "nobody here knows the name"
            other.close()
        assert page.goto(site.url("/hello")) is None


def test_a_suspended_session_takes_another_route(
    kernel: Kernel, make: Callable[..., Any], proxies: dict[str, Any], upstreams: dict[str, Any]
) -> None:
    """The gateway, which is outside the session, changes its route while the session is frozen."""
    session = make(proxy={"id": proxies["http"].id})
    kernel.browsers.update(session.session_id, proxy={"id": proxies["second"].id})
    with Cdp(session.cdp_ws_url) as cdp:
        arrives(cdp, "http://standby.test/hello")
    assert (upstreams["http"].seen("standby.test"), upstreams["second"].seen("standby.test") > 0) == (0, True)


def test_changes_at_once_end_where_the_session_says(
    kernel: Kernel, make: Callable[..., Any], proxies: dict[str, Any], upstreams: dict[str, Any]
) -> None:
    """Whichever of eight changes is the last: where the session says it goes out is where it does."""
    session = make()
    choices = [{"proxy": {"id": proxies["http"].id}}, {"proxy": {"id": proxies["second"].id}}, {"proxy": {"mode": "direct"}}]
    names = {proxies["http"].id: "http", proxies["second"].id: "second", None: None}
    wrong = []
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for storm in range(25):
            changes = [pool.submit(kernel.browsers.update, session.session_id, **choices[n % 3]) for n in range(8)]
            answers = [change.result().proxy for change in changes]
            # Each is answered with what it made of the session.
            assert [answer.id for answer in answers] == [choice["proxy"].get("id") for choice in (choices[n % 3] for n in range(8))]
            said = names[kernel.browsers.retrieve(session.session_id).proxy_id]
            host = f"storm-{storm}.test"
            sessions.sh(kernel, session.session_id, f"curl -sS http://{host}/echo")
            went = [name for name in ("http", "second") if upstreams[name].seen(host)]
            if went != ([said] if said else []):
                wrong.append((storm, said, went))
    assert not wrong, f"where the session was said to go out and where it did, in {len(wrong)} of 25 storms: {wrong}"


def test_a_proxy_deleted_in_a_storm_is_not_gone_through(kernel: Kernel, make: Callable[..., Any], upstreams: dict[str, Any]) -> None:
    """A session that takes the proxy at that moment is refused, or has it and reaches nothing."""
    session = make()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for storm in range(5):
            made = kernel.proxies.create(type="custom", protocol="http", config=upstreams["http"].config)
            assert made.id
            wanted = {"proxy": {"id": made.id}}
            changes = [pool.submit(kernel.browsers.update, session.session_id, **wanted) for _ in range(4)]
            deleted = pool.submit(kernel.proxies.delete, made.id)
            changes += [pool.submit(kernel.browsers.update, session.session_id, **wanted) for _ in range(3)]
            deleted.result()
            host = f"deleted-{storm}.test"
            sessions.sh(kernel, session.session_id, f"curl -sS http://{host}/echo")
            assert not upstreams["http"].seen(host)
            for change in changes:
                if error := change.exception():
                    assert getattr(error, "body", {}).get("code") == "proxy_not_found", error
            kernel.browsers.update(session.session_id, proxy={"mode": "direct"})


def test_without_its_proxy_nothing_leaves(kernel: Kernel, make: Callable[..., Any], upstreams: dict[str, Any], site: Site) -> None:
    made = kernel.proxies.create(type="custom", protocol="http", config=upstreams["http"].config)
    assert made.id
    session, other = make(proxy={"id": made.id}), make()
    with Cdp(session.cdp_ws_url) as cdp:
        arrives(cdp, "http://closing.test/hello")
        kernel.proxies.delete(made.id)
        seen = site.seen("/hello")
        page = new_page(cdp)
        for url in ("http://closing.test/hello", site.url("/hello"), "https://closing.test/"):
            page.goto(url)
            assert page.evaluate("document.title") != "Hello"
        assert site.seen("/hello") == seen
        said = sessions.sh(kernel, session.session_id, "curl -sS http://closing.test/")
        assert json.loads(said.out)["code"] == "proxy_unavailable"
        # It is still said to be its proxy, and another egress route is there to be had.
        assert kernel.browsers.retrieve(session.session_id).proxy_id == made.id
        refused("proxy_not_found", lambda: kernel.browsers.update(session.session_id, proxy={"id": made.id}))
        kernel.browsers.update(session.session_id, proxy={"mode": "direct"})
        assert page.goto(site.url("/hello")) is None
    ran = sessions.sh(kernel, other.session_id, f"curl -sS {site.url('/echo')}")
    assert json.loads(ran.out)["path"] == "/echo", "another session keeps its route"


def test_what_cannot_be_is_refused_and_changes_nothing(
    kernel: Kernel, make: Callable[..., Any], proxies: dict[str, Any], upstreams: dict[str, Any]
) -> None:
    session = make(proxy={"id": proxies["http"].id})
    nobody = "a" * 24
    for choice, code in (
        ({"proxy": {"id": nobody}}, "proxy_not_found"),
        ({"proxy_id": nobody}, "proxy_not_found"),
        ({"proxy": {"name": "nobody"}}, "proxy_not_found"),
        ({"proxy": {}}, "invalid_input"),
        ({"proxy": {"id": proxies["http"].id, "mode": "direct"}}, "invalid_input"),
        ({"proxy": {"id": proxies["http"].id}, "proxy_id": proxies["http"].id}, "invalid_input"),
        ({"proxy": {"mode": "stealth"}}, "invalid_input"),
    ):
        refused(code, lambda: kernel.browsers.create(headless=True, **choice))
        refused(code, lambda: kernel.browsers.update(session.session_id, name="renamed", **choice))
    shown = kernel.browsers.retrieve(session.session_id)
    assert (shown.proxy_id, shown.name) == (proxies["http"].id, None)
    with Cdp(session.cdp_ws_url) as cdp:
        arrives(cdp, "http://unchanged.test/hello")
    assert upstreams["http"].seen("unchanged.test") > 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_check_goes_through_it(lax: Kernel, proxies: dict[str, Any], upstreams: dict[str, Any], protocol: str) -> None:
    proxy_id = proxies[protocol].id
    assert lax.proxies.retrieve(proxy_id).status is None
    checked = lax.proxies.check(proxy_id)
    assert checked.status == "available" and checked.last_checked is not None
    assert upstreams[protocol].seen("checked.test:443") == 1
    assert lax.proxies.retrieve(proxy_id).status == "available"
    # With a URL it says something of the site, and is not kept.
    assert lax.proxies.check(proxy_id, url="http://site.test/hello").status == "available"
    assert lax.proxies.check(proxy_id, url="http://site.test/").status == "available", "any answer is one"
    assert upstreams[protocol].seen("site.test") == 2
    for url in ("ftp://site.test/", "nonsense", "http://127.0.0.1/", "http://localhost/", "http://10.0.0.1/"):
        refused("invalid_input", lambda: lax.proxies.check(proxy_id, url=url))
    assert lax.proxies.retrieve(proxy_id).last_checked == checked.last_checked


def test_a_check_says_what_is_wrong(kernel: Kernel, upstreams: dict[str, Any], site: Site) -> None:
    at = upstreams["http"].config
    for protocol, config, words in (
        ("http", {**at, "password": "wrong-password"}, "credentials"),
        ("http", {**at, "port": 9}, "not at a public address"),
        ("https", {**at, "port": site.port}, "certificate"),
        ("http", {**at, "host": "nobody.invalid"}, "does not answer"),
    ):
        made = kernel.proxies.create(type="custom", protocol=protocol, config=config)
        assert made.id
        try:
            checked = kernel.proxies.check(made.id)
            assert checked.status == "unavailable"
            assert words in checked.to_dict()["unavailable_because"], checked
            kept = kernel.proxies.retrieve(made.id)
            assert kept.status == "unavailable" and "unavailable_because" not in kept.to_dict()
        finally:
            kernel.proxies.delete(made.id)
