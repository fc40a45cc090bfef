"""Reaching into a session from the host, for baselines that must run beside what is measured."""
from __future__ import annotations

import ctypes
import os
import pathlib
import socket
import threading
from urllib.parse import urlsplit

from harness import leaks

_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def processes(session_id: str) -> dict[int, str]:
    """The session's processes, seen from the host: shim, guest, Chromium and the rest."""
    return leaks.processes([session_id])


def chromium(session_id: str) -> int:
    """Chromium's first process."""
    for pid, command in sorted(processes(session_id).items()):
        if "/chromium" in command.split(" ")[0] and "--type=" not in command and "crashpad" not in command:
            return pid
    raise LookupError(f"no Chromium in {session_id}")


def led_by(leader: int) -> list[int]:
    """Processes of the session (setsid) that `leader` leads: not all of a browser's name its profile."""
    found = []
    for pid in leaks.pids():
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader:
            found.append(pid)
    return found


def own(session_id: str) -> list[int]:
    """Shim and guest."""
    return [pid for pid, command in processes(session_id).items() if "browserd" in command.split(" ")[0] or command.split(" ")[0].endswith(("shim", "guest", "init"))]


def command_line(pid: int) -> list[str]:
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().rstrip("\0").split("\0")


def connect(pid: int, port: int) -> socket.socket:
    """A TCP connection to the loopback of `pid`'s network namespace."""
    made: list[socket.socket] = []
    failed: list[BaseException] = []

    def enter() -> None:
        try:
            with open(f"/proc/{pid}/ns/net", "rb") as namespace:
                if _libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            connected = socket.create_connection(("127.0.0.1", port), 5)
            connected.settimeout(None)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.append(connected)
        except BaseException as error:  # handed to the caller
            failed.append(error)

    # the thread ends in the other namespace; the socket stays where it was made
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


def listening(pid: int) -> list[int]:
    """Loopback ports something listens on in `pid`'s network namespace."""
    ports = []
    for line in pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A":
            ports.append(int(fields[1].split(":")[1], 16))
    return ports


def debugging_port(pid: int) -> tuple[int, str]:
    """Chromium's debugging port and the path of its browser endpoint."""
    for port in listening(pid):
        try:
            with connect(pid, port) as probe:
                probe.settimeout(5)
                probe.sendall(f"GET /json/version HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
                data = b""
                # Chromium keeps the connection whatever it is asked: the answer ends with its object
                while not data.rstrip().endswith(b"}") and (chunk := probe.recv(65536)):
                    data += chunk
        except OSError:
            continue
        if b"webSocketDebuggerUrl" in data:
            url = data.split(b'"webSocketDebuggerUrl": "')[1].split(b'"')[0].decode()
            return port, urlsplit(url).path
    raise LookupError("no debugging port")


def pss(pids: list[int]) -> float:
    """Proportional set size of all, MiB."""
    return sum(leaks.pss_bytes(pid) for pid in pids) / (1 << 20)


def guest_socket(state_dir: pathlib.Path, session_id: str) -> str:
    """The unix socket of the guest's own API."""
    return str(next(path for path in state_dir.rglob("guest.sock") if session_id in str(path)))
