"""What crosses the walls without being a file or a socket: counts of the kernel, inodes, facts of the host."""
from __future__ import annotations

import base64
import json
import subprocess
from typing import Any

from kernel import Kernel

from harness import sessions
from harness.cdp import Cdp, new_page
from harness.sessions import python

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
    greedy, neighbour = sessions.create(kernel), sessions.create(kernel)
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
