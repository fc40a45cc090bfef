"""A small file system of a test's own, which it may fill without anybody else noticing."""
from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
from typing import Iterator

import pytest

from .deadline import eventually


class SmallDisk:
    """ext4 in a sparse file. `filler` takes its room without anything being written."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.filler = folder / "filler"

    def available(self) -> int:
        """Bytes that anybody but root may still write."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def leave(self, available: int) -> None:
        """Makes it so full, or so empty, that this is left."""
        fd = os.open(self.filler, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            size = os.fstat(fd).st_size + self.available() - available
            assert size >= 0, f"{self.available()} bytes are available without the filler"
            os.ftruncate(fd, size)
            if size:
                os.posix_fallocate(fd, 0, size)
        finally:
            os.close(fd)
        # the file system needs some blocks to keep account of it
        assert abs(self.available() - available) < 4 << 20


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def small_disk(size: int, root_blocks: bool) -> Iterator[SmallDisk]:
    """One of `size` bytes, where root has blocks of its own or not; skips where none can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("needs root: a file system is mounted")
    base = pathlib.Path(tempfile.mkdtemp(prefix="browserd-disk-"))
    base.chmod(0o755)
    image, folder = base / "image", base / "m"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    try:
        _run("mkfs.ext4", "-q", "-F", "-m", "5" if root_blocks else "0", str(image))
        try:
            _run("mount", "-o", "loop", str(image), str(folder))
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no file system can be mounted from a file here: {error.stderr.strip()}")
        try:
            yield SmallDisk(folder)
        finally:
            _run("umount", str(folder))
        # The kernel lets go of it when it comes to that.
        eventually(lambda: _run("losetup", "-j", str(image)) == "", "the loop device is let go")
    finally:
        shutil.rmtree(base)
