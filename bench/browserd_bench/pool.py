"""Sessions that wait ready: creation one at a time and in waves, and what a session that stood by costs its first client."""
from __future__ import annotations

import os
import pathlib
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Callable, Iterator

from harness.server import Server

from . import inside, lifecycle
from .context import Context
from .http1 import Connection
from .memory import settle
from .table import Row, percentile
from .ws import Socket

READY = 16
_pause = threading.Event()


@contextmanager
def own_server(context: Context, **settings: str) -> Iterator[Context]:
    """A server of a benchmark's own, with these settings, whose quiet sessions are suspended after a second."""
    server = Server(
        private_hosts=[context.site.authority],
        extra_env={"BROWSERD_MAX_SESSIONS": "64", "BROWSERD_LOG": "warn", "BROWSERD_STANDBY_SECONDS": "1", **settings},
    )
    try:
        yield Context(server, context.site, context.table, context.quick)
    finally:
        server.stop()
        server.discard()


def figure(connection: Connection, name: str) -> float:
    text = connection.round_trip(connection.request("GET", "/metrics"))[1].decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
    return float(found.group(1)) if found else 0.0


def filled(connection: Connection, size: int, settled: int = 1) -> None:
    """Waits until the pool is full, and so many of its sessions have settled; those are had first.

    The next one is awake, and settled when any other is frozen.
    """
    asleep = min(settled, size - 1)
    while figure(connection, 'browserd_pool_ready{kind="headless"}') < size or figure(connection, 'browserd_pool_frozen{kind="headless"}') < asleep:
        _pause.wait(0.02)


def hot(context: Context, browser: dict[str, Any]) -> None:
    flags = lifecycle.same_flags(browser["session_id"])
    with own_server(context, BROWSERD_POOL=f"headless={READY}") as context:
        connection = context.connection()

        def one() -> tuple[float, float]:
            filled(connection, READY)
            start = time.perf_counter()
            made = context.create(connection)
            created = (time.perf_counter() - start) * 1000
            client = Socket.open(made["cdp_ws_url"])
            lifecycle.first_page_answers(client)
            usable = (time.perf_counter() - start) * 1000
            client.close()
            context.delete(connection, made["session_id"])
            context.gone([made["session_id"]])
            return created, usable

        one()
        rounds = [(one(), lifecycle.by_hand(flags)) for _ in range(context.rounds(100))]
        created, usable, base = [made for (made, _), _ in rounds], [use for (_, use), _ in rounds], [hand for _, hand in rounds]
        hand = "the same Chromium started by hand"
        met = percentile(created, 0.5) <= 10 and percentile(created, 0.99) <= 30
        context.table.add(Row("hot create, one at a time", "ms", created, goal="p50 ≤ 10, p99 ≤ 30 ms", met=met))
        context.table.add(Row("hot create until the first page answers over CDP", "ms", usable, base, hand))

        for size in (4, READY):
            waves: list[float] = []

            def timed(_: int) -> tuple[float, str]:
                own = context.connection()
                start = time.perf_counter()
                made = context.create(own)
                took = (time.perf_counter() - start) * 1000
                own.close()
                return took, made["session_id"]

            with ThreadPoolExecutor(size) as threads:
                for _ in range(context.rounds(30)):
                    filled(connection, READY, size)
                    results = list(threads.map(timed, range(size)))
                    waves += [took for took, _ in results]
                    for _, session in results:
                        context.delete(connection, session)
                    context.gone([session for _, session in results])
            goal = "p99 ≤ 100 ms" if size == READY else ""
            context.table.add(Row(f"hot create, {size} at once", "ms", waves, goal=goal, met=percentile(waves, 0.99) <= 100 if goal else None))

        as_asked(context, connection)
        with_profile(context, connection)
        thaws(context, connection, flags)
        connection.close()


def creations(context: Context, connection: Connection, **asked: Any) -> list[float]:
    """Milliseconds a creation takes with these fields, one at a time, out of a full pool."""
    taken: list[float] = []
    for _ in range(context.rounds(30)):
        filled(connection, READY)
        start = time.perf_counter()
        made = context.create(connection, **asked)
        taken.append((time.perf_counter() - start) * 1000)
        if made["kiosk_mode"] != asked.get("kiosk_mode", False):
            raise RuntimeError(made)
        context.delete(connection, made["session_id"])
        context.gone([made["session_id"]])
    return taken


def as_asked(context: Context, connection: Connection) -> None:
    """Creation with another window size, kiosk mode and a start page, all applied to a browser that runs."""
    taken = creations(context, connection, viewport={"width": 1024, "height": 768}, kiosk_mode=True, start_url=context.site.url("/hello"))
    met = percentile(taken, 0.5) <= 50
    context.table.add(Row("hot create with another window size, kiosk mode and a start page", "ms", taken, goal="≤ 50 ms", met=met))


def with_profile(context: Context, connection: Connection) -> None:
    """Creation with a profile: cookies and storage of one site."""
    profile = connection.json("POST", "/profiles", {})["id"]
    made = context.create(connection, profile={"id": profile, "save_changes": True}, start_url=context.site.url("/hello"))
    client = Socket.open(made["cdp_ws_url"])
    attached = lifecycle.first_page(client)
    marks = "location.pathname === '/hello' && (localStorage.kept = document.cookie = 'kept=1; max-age=3600')"
    while not client.call("Runtime.evaluate", {"expression": marks}, attached)["result"].get("value"):
        _pause.wait(0.01)
    client.close()
    context.delete(connection, made["session_id"])
    taken = creations(context, connection, profile={"id": profile})
    context.table.add(Row("hot create with a profile", "ms", taken))
    connection.json("DELETE", f"/profiles/{profile}")


def at_once(count: int, one: Callable[[int], tuple[float, Any]]) -> tuple[list[float], list[Any]]:
    """Runs something so many times at once; answers what each took and made."""
    with ThreadPoolExecutor(count) as threads:
        results = list(threads.map(one, range(count)))
    return [took for took, _ in results], [made for _, made in results]


def waves(context: Context, browser: dict[str, Any]) -> None:
    """Creations at once with nothing ready, and with fewer ready than are asked for, beside as many Chromiums by hand."""
    flags = lifecycle.same_flags(browser["session_id"])

    def by_hand(_: int) -> tuple[float, lifecycle.ByHand]:
        start = time.perf_counter()
        chromium = lifecycle.ByHand(flags)
        client = chromium.connect()
        lifecycle.first_page_answers(client)
        took = (time.perf_counter() - start) * 1000
        client.close()
        return took, chromium

    for kind, pool, ready in (("cold", "off", 0), ("drained", "headless=4", 4)):
        with own_server(context, BROWSERD_POOL=pool) as own:
            connection = own.connection()

            def created(_: int) -> tuple[float, str]:
                mine = own.connection()
                start = time.perf_counter()
                made = own.create(mine)
                client = Socket.open(made["cdp_ws_url"])
                lifecycle.first_page_answers(client)
                took = (time.perf_counter() - start) * 1000
                client.close()
                mine.close()
                return took, made["session_id"]

            for size in (4, READY):
                ours: list[float] = []
                hand: list[float] = []
                for _ in range(context.rounds(10)):
                    if ready:
                        filled(connection, ready, ready)
                    took, sessions = at_once(size, created)
                    ours += took
                    for session in sessions:
                        own.delete(connection, session)
                    own.gone(sessions)
                    took, chromiums = at_once(size, by_hand)
                    hand += took
                    for chromium in chromiums:
                        chromium.end()
                goal, met = ("≤ 1.10 ×", percentile(ours, 0.5) <= 1.1 * percentile(hand, 0.5)) if kind == "cold" else ("", None)
                context.table.add(Row(f"{kind} pool, {size} at once: create until the first page answers", "ms", ours, hand, "as many by hand at once", goal, met))
            connection.close()


class Freezable:
    """A Chromium by hand in a cgroup of its own."""

    def __init__(self, flags: list[str]) -> None:
        mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
        self.folder = pathlib.Path(next(fields[1] for fields in mounts if fields[2] == "cgroup2")) / f"bench-{os.getpid()}"
        self.folder.mkdir()
        self.chromium = lifecycle.ByHand(flags)
        lifecycle.first_page_answers(self.chromium.connect())
        # frozen before, it would do with every thaw what it puts off at its start
        settle()
        for pid in inside.led_by(self.chromium.process.pid):
            (self.folder / "cgroup.procs").write_text(str(pid))

    def freeze(self) -> None:
        (self.folder / "cgroup.freeze").write_text("1")
        while "frozen 1" not in (self.folder / "cgroup.events").read_text():
            _pause.wait(0.001)

    def thaw(self) -> None:
        (self.folder / "cgroup.freeze").write_text("0")

    def end(self) -> None:
        self.thaw()
        self.chromium.end()
        while (self.folder / "cgroup.procs").read_text():
            _pause.wait(0.01)
        self.folder.rmdir()


def thaws(context: Context, connection: Connection, flags: list[str]) -> None:
    made = context.create(connection)
    raw = Freezable(flags)
    ours, base = [], []
    for _ in range(context.rounds(30)):
        raw.freeze()
        while figure(connection, "browserd_sessions_standby") < 1:
            _pause.wait(0.02)
        start = time.perf_counter()
        client = Socket.open(made["cdp_ws_url"])
        client.call("Browser.getVersion")
        ours.append((time.perf_counter() - start) * 1000)
        client.close()
        start = time.perf_counter()
        raw.thaw()
        client = raw.chromium.connect()
        client.call("Browser.getVersion")
        base.append((time.perf_counter() - start) * 1000)
        client.close()
    raw.end()
    context.delete(connection, made["session_id"])
    met = percentile(ours, 0.5) <= percentile(base, 0.5) + 3
    context.table.add(Row("connect to a suspended session, until the first CDP answer", "ms", ours, base, "a frozen Chromium by hand", "≤ 3 ms over it", met))


def hot_drivers(context: Context, browser: dict[str, Any]) -> None:
    with own_server(context, BROWSERD_POOL=f"headless={READY}") as hot_context:
        connection = hot_context.connection()
        filled(connection, READY)
        connection.close()
        lifecycle.drivers(hot_context, browser, ready=READY)
