// A Chromium started by hand, with the flags of a session's: own user, own profile. Reads BENCH_FLAGS,
// BENCH_UID and BENCH_TMP.
import { spawn } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

const { BENCH_TMP: tmp } = process.env;
const uid = Number(process.env.BENCH_UID);
const [program, ...flags] = JSON.parse(process.env.BENCH_FLAGS);

/** Starts one; answers as soon as its address is known. */
export async function byHand() {
  const profile = mkdtempSync(join(tmp, "bench-profile-"));
  chownSync(profile, uid, uid);
  const child = spawn(program, [`--user-data-dir=${profile}`, ...flags, "about:blank"], {
    uid, gid: uid, detached: true, stdio: "ignore",
    env: { HOME: profile, PATH: "/usr/bin:/bin", LANG: "en_US.UTF-8" },
  });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const file = join(profile, "DevToolsActivePort");
  let address;
  while (!address) {
    const [port, path] = existsSync(file) ? readFileSync(file, "utf8").split("\n") : [];
    if (path) address = `ws://127.0.0.1:${port}${path}`;
    else await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return {
    address,
    /** Ends it, and waits until it has. */
    async kill() {
      process.kill(-child.pid, "SIGKILL");
      await exited;
    },
    /** Removes its profile. */
    clear() {
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
