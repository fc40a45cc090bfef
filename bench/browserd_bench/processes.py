"""Recipes 3 and 4: running programs, and asking how a process is doing."""
from __future__ import annotations

import base64
import json
import pathlib
import threading
import time
from typing import Any

from . import inside
from .context import Context, direct
from .http1 import Connection
from .table import Row, percentile

# Runs `true` the way any program would: spawn, read both pipes to their end, wait.
SPAWN = """
import json, os, sys, threading, time
rounds, workers = int(sys.argv[1]), int(sys.argv[2])
def once():
    start = time.perf_counter_ns()
    out, out_w = os.pipe(); err, err_w = os.pipe()
    pid = os.posix_spawn('/bin/true', ['true'], os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 0, '/dev/null', os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, out_w, 1), (os.POSIX_SPAWN_DUP2, err_w, 2),
        (os.POSIX_SPAWN_CLOSE, out), (os.POSIX_SPAWN_CLOSE, err)])
    os.close(out_w); os.close(err_w)
    while os.read(out, 4096): pass
    while os.read(err, 4096): pass
    os.close(out); os.close(err)
    os.waitpid(pid, 0)
    return (time.perf_counter_ns() - start) / 1e6
once()
if workers == 1:
    print(json.dumps([once() for _ in range(rounds)]))
else:
    start = time.perf_counter()
    threads = [threading.Thread(target=lambda: [once() for _ in range(rounds // workers)]) for _ in range(workers)]
    for t in threads: t.start()
    for t in threads: t.join()
    print(json.dumps([rounds // workers * workers / (time.perf_counter() - start)]))
"""


def spawn_inside(connection: Connection, session_id: str, rounds: int, workers: int) -> list[float]:
    answer = connection.json("POST", f"/browsers/{session_id}/process/exec", {
        "command": "python3", "args": ["-c", SPAWN, str(rounds), str(workers)], "timeout_sec": 120,
    })
    if answer["exit_code"] != 0:
        raise RuntimeError(base64.b64decode(answer["stderr_b64"]).decode())
    return json.loads(base64.b64decode(answer["stdout_b64"]))


def exec_round_trip(context: Context, browser: dict[str, Any]) -> None:
    """Recipe 3."""
    session_id = browser["session_id"]
    connection = context.connection()
    straight = context.connection()
    straight.head = "Host: bench\r\n"
    by_key = connection.request("POST", f"/browsers/{session_id}/process/exec", {"command": "/bin/true"})
    by_token = straight.request("POST", direct(browser, "/process/exec"), {"command": "/bin/true"})
    guest = Connection(inside.guest_socket(context.server.state_dir, session_id))
    at_guest = guest.request("POST", "/process/exec", {"command": "/bin/true"})
    for _ in range(10):
        connection.timed(by_key), straight.timed(by_token), guest.timed(at_guest)
    control = context.connection()
    block = 25
    figures = context.take_turns(context.rounds(40), {
        "exec": lambda: [connection.timed(by_key) for _ in range(block)],
        "token": lambda: [straight.timed(by_token) for _ in range(block)],
        "guest": lambda: [guest.timed(at_guest) for _ in range(block)],
        "spawn": lambda: spawn_inside(control, session_id, block, 1),
    })
    base = figures["spawn"]
    for name, key in (("exec `true`, keep-alive", "exec"), ("exec `true`, direct route", "token"), ("exec `true`, at the guest's socket", "guest")):
        over = percentile(figures[key], 0.5) - percentile(base, 0.5)
        context.table.add(Row(
            name, "ms", figures[key], base, "posix_spawn + wait inside (Python)", "≤ 1 ms over", over <= 1.0, f"{over:+.2f} ms at p50",
        ))


def exec_throughput(context: Context, browser: dict[str, Any]) -> None:
    """Recipe 4."""
    session_id = browser["session_id"]
    control = context.connection()
    total = context.rounds(2000)
    for workers in (1, 4, 16):
        def ours() -> list[float]:
            connections = [context.connection() for _ in range(workers)]
            request = connections[0].request("POST", f"/browsers/{session_id}/process/exec", {"command": "/bin/true"})
            threads = [threading.Thread(target=lambda c=c: [c.timed(request) for _ in range(total // workers)]) for c in connections]
            start = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            rate = total // workers * workers / (time.perf_counter() - start)
            for connection in connections:
                connection.close()
            return [rate]

        def base() -> list[float]:
            figures = spawn_inside(control, session_id, total, workers)
            return [total / (sum(figures) / 1000)] if workers == 1 else figures

        figures = context.take_turns(3, {"ours": ours, "base": base})
        ratio = percentile(figures["ours"], 0.5) / percentile(figures["base"], 0.5)
        context.table.add(Row(
            f"execs a second, {workers} worker{'s' if workers > 1 else ''}", "1/s", figures["ours"], figures["base"],
            "posix_spawn + wait inside (Python)", "≥ 0.70 ×", ratio >= 0.70,
        ))


def status(context: Context, browser: dict[str, Any]) -> None:
    """`status` at the guest and through the server, alone and among 500 live processes."""
    session_id = browser["session_id"]
    connection = context.connection()
    guest = Connection(inside.guest_socket(context.server.state_dir, session_id))
    base = f"/browsers/{session_id}/process"
    process = connection.json("POST", f"{base}/spawn", {"command": "sh", "args": ["-c", "while :; do sleep 0.2; done"]})["process_id"]
    at_guest = guest.request("GET", f"/process/{process}/status")
    at_server = connection.request("GET", f"{base}/{process}/status")
    health = connection.request("GET", "/health")
    stat = pathlib.Path("/proc/self/stat")

    def read_stat() -> float:
        start = time.perf_counter_ns()
        stat.read_bytes()
        return (time.perf_counter_ns() - start) / 1e6

    block = 100

    def measure() -> dict[str, list[float]]:
        return context.take_turns(context.rounds(30), {
            "guest": lambda: [guest.timed(at_guest) for _ in range(block)],
            "server": lambda: [connection.timed(at_server) for _ in range(block)],
            "health": lambda: [connection.timed(health) for _ in range(block)],
            "stat": lambda: [read_stat() for _ in range(block)],
        })

    alone = measure()
    more = [connection.json("POST", f"{base}/spawn", {"command": "sleep", "args": ["3600"]})["process_id"] for _ in range(500)]
    crowded = measure()
    p50 = percentile(alone["guest"], 0.5)
    context.table.add(Row("status at the guest's socket", "ms", alone["guest"], alone["stat"], "read /proc/PID/stat", "< 0.3 ms", p50 < 0.3))
    flat = percentile(crowded["guest"], 0.5)
    context.table.add(Row(
        "status at the guest's socket, 500 live processes", "ms", crowded["guest"], alone["guest"], "the same with one process", "< 0.3 ms, flat",
        flat < 0.3 and flat < p50 * 1.25 + 0.02,
    ))
    context.table.add(Row("status through the server", "ms", alone["server"], alone["health"], "GET /health", "", None))
    context.table.add(Row("status through the server, 500 live processes", "ms", crowded["server"], crowded["health"], "GET /health", "", None))
    for process_id in (process, *more):
        connection.json("POST", f"{base}/{process_id}/kill", {"signal": "KILL"})
