// node --test runners/node

import assert from 'node:assert/strict';
import test from 'node:test';
import vm from 'node:vm';
import { rewrite } from './cells.mjs';

async function run(context, code) {
  const cell = rewrite(code);
  if (!cell) return void new vm.Script(code).runInContext(context);
  const kept = {};
  await new vm.Script(cell.script).runInContext(context)(kept);
  assert.deepEqual(Object.keys(kept), cell.constants);
  context.__kept = kept;
  if (cell.constants.length > 0) new vm.Script(`const {${cell.constants}} = __kept`).runInContext(context);
}

async function outcome(...cells) {
  const context = vm.createContext({ out: [], Promise });
  for (const cell of cells) await run(context, cell);
  return Array.from(context.out);
}

test('bindings outlive a cell with top-level await', async () => {
  assert.deepEqual(await outcome(
    'let a = await 1, [b, { c = 5 }] = [2, {}]; const d = await 4; var e = await 6; function f() { return a + d; } class G { static x = 7 }',
    'out.push(a, b, c, d, e, f(), G.x); a = 10; out.push(f());',
  ), [1, 2, 5, 4, 6, 5, 7, 14]);
});

test('var in loops and blocks', async () => {
  assert.deepEqual(await outcome(
    'for (var i = 0, n = 2; i < n; i++) await i; for (var k of [8, 9]) { var last = await k; } for await (var z of [1]) ; if (true) var w; ',
    'out.push(i, n, k, last, z, w)',
  ), [2, 2, 9, 9, 1, undefined]);
});

test('await inside functions only is no reason to rewrite', () => {
  for (const code of ['async function f() { await 1 }', 'const f = async () => await 1', 'class A { async m() { await 1 } }', '1 +', 'await']) {
    assert.equal(rewrite(code), undefined, code);
  }
});

test('declaring twice is refused by the engine', async () => {
  await assert.rejects(outcome('let a = await 1', 'let a = await 2'), { name: 'SyntaxError' });
  await assert.rejects(outcome('const a = 1', 'let a = await 2'), { name: 'SyntaxError' });
  await assert.rejects(outcome('const a = await 1', 'a = 2'), { name: 'TypeError' });
});
