// Recipe 2: ComputeSDK's ten actions on a session, and on the same Chromium by hand, in turns. Both are
// warm; each round uses a fresh connection, as a client of a cloud would.
// Prints one JSON object: contestant -> { rate: actions a second, screenshot: milliseconds }.
import { byHand } from "./by-hand.mjs";
import { actions } from "./sequences.mjs";

const { BENCH_CDP: ours, BENCH_URL: url } = process.env;
const rounds = Number(process.env.BENCH_ROUNDS);
const loops = Number(process.env.BENCH_LOOPS);

const chromium = await byHand();
const contestants = { ours, raw: chromium.address };
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
await chromium.kill();
chromium.clear();
console.log(JSON.stringify(figures));
