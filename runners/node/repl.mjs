// The REPL: cells one after another, in one global scope.
//
//   guest ──{id, code, endpoint}──▶ worker
//         ◀──{id, item}── … ── {id, ok: true, truncated} │ {id, error, stack, truncated}──

import { describe, receive, send } from './channel.mjs';
import { rewrite } from './cells.mjs';
import { compile, require } from './code.mjs';
import { define, setEndpoint } from './helpers.mjs';
import { Output } from './output.mjs';

const output = new Output();
let running;

for (const [stream, channel] of [[process.stdout, 'stdout'], [process.stderr, 'stderr']]) {
  // Through the line to the guest, so that everything a cell shows stays in order.
  stream.write = (chunk, encoding, done) => {
    output.text(channel, typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString());
    const callback = typeof encoding === 'function' ? encoding : done;
    if (callback) process.nextTick(callback);
    return true;
  };
}

globalThis.require = require;
define(output);

receive((request) => {
  running = request.id;
  setEndpoint(request.endpoint);
  output.begin(request.id);
  run(request.code)
    .then(() => ({ ok: true }), (thrown) => describe(thrown))
    .then((answer) => {
      running = undefined;
      send({ id: request.id, ...answer, truncated: output.end() });
    });
});

process.on('uncaughtException', (thrown) => {
  send({ id: running ?? 0, ...describe(thrown), ends: true, truncated: output.truncated });
  process.exit(1);
});

process.on('unhandledRejection', (thrown) => {
  // Nobody waits for it; shown, and no reason to lose all bindings.
  console.error('Unhandled rejection:', describe(thrown).stack ?? thrown);
});

async function run(code) {
  const cell = rewrite(code);
  if (!cell) return void compile(code, 'repl.js').runInThisContext();
  for (const name of cell.constants) {
    if (declaredByScript(name)) throw new SyntaxError(`Identifier '${name}' has already been declared`);
  }
  const start = compile(cell.script, 'repl.js', -1).runInThisContext();
  const kept = Object.create(null);
  try {
    await start(kept);
  } finally {
    const names = cell.constants.filter((name) => name in kept);
    if (names.length > 0) {
      globalThis.__kept = kept;
      try {
        compile(`const { ${names.join(', ')} } = __kept;`, 'repl.js').runInThisContext();
      } finally {
        delete globalThis.__kept;
      }
    }
  }
}

/** Whether a lexical binding of this name exists. */
function declaredByScript(name) {
  // Properties of the global object may be shadowed by a constant, as in any script.
  if (Object.hasOwn(globalThis, name)) return !Object.getOwnPropertyDescriptor(globalThis, name).configurable;
  try {
    compile(`void ${name}`, 'repl.js').runInThisContext();
    return true;
  } catch (error) {
    // One whose initialisation failed exists too, and says so in other words.
    return !/ is not defined$/.test(error.message);
  }
}
