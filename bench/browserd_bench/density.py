"""What a further session takes of the host's memory, beside a further Chromium started by hand."""
from __future__ import annotations

import pathlib
from typing import Any, Callable, Iterable

from . import inside
from .context import Context
from .lifecycle import ByHand, first_page_answers, same_flags
from .memory import settle
from .pool import _pause, own_server
from .table import Row

#: How many run at last; the first one pays for what all share.
RUNNING = 6
KSM = pathlib.Path("/sys/kernel/mm/ksm")
#: What Chromium needs to be of use to a program, and nothing else.
PLAIN = ["--headless=new", "--no-first-run", "--remote-debugging-port=0"]


def further(begin: Callable[[], Any], pids: Callable[[Any], Iterable[int]], wait: Callable[[], None] = settle) -> tuple[list[Any], float]:
    """Starts one and then others; answers them, and the PSS each of the others added, MiB."""
    running = [begin()]
    total = lambda: inside.pss([pid for one in running for pid in pids(one)])
    wait()
    first = total()
    running += [begin() for _ in range(RUNNING - 1)]
    wait()
    return running, (total() - first) / (RUNNING - 1)


def by_hand(flags: list[str]) -> float:
    def begin() -> ByHand:
        chromium = ByHand(flags)
        first_page_answers(chromium.connect())
        return chromium

    running, each = further(begin, lambda chromium: inside.led_by(chromium.process.pid))
    for chromium in running:
        chromium.end()
    return each


def sessions(context: Context, wait: Callable[[], None] = settle, **settings: str) -> tuple[float, list[str]]:
    """What a further session adds, and the flags of the last one's browser."""
    with own_server(context, BROWSERD_POOL="off", BROWSERD_STANDBY_SECONDS="0", **settings) as own:
        connection = own.connection()
        running, each = further(lambda: own.create(connection), lambda made: inside.processes(made["session_id"]), wait)
        flags = same_flags(running[-1]["session_id"])
        for made in running:
            own.delete(connection, made["session_id"])
        own.gone([made["session_id"] for made in running])
        connection.close()
    return each, flags


def merged() -> None:
    """Lets the kernel look at all pages twice."""
    settle()
    scans = lambda: int((KSM / "full_scans").read_text())
    end = scans() + 3
    while scans() < end:
        _pause.wait(0.1)


def density(context: Context, browser: dict[str, Any]) -> None:
    ours, flags = sessions(context)
    lean = by_hand(flags)
    plain = by_hand([flags[0], *PLAIN])
    context.table.add(Row(f"memory of a further headless session of {RUNNING}, PSS", "MiB", [ours], [lean], "the same Chromium and flags by hand", "≤ 12 MiB over it", ours <= lean + 12))
    context.table.add(Row("the same beside plain flags", "MiB", [ours], [plain], "Chromium by hand, plain flags"))
    shell, shell_flags = sessions(context, BROWSERD_HEADLESS_ENGINE="shell")
    bare = by_hand(shell_flags)
    context.table.add(Row("the same, chromium-headless-shell", "MiB", [shell], [bare], "the same by hand", "≤ 12 MiB over it", shell <= bare + 12))
    if not KSM.exists():
        return
    before = {name: (KSM / name).read_text() for name in ("run", "pages_to_scan", "sleep_millisecs")}
    try:
        for name, value in (("pages_to_scan", "20000"), ("sleep_millisecs", "10"), ("run", "1")):
            (KSM / name).write_text(value)
        one, _ = sessions(context, merged, BROWSERD_KSM="on")
        context.table.add(Row("the same, --ksm on", "MiB", [one], [ours], "--ksm off"))
    finally:
        for name, value in before.items():
            (KSM / name).write_text(value)
