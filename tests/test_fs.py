"""Files of a session: one by one, in trees, and as forms."""
from __future__ import annotations

import datetime
import hashlib
import io
import os
import pathlib
import socket
import threading
from typing import Any, Iterator
from urllib.parse import urlsplit

import httpx
import kernel as sdk
import pytest
from kernel import Kernel

from harness import leaks
from harness.deadline import eventually
from harness.files import Fs, refused
from harness.server import KEY, Server
from harness.sessions import sh


@pytest.fixture(params=["headless by key", "headless direct", "headful by key"])
def fs(request: pytest.FixtureRequest, server: Server) -> Iterator[Fs]:
    browser = request.getfixturevalue(request.param.split()[0])
    made = Fs.direct(browser) if request.param.endswith("direct") else Fs.by_key(server.base_url, KEY, browser)
    yield made
    made.put("delete_directory", path="/home/kernel/t")
    made.close()


@pytest.fixture
def one(headless: Any, server: Server) -> Iterator[Fs]:
    """Headless, by key."""
    made = Fs.by_key(server.base_url, KEY, headless)
    yield made
    made.put("delete_directory", path="/home/kernel/t")
    made.close()


T = "/home/kernel/t"


# --- with the official client


@pytest.mark.parametrize("which", ["headless", "headful"])
def test_every_operation_through_the_sdk(kernel: Kernel, request: pytest.FixtureRequest, which: str) -> None:
    session_id = request.getfixturevalue(which).session_id
    fs = kernel.browsers.fs
    fs.create_directory(session_id, path=f"{T}/dir", mode="750")
    fs.write_file(session_id, b"content", path=f"{T}/dir/file", mode="600")
    assert fs.read_file(session_id, path=f"{T}/dir/file").read() == b"content"
    info = fs.file_info(session_id, path=f"{T}/dir/file")
    assert (info.name, info.path, info.size_bytes, info.is_dir, info.mode) == ("file", f"{T}/dir/file", 7, False, "-rw-------")
    assert abs((datetime.datetime.now(datetime.timezone.utc) - info.mod_time).total_seconds()) < 600
    assert fs.file_info(session_id, path=f"{T}/dir").mode == "drwxr-x---"
    fs.set_file_permissions(session_id, path=f"{T}/dir/file", mode="0644", owner="kernel", group="kernel")
    assert [entry.mode for entry in fs.list_files(session_id, path=f"{T}/dir")] == ["-rw-r--r--"]
    fs.move(session_id, src_path=f"{T}/dir/file", dest_path=f"{T}/moved")
    fs.delete_file(session_id, path=f"{T}/moved")
    assert fs.list_files(session_id, path=f"{T}/dir") == []
    fs.upload(session_id, files=[
        {"dest_path": f"{T}/one", "file": b"1"},
        {"dest_path": f"{T}/deep/er/two", "file": io.BytesIO(b"22")},
        {"dest_path": f"{T}/three", "file": ("name.txt", b"333")},
    ])
    assert {name: fs.read_file(session_id, path=f"{T}/{name}").read() for name in ("one", "deep/er/two", "three")} == {
        "one": b"1", "deep/er/two": b"22", "three": b"333",
    }
    archive = fs.download_dir_zip(session_id, path=T).read()
    fs.upload_zip(session_id, dest_path=f"{T}/unpacked", zip_file=archive)
    assert fs.read_file(session_id, path=f"{T}/unpacked/deep/er/two").read() == b"22"
    with pytest.raises(sdk.NotFoundError):
        fs.read_file(session_id, path=f"{T}/nothing")
    with pytest.raises(sdk.BadRequestError):
        fs.read_file(session_id, path=T)
    fs.delete_directory(session_id, path=T)
    with pytest.raises(sdk.NotFoundError):
        fs.delete_directory(session_id, path=T)


# --- reading and writing


def test_bytes_survive(fs: Fs) -> None:
    for content in (b"", b"x", bytes(range(256)) * 17, os.urandom(3_000_000)):
        answer = fs.write(f"{T}/a/b/file", content)
        assert answer.status_code == 201 and answer.content == b"", answer.text
        read = fs.read(f"{T}/a/b/file")
        assert read.status_code == 200 and read.content == content
        assert read.headers["content-type"] == "application/octet-stream"
        assert read.headers["content-length"] == str(len(content))
    assert fs.names(f"{T}/a/b") == ["file"]


def test_chunked_bodies(one: Fs) -> None:
    pieces = [os.urandom(n) for n in (1, 70_000, 300_000, 5)]
    assert one.write(f"{T}/f", iter(pieces)).status_code == 201
    assert one.read(f"{T}/f").content == b"".join(pieces)


def test_new_files_and_folders_are_the_browser_users(kernel: Kernel, headless: Any, one: Fs) -> None:
    one.write(f"{T}/a/b/file", b"x")
    one.put("create_directory", path=f"{T}/c/d")
    found = sh(kernel, headless.session_id, f"cd {T} && stat -c '%n %U:%G %a' a a/b a/b/file c c/d").out.split("\n")[:-1]
    assert found == ["a kernel:kernel 755", "a/b kernel:kernel 755", "a/b/file kernel:kernel 644", "c kernel:kernel 755", "c/d kernel:kernel 755"]


def test_a_file_that_is_replaced_keeps_what_it_was(kernel: Kernel, headless: Any, one: Fs) -> None:
    one.write(f"{T}/f", b"old", mode="640")
    sh(kernel, headless.session_id, f"chown 0:0 {T}/f", as_root=True)
    one.write(f"{T}/f", b"new")
    assert sh(kernel, headless.session_id, f"stat -c '%u %a' {T}/f").out.split() == ["0", "640"]
    one.write(f"{T}/f", b"new", mode="4711")
    assert sh(kernel, headless.session_id, f"stat -c '%u %a' {T}/f").out.split() == ["1000", "4711"]
    assert one.get("file_info", path=f"{T}/f").json()["mode"] == "urwx--x--x"


def test_writing_is_one_step(kernel: Kernel, headless: Any, server: Server, one: Fs) -> None:
    """A reader sees the old content or the new; a client that leaves half-way changes nothing."""
    one.write(f"{T}/f", b"old")
    address = urlsplit(server.base_url)
    with socket.create_connection((address.hostname or "", address.port or 0)) as raw:
        raw.sendall(
            f"PUT /browsers/{headless.session_id}/fs/write_file?path={T}/f HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            "Content-Type: application/octet-stream\r\nContent-Length: 9000000\r\n\r\n".encode() + b"n" * 2_000_000
        )
        eventually(lambda: len(one.names(T)) == 2, "the unfinished file is there")
        assert one.read(f"{T}/f").content == b"old"
    eventually(lambda: one.names(T) == ["f"], "nothing half written stays")
    assert one.read(f"{T}/f").content == b"old"


def test_no_room_is_507_and_leaves_nothing(kernel: Kernel, headless: Any, one: Fs) -> None:
    """/dev/shm of a session is a small file system of its own."""
    free = int(sh(kernel, headless.session_id, "df -B1 --output=avail /dev/shm | tail -1").out)
    big = iter([bytes(1 << 20)] * ((free >> 20) + 2))
    answer = one.write("/dev/shm/t/big", big)
    refused(answer, 507, "insufficient_storage")
    assert answer.headers["x-should-retry"] == "false"
    assert "t" not in one.names("/dev/shm")
    # what was there stays there
    assert one.write("/dev/shm/kept", b"kept").status_code == 201
    assert one.write("/dev/shm/kept", iter([bytes(1 << 20)] * ((free >> 20) + 2))).status_code == 507
    assert one.read("/dev/shm/kept").content == b"kept"
    assert not [name for name in one.names("/dev/shm") if name.startswith(".browserd")]
    # moved across file systems, it does not fit either
    sh(kernel, headless.session_id, f"mkdir -p {T} && truncate -s {free + (64 << 20)} {T}/sparse")
    refused(one.put("move", src_path=f"{T}/sparse", dest_path="/dev/shm/sparse"), 507, "insufficient_storage")
    assert one.names(T) == ["sparse"] and "sparse" not in one.names("/dev/shm")
    one.put("delete_file", path="/dev/shm/kept")


def test_links_are_followed_to_what_is_written(kernel: Kernel, headless: Any, one: Fs) -> None:
    sh(kernel, headless.session_id, f"mkdir -p {T}/real && cd {T} && echo old > real/f && ln -s real/f l && ln -s l l2 && ln -s {T}/real/new l3 && ln -s loop loop && ln -s real d")
    assert one.write(f"{T}/l2", b"new").status_code == 201
    assert one.read(f"{T}/real/f").content == b"new"
    assert one.get("list_files", path=T).json()[2]["mode"].startswith("L")
    assert one.write(f"{T}/l3", b"x").status_code == 201
    assert one.read(f"{T}/real/new").content == b"x"
    assert one.write(f"{T}/d/through", b"x").status_code == 201
    refused(one.write(f"{T}/loop", b"x"), 400, "invalid_input", "path")
    refused(one.write(f"{T}/d", b"x"), 400, "invalid_input", "path")


@pytest.mark.parametrize("path", ["", "tmp", "./tmp", "~/x", "/tmp/\0x", "/" + "x/" * 3000])
def test_paths_that_are_none(one: Fs, path: str) -> None:
    for answer in (
        one.read(path), one.write(path, b"x"), one.get("list_files", path=path), one.get("file_info", path=path),
        one.get("download_dir_zip", path=path), one.put("create_directory", path=path), one.put("delete_file", path=path),
        one.put("delete_directory", path=path), one.put("set_file_permissions", path=path, mode="644"),
        one.http.post("/fs/watch", json={"path": path}),
    ):
        refused(answer, 400, "invalid_input", "path")
    refused(one.put("move", src_path=path, dest_path="/tmp/x"), 400, "invalid_input", "src_path")
    refused(one.put("move", src_path="/tmp/x", dest_path=path), 400, "invalid_input", "dest_path")


def test_missing_parameters_and_modes(one: Fs) -> None:
    refused(one.get("read_file"), 400, "invalid_input", "path")
    refused(one.put("move", src_path="/x"), 400, "invalid_input", "dest_path")
    for mode in ("", "64", "00644", "rwx", "648"):
        refused(one.write(f"{T}/f", b"x", mode=mode), 400, "invalid_input", "mode")
        refused(one.put("create_directory", path=T, mode=mode), 400, "invalid_input", "mode")
        refused(one.put("set_file_permissions", path="/tmp", mode=mode), 400, "invalid_input", "mode")
    refused(one.get("file_info", path=T), 404, "not_found")


def test_only_regular_files(kernel: Kernel, headless: Any, one: Fs) -> None:
    sh(kernel, headless.session_id, f"mkdir -p {T}/dir && mkfifo {T}/pipe && python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('{T}/socket')\"")
    for name in ("dir", "pipe", "socket"):
        refused(one.read(f"{T}/{name}"), 400, "invalid_input", "path")
        refused(one.write(f"{T}/{name}", b"x"), 400, "invalid_input", "path")
    for device in ("/dev/zero", "/dev/null", "/dev/ptmx"):
        refused(one.read(device), 400, "invalid_input", "path")
        refused(one.write(device, b"x"), 400, "invalid_input", "path")
    assert [entry["mode"][0] for entry in one.get("list_files", path=T).json()] == ["d", "p", "S"]


def test_the_guest_itself_is_out_of_reach(kernel: Kernel, headless: Any, one: Fs) -> None:
    sh(kernel, headless.session_id, f"mkdir -p {T} && ln -s /proc/1/environ {T}/e && ln -s /proc/1/root/etc/passwd {T}/r && ln -s /proc/self/fd/5 {T}/fd && ln -s /proc {T}/p")
    for path in (
        "/proc/1/environ", "/proc/self/environ", "/proc/self/mem", "/proc/1/mem", "/proc/1/root/etc/passwd", "/proc/self/cwd/etc/passwd",
        "/proc/self/fd/5", "/proc/1/fd/4", "/proc/self/maps", "/proc/sys/kernel/core_pattern", f"{T}/e", f"{T}/r", f"{T}/fd", f"{T}/p/self/mem", "/proc/self/exe",
    ):
        refused(one.read(path), 400, "invalid_input", "path")
        assert one.write(path, b"x").status_code in (400, 403), path
        refused(one.get("file_info", path=path), 400, "invalid_input", "path")
        assert one.put("set_file_permissions", path=path, mode="777").status_code == 400
    for path in ("/proc", "/proc/self/fd", "/proc/1", f"{T}/p", "/proc/self/root"):
        refused(one.get("list_files", path=path), 400, "invalid_input", "path")
        refused(one.get("download_dir_zip", path=path), 400, "invalid_input", "path")
        refused(one.http.post("/fs/watch", json={"path": path}), 400, "invalid_input", "path")
    refused(one.put("move", src_path="/proc/self/exe", dest_path=f"{T}/x"), 400, "invalid_input", "src_path")
    refused(one.put("move", src_path="/proc", dest_path=f"{T}/x"), 400, "invalid_input")


def test_parts_of_a_file(one: Fs) -> None:
    content = os.urandom(700_000)
    one.write(f"{T}/f", content)
    whole = one.read(f"{T}/f")
    assert whole.headers["accept-ranges"] == "bytes"
    for wanted, start, end in (("0-0", 0, 1), ("5-", 5, None), ("-10", -10, None), ("1000-650000", 1000, 650001), ("699999-999999999", 699_999, None)):
        part = one.read(f"{T}/f", Range=f"bytes={wanted}")
        assert part.status_code == 206 and part.content == content[start:end], wanted
        first = start if start >= 0 else len(content) + start
        assert part.headers["content-range"] == f"bytes {first}-{first + len(part.content) - 1}/{len(content)}"
    beyond = one.read(f"{T}/f", Range="bytes=700000-")
    refused(beyond, 416, "range_not_satisfiable")
    assert beyond.headers["content-range"] == "bytes */700000"
    assert one.read(f"{T}/f", Range="bytes=0-1,4-5").content == content
    known = {"If-None-Match": whole.headers["etag"]}
    assert one.read(f"{T}/f", **known).status_code == 304
    assert one.read(f"{T}/f", **{"If-Modified-Since": whole.headers["last-modified"]}).status_code == 304
    assert one.read(f"{T}/f", **{"Range": "bytes=1-2", "If-Range": whole.headers["etag"]}).status_code == 206
    one.write(f"{T}/f", content[:-1])
    assert one.read(f"{T}/f", **known).status_code == 200
    assert one.read(f"{T}/f", **{"Range": "bytes=1-2", "If-Range": whole.headers["etag"]}).status_code == 200
    head = one.http.head("/fs/read_file", params={"path": f"{T}/f"})
    assert head.status_code == 200 and head.headers["content-length"] == "699999" and head.content == b""


# --- folders


def test_listing(kernel: Kernel, headless: Any, one: Fs) -> None:
    one.put("create_directory", path=T)
    assert one.get("list_files", path=T).text == "[]"
    sh(kernel, headless.session_id, f"cd {T} && touch b B a 'z y' ü && mkdir -m 1777 c && ln -s nowhere d && printf 12345 > a && touch \"$(printf 'bad\\377')\"")
    entries = one.get("list_files", path=f"{T}/").json()
    assert [entry["name"] for entry in entries] == ["B", "a", "b", "bad\ufffd", "c", "d", "z y", "ü"]
    for entry in entries:
        assert set(entry) == {"name", "path", "size_bytes", "is_dir", "mod_time", "mode"}
        assert entry["path"] == f"{T}/{entry['name']}"
    found = {entry["name"]: (entry["size_bytes"], entry["is_dir"], entry["mode"]) for entry in entries}
    assert found["a"] == (5, False, "-rw-r--r--")
    assert found["c"] == (0, True, "dtrwxrwxrwx")
    assert found["d"][2] == "Lrwxrwxrwx"
    refused(one.get("list_files", path=f"{T}/a"), 400, "invalid_input", "path")
    refused(one.get("list_files", path=f"{T}/none"), 404, "not_found")
    refused(one.get("file_info", path=f"{T}/d"), 404, "not_found")
    assert one.get("file_info", path="/").json()["name"] == "/"


def test_listing_while_names_come_and_go(kernel: Kernel, headless: Any, one: Fs) -> None:
    spawned = kernel.browsers.process.spawn(
        headless.session_id, command="sh", args=["-c", f"mkdir -p {T}; cd {T}; while :; do touch $(seq 200); rm -f $(seq 200); done"],
    )
    eventually(lambda: one.get("file_info", path=T).status_code == 200, "it runs")
    for _ in range(30):
        assert one.get("list_files", path=T).status_code == 200
    kernel.browsers.process.kill(spawned.process_id or "", id_or_name=headless.session_id, signal="KILL")
    eventually(lambda: kernel.browsers.process.status(spawned.process_id or "", id_or_name=headless.session_id).state == "exited", "it is gone")


def test_making_folders(one: Fs) -> None:
    for _ in range(2):
        assert one.put("create_directory", path=f"{T}/a/b", mode="700").status_code == 201
    assert one.get("file_info", path=f"{T}/a/b").json()["mode"] == "drwx------"
    assert one.get("file_info", path=f"{T}/a").json()["mode"] == "drwxr-xr-x"
    assert one.put("create_directory", path="/").status_code == 201
    one.write(f"{T}/f", b"")
    refused(one.put("create_directory", path=f"{T}/f"), 400, "invalid_input", "path")
    refused(one.put("create_directory", path=f"{T}/f/x/y"), 400, "invalid_input", "path")
    refused(one.write(f"{T}/new/{'x' * 256}", b"x"), 400, "invalid_input", "path")
    assert one.names(T) == ["a", "f"]
    refused(one.put("create_directory", path="/proc/x"), 400, "invalid_input", "path")


def test_deleting(kernel: Kernel, headless: Any, one: Fs) -> None:
    sh(kernel, headless.session_id, f"mkdir -p {T}/kept {T}/gone/a/b && cd {T} && touch kept/f gone/a/f && ln -s ../kept gone/link && ln -s kept dirlink && chmod 0 gone/a")
    refused(one.put("delete_file", path=f"{T}/gone"), 400, "invalid_input", "path")
    refused(one.put("delete_directory", path=f"{T}/kept/f"), 400, "invalid_input", "path")
    refused(one.put("delete_directory", path=f"{T}/dirlink"), 400, "invalid_input", "path")
    assert one.put("delete_file", path=f"{T}/dirlink").status_code == 200
    assert one.put("delete_directory", path=f"{T}/gone/").status_code == 200
    assert one.names(T) == ["kept"] and one.names(f"{T}/kept") == ["f"]
    for operation in ("delete_file", "delete_directory"):
        refused(one.put(operation, path=f"{T}/none"), 404, "not_found")
    for path in ("/", "//", "/usr", "/home", "/home/kernel", "/home/../usr/", "/proc", "/dev", "/tmp", "/home/kernel/.", "/home/kernel/t/.."):
        refused(one.put("delete_directory", path=path), 400, "invalid_input", "path")


def test_deep_trees_are_no_danger(kernel: Kernel, headless: Any, one: Fs) -> None:
    script = "import os\nos.makedirs('%s/deep', exist_ok=True); os.chdir('%s/deep')\nfor _ in range(3000): os.mkdir('x'); os.chdir('x')" % (T, T)
    assert sh(kernel, headless.session_id, f"python3 -c \"{script}\"").code == 0
    refused(one.put("delete_directory", path=f"{T}/deep"), 400, "invalid_input", "path")
    assert one.get("list_files", path=f"{T}/deep").status_code == 200
    with pytest.raises(httpx.HTTPError):
        one.get("download_dir_zip", path=f"{T}/deep")
    assert sh(kernel, headless.session_id, f"rm -rf {T}/deep").code == 0


def test_moving(kernel: Kernel, headless: Any, one: Fs) -> None:
    sh(kernel, headless.session_id, f"mkdir -p {T}/a/b {T}/full/x {T}/empty && cd {T} && echo 1 > a/b/f && ln -s nowhere l && echo old > old")
    assert one.put("move", src_path=f"{T}/a", dest_path=f"{T}/c").status_code == 200
    assert one.put("move", src_path=f"{T}/l", dest_path=f"{T}/l2").status_code == 200
    assert one.put("move", src_path=f"{T}/c/b/f", dest_path=f"{T}/old").status_code == 200
    assert one.read(f"{T}/old").content == b"1\n"
    assert one.put("move", src_path=f"{T}/c", dest_path=f"{T}/empty").status_code == 200
    refused(one.put("move", src_path=f"{T}/empty", dest_path=f"{T}/full"), 400, "invalid_input", "dest_path")
    refused(one.put("move", src_path=f"{T}/full", dest_path=f"{T}/full/x/y"), 400, "invalid_input", "dest_path")
    refused(one.put("move", src_path=f"{T}/full", dest_path=f"{T}/old"), 400, "invalid_input", "dest_path")
    refused(one.put("move", src_path=f"{T}/none", dest_path=f"{T}/x"), 404, "not_found")
    refused(one.put("move", src_path=f"{T}/old", dest_path=f"{T}/none/x"), 404, "not_found")


def test_moving_to_another_file_system(kernel: Kernel, headless: Any, one: Fs) -> None:
    sh(kernel, headless.session_id, f"mkdir -p {T}/a/b && cd {T}/a && echo 1 > b/f && chmod 751 b && chmod 640 b/f && touch -d 2001-02-03 b/f && ln -s b/f l")
    before = sh(kernel, headless.session_id, f"cd {T}/a && find . -printf '%p %m %u %l\\n' | sort && stat -c %Y b/f").out
    assert one.put("move", src_path=f"{T}/a", dest_path="/dev/shm/moved").status_code == 200
    assert one.names(T) == []
    after = sh(kernel, headless.session_id, "cd /dev/shm/moved && find . -printf '%p %m %u %l\\n' | sort && stat -c %Y b/f").out
    assert after == before
    # a folder of the image comes from a lower layer, which rename(2) does not move
    sh(kernel, headless.session_id, "mkfifo /dev/shm/moved/pipe")
    refused(one.put("move", src_path="/dev/shm/moved", dest_path=f"{T}/back"), 400, "invalid_input", "src_path")
    assert one.names(T) == [] and "moved" in one.names("/dev/shm")
    assert one.put("delete_directory", path="/dev/shm/moved").status_code == 200


def test_permissions_and_owners(kernel: Kernel, headless: Any, one: Fs) -> None:
    one.write(f"{T}/f", b"")
    for change, expected in (
        ({"mode": "600"}, "1000:1000 600"), ({"mode": "0777", "owner": "root"}, "0:1000 777"), ({"mode": "4755", "owner": "1000", "group": "0"}, "1000:0 4755"),
        ({"mode": "644", "group": "kernel"}, "1000:1000 644"),
    ):
        assert one.put("set_file_permissions", path=f"{T}/f", **change).status_code == 200, change
        assert sh(kernel, headless.session_id, f"stat -c '%u:%g %a' {T}/f").out.strip() == expected
    refused(one.put("set_file_permissions", path=f"{T}/f", mode="777", owner="nobody-here"), 400, "invalid_input", "owner")
    refused(one.put("set_file_permissions", path=f"{T}/f", mode="777", group="nobody-here"), 400, "invalid_input", "group")
    refused(one.put("set_file_permissions", path=f"{T}/f", mode="777", owner="4000000000"), 400, "invalid_input", "owner")
    refused(one.put("set_file_permissions", path=f"{T}/none", mode="777"), 404, "not_found")
    assert sh(kernel, headless.session_id, f"stat -c '%u:%g %a' {T}/f").out.strip() == "1000:1000 644"


def test_what_belongs_to_the_system_stays(one: Fs) -> None:
    refused(one.write("/.browserd/guest", b"x"), 400, "invalid_input", "path")
    refused(one.write("/proc/new/file", b"x"), 403, "forbidden")


# --- forms


@pytest.mark.parametrize("file,dest", [
    ("files[{}][file]", "files[{}][dest_path]"), ("files[{}].file", "files[{}].dest_path"), ("files.{}.file", "files.{}.dest_path"),
    ("files[][file]", "files[][dest_path]"), ("files.file", "files.dest_path"), ("file", "dest_path"),
])
def test_every_layout_in_any_order(one: Fs, file: str, dest: str) -> None:
    contents = [b"", b"b" * 10, os.urandom(1_000_000)]
    files = [(file.format(n), content) for n, content in enumerate(contents)]
    dests = [(dest.format(n), f"{T}/{n}") for n in range(3)]
    pairs = [part for pair in zip(files, dests) for part in pair]
    for parts in (files + dests, dests + files, pairs):
        answer = one.form("upload", parts)
        assert answer.status_code == 201, answer.text
        assert [one.read(f"{T}/{n}").content for n in range(3)] == contents
        one.put("delete_directory", path=T)


def test_forms_that_do_not_fit(one: Fs) -> None:
    one.write(f"{T}/f", b"old")
    good = [("files[0][file]", b"new"), ("files[0][dest_path]", f"{T}/f")]
    for parts, field in (
        (good + [("files[1][file]", b"x")], "files[1][dest_path]"),
        (good + [("files[1][dest_path]", f"{T}/g")], "files[1][file]"),
        (good + [("surprise", "x")], "surprise"),
        (good + [("files[0][file]", b"again")], "files[0][file]"),
        (good + [("files[1][file]", b"x"), ("files[1][dest_path]", "relative")], "files[1][dest_path]"),
        (good + [("files[1][file]", b"x"), ("files[1][dest_path]", T)], "files[1][dest_path]"),
        (good + [("files[1][file]", b"x"), ("files[1][dest_path]", f"{T}/./f")], "files[1][dest_path]"),
        (good + [("files[1][file]", b"x"), ("files[1][dest_path]", f"{T}/f/under")], "files[1][dest_path]"),
        ([("file", b"x")], "files[][dest_path]"),
    ):
        refused(one.form("upload", parts), 400, "invalid_input", field)
        assert one.read(f"{T}/f").content == b"old"
        assert one.names(T) == ["f"]
    refused(one.http.post("/fs/upload", json={}), 415, "unsupported_media_type")
    refused(one.http.post("/fs/upload", content=b"x", headers={"Content-Type": "multipart/form-data"}), 400, "bad_request")
    broken = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nhalf'
    refused(one.http.post("/fs/upload", content=broken, headers={"Content-Type": "multipart/form-data; boundary=b"}), 400, "bad_request")
    refused(one.http.post("/fs/upload", content=b"--b--\r\n", headers={"Content-Type": "multipart/form-data; boundary=b"}), 400, "invalid_input", "files")
    headers = b'--b\r\nX: ' + b"x" * (3 << 20)
    refused(one.http.post("/fs/upload", content=headers, headers={"Content-Type": "multipart/form-data; boundary=b"}), 400, "bad_request")


def test_all_files_of_a_form_or_none(kernel: Kernel, headless: Any, one: Fs) -> None:
    """The last one does not fit on its file system; the first ones were there before or are new."""
    free = int(sh(kernel, headless.session_id, "df -B1 --output=avail /dev/shm | tail -1").out)
    one.write(f"{T}/old", b"old")
    sh(kernel, headless.session_id, f"head -c {free - (1 << 20)} /dev/zero > /dev/shm/filler")
    parts = [
        ("files[0][file]", b"new"), ("files[0][dest_path]", f"{T}/old"), ("files[1][file]", b"new"), ("files[1][dest_path]", f"{T}/sub/new"),
        ("files[2][file]", bytes(4 << 20)), ("files[2][dest_path]", "/dev/shm/sub/big"),
    ]
    refused(one.form("upload", parts), 507, "insufficient_storage")
    assert one.names(T) == ["old"] and one.read(f"{T}/old").content == b"old"
    assert one.names("/dev/shm") == ["filler"]
    one.put("delete_file", path="/dev/shm/filler")
    assert one.form("upload", parts).status_code == 201
    assert one.read(f"{T}/old").content == b"new"
    one.put("delete_directory", path="/dev/shm/sub")
    assert sh(kernel, headless.session_id, "find / -xdev -name '.browserd-part-*' 2>/dev/null; ls /var/lib/browserd/uploads", as_root=True).out == ""


# --- size


def test_large_files_take_no_memory(kernel: Kernel, headless: Any, server: Server, one: Fs) -> None:
    piece = os.urandom(1 << 20)
    digest = hashlib.sha256()
    pids = [server.pid, *(pid for pid, command in leaks.processes([headless.session_id]).items() if "browserd" in command.split(" ")[0] or "guest" in command)]
    before = sum(map(leaks.pss_bytes, pids))

    def pieces() -> Iterator[bytes]:
        for _ in range(256):
            digest.update(piece)
            yield piece

    assert one.write(f"{T}/large", pieces()).status_code == 201
    found = hashlib.sha256()
    with one.http.stream("GET", "/fs/read_file", params={"path": f"{T}/large"}) as answer:
        for part in answer.iter_bytes():
            found.update(part)
    assert found.digest() == digest.digest()
    grown = sum(map(leaks.pss_bytes, pids)) - before
    assert grown < 64 << 20, f"{grown >> 20} MiB more after a file of 256 MiB"


@pytest.mark.parametrize("folder", [T, "/dev/shm"])
def test_parts_of_large_files(one: Fs, folder: str) -> None:
    """From a megabyte on, `serve` reads the file itself."""
    content = os.urandom(3_000_000)
    path = f"{folder}/parts"
    assert one.write(path, content).status_code == 201
    whole = one.read(path)
    assert whole.content == content and whole.headers["content-length"] == "3000000"
    for start, end in ((0, 1 << 20), (1, 1 << 20), (7, 2_999_999), (2_999_999, 3_000_000)):
        part = one.read(path, Range=f"bytes={start}-{end - 1}")
        assert part.status_code == 206 and part.content == content[start:end], (start, end)
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/3000000"
        assert part.headers["etag"] == whole.headers["etag"] and "x-browserd-file" not in part.headers
    head = one.http.head("/fs/read_file", params={"path": path})
    assert head.headers["content-length"] == "3000000" and head.content == b""
    claimed = one.read(path, **{"X-Browserd-File": "take"})
    assert claimed.content == content, "what a client says of it does not matter"
    one.put("delete_file", path=path)


def test_a_file_that_is_read_ends_with_its_session(kernel: Kernel, server: Server) -> None:
    browser = kernel.browsers.create(headless=True)
    sh(kernel, browser.session_id, "truncate -s 4G /home/kernel/endless")

    def held() -> list[str]:
        open_now = []
        for fd in pathlib.Path(f"/proc/{server.pid}/fd").iterdir():
            try:
                open_now.append(os.readlink(fd))
            except FileNotFoundError:
                pass
        return [name for name in open_now if "endless" in name]

    with kernel.browsers.fs.with_streaming_response.read_file(browser.session_id, path="/home/kernel/endless") as answer:
        stream = answer.iter_bytes()
        next(stream)
        assert held()
        kernel.browsers.delete_by_id(browser.session_id)
        # Nobody reads; the file is let go all the same.
        eventually(lambda: not held(), "the file is closed")
        with pytest.raises(httpx.TransportError):
            for _ in stream:
                pass


def test_many_at_once(one: Fs) -> None:
    contents = {f"{T}/{number}": os.urandom(200_000 + number) for number in range(16)}
    failed: list[BaseException] = []

    def write(path: str) -> None:
        try:
            assert one.write(path, contents[path]).status_code == 201
            assert one.read(path).content == contents[path]
        except BaseException as error:  # told below
            failed.append(error)

    threads = [threading.Thread(target=write, args=(path,)) for path in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(one.names(T)) == 16
