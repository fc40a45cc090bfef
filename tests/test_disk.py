"""What a session may have on the disk of the host: what clients send is refused, what runs inside is stopped."""
from __future__ import annotations

import io
import os
import pwd
import subprocess
import tarfile
import threading
import zipfile
from typing import Any, Iterator

import kernel as sdk
import pytest
from kernel import Kernel

from harness import leaks, sessions
from harness.deadline import eventually
from harness.files import Fs, refused
from harness.server import KEY, Server, serving
from harness.sessions import sh

MIB = 1 << 20
LIMIT = 256 * MIB
# How far processes may get before they are killed.
SLACK = 64 * MIB
USER = "browserd-test-disk"
HOME = "/home/kernel"
NO_ROOM = "there is no room for"


@pytest.fixture(scope="module", params=["root", "rootless"])
def small(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server whose sessions may have little."""
    user = None
    if os.geteuid() == 0 and request.param == "rootless":
        user = USER
        subprocess.run(["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", USER], check=False, capture_output=True)
        pwd.getpwnam(USER)
    elif os.geteuid() != 0 and request.param == "root":
        pytest.skip("needs root")
    try:
        with serving(user=user, extra_env={"BROWSERD_SESSION_DISK_MIB": str(LIMIT // MIB)}) as server:
            yield server
    finally:
        if user:
            subprocess.run(["userdel", USER], check=False, capture_output=True)


@pytest.fixture
def client(small: Server) -> Iterator[Kernel]:
    with sessions.client(small.base_url, KEY) as client:
        yield client


@pytest.fixture
def browser(client: Kernel, small: Server) -> Iterator[Any]:
    made = sessions.create(client)
    yield made
    client.browsers.delete_by_id(made.session_id)
    # what is freed meanwhile hides from the next one what its processes write, until the next count
    eventually(lambda: not leaks.left_over([made.session_id], small.state_dir), "nothing of the session is left")


@pytest.fixture
def fs(small: Server, browser: Any) -> Iterator[Fs]:
    made = Fs.by_key(small.base_url, KEY, browser)
    yield made
    made.close()


def refused_in_time(fs: Fs, size: int) -> None:
    """A write is refused for what processes wrote, by the next count at the latest (decision 27)."""
    eventually(lambda: fs.write(f"{HOME}/not", b"x" * size).status_code != 201, "there is no room", 60)
    refused(fs.write(f"{HOME}/not", b"x" * size), 507, "insufficient_storage")


def used(answer: Any) -> int:
    """What a refusal says is there; it names the limit too."""
    details = {detail["code"]: detail["message"] for detail in answer.json()["details"]}
    assert details["limit_bytes"] == str(LIMIT)
    assert NO_ROOM in answer.json()["message"] and str(LIMIT) in answer.json()["message"]
    assert answer.headers["x-should-retry"] == "false"
    return int(details["used_bytes"])


def on_disk(server: Server, session_id: str) -> int:
    """Bytes of the session's folder, as the host sees them."""
    out = subprocess.run(["du", "-s", "-B1", str(server.state_dir / "sessions" / session_id)], capture_output=True, text=True)
    return int(out.stdout.split()[0])


def part_files(server: Server, session_id: str) -> list[str]:
    folder = server.state_dir / "sessions" / session_id
    return [str(path) for path in folder.rglob(".browserd-part-*")]


def pieces(size: int) -> Iterator[bytes]:
    for _ in range(size // MIB):
        yield b"x" * MIB


def test_a_write_is_refused_at_the_boundary_and_not_before(small: Server, client: Kernel, browser: Any, fs: Fs) -> None:
    with pytest.raises(sdk.APIStatusError) as refusal:
        client.with_options(max_retries=0).browsers.fs.write_file(browser.session_id, b"x" * (LIMIT + MIB), path=f"{HOME}/new/large")
    assert refusal.value.status_code == 507
    answer = refusal.value.response
    room = LIMIT - used(answer)
    assert 0 < room < LIMIT
    # The browser writes too, a little.
    client.browsers.fs.write_file(browser.session_id, b"x" * (room - 8 * MIB), path=f"{HOME}/fits")
    assert fs.get("file_info", path=f"{HOME}/fits").json()["size_bytes"] == room - 8 * MIB
    answer = fs.write(f"{HOME}/more", b"x" * (16 * MIB))
    refused(answer, 507, "insufficient_storage")
    assert LIMIT - 16 * MIB < used(answer) <= LIMIT
    assert {"more", "new"} & set(fs.names(HOME)) == set()
    assert part_files(small, browser.session_id) == []
    # What is deleted is room at once.
    assert fs.put("delete_file", path=f"{HOME}/fits").status_code == 200
    assert fs.write(f"{HOME}/more", b"x" * (16 * MIB)).status_code == 201


def test_a_body_of_unknown_length_is_broken_off(small: Server, browser: Any, fs: Fs) -> None:
    refused(fs.write(f"{HOME}/streamed", pieces(LIMIT + 64 * MIB)), 507, "insufficient_storage")
    assert "streamed" not in fs.names(HOME)
    assert part_files(small, browser.session_id) == []
    assert on_disk(small, browser.session_id) < LIMIT / 2
    assert fs.write(f"{HOME}/streamed", pieces(32 * MIB)).status_code == 201


def test_uploads_and_archives_appear_whole_or_not_at_all(small: Server, browser: Any, fs: Fs) -> None:
    # Each would fit.
    half = os.urandom(LIMIT // 2)
    answer = fs.form("upload", [("files[0][dest_path]", f"{HOME}/a"), ("files[0][file]", half), ("files[1][dest_path]", f"{HOME}/b"), ("files[1][file]", half)])
    refused(answer, 507, "insufficient_storage")
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(5):
            archive.writestr(f"z/{n}", bytes(64 * MIB))
    answer = fs.form("upload_zip", [("dest_path", HOME), ("zip_file", zipped.getvalue())])
    refused(answer, 507, "insufficient_storage")
    assert used(answer) > LIMIT - 64 * MIB
    tarred = io.BytesIO()
    with tarfile.open(fileobj=tarred, mode="w") as archive:
        entry = tarfile.TarInfo("t/large")
        entry.size = LIMIT + MIB
        archive.addfile(entry, io.BytesIO(bytes(entry.size)))
    packed = subprocess.run(["zstd", "-q", "-c"], input=tarred.getvalue(), capture_output=True, check=True).stdout
    answer = fs.form("upload_zstd", [("dest_path", HOME), ("archive", packed)])
    refused(answer, 507, "insufficient_storage")
    assert {"a", "b", "z", "t"} & set(fs.names(HOME)) == set()
    assert part_files(small, browser.session_id) == []
    assert on_disk(small, browser.session_id) < LIMIT / 2


def test_a_move_from_memory_to_the_disk_counts(client: Kernel, browser: Any, fs: Fs) -> None:
    assert fs.write(f"{HOME}/fill", b"x" * (150 * MIB)).status_code == 201
    ran = sh(client, browser.session_id, "head -c 120M /dev/zero > /dev/shm/large")
    assert ran.code == 0, ran
    answer = fs.put("move", src_path="/dev/shm/large", dest_path=f"{HOME}/large")
    refused(answer, 507, "insufficient_storage")
    used(answer)
    assert "large" not in fs.names(HOME) and fs.names("/dev/shm").count("large") == 1


def test_holes_and_second_names_take_nothing(client: Kernel, browser: Any, fs: Fs) -> None:
    ran = sh(client, browser.session_id, "cd ~ && head -c 100M /dev/zero > one && for n in 1 2 3 4; do ln one two$n; done && truncate -s 100G hole")
    assert ran.code == 0, ran
    assert fs.write(f"{HOME}/fits", b"x" * (64 * MIB)).status_code == 201
    refused_in_time(fs, 120 * MIB)


def test_a_deleted_file_that_is_open_counts(client: Kernel, browser: Any, fs: Fs) -> None:
    started = client.browsers.process.spawn(
        browser.session_id, command="/bin/sh", args=["-c", "exec 3> ~/gone; head -c 200M /dev/zero >&3; rm ~/gone; echo hidden > ~/ready; exec sleep 600"])
    eventually(lambda: "ready" in fs.names(HOME), "the file is hidden", 60)
    refused_in_time(fs, 100 * MIB)
    client.browsers.process.kill(started.process_id or "", id_or_name=browser.session_id, signal="KILL")
    eventually(lambda: fs.write(f"{HOME}/now", b"x" * (100 * MIB)).status_code == 201, "there is room again", 30)


def test_very_many_files_are_too_many(client: Kernel, browser: Any, fs: Fs) -> None:
    ran = sh(client, browser.session_id, "mkdir ~/many && cd ~/many && seq 65000 | xargs touch", timeout_sec=120)
    assert ran.code == 0, ran
    ran = sh(client, browser.session_id, "cd ~/many && seq 65001 65600 | xargs touch")
    assert ran.code == 0, ran
    # Processes made them: they are known by the next count at the latest (decision 27).
    numbers = iter(range(1000))
    more = lambda: fs.put("create_directory", path=f"{HOME}/more-{next(numbers)}")
    eventually(lambda: more().status_code != 201, "there is no room for another name", 60)
    answer = more()
    refused(answer, 507, "insufficient_storage")
    assert "65536 files" in answer.json()["message"]
    assert fs.put("delete_directory", path=f"{HOME}/many").status_code == 200
    assert fs.put("create_directory", path=f"{HOME}/yet-one").status_code == 201


def test_a_process_that_writes_past_it_is_killed_and_the_session_lives(small: Server, client: Kernel, browser: Any, fs: Fs) -> None:
    other = sessions.create(client)
    # Not as fast as the disk is: who is far past the limit before anybody counts is ended (test_faults_disk).
    steadily = f"import time; out = open('{HOME}/dd', 'wb', 0)\nfor _ in range(4000): out.write(bytes(1 << 20)); time.sleep(0.02)"
    started = client.browsers.process.spawn(browser.session_id, command="python3", args=["-c", steadily])
    idle = client.browsers.process.spawn(other.session_id, command="sleep", args=["600"])
    status = lambda: client.browsers.process.status(started.process_id or "", id_or_name=browser.session_id)
    eventually(lambda: status().state == "exited", "the writer is killed", 90)
    assert status().exit_code == 137
    assert on_disk(small, browser.session_id) > LIMIT + SLACK
    refused(fs.write(f"{HOME}/small", b"x"), 507, "insufficient_storage")
    # The one who reads along learns why, inside and outside.
    assert "processes are killed: the session may have" in fs.read("/var/log/browserd/guest.log").text
    assert "a session is over its disk limit" in small.log()
    # What it wrote is there to be read and removed; then all is well.
    assert fs.get("file_info", path=f"{HOME}/dd").json()["size_bytes"] > LIMIT
    assert fs.put("delete_file", path=f"{HOME}/dd").status_code == 200
    assert fs.write(f"{HOME}/small", b"x").status_code == 201
    assert on_disk(small, browser.session_id) < LIMIT
    assert client.browsers.process.status(idle.process_id or "", id_or_name=other.session_id).state == "running"
    client.browsers.fs.write_file(other.session_id, b"x" * (64 * MIB), path=f"{HOME}/mine")
    client.browsers.delete_by_id(other.session_id)


def test_a_session_that_goes_on_writing_ends_and_says_why(small: Server, client: Kernel) -> None:
    browser = sessions.create(client)
    other = sessions.create(client)
    stop = threading.Event()

    def write_on() -> None:
        raw = client.with_options(max_retries=0)
        while not stop.is_set():
            try:
                raw.browsers.process.exec(browser.session_id, command="/bin/sh", args=["-c", "cat /dev/zero >> ~/on"], timeout_sec=60)
            except sdk.APIError:
                return

    writer = threading.Thread(target=write_on)
    writer.start()
    ended = lambda: client.browsers.retrieve(browser.session_id, include_deleted=True).deleted_at is not None
    try:
        eventually(ended, "the session ends", 120)
    finally:
        stop.set()
        writer.join(90)
    assert not writer.is_alive()
    assert '"disk_full"' in small.log() or "DiskFull" in small.log()
    assert sh(client, other.session_id, "echo alive").out == "alive\n"
    client.browsers.delete_by_id(other.session_id)
    folder = small.state_dir / "sessions" / browser.session_id
    eventually(lambda: not folder.exists(), "its room is free again", 30)


def test_what_is_allocated_in_one_go_does_not_stay(small: Server, client: Kernel) -> None:
    """Nothing is written: it is there before anybody has looked, and killing whoever did it changes nothing."""
    browser = sessions.create(client)
    ran = client.browsers.process.spawn(browser.session_id, command="fallocate", args=["-l", str(6 * LIMIT), f"{HOME}/all"])
    assert ran.process_id
    ended = lambda: client.browsers.retrieve(browser.session_id, include_deleted=True).deleted_at is not None
    eventually(ended, "the session ends", 60)
    assert "it is far over it" in small.log()
    eventually(lambda: not leaks.left_over([browser.session_id], small.state_dir), "nothing of the session is left", 30)


def test_a_recording_ends_with_the_reason_and_the_session_goes_on(client: Kernel, browser: Any, fs: Fs) -> None:
    replays = client.browsers.replays
    started = replays.start(browser.session_id, framerate=10)
    # Over the limit and not as far as processes are killed for.
    full = fs.write(f"{HOME}/fill", b"x" * LIMIT)
    ran = sh(client, browser.session_id, f"head -c {LIMIT + MIB - used(full)} /dev/zero > ~/over")
    assert ran.code == 0, ran
    refused_in_time(fs, MIB)
    found = lambda: next(item for item in replays.list(browser.session_id) if item.replay_id == started.replay_id)
    eventually(lambda: found().finished_at is not None, "the recording ends", 60)
    assert found().to_dict()["end_reason"] == "disk_limit"
    movie = replays.download(started.replay_id, id_or_name=browser.session_id).read()
    assert movie[4:8] == b"ftyp"
    answer = fs.http.post("/replays", json={})
    assert answer.status_code in (201, 507)
    assert fs.put("delete_file", path=f"{HOME}/over").status_code == 200
    again = replays.start(browser.session_id, framerate=10)
    replays.stop(again.replay_id, id_or_name=browser.session_id)


def test_doctor_says_what_keeps_the_limit(small: Server) -> None:
    from harness.server import BINARY
    out = subprocess.run([str(BINARY), "doctor"], capture_output=True, text=True, env={"PATH": os.environ["PATH"], "HOME": "/", "BROWSERD_STATE_DIR": str(small.state_dir), "BROWSERD_SESSION_DISK_MIB": "256"})
    assert "256 MiB" in out.stdout and "not kept by a quota" in out.stdout, out.stdout
    out = subprocess.run([str(BINARY), "doctor"], capture_output=True, text=True, env={"PATH": os.environ["PATH"], "HOME": "/", "BROWSERD_STATE_DIR": str(small.state_dir), "BROWSERD_SESSION_DISK_MIB": "0"})
    assert "may fill" in out.stdout, out.stdout
