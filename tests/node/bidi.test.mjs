// WebDriver BiDi: a driver, and the protocol by hand.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Kernel from "@onkernel/sdk";
import puppeteer from "puppeteer-core";

const kernel = new Kernel();
const site = process.env.TEST_SITE;
let session;

before(async () => {
  session = await kernel.browsers.create({ headless: true, timeout_seconds: 600 });
});
after(async () => {
  await kernel.browsers.deleteByID(session.session_id);
});

class Bidi {
  #next = 1;
  #waiting = new Map();
  #events = [];
  #heard = () => {};

  static async open(url) {
    const bidi = new Bidi();
    bidi.socket = new WebSocket(url);
    bidi.closed = new Promise((resolve) => bidi.socket.addEventListener("close", resolve));
    bidi.socket.addEventListener("message", ({ data }) => {
      const message = JSON.parse(data);
      if (message.id == null) {
        bidi.#events.push(message);
        return bidi.#heard();
      }
      const { resolve, reject } = bidi.#waiting.get(message.id);
      bidi.#waiting.delete(message.id);
      if (message.type === "error") reject(Object.assign(new Error(message.message), { code: message.error }));
      else resolve(message.result);
    });
    await new Promise((resolve, reject) => {
      bidi.socket.addEventListener("open", resolve);
      bidi.socket.addEventListener("error", () => reject(new Error("the socket did not open")));
    });
    return bidi;
  }

  call(method, params = {}) {
    const id = this.#next++;
    this.socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  // The first event that is wanted, come already or still to come.
  async event(wanted) {
    for (;;) {
      const found = this.#events.find(wanted);
      if (found) return found;
      await new Promise((resolve) => (this.#heard = resolve));
    }
  }
}

async function fullRound(capabilities) {
  const bidi = await Bidi.open(session.webdriver_ws_url);
  assert.equal((await bidi.call("session.status")).ready, true);
  const made = await bidi.call("session.new", { capabilities });
  assert.ok(made.sessionId);
  assert.match(made.capabilities.browserName, /chrom/i);
  await bidi.call("session.subscribe", { events: ["log.entryAdded", "browsingContext.load"] });
  const { contexts } = await bidi.call("browsingContext.getTree");
  assert.ok(contexts.length >= 1);
  const { context } = contexts[0];
  const navigated = await bidi.call("browsingContext.navigate", { context, url: `${site}/hello`, wait: "complete" });
  assert.equal(navigated.url, `${site}/hello`);
  const evaluated = await bidi.call("script.evaluate", {
    expression: "console.log('from the page'); document.title",
    target: { context },
    awaitPromise: false,
  });
  assert.deepEqual(evaluated.result, { type: "string", value: "Hello" });
  await bidi.event((event) => event.method === "browsingContext.load");
  await bidi.event((event) => event.method === "log.entryAdded" && event.params.text === "from the page");
  await assert.rejects(bidi.call("no.such.command"), { code: "unknown command" });
  await bidi.call("session.end");
  bidi.socket.close();
  await bidi.closed;
}

test("session.new, navigate, evaluate, end", async () => fullRound({}));

test("a second client after the first has ended", async () => fullRound({ alwaysMatch: { acceptInsecureCerts: false } }));

test("the session lives on after session.end", async () => {
  const found = await kernel.browsers.retrieve(session.session_id);
  assert.equal(found.deleted_at ?? null, null);
  const ran = await kernel.browsers.process.exec(session.session_id, { command: "true" });
  assert.equal(ran.exit_code, 0);
});

test("puppeteer over BiDi", async () => {
  const browser = await puppeteer.connect({ browserWSEndpoint: session.webdriver_ws_url, protocol: "webDriverBiDi" });
  const page = await browser.newPage();
  await page.goto(`${site}/hello`);
  assert.equal(await page.title(), "Hello");
  assert.equal(await page.evaluate(() => 6 * 7), 42);
  await page.close();
  await browser.disconnect();
});

test("a wrong token opens nothing", async () => {
  await assert.rejects(Bidi.open(`${session.webdriver_ws_url}x`));
});
