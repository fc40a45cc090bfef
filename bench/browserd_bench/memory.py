"""Recipe 11: what a session costs beyond its Chromium, and what `serve` holds."""
from __future__ import annotations

import threading
import time
from typing import Any

from harness import leaks

from . import inside
from .context import Context
from .lifecycle import ByHand, first_page_answers, same_flags
from .table import Row

SETTLE = 15.0
SESSIONS = 20
_pause = threading.Event()


def settle() -> None:
    """Chromium goes on allocating and freeing for a while after start."""
    _pause.wait(SETTLE)


def idle(context: Context, browser: dict[str, Any]) -> None:
    connection = context.connection()
    flags = same_flags(browser["session_id"])
    made = [context.create(connection) for _ in range(3)]
    by_hand = [ByHand(flags) for _ in range(3)]
    for chromium in by_hand:
        first_page_answers(chromium.connect())
    settle()
    ours = []
    own = []
    for session in made:
        pids = list(inside.processes(session["session_id"]))
        ours.append(inside.pss(pids))
        own.append(inside.pss(inside.own(session["session_id"])))
    base = [inside.pss(list(leaks.processes([str(chromium.home)]))) for chromium in by_hand]
    context.table.add(Row("idle session, all its processes, PSS", "MiB", ours, base, "Chromium by hand, same flags", "≤ 5 MiB over Chromium and guest", None, "three of each, all running at once"))
    context.table.add(Row("of it, shim and guest", "MiB", own, goal="≤ 12 MiB", met=max(own) <= 12))
    for chromium in by_hand:
        chromium.end()
    for session in made:
        context.delete(connection, session["session_id"])


def twenty_sessions(context: Context, browser: dict[str, Any]) -> None:
    connection = context.connection()
    before = inside.pss([context.server.pid])
    made = []
    start = time.perf_counter()
    for _ in range(context.rounds(SESSIONS) if context.quick else SESSIONS):
        made.append(context.create(connection))
    took = time.perf_counter() - start
    settle()
    at = inside.pss([context.server.pid])
    own = [inside.pss(inside.own(session["session_id"])) for session in made]
    # the goal is one for twenty; a quick run has fewer
    goal, met = ("≤ 30 MiB", at <= 30) if len(made) >= SESSIONS else ("", None)
    context.table.add(Row(f"`serve` with {len(made) + 1} sessions, PSS", "MiB", [at], [before], "before they were made", goal, met))
    context.table.add(Row(f"shim and guest, {len(made)} sessions", "MiB", own, goal="≤ 12 MiB", met=max(own) <= 12))
    context.table.add(Row("one after another, a session each", "s", [took / len(made)]))
    for session in made:
        context.delete(connection, session["session_id"])
    context.gone([session["session_id"] for session in made])
    context.table.add(Row("`serve` after they are gone, PSS", "MiB", [inside.pss([context.server.pid])], [at], "with them"))
