"""A state folder that an earlier version left: everything in it is there after the server was replaced."""
from __future__ import annotations

import pathlib
import sqlite3
import tempfile
from typing import Iterator

import pytest
from kernel import Kernel

from harness import sessions
from harness.server import KEY, Server, serving

WITNESSES = pathlib.Path(__file__).parents[1] / "crates/store/tests"
# Named in the witness.
SESSION, FILM, BROKEN_OFF = "kq3v9d1n0c7x5z2m8b4l6p0a", "q3m0hs2v8k4xw1dz7c9ytbnr", "r3m0hs2v8k4xw1dz7c9ytbnr"
PROFILE, VERSION, PROXY = "p4t9xk2c7w0vqz5m1b8ydhrn", "v7yx3mz1c6jtdhrn8b2kq0w5", "n8b2kq0w5v7yx3mz1c6jtdhr"
ARCHIVE, PICTURES = b"\x28\xb5\x2f\xfd" + b"a" * 73, b"m" * 4096


@pytest.fixture
def state() -> Iterator[pathlib.Path]:
    """A folder as version 4 wrote it, the last one without projects."""
    with tempfile.TemporaryDirectory(prefix="browserd-test-") as name:
        folder = pathlib.Path(name)
        database = sqlite3.connect(folder / "browserd.db")
        database.executescript((WITNESSES / "version_4.sql").read_text())
        database.close()
        for blob, content in ((f"replays/{FILM}.mp4", PICTURES), (f"profiles/{PROFILE}/{VERSION}.tar.zst", ARCHIVE)):
            path = folder / "blobs" / blob
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
        yield folder


@pytest.fixture
def upgraded(state: pathlib.Path) -> Iterator[Server]:
    # What the witness recorded is older than recordings are kept.
    with serving(state_dir=state, extra_env={"BROWSERD_RECORDING_RETENTION_DAYS": "0"}) as server:
        yield server


def test_what_was_kept_before_there_were_projects_is_there(upgraded: Server) -> None:
    with sessions.client(upgraded.base_url, KEY) as kernel:
        shown(kernel)
    blobs = upgraded.state_dir / "blobs"
    kept = {path.name for path in (blobs / "projects").rglob("*") if path.is_file()}
    assert kept == {f"{FILM}.mp4", f"{VERSION}.tar.zst"}
    assert not (blobs / "replays").exists() and not (blobs / "profiles").exists()


def shown(kernel: Kernel) -> None:
    assert kernel.profiles.retrieve("shop-1").id == PROFILE
    assert len(list(kernel.profiles.list())) == 2
    assert kernel.profiles.download(PROFILE).read() == ARCHIVE

    assert {proxy.id: proxy.name for proxy in kernel.proxies.list()}[PROXY] == "Office"
    assert len(list(kernel.proxies.list())) == 2

    session = kernel.browsers.retrieve(SESSION, include_deleted=True)
    assert session.name == "Nightly" and session.deleted_at is not None
    replays = {replay.replay_id: replay for replay in kernel.browsers.replays.list(SESSION)}
    assert set(replays) == {FILM, BROKEN_OFF}
    assert all(replay.finished_at is not None for replay in replays.values())
    assert kernel.browsers.replays.download(FILM, id_or_name=SESSION).read() == PICTURES
