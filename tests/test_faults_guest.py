"""A guest that stands still: who waits for it is told, and its session ends."""
from __future__ import annotations

import os
import signal
import threading
from typing import Any, Callable

import httpx
from kernel import Kernel

from harness import leaks
from harness.deadline import eventually
from harness.server import KEY, Server


def test_a_guest_that_stands_still_is_the_end_of_its_session(server: Server, kernel: Kernel, make: Callable[..., Any]) -> None:
    session, other = make(), make()
    guests = [pid for pid, command in leaks.processes([session.session_id]).items() if " guest" in command]
    assert len(guests) == 1, leaks.processes([session.session_id])
    os.kill(guests[0], signal.SIGSTOP)
    answers: dict[str, httpx.Response] = {}
    with httpx.Client(base_url=server.base_url, headers={"Authorization": f"Bearer {KEY}"}, timeout=120) as wire:
        path = f"/browsers/{session.session_id}"
        calls = {
            "exec": lambda: wire.post(f"{path}/process/exec", json={"command": "true", "timeout_sec": 5}),
            "fs": lambda: wire.get(f"{path}/fs/list_files", params={"path": "/"}),
            "screenshot": lambda: wire.post(f"{path}/computer/screenshot"),
            "change": lambda: wire.patch(path, json={"viewport": {"width": 800, "height": 600}}),
        }
        threads = [threading.Thread(target=lambda name=name, call=call: answers.update({name: call()})) for name, call in calls.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name, answer in answers.items():
            assert (answer.status_code, answer.json()["code"]) == (404, "browser_not_found"), (name, answer.text)
        assert set(answers) == set(calls)
        over = wire.get(path)
        assert over.status_code == 404 and ": crashed (its guest did not answer any more)" in over.json()["message"], over.text
        ended = wire.get(path, params={"include_deleted": "true"}).json()
        assert ended["deletion_reason"] == "crashed"
    eventually(lambda: not leaks.left_over([session.session_id], server.state_dir), "nothing of the session is left")
    assert kernel.browsers.process.exec(other.session_id, command="true").exit_code == 0
