"""A Playwright script inside the session, against a client that connects over CDP for the same."""
from __future__ import annotations

import json
import os
import pathlib
import subprocess
from typing import Any

from .context import Context
from .table import Row, percentile


def execute(context: Context, browser: dict[str, Any]) -> None:
    """`return await page.title()`, warm."""
    script = pathlib.Path(__file__).parents[2] / "tests/node/playwright.bench.mjs"
    ran = subprocess.run(
        ["node", str(script)], check=True, capture_output=True, text=True, timeout=900,
        env={
            **os.environ, "KERNEL_BASE_URL": context.server.base_url, "KERNEL_API_KEY": context.server.key,
            "BENCH_ROUNDS": str(context.rounds(100)), "BENCH_SESSION": browser["session_id"], "BENCH_CDP": browser["cdp_ws_url"],
        },
    )
    figures = json.loads(ran.stdout)
    ours, base = figures["inside"], figures["outside"]
    context.table.add(Row("playwright/execute, page.title(), warm", "ms", ours, base, "playwright connectOverCDP from outside", "≤ 45 ms", percentile(ours, 0.5) <= 45))
    context.table.add(Row("playwright/execute, first call", "ms", figures["first"]))
