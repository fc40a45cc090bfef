// One `return await page.title()`: through playwright/execute, warm, and by a client that connects from
// outside for it. In random order; the first call of the executor is told apart.
// Prints one JSON object: contestant -> milliseconds.
import { chromium } from "playwright-core";

const { KERNEL_BASE_URL: base, KERNEL_API_KEY: key, BENCH_SESSION: session, BENCH_CDP: cdp } = process.env;
const rounds = Number(process.env.BENCH_ROUNDS);
const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };

async function inside() {
  const body = JSON.stringify({ code: "return await page.title()" });
  const answer = await fetch(`${base}/browsers/${session}/playwright/execute`, { method: "POST", headers, body });
  const { success, error } = await answer.json();
  if (!success) throw new Error(error);
}

async function outside() {
  const browser = await chromium.connectOverCDP(cdp);
  await browser.contexts()[0].pages()[0].title();
  await browser.close();
}

async function timed(contestant) {
  const start = performance.now();
  await contestant();
  return performance.now() - start;
}

const figures = { first: [await timed(inside)], inside: [], outside: [] };
for (let round = -2; round < rounds; round++) {
  const turns = [["inside", inside], ["outside", outside]].sort(() => Math.random() - 0.5);
  for (const [name, contestant] of turns) {
    const ms = await timed(contestant);
    if (round >= 0) figures[name].push(ms);
  }
}
console.log(JSON.stringify(figures));
