// The action sequences that public benchmarks of browser clouds measure, step by step, so that figures
// can be laid beside theirs.
//
//   lifecycle    BrowserArena "hello-browser" (github.com/nottelabs/browserarena): create, connect, goto
//                (domcontentloaded), release with the client attached
//   throughput   ComputeSDK "browser-throughput" (github.com/computesdk/benchmarks): ten actions on an
//                encyclopaedia's article

import { chromium } from "playwright-core";

/** Milliseconds of every stage, as they pass. */
class Laps {
  constructor() {
    this.stages = {};
    this.mark = this.start = performance.now();
  }
  lap(stage) {
    const now = performance.now();
    this.stages[stage] = now - this.mark;
    this.mark = now;
  }
  total() {
    this.stages.total = performance.now() - this.start;
    return this.stages;
  }
}

/** What a page is reached through: a browser that was connected to, and its first page. */
async function firstPage(address) {
  const browser = await chromium.connectOverCDP(address);
  const context = browser.contexts()[0];
  return { browser, page: () => context.pages()[0] ?? context.newPage() };
}

/**
 * One session from nothing to nothing. As in the original, a page is only made within `goto` when none
 * is there, and the client is still attached when the session is released.
 */
export async function lifecycle(kernel, options) {
  const laps = new Laps();
  const session = await kernel.browsers.create(options.create);
  laps.lap("create");
  let client;
  try {
    client = await firstPage(session.cdp_ws_url);
    laps.lap("connect");
    await (await client.page()).goto(options.page, { waitUntil: "domcontentloaded" });
    laps.lap("goto");
  } finally {
    laps.mark = performance.now();
    await kernel.browsers.deleteByID(session.session_id);
    laps.lap("release");
  }
  const stages = laps.total();
  await client.browser.close().catch(() => {});
  return stages;
}

const HEADING = "#firstHeading";
const LINK = '#mw-content-text a[href*="/wiki/"]';

/** The ten actions, `loops` times, on the first page behind a CDP address; milliseconds of each. */
export async function actions(address, url, loops = 1) {
  const client = await firstPage(address);
  try {
    const page = await client.page();
    const took = [];
    const timed = async (name, action) => {
      const start = performance.now();
      await action();
      took.push([name, performance.now() - start]);
    };
    const heading = () => page.waitForSelector(HEADING, { timeout: 30_000 });
    const look = async () => {
      await timed("waitForSelector", heading);
      await timed("screenshot", () => page.screenshot());
      await timed("textContent", () => page.textContent(HEADING));
    };
    for (let loop = 0; loop < loops; loop++) {
      await timed("goto", () => page.goto(url, { waitUntil: "load" }));
      await look();
      await timed("click", () => page.locator(LINK).first().click());
      await look();
      await timed("goBack", () => page.goBack({ waitUntil: "commit" }));
      await timed("waitForSelector", heading);
    }
    return took;
  } finally {
    await client.browser.close().catch(() => {});
  }
}

/** One session that does the ten actions. */
export async function throughput(kernel, options) {
  const laps = new Laps();
  const session = await kernel.browsers.create(options.create);
  laps.lap("create");
  try {
    const took = await actions(session.cdp_ws_url, options.page, options.loops);
    const stages = { ...laps.stages };
    stages.task = took.reduce((sum, [, ms]) => sum + ms, 0);
    stages["actions/s"] = (took.length / stages.task) * 1000;
    const shots = took.filter(([name]) => name === "screenshot").map(([, ms]) => ms);
    stages.screenshot = shots.reduce((sum, ms) => sum + ms, 0) / shots.length;
    return stages;
  } finally {
    await kernel.browsers.deleteByID(session.session_id);
  }
}
