"""The disk of the host: what would take its reserve is refused or stopped, and who takes it all the same ends."""
from __future__ import annotations

import io
import os
import pwd
import subprocess
import zipfile
from typing import Any, Callable, Iterator, NamedTuple

import httpx
import pytest
from kernel import Kernel

from harness import leaks, sessions
from harness.deadline import eventually
from harness.files import Fs, refused
from harness.server import BINARY, KEY, Server
from harness.sessions import sh
from harness.small_disk import SmallDisk, small_disk

MIB = 1 << 20
RESERVE = 1024 * MIB
MARGIN = RESERVE // 4
# What everybody who asks first leaves free.
KEPT = RESERVE + MARGIN
# With so much left nobody is looked at.
CALM = KEPT + MARGIN
USER = "browserd-test-reserve"
HOME = "/home/kernel"
GUEST_LOG = "/var/log/browserd/guest.log"


class Host(NamedTuple):
    """A server on a disk of its own."""

    server: Server
    disk: SmallDisk


@pytest.fixture(scope="module", params=["root", "rootless"])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    """As root on a file system that keeps blocks for root, and sessions have no limit of their own; as a user on one without."""
    as_root = request.param == "root"
    settings = {"BROWSERD_DISK_RESERVE_MIB": str(RESERVE // MIB), "BROWSERD_CREATE_WAIT_SECONDS": "0"}
    with small_disk(8 << 30, root_blocks=as_root) as disk:
        if as_root:
            settings["BROWSERD_SESSION_DISK_MIB"] = "0"
        else:
            subprocess.run(["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", USER], check=False, capture_output=True)
            pwd.getpwnam(USER)
        state = disk.folder / "state"
        state.mkdir()
        try:
            server = Server(user=None if as_root else USER, state_dir=state, extra_env=settings)
            try:
                yield Host(server, disk)
                disk.leave(2 * CALM)
                server.stop_and_count()
            finally:
                server.stop()
                server.discard()
        finally:
            if not as_root:
                subprocess.run(["userdel", USER], check=False, capture_output=True)


@pytest.fixture
def disk(host: Host) -> Iterator[SmallDisk]:
    host.disk.leave(2 * CALM)
    yield host.disk
    host.disk.leave(2 * CALM)


@pytest.fixture
def client(host: Host) -> Iterator[Kernel]:
    with sessions.client(host.server.base_url, KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def create(host: Host, client: Kernel, disk: SmallDisk) -> Iterator[Callable[[], Any]]:
    """Makes sessions of a test, which nothing is left of afterwards."""
    made: list[Any] = []

    def create() -> Any:
        made.append(sessions.create(client))
        return made[-1]

    yield create
    disk.leave(2 * CALM)
    for browser in made:
        if client.browsers.retrieve(browser.session_id, include_deleted=True).deleted_at is None:
            client.browsers.delete_by_id(browser.session_id)
    eventually(lambda: not leaks.left_over([browser.session_id for browser in made], host.server.state_dir), "nothing of the sessions is left", 30)


@pytest.fixture
def browser(create: Callable[[], Any]) -> Any:
    return create()


@pytest.fixture
def fs(host: Host, browser: Any) -> Iterator[Fs]:
    made = Fs.by_key(host.server.base_url, KEY, browser)
    yield made
    made.close()


def no_room(answer: httpx.Response) -> None:
    """It is refused for the host's sake, with what there is and what is kept."""
    refused(answer, 507, "insufficient_storage")
    assert answer.headers["x-should-retry"] == "false"
    details = {detail["code"]: int(detail["message"]) for detail in answer.json()["details"]}
    assert details["kept_free_bytes"] == KEPT and details["available_bytes"] < KEPT + 64 * MIB, details
    assert "the host's disk has" in answer.json()["message"]


def pieces(size: int) -> Iterator[bytes]:
    for _ in range(size // MIB):
        yield b"x" * MIB


def spawn(client: Kernel, browser: Any, script: str) -> str:
    started = client.browsers.process.spawn(browser.session_id, command="/bin/sh", args=["-c", script])
    return started.process_id or ""


def status(client: Kernel, browser: Any, process: str) -> Any:
    return client.browsers.process.status(process, id_or_name=browser.session_id)


def test_what_clients_send_is_refused_before_the_reserve(disk: SmallDisk, client: Kernel, browser: Any, fs: Fs) -> None:
    ran = sh(client, browser.session_id, "head -c 60M /dev/zero > /dev/shm/large")
    assert ran.code == 0, ran
    assert fs.write(f"{HOME}/before", b"x").status_code == 201
    disk.leave(KEPT + 48 * MIB)
    no_room(fs.write(f"{HOME}/large", b"x" * (64 * MIB)))
    no_room(fs.write(f"{HOME}/streamed", pieces(256 * MIB)))
    half = os.urandom(32 * MIB)
    no_room(fs.form("upload", [("files[0][dest_path]", f"{HOME}/a"), ("files[0][file]", half), ("files[1][dest_path]", f"{HOME}/b"), ("files[1][file]", half)]))
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("z/zeros", bytes(128 * MIB))
    no_room(fs.form("upload_zip", [("dest_path", HOME), ("zip_file", zipped.getvalue())]))
    no_room(fs.put("move", src_path="/dev/shm/large", dest_path=f"{HOME}/moved"))
    assert {"large", "streamed", "a", "b", "z", "moved"} & set(fs.names(HOME)) == set()
    assert fs.names("/dev/shm").count("large") == 1
    # What fits is taken.
    assert fs.write(f"{HOME}/small", b"x" * MIB).status_code == 201

    disk.leave(KEPT - MIB)
    no_room(fs.write(f"{HOME}/byte", b"x"))
    no_room(fs.put("create_directory", path=f"{HOME}/folder"))
    no_room(fs.http.post("/replays", json={}))
    assert disk.available() > RESERVE
    # What makes room, and what takes none, goes on.
    assert fs.read(f"{HOME}/before").text == "x"
    assert fs.put("delete_file", path=f"{HOME}/before").status_code == 200
    assert sh(client, browser.session_id, "echo alive").out == "alive\n"
    disk.leave(CALM)
    assert fs.write(f"{HOME}/byte", b"x").status_code == 201


def test_no_session_is_made_of_the_reserve(host: Host, disk: SmallDisk, client: Kernel) -> None:
    disk.leave(KEPT + 8 * MIB)
    answer = httpx.post(f"{host.server.base_url}/browsers", json={"headless": True}, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)
    assert answer.status_code == 529 and answer.json()["code"] == "capacity_exhausted", answer.text
    assert answer.headers["x-should-retry"] == "true" and "kept free" in answer.json()["message"]
    assert {"code": "limit", "message": "disk"} in answer.json()["details"]
    disk.leave(CALM)
    made = sessions.create(client)
    client.browsers.delete_by_id(made.session_id)
    eventually(lambda: not leaks.left_over([made.session_id], host.server.state_dir), "nothing is left", 30)


def test_the_biggest_writer_is_stopped_and_no_other(host: Host, disk: SmallDisk, client: Kernel, create: Callable[[], Any]) -> None:
    has_much, writes_little, writes_much = create(), create(), create()
    # Much, but from before.
    much = spawn(client, has_much, "head -c 400M /dev/zero > ~/much; echo > ~/done; exec sleep 600")
    eventually(lambda: sh(client, has_much.session_id, "test -e ~/done").code == 0, "it is written", 60)
    disk.leave(CALM + 200 * MIB)
    little = spawn(client, writes_little, "head -c 48M /dev/zero > ~/little; exec sleep 600")
    endless = spawn(client, writes_much, "while :; do head -c 8M /dev/zero >> ~/on; sleep 0.05; done")
    eventually(lambda: status(client, writes_much, endless).state == "exited", "the writer is stopped", 60)
    assert disk.available() >= RESERVE, "the reserve was touched"
    assert status(client, writes_much, endless).exit_code == 137
    assert status(client, has_much, much).state == "running"
    assert status(client, writes_little, little).state == "running"
    # It says why, inside and outside, and the session lives.
    log = client.browsers.fs.read_file(writes_much.session_id, path=GUEST_LOG).read().decode()
    assert "processes are killed: the host's disk has" in log
    assert "the reserve of the disk is near" in host.server.log()
    client.browsers.fs.delete_file(writes_much.session_id, path=f"{HOME}/on")
    disk.leave(CALM)
    client.browsers.fs.write_file(writes_much.session_id, b"x", path=f"{HOME}/again")


def test_who_takes_everything_at_once_ends_and_gives_it_back(host: Host, disk: SmallDisk, client: Kernel, create: Callable[[], Any]) -> None:
    greedy, other = create(), create()
    kept = spawn(client, other, "exec sleep 600")
    before = disk.available()
    spawn(client, greedy, f"fallocate -l {before - MIB} ~/all; exec sleep 600")
    ended = lambda: client.browsers.retrieve(greedy.session_id, include_deleted=True).deleted_at is not None
    eventually(ended, "the session ends", 60)
    eventually(lambda: disk.available() > before - 64 * MIB, "there is room again", 30)
    log = host.server.log()
    assert "DiskFull" in log or '"disk_full"' in log
    assert "this session wrote most of late" in log
    assert status(client, other, kept).state == "running"
    client.browsers.fs.write_file(other.session_id, b"x" * MIB, path=f"{HOME}/mine")


def test_a_recording_ends_and_is_kept_once_there_is_room(host: Host, disk: SmallDisk, client: Kernel, browser: Any) -> None:
    replays = client.browsers.replays
    started = replays.start(browser.session_id, framerate=10)
    disk.leave(RESERVE - 4 * MIB)
    eventually(lambda: "a recording stays in its session until there is room for it" in host.server.log(), "it has ended", 60)
    found = lambda: next(item for item in replays.list(browser.session_id) if item.replay_id == started.replay_id)
    assert found().finished_at is None
    disk.leave(CALM)
    eventually(lambda: found().finished_at is not None, "the recording is kept", 60)
    assert found().to_dict()["end_reason"] == "disk_limit"
    movie = replays.download(started.replay_id, id_or_name=browser.session_id).read()
    assert movie[4:8] == b"ftyp"


def test_a_profile_is_not_saved_into_the_reserve(host: Host, disk: SmallDisk, client: Kernel) -> None:
    profile = client.profiles.create(name="kept-free")
    settings: dict[str, Any] = {"profile": {"id": profile.id, "save_changes": True}}
    saved = lambda: httpx.get(f"{host.server.base_url}/profiles/{profile.id}/download", headers={"Authorization": f"Bearer {KEY}"}, timeout=60).status_code
    first = sessions.create(client, **settings)
    disk.leave(RESERVE - MIB)
    client.browsers.delete_by_id(first.session_id)
    eventually(lambda: not leaks.left_over([first.session_id], host.server.state_dir), "nothing is left", 60)
    assert saved() == 202
    assert "a profile was not saved" in host.server.log()
    disk.leave(2 * CALM)
    second = sessions.create(client, **settings)
    client.browsers.delete_by_id(second.session_id)
    eventually(lambda: not leaks.left_over([second.session_id], host.server.state_dir), "nothing is left", 60)
    assert saved() == 200
    client.profiles.delete(profile.id)


def test_doctor_says_what_is_kept(host: Host, disk: SmallDisk) -> None:
    def says(reserve: str) -> str:
        environment = {"PATH": os.environ["PATH"], "HOME": "/", "BROWSERD_STATE_DIR": str(host.server.state_dir), "BROWSERD_DISK_RESERVE_MIB": reserve}
        return subprocess.run([str(BINARY), "doctor"], capture_output=True, text=True, env=environment).stdout
    assert "1.0 GiB are kept free" in says("1024")
    assert "until the host has nothing left" in says("0")
    disk.leave(KEPT - MIB)
    assert "no session is made" in says("1024")
