"""Recipe 7: what the way through the server costs CDP, against Chromium's port itself."""
from __future__ import annotations

import json
import selectors
import time
from typing import Any, Callable
from urllib.parse import urlsplit

from . import inside
from .context import Context
from .table import Row, percentile
from .ws import Socket, frame

COMMANDS = {
    "Runtime.evaluate `1+1`": ("Runtime.evaluate", {"expression": "1+1", "returnByValue": True}),
    "DOM.querySelector": ("DOM.querySelector", {"nodeId": 1, "selector": "body"}),
    "a counter": ("Runtime.evaluate", {"expression": "window.n = (window.n || 0) + 1", "returnByValue": True}),
}


def cdp(context: Context, browser: dict[str, Any]) -> None:
    pid = inside.chromium(browser["session_id"])
    port, _ = inside.debugging_port(pid)
    root = Socket.open(browser["cdp_ws_url"])
    target = next(info for info in root.call("Target.getTargets")["targetInfos"] if info["type"] == "page")["targetId"]
    parts = urlsplit(browser["cdp_ws_url"])

    def through() -> Socket:
        return Socket.open(browser["cdp_ws_url"].replace(parts.path, f"{parts.path.rsplit('/cdp', 1)[0]}/cdp/devtools/page/{target}"))

    def straight() -> Socket:
        return Socket(inside.connect(pid, port), f"127.0.0.1:{port}", f"/devtools/page/{target}")

    ours, base = through(), straight()
    for connection in (ours, base):
        connection.call("DOM.enable")
        connection.call("DOM.getDocument")

    block = 100
    for name, (method, params) in COMMANDS.items():
        sent = frame(json.dumps({"id": 7, "method": method, "params": params}).encode())

        def turn(connection: Socket) -> Callable[[], list[float]]:
            return lambda: [connection.timed(sent, b'{"id":7,') for _ in range(block)]

        turn(ours)(), turn(base)()
        figures = context.take_turns(context.rounds(40), {"ours": turn(ours), "base": turn(base)})
        added = percentile(figures["ours"], 0.5) - percentile(figures["base"], 0.5)
        context.table.add(Row(f"CDP {name}", "ms", figures["ours"], figures["base"], "Chromium's port itself", "≤ 0.08 ms over", added <= 0.08, f"{added:+.3f} ms at p50"))

    sent = frame(json.dumps({"id": 7, "method": "Runtime.evaluate", "params": {"expression": "1+1"}}).encode())

    def rate(connections: list[Socket], seconds: float = 1.0) -> float:
        """Round trips a second with one command in flight on each connection."""
        done = 0
        with selectors.DefaultSelector() as selector:
            for connection in connections:
                selector.register(connection.socket, selectors.EVENT_READ, connection)
                connection.socket.sendall(sent)
            start = time.perf_counter()
            while time.perf_counter() - start < seconds:
                for key, _ in selector.select():
                    key.data.receive()
                    done += 1
                    key.data.socket.sendall(sent)
            took = time.perf_counter() - start
            for connection in connections:
                connection.receive()
        return done / took

    for count in (1, 5):
        mine, theirs = [through() for _ in range(count)], [straight() for _ in range(count)]
        figures = context.take_turns(context.rounds(15), {"ours": lambda: rate(mine), "base": lambda: rate(theirs)})
        ratio = percentile(figures["ours"], 0.5) / percentile(figures["base"], 0.5)
        context.table.add(Row(f"CDP commands a second, {count} connection{'s' if count > 1 else ''}", "1/s", figures["ours"], figures["base"], "Chromium's port itself", "≥ 0.85 ×", ratio >= 0.85))
        for connection in (*mine, *theirs):
            connection.close()

    large = frame(json.dumps({"id": 8, "method": "Runtime.evaluate", "params": {"expression": "'x'.repeat(20 << 20)", "returnByValue": True}}).encode())

    def bulk(connection: Socket) -> float:
        return 20 / (connection.timed(large, b'{"id":8,') / 1000)

    figures = context.take_turns(context.rounds(15), {"ours": lambda: bulk(ours), "base": lambda: bulk(base)})
    ratio = percentile(figures["ours"], 0.5) / percentile(figures["base"], 0.5)
    context.table.add(Row("CDP, one 20 MiB answer", "MiB/s", figures["ours"], figures["base"], "Chromium's port itself", "≥ 0.85 ×", ratio >= 0.85))

    flood = frame(json.dumps({"id": 9, "method": "Runtime.evaluate", "params": {"expression": "for (let i = 0; i < 20000; i++) console.log(i)"}}).encode())

    def events(connection: Socket) -> float:
        connection.call("Runtime.enable")
        start = time.perf_counter()
        connection.socket.sendall(flood)
        seen, answered = 0, False
        while seen < 20000 or not answered:
            message = connection.receive()
            if message.startswith(b'{"method":"Runtime.consoleAPICalled"'):
                seen += 1
            elif message.startswith(b'{"id":9,'):
                answered = True
        took = time.perf_counter() - start
        connection.call("Runtime.discardConsoleEntries")
        connection.call("Runtime.disable")
        return 20000 / took

    figures = context.take_turns(context.rounds(10), {"ours": lambda: events(ours), "base": lambda: events(base)})
    ratio = percentile(figures["ours"], 0.5) / percentile(figures["base"], 0.5)
    context.table.add(Row("CDP, 20,000 console events", "1/s", figures["ours"], figures["base"], "Chromium's port itself", "≥ 0.85 ×", ratio >= 0.85))

    before = inside.pss([context.server.pid])
    many = [through() for _ in range(50)]
    for connection in many:
        connection.call("Runtime.evaluate", {"expression": "1"})
    each = (inside.pss([context.server.pid]) - before) / 50
    context.table.add(Row("memory of `serve` for a CDP connection", "MiB", [each], goal="≤ 0.2 MiB", met=each <= 0.2))
    for connection in (*many, ours, base, root):
        connection.close()
