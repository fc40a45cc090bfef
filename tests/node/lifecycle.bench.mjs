// Recipe 1 with Playwright as the client. Contestants take turns in random order:
//   ours   create, connect, page, goto, delete with the client attached
//   cold   the same Chromium spawned by hand, and killed
//   warm   a session that is already running (connect and goto only)
// Prints one JSON object: contestant -> stage -> milliseconds.
import { chromium } from "playwright-core";
import { byHand } from "./by-hand.mjs";

const { KERNEL_BASE_URL: base, KERNEL_API_KEY: key, BENCH_URL: url } = process.env;
const ready = Number(process.env.BENCH_READY);
const rounds = Number(process.env.BENCH_ROUNDS);
const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };

async function drive(address, stages) {
  let mark = performance.now();
  const lap = (stage) => {
    const now = performance.now();
    stages[stage] = now - mark;
    mark = now;
  };
  const browser = await chromium.connectOverCDP(address);
  lap("connect");
  const context = browser.contexts()[0];
  const page = context.pages()[0] ?? (await context.newPage());
  lap("page");
  await page.goto(url, { waitUntil: "domcontentloaded" });
  lap("goto");
  return browser;
}

// Waits until the pool is as full as it gets, so that nothing is being started for it meanwhile, and the
// next session to be had has settled.
async function full() {
  for (;;) {
    const text = await (await fetch(`${base}/metrics`, { headers })).text();
    const count = (name) => Number(new RegExp(`^browserd_pool_${name}\\{kind="headless"\\} (\\d+)$`, "m").exec(text)?.[1]);
    if (count("ready") >= ready && count("frozen") >= Math.min(ready, 1)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function ours() {
  const stages = {};
  const start = performance.now();
  const answer = await fetch(`${base}/browsers`, { method: "POST", headers, body: JSON.stringify({ headless: true, timeout_seconds: 600 }) });
  if (!answer.ok) throw new Error(`create: ${answer.status} ${await answer.text()}`);
  const session = await answer.json();
  stages.create = performance.now() - start;
  const browser = await drive(session.cdp_ws_url, stages);
  const released = performance.now();
  await fetch(`${base}/browsers/${session.session_id}`, { method: "DELETE", headers });
  stages.release = performance.now() - released;
  stages.total = performance.now() - start;
  await browser.close().catch(() => {});
  return stages;
}

async function cold() {
  const stages = {};
  const start = performance.now();
  const started = await byHand();
  stages.create = performance.now() - start;
  const browser = await drive(started.address, stages);
  const released = performance.now();
  await started.kill();
  stages.release = performance.now() - released;
  stages.total = performance.now() - start;
  await browser.close().catch(() => {});
  started.clear();
  return stages;
}

// one Chromium by hand that stays, for what connecting costs without a server in between
let kept;
async function warm() {
  kept ??= await byHand();
  const stages = {};
  const browser = await drive(kept.address, stages);
  await browser.close();
  return stages;
}

const contestants = { ours, cold, warm };
const figures = { ours: {}, cold: {}, warm: {} };
for (let round = -2; round < rounds; round++) {
  const names = Object.keys(contestants).sort(() => Math.random() - 0.5);
  for (const name of names) {
    if (ready > 0) await full();
    const stages = await contestants[name]();
    if (round < 0) continue; // warm-up
    for (const [stage, ms] of Object.entries(stages)) (figures[name][stage] ??= []).push(ms);
  }
}
await kept.kill();
kept.clear();
console.log(JSON.stringify(figures));
