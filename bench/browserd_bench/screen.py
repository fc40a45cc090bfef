"""Recipe 8: screenshots beside one ffmpeg shot and beside CDP's, and clicks beside raw CDP."""
from __future__ import annotations

import base64
import json
from typing import Any, Callable

from . import inside
from .context import Context
from .http1 import Connection
from .table import Row, percentile
from .ws import Socket, frame

#: Much text and some colour, as an article has.
ARTICLE = """document.body.innerHTML = Array.from({length: 60}, (_, i) => `<h2 style="color:hsl(${i * 6} 70% 40%)">Section ${i}</h2>
<p>${'The quick brown fox jumps over the lazy dog and back again. '.repeat(12)}</p>`).join('')"""


def _page(browser: dict[str, Any]) -> tuple[Socket, str]:
    """A connection to Chromium's own port, and the id of its first page."""
    pid = inside.chromium(browser["session_id"])
    port, _ = inside.debugging_port(pid)
    with_id = Socket.open(browser["cdp_ws_url"])
    target = next(info for info in with_id.call("Target.getTargets")["targetInfos"] if info["type"] == "page")["targetId"]
    with_id.close()
    return Socket(inside.connect(pid, port), f"127.0.0.1:{port}", f"/devtools/page/{target}"), target


def _shot(connection: Connection, session_id: str, body: Any) -> Callable[[], float]:
    request = connection.request("POST", f"/browsers/{session_id}/computer/screenshot", body)
    return lambda: connection.timed(request)


def screenshots(context: Context, browser: dict[str, Any]) -> None:
    """`browser` is headless; a headful one is made besides."""
    connection = context.connection()
    headful = context.create(connection, headless=False, viewport={"width": 1280, "height": 720})
    try:
        page, _ = _page(headful)
        page.call("Runtime.evaluate", {"expression": ARTICLE})
        ffmpeg = connection.request(
            "POST",
            f"/browsers/{headful['session_id']}/process/exec",
            {"command": "ffmpeg", "args": ["-loglevel", "error", "-f", "x11grab", "-video_size", "1280x720", "-i", ":1", "-frames:v", "1", "-c:v", "png", "-f", "image2pipe", "-y", "/dev/null"]},
        )

        def one_shot() -> float:
            status, body = connection.round_trip(ffmpeg)
            answer = json.loads(body)
            if status != 200 or answer["exit_code"] != 0:
                raise RuntimeError(f"ffmpeg: {answer}, {base64.b64decode(answer.get('stderr_b64', ''))!r}")
            return answer["duration_ms"]

        png, jpeg = _shot(connection, headful["session_id"], {}), _shot(connection, headful["session_id"], {"format": "jpeg"})
        png(), jpeg(), one_shot()
        figures = context.take_turns(context.rounds(50), {"png": png, "jpeg": jpeg, "base": one_shot})
        times = percentile(figures["base"], 0.5) / percentile(figures["png"], 0.5)
        context.table.add(Row("screenshot, headful, 1280×720 PNG", "ms", figures["png"], figures["base"], "one ffmpeg x11grab shot", "≥ 3 × faster", times >= 3, f"{times:.1f} ×"))
        times = percentile(figures["base"], 0.5) / percentile(figures["jpeg"], 0.5)
        context.table.add(Row("screenshot, headful, 1280×720 JPEG q80", "ms", figures["jpeg"], figures["base"], "one ffmpeg x11grab shot", "≥ 3 × faster", times >= 3, f"{times:.1f} ×"))

        click = connection.request("POST", f"/browsers/{headful['session_id']}/computer/click_mouse", {"x": 600, "y": 400})
        context.table.add(Row("click, headful", "ms", [connection.timed(click) for _ in range(context.rounds(200))]))
        page.close()
    finally:
        context.delete(connection, headful["session_id"])

    page, _ = _page(browser)
    page.call("Runtime.evaluate", {"expression": ARTICLE})
    for name, body, params in (
        ("PNG", {}, {"format": "png"}),
        ("JPEG q80", {"format": "jpeg", "quality": 80}, {"format": "jpeg", "quality": 80}),
    ):
        sent = frame(json.dumps({"id": 7, "method": "Page.captureScreenshot", "params": params}).encode())
        ours = _shot(connection, browser["session_id"], body)
        ours(), page.timed(sent, b'{"id":7,')
        figures = context.take_turns(context.rounds(50), {"ours": ours, "base": lambda: page.timed(sent, b'{"id":7,')})
        added = percentile(figures["ours"], 0.5) - percentile(figures["base"], 0.5)
        context.table.add(Row(f"screenshot, headless, {name}", "ms", figures["ours"], figures["base"], "CDP on Chromium's port", "≤ 2 ms over", added <= 2, f"{added:+.1f} ms at p50"))

    point = {"x": 600, "y": 400, "button": "left", "clickCount": 1}
    events = [
        frame(json.dumps({"id": 7, "method": "Input.dispatchMouseEvent", "params": {"type": kind, **point}}).encode())
        for kind in ("mouseMoved", "mousePressed", "mouseReleased")
    ]
    click = connection.request("POST", f"/browsers/{browser['session_id']}/computer/click_mouse", {"x": 600, "y": 400})
    figures = context.take_turns(
        context.rounds(100),
        {"ours": lambda: connection.timed(click), "base": lambda: sum(page.timed(event, b'{"id":7,') for event in events)},
    )
    ratio = percentile(figures["ours"], 0.5) / percentile(figures["base"], 0.5)
    context.table.add(Row("click, headless", "ms", figures["ours"], figures["base"], "three CDP events on Chromium's port", "no slower", ratio <= 1.05))
    page.close()
    connection.close()
