"""The same server started by an ordinary user: no root, no setuid, nothing prepared."""
from __future__ import annotations

import os
import pwd
import subprocess
from typing import Any, Iterator

import httpx
import pytest
from kernel import APIError, Kernel, RateLimitError

from harness import leaks, sessions
from harness.cdp import Cdp, first_page, new_page
from harness.deadline import eventually
from harness.files import Fs, refused
from harness.server import BINARY, Server, serving
from harness.sessions import sh
from harness.site import Site
from test_extensions_policy import Packer, blocked, load, visit
from test_faults_walls import inodes_shared, nothing_of_others_is_used_up, pid_1_is_left_alone
from test_session_life import EAT, ended

USER = "browserd-test"


@pytest.fixture(scope="module")
def rootless(site: Site) -> Iterator[Server]:
    """A server of an ordinary user: ours when we are one, else one made for the purpose."""
    user = None
    made = False
    if os.geteuid() == 0:
        user = USER
        try:
            pwd.getpwnam(USER)
        except KeyError:
            subprocess.run(["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", USER], check=True)
            made = True
    try:
        with serving(private_hosts=[site.authority], user=user) as server:
            yield server
    finally:
        if made:
            subprocess.run(["userdel", USER], check=False, capture_output=True)


@pytest.fixture(scope="module")
def client(rootless: Server) -> Iterator[Kernel]:
    with sessions.client(rootless.base_url, rootless.key) as client:
        yield client


@pytest.fixture(scope="module")
def browser(client: Kernel) -> Any:
    return sessions.create(client)


def test_everything_runs_as_the_user(rootless: Server, browser: Any) -> None:
    for pid, command in leaks.processes([browser.session_id, str(rootless.state_dir)]).items():
        assert os.stat(f"/proc/{pid}").st_uid != 0, command


def test_exec(client: Kernel, browser: Any) -> None:
    ran = sh(client, browser.session_id, "id -un; echo $HOME; pwd; touch ~/mine && echo written")
    assert ran.out.split() == ["kernel", "/home/kernel", "/home/kernel", "written"]


def test_any_program_has_a_network(client: Kernel, browser: Any, site: Site) -> None:
    direct = "curl -sS --noproxy '*' --max-time 20 -o /dev/null -w '%{http_code}\\n'"
    ran = sh(client, browser.session_id, f"{direct} {site.url('/hello')}; {direct} http://10.1.2.3/; cut -d: -f1 /proc/net/dev | tail -n +3")
    status, refused, *interfaces = ran.out.split()
    assert (status, refused, sorted(interfaces)) == ("200", "000", ["eth0", "lo"]), ran


def test_as_root_works_or_is_refused_in_words(client: Kernel, browser: Any) -> None:
    try:
        assert sh(client, browser.session_id, "id -u", as_root=True).out.strip() == "0"
    except Exception as error:
        assert getattr(error, "status_code", None) == 400, error
        assert "as_root" in str(error)


def test_status_of_a_busy_process(client: Kernel, browser: Any) -> None:
    spawned = client.browsers.process.spawn(browser.session_id, command="sh", args=["-c", "(while :; do :; done) & wait"])

    def busy() -> bool:
        status = client.browsers.process.status(spawned.process_id or "", id_or_name=browser.session_id)
        return status.state == "running" and (status.cpu_pct or 0) > 20 and (status.mem_bytes or 0) > 100_000

    eventually(busy, "the children's CPU is counted")
    client.browsers.process.kill(spawned.process_id or "", id_or_name=browser.session_id, signal="KILL")

    def over() -> bool:
        status = client.browsers.process.status(spawned.process_id or "", id_or_name=browser.session_id)
        return (status.state, status.exit_code, status.cpu_pct, status.mem_bytes) == ("exited", 137, 0, 0)

    eventually(over, "the end is told")


def test_cdp(browser: Any, site: Site) -> None:
    with Cdp(browser.cdp_ws_url) as cdp:
        page = first_page(cdp)
        assert page.goto(site.url("/title/rootless")) is None
        assert page.evaluate("document.title") == "rootless"
        sandbox = new_page(cdp)
        assert sandbox.goto("chrome://sandbox") is None
        eventually(lambda: "You are adequately sandboxed." in sandbox.evaluate("document.body.innerText"), "chrome://sandbox says so", 15)
        sandbox.close()


def test_the_walls_stand(client: Kernel, browser: Any, rootless: Server, forbidden_site: Site) -> None:
    status = dict(line.split(":\t", 1) for line in sh(client, browser.session_id, "cat /proc/self/status").out.splitlines() if ":\t" in line)
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert all(int(status[kind], 16) == 0 for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"))
    host = {os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "mnt", "net", "ipc", "uts", "cgroup", "user")}
    assert not sessions.namespaces(client, browser.session_id) & host
    assert sh(client, browser.session_id, f"ls '{rootless.state_dir}'").code != 0
    assert sh(client, browser.session_id, "ls /home").out.split() == ["kernel"]
    before = forbidden_site.total()
    ran = sh(client, browser.session_id, f"curl -sS -o /dev/null -w '%{{http_code}}' --max-time 20 http://{forbidden_site.host}:{forbidden_site.port}/hello")
    assert ran.out.strip() == "403"
    assert forbidden_site.total() == before


def test_a_session_takes_a_share_of_what_the_user_may_have(client: Kernel) -> None:
    nothing_of_others_is_used_up(client, USER if os.geteuid() == 0 else None)


def test_only_devices_are_shared_inodes(client: Kernel, browser: Any) -> None:
    """An ordinary user can make none."""
    other = sessions.create(client)
    try:
        shared = inodes_shared(client, browser.session_id, other.session_id, str(BINARY))
    finally:
        client.browsers.delete_by_id(other.session_id)
    assert set(shared) == {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")}


def test_pid_1_is_left_alone_by_its_own_user(client: Kernel, browser: Any) -> None:
    pid_1_is_left_alone(client, browser.session_id, False, True)


def test_memory_is_limited(client: Kernel, rootless: Server) -> None:
    """By a cgroup where one was delegated, else by the guest, which ends the session and says why."""
    browser = sessions.create(client, memory="1GiB")
    try:
        ran = sessions.run(client.with_options(max_retries=0), browser.session_id, "python3", "-c", EAT)
        assert ran.code == 137, ran
    except APIError:
        with httpx.Client(base_url=rootless.base_url, headers={"Authorization": f"Bearer {rootless.key}"}) as wire:
            record = eventually(lambda: ended(wire, browser.session_id), "the end is noticed")
            assert record["deletion_reason"] == "out_of_memory", record
    client.browsers.delete_by_id(browser.session_id)


def test_a_fork_bomb_ends_nothing_and_can_be_ended(client: Kernel, browser: Any) -> None:
    """A cgroup or RLIMIT_NPROC stops it: the session says so, goes on, and is as before once it is killed."""
    bombed = sessions.create(client)
    bomb = "import os, time\nn = 0\ntry:\n  while n < 100000:\n    if os.fork() == 0: time.sleep(600)\n    n += 1\nexcept OSError: pass\nopen('full', 'w').close()\ntime.sleep(600)"
    raw = client.with_options(max_retries=0)
    started = raw.browsers.process.spawn(bombed.session_id, command="python3", args=["-c", bomb])
    fs = client.browsers.fs
    eventually(lambda: any(entry.name == "full" for entry in fs.list_files(bombed.session_id, path="/home/kernel")), "it can make no more", 60)
    with pytest.raises(RateLimitError) as refusal:
        sh(raw, bombed.session_id, "true")
    assert "its limit of processes or memory is reached" in str(refusal.value)
    assert sh(client, browser.session_id, "echo alive").out == "alive\n"
    raw.browsers.process.kill(started.process_id or "", id_or_name=bombed.session_id, signal="KILL")

    def again() -> bool:
        try:
            return sh(raw, bombed.session_id, "echo on").out == "on\n"
        except RateLimitError:
            return False

    eventually(again, "there is room for processes again", 60)
    assert client.browsers.retrieve(bombed.session_id).deleted_at is None
    client.browsers.delete_by_id(bombed.session_id)


def test_two_sessions_and_their_end(client: Kernel, browser: Any, rootless: Server) -> None:
    other = sessions.create(client)
    sh(client, browser.session_id, "echo x > /tmp/only-here")
    assert sh(client, other.session_id, "ls /tmp/only-here").code != 0
    client.browsers.process.spawn(other.session_id, command="sh", args=["-c", "trap '' TERM; (setsid sleep 600 &); sleep 600"])
    client.browsers.delete_by_id(other.session_id)
    left: dict[str, object] = {}

    def gone() -> bool:
        left.clear()
        left.update(leaks.left_over([other.session_id], rootless.state_dir))
        return not left

    try:
        eventually(gone, "nothing of the session is left", 60)
    except AssertionError:
        raise AssertionError(str(left)) from None


def test_files_are_the_users_and_what_is_not_is_refused_in_words(rootless: Server, client: Kernel, browser: Any) -> None:
    fs = Fs.by_key(rootless.base_url, rootless.key, browser)
    assert fs.write("/home/kernel/t/f", b"content").status_code == 201
    assert fs.read("/home/kernel/t/f").content == b"content"
    assert sh(client, browser.session_id, "stat -c '%U %a' ~/t/f").out.split() == ["kernel", "644"]
    assert fs.form("upload", [("file", b"x"), ("dest_path", "/tmp/up")]).status_code == 201
    packed = fs.get("download_dir_zip", path="/home/kernel/t")
    assert fs.form("upload_zip", [("zip_file", packed.content), ("dest_path", "/home/kernel/t/d")]).status_code == 201
    assert fs.names("/home/kernel/t/d") == ["f"]
    refused(fs.write("/usr/share/x", b"x"), 403, "forbidden")
    refused(fs.put("set_file_permissions", path="/home/kernel/t/f", mode="777", owner="root"), 400, "invalid_input", "owner")
    assert fs.get("file_info", path="/home/kernel/t/f").json()["mode"] == "-rw-r--r--"
    sh(client, browser.session_id, "chmod 0 ~/t/f")
    refused(fs.read("/home/kernel/t/f"), 403, "forbidden")
    refused(fs.get("download_dir_zip", path="/home/kernel/t"), 403, "forbidden")
    fs.put("delete_directory", path="/home/kernel/t")
    fs.close()


def test_extensions_by_policy(client: Kernel, site: Site) -> None:
    session = sessions.create(client)
    crx = Packer(client, session.session_id)()
    load(client, session.session_id, "one", crx.archive())
    with Cdp(session.cdp_ws_url) as cdp:
        page = visit(cdp, site)
        eventually(lambda: blocked(page, site), "requests are blocked")
    client.browsers.delete_by_id(session.session_id)
