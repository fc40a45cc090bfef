// The line to the guest: requests come in on descriptor 3, answers leave on 4, one JSON value a line.
// Standard output and error belong to the scripts.

import { writeSync } from 'node:fs';
import { Socket } from 'node:net';

const { parse, stringify } = JSON;

/** What the guest expects to talk to; it refuses another. */
export const PROTOCOL = 1;

/** Frames of our own files, and of Node below them, say nothing to a script's author. */
const FOREIGN = [new URL('.', import.meta.url).pathname, '(node:', 'at node:', '(<anonymous>)'];

/** Sends one line of JSON. Writes at once, so that nothing is lost should the process end. */
export function sendRaw(json) {
  const bytes = Buffer.from(`${json}\n`);
  for (let at = 0; at < bytes.length;) at += writeSync(4, bytes, at);
}

/** Sends one message. */
export function send(message) {
  sendRaw(stringify(message));
}

/** Calls `handler` with every request; the process ends with the guest's end of the line. */
export function receive(handler) {
  const input = new Socket({ fd: 3, readable: true, writable: false });
  let parts = [];
  input.on('data', (chunk) => {
    for (let end; (end = chunk.indexOf(10)) >= 0; chunk = chunk.subarray(end + 1)) {
      parts.push(chunk.subarray(0, end));
      const line = Buffer.concat(parts).toString();
      parts = [];
      handler(parse(line));
    }
    parts.push(chunk);
  });
  input.on('close', () => process.exit(0));
  send({ protocol: PROTOCOL });
}

/** `text` without terminal colours, cut to `limit` characters. */
export function plain(text, limit) {
  const clean = String(text).replace(/\u001b\[[0-9;]*m/g, '');
  return clean.length > limit ? `${clean.slice(0, limit)}\n[cut]` : clean;
}

/** Message and stack of whatever was thrown; frames of the runner itself are left out. */
export function describe(thrown) {
  let message = 'the script threw something that cannot be shown';
  let stack;
  try {
    const isError = thrown instanceof Error || typeof thrown?.stack === 'string';
    message = isError ? String(thrown.message || thrown.name) : String(thrown);
    if (isError) {
      const lines = String(thrown.stack).split('\n');
      stack = lines.filter((line) => !(/^\s+at /.test(line) && FOREIGN.some((part) => line.includes(part)))).join('\n');
    }
  } catch {
    // A getter that throws: the message above will do.
  }
  return { error: plain(message, 64 << 10), stack: stack && plain(stack, 256 << 10) };
}
