"""The walls: what two sessions, and a session and its host, must not see of each other."""
from __future__ import annotations

import json
import os
import pathlib
import socket
import uuid
from typing import Any

import pytest
from kernel import Kernel

from harness import leaks, sessions
from harness.cdp import Cdp, new_page
from harness.deadline import eventually
from harness.server import Server
from harness.sessions import AS_ROOT, python, sh
from harness.site import Site


@pytest.fixture(scope="module")
def mark() -> str:
    """Found nowhere on this host by accident."""
    return f"mark-{uuid.uuid4().hex}"


def status_of(kernel: Kernel, session_id: str, **settings: Any) -> dict[str, str]:
    ran = sh(kernel, session_id, "cat /proc/self/status", **settings)
    return dict(line.split(":\t", 1) for line in ran.out.splitlines() if ":\t" in line)


# --- between two sessions


@AS_ROOT
def test_processes(kernel: Kernel, headless: Any, neighbour: Any, mark: str, as_root: bool) -> None:
    spawned = kernel.browsers.process.spawn(headless.session_id, command="sh", args=["-c", f"sleep 600 # {mark}"])
    script = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"
    eventually(lambda: mark in sh(kernel, headless.session_id, script).out, "its own session sees it")
    assert mark not in sh(kernel, neighbour.session_id, script, as_root=as_root).out
    # nor does it see the host's processes
    seen = sh(kernel, neighbour.session_id, script, as_root=as_root).out
    assert "pytest" not in seen and "browserd serve" not in seen
    kernel.browsers.process.kill(spawned.process_id or "", id_or_name=headless.session_id, signal="KILL")


@AS_ROOT
def test_files(kernel: Kernel, headless: Any, neighbour: Any, mark: str, as_root: bool) -> None:
    folders = ["/tmp", "/var/tmp", "/dev/shm", "/home/kernel", "/home/kernel/Downloads"]
    for folder in folders:
        assert sh(kernel, headless.session_id, f"echo {mark} > {folder}/{mark}").code == 0, folder
    if as_root:
        for folder in ("/etc", "/usr/lib", "/opt", "/srv", "/root"):
            # root inside may change its own root, which is nobody else's
            if sh(kernel, headless.session_id, f"echo x > {folder}/{mark}", as_root=True).code == 0:
                folders.append(folder)
    for folder in folders:
        assert sh(kernel, neighbour.session_id, f"ls -d {folder}/{mark}", as_root=as_root).code != 0, folder
        assert not os.path.exists(f"{folder}/{mark}"), folder
    for folder in folders:
        sh(kernel, headless.session_id, f"rm -f {folder}/{mark}", as_root=as_root)


LISTEN = """
import socket, sys
s = socket.socket({family}, socket.SOCK_STREAM); s.bind({address}); s.listen(); print('listening', flush=True)
while True: s.accept()
"""
CONNECT = """
import json, socket
s = socket.socket({family}, socket.SOCK_STREAM); s.settimeout(5)
try: s.connect({address}); print(json.dumps('connected'))
except OSError as error: print(json.dumps(type(error).__name__))
"""

# The gateway takes any connection before it judges it: what counts is who answers.
TALK = """
import json, socket
s = socket.socket({family}, socket.SOCK_STREAM); s.settimeout(5)
try:
    s.connect({address}); s.sendall(b'GET /hello HTTP/1.0\\r\\n\\r\\n')
    print(json.dumps('talked' if s.recv(1) else 'closed'))
except OSError as error: print(json.dumps(type(error).__name__))
"""


@pytest.mark.parametrize(
    ("family", "address"),
    [("socket.AF_UNIX", "'/tmp/{mark}.sock'"), ("socket.AF_UNIX", "'\\0{mark}'"), ("socket.AF_INET", "('127.0.0.1', 45871)"), ("socket.AF_INET6", "('::1', 45871)")],
    ids=["unix", "abstract", "loopback", "loopback6"],
)
def test_sockets(kernel: Kernel, headless: Any, neighbour: Any, mark: str, family: str, address: str) -> None:
    place = {"family": family, "address": address.format(mark=mark)}
    spawned = kernel.browsers.process.spawn(headless.session_id, command="python3", args=["-c", LISTEN.format(**place)])
    with kernel.browsers.process.stdout_stream(spawned.process_id or "", id_or_name=headless.session_id) as stream:
        assert next(iter(stream)).stream == "stdout"
    connect = CONNECT.format(**place)
    assert python(kernel, headless.session_id, connect) == "connected"
    assert python(kernel, neighbour.session_id, connect) != "connected"
    assert python(kernel, neighbour.session_id, connect, as_root=True) != "connected"
    # and the host is not in either session's network
    with socket.socket(eval(family), socket.SOCK_STREAM) as outside:
        with pytest.raises(OSError):
            outside.connect(eval(place["address"]))
    kernel.browsers.process.kill(spawned.process_id or "", id_or_name=headless.session_id, signal="KILL")


def test_the_hosts_sockets_are_out_of_reach(kernel: Kernel, headless: Any, server: Server, forbidden_site: Site, mark: str) -> None:
    before = forbidden_site.total()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as abstract:
        abstract.bind(f"\0{mark}-host")
        abstract.listen()
        for as_root in (False, True):
            for family, address in (
                ("socket.AF_UNIX", f"'\\0{mark}-host'"), ("socket.AF_INET", f"('127.0.0.1', {forbidden_site.port})"),
                ("socket.AF_INET", f"('127.0.0.1', {server.port})"), ("socket.AF_INET", f"('{forbidden_site.host}', {forbidden_site.port})"),
            ):
                assert python(kernel, headless.session_id, TALK.format(family=family, address=address), as_root=as_root) != "talked"
    assert forbidden_site.total() == before


def test_shared_memory_and_ipc(kernel: Kernel, headless: Any, neighbour: Any) -> None:
    make = "import ctypes, json; c = ctypes.CDLL(None); print(json.dumps(c.shmget(0x7a7a, 4096, 0o1666)))"
    find = "import ctypes, json; c = ctypes.CDLL(None); print(json.dumps(c.shmget(0x7a7a, 0, 0)))"
    assert python(kernel, headless.session_id, make) >= 0
    assert python(kernel, headless.session_id, find) >= 0
    assert python(kernel, neighbour.session_id, find) == -1


def test_pages(headless: Any, neighbour: Any, mark: str) -> None:
    with Cdp(headless.cdp_ws_url) as one, Cdp(neighbour.cdp_ws_url) as two:
        page = new_page(one, f"about:blank#{mark}")
        assert mark in str(one.call("Target.getTargets"))
        assert mark not in str(two.call("Target.getTargets"))
        page.close()


def test_namespaces_differ(kernel: Kernel, headless: Any, neighbour: Any) -> None:
    one, two = sessions.namespaces(kernel, headless.session_id), sessions.namespaces(kernel, neighbour.session_id)
    host = {os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "mnt", "net", "ipc", "uts", "cgroup", "user")}
    assert not one & two
    assert not one & host, "every kind of namespace is the session's own"


# --- from the host


@AS_ROOT
def test_host_folders_are_not_there(kernel: Kernel, headless: Any, server: Server, as_root: bool) -> None:
    mark = f"planted-{uuid.uuid4().hex}"
    planted = []
    for folder in (pathlib.Path.home(), pathlib.Path("/var/tmp"), pathlib.Path("/tmp"), pathlib.Path("/home"), server.state_dir):
        try:
            path = folder / mark
            path.write_text(mark)
            planted.append(path)
        except OSError:
            continue
    try:
        assert planted
        for path in planted:
            assert sh(kernel, headless.session_id, f"cat '{path}'", as_root=as_root).code != 0, path
        assert sh(kernel, headless.session_id, f"ls '{server.state_dir}'", as_root=as_root).code != 0
        found = sh(kernel, headless.session_id, f"find / -xdev -name '{mark}*' 2>/dev/null", as_root=as_root, timeout_sec=120)
        assert mark not in found.out
        entries = set(sh(kernel, headless.session_id, "ls -A /", as_root=as_root).out.split())
        assert entries <= {
            ".browserd", "bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "media", "mnt", "opt", "proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr", "var",
        }, entries
    finally:
        for path in planted:
            path.unlink()


@AS_ROOT
def test_host_secrets_are_not_there(kernel: Kernel, headless: Any, server: Server, as_root: bool) -> None:
    for path in ("/etc/shadow", "/etc/gshadow", "/etc/ssh/ssh_host_ed25519_key", "/etc/ssl/private", "/etc/sudoers", "/etc/machine-id"):
        try:
            host = pathlib.Path(path).read_bytes() if os.path.isfile(path) else b"".join(sorted(os.listdir(os.fsencode(path))))
        except OSError:
            continue
        if host.strip():
            inside = sh(kernel, headless.session_id, f"cat '{path}' 2>/dev/null || ls '{path}' 2>/dev/null", as_root=as_root).out
            assert inside.strip().encode() != host.strip(), path
    environments = sh(kernel, headless.session_id, "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'", as_root=as_root).out
    assert "DAEMON_SECRET" not in environments
    assert server.key not in environments
    assert sh(kernel, headless.session_id, "id -un", as_root=as_root).out.strip() == ("root" if as_root else "kernel")


def test_passwd_names_only_the_sessions_users(kernel: Kernel, headless: Any) -> None:
    users = {line.split(":")[0] for line in sh(kernel, headless.session_id, "cat /etc/passwd").out.splitlines()}
    assert {"root", "kernel"} <= users
    people = {line.split(":")[0] for line in pathlib.Path("/etc/passwd").read_text().splitlines() if 1000 <= int(line.split(":")[2]) < 60000}
    assert not (people - {"kernel"}) & users


# --- what a process may do


@AS_ROOT
def test_no_new_privileges_and_seccomp(kernel: Kernel, headless: Any, as_root: bool) -> None:
    status = status_of(kernel, headless.session_id, as_root=as_root)
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    if not as_root:
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(status[kind], 16) == 0, status
        # an ordinary user cannot empty the bounding set; no_new_privs makes it worthless
        assert os.geteuid() != 0 or int(status["CapBnd"], 16) == 0, status


def test_uids_outside_are_nobodys(kernel: Kernel, headless: Any, neighbour: Any, mark: str) -> None:
    """Seen from the host, neither the session's user nor its root is root, or the other session's."""
    seen: dict[tuple[str, bool], int] = {}
    spawned = []
    for browser in (headless, neighbour):
        for as_root in (False, True):
            name = f"{mark}-uid-{browser.name}-{as_root}"
            spawned.append((browser, kernel.browsers.process.spawn(browser.session_id, command="sh", args=["-c", f"read x # {name}"], as_root=as_root)))

            def outside() -> int | None:
                for pid in leaks.pids():
                    if name in leaks.command(pid):
                        fields = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
                        # its power counts in its own user namespace only; the real test is below
                        return int(fields["Uid"].split()[1])
                return None

            seen[(browser.name, as_root)] = eventually(outside, "the host sees the process")
    assert 0 not in seen.values(), seen
    if os.geteuid() == 0:
        assert len(set(seen.values())) == 4, seen
    for browser, process in spawned:
        kernel.browsers.process.kill(process.process_id or "", id_or_name=browser.session_id, signal="KILL")


# System calls by their numbers on x86-64 and ARM64, with arguments that the kernel would accept, or
# refuse otherwise than for lack of power. `c` is libc, `buffer(n)` memory of its own.
CALLS: dict[str, tuple[int, int, str]] = {
    "mount": (165, 40, "b'none', b'/mnt', b'tmpfs', 0, None"),
    "mount by the new calls": (430, 430, "b'tmpfs', 0"),
    "copy a mount": (428, 428, "-100, b'/', 1"),
    "take a mount namespace": (272, 97, "0x20000"),
    "enter a namespace": (308, 268, "os.open('/proc/self/ns/net', os.O_RDONLY), 0"),
    "change the root": (155, 41, "b'/tmp', b'/tmp'"),
    "load a kernel module": (313, 273, "os.open('/bin/true', os.O_RDONLY), b'', 0"),
    "load another kernel": (246, 104, "0, 0, None, 0"),
    "set what Ctrl-Alt-Del does": (169, 142, "0xfee1dead, 672274793, 0, None"),
    "set the clock": (227, 112, "0, struct.pack('qq', int(time.time()), 0)"),
    "set the host name": (170, 161, "b'mine', 4"),
    "read the kernel's log": (103, 116, "3, buffer(4096), 4096"),
    "swap": (167, 224, "b'/dev/null', 0"),
    "keep accounts": (163, 89, "None"),
    "make a device": (259, 33, "-100, b'/tmp/a-disk', 0o60600, 0x800"),
    "open a file by its handle": (304, 265, "-100, buffer(64), 0"),
    "watch every file": (300, 262, "0, 0"),
    "trace PID 1": (101, 117, "16, 1, None, None"),
    "look into PID 1": (310, 270, "1, struct.pack('PN', ctypes.addressof(room), 8), 1, struct.pack('PN', 4096, 8), 1, 0"),
    "use keyrings": (248, 217, "b'user', b'a', b'b', 1, -3"),
    "use bpf": (321, 280, "0, struct.pack('5I', 2, 4, 4, 1, 0), 20"),
    "use perf": (298, 241, "struct.pack('IIQ96x', 1, 112, 1), 0, -1, -1, 0"),
    "use io_uring": (425, 425, "4, buffer(256)"),
    "use userfaultfd": (323, 282, "1"),
    "speak to the hypervisor": (41, 198, "40, 1, 0"),
    "make a call newer than the list": (463, 463, "-1, None, None, 0, None, 0"),
}
CALL_ALL = """
import ctypes, errno, json, os, platform, struct, sys, time
c, buffer = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer
room = buffer(64)
outcomes = {}
for name, (x86, arm, arguments) in json.loads(sys.argv[1]).items():
    arguments = [ctypes.c_long(value) if isinstance(value, int) else value for value in eval(f'[{arguments}]')]
    done = c.syscall(ctypes.c_long({'x86_64': x86, 'aarch64': arm}[platform.machine()]), *arguments)
    outcomes[name] = 'done' if done >= 0 else errno.errorcode[ctypes.get_errno()]
print(json.dumps(outcomes))
"""


@AS_ROOT
def test_calls_nobody_inside_may_make(kernel: Kernel, headless: Any, as_root: bool) -> None:
    ran = sessions.run(kernel, headless.session_id, "python3", "-c", CALL_ALL, json.dumps(CALLS), as_root=as_root)
    assert ran.code == 0, ran
    outcomes = json.loads(ran.out)
    assert outcomes.keys() == CALLS.keys()
    assert {name: outcome for name, outcome in outcomes.items() if outcome not in ("EPERM", "ENOSYS")} == {}


# Files that are power: written, they must refuse; read, they must refuse or be empty.
WRITTEN = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity"]
READ = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/nvme0n1"]
TOUCH = """
import errno, json, sys
outcomes = {}
written, read = json.loads(sys.argv[1])
for path in written:
    try:
        with open(path, 'w') as file: file.write('1')
        outcomes[path] = 'written'
    except OSError as error: outcomes[path] = errno.errorcode[error.errno]
for path in read:
    try:
        with open(path, 'rb') as file: outcomes[path] = 'read' if file.read(1) else 'ENOENT'
    except OSError as error: outcomes[path] = errno.errorcode[error.errno]
print(json.dumps(outcomes))
"""


@AS_ROOT
def test_files_of_the_kernel_are_out_of_reach(kernel: Kernel, headless: Any, as_root: bool) -> None:
    ran = sessions.run(kernel, headless.session_id, "python3", "-c", TOUCH, json.dumps([WRITTEN, READ]), as_root=as_root)
    assert ran.code == 0, ran
    outcomes = json.loads(ran.out)
    assert outcomes.keys() == {*WRITTEN, *READ}
    assert {path: outcome for path, outcome in outcomes.items() if outcome not in ("EPERM", "EACCES", "EROFS", "ENOENT")} == {}
    # cgroups, their limits and every other knob
    writable = sh(kernel, headless.session_id, "find /sys /proc/sys /proc/bus /proc/irq -type f -writable 2>/dev/null | head", as_root=as_root)
    assert writable.out == "", writable


def test_setuid_gains_nothing(kernel: Kernel, headless: Any, mark: str) -> None:
    """Root inside makes a setuid program, the session's user runs it and stays who it is."""
    for folder in ("/tmp", "/var/tmp", "/dev/shm", "/opt", "/usr/local/bin", "/home/kernel"):
        program = f"{folder}/{mark}-id"
        made = sh(kernel, headless.session_id, f"cp /usr/bin/id {program} && chown root:root {program} && chmod 6755 {program} && stat -c '%u %a' {program}", as_root=True)
        assert made.out == "0 6755\n", (folder, made)
        ran = sh(kernel, headless.session_id, f"{program} -u; {program} -g; grep -h CapEff /proc/self/status")
        assert ran.out.split() == ["1000", "1000", "CapEff:", "0" * 16], (folder, ran)
        sh(kernel, headless.session_id, f"rm {program}", as_root=True)


@AS_ROOT
def test_the_guest_is_out_of_reach(kernel: Kernel, headless: Any, as_root: bool) -> None:
    """PID 1 holds the session's sockets to the outside."""
    for attempt in (
        "readlink /proc/1/fd/3", "readlink /proc/1/fd/5", "cat /proc/1/fd/3", "cat /proc/1/environ", "head -c 1 /proc/1/mem", "cat /proc/1/maps | grep .",
        "readlink /proc/1/exe", "echo x > /proc/1/exe", "ls /proc/1/root/", "ls /proc/1/cwd/", "readlink /proc/1/ns/mnt",
    ):
        ran = sh(kernel, headless.session_id, attempt, as_root=as_root)
        assert ran.code != 0, (attempt, ran)
    # a signal nobody can handle does nothing to it
    sh(kernel, headless.session_id, "kill -9 1; kill -STOP 1", as_root=as_root)
    assert sh(kernel, headless.session_id, "true").code == 0


def test_its_user_cannot_stop_the_guest(kernel: Kernel, headless: Any) -> None:
    for signal in ("TERM", "INT", "HUP", "QUIT", "KILL", "ABRT", "USR1"):
        assert sh(kernel, headless.session_id, f"kill -{signal} 1").code != 0
    assert sh(kernel, headless.session_id, "true").code == 0


def test_root_inside_is_root_of_nothing_outside(kernel: Kernel, headless: Any) -> None:
    """It may own its files, and that is all."""
    assert sh(kernel, headless.session_id, "id -u", as_root=True).out.strip() == "0"
    assert sh(kernel, headless.session_id, "touch /root/mine && chown kernel:kernel /root/mine && stat -c %U /root/mine", as_root=True).out.strip() == "kernel"


def test_chromium_never_runs_without_its_sandbox(headless: Any, headful: Any) -> None:
    for browser in (headless, headful):
        commands = [command for command in leaks.processes([browser.session_id]).values()]
        chromium = [command for command in commands if "chromium" in command]
        assert chromium, commands
        assert not [command for command in chromium if "--no-sandbox" in command or "--disable-setuid-sandbox" in command or "--disable-web-security" in command]


def test_headful_chromium_is_sandboxed(headful: Any) -> None:
    with Cdp(headful.cdp_ws_url) as cdp:
        page = new_page(cdp)
        assert page.goto("chrome://sandbox") is None
        eventually(lambda: "You are adequately sandboxed." in page.evaluate("document.body.innerText"), "chrome://sandbox says so", 15)
        page.close()


def test_a_fork_bomb_is_contained(kernel: Kernel, make: Any) -> None:
    browser = make()
    bomb = "import os, time\nn = 0\ntry:\n  while n < 100000:\n    if os.fork() == 0: time.sleep(600)\n    n += 1\nexcept OSError: pass\nprint(n)"
    ran = sessions.run(kernel, browser.session_id, "python3", "-c", bomb, timeout_sec=60)
    assert ran.code == 0 and 0 < int(ran.out) < 100_000, ran
    # the session answers again once they are gone
    sh(kernel, browser.session_id, "pkill -9 -f 'n < 100000'; true")
    assert eventually(lambda: sh(kernel, browser.session_id, "true").code == 0, "the session goes on")
