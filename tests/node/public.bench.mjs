// The public sequences against any server of the API, with the official SDK: see sequences.mjs.
import { parseArgs } from "node:util";
import Kernel from "@onkernel/sdk";
import { lifecycle, throughput } from "./sequences.mjs";

const USAGE = `usage: bench/public SEQUENCE [options]

  lifecycle             create, connect over CDP, goto, release (BrowserArena)
  throughput            ten actions on an article (ComputeSDK)

  --base-url URL        the server [default: $KERNEL_BASE_URL, else the SDK's own]
  --page URL            the page to open; sessions must reach it
                        [default: https://example.com, https://en.wikipedia.org/wiki/Web_browser]
  --sessions N          sessions altogether [default: 100]
  --concurrency N       of them at a time [default: 1]
  --per-minute N        sessions begun a minute at most; BrowserArena paces 10 [default: no limit]
  --loops N             times the ten actions are done in a session [default: 1]
  --headful             sessions with a screen
  --json                every figure, for programs

The key is read from $KERNEL_API_KEY. Percentiles are of all sessions that succeeded, untrimmed. The SDK
retries what the server refuses for the moment; its waits are part of the figures.`;

const PAGES = { lifecycle: "https://example.com", throughput: "https://en.wikipedia.org/wiki/Web_browser" };

function fail(text) {
  console.error(text);
  process.exit(2);
}

function count(values, name) {
  const number = Number(values[name]);
  if (!Number.isInteger(number) || number < 1) fail(`--${name}: ${values[name]} is not a number from 1 on`);
  return number;
}

function read() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        "base-url": { type: "string" }, page: { type: "string" },
        sessions: { type: "string", default: "100" }, concurrency: { type: "string", default: "1" },
        "per-minute": { type: "string" }, loops: { type: "string", default: "1" },
        headful: { type: "boolean", default: false }, json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    return fail(`${error.message}\n\n${USAGE}`);
  }
}

const { values, positionals } = read();
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const sequence = { lifecycle, throughput }[positionals[0]];
if (!sequence || positionals.length > 1) fail(USAGE);
if (!process.env.KERNEL_API_KEY) fail("KERNEL_API_KEY is not set");

const sessions = count(values, "sessions");
const gap = values["per-minute"] ? 60_000 / count(values, "per-minute") : 0;
const kernel = new Kernel(values["base-url"] ? { baseURL: values["base-url"] } : {});
const options = {
  page: values.page ?? PAGES[positionals[0]],
  loops: count(values, "loops"),
  create: { headless: !values.headful },
};

const done = [];
const failures = [];
let begun = 0;
let next = performance.now();

/** Begins one session after the other until all have been, at the asked pace. */
async function worker() {
  while (begun < sessions) {
    begun++;
    const wait = next - performance.now();
    next = Math.max(next, performance.now()) + gap;
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    try {
      done.push(await sequence(kernel, options));
    } catch (error) {
      failures.push(String(error.message ?? error).split("\n")[0]);
    }
  }
}

const start = performance.now();
await Promise.all(Array.from({ length: Math.min(count(values, "concurrency"), sessions) }, worker));
const seconds = (performance.now() - start) / 1000;

const of = (stage) => done.map((stages) => stages[stage]).sort((a, b) => a - b);
const at = (sorted, share) => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
if (values.json) {
  console.log(JSON.stringify({ done, failures, seconds }));
} else {
  const columns = ["p50", "p95", "p99", "max"];
  const line = (name, cells) => console.log(name.padEnd(12) + cells.map((cell) => cell.padStart(10)).join(""));
  console.log(`${positionals[0]}: ${done.length} of ${sessions} sessions succeeded in ${seconds.toFixed(1)} s, ${values.concurrency} at a time\n`);
  line("ms", columns);
  for (const stage of Object.keys(done[0] ?? {})) {
    const sorted = of(stage);
    line(stage, [0.5, 0.95, 0.99, 1].map((share) => at(sorted, share).toFixed(1)));
  }
  for (const failure of [...new Set(failures)].slice(0, 5)) console.log(`failed: ${failure}`);
}
process.exit(failures.length ? 1 : 0);
