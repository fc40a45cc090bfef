// Recipe 1 with Playwright as the client. Contestants take turns in random order:
//   ours   create, connect, page, goto, delete with the client attached
//   cold   the same Chromium spawned by hand, and killed
//   warm   a session that is already running (connect and goto only)
// Prints one JSON object: contestant -> stage -> milliseconds.
import { spawn } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const { KERNEL_BASE_URL: base, KERNEL_API_KEY: key, BENCH_URL: url, BENCH_TMP: tmp } = process.env;
const ready = Number(process.env.BENCH_READY);
const rounds = Number(process.env.BENCH_ROUNDS);
const uid = Number(process.env.BENCH_UID);
const [program, ...flags] = JSON.parse(process.env.BENCH_FLAGS);
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

// Waits until the pool is as full as it gets, so that nothing is being started for it meanwhile.
async function full() {
  const line = /^browserd_pool_ready\{kind="headless"\} (\d+)$/m;
  for (;;) {
    const text = await (await fetch(`${base}/metrics`, { headers })).text();
    if (Number(line.exec(text)?.[1]) >= ready) return;
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
  const profile = mkdtempSync(join(tmp, "bench-profile-"));
  chownSync(profile, uid, uid);
  const child = spawn(program, [`--user-data-dir=${profile}`, ...flags, "about:blank"], {
    uid, gid: uid, detached: true, stdio: "ignore",
    env: { HOME: profile, PATH: "/usr/bin:/bin", LANG: "en_US.UTF-8" },
  });
  const file = join(profile, "DevToolsActivePort");
  let port, path;
  while (!path) {
    if (existsSync(file)) [port, path] = readFileSync(file, "utf8").split("\n");
    if (!path) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  stages.create = performance.now() - start;
  const browser = await drive(`ws://127.0.0.1:${port}${path}`, stages);
  const released = performance.now();
  const exited = new Promise((resolve) => child.once("exit", resolve));
  process.kill(-child.pid, "SIGKILL");
  await exited;
  stages.release = performance.now() - released;
  stages.total = performance.now() - start;
  await browser.close().catch(() => {});
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  return stages;
}

// one Chromium by hand that stays, for what connecting costs without a server in between
const kept = {};
async function warm() {
  if (!kept.address) {
    kept.profile = mkdtempSync(join(tmp, "bench-profile-"));
    chownSync(kept.profile, uid, uid);
    kept.child = spawn(program, [`--user-data-dir=${kept.profile}`, ...flags, "about:blank"], {
      uid, gid: uid, detached: true, stdio: "ignore",
      env: { HOME: kept.profile, PATH: "/usr/bin:/bin", LANG: "en_US.UTF-8" },
    });
    const file = join(kept.profile, "DevToolsActivePort");
    while (!kept.address) {
      const [port, path] = existsSync(file) ? readFileSync(file, "utf8").split("\n") : [];
      if (path) kept.address = `ws://127.0.0.1:${port}${path}`;
      else await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
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
process.kill(-kept.child.pid, "SIGKILL");
rmSync(kept.profile, { recursive: true, force: true, maxRetries: 5 });
console.log(JSON.stringify(figures));
