"""Folders as archives, both ways."""
from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
import zipfile
from typing import Any, Iterator

import httpx
import pytest
from kernel import Kernel

from harness import leaks
from harness.deadline import eventually
from harness.files import Fs, refused
from harness.server import KEY, Server
from harness.sessions import sh

T = "/home/kernel/t"


@pytest.fixture(params=["headless by key", "headful direct"])
def fs(request: pytest.FixtureRequest, server: Server) -> Iterator[Fs]:
    browser = request.getfixturevalue(request.param.split()[0])
    made = Fs.direct(browser) if request.param.endswith("direct") else Fs.by_key(server.base_url, KEY, browser)
    yield made
    made.put("delete_directory", path=T)
    made.close()


@pytest.fixture
def one(headless: Any, server: Server) -> Iterator[Fs]:
    made = Fs.by_key(server.base_url, KEY, headless)
    yield made
    made.put("delete_directory", path=T)
    made.close()


def zipped(*entries: tuple[str, bytes], links: dict[str, str] | None = None, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            info.create_system = 3
            archive.writestr(info, target)
    return made.getvalue()


def zstd(tar: bytes, *options: str) -> bytes:
    return subprocess.run(["zstd", "-q", "-c", *options], input=tar, capture_output=True, check=True).stdout


def tarred(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return zstd(made.getvalue())


def fill(kernel: Kernel, session_id: str) -> None:
    script = (
        f"mkdir -p {T}/src/a/b {T}/src/empty && cd {T}/src && printf hello > a/b/f && head -c 3000000 /dev/urandom > random && : > nothing"
        " && ln -s a/b/f link && ln -s /etc/passwd outside && mkfifo pipe && chmod 755 a/b/f && chmod 700 empty && printf x > 'ü ü'"
    )
    assert sh(kernel, session_id, script).code == 0


def test_zip_download(kernel: Kernel, headless: Any, headful: Any, fs: Fs) -> None:
    for browser in (headless, headful):
        fill(kernel, browser.session_id)
    answer = fs.get("download_dir_zip", path=f"{T}/src")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="src.zip"'
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    assert archive.namelist() == ["a/", "a/b/", "a/b/f", "empty/", "link", "nothing", "outside", "random", "ü ü"]
    assert archive.read("a/b/f") == b"hello"
    assert archive.read("random") == fs.read(f"{T}/src/random").content
    assert archive.read("link") == b"a/b/f"
    modes = {name: archive.getinfo(name).external_attr >> 16 for name in ("a/b/f", "empty/", "link")}
    assert stat.S_ISLNK(modes["link"]) and modes["a/b/f"] & 0o777 == 0o755 and modes["empty/"] & 0o777 == 0o700
    fs.put("create_directory", path=f"{T}/none")
    assert zipfile.ZipFile(io.BytesIO(fs.get("download_dir_zip", path=f"{T}/none").content)).namelist() == []
    for browser in (headless, headful):
        sh(kernel, browser.session_id, f"rm -rf {T}")


def test_what_cannot_be_packed(one: Fs) -> None:
    for route in ("download_dir_zip", "download_dir_zstd"):
        refused(one.get(route, path="/etc/passwd"), 400, "invalid_input", "path")
        refused(one.get(route, path=f"{T}/none"), 404, "not_found")
        refused(one.get(route), 400, "invalid_input", "path")
    refused(one.get("download_dir_zstd", path="/tmp", compression_level="most"), 400, "invalid_input", "compression_level")


def test_zip_upload(kernel: Kernel, headless: Any, one: Fs) -> None:
    archive = zipped(("a/f", b"new"), ("b/c/", b""), ("top", os.urandom(500_000)), links={"l": "a/f"})
    one.write(f"{T}/dest/a/f", b"old", mode="600")
    one.write(f"{T}/dest/a/kept", b"kept")
    for parts in ([("zip_file", archive), ("dest_path", f"{T}/dest")], [("dest_path", f"{T}/new/one"), ("zip_file", archive)]):
        assert one.form("upload_zip", parts).status_code == 201
    assert one.read(f"{T}/dest/a/f").content == one.read(f"{T}/dest/l").content == b"new"
    assert one.read(f"{T}/dest/a/kept").content == b"kept"
    assert one.names(f"{T}/new/one") == ["a", "b", "l", "top"] and one.names(f"{T}/new/one/b") == ["c"]
    owners = sh(kernel, headless.session_id, f"find {T}/new -printf '%u\\n' | sort -u").out.split()
    assert owners == ["kernel"]
    stored = zipped(("f", b"stored"), method=zipfile.ZIP_STORED)
    assert one.form("upload_zip", [("zip_file", stored), ("dest_path", f"{T}/s")]).status_code == 201
    assert one.read(f"{T}/s/f").content == b"stored"


@pytest.mark.parametrize("archive", [
    zipped(("good", b"x"), ("../evil", b"x")), zipped(("good", b"x"), ("/tmp/evil", b"x")), zipped(("good", b"x"), ("a/../../evil", b"x")),
    zipped(("good", b"x"), links={"link": "/etc"}), zipped(("good", b"x"), links={"link": "../.."}),
    zipped(("d/f", b"x"), ("a", b"x"), links={"l": "d"}) + b"", b"this is no zip", zipped(("good", bytes(1000)))[:-40],
    zipped(("zeros", bytes(400 << 20))), zipped(("packed", b"x" * 1000), method=zipfile.ZIP_BZIP2),
], ids=["up", "absolute", "up within", "absolute link", "link up", "link", "garbage", "cut", "bomb", "bzip2"])
def test_zips_of_strangers(one: Fs, request: pytest.FixtureRequest, archive: bytes) -> None:
    one.write(f"{T}/dest/kept", b"kept")
    answer = one.form("upload_zip", [("zip_file", archive), ("dest_path", f"{T}/dest")])
    if request.node.callspec.id == "link":
        assert answer.status_code == 201
        through = zipped(("l/under", b"x"))
        refused(one.form("upload_zip", [("zip_file", through), ("dest_path", f"{T}/dest")]), 400, "invalid_input", "zip_file")
        assert one.names(f"{T}/dest/d") == ["f"]
        return
    refused(answer, 400, "invalid_input", "zip_file")
    assert one.names(f"{T}/dest") == ["kept"]
    refused(one.form("upload_zip", [("zip_file", archive), ("dest_path", f"{T}/fresh")]), 400, "invalid_input", "zip_file")
    assert one.names(T) == ["dest"]


def test_a_damaged_zip(one: Fs) -> None:
    archive = bytearray(zipped(("f", os.urandom(10_000)), method=zipfile.ZIP_STORED))
    archive[5000] ^= 1
    refused(one.form("upload_zip", [("zip_file", bytes(archive)), ("dest_path", f"{T}/dest")]), 400, "invalid_input", "zip_file")
    refused(one.get("list_files", path=T), 404, "not_found")


def test_zip_forms_that_do_not_fit(one: Fs) -> None:
    archive = zipped(("f", b"x"))
    for parts, field in (
        ([("zip_file", archive)], "dest_path"), ([("dest_path", T)], "zip_file"), ([("zip_file", archive), ("dest_path", "relative")], "dest_path"),
        ([("zip_file", archive), ("dest_path", T), ("strip_components", "1")], "strip_components"),
        ([("zip_file", archive), ("zip_file", archive), ("dest_path", T)], "zip_file"), ([("zip_file", archive), ("dest_path", "/etc/passwd")], "dest_path"),
        ([("zip_file", archive), ("dest_path", "/proc")], "dest_path"),
    ):
        refused(one.form("upload_zip", parts), 400, "invalid_input", field)


def test_zip_without_room(kernel: Kernel, headless: Any, one: Fs) -> None:
    free = int(sh(kernel, headless.session_id, "df -B1 --output=avail /dev/shm | tail -1").out)
    size = min(free + (1 << 20), 250 << 20)
    filler = max(0, free - size + (2 << 20))
    sh(kernel, headless.session_id, f"head -c {filler} /dev/zero > /dev/shm/filler")
    archive = zipped(("big", bytes(size)))
    refused(one.form("upload_zip", [("zip_file", archive), ("dest_path", "/dev/shm/d")]), 507, "insufficient_storage")
    assert one.names("/dev/shm") == ["filler"]
    one.put("delete_file", path="/dev/shm/filler")


@pytest.mark.parametrize("level", [None, "fastest", "default", "better", "best"])
def test_zstd_download(kernel: Kernel, headless: Any, one: Fs, level: str | None) -> None:
    fill(kernel, headless.session_id)
    answer = one.get("download_dir_zstd", path=f"{T}/src", **({"compression_level": level} if level else {}))
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/zstd"
    tar = subprocess.run(["zstd", "-q", "-d", "-c"], input=answer.content, capture_output=True, check=True).stdout
    archive = tarfile.open(fileobj=io.BytesIO(tar))
    assert archive.getnames() == ["a", "a/b", "a/b/f", "empty", "link", "nothing", "outside", "random", "ü ü"]
    assert archive.getmember("link").linkname == "a/b/f"
    assert archive.getmember("a/b/f").mode == 0o755 and archive.getmember("a/b/f").uid == 1000
    assert archive.extractfile("random").read() == one.read(f"{T}/src/random").content  # type: ignore[union-attr]
    # and back
    sh(kernel, headless.session_id, f"rm -f {T}/src/outside {T}/src/pipe")
    packed = one.get("download_dir_zstd", path=f"{T}/src").content
    assert one.form("upload_zstd", [("archive", packed), ("dest_path", f"{T}/back")]).status_code == 201
    listing = "find . -printf '%p %m %l %T@\\n' | sort | grep -v ' L '; find . -type f | sort | xargs -d '\\n' sha256sum"
    seen = [sh(kernel, headless.session_id, f"cd {T}/{name} && find . -type f -printf '%p %m\\n' | sort; find . -type f | sort | xargs -d '\\n' sha256sum").out for name in ("src", "back")]
    assert seen[0] == seen[1], listing
    one.put("delete_directory", path=T)


def test_zstd_upload(one: Fs) -> None:
    def info(name: str, **fields: Any) -> tarfile.TarInfo:
        made = tarfile.TarInfo(name)
        for field, value in fields.items():
            setattr(made, field, value)
        return made

    archive = tarred((info("top/a/f", mode=0o640, mtime=981173106), b"content"), (info("top/link", type=tarfile.SYMTYPE, linkname="a/f"), b""), (info("top/hard", type=tarfile.LNKTYPE, linkname="top/a/f"), b""))
    assert one.form("upload_zstd", [("strip_components", "1"), ("archive", archive), ("dest_path", f"{T}/d")]).status_code == 201
    assert one.names(f"{T}/d") == ["a", "hard", "link"]
    found = one.get("file_info", path=f"{T}/d/a/f").json()
    assert found["mode"] == "-rw-r-----" and found["mod_time"].startswith("2001-02-03T04:05:06")
    assert one.form("upload_zstd", [("archive", archive), ("dest_path", f"{T}/e")]).status_code == 201
    assert one.names(f"{T}/e/top") == ["a", "hard", "link"]
    for bad in (
        tarred((info("../evil"), b"x")), tarred((info("/evil"), b"x")), tarred((info("l", type=tarfile.SYMTYPE, linkname="/etc"), b"")),
        tarred((info("d", type=tarfile.SYMTYPE, linkname="."), b""), (info("d/../../evil"), b"x")), tarred((info("p", type=tarfile.FIFOTYPE), b"")),
        tarred((info("h", type=tarfile.LNKTYPE, linkname="/etc/passwd"), b"")), archive[:-10], b"garbage", zstd(b"no tar" * 1000),
        tarred((info("zeros"), bytes(300 << 20))),
    ):
        refused(one.form("upload_zstd", [("archive", bad), ("dest_path", f"{T}/bad")]), 400, "invalid_input", "archive")
        assert "bad" not in one.names(T)
    refused(one.form("upload_zstd", [("archive", archive), ("dest_path", T), ("strip_components", "-1")]), 400, "invalid_input", "strip_components")


def test_packing_takes_no_memory_and_stops_with_its_reader(kernel: Kernel, headless: Any, server: Server, one: Fs) -> None:
    sh(kernel, headless.session_id, f"mkdir -p {T} && head -c 200M /dev/urandom > {T}/big")
    pids = [server.pid, *(pid for pid, command in leaks.processes([headless.session_id]).items() if "guest" in command or "shim" in command)]
    before = sum(map(leaks.pss_bytes, pids))
    for route in ("download_dir_zip", "download_dir_zstd"):
        with one.http.stream("GET", f"/fs/{route}", params={"path": T}) as answer:
            size = sum(len(part) for part in answer.iter_raw())
        assert size > 200 << 20
    grown = sum(map(leaks.pss_bytes, pids)) - before
    assert grown < 64 << 20, f"{grown >> 20} MiB"
    # readers that leave make room for others
    for _ in range(20):
        def started() -> bool:
            with one.http.stream("GET", "/fs/download_dir_zip", params={"path": T}) as answer:
                return answer.status_code == 200
        eventually(started, "there is room for one more")
    stalled = [one.http.stream("GET", "/fs/download_dir_zip", params={"path": T}) for _ in range(8)]
    opened = [stream.__enter__() for stream in stalled]
    try:
        assert {answer.status_code for answer in opened} <= {200, 429}
        limited = one.get("download_dir_zip", path="/etc") if all(answer.status_code == 200 for answer in opened) else None
        if limited is not None:
            refused(limited, 429, "too_many_requests")
    finally:
        for stream in stalled:
            stream.__exit__(None, None, None)


def test_what_cannot_be_walked_breaks_the_archive_off(kernel: Kernel, headless: Any, one: Fs) -> None:
    """Folders nested too deep, behind enough for bytes to be on their way; and alone."""
    script = f"import os; os.makedirs('{T}/deep'); os.chdir('{T}/deep'); [(os.mkdir('x'), os.chdir('x')) for _ in range(600)]"
    assert sh(kernel, headless.session_id, f'python3 -c "{script}" && head -c 2000000 /dev/urandom > {T}/a').code == 0
    for route in ("download_dir_zip", "download_dir_zstd"):
        with pytest.raises(httpx.HTTPError):
            one.get(route, path=T)
    refused(one.get("download_dir_zstd", path=f"{T}/deep"), 400, "invalid_input", "path")
    sh(kernel, headless.session_id, f"rm -rf {T}/deep")
