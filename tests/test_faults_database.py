"""A database that cannot be written for a while: refused in words, told by /health, and right again by itself."""
from __future__ import annotations

import os
import pathlib
import subprocess
import tempfile
from typing import Iterator

import httpx
import pytest

from harness import leaks, sessions
from harness.deadline import eventually
from harness.server import KEY, Server, serving
from harness.sessions import sh

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a file system of the test's own is mounted")

MIB = 1 << 20


@pytest.fixture
def disk() -> Iterator[pathlib.Path]:
    """A small file system, at a short path for the sake of sockets."""
    with tempfile.TemporaryDirectory(prefix="browserd-disk-") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500m", "browserd-test", folder], check=True)
        try:
            yield pathlib.Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


@pytest.fixture
def server(disk: pathlib.Path) -> Iterator[Server]:
    state = disk / "state"
    state.mkdir(mode=0o700)
    with serving(state_dir=state) as server:
        yield server


@pytest.fixture
def wire(server: Server) -> Iterator[httpx.Client]:
    """A client that repeats nothing."""
    with httpx.Client(base_url=server.base_url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as client:
        yield client


def fill(disk: pathlib.Path) -> pathlib.Path:
    """Leaves nothing free."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (MIB, 4096):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return filler


def database(wire: httpx.Client) -> str:
    """What the status page says of it."""
    components = wire.get("/status").json()["groups"][0]["components"]
    return {component["name"]: component["status"] for component in components}["Database"]


def test_a_full_disk_is_told_and_gets_over(server: Server, wire: httpx.Client, disk: pathlib.Path) -> None:
    with sessions.client(server.base_url, KEY) as kernel:
        kept, ended = sessions.create(kernel, name="kept"), sessions.create(kernel, name="ended")
        assert wire.get("/health").json() == {"status": "ok"} and database(wire) == "operational"

        filler = fill(disk)
        for call in (
            lambda: wire.post("/profiles", json={"name": "one"}),
            lambda: wire.patch("/browsers/kept", json={"tags": {"a": "b"}}),
            lambda: wire.get("/health"),
        ):
            answer = call()
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable"), answer.text
            assert "the disk with the database is full" in answer.json()["message"]
            assert answer.headers["x-should-retry"] == "true" and answer.headers["retry-after"]
        assert database(wire) == "full_outage"
        # Reading goes on, and so do sessions.
        assert {one["name"] for one in wire.get("/browsers").json()} == {"kept", "ended"}
        assert sh(kernel, kept.session_id, "echo up").out == "up\n"

        # An end is an end, recorded or not.
        assert wire.delete("/browsers/ended").status_code == 204
        assert [one["name"] for one in wire.get("/browsers").json()] == ["kept"]
        assert wire.get("/browsers/ended").status_code == 404
        assert wire.delete(f"/browsers/{ended.session_id}").status_code == 204

        filler.unlink()
        eventually(lambda: wire.get("/health").status_code == 200, "the database is written again")
        assert database(wire) == "operational"
        made = wire.post("/profiles", json={"name": "one"})
        assert made.status_code == 201, made.text
        assert wire.patch("/browsers/kept", json={"tags": {"a": "b"}}).json()["tags"] == {"a": "b"}
        # The name is free again, so the end is in the database.
        eventually(lambda: wire.post("/browsers", json={"name": "ended", "headless": True}).status_code == 200, "the end is recorded")
        eventually(lambda: not leaks.left_over([ended.session_id], server.state_dir), "the ended session is cleared away")
        states = {one["session_id"]: one.get("deleted_at") for one in wire.get("/browsers", params={"status": "all"}).json()}
        assert states[ended.session_id] and not states[kept.session_id]
