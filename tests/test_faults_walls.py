"""What crosses the walls without being a file or a socket: counts of the kernel, inodes, facts of the host."""
from __future__ import annotations

import base64
import json
import os
import pathlib
import subprocess
import uuid
from typing import Any

from kernel import Kernel

from harness import sessions
from harness.cdp import Cdp, new_page
from harness.server import BINARY, Server
from harness.sessions import AS_ROOT, python

# --- what the kernel counts for a user, not for a cgroup

# Each takes one of a kind and answers its errno, 0 when there was one. What is taken is kept.
KINDS = """
import ctypes, errno, json, os, signal, sys
c = ctypes.CDLL(None, use_errno=True)
kept = []
def failed(result):
    return ctypes.get_errno() if result < 0 else 0
def inotify():
    return failed(c.inotify_init1(0))
def pending():
    return failed(c.sigqueue(os.getpid(), signal.SIGRTMIN + 1, None))
def timer():
    kept.append(ctypes.c_void_p())
    # nothing is to be signalled (SIGEV_NONE), and the timer takes its signal all the same
    event = (ctypes.c_int * 16)(0, 0, 0, 1)
    return failed(c.timer_create(0, event, ctypes.byref(kept[-1])))
def queue():
    name = b'/browserd-test-%d-%d' % (os.getpid(), len(kept))
    kept.append(c.mq_open(name, os.O_CREAT | os.O_RDWR, 0o600, None))
    answer = failed(kept[-1])
    c.mq_unlink(name)  # it is there until it is closed
    return answer
def namespace():
    # one child each, which holds it until its parent is gone
    told, tell = os.pipe()
    if os.fork() == 0:
        c.prctl(1, signal.SIGKILL)
        os.write(tell, b'%d' % failed(c.unshare(0x10000000)))
        while True: signal.pause()
    answer = int(os.read(told, 9))
    os.close(told); os.close(tell)
    return answer
kinds = dict(inotify=inotify, pending=pending, timer=timer, queue=queue, namespace=namespace)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN + 1])
"""
# Takes all there is of one kind, says why there is no more, and keeps it until it is killed.
EXHAUST = KINDS + """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
why = taken = 0
while not why and taken < 200_000:
    why = kinds[sys.argv[1]]()
    taken += 1
print(json.dumps(errno.errorcode.get(why, 'none')), flush=True)
while True: signal.pause()
"""
# What there is for somebody else.
TAKE_ONE = KINDS + "print(json.dumps({name: errno.errorcode.get(take(), 'had') for name, take in kinds.items()}))"
ALL_HAD = dict.fromkeys(["inotify", "pending", "timer", "queue", "namespace"], "had")


def exhausting(kernel: Kernel, session_id: str, kind: str) -> Any:
    """A process that holds all there is of one kind."""
    held = kernel.browsers.process.spawn(session_id, command="python3", args=["-c", EXHAUST, kind])
    with kernel.browsers.process.stdout_stream(held.process_id or "", id_or_name=session_id) as stream:
        said = next(event for event in stream if event.stream == "stdout" or event.event == "exit")
    assert said.stream == "stdout", (kind, said)
    return held, base64.b64decode(said.data_b64 or "").decode().strip()


def nothing_of_others_is_used_up(kernel: Kernel, user: str | None) -> None:
    """One session takes all it gets of each kind; its neighbour, a new one and `user` on the host have theirs."""
    greedy, neighbour = sessions.create(kernel, memory="2GiB"), sessions.create(kernel)
    held = []
    try:
        for kind in ALL_HAD:
            process, why = exhausting(kernel, greedy.session_id, kind)
            held.append(process)
            assert why in ('"EMFILE"', '"EAGAIN"', '"ENOSPC"'), (kind, "it is limited", why)
        assert python(kernel, neighbour.session_id, TAKE_ONE) == ALL_HAD, "the neighbour has its own"
        become = [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        host = subprocess.run([*become, "/usr/bin/python3", "-c", TAKE_ONE], capture_output=True, text=True, check=True, timeout=60, cwd="/")
        assert json.loads(host.stdout) == ALL_HAD, "the host has its own"
        # its Chromium can still make the namespaces of its sandbox, and so can a new one
        another = sessions.create(kernel)
        try:
            for browser in (neighbour, another):
                with Cdp(browser.cdp_ws_url) as cdp:
                    page = new_page(cdp)
                    assert page.evaluate("1 + 1") == 2
                    page.close()
        finally:
            kernel.browsers.delete_by_id(another.session_id)
        # the session itself goes on
        assert sessions.sh(kernel, greedy.session_id, "true").code == 0
    finally:
        for process in held:
            kernel.browsers.process.kill(process.process_id or "", id_or_name=greedy.session_id, signal="KILL")
        for browser in (greedy, neighbour):
            kernel.browsers.delete_by_id(browser.session_id)


def test_a_session_uses_up_nothing_of_others(kernel: Kernel) -> None:
    nothing_of_others_is_used_up(kernel, None)


# --- inodes: who shares one can lock it, watch it and set its times

# Whatever is mounted, and some of what is in there: which inode it is.
INODES = """
import glob, json, os
paths = {line.split()[4] for line in open('/proc/self/mountinfo')}
paths |= {*glob.glob('/dev/*'), *glob.glob('/.browserd/**', recursive=True), *glob.glob('/sys/devices/system/cpu/*')}
paths |= {'/usr/bin/env', '/bin/sh', '/etc/passwd', '/etc/os-release', '/lib/os-release', '/proc/version', '/proc/sys/kernel/osrelease'}
found = {}
for path in paths:
    try: at = os.stat(path)
    except OSError: continue
    # what a process has of its own is named by a link there
    if not path.startswith(('/dev/fd', '/dev/std')): found[path] = f'{at.st_dev}:{at.st_ino}'
print(json.dumps(found))
"""
# Takes locks on everything that can be opened; those somebody else has are told.
LOCK = """
import fcntl, json, os, signal, sys
kept, taken, seen = [], [], set()
for path in json.loads(sys.argv[1]):
    try: file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError: continue
    kept.append(file)
    # what is masked is one file
    if os.fstat(file).st_ino in seen: continue
    seen.add(os.fstat(file).st_ino)
    try: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError: taken.append(path)
print(json.dumps(taken), flush=True)
if sys.argv[2] == 'hold':
    while True: signal.pause()
"""


def inodes_shared(kernel: Kernel, one: str, other: str, program: str) -> dict[str, str]:
    """What two sessions, or one and the host, have in common: paths in the first, by inode."""
    ours, theirs = (python(kernel, session_id, INODES) for session_id in (one, other))
    assert len(ours) > 40, ours
    hosts = []
    for path in (*ours, program):
        try:
            at = os.stat(path)
        except OSError:
            continue
        hosts.append(f"{at.st_dev}:{at.st_ino}")
    return {path: inode for path, inode in ours.items() if inode in {*theirs.values(), *hosts}}


def test_no_inode_is_shared(kernel: Kernel, headless: Any, neighbour: Any) -> None:
    assert inodes_shared(kernel, headless.session_id, neighbour.session_id, str(BINARY)) == {}


def test_locks_reach_nobody_else(kernel: Kernel, headless: Any, neighbour: Any) -> None:
    paths = json.dumps([path for path in python(kernel, headless.session_id, INODES) if path != "/dev/tty"])
    held = kernel.browsers.process.spawn(headless.session_id, command="python3", args=["-c", LOCK, paths, "hold"])
    with kernel.browsers.process.stdout_stream(held.process_id or "", id_or_name=headless.session_id) as stream:
        assert next(iter(stream)).stream == "stdout"
    try:
        ran = sessions.run(kernel, neighbour.session_id, "python3", "-c", LOCK, paths, "look")
        assert json.loads(ran.out) == [], "the neighbour locks the same files"
        host = subprocess.run(["/usr/bin/python3", "-c", LOCK, paths, "look"], capture_output=True, text=True, check=True, timeout=60)
        assert json.loads(host.stdout) == [], "so does the host"
    finally:
        kernel.browsers.process.kill(held.process_id or "", id_or_name=headless.session_id, signal="KILL")


# --- PID 1, whose descriptors lead outside

# Everything that whoever is of PID 1's user, or root, might do to it; what was done is told.
AGAINST_PID_1 = """
import json, os, resource, signal
done = []
def attempt(name, call):
    try: call()
    except (OSError, ValueError): return
    done.append(name)
threads = os.listdir('/proc/1/task')
for number in signal.valid_signals():
    attempt('signal', lambda: os.kill(1, number))
signals, done = len(done), []
for thread in threads:
    attempt(f'limits of {thread}', lambda: resource.prlimit(int(thread), resource.RLIMIT_NOFILE, (0, 0)))
    for name in ('oom_score_adj', 'oom_adj', 'coredump_filter', 'clear_refs', 'autogroup', 'comm', 'mem', 'sched'):
        def write():
            with open(f'/proc/{thread}/{name}', 'w') as file: file.write('1')
        attempt(f'write {name} of {thread}', write)
    for name in ('fd', 'map_files', 'fdinfo'):
        attempt(f'list {name} of {thread}', lambda: os.listdir(f'/proc/{thread}/{name}'))
print(json.dumps(dict(threads=len(threads), signals=signals, done=done)))
"""


def pid_1_is_left_alone(kernel: Kernel, session_id: str, as_root: bool, may_signal: bool) -> None:
    tried = python(kernel, session_id, AGAINST_PID_1, as_root=as_root)
    assert tried["threads"] >= 1 and tried["done"] == [], tried
    # A signal may be sent by who may send it, and is nothing to PID 1.
    assert (tried["signals"] > 30) is may_signal, tried
    assert sessions.sh(kernel, session_id, "true").code == 0
    assert kernel.browsers.retrieve(session_id).deleted_at is None


@AS_ROOT
def test_pid_1_is_left_alone(kernel: Kernel, make: Any, as_root: bool) -> None:
    pid_1_is_left_alone(kernel, make().session_id, as_root, as_root)


# --- facts of the host

COUNTERS = "interrupts softirqs diskstats vmstat schedstat buddyinfo zoneinfo locks partitions swaps modules kallsyms key-users cmdline sys/fs/file-nr sys/fs/inode-nr sys/kernel/pty/nr"


@AS_ROOT
def test_the_host_is_not_told(kernel: Kernel, headless: Any, neighbour: Any, server: Server, as_root: bool) -> None:
    mounts = sessions.sh(kernel, headless.session_id, "cat /proc/self/mountinfo /proc/self/mounts /proc/self/mountstats", as_root=as_root).out
    for place in (str(server.state_dir), str(BINARY.parent), headless.session_id):
        assert place not in mounts, mounts
    counters = sessions.sh(kernel, headless.session_id, f"cd /proc && cat {COUNTERS} 2>/dev/null; ls pressure acpi asound driver scsi 2>/dev/null | grep -v :", as_root=as_root).out
    assert counters.strip() == ""
    boots = [sessions.sh(kernel, browser.session_id, "cat /proc/sys/kernel/random/boot_id", as_root=as_root).out for browser in (headless, neighbour)]
    boots.append(pathlib.Path("/proc/sys/kernel/random/boot_id").read_text())
    assert len({uuid.UUID(boot.strip()) for boot in boots}) == 3, boots
