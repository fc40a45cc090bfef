"""Recipe 1: from nothing to a page and back, against the same Chromium started by hand."""
from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from typing import Any

from harness import leaks

from . import inside
from .context import Context
from .table import Row, percentile
from .ws import Socket

UID = 20001
_pause = threading.Event()


def same_flags(session_id: str) -> list[str]:
    """The flags of a session's Chromium, without what ties them to the session."""
    flags = inside.command_line(inside.chromium(session_id))
    tied = ("--user-data-dir", "--remote-debugging", "--proxy-server", "--proxy-bypass-list", "--crash", "--disk-cache-dir")
    return [flags[0], *(flag for flag in flags[1:] if flag.startswith("--") and not flag.startswith(tied)), "--remote-debugging-port=0"]


class ByHand:
    """A Chromium started by a program, as the session's user would: own uid, own profile, sandbox on."""

    def __init__(self, flags: list[str]) -> None:
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="bench-profile-"))
        os.chown(self.home, UID, UID)
        self.process = subprocess.Popen(
            [flags[0], f"--user-data-dir={self.home}", *flags[1:], "about:blank"],
            user=UID, group=UID, extra_groups=[], start_new_session=True,
            env={"HOME": str(self.home), "PATH": "/usr/bin:/bin", "LANG": "en_US.UTF-8"},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )

    def address(self) -> tuple[int, str]:
        """Port and path of the browser endpoint, as soon as they are known."""
        file = self.home / "DevToolsActivePort"
        while True:
            try:
                port, path = file.read_text().split("\n")
                return int(port), path
            except (OSError, ValueError):
                if self.process.poll() is not None:
                    raise RuntimeError(f"Chromium exited with {self.process.returncode}") from None
                _pause.wait(0.001)

    def connect(self) -> Socket:
        """A client of the browser endpoint, as soon as there is one."""
        port, path = self.address()
        return Socket.open(f"ws://127.0.0.1:{port}{path}")

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


def first_page(browser: Socket) -> str:
    """Attaches to the first page, as soon as there is one; answers the CDP session."""
    while True:
        pages = [info for info in browser.call("Target.getTargets")["targetInfos"] if info["type"] == "page"]
        if pages:
            break
    return browser.call("Target.attachToTarget", {"targetId": pages[0]["targetId"], "flatten": True})["sessionId"]


def first_page_answers(browser: Socket) -> None:
    """The first page evaluates: what a driver needs before it can do anything."""
    browser.call("Runtime.evaluate", {"expression": "1"}, first_page(browser))


def by_hand(flags: list[str]) -> float:
    """Milliseconds from the start of a Chromium until its first page answers."""
    start = time.perf_counter()
    chromium = ByHand(flags)
    socket_ = chromium.connect()
    first_page_answers(socket_)
    took = (time.perf_counter() - start) * 1000
    socket_.close()
    chromium.end()
    return took


def cold_create(context: Context, browser: dict[str, Any]) -> None:
    connection = context.connection()
    flags = same_flags(browser["session_id"])
    created: list[float] = []
    released: list[float] = []
    gone: list[float] = []

    def ours() -> float:
        start = time.perf_counter()
        made = context.create(connection)
        created.append((time.perf_counter() - start) * 1000)
        socket_ = Socket.open(made["cdp_ws_url"])
        first_page_answers(socket_)
        took = (time.perf_counter() - start) * 1000
        start = time.perf_counter()
        context.delete(connection, made["session_id"])  # with the client attached
        released.append((time.perf_counter() - start) * 1000)
        while leaks.left_over([made["session_id"]], context.server.state_dir):
            _pause.wait(0.002)
        gone.append((time.perf_counter() - start) * 1000)
        socket_.close()
        return took

    ours()
    by_hand(flags)
    created.clear(), released.clear(), gone.clear()
    figures = context.take_turns(context.rounds(30), {"ours": ours, "base": lambda: by_hand(flags)})
    ratio = percentile(figures["ours"], 0.5) / percentile(figures["base"], 0.5)
    context.table.add(Row("cold create until the first page answers over CDP", "ms", figures["ours"], figures["base"], "the same Chromium and flags by hand", "≤ 1.10 ×", ratio <= 1.10))
    context.table.add(Row("of it, POST /browsers", "ms", created))
    context.table.add(Row("release, client attached", "ms", released, goal="≤ 10 ms", met=percentile(released, 0.5) <= 10))
    context.table.add(Row("release until nothing is left", "ms", gone))


def drivers(context: Context, browser: dict[str, Any], *, ready: int = 0) -> None:
    """The same with Playwright as the client: create, connect, page, goto, release; from a pool of `ready` or from nothing."""
    hot = ready > 0
    script = pathlib.Path(__file__).parents[2] / "tests/node/lifecycle.bench.mjs"
    ran = subprocess.run(
        ["node", str(script)], check=True, capture_output=True, text=True, timeout=900,
        env={
            **os.environ, "KERNEL_BASE_URL": context.server.base_url, "KERNEL_API_KEY": context.server.key,
            "BENCH_ROUNDS": str(context.rounds(30)), "BENCH_UID": str(UID), "BENCH_FLAGS": json.dumps(same_flags(browser["session_id"])),
            "BENCH_URL": context.site.url("/hello"), "BENCH_TMP": tempfile.gettempdir(),
            # a hot pool is full before each round
            "BENCH_READY": str(ready),
        },
    )
    figures = json.loads(ran.stdout)
    for stage, goal, bound in (
        ("create", "", None), ("connect", "≤ 3 ms over", 3.0), ("page", "", None), ("goto", "≤ 1.05 ×", 1.05), ("release", "", None), ("total", "≤ 0.20 ×" if hot else "≤ 1.10 ×", 0.2 if hot else 1.10),
    ):
        ours = figures["ours"][stage]
        base_name = "warm" if stage == "connect" else "cold"
        base = figures[base_name][stage]
        o, b = percentile(ours, 0.5), percentile(base, 0.5)
        met = None if bound is None else (o - b <= bound if "over" in goal else o <= b * bound)
        names = {"warm": "a running Chromium's own port", "cold": "Chromium by hand"}
        context.table.add(Row(f"Playwright, {'hot pool, ' if hot else ''}{stage}", "ms", ours, base, names[base_name], goal, met))
    if hot:
        warm = [connect + goto for connect, goto in zip(figures["warm"]["connect"], figures["warm"]["goto"])]
        total = figures["ours"]["total"]
        met = percentile(total, 0.5) <= percentile(warm, 0.5) + 20
        context.table.add(Row("Playwright, hot pool, total", "ms", total, warm, "connect and goto alone, a running Chromium", "≤ 20 ms over", met))
