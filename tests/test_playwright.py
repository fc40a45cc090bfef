"""Playwright code and the REPL: what scripts get and give, how they end, what outlives them."""
from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterator

import httpx
import kernel as sdk
import pytest
from kernel import Kernel

from harness import sessions
from harness.cdp import Cdp
from harness.deadline import eventually
from harness.server import Server
from harness.sessions import sh


@pytest.fixture(scope="module")
def own(kernel: Kernel) -> Iterator[Any]:
    """A headless session of this suite."""
    browser = sessions.create(kernel, headless=True, memory="4GiB")
    yield browser
    kernel.browsers.delete_by_id(browser.session_id)


@pytest.fixture
def execute(kernel: Kernel, own: Any) -> Callable[..., Any]:
    def execute(code: str, **settings: Any) -> Any:
        return kernel.browsers.playwright.execute(own.session_id, code=code, **settings)

    return execute


@pytest.fixture
def cell(kernel: Kernel, own: Any) -> Callable[..., Any]:
    def cell(code: str, **settings: Any) -> Any:
        return kernel.browsers.repl(own.session_id, code=code, **settings)

    return cell


def text(answer: Any, channel: str | None = None) -> str:
    """The text a cell showed."""
    return "".join(item.text for item in answer.content if item.type == "text" and channel in (None, item.channel))


# --- what a script gets and gives


def test_a_script_drives_the_page(execute: Callable[..., Any]) -> None:
    answer = execute("await page.goto('data:text/html,<title>here</title>'); return await page.title()")
    assert (answer.success, answer.result, answer.error) == (True, "here", None), answer
    assert (answer.stdout, answer.stderr) == ("", "")
    assert answer.tab is not None and answer.tab.created is False
    same = execute("return [context.pages().length, browser.contexts()[0] === context, page.url().slice(0, 5)]")
    assert same.result == [1, True, "data:"]
    assert same.tab.target_id == answer.tab.target_id


def test_direct_and_by_key(kernel: Kernel, wire: httpx.Client, server: Server, own: Any) -> None:
    by_key = wire.post(f"/browsers/{own.session_id}/playwright/execute", json={"code": "return 1"})
    assert by_key.status_code == 200 and by_key.json()["result"] == 1, by_key.text
    direct = httpx.post(
        f"{own.base_url}/playwright/execute", params={"jwt": sessions.jwt_of(own.cdp_ws_url)}, json={"code": "return 2"}, timeout=60,
    )
    assert direct.status_code == 200 and direct.json()["result"] == 2, direct.text
    assert httpx.post(f"{own.base_url}/playwright/execute", json={"code": "return 2"}).status_code == 401


def test_headful(kernel: Kernel, make: Callable[..., Any]) -> None:
    browser = make(headless=False)
    answer = kernel.browsers.playwright.execute(
        browser.session_id, code="await page.setContent('<input id=i>'); await page.fill('#i', 'ü'); return await page.inputValue('#i')",
    )
    assert (answer.success, answer.result) == (True, "ü"), answer
    shown = kernel.browsers.repl(browser.session_id, code="repl.write(await js('1 + 1'))")
    assert shown.success and text(shown) == "2", shown


def test_typescript(execute: Callable[..., Any]) -> None:
    answer = execute(
        """
        interface Point { x: number; y?: number }
        enum Colour { Red = 'red' }
        const point: Point = { x: 1 } satisfies Point;
        const double = <T extends number>(value: T): number => value! * 2;
        const text = await page.evaluate<string>(() => 'typed' as string);
        return [double(point.x), Colour.Red, text];
        """
    )
    assert answer.result == [2, "red", "typed"], answer


def test_output(execute: Callable[..., Any]) -> None:
    answer = execute("console.log('a', 1); console.info('b'); console.error('c'); console.warn({ d: 1 }); process.stdout.write('ü')")
    assert (answer.stdout, answer.stderr) == ("a 1\nb\nü", "c\n{ d: 1 }\n")
    assert answer.success and answer.result is None
    child = execute("require('child_process').execSync('echo child', { stdio: 'inherit' }); const os = await import('node:os'); return os.userInfo().username")
    assert (child.stdout, child.result) == ("child\n", "kernel"), child


def test_output_is_cut_with_a_mark(execute: Callable[..., Any]) -> None:
    answer = execute("for (let i = 0; i < 30; i++) console.log('x'.repeat(99999)); return 'done'")
    assert answer.result == "done"
    assert 1 << 20 < len(answer.stdout) < (1 << 20) + 100
    assert "more bytes were written" in answer.stdout[-60:]


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("return undefined", None), ("1", None), ("return null", None), ("return 0", 0), ("return ''", ""), ("return [1, 'a', {b: null}]", [1, "a", {"b": None}]),
        ("return new Date(0)", "1970-01-01T00:00:00.000Z"), ("return 'ü\\u2028\\n'", "ü\u2028\n"), ("return 'x'.repeat(3e6)", "x" * 3_000_000),
    ],
)
def test_results(execute: Callable[..., Any], code: str, result: Any) -> None:
    answer = execute(code)
    assert answer.success and answer.result == result


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("const a = {}; a.a = a; return a", "circular"), ("return 1n", "bigint"), ("return [() => 1]", "function"), ("return Symbol()", "symbol"),
        ("return { toJSON() { throw new Error('mine') } }", "mine"), ("return 'x'.repeat(9e6)", "bytes of JSON"),
    ],
)
def test_results_json_cannot_carry(execute: Callable[..., Any], code: str, error: str) -> None:
    execute("globalThis.alive = process.pid")
    answer = execute(code)
    assert not answer.success and error in answer.error, answer
    assert execute("return globalThis.alive === process.pid").result is True, "the worker lives"


def test_errors(execute: Callable[..., Any]) -> None:
    answer = execute("console.log('before');\nconsole.error('warned');\nnull.x")
    assert not answer.success and "null" in answer.error
    assert answer.stdout == "before\n"
    assert answer.stderr.startswith("warned\nTypeError: ") and "script.ts:3:" in answer.stderr, answer.stderr
    assert "/opt/browserd" not in answer.stderr
    for code in ("throw 'text'", "await Promise.reject('text')"):
        assert execute(code).error == "text"
    for code in ("const = 1", "return (", "import x from 'y'"):
        broken = execute(code)
        assert not broken.success and "SyntaxError" in broken.stderr, broken
    missing = execute("await page.click('#nowhere', { timeout: 50 })")
    assert not missing.success and "Timeout 50ms" in missing.error and "\x1b" not in missing.error, missing


def test_scripts_do_not_see_each_other(execute: Callable[..., Any]) -> None:
    assert execute("const a = 1; setInterval(() => console.log('late'), 1); return a").result == 1
    answer = execute("await new Promise((done) => setTimeout(done, 50)); return typeof a")
    assert (answer.result, answer.stdout) == ("undefined", "")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "code"), ({"code": ""}, "code"), ({"code": " \n"}, "code"), ({"code": 1}, "code"), ({"code": "1", "timeout_sec": 0}, "timeout_sec"),
        ({"code": "1", "timeout_sec": 301}, "timeout_sec"), ({"code": "1", "timeout_sec": -1}, "timeout_sec"), ({"code": "1", "executor": ""}, "executor"),
        ({"code": "1", "executor": "a b"}, "executor"), ({"code": "1", "executor": "x" * 65}, "executor"),
    ],
)
def test_refusals(wire: httpx.Client, own: Any, body: dict[str, Any], field: str) -> None:
    answer = wire.post(f"/browsers/{own.session_id}/playwright/execute", json=body)
    assert answer.status_code == 400, answer.text
    assert field in {detail["code"] for detail in answer.json()["details"]}, answer.text


def test_a_body_over_the_limit(wire: httpx.Client, own: Any) -> None:
    for path in ("playwright/execute", "repl"):
        assert wire.post(f"/browsers/{own.session_id}/{path}", json={"code": " " * (9 << 20)}).status_code == 413


# --- which tab


def test_the_active_tab(kernel: Kernel, execute: Callable[..., Any], own: Any) -> None:
    with Cdp(own.cdp_ws_url) as cdp:
        first = execute("return page.url()").tab.target_id
        second = cdp.call("Target.createTarget", url="about:blank")["targetId"]
        assert execute("1").tab.target_id == second
        cdp.call("Target.activateTarget", targetId=first)
        assert execute("1").tab.target_id == first
        cdp.call("Target.closeTarget", targetId=second)
        assert execute("1").tab.target_id == first


def test_a_page_is_opened_if_there_is_none(execute: Callable[..., Any]) -> None:
    execute("for (const tab of context.pages()) await tab.close()")
    answer = execute("return page.url()")
    assert answer.success and answer.tab.created, answer
    assert execute("1").tab.created is False


# --- how scripts end


COUNT = "await page.goto('data:text/html,0'); for (;;) { await page.evaluate(() => { document.title = String(Number(document.title) + 1) }) }"


def test_a_timeout_ends_the_script_for_good(execute: Callable[..., Any]) -> None:
    execute("return 'warm'")
    answer = execute(f"console.log('begun'); {COUNT}", timeout_sec=3)
    assert not answer.success and answer.error == "Execution timed out after 3000 ms"
    assert answer.stdout == "begun\n" and answer.tab is not None
    counts = execute("const one = await page.title(); await page.waitForTimeout(300); return [one, await page.title()]").result
    assert counts[0] == counts[1] != "0", "the page is there and does not move"
    assert execute("while (true);", timeout_sec=1).error == "Execution timed out after 1000 ms"


def test_nothing_a_killed_script_started_lives_on(kernel: Kernel, execute: Callable[..., Any], own: Any) -> None:
    execute("require('child_process').spawn('sleep', ['986'], { detached: true }); await new Promise(() => {})", timeout_sec=1)
    assert sh(kernel, own.session_id, "pgrep -f 'sleep 98[6]'").out == ""


def test_a_client_that_goes_away_ends_its_script(execute: Callable[..., Any], wire: httpx.Client, own: Any) -> None:
    execute("return 'warm'")
    with pytest.raises(httpx.ReadTimeout):
        wire.post(f"/browsers/{own.session_id}/playwright/execute", json={"code": COUNT}, timeout=4)
    counts = execute("const one = await page.title(); await page.waitForTimeout(300); return [one, await page.title()]").result
    assert counts[0] == counts[1] != "0"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("console.log('last'); process.exit(7)", "exit status 7"), ("console.log('last'); process.kill(process.pid, 'SIGKILL')", "signal 9"),
        ("console.log('last'); require('timers').setTimeout(() => { throw new Error('uncaught') }); await new Promise(() => {})", "uncaught"),
        ("console.log('last'); const all = []; for (;;) all.push(new Array(1e6).fill('x' + all.length))", "out of memory"),
        ("console.log('last'); require('fs').writeSync(4, 'no json\\n'); await new Promise(() => {})", "own line"),
    ],
)
def test_a_crash_is_an_error_of_its_script(execute: Callable[..., Any], code: str, error: str) -> None:
    answer = execute(code)
    assert not answer.success and error in answer.error, answer
    assert answer.stdout == "last\n"
    assert execute("return 'fresh'").result == "fresh"


def test_an_unhandled_rejection_is_noted(execute: Callable[..., Any]) -> None:
    answer = execute("Promise.reject(new Error('nobody')); await page.waitForTimeout(20); return 1")
    assert answer.result == 1 and "nobody" in answer.stderr


def test_chromium_restarts(kernel: Kernel, make: Callable[..., Any]) -> None:
    browser = make()

    def execute(code: str, **settings: Any) -> Any:
        return kernel.browsers.playwright.execute(browser.session_id, code=code, **settings)

    execute("await page.goto('data:text/html,before'); return 1")
    named = execute("await page.goto('data:text/html,named')", executor="keeps")
    assert named.tab.created
    sh(kernel, browser.session_id, "pkill -KILL -o -x chromium || pkill -KILL -o chromium")
    answer = execute("return page.url()")
    assert answer.success, answer
    again = execute("return page.url()", executor="keeps")
    assert (again.success, again.result) == (True, "about:blank"), again
    assert again.tab.created and again.tab.target_id != named.tab.target_id


# --- executors


def test_named_executors(kernel: Kernel, execute: Callable[..., Any], own: Any) -> None:
    active = execute("return process.pid")
    one = execute("await page.goto('data:text/html,<title>one</title>'); globalThis.n = 1; return process.pid", executor="one")
    two = execute("return process.pid", executor="two")
    assert one.tab.created and two.tab.created
    assert len({active.tab.target_id, one.tab.target_id, two.tab.target_id}) == 3
    assert len({active.result, one.result, two.result}) == 3
    again = execute("return [await page.title(), globalThis.n]", executor="one")
    assert again.result == ["one", 1] and again.tab.created is False and again.tab.target_id == one.tab.target_id
    assert execute("return 1").tab.target_id == active.tab.target_id, "the tabs of executors are not the active one"
    assert execute("return 1", executor="default").tab.target_id == active.tab.target_id
    listed = {executor.name: executor for executor in kernel.browsers.playwright.executors.list(own.session_id).executors}
    assert {"default", "one", "two"} <= set(listed)
    assert listed["one"].target_id == one.tab.target_id and "one" in (listed["one"].url or "")
    assert not listed["one"].busy and listed["one"].created_at <= listed["one"].last_used_at
    execute("await page.close()", executor="two")
    replaced = execute("return page.url()", executor="two")
    assert replaced.tab.created and replaced.result == "about:blank"
    execute("await new Promise(() => {})", executor="one", timeout_sec=1)
    kept = execute("return [await page.title(), typeof globalThis.n]", executor="one")
    assert kept.result == ["one", "undefined"] and kept.tab.created is False, "the tab outlives the process"
    for name in ("one", "two"):
        kernel.browsers.playwright.executors.delete(name, id_or_name=own.session_id)


def test_different_executors_run_at_the_same_time_and_one_in_order(execute: Callable[..., Any]) -> None:
    with ThreadPoolExecutor(4) as pool:
        # Each waits for what the other does: only side by side can both end.
        meet = (
            "const fs = require('fs'); fs.writeFileSync('/tmp/{0}', ''); while (!fs.existsSync('/tmp/{1}')) await page.waitForTimeout(5); return 1"
        )
        met = [pool.submit(execute, meet.format(a, b), executor=a, timeout_sec=60) for a, b in (("left", "right"), ("right", "left"))]
        assert [answer.result().result for answer in met] == [1, 1]
        serial = "globalThis.inside = (globalThis.inside ?? 0) + 1; await page.waitForTimeout(20); return globalThis.inside--"
        assert {answer.result().result for answer in [pool.submit(execute, serial, executor="left") for _ in range(4)]} == {1}


def test_the_ninth_is_refused(kernel: Kernel, own: Any, execute: Callable[..., Any], wire: httpx.Client) -> None:
    for executor in kernel.browsers.playwright.executors.list(own.session_id).executors:
        if executor.name != "default":
            kernel.browsers.playwright.executors.delete(executor.name, id_or_name=own.session_id)
    names = [f"e{i}" for i in range(8)]
    for name in names:
        assert execute("return 1", executor=name).success
    refused = wire.post(f"/browsers/{own.session_id}/playwright/execute", json={"code": "1", "executor": "ninth"})
    assert refused.status_code == 409 and refused.json()["code"] == "executor_limit", refused.text
    assert refused.headers["x-should-retry"] == "false"
    assert all(name in refused.json()["message"] for name in names)
    assert execute("return 1").success, "the default one is not counted"
    for name in names:
        kernel.browsers.playwright.executors.delete(name, id_or_name=own.session_id)
    # Chromium closes them one after the other, and tells its clients when each is gone.
    eventually(lambda: execute("return context.pages().length").result == 1, "their tabs are closed")


def test_deleting(kernel: Kernel, own: Any, execute: Callable[..., Any], wire: httpx.Client) -> None:
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(execute, COUNT, executor="doomed", timeout_sec=60)

        def busy() -> bool:
            listed = kernel.browsers.playwright.executors.list(own.session_id).executors
            return any(executor.name == "doomed" and executor.busy and (executor.url or "").startswith("data:") for executor in listed)

        eventually(busy, "the script runs")
        waiting = pool.submit(execute, "return 1", executor="doomed")
        kernel.browsers.playwright.executors.delete("doomed", id_or_name=own.session_id, close_tab=False)
        ended = running.result()
        assert not ended.success and "deleted" in ended.error
        # It came before the delete, or after it to a new executor.
        assert waiting.result().success or "deleted" in waiting.result().error
    if any(e.name == "doomed" for e in kernel.browsers.playwright.executors.list(own.session_id).executors):
        kernel.browsers.playwright.executors.delete("doomed", id_or_name=own.session_id)
    with Cdp(own.cdp_ws_url) as cdp:
        open_ = {target["targetId"] for target in cdp.call("Target.getTargets")["targetInfos"]}
        assert ended.tab.target_id in open_, "close_tab=false"
        cdp.call("Target.closeTarget", targetId=ended.tab.target_id)
    with pytest.raises(sdk.NotFoundError):
        kernel.browsers.playwright.executors.delete("doomed", id_or_name=own.session_id)
    pid = execute("return process.pid").result
    kernel.browsers.playwright.executors.delete("default", id_or_name=own.session_id)
    assert execute("return process.pid").result != pid
    for path, field in (("default?close_tab=true", "close_tab"), ("x?close_tab=yes", "close_tab"), ("a%20b", "name")):
        answer = wire.delete(f"/browsers/{own.session_id}/playwright/executors/{path}")
        assert answer.status_code == 400 and answer.json()["details"][0]["code"] == field, answer.text


# --- the REPL


def test_bindings_live_on(cell: Callable[..., Any]) -> None:
    first = cell("let a = 1; const b = await Promise.resolve(2); function f() { return a + b } class C {}; var d = 4", reset=True)
    assert first.success and first.content == [] and first.repl_terminated is False, first
    assert len(first.repl_id) == 24 and first.duration_ms is not None
    second = cell("a = 10; repl.write(f(), ' ', d, ' ', typeof C); await 1; a = 20")
    assert text(second, "write") == "12   4   function" and second.repl_id == first.repl_id
    assert text(cell("console.log(a)"), "stdout") == "20\n"
    for code in ("let a = 3", "const b = await 3", "let b = 3"):
        again = cell(code)
        assert not again.success and "already been declared" in again.error and again.repl_terminated is False, again
    assert "constant" in cell("b = 3").error
    reset = cell("repl.write(typeof a)", reset=True)
    assert text(reset) == "undefined" and reset.repl_id != first.repl_id


def test_what_cells_show(cell: Callable[..., Any]) -> None:
    answer = cell("1 + 1; console.log('out'); console.error('err'); repl.write('text'); await import('node:os'); setTimeout(() => console.log('between'), 0)", reset=True)
    assert [(item.channel, item.text) for item in answer.content] == [("stdout", "out\n"), ("stderr", "err\n"), ("write", "text")]
    shown: list[Any] = []

    def between() -> bool:
        shown.extend(cell(";").content)
        return bool(shown)

    eventually(between, "what a timer showed")
    assert shown[0].text == "between\n"
    image = cell("await gotoUrl('data:text/html,<title>shot</title>'); repl.emitImage(await screenshot()); repl.write((await pageInfo()).title)")
    assert image.success, image
    assert [item.type for item in image.content] == ["image", "text"]
    assert image.content[0].mime_type == "image/png" and base64.b64decode(image.content[0].data_b64)[:4] == b"\x89PNG"
    assert not cell("repl.emitImage('aGVsbG8=')").success


def test_limits_of_what_cells_show(cell: Callable[..., Any]) -> None:
    long = cell("for (let i = 0; i < 100; i++) repl.write('ü'.repeat(9999))")
    assert long.content_truncated and len(text(long).encode()) <= 256 << 10 and set(text(long)) == {"ü"}
    many = cell("for (let i = 0; i < 20000; i++) repl.write('x')")
    assert many.content_truncated and len(many.content) == 10_000
    assert not cell("repl.emitImage(Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47]), Buffer.alloc(9 << 20)]))").success


def test_errors_keep_the_runtime_and_crashes_do_not(cell: Callable[..., Any]) -> None:
    first = cell("var kept = 1", reset=True)
    error = cell("const x = 1;\nnull.y")
    assert not error.success and "null" in error.error and "repl.js:2" in (error.stack or ""), error
    assert error.repl_terminated is False and text(cell("repl.write(kept)")) == "1"
    for code, why in (
        ("repl.write('last'); setTimeout(() => { throw new Error('late') }, 5); await new Promise(() => {})", "late"), ("repl.write('last'); process.exit(3)", "exit status 3"),
        ("repl.write('last'); const all = []; for (;;) all.push(new Array(1e6).fill('x' + all.length))", "out of memory"),
        ("repl.write('last'); while (true);", "timed out after 3000 ms"),
    ):
        before = cell("1").repl_id
        ended = cell(code, timeout_sec=3 if "while" in code else 60)
        assert not ended.success and why in ended.error and ended.repl_terminated is True, ended
        assert ended.repl_id == before and text(ended, "write") == "last"
        assert cell("1").repl_id != before
    assert first.repl_id


def test_helpers(cell: Callable[..., Any]) -> None:
    page = "data:text/html,<title>form</title><input id=i><button onclick=\"document.title=i.value\">Go</button>"
    answer = cell(
        f"""
        await gotoUrl({page!r});
        await fillInput('#i', 'typed'); await click('button'); await waitForFunction("document.title === 'typed'");
        repl.write(await js('document.title'), await js((n) => n + 1, 1));
        repl.write((await cdp('Runtime.evaluate', {{ expression: '6 * 7' }})).result.value, (await cdp('Browser.getVersion')).product);
        const snapshot = await accessibilitySnapshot(); repl.write(snapshot);
        const tab = await openTab('data:text/html,<title>other</title>');
        repl.write((await tabs()).map((t) => [t.title, t.current]));
        await closeTab(tab.target_id);
        repl.write((await (await getPage()).title()));
        """,
        reset=True,
    )
    assert answer.success, answer
    shown = text(answer)
    for part in ("typed 2", "42 ", "Chrome/", 'button "Go"', '["other",true]', '["typed",false]'):
        assert part in shown, shown


def test_repl_refusals(wire: httpx.Client, own: Any) -> None:
    for body, field in (({}, "code"), ({"code": ""}, "code"), ({"code": "1", "timeout_sec": 0}, "timeout_sec"), ({"code": "1", "reset": 1}, "reset")):
        answer = wire.post(f"/browsers/{own.session_id}/repl", json=body)
        assert answer.status_code == 400, answer.text
        assert field in {detail["code"] for detail in answer.json()["details"]}, answer.text


def test_workers_cannot_see_the_runners_written(execute: Callable[..., Any]) -> None:
    answer = execute("require('fs').writeFileSync('/opt/browserd/runners/node/x', '')")
    assert not answer.success and any(code in answer.error for code in ("EROFS", "EACCES")), answer
