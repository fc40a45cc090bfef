"""`spawn` and what follows: status, output, input, signals, listing, waiting."""
from __future__ import annotations

import base64
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from kernel import Kernel

from harness import leaks, output
from harness.deadline import eventually
from harness.processes import Processes
from harness.server import Server
from harness.sessions import python, sh

UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


# --- spawn and status


def test_spawn_answers_with_the_handle(kernel: Kernel, headless: Any) -> None:
    spawned = kernel.browsers.process.spawn(headless.session_id, command="sh", args=["-c", "echo $$; sleep 600"])
    assert spawned.process_id and UUID.match(spawned.process_id)
    assert spawned.started_at is not None and spawned.started_at.tzinfo is not None
    with kernel.browsers.process.stdout_stream(spawned.process_id, id_or_name=headless.session_id) as stream:
        first = next(iter(stream))
    assert base64.b64decode(first.data_b64 or "").decode().strip() == str(spawned.pid)
    status = kernel.browsers.process.status(spawned.process_id, id_or_name=headless.session_id)
    assert status.state == "running" and status.exit_code is None
    assert kernel.browsers.process.kill(spawned.process_id, id_or_name=headless.session_id, signal="KILL").ok is True


def test_status_has_exactly_four_fields(processes: Processes) -> None:
    process_id = processes.spawn("sleep", "600")
    running = processes.status(process_id)
    assert set(running) == {"state", "exit_code", "cpu_pct", "mem_bytes"}
    assert running["state"] == "running" and running["exit_code"] is None
    assert isinstance(running["cpu_pct"], (int, float)) and running["cpu_pct"] >= 0
    assert running["mem_bytes"] > 100_000
    processes.kill(process_id, "KILL")
    assert processes.wait(process_id) == {"state": "exited", "exit_code": 137, "cpu_pct": 0, "mem_bytes": 0}


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 42", 42), ("kill -KILL $$", 137), ("kill -TERM $$", 143), ("exit 255", 255)])
def test_exit_codes(processes: Processes, script: str, code: int) -> None:
    assert processes.wait(processes.sh(script)) == {"state": "exited", "exit_code": code, "cpu_pct": 0, "mem_bytes": 0}


BUSY = "while :; do :; done"
# a shell that only waits for two busy children
CHILDREN = f"({BUSY}) & ({BUSY}) & wait"
# a busy grandchild in a session of its own, its parent gone
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True: pass
    os._exit(0)
os.wait()
time.sleep(600)
"""
# cpu seconds of the listed commands' processes, twice; answers percent of one core and the window
GROUND_TRUTH = """
import json, os, sys, time
def ticks():
    total = 0
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            if sys.argv[1] not in open(f'/proc/{pid}/environ').read(): continue
            fields = open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()
            total += int(fields[11]) + int(fields[12])
        except OSError: pass
    return total
a, t = ticks(), time.monotonic()
time.sleep(1)
print(json.dumps((ticks() - a) * 100 / os.sysconf('SC_CLK_TCK') / (time.monotonic() - t)))
"""


@pytest.mark.parametrize(
    ("name", "command"),
    [("alone", ["/bin/sh", "-c", BUSY]), ("children", ["/bin/sh", "-c", CHILDREN]), ("daemon", ["python3", "-c", DAEMON])],
)
def test_cpu_is_what_the_kernel_counted(kernel: Kernel, headless: Any, processes: Processes, name: str, command: list[str]) -> None:
    mark = f"GROUND_TRUTH_{name.upper()}"
    process_id = processes.spawn(*command, env={mark: "1"})
    try:

        def agrees() -> bool:
            truth = python(kernel, headless.session_id, GROUND_TRUTH.replace("sys.argv[1]", repr(mark)))
            said = processes.status(process_id)["cpu_pct"]
            return truth > 20 and abs(said - truth) <= max(0.25 * truth, 10)

        eventually(agrees, "cpu_pct agrees with the kernel's count", 60)
    finally:
        processes.kill(process_id, "KILL")
        # a daemon left the group: it ends here by its mark
        sh(kernel, headless.session_id, f"grep -lsz {mark}= /proc/[0-9]*/environ | cut -d/ -f3 | grep -vx $$ | xargs -r kill -9 2>/dev/null; true")
    assert processes.wait(process_id)["cpu_pct"] == 0


def test_cpu_of_a_process_that_became_idle_falls(processes: Processes) -> None:
    process_id = processes.spawn("python3", "-c", "import time; end = time.monotonic() + 2\nwhile time.monotonic() < end: pass\ntime.sleep(600)")
    eventually(lambda: processes.status(process_id)["cpu_pct"] > 20, "it is seen busy")
    eventually(lambda: processes.status(process_id)["cpu_pct"] < 5, "it is seen idle")
    processes.kill(process_id, "KILL")


def test_memory_of_the_whole_set(processes: Processes) -> None:
    size = 200 << 20
    alone = processes.spawn("python3", "-c", f"b = b'x' * {size}; import time; time.sleep(600)")
    child = processes.sh(f"python3 -c \"b = b'x' * {size}; import time; time.sleep(600)\" & wait")
    for process_id in (alone, child):
        eventually(lambda: size <= processes.status(process_id)["mem_bytes"] <= size + (48 << 20), "mem_bytes is the 200 MiB and an interpreter")
        processes.kill(process_id, "KILL")
        assert processes.wait(process_id)["mem_bytes"] == 0


def test_exited_processes_stay_readable(processes: Processes) -> None:
    """At least the last thousand."""
    first = processes.sh("echo still here; exit 5")
    processes.wait(first)
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: processes.spawn("true"), range(999)))
        assert all(status["state"] == "exited" for status in pool.map(processes.wait, ids))
    assert processes.status(first) == {"state": "exited", "exit_code": 5, "cpu_pct": 0, "mem_bytes": 0}
    assert processes.read(first).stdout == b"still here\n"


# --- unknown processes


OPERATIONS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "status", None), ("GET", "stdout/stream", None), ("GET", "wait", None), ("POST", "kill", {"signal": "TERM"}),
    ("POST", "stdin", {"data_b64": ""}), ("POST", "resize", {"rows": 1, "cols": 1}),
]


@pytest.mark.parametrize(("method", "operation", "body"), OPERATIONS)
def test_unknown_malformed_and_foreign_ids(wire: httpx.Client, headless: Any, neighbour: Any, method: str, operation: str, body: Any) -> None:
    foreign = Processes(wire, neighbour.session_id)
    theirs = foreign.spawn("sleep", "600")
    for process_id in ("00000000-0000-4000-8000-000000000000", theirs):
        answer = wire.request(method, f"/browsers/{headless.session_id}/process/{process_id}/{operation}", json=body)
        assert answer.status_code == 404, answer.text
        assert answer.json()["code"] == "process_not_found"
    for process_id in ("1", "not-a-uuid", "00000000000040008000000000000000", "%2e%2e", "00000000-0000-4000-8000-00000000000g"):
        answer = wire.request(method, f"/browsers/{headless.session_id}/process/{process_id}/{operation}", json=body)
        assert answer.status_code == 400, (process_id, answer.text)
        assert "process_id" in {detail["code"] for detail in answer.json()["details"]}
    assert foreign.kill(theirs, "KILL").status_code == 200


# --- output


def test_every_subscriber_gets_everything_in_order(processes: Processes) -> None:
    process_id = processes.sh("read start; for i in $(seq 1 2000); do echo out $i; done; echo bad >&2; echo last; exit 9")
    expected = "".join(f"out {n}\n" for n in range(1, 2001)).encode() + b"last\n"
    with ThreadPoolExecutor(4) as pool:
        early = [pool.submit(processes.read, process_id) for _ in range(3)]
        assert processes.stdin(process_id, b"go\n").json() == {"written_bytes": 3}
        read = [future.result(60) for future in early]
    read.append(processes.read(process_id))
    for subscriber in read:
        assert subscriber.stdout == expected
        assert subscriber.stderr == b"bad\n"
        assert subscriber.exit_code == 9
        assert subscriber.dropped == 0


def test_streams_keep_their_order_among_each_other(processes: Processes) -> None:
    """What was written first is told first, whichever stream it was written to."""
    process_id = processes.spawn("python3", "-c", "import os, sys\nfor i in range(6):\n os.write(1 + i % 2, b'%d' % i); sys.stdin.readline()")
    order = []
    with processes.stream(process_id) as response:
        events = output.events(response)
        for number in range(6):
            event = next(events)
            order.append((event["stream"], base64.b64decode(event["data_b64"])))
            processes.stdin(process_id, b"\n")
        assert next(events) == {"event": "exit", "exit_code": 0}
    written = [("stderr" if number % 2 else "stdout", b"%d" % number) for number in range(6)]
    assert order == written
    # a late reader is told the same
    assert processes.read(process_id).order == [stream for stream, _ in written]


def test_the_sdk_reads_the_stream(kernel: Kernel, headless: Any) -> None:
    spawned = kernel.browsers.process.spawn(headless.session_id, command="sh", args=["-c", "echo one; echo two >&2; exit 4"])
    with kernel.browsers.process.stdout_stream(spawned.process_id or "", id_or_name=headless.session_id) as stream:
        events = list(stream)
    assert events[-1].event == "exit" and events[-1].exit_code == 4
    assert {(e.stream, base64.b64decode(e.data_b64 or "")) for e in events[:-1]} == {("stdout", b"one\n"), ("stderr", b"two\n")}


def test_output_comes_while_it_is_written(processes: Processes) -> None:
    process_id = processes.sh("echo first; read x; echo second")
    with processes.stream(process_id) as response:
        events = output.events(response)
        assert base64.b64decode(next(events)["data_b64"]) == b"first\n"
        processes.stdin(process_id, b"\n")
        assert base64.b64decode(next(events)["data_b64"]) == b"second\n"
        assert next(events) == {"event": "exit", "exit_code": 0}
        assert next(events, None) is None


def test_a_silent_stream_is_kept_alive(processes: Processes) -> None:
    process_id = processes.spawn("sleep", "600")
    with processes.stream(process_id) as response:
        assert any(line.startswith(":") for line in output.lines(response))
    processes.kill(process_id, "KILL")


def test_a_stalled_reader_slows_nothing_and_costs_no_memory(processes: Processes, server: Server, headless: Any) -> None:
    def memory() -> int:
        mine = leaks.processes([headless.session_id])
        ours = [pid for pid, command in mine.items() if " shim" in command or " guest" in command]
        return sum(leaks.pss_bytes(pid) for pid in (server.pid, *ours))

    size = 256 << 20
    process_id = processes.sh(f"read start; head -c {size} /dev/zero; head -c 1000 /dev/zero >&2")
    with processes.stream(process_id), processes.stream(process_id):
        before = memory()
        processes.stdin(process_id, b"\n")
        # nobody reads the two streams; the process ends all the same
        assert processes.wait(process_id)["exit_code"] == 0
        grown = memory() - before
        assert grown < 24 << 20, f"{grown >> 20} MiB more"
    late = processes.read(process_id)
    assert (len(late.stdout), len(late.stderr), late.dropped) == (size, 1000, 0)
    assert late.exit_code == 0


def test_what_is_no_longer_kept_is_announced(processes: Processes) -> None:
    """512 MiB of a process's output are kept; the oldest goes first, and the stream says how much."""
    size, kept = 600 << 20, 512 << 20
    process_id = processes.spawn("head", "-c", str(size), "/dev/zero")
    assert processes.wait(process_id, 120)["exit_code"] == 0
    with processes.stream(process_id) as response:
        first = next(output.events(response))
    assert first["stream"] == "stdout" and first["data_b64"] == ""
    assert size - kept <= first["dropped_bytes"] < size - kept + (64 << 20)


def test_a_reader_going_away_ends_nothing(processes: Processes) -> None:
    process_id = processes.sh("read x; echo later")
    with processes.stream(process_id):
        pass
    processes.stdin(process_id, b"\n")
    assert processes.read(process_id).stdout == b"later\n"


def test_the_stream_ends_though_a_child_keeps_stdout(kernel: Kernel, headless: Any, processes: Processes) -> None:
    process_id = processes.sh("sleep 6420 & echo started; exit 6")
    read = processes.read(process_id)
    assert read.stdout == b"started\n" and read.exit_code == 6
    assert processes.status(process_id)["state"] == "exited"
    sh(kernel, headless.session_id, "pkill -fx 'sleep 6420'")


# --- input


def test_stdin_to_the_end(processes: Processes) -> None:
    process_id = processes.spawn("cat")
    assert processes.stdin(process_id, b"abc").json() == {"written_bytes": 3}
    assert processes.stdin(process_id, bytes(range(256))).json() == {"written_bytes": 256}
    assert processes.stdin(process_id, b"end", eof=True).json() == {"written_bytes": 3}
    assert processes.wait(process_id)["exit_code"] == 0
    assert processes.read(process_id).stdout == b"abc" + bytes(range(256)) + b"end"


def test_eof_alone(processes: Processes) -> None:
    process_id = processes.spawn("cat")
    assert processes.stdin(process_id, eof=True).json() == {"written_bytes": 0}
    assert processes.wait(process_id)["exit_code"] == 0


def test_stdin_through_the_sdk(kernel: Kernel, headless: Any) -> None:
    spawned = kernel.browsers.process.spawn(headless.session_id, command="head", args=["-c", "2"])
    written = kernel.browsers.process.stdin(spawned.process_id or "", id_or_name=headless.session_id, data_b64=base64.b64encode(b"hi").decode())
    assert written.written_bytes == 2


def test_closed_stdin_is_409_with_a_code(processes: Processes) -> None:
    closed = processes.sh("exec 0<&-; sleep 600")
    eventually(lambda: processes.stdin(closed, b"x").status_code == 409, "the closed pipe is noticed")
    by_us = processes.spawn("sleep", "600")
    processes.stdin(by_us, eof=True)
    exited = processes.spawn("true")
    processes.wait(exited)
    for process_id, codes in ((closed, {"stdin_closed"}), (by_us, {"stdin_closed"}), (exited, {"stdin_closed", "process_exited"})):
        answer = processes.stdin(process_id, b"x")
        assert answer.status_code == 409, answer.text
        assert answer.json()["code"] in codes
        assert answer.headers["x-should-retry"] == "false"
    processes.kill(closed, "KILL")
    processes.kill(by_us, "KILL")


def test_back_pressure_is_bounded(processes: Processes, wire: httpx.Client) -> None:
    """A process that does not read takes a pipe's worth; the call says so and comes back."""
    process_id = processes.spawn("sleep", "600")
    written = processes.stdin(process_id, b"x" * (1 << 20), timeout=60).json()["written_bytes"]
    assert 0 < written < 1 << 20
    assert processes.stdin(process_id, b"x" * 10, timeout=60).json()["written_bytes"] == 0
    assert processes.status(process_id)["state"] == "running"
    processes.kill(process_id, "KILL")


@pytest.mark.parametrize(("body", "field"), [({"data_b64": "***"}, "data_b64"), ({"data_b64": "YQ"}, "data_b64"), ({"data_b64": 1}, "data_b64"), ({}, "data_b64"), ({"eof": "x"}, "eof")])
def test_bad_input_names_the_field(processes: Processes, body: dict[str, Any], field: str) -> None:
    process_id = processes.spawn("sleep", "600")
    answer = processes.wire.post(f"{processes.base}/{process_id}/stdin", json=body)
    assert answer.status_code == 400, answer.text
    assert field in {detail["code"] for detail in answer.json()["details"]}
    processes.kill(process_id, "KILL")


# --- signals


@pytest.mark.parametrize(("signal", "code"), [(None, 143), ("TERM", 143), ("KILL", 137), ("INT", 130), ("HUP", 129)])
def test_kill_reaches_the_group(kernel: Kernel, headless: Any, processes: Processes, signal: str | None, code: int) -> None:
    mark = f"54{code}"
    process_id = processes.spawn("python3", "-c", f"import subprocess; subprocess.run(['sleep', '{mark}'])" if signal != "INT" else f"import os, signal; signal.signal(signal.SIGINT, signal.SIG_DFL); os.spawnlp(os.P_WAIT, 'sleep', 'sleep', '{mark}')")
    eventually(lambda: sh(kernel, headless.session_id, f"pgrep -fx 'sleep {mark}'").code == 0, "the child runs")
    answer = processes.kill(process_id, signal)
    assert answer.status_code == 200 and answer.json() == {"ok": True}
    assert processes.wait(process_id)["exit_code"] == code
    eventually(lambda: sh(kernel, headless.session_id, f"pgrep -fx 'sleep {mark}'").code == 1, "the child is gone")


def test_a_handled_signal_is_the_programs_business(processes: Processes) -> None:
    process_id = processes.sh("trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.05; done")
    with processes.stream(process_id) as response:
        # the shell remarks on its child's end on stderr
        events = (event for event in output.events(response) if event.get("stream") == "stdout")
        assert base64.b64decode(next(events)["data_b64"]) == b"ready\n"
        processes.kill(process_id, "TERM")
        assert base64.b64decode(next(events)["data_b64"]) == b"caught\n"
    assert processes.wait(process_id)["exit_code"] == 3


def test_killing_the_dead_is_409(processes: Processes) -> None:
    process_id = processes.spawn("true")
    processes.wait(process_id)
    answer = processes.kill(process_id, "TERM")
    assert answer.status_code == 409
    assert answer.json()["code"] == "process_exited"
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("signal", ["STOP", "9", "SIGTERM", "term", ""])
def test_unknown_signals_are_refused(processes: Processes, signal: str) -> None:
    process_id = processes.spawn("sleep", "600")
    answer = processes.wire.post(f"{processes.base}/{process_id}/kill", json={"signal": signal})
    assert answer.status_code == 400, answer.text
    assert "signal" in {detail["code"] for detail in answer.json()["details"]}
    processes.kill(process_id, "KILL")


def test_spawn_timeout_is_honoured(processes: Processes, kernel: Kernel, headless: Any) -> None:
    process_id = processes.sh("sleep 3214 & wait", timeout_sec=1)
    status = processes.wait(process_id)
    assert status["state"] == "exited" and status["exit_code"] == 124
    assert sh(kernel, headless.session_id, "pgrep -fx 'sleep 3214'").code == 1


# --- extensions: list, wait


def test_list(processes: Processes, wire: httpx.Client) -> None:
    running = processes.spawn("sleep", "601")
    exited = processes.sh("exit 8", allocate_tty=True)
    processes.wait(exited)
    answer = wire.get(processes.base)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    rows = {row["process_id"]: row for row in (body if isinstance(body, list) else body["processes"])}
    assert rows[running]["command"] == "sleep" and rows[running]["args"] == ["601"]
    assert rows[running]["status"]["state"] == "running" and rows[running]["tty"] is False
    assert rows[running]["pid"] > 1 and rows[running]["started_at"]
    assert rows[exited]["status"] == {"state": "exited", "exit_code": 8, "cpu_pct": 0, "mem_bytes": 0}
    assert rows[exited]["tty"] is True and rows[exited]["exited_at"]
    processes.kill(running, "KILL")


def test_wait(processes: Processes) -> None:
    process_id = processes.sh("read x; exit 11")
    running = processes.wire.get(f"{processes.base}/{process_id}/wait", params={"timeout": 0})
    assert running.status_code == 200 and running.json()["state"] == "running"
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(processes.wait, process_id) for _ in range(3)]
        processes.stdin(process_id, b"\n")
        assert {future.result(60)["exit_code"] for future in waiting} == {11}
    bad = processes.wire.get(f"{processes.base}/{process_id}/wait", params={"timeout": "x"})
    assert bad.status_code == 400


def test_everything_started_is_reaped(kernel: Kernel, headless: Any, processes: Processes) -> None:
    """Orphans whose parents never waited do not pile up as zombies."""
    processes.wait(processes.sh("for i in $(seq 1 200); do (true &) ; done"))
    zombies = "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l"
    eventually(lambda: sh(kernel, headless.session_id, zombies).out.strip() == "0", "no zombies are left")
