"""What every benchmark is given: a server, a way to make sessions, and how many rounds."""
from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import Any, Callable, Sequence
from urllib.parse import parse_qs, urlsplit

from harness import leaks
from harness.server import Server
from harness.site import Site

from .http1 import Connection
from .table import Table


_pause = threading.Event()


@dataclass
class Context:
    server: Server
    site: Site
    table: Table
    quick: bool
    random: random.Random = field(default_factory=lambda: random.Random(7))

    def rounds(self, full: int) -> int:
        return max(3, full // 10) if self.quick else full

    def connection(self) -> Connection:
        return Connection(("127.0.0.1", self.server.port), self.server.key)

    def create(self, connection: Connection, **settings: Any) -> dict[str, Any]:
        return connection.json("POST", "/browsers", {"headless": True, "timeout_seconds": 3600, **settings})

    def delete(self, connection: Connection, session_id: str) -> None:
        connection.json("DELETE", f"/browsers/{session_id}")

    def gone(self, session_ids: Sequence[str]) -> None:
        """Waits until nothing is left of sessions that were deleted."""
        while leaks.left_over(session_ids, self.server.state_dir):
            _pause.wait(0.01)

    def take_turns(self, rounds: int, contestants: dict[str, Callable[[], float | Sequence[float]]]) -> dict[str, list[float]]:
        """Runs every contestant once a round, in random order; answers their figures."""
        figures: dict[str, list[float]] = {name: [] for name in contestants}
        names = list(contestants)
        for _ in range(rounds):
            self.random.shuffle(names)
            for name in names:
                result = contestants[name]()
                figures[name].extend([result] if isinstance(result, (int, float)) else result)
        return figures


def direct(browser: dict[str, Any], path: str) -> str:
    """A path of the session's direct route, token included."""
    token = parse_qs(urlsplit(browser["cdp_ws_url"]).query)["jwt"][0]
    return f"{urlsplit(browser['base_url']).path.rstrip('/')}{path}?jwt={token}"
