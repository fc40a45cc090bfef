"""Fixtures: one server for the whole run, and sessions shared by the suites that leave no mark on them."""
from __future__ import annotations

from typing import Any, Callable, Iterator

import httpx
import pytest
from kernel import Kernel

from harness import sessions
from harness.cdp import Cdp
from harness.server import KEY, Server
from harness.site import Site


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """A web site on this host that sessions may reach."""
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope="session")
def forbidden_site() -> Iterator[Site]:
    """A web site on every address of this host, loopback included, that sessions must not reach."""
    site = Site(everywhere=True)
    yield site
    site.close()


@pytest.fixture(scope="session")
def server(site: Site) -> Iterator[Server]:
    """The server under test. When the run is over, nothing of it may be left."""
    server = Server(private_hosts=[site.authority])
    try:
        yield server
        server.stop_and_count()
    finally:
        server.stop()
        server.discard()


@pytest.fixture(scope="session")
def kernel(server: Server) -> Iterator[Kernel]:
    """The official Python client, strict."""
    with sessions.client(server.base_url, KEY) as client:
        yield client


@pytest.fixture(scope="session")
def wire(server: Server) -> Iterator[httpx.Client]:
    """Plain HTTP with the key, for what an SDK would hide."""
    with httpx.Client(base_url=server.base_url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as client:
        yield client


@pytest.fixture
def make(kernel: Kernel) -> Iterator[Callable[..., Any]]:
    """Creates sessions that end with the test."""
    made: list[str] = []

    def make(**settings: Any) -> Any:
        browser = sessions.create(kernel, **settings)
        made.append(browser.session_id)
        return browser

    yield make
    for session_id in made:
        kernel.browsers.delete_by_id(session_id)


@pytest.fixture(scope="session")
def headless(kernel: Kernel) -> Any:
    """A headless session that suites share and leave as they found it."""
    return sessions.create(kernel, headless=True, name="shared-headless", memory="4GiB")


@pytest.fixture(scope="session")
def neighbour(kernel: Kernel) -> Any:
    """Another headless session, for what two must not share."""
    return sessions.create(kernel, headless=True, name="shared-neighbour")


@pytest.fixture(scope="session")
def headful(kernel: Kernel) -> Any:
    """A headful session."""
    return sessions.create(kernel, headless=False, name="shared-headful", viewport={"width": 1280, "height": 800})


@pytest.fixture
def cdp(headless: Any) -> Iterator[Cdp]:
    """A raw CDP connection to the shared headless session."""
    with Cdp(headless.cdp_ws_url) as connection:
        yield connection
