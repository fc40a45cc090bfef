"""How long recordings are kept."""
from __future__ import annotations

import os
import pathlib
import shutil
import signal
import sqlite3
import tempfile
from typing import Any, Iterator

import httpx
import kernel as sdk
import pytest

from harness import leaks, sessions
from harness.deadline import eventually
from harness.server import KEY, Server

DAY = 24 * 3600


@pytest.fixture
def state() -> Iterator[pathlib.Path]:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="browserd-test-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def record(server: Server, many: int = 1) -> tuple[str, list[Any]]:
    """Recordings of a session, one after the other."""
    with sessions.client(server.base_url, KEY) as client:
        browser = sessions.create(client)
        made = []
        for _ in range(many):
            replay = client.browsers.replays.start(browser.session_id)
            client.browsers.replays.stop(replay.replay_id, id_or_name=browser.session_id)
            assert client.browsers.replays.download(replay.replay_id, id_or_name=browser.session_id).read()
            made.append(next(item for item in client.browsers.replays.list(browser.session_id) if item.replay_id == replay.replay_id))
        client.browsers.delete_by_id(browser.session_id)
        return browser.session_id, made


def files(state: pathlib.Path) -> set[str]:
    return {path.name.removesuffix(".mp4") for path in (state / "blobs").rglob("*") if path.is_file()}


def age(state: pathlib.Path, replay_id: str, seconds: float) -> None:
    """Lets a recording have ended earlier."""
    with sqlite3.connect(state / "browserd.db") as database:
        changed = database.execute("UPDATE replays SET finished_at = finished_at - ? WHERE id = ?", (int(seconds * 1_000_000), replay_id))
        assert changed.rowcount == 1
    database.close()


def test_the_recordings_of_a_killed_server_are_kept_by_the_next(state: pathlib.Path) -> None:
    first = Server(state_dir=state)
    try:
        with sessions.client(first.base_url, KEY) as client:
            browser = sessions.create(client)
            replay = client.browsers.replays.start(browser.session_id)
            inside = lambda: [file for file in (state / "sessions").glob(f"*/*/var/lib/browserd/replays/{replay.replay_id}.mp4") if file.stat().st_size]
            eventually(inside, "something was recorded", 30)
            os.kill(first.pid, signal.SIGKILL)
            first.process.wait(30)
    finally:
        first.stop()
        first.log_path.unlink()
    again = Server(state_dir=state)
    try:
        with sessions.client(again.base_url, KEY) as client:
            item = eventually(lambda: next((item for item in client.browsers.replays.list(browser.session_id) if item.finished_at), None), "its end is recorded", 30)
            film = client.browsers.replays.download(replay.replay_id, id_or_name=browser.session_id).read()
        assert item.end_reason == "session_ended" and item.size_bytes == len(film) and film[4:8] == b"ftyp"
        assert not list((state / "rescued").iterdir()), "the only copy is among the blobs"
        # its processes have no parent any more: the host's init reaps them, in its time
        eventually(lambda: not leaks.left_over([browser.session_id], state), "nothing of the session is left")
        again.stop_and_count()
    finally:
        again.stop()
        again.log_path.unlink()


def test_a_recording_is_removed_when_its_time_is_over(state: pathlib.Path) -> None:
    first = Server(state_dir=state)
    try:
        session_id, (old, young) = record(first, 2)
    finally:
        first.stop()
    assert files(state) == {old.replay_id, young.replay_id}
    age(state, old.replay_id, 30 * DAY + 60)
    age(state, young.replay_id, 30 * DAY - 3600)
    again = Server(state_dir=state)
    try:
        with sessions.client(again.base_url, KEY) as client:
            listed = lambda: [item.replay_id for item in client.browsers.replays.list(session_id)]
            eventually(lambda: listed() == [young.replay_id], "the old one is gone", 30)
            assert files(state) == {young.replay_id}
            with pytest.raises(sdk.NotFoundError) as refusal:
                client.browsers.replays.download(old.replay_id, id_or_name=session_id)
            assert refusal.value.response.json()["code"] == "replay_not_found"
            assert client.browsers.replays.download(young.replay_id, id_or_name=session_id).read()
        assert httpx.get(old.replay_view_url.replace(first.base_url, again.base_url)).status_code == 404
        assert httpx.get(young.replay_view_url.replace(first.base_url, again.base_url)).status_code == 200
        again.stop_and_count()
    finally:
        again.stop()
    forever = Server(state_dir=state, extra_env={"BROWSERD_RECORDING_RETENTION_DAYS": "0"})
    age(state, young.replay_id, 3000 * DAY)
    try:
        # The end of another recording is when it is looked again.
        record(forever)
        with sessions.client(forever.base_url, KEY) as client:
            assert client.browsers.replays.download(young.replay_id, id_or_name=session_id).read()
        forever.stop_and_count()
    finally:
        forever.stop()
        for server in (first, again, forever):
            server.log_path.unlink(missing_ok=True)


def test_the_first_go_when_all_are_too_much(state: pathlib.Path) -> None:
    server = Server(state_dir=state)
    try:
        session_id, (old, young) = record(server, 2)
        server.stop()
        # What one of them is said to take is as much as all may.
        with sqlite3.connect(state / "browserd.db") as database:
            database.execute("UPDATE replays SET size = ?", (1 << 20,))
        database.close()
        server.log_path.unlink()
        server = Server(state_dir=state, extra_env={"BROWSERD_RECORDINGS_LIMIT_MIB": "1"})
        eventually(lambda: files(state) == {young.replay_id}, "the first is gone", 30)
        # One more, and the other goes as well.
        _, (newest,) = record(server)
        eventually(lambda: files(state) == {newest.replay_id}, "the second is gone", 30)
        server.stop_and_count()
    finally:
        server.stop()
        server.log_path.unlink(missing_ok=True)


def test_a_session_is_forgotten_when_its_time_is_over(state: pathlib.Path) -> None:
    server = Server(state_dir=state)
    try:
        with sessions.client(server.base_url, KEY) as client:
            old, young = (sessions.create(client, chrome_policy={"BookmarkBarEnabled": False}).session_id for _ in range(2))
            for session_id in (old, young):
                client.browsers.delete_by_id(session_id)
            ended = lambda: sorted(browser.session_id for browser in client.browsers.list(status="deleted"))
            assert ended() == sorted([old, young])
        server.stop_and_count()
        with sqlite3.connect(state / "browserd.db") as database:
            assert database.execute("SELECT COUNT(*) FROM sessions WHERE config LIKE '%Bookmark%'").fetchone() == (0,)
            for session_id, days in ((old, 3), (young, 1)):
                database.execute("UPDATE sessions SET ended_at = ended_at - ? WHERE id = ?", (days * DAY * 1_000_000, session_id))
        database.close()
        server.log_path.unlink()
        server = Server(state_dir=state, extra_env={"BROWSERD_SESSION_RETENTION_DAYS": "2"})
        with sessions.client(server.base_url, KEY) as client:
            ended = lambda: [browser.session_id for browser in client.browsers.list(status="deleted")]
            eventually(lambda: ended() == [young], "the old one is forgotten", 30)
            with pytest.raises(sdk.NotFoundError) as refusal:
                client.browsers.retrieve(old, include_deleted=True)
            assert refusal.value.response.json()["code"] == "browser_not_found"
        server.stop_and_count()
    finally:
        server.stop()
        server.log_path.unlink(missing_ok=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root inside: it takes the guest's own folder away")
def test_the_cause_of_a_500_is_in_the_servers_log_at_every_level(state: pathlib.Path) -> None:
    server = Server(state_dir=state, extra_env={"BROWSERD_LOG": "error"})
    try:
        with sessions.client(server.base_url, KEY, max_retries=0) as client:
            browser = sessions.create(client)
            ran = sessions.sh(client, browser.session_id, "rm -rf /var/lib/browserd && touch /var/lib/browserd", as_root=True)
            assert ran.code == 0, ran
            with pytest.raises(sdk.InternalServerError) as failure:
                client.browsers.load_extensions(
                    browser.session_id, extensions=[{"name": "x", "zip_file": ("x.zip", b"PK")}], extra_headers={"x-request-id": "find-me-1"})
            assert failure.value.status_code == 500
            assert failure.value.response.headers["x-request-id"] == "find-me-1"
            found = lambda: [line for line in server.log().splitlines() if "find-me-1" in line]
            eventually(lambda: any("Not a directory" in line for line in found()), "the cause is logged", 30)
            assert any(browser.session_id in line and "guest failed" in line for line in found())
            shim = (state / "sessions" / browser.session_id / "shim.log").read_text()
            assert "find-me-1" in shim and '"level":"ERROR"' in shim
            client.browsers.delete_by_id(browser.session_id)
        server.stop_and_count()
    finally:
        server.stop()
        server.log_path.unlink(missing_ok=True)
