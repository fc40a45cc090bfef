"""Waiting for a condition that nothing announces, bounded by a deadline."""
from __future__ import annotations

import threading
import time
from typing import Callable, TypeVar

T = TypeVar("T")
_pause = threading.Event()


def eventually(probe: Callable[[], T], what: str, seconds: float = 30.0) -> T:
    """Calls `probe` until it answers something true, and answers that.

    Fails the test with `what` and the last answer once `seconds` have passed. Only for states
    that can be read but not waited for.
    """
    end = time.monotonic() + seconds
    pause = 0.005
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s; last answer {answer!r}")
        _pause.wait(pause)
        pause = min(pause * 1.5, 0.25)
