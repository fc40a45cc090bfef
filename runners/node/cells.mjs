// Cells of the REPL as scripts.
//
// A cell without top-level await is a script as it stands: the engine keeps its bindings, and
// refuses to declare one twice, by its own rules. One with top-level await becomes
//
//     let a; var b, f;                       bindings that outlive the cell, declared by the engine
//     (async (keep) => { f = …; a = …; … })  its statements, declarations turned into assignments
//
// `const` stays in the function, so that it stays constant, and is handed to `keep`, from where it
// is declared when the cell has ended.

import { parse } from 'acorn';
import { ancestor, base } from 'acorn-walk';

const OPTIONS = { ecmaVersion: 'latest', allowAwaitOutsideFunction: true, allowHashBang: true };
// Functions, and what classes compute, await for themselves.
const OWN = { ...base, Function() {}, StaticBlock() {} };

/** How to run `code`; undefined when it is to be run as it stands. */
export function rewrite(code) {
  let program;
  try {
    program = parse(code, OPTIONS);
  } catch {
    // The engine says what is wrong with it.
    return undefined;
  }
  if (!awaits(program)) return undefined;
  const names = { let: [], var: [], const: [] };
  const edits = [];
  const functions = [];
  for (const node of program.body) {
    if (node.type === 'VariableDeclaration' && node.kind !== 'var') declaration(node, code, names, edits);
    if (node.type === 'ClassDeclaration') {
      names.let.push(node.id.name);
      edits.push([node.start, node.start, `;${node.id.name} = `], [node.end, node.end, ';']);
    }
    if (node.type === 'FunctionDeclaration') {
      names.var.push(node.id.name);
      functions.push(node.id.name);
    }
  }
  vars(program, code, names, edits);
  const declared = [['let', names.let], ['var', [...new Set(names.var)]]]
    .map(([kind, list]) => (list.length > 0 ? `${kind} ${list.join(', ')};` : ''))
    .join('');
  const kept = functions.map((name) => `globalThis.${name} = ${name};`).join('');
  // One line in front of the cell's own, which `lineOffset` takes away.
  const script = `${declared}(async (__keep) => { ${kept}\n${apply(code, edits)}\n})`;
  return { script, constants: names.const };
}

function awaits(program) {
  let found = false;
  ancestor(program, {
    AwaitExpression() { found = true; },
    ForOfStatement(node) { found ||= node.await; },
  }, OWN);
  return found;
}

/** A top-level `let` or `const`. */
function declaration(node, code, names, edits) {
  const bound = node.declarations.flatMap(({ id }) => bindings(id));
  if (node.kind === 'const') {
    names.const.push(...bound);
    edits.push([node.end, node.end, `;Object.assign(__keep, { ${bound.join(', ')} });`]);
  } else {
    names.let.push(...bound);
    edits.push([node.start, node.end, `;${assignments(node, code, 'undefined')};`]);
  }
}

/** Every `var`, however deep, but not in functions. */
function vars(program, code, names, edits) {
  ancestor(program, {
    VariableDeclaration(node, _state, ancestors) {
      if (node.kind !== 'var') return;
      names.var.push(...node.declarations.flatMap(({ id }) => bindings(id)));
      const parent = ancestors.at(-2);
      if (parent.left === node) {
        edits.push([node.start, node.declarations[0].start, '']);
      } else {
        const text = assignments(node, code) || 'void 0';
        edits.push([node.start, node.end, parent.init === node ? text : `;${text};`]);
      }
    },
  }, OWN);
}

function assignments(node, code, missing) {
  return node.declarations
    .filter(({ init }) => init || missing)
    .map(({ id, init }) => `(${code.slice(id.start, id.end)} = ${init ? code.slice(init.start, init.end) : missing})`)
    .join(', ');
}

function bindings(pattern) {
  switch (pattern?.type) {
    case 'Identifier': return [pattern.name];
    case 'ObjectPattern': return pattern.properties.flatMap((property) => bindings(property.value ?? property.argument));
    case 'ArrayPattern': return pattern.elements.flatMap(bindings);
    case 'AssignmentPattern': return bindings(pattern.left);
    case 'RestElement': return bindings(pattern.argument);
    default: return [];
  }
}

function apply(code, edits) {
  let out = '';
  let at = 0;
  for (const [start, end, text] of edits.sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
    out += code.slice(at, start) + text;
    at = end;
  }
  return out + code.slice(at);
}
