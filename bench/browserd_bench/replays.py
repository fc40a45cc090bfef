"""Recipe 10: what a recording costs, and whether its file says the truth about its duration.

Three pages, 720p at 10 frames a second: one that stands still, one that somebody types into five times a second, and one
that is animated all over. Counted is the CPU time of everything in the session, recording and not, in turns. The baseline
is the command line of the original's recorder, run beside the same headful session.
"""
from __future__ import annotations

import os
import pathlib
import subprocess
import tempfile
import threading
import time
from datetime import datetime
from typing import Any

import httpx
from harness.cdp import Cdp, first_page

from . import inside
from .context import Context
from .table import Row

_pause = threading.Event()
TICKS = os.sysconf("SC_CLK_TCK")
PAGES = {
    "static": "<body style='font:20px sans-serif'>" + "<p>Nothing moves on this page. " * 20,
    "typing": "<textarea id=t style='width:90vw;height:80vh;font:20px monospace;caret-color:transparent'></textarea><script>"
    "setInterval(() => { t.value += 'abcdefghij'[t.value.length % 10]; }, 200)</script>",
    "animation": "<body style='margin:0'><canvas id=c width=1280 height=720></canvas><script>const x = c.getContext('2d'); let n = 0;"
    "const f = () => { n++; for (let y = 0; y < 720; y += 40) for (let z = 0; z < 1280; z += 40) {"
    "x.fillStyle = `hsl(${(y + z + n * 4) % 360} 80% 50%)`; x.fillRect(z, y, 40, 40); } requestAnimationFrame(f); }; f();</script>",
}
GOALS = {"static": 3.0, "typing": 10.0, "animation": None}


def cpu_seconds(pids: list[int]) -> dict[int, float]:
    used = {}
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        used[pid] = (int(fields[11]) + int(fields[12])) / TICKS
    return used


class Meter:
    """CPU time of the session and what is recorded with, over a while; what starts meanwhile counts from its start."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.before = self.used()
        self.began = time.monotonic()

    def used(self) -> dict[int, float]:
        return cpu_seconds(list(inside.processes(self.session_id)))

    def share(self) -> float:
        """Percent of a core since the beginning."""
        used = self.used()
        spent = sum(after - self.before.get(pid, 0.0) for pid, after in used.items())
        return 100 * spent / (time.monotonic() - self.began)


def replays(context: Context, browser: dict[str, Any]) -> None:
    seconds = 10.0 if context.quick else 60.0
    rounds = 1 if context.quick else 3
    for headless in (False, True):
        kind = "headless" if headless else "headful"
        session = context.create(
            context.connection(), headless=headless, kiosk_mode=not headless, viewport={"width": 1280, "height": 720},
            memory="4GiB" if headless else "8GiB",
        )
        session_id = session["session_id"]
        with Cdp(session["cdp_ws_url"]) as client:
            page = first_page(client)
            for name, html in PAGES.items():
                page.goto("about:blank")
                page.evaluate(f"document.open(); document.write({html!r}); document.close()")
                _pause.wait(3)
                costs, errors, sizes, base = [], [], [], []
                for _ in range(rounds):
                    meter = Meter(session_id)
                    _pause.wait(seconds)
                    without = meter.share()
                    meter = Meter(session_id)
                    replay = ask(context, "POST", f"/browsers/{session_id}/replays", {"framerate": 10})
                    _pause.wait(seconds)
                    costs.append(meter.share() - without)
                    ask(context, "POST", f"/browsers/{session_id}/replays/{replay['replay_id']}/stop")
                    listed = ask(context, "GET", f"/browsers/{session_id}/replays")[-1]
                    errors.append(duration_error(context, listed, session_id))
                    sizes.append(listed["size_bytes"] / 1024)
                    if not headless:
                        base.append(original(session_id, seconds, without))
                goal = GOALS[name]
                if goal is None and base:
                    goal = 0.6 * sorted(base)[len(base) // 2]
                middle = sorted(costs)[len(costs) // 2]
                context.table.add(Row(
                    f"recording, {kind}, {name}", "% of a core", costs, base, "the original's ffmpeg line" if base else "–",
                    f"≤ {goal:.0f} %" if goal else "", middle <= goal if goal else None, f"{sizes[0]:.0f} KiB",
                ))
                worst = max(errors)
                context.table.add(Row(f"duration of it against the clock, {kind}, {name}", "% off", errors, goal="< 1 %", met=worst < 1))
        ask(context, "DELETE", f"/browsers/{session_id}")


def ask(context: Context, method: str, path: str, body: Any = None) -> Any:
    """A request on a connection of its own: between two of them the server would close it as idle."""
    answer = httpx.request(method, f"{context.server.base_url}{path}", json=body, headers={"Authorization": f"Bearer {context.server.key}"}, timeout=60)
    answer.raise_for_status()
    return answer.json() if answer.content else None


def duration_error(context: Context, listed: dict[str, Any], session_id: str) -> float:
    """How far the file's duration is from the time it took, percent."""
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        answer = httpx.get(
            f"{context.server.base_url}/browsers/{session_id}/replays/{listed['replay_id']}",
            headers={"Authorization": f"Bearer {context.server.key}"},
        )
        file.write(answer.content)
        file.flush()
        ran = subprocess.run(
            ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", file.name],
            capture_output=True, text=True, check=True,
        )
    at = [datetime.fromisoformat(listed[name].replace("Z", "+00:00")) for name in ("started_at", "finished_at")]
    wall = (at[1] - at[0]).total_seconds()
    return 100 * abs(float(ran.stdout) - wall) / wall


def original(session_id: str, seconds: float, without: float) -> float:
    """The same with `ffmpeg -f x11grab`, as the original's recorder has it, entering the session's namespaces."""
    chromium = inside.chromium(session_id)
    meter = Meter(session_id)
    line = [
        "nsenter", f"--target={chromium}", "--net", "--ipc", "--mount", "--root", "--",
        "/usr/bin/ffmpeg", "-loglevel", "error", "-f", "x11grab", "-framerate", "10", "-i", ":1",
        "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-c:v", "libx264", "-profile:v", "high", "-pix_fmt", "yuv420p",
        "-movflags", "+frag_keyframe+empty_moov", "-frag_duration", "2000000", "-t", str(seconds), "-f", "mp4", "-y", "/dev/null",
    ]
    before = os.times()
    subprocess.run(line, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    after = os.times()
    # The recorder has ended, so its time is its parent's: ours.
    recorder = (after.children_user + after.children_system) - (before.children_user + before.children_system)
    rest = sum(max(0.0, used - meter.before.get(pid, 0.0)) for pid, used in meter.used().items())
    took = time.monotonic() - meter.began
    return 100 * (recorder + rest) / took - without


