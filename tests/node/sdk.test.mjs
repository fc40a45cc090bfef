// The official Node SDK: every operation of this version, and its errors.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Kernel from "@onkernel/sdk";

const sent = [];
const kernel = new Kernel({
  fetch: (url, init) => {
    sent.push(String(url));
    return fetch(url, init);
  },
});
const text = (base64) => Buffer.from(base64 ?? "", "base64").toString();
let session;

before(async () => {
  session = await kernel.browsers.create({
    headless: true,
    timeout_seconds: 600,
    name: "node-sdk",
    tags: { from: "node" },
    viewport: { width: 1200, height: 800 },
  });
});
after(async () => {
  await kernel.browsers.deleteByID(session.session_id);
});

test("create answers with the session", () => {
  assert.match(session.session_id, /^[a-z][a-z0-9]{23}$/);
  assert.deepEqual(session.tags, { from: "node" });
  assert.equal(session.viewport.width, 1200);
  assert.equal(session.headless, true);
  assert.equal(session.memory, "1GiB");
});

test("retrieve, update, list", async () => {
  assert.equal((await kernel.browsers.retrieve("node-sdk")).session_id, session.session_id);
  const updated = await kernel.browsers.update(session.session_id, { tags: { from: "node", more: "1" } });
  assert.deepEqual(updated.tags, { from: "node", more: "1" });
  const ids = [];
  for await (const browser of kernel.browsers.list({ limit: 1, tags: { from: "node" } })) ids.push(browser.session_id);
  assert.deepEqual(ids, [session.session_id]);
});

test("exec", async () => {
  const ran = await kernel.browsers.process.exec(session.session_id, {
    command: "sh",
    args: ["-c", "echo $GREETING; pwd; exit 5"],
    cwd: "/tmp",
    env: { GREETING: "hello" },
  });
  assert.equal(text(ran.stdout_b64), "hello\n/tmp\n");
  assert.equal(ran.exit_code, 5);
});

test("a timeout is one request and one answer", async () => {
  sent.length = 0;
  const ran = await kernel.browsers.process.exec(session.session_id, { command: "sleep", args: ["600"], timeout_sec: 1 });
  assert.equal(ran.exit_code, 124);
  assert.equal(sent.length, 1);
});

test("spawn, status, stdin, stream, kill, resize", async () => {
  const id = session.session_id;
  const { process_id, pid } = await kernel.browsers.process.spawn(id, { command: "cat", allocate_tty: true, rows: 10, cols: 40 });
  assert.ok(pid > 1);
  const status = await kernel.browsers.process.status(process_id, { id });
  assert.equal(status.state, "running");
  assert.equal(status.exit_code, null);
  assert.ok(status.mem_bytes > 0);
  assert.deepEqual(await kernel.browsers.process.resize(process_id, { id, rows: 20, cols: 50 }), { ok: true });
  const stream = await kernel.browsers.process.stdoutStream(process_id, { id });
  const written = await kernel.browsers.process.stdin(process_id, { id, data_b64: Buffer.from("abc\n").toString("base64") });
  assert.equal(written.written_bytes, 4);
  let seen = "";
  let end;
  for await (const event of stream) {
    if (event.event === "exit") {
      end = event.exit_code;
      break;
    }
    seen += text(event.data_b64);
    // the terminal echoes the line, then cat repeats it
    if (seen === "abc\r\nabc\r\n") await kernel.browsers.process.kill(process_id, { id, signal: "TERM" });
  }
  assert.equal(seen, "abc\r\nabc\r\n");
  assert.equal(end, 143);
});

test("errors have their classes and codes", async () => {
  const cases = [
    [() => kernel.browsers.retrieve("zz0000000000000000000000"), Kernel.NotFoundError, "browser_not_found"],
    [() => kernel.browsers.process.exec(session.session_id, { command: "" }), Kernel.BadRequestError, "invalid_input"],
    [() => kernel.browsers.create({ headless: true, timeout_seconds: 1 }), Kernel.BadRequestError, "invalid_input"],
    [() => kernel.browsers.create({ headless: true, name: "node-sdk" }), Kernel.ConflictError, "already_exists"],
    [() => new Kernel({ apiKey: "wrong" }).browsers.list(), Kernel.AuthenticationError, "unauthorized"],
    [() => kernel.browserPools.list(), Kernel.InternalServerError, "not_implemented"],
  ];
  for (const [call, kind, code] of cases) {
    await assert.rejects(
      async () => await call(),
      (error) => {
        assert.ok(error instanceof kind, `${error}`);
        assert.equal(error.error.code, code);
        return true;
      },
    );
  }
});

test("what cannot be helped by trying again is not tried again", async () => {
  sent.length = 0;
  await assert.rejects(async () => await kernel.browserPools.list());
  await assert.rejects(async () => await kernel.browsers.create({ headless: true, name: "node-sdk" }));
  assert.equal(sent.length, 2);
});

test("delete, twice", async () => {
  const other = await kernel.browsers.create({ headless: true });
  await kernel.browsers.deleteByID(other.session_id);
  await kernel.browsers.deleteByID(other.session_id);
  const gone = await kernel.browsers.retrieve(other.session_id, { include_deleted: true });
  assert.ok(gone.deleted_at);
});
