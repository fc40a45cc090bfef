// Recipe 2: ComputeSDK's ten actions on a session, and on the same Chromium by hand, in turns. Both are
// warm; each round uses a fresh connection, as a client of a cloud would.
// Prints one JSON object: contestant -> { rate: actions a second, screenshot: milliseconds }.
import { spawn } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { actions } from "./sequences.mjs";

const { BENCH_CDP: ours, BENCH_URL: url, BENCH_TMP: tmp } = process.env;
const rounds = Number(process.env.BENCH_ROUNDS);
const loops = Number(process.env.BENCH_LOOPS);
const uid = Number(process.env.BENCH_UID);
const [program, ...flags] = JSON.parse(process.env.BENCH_FLAGS);

const profile = mkdtempSync(join(tmp, "bench-profile-"));
chownSync(profile, uid, uid);
const child = spawn(program, [`--user-data-dir=${profile}`, ...flags, "about:blank"], {
  uid, gid: uid, detached: true, stdio: "ignore",
  env: { HOME: profile, PATH: "/usr/bin:/bin", LANG: "en_US.UTF-8" },
});
const file = join(profile, "DevToolsActivePort");
let raw;
while (!raw) {
  const [port, path] = existsSync(file) ? readFileSync(file, "utf8").split("\n") : [];
  if (path) raw = `ws://127.0.0.1:${port}${path}`;
  else await new Promise((resolve) => setTimeout(resolve, 1));
}

const contestants = { ours, raw };
const figures = { ours: { rate: [], screenshot: [] }, raw: { rate: [], screenshot: [] } };
for (let round = -1; round < rounds; round++) {
  for (const name of Object.keys(contestants).sort(() => Math.random() - 0.5)) {
    const took = await actions(contestants[name], url, loops);
    if (round < 0) continue; // warm-up
    const total = took.reduce((sum, [, ms]) => sum + ms, 0);
    figures[name].rate.push((took.length / total) * 1000);
    for (const [action, ms] of took) if (action === "screenshot") figures[name].screenshot.push(ms);
  }
}
process.kill(-child.pid, "SIGKILL");
rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
console.log(JSON.stringify(figures));
