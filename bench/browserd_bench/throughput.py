"""Recipe 2: the ten actions of ComputeSDK's browser-throughput, beside the same Chromium by hand."""
from __future__ import annotations

import json
import os
import pathlib
import subprocess
import tempfile
from typing import Any

from . import lifecycle
from .context import Context
from .table import Row, percentile

#: Links on an article, and how large its text is: about what the encyclopaedia's have.
LINKS = 300
BYTES = 200_000
PICTURE = """<svg xmlns="http://www.w3.org/2000/svg" width="220" height="140"><defs><linearGradient id="a"><stop stop-color="#{a}"/>
<stop offset="1" stop-color="#{b}"/></linearGradient></defs><rect width="220" height="140" fill="url(#a)"/><circle cx="110" cy="70" r="50" fill="#fff8"/></svg>"""
STYLE = "body{font:16px/1.6 sans-serif;margin:2em auto;max-width:60em} h1,h2{font-family:serif;border-bottom:1px solid #aaa} img{float:right;margin:.5em}"


def article(number: int) -> bytes:
    """A page with the marks the sequence looks for."""
    sentence = "The quick brown fox jumps over the lazy dog while the benchmark reads on. "
    sections = LINKS // 10
    words = sentence * (BYTES // sections // len(sentence))
    body = "".join(
        f"<h2>Section {section}</h2><img src='/wiki/picture-{section % 8}.svg' alt=''>"
        f"<p>{' '.join(f'<a href=/wiki/article-{(number + section * 10 + link + 1) % 100}>entry {link}</a>' for link in range(10))}</p><p>{words}</p>"
        for section in range(sections)
    )
    return (
        f"<!doctype html><html lang=en><head><title>Article {number}</title><link rel=stylesheet href=/wiki/style.css></head>"
        f"<body><h1 id=firstHeading>Article {number}</h1><div id=mw-content-text>{body}</div></body></html>"
    ).encode()


def publish(context: Context) -> str:
    """Puts the articles on the site; answers the first one's address."""
    def serve(kind: str, content: bytes) -> Any:
        return lambda handler, _body: handler._answer(200, kind, content)

    routes = context.site.routes
    routes["/wiki/style.css"] = serve("text/css", STYLE.encode())
    for number in range(8):
        routes[f"/wiki/picture-{number}.svg"] = serve("image/svg+xml", PICTURE.format(a=f"{number}4{number}a9f", b=f"f{number}c{number}40").encode())
    for number in range(100):
        routes[f"/wiki/article-{number}"] = serve("text/html", article(number))
    return context.site.url("/wiki/article-0")


def throughput(context: Context, browser: dict[str, Any]) -> None:
    script = pathlib.Path(__file__).parents[2] / "tests/node/throughput.bench.mjs"
    url = publish(context)
    for loops in (1, 5):
        ran = subprocess.run(
            ["node", str(script)], check=True, capture_output=True, text=True, timeout=1800,
            env={
                **os.environ, "BENCH_CDP": browser["cdp_ws_url"], "BENCH_URL": url, "BENCH_LOOPS": str(loops),
                "BENCH_ROUNDS": str(context.rounds(20)), "BENCH_UID": str(lifecycle.UID), "BENCH_TMP": tempfile.gettempdir(),
                "BENCH_FLAGS": json.dumps(lifecycle.same_flags(browser["session_id"])),
            },
        )
        figures = json.loads(ran.stdout)
        ours, raw = figures["ours"], figures["raw"]
        ratio = percentile(ours["rate"], 0.5) / percentile(raw["rate"], 0.5)
        times = "once" if loops == 1 else f"{loops} times"
        context.table.add(Row(f"ten actions on an article, {times}", "actions/s", ours["rate"], raw["rate"], "the same Chromium by hand", "≥ 0.97 ×", ratio >= 0.97))
        context.table.add(Row(f"of them, screenshots, {times}", "ms", ours["screenshot"], raw["screenshot"], "the same Chromium by hand"))
