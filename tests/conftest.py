"""Fixtures: one server a worker, and sessions shared by the suites that leave no mark on them."""
from __future__ import annotations

import os
import pathlib
import tempfile
from typing import Any, Callable, Iterator

import httpx
import pytest
from kernel import Kernel

from harness import sessions
from harness.cdp import Cdp
from harness.http import NO_AUTHORITIES
from harness.processes import Processes
from harness.server import KEY, Server, serving
from harness.site import Site

ONE_UID = "a server of an ordinary user has one uid inside, so nothing runs as another"
NOT_PID_1 = "in a session of an ordinary user the guest shares its uid, and killing it ends the session"
NO_LIMITS = "an ordinary user can limit a session only where a cgroup was delegated to it"
# What only a server of root can show, by name; beside these, whatever asks for `as_root`.
NEEDS_ROOT = {
    "test_users": ONE_UID,
    "test_sockets": ONE_UID,
    "test_users_are_added_as_on_any_debian": ONE_UID,
    "test_a_package_that_adds_a_user_installs": ONE_UID,
    "test_the_hosts_sockets_are_out_of_reach": ONE_UID,
    "test_uids_outside_are_nobodys": ONE_UID,
    "test_root_inside_is_root_of_nothing_outside": ONE_UID,
    "test_setuid_gains_nothing": ONE_UID,
    "test_exec_with_every_flag": ONE_UID,
    "test_a_fork_bomb_is_contained": NO_LIMITS,
    "test_a_limit_of_cpu_holds": NO_LIMITS,
    "test_memory_limit_holds": NO_LIMITS,
    "test_a_session_out_of_memory_says_so": NO_LIMITS,
    "test_a_session_uses_up_nothing_of_others": "sessions of an ordinary user have a share each of what he may have; test_rootless has them",
    "test_no_inode_is_shared": "an ordinary user can make no devices; test_rootless has the rest",
    "test_locks_reach_nobody_else": "an ordinary user can make no devices; test_rootless has the rest",
    "test_pid_1_is_left_alone": "PID 1 and what is beside it are of one user; test_rootless has that",
    "test_the_host_is_not_told": "the root is a folder of the host, and where that is can be read",
    "test_the_guest_is_out_of_reach": NOT_PID_1,
    "test_its_user_cannot_stop_the_guest": NOT_PID_1,
    "test_a_recording_goes_on_until_it_is_saved": ONE_UID,
    "test_names_lead_where_the_gateway_allows": "it gives the server an /etc/hosts of its own",
    "test_names_of_private_addresses_are_refused": "it gives the server an /etc/hosts of its own",
}

# What must have the machine to itself, by name: it takes all there is of something, or counts what others have too.
ALONE_SUITES = {"test_admission", "test_disk"}
ALONE = {
    "test_a_limit_of_cpu_holds",
    "test_a_fork_bomb_is_contained",
    "test_a_fork_bomb_ends_nothing_and_can_be_ended",
    "test_memory_limit_holds",
    "test_a_session_out_of_memory_says_so",
}
# Suites in the order in which workers take them: the longest first, so that no worker is left with one at the end.
LONGEST_FIRST = ["test_schema", "test_replays", "test_pool", "test_node"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "alone: has the machine to itself; tests/run runs it after all others")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what runs alone, and brings the longest suites to the front.

    As an ordinary user the server under test is rootless, and some walls are not there to be tested.
    """
    ranks = {name: rank for rank, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))
    for item in items:
        if item.path.stem in ALONE_SUITES or item.name.split("[")[0] in ALONE:
            item.add_marker(pytest.mark.alone)
    if os.geteuid() == 0:
        return
    for item in items:
        name = item.name.split("[")[0]
        if name in NEEDS_ROOT:
            item.add_marker(pytest.mark.skip(reason=f"needs root: {NEEDS_ROOT[name]}"))
        elif getattr(item, "callspec", None) and item.callspec.params.get("as_root") is True:
            item.add_marker(pytest.mark.skip(reason=f"needs root: {ONE_UID}"))


@pytest.fixture
def folder() -> Iterator[pathlib.Path]:
    """A folder with a short path, because the sockets of sessions lie below it."""
    with tempfile.TemporaryDirectory(prefix="browserd-test-") as name:
        yield pathlib.Path(name)


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
    """The server under test, one a worker. When the run is over, nothing of it may be left."""
    with serving(private_hosts=[site.authority], extra_env={"BROWSERD_POOL": "headless=1,headful=1"}) as server:
        yield server


@pytest.fixture(scope="session")
def kernel(server: Server) -> Iterator[Kernel]:
    """The official Python client, strict."""
    with sessions.client(server.base_url, KEY) as client:
        yield client


@pytest.fixture(scope="session")
def wire(server: Server) -> Iterator[httpx.Client]:
    """Plain HTTP with the key, for what an SDK would hide."""
    with httpx.Client(base_url=server.base_url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60, verify=NO_AUTHORITIES) as client:
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


@pytest.fixture
def processes(wire: httpx.Client, headless: Any) -> Processes:
    """The processes of the shared headless session."""
    return Processes(wire, headless.session_id)


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
