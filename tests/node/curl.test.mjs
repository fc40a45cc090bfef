// Requests through the browser and extensions into it, with the official Node SDK.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Kernel, { toFile } from "@onkernel/sdk";

const kernel = new Kernel();
const site = process.env.TEST_SITE;
let session;

before(async () => {
  session = await kernel.browsers.create({ headless: true, timeout_seconds: 600 });
});
after(async () => {
  await kernel.browsers.deleteByID(session.session_id);
});

test("curl", async () => {
  const answer = await kernel.browsers.curl(session.session_id, { url: `${site}/echo`, method: "POST", body: "x" });
  assert.equal(answer.status, 200);
  assert.equal(JSON.parse(answer.body).body, "x");
  assert.deepEqual(answer.headers["Content-Type"], ["application/json"]);
});

test("fetch", async () => {
  const answer = await kernel.browsers.fetch(session.session_id, `${site}/echo?a=1`, {
    method: "PUT", body: new TextEncoder().encode("y"), headers: { "X-Mine": "1" }, timeout_ms: 5000,
  });
  assert.equal(answer.status, 200);
  const got = await answer.json();
  assert.equal(`${got.method} ${got.path} ${got.body}`, "PUT /echo?a=1 y");
  assert.equal(got.headers["x-mine"], "1");
  assert.match(got.headers["user-agent"], /Chrome\//);
  assert.match(got.headers.accept, /text\/html/);
  assert.ok(!Object.keys(got.headers).some((name) => /^x-(stainless|kernel|browserd)/.test(name)));
  const missing = await kernel.browsers.fetch(session.session_id, `${site}/nowhere`).catch((error) => error);
  assert.equal(missing.status, 404);
});

test("a broken extension is refused with Chromium's words", async () => {
  const zip_file = await toFile(Buffer.from("no zip"), "x.zip");
  await assert.rejects(
    kernel.browsers.loadExtensions(session.session_id, { extensions: [{ name: "x", zip_file }] }),
    (error) => error.status === 400 && /zip/.test(error.message),
  );
});
