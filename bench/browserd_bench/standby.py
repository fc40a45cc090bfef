"""What a session costs that nobody uses, what waking it costs, and what changing a running one costs."""
from __future__ import annotations

import io
import json
import os
import pathlib
import time
import zipfile
from typing import Any

from harness import leaks
from harness.upstream import Upstream

from . import inside
from .context import Context
from .http1 import Connection
from .lifecycle import first_page
from .pool import _pause, figure, filled, own_server
from .table import Row, percentile
from .ws import Socket

TICK = os.sysconf("SC_CLK_TCK")
WATCHED = 10.0
SWAP_NEEDED = 1 << 30
ROUNDS = 200
#: Sessions in use beside one that is suspended.
BESIDE = 3


def cpu_seconds(pids: list[int]) -> float:
    """CPU time processes have used, user and system."""
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def free_swap() -> int:
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("SwapFree:"):
            return int(line.split()[1]) << 10
    return 0


def stands_by(connection: Connection) -> None:
    while figure(connection, "browserd_sessions_standby") < 1:
        _pause.wait(0.02)


def standby(context: Context, browser: dict[str, Any]) -> None:
    with own_server(context, BROWSERD_POOL="off", BROWSERD_PAGE_OUT_SECONDS="1") as context:
        connection = context.connection()
        # what all have in common, Chromium's own pages, is shared with sessions in use, as it is on any host
        others = [context.create(connection) for _ in range(BESIDE)]
        in_use = [Socket.open(other["cdp_ws_url"]) for other in others]
        made = context.create(connection)
        socket = Socket.open(made["cdp_ws_url"])
        socket.call("Runtime.evaluate", {"expression": "setInterval(() => performance.now(), 1); window.kept = 41"}, first_page(socket))
        inner = [pid for pid in inside.processes(made["session_id"]) if pid != inside.own(made["session_id"])[0]]
        before = inside.pss(inner)
        socket.close()
        stands_by(connection)
        # a freeze is complete a moment after it was asked for
        _pause.wait(1)
        start = cpu_seconds(inner)
        _pause.wait(WATCHED)
        used = (cpu_seconds(inner) - start) / WATCHED * 100
        context.table.add(Row("CPU of a suspended session, a timer of 1 ms in its page", "% of a core", [used], goal="0.0", met=used == 0))
        if free_swap() < SWAP_NEEDED:
            context.table.add(Row("memory of a suspended session", "MiB", [inside.pss(inner)], [before], "before", note="this host has no swap: it keeps its memory"))
        else:
            paged_out(context, connection, made, before)
        for client in in_use:
            client.close()
        for other in [made, *others]:
            context.delete(connection, other["session_id"])
        connection.close()


def paged_out(context: Context, connection: Connection, made: dict[str, Any], before: float) -> None:
    left, woken = [], []
    for round_ in range(context.rounds(20)):
        while figure(connection, "browserd_session_page_outs_total") <= round_:
            _pause.wait(0.02)
        inner = [pid for pid in inside.processes(made["session_id"]) if pid != inside.own(made["session_id"])[0]]
        left.append(inside.pss(inner))
        start = time.perf_counter()
        socket = Socket.open(made["cdp_ws_url"])
        answer = socket.call("Runtime.evaluate", {"expression": "window.kept"}, first_page(socket))
        woken.append((time.perf_counter() - start) * 1000)
        if answer["result"]["value"] != 41:
            raise RuntimeError(answer)
        socket.close()
    context.table.add(Row(f"memory of a suspended session beside {BESIDE} in use, PSS", "MiB", left, [before], "before", "at most half", percentile(left, 0.5) <= before / 2))
    context.table.add(Row("from swap: connect until the page evaluates", "ms", woken, goal="≤ 150 ms", met=percentile(woken, 0.5) <= 150))


def live_changes(context: Context, browser: dict[str, Any]) -> None:
    """Changes of a running session while a client is connected, which must not notice."""
    connection = context.connection()
    session = browser["session_id"]
    socket = Socket.open(browser["cdp_ws_url"])
    attached = first_page(socket)
    sizes = [(1280, 720), (1024, 768)]
    taken: list[float] = []
    for round_ in range(context.rounds(30)):
        width, height = sizes[round_ % 2]
        start = time.perf_counter()
        connection.json("PATCH", f"/browsers/{session}", {"viewport": {"width": width, "height": height}})
        taken.append((time.perf_counter() - start) * 1000)
        shown = socket.call("Runtime.evaluate", {"expression": "outerWidth"}, attached)["result"]["value"]
        if shown != width:
            raise RuntimeError(f"the window is {shown} wide, not {width}")
    context.table.add(Row("another viewport, a client connected", "ms", taken, goal="≤ 50 ms", met=percentile(taken, 0.5) <= 50))
    loaded: list[float] = []
    for number in range(context.rounds(30)):
        body, kind = extension(number)
        request = f"POST /browsers/{session}/extensions HTTP/1.1\r\n{connection.head}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        start = time.perf_counter()
        connection.timed(request, 201)
        loaded.append((time.perf_counter() - start) * 1000)
        if socket.call("Runtime.evaluate", {"expression": "40 + 2"}, attached)["result"]["value"] != 42:
            raise RuntimeError("the page is gone")
    context.table.add(Row("an extension, a client connected", "ms", loaded, goal="≤ 50 ms", met=percentile(loaded, 0.5) <= 50))
    proxies(context, connection, session, socket, attached)
    socket.close()
    connection.close()


def proxies(context: Context, connection: Connection, session: str, socket: Socket, attached: str) -> None:
    """Another upstream proxy, one of two by turns; the page's next request must go through it."""
    upstreams = [Upstream(context.site, "http") for _ in range(2)]
    made = [connection.json("POST", "/proxies", {"type": "custom", "protocol": "http", "config": upstream.config}) for upstream in upstreams]
    changed: list[float] = []
    for round_ in range(context.rounds(30)):
        turn = round_ % 2
        start = time.perf_counter()
        connection.json("PATCH", f"/browsers/{session}", {"proxy": {"id": made[turn]["id"]}})
        changed.append((time.perf_counter() - start) * 1000)
        host = f"round-{round_}.test"
        asked = {"expression": f"fetch('http://{host}/hello', {{mode: 'no-cors'}}).then(() => 1)", "awaitPromise": True, "returnByValue": True}
        answer = socket.call("Runtime.evaluate", asked, attached)["result"]["value"]
        if answer != 1 or [upstream.seen(host) > 0 for upstream in upstreams] != [turn == 0, turn == 1]:
            raise RuntimeError("the request went another way")
    context.table.add(Row("another upstream proxy, a client connected", "ms", changed, goal="≤ 50 ms", met=percentile(changed, 0.5) <= 50))
    connection.json("PATCH", f"/browsers/{session}", {"proxy": {"mode": "direct"}})
    for one, upstream in zip(made, upstreams):
        connection.json("DELETE", f"/proxies/{one['id']}")
        upstream.close()


def extension(number: int) -> tuple[bytes, str]:
    """A form with an extension that has a content script, and its content type."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("manifest.json", json.dumps({"manifest_version": 3, "name": f"bench {number}", "version": "1", "content_scripts": [{"matches": ["*://*/*"], "js": ["content.js"]}]}))
        zipped.writestr("content.js", "document.title += '!'")
    boundary = "bench-boundary"
    name = f'--{boundary}\r\nContent-Disposition: form-data; name="extensions[][name]"\r\n\r\nbench-{number}\r\n'
    file = f'--{boundary}\r\nContent-Disposition: form-data; name="extensions[][zip_file]"; filename="e.zip"\r\nContent-Type: application/zip\r\n\r\n'
    return name.encode() + file.encode() + archive.getvalue() + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def flat(context: Context, browser: dict[str, Any]) -> None:
    """Memory, descriptors and processes over many rounds of create and delete."""
    with own_server(context, BROWSERD_POOL="headless=2") as context:
        connection = context.connection()

        def rest() -> tuple[float, int, int]:
            filled(connection, 2, 2)
            return inside.pss([context.server.pid]), leaks.open_files(context.server.pid), len(leaks.processes([str(context.server.state_dir)]))

        def rounds(count: int) -> None:
            ids = []
            for _ in range(count):
                made = context.create(connection)
                ids.append(made["session_id"])
                context.delete(connection, made["session_id"])
            context.gone(ids)

        rounds(10)
        memory, files, processes = rest()
        count = context.rounds(ROUNDS)
        rounds(count)
        after = rest()
        grown = after[0] - memory
        context.table.add(Row(f"`serve` after {count} more sessions, grown", "MiB", [grown], goal="flat (≤ 2)", met=grown <= 2))
        context.table.add(Row(f"open descriptors after {count} more sessions", "", [after[1]], [files], "before", "flat", after[1] <= files + 2))
        context.table.add(Row(f"processes after {count} more sessions", "", [after[2]], [processes], "before", "flat", after[2] <= processes + 2))
        connection.close()
