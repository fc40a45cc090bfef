"""Counting what is left of sessions on this host: processes, mounts, cgroups, namespaces, sockets, files.

Everything a session owns mentions its id or the server's state folder somewhere the kernel shows:
a command line, a mount, a cgroup, a socket path. Namespaces have no name, so their inode numbers
are read from inside while the session lives and looked for afterwards.
"""
from __future__ import annotations

import os
import pathlib
from typing import Iterable, Iterator

PROC = pathlib.Path("/proc")
CGROUPS = pathlib.Path("/sys/fs/cgroup")


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def _link(path: pathlib.Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def pids() -> Iterator[int]:
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def _zombie(pid: int) -> bool:
    return _read(PROC / str(pid) / "stat").rpartition(")")[2].split()[:1] == ["Z"]


def command(pid: int) -> str:
    return _read(PROC / str(pid) / "cmdline").replace("\0", " ").strip() or _read(PROC / str(pid) / "comm").strip()


def processes(marks: Iterable[str], ignore: Iterable[int] = ()) -> dict[int, str]:
    """Processes whose command line, mounts, cgroup or working folder mention one of `marks`."""
    marks = list(marks)
    ignored = {os.getpid(), *ignore}
    ours: dict[int, str] = {}
    # By mount namespace and root: most processes share them, and reading a table costs more than all the rest.
    tables: dict[tuple[str, str], str] = {}
    for pid in pids():
        if pid in ignored:
            continue
        folder = PROC / str(pid)
        seen = (_link(folder / "ns/mnt"), _link(folder / "root"))
        if "" in seen or seen not in tables:
            tables[seen] = _read(folder / "mountinfo")
        text = "\n".join((_read(folder / "cmdline"), _read(folder / "cgroup"), tables[seen], _link(folder / "cwd")))
        if any(mark in text for mark in marks):
            ours[pid] = command(pid)
    return ours


def children(parent: int) -> dict[int, str]:
    """Direct children of a process, zombies included."""
    found = {}
    for pid in pids():
        fields = _read(PROC / str(pid) / "stat").rpartition(")")[2].split()
        if len(fields) > 1 and fields[1] == str(parent):
            found[pid] = ("zombie " if _zombie(pid) else "") + command(pid)
    return found


def mounts(marks: Iterable[str]) -> list[str]:
    """Lines of this namespace's mount table that mention one of `marks`."""
    marks = list(marks)
    return [line for line in _read(PROC / "self/mountinfo").splitlines() if any(mark in line for mark in marks)]


def cgroups(marks: Iterable[str]) -> list[str]:
    """Cgroup folders, of every hierarchy, whose path mentions one of `marks`."""
    marks = list(marks)
    return sorted(folder for folder, _, _ in os.walk(CGROUPS) if any(mark in folder for mark in marks))


def sockets(marks: Iterable[str]) -> list[str]:
    """Unix sockets of this network namespace whose path mentions one of `marks`."""
    marks = list(marks)
    return [line for line in _read(PROC / "net/unix").splitlines() if any(mark in line for mark in marks)]


def files(folder: pathlib.Path, marks: Iterable[str]) -> list[str]:
    """Paths below `folder` that mention one of `marks`."""
    marks = list(marks)
    found = []
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = os.path.join(parent, name)
            if any(mark in os.path.relpath(path, folder) for mark in marks):
                found.append(path)
    return sorted(found)


def namespaces_held(by: int, wanted: set[str]) -> set[str]:
    """Which of `wanted` (e.g. `net:[4026532177]`) a process or its descendants are in or hold open.

    Numbers of ended namespaces are used again, so this asks about one process tree only.
    """
    held: set[str] = set()
    tree = [by]
    for pid in tree:
        tree += children(pid)
        for kind in ("ns", "fd"):
            try:
                entries = list((PROC / str(pid) / kind).iterdir())
            except OSError:
                continue
            for entry in entries:
                try:
                    target = os.readlink(entry)
                except OSError:
                    continue
                if target in wanted:
                    held.add(target)
    return held


def open_files(pid: int) -> int:
    """How many file descriptors a process has."""
    return len(os.listdir(PROC / str(pid) / "fd"))


def pss_bytes(pid: int) -> int:
    """Proportional set size of one process."""
    for line in _read(PROC / str(pid) / "smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def left_over(session_ids: Iterable[str], state_dir: pathlib.Path) -> dict[str, object]:
    """Everything on this host that still belongs to `session_ids`; empty when nothing does."""
    marks = list(session_ids)
    if not marks:
        return {}
    found = {
        "processes": processes(marks),
        "mounts": mounts(marks),
        "cgroups": cgroups(marks),
        "sockets": sockets(marks),
        "files": files(state_dir, marks),
    }
    return {kind: what for kind, what in found.items() if what}
