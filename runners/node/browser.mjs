// The worker's connection to Chromium, and which of its tabs is meant.

import { get } from 'node:http';
import { chromium } from 'playwright-core';

let connected;
const targetIds = new WeakMap();

/** No connection to Chromium: the guest tries again with the next Chromium. */
export class NoConnection extends Error {}

/** The browser at `endpoint`; the connection is kept until Chromium or the script closes it. */
export async function connect(endpoint) {
  if (connected?.endpoint === endpoint && connected.browser.isConnected()) return connected.browser;
  connected?.browser.close().catch(() => {});
  connected = undefined;
  try {
    const browser = await chromium.connectOverCDP(endpoint);
    connected = { endpoint, browser };
    return browser;
  } catch (error) {
    throw new NoConnection(error.message);
  }
}

/** Chromium's id of a tab. */
export async function targetId(page) {
  let id = targetIds.get(page);
  if (!id) {
    const session = await page.context().newCDPSession(page);
    id = (await session.send('Target.getTargetInfo')).targetInfo.targetId;
    targetIds.set(page, id);
    await session.detach().catch(() => {});
  }
  return id;
}

/** The tab with this id; waits for one that is just being opened. */
export async function pageOf(context, id) {
  let wake;
  let news = new Promise((resolve) => { wake = resolve; });
  let closed;
  const gone = new Promise((_, reject) => {
    closed = () => reject(new NoConnection('the browser went away'));
  });
  const opened = () => { wake(); news = new Promise((resolve) => { wake = resolve; }); };
  context.on('page', opened);
  context.on('close', closed);
  try {
    for (;;) {
      const next = news;
      for (const page of context.pages()) {
        // A tab that closes meanwhile has no id any more.
        if ((await targetId(page).catch(() => undefined)) === id) return page;
      }
      await Promise.race([next, gone]);
    }
  } finally {
    context.off('page', opened);
    context.off('close', closed);
    gone.catch(() => {});
  }
}

/** The tab that was active last, without those in `avoid`; opens one if there is none. */
export async function activePage(context, endpoint, avoid) {
  // Chromium lists the tab that was shown last in front.
  for (const id of await targets(endpoint)) {
    if (avoid.includes(id)) continue;
    for (const page of context.pages()) {
      // A tab that closes meanwhile has no id any more.
      if ((await targetId(page).catch(() => undefined)) === id) return { page, created: false };
    }
    // One that was just opened, which Playwright is about to learn of; unless it is another
    // context's, which it will not.
    if (await isOf(context, id)) return { page: await pageOf(context, id), created: false };
  }
  return { page: await context.newPage(), created: true };
}

async function isOf(context, id) {
  const session = await context.browser().newBrowserCDPSession();
  try {
    const { targetInfos } = await session.send('Target.getTargets');
    const { browserContextIds } = await session.send('Target.getBrowserContexts');
    const info = targetInfos.find(({ targetId: known }) => known === id);
    return Boolean(info) && !browserContextIds.includes(info.browserContextId);
  } finally {
    await session.detach().catch(() => {});
  }
}

function targets(endpoint) {
  const { hostname, port } = new URL(endpoint);
  return new Promise((resolve, reject) => {
    get({ hostname, port, path: '/json/list', agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (part) => { text += part; });
      answer.on('error', reject);
      answer.on('end', () => {
        try {
          const pages = JSON.parse(text).filter(({ type, url }) => type === 'page' && !/^devtools:/.test(url));
          resolve(pages.map((target) => target.id));
        } catch (error) {
          reject(error);
        }
      });
    }).on('error', reject);
  });
}
