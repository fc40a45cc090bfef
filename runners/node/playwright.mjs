// One Playwright executor: runs scripts one after another on one connection.
//
//   guest ──{id, code, endpoint, target?, avoid}──▶ worker
//         ◀──{id, tab}── {id, result} │ {id, error, stack} │ {id, unconnected}──

import { transform } from 'sucrase';
import { activePage, connect, pageOf, targetId } from './browser.mjs';
import { describe, receive, send, sendRaw } from './channel.mjs';
import { compile, require } from './code.mjs';

/** Largest result, bytes of JSON. */
const RESULT_LIMIT = 8 << 20;
const PARAMETERS = 'page, context, browser, console, setTimeout, setInterval, setImmediate, require';

const { stringify } = JSON;
let running;

receive((request) => {
  running = request.id;
  run(request)
    .catch((thrown) => finish(request.id, describe(thrown)))
    .finally(() => { running = undefined; });
});

process.on('uncaughtException', (thrown) => {
  if (running !== undefined) send({ id: running, ...describe(thrown), ends: true });
  process.exit(1);
});
process.on('unhandledRejection', (thrown) => {
  // Promises nobody waits for end with their page; that is no reason to end the worker.
  if (running !== undefined) console.error('Unhandled rejection:', describe(thrown).stack ?? thrown);
});

function finish(id, answer) {
  send({ id, ...answer });
}

async function run({ id, code, endpoint, target, avoid }) {
  let tab;
  try {
    tab = await tabOf(endpoint, target, avoid);
  } catch (error) {
    // Without a tab nothing of the script has run: the guest tries again.
    return finish(id, { unconnected: describe(error).error });
  }
  const { browser, context, page, created } = tab;
  send({ id, tab: { target_id: await targetId(page), created } });
  const scope = new Scope();
  try {
    const script = scriptOf(code);
    const { console, setTimeout, setInterval, setImmediate } = scope;
    const value = await script(page, context, browser, console, setTimeout, setInterval, setImmediate, require);
    const json = encode(value);
    sendRaw(`{"id":${id},"result":${json}}`);
  } finally {
    scope.end();
  }
}

async function tabOf(endpoint, target, avoid) {
  const browser = await connect(endpoint);
  const context = browser.contexts()[0];
  if (!context) throw new Error('the browser has no context yet');
  const found = target
    ? { page: await pageOf(context, target), created: false }
    : await activePage(context, endpoint, avoid);
  return { browser, context, ...found };
}

/** TypeScript in, a function out. */
function scriptOf(code) {
  const wrapped = `(async function (${PARAMETERS}) {\n${code}\n})`;
  let script = wrapped;
  try {
    script = transform(wrapped, { transforms: ['typescript'], disableESTransforms: true, keepUnusedImports: true }).code;
  } catch {
    // The engine's own message about the text as it came says more.
  }
  return compile(script, 'script.ts', -1).runInThisContext();
}

function encode(value) {
  if (value === undefined) return 'null';
  const json = stringify(value, (key, inner) => {
    if (['function', 'symbol', 'bigint'].includes(typeof inner)) {
      const where = key === '' ? 'it' : `its property ${stringify(key)}`;
      throw new TypeError(`the result cannot be sent as JSON: ${where} is a ${typeof inner}`);
    }
    return inner;
  }) ?? 'null';
  if (Buffer.byteLength(json) > RESULT_LIMIT) {
    throw new RangeError(`the result has more than ${RESULT_LIMIT} bytes of JSON; return less, or write it to a file`);
  }
  return json;
}

/** What a script may leave behind: ended with it, so that it cannot disturb the next one. */
class Scope {
  #live = true;
  #ends = new Set();

  constructor() {
    this.console = Object.create(console);
    for (const name of Object.keys(console)) {
      if (typeof console[name] !== 'function') continue;
      this.console[name] = (...values) => (this.#live ? console[name](...values) : undefined);
    }
    this.setTimeout = this.#timer(setTimeout, clearTimeout);
    this.setInterval = this.#timer(setInterval, clearInterval);
    this.setImmediate = this.#timer(setImmediate, clearImmediate);
  }

  #timer(start, stop) {
    return (...values) => {
      const timer = start(...values);
      if (this.#live) this.#ends.add(() => stop(timer));
      else stop(timer);
      return timer;
    };
  }

  end() {
    this.#live = false;
    for (const end of this.#ends) end();
  }
}
