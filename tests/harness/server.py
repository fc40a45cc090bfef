"""One `browserd serve` under test."""
from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
from typing import Any, Iterator

import httpx

from . import leaks
from .deadline import eventually
from .http import NO_AUTHORITIES

BINARY = pathlib.Path(os.environ.get("BROWSERD_BIN", pathlib.Path(__file__).parents[2] / "target/release/browserd")).resolve()
KEY = "sk_test_0123456789abcdefghijklmnopqrstuv"


def listening_port(pid: int) -> int | None:
    """The TCP port a process listens on, as the kernel has it, so that whatever it logs does not matter."""
    sockets = set()
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(os.readlink(fd))
        except OSError:
            continue  # closed meanwhile
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            # proc(5): local address, state (0A listens), and the inode of the socket
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                return int(fields[1].rpartition(":")[2], 16)
    return None


class Server:
    """A running server with a fresh state folder; `stop` ends it and clears the folder."""

    def __init__(
        self,
        *,
        private_hosts: list[str] | None = None,
        user: str | None = None,
        extra_env: dict[str, str] | None = None,
        state_dir: pathlib.Path | None = None,
        arguments: tuple[str, ...] = (),
        key: str | None = KEY,
        hosts: dict[str, str] | None = None,
        cgroup: pathlib.Path | None = None,
    ) -> None:
        """Starts it and waits for /health. Without a `key` the server makes one.

        `hosts` are names it resolves beside those of this machine; needs root. `cgroup` is a folder
        of the cgroup file system it runs in.
        """
        self.state_dir = state_dir or pathlib.Path(tempfile.mkdtemp(prefix="browserd-test-"))
        self.log_path = pathlib.Path(tempfile.mkstemp(prefix="browserd-test-", suffix=".log")[1])
        self.exit_code: int | None = None
        binary = BINARY
        command: list[str] = []
        if user is not None:
            # the user must reach the binary and own its folders
            self._bin_dir = pathlib.Path(tempfile.mkdtemp(prefix="browserd-bin-"))
            self._bin_dir.chmod(0o755)
            binary = pathlib.Path(shutil.copy2(BINARY, self._bin_dir / "browserd"))
            binary.chmod(0o755)
            shutil.chown(self.state_dir, user, user)
            command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]
        if hosts is not None:
            # a mount namespace of its own, in which /etc/hosts says more
            lines = self.state_dir / "hosts"
            lines.write_text(pathlib.Path("/etc/hosts").read_text() + "".join(f"\n{address} {name}" for name, address in hosts.items()) + "\n")
            command = ["unshare", "--mount", "--", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(lines)]
        if cgroup is not None:
            command = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(cgroup), *command]
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.state_dir) if user else os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            **({"BROWSERD_API_KEY": key} if key else {}),
            # The kernel chooses a port that is free.
            "BROWSERD_LISTEN": "127.0.0.1:0",
            "BROWSERD_STATE_DIR": str(self.state_dir),
            "BROWSERD_ALLOWED_PRIVATE_HOSTS": ",".join(private_hosts or []),
            # nothing is started for nobody, unless a test asks for it
            "BROWSERD_POOL": "off",
            # what the suites hold at once, whatever memory this machine has
            "BROWSERD_MAX_SESSIONS": "32",
            # never to be seen inside a session
            "DAEMON_SECRET": "hidden-from-sessions",
            **(extra_env or {}),
        }
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, str(binary), "serve", *arguments],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                cwd="/", start_new_session=True,
            )
        try:
            self.port = eventually(self._listens, "the server listens", 60) or 0
            self.base_url = f"http://127.0.0.1:{self.port}"
            eventually(self._healthy, "the server answers /health", 30)
        except BaseException:
            # in order, because it may have sessions by now
            self.stop()
            self.log_path.unlink()
            raise
        self.key = key or (self.state_dir / "api-key").read_text().strip()

    def _listens(self) -> int | None:
        if self.process.poll() is not None:
            raise AssertionError(f"browserd serve exited with {self.process.returncode}:\n{self.log()[-4000:]}")
        try:
            return listening_port(self.pid)
        except OSError:
            return None  # it has ended just now: the next look tells why

    def _healthy(self) -> bool:
        try:
            return httpx.get(f"{self.base_url}/health", timeout=5, verify=NO_AUTHORITIES).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def session_ids(self) -> list[str]:
        """Every session this server has had."""
        ids: list[str] = []
        with httpx.Client(base_url=self.base_url, headers={"Authorization": f"Bearer {self.key}"}, timeout=30, verify=NO_AUTHORITIES) as client:
            while True:
                page = client.get("/browsers", params={"status": "all", "limit": 100, "offset": len(ids)})
                page.raise_for_status()
                ids += [browser["session_id"] for browser in page.json()]
                if page.headers.get("x-has-more") != "true":
                    return ids

    def stop(self) -> None:
        """SIGTERM, and waits for the end. Says in `exit_code` how it ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
                raise AssertionError(f"browserd serve did not end within 60 s of SIGTERM:\n{self.log()[-4000:]}") from None
        self.exit_code = self.process.returncode

    def stop_and_count(self) -> None:
        """Ends the server and fails unless nothing of it and its sessions is left."""
        ids = self.session_ids()
        self.stop()
        assert self.exit_code == 0, f"exit status {self.exit_code} after SIGTERM:\n{self.log()[-4000:]}"
        left = leaks.left_over(ids, self.state_dir)
        assert not left, f"left over after shutdown: {left}"
        mark = [str(self.state_dir)]
        left_by_folder = {
            "processes": leaks.processes(mark),
            "mounts": leaks.mounts(mark),
            "sockets": leaks.sockets(mark),
        }
        assert not any(left_by_folder.values()), f"left over after shutdown: {left_by_folder}"

    def discard(self) -> None:
        """Removes the state folder, log and binary copy."""
        shutil.rmtree(self.state_dir, ignore_errors=True)
        self.log_path.unlink(missing_ok=True)
        if hasattr(self, "_bin_dir"):
            shutil.rmtree(self._bin_dir, ignore_errors=True)


@contextlib.contextmanager
def serving(**settings: Any) -> Iterator[Server]:
    """A server of the test's own; nothing of it may be left, but its state folder when it is given one."""
    server = Server(**settings)
    try:
        yield server
        server.stop_and_count()
    finally:
        server.stop()
        if "state_dir" in settings:
            server.log_path.unlink()
        else:
            server.discard()
