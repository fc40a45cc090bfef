// What cells of the REPL have besides JavaScript. The connection to Chromium is made by the first
// that needs it.

import { activePage, connect, targetId } from './browser.mjs';

let endpoint;
let chosen;

/** Where Chromium is; it may be another one than for the last cell. */
export function setEndpoint(url) {
  endpoint = url;
}

async function browserContext() {
  const browser = await connect(endpoint);
  return { browser, context: browser.contexts()[0] };
}

/** The tab the helpers act on: the chosen one while it is open, else the active one. */
async function getPage() {
  const { context } = await browserContext();
  if (!chosen || chosen.isClosed() || chosen.context() !== context) {
    ({ page: chosen } = await activePage(context, endpoint, []));
  }
  return chosen;
}

async function cdp(method, params = {}) {
  const page = await getPage();
  const { browser, context } = await browserContext();
  const ofBrowser = /^(Browser|Target|Storage|SystemInfo)\./.test(method);
  const session = ofBrowser ? await browser.newBrowserCDPSession() : await context.newCDPSession(page);
  try {
    return await session.send(method, params);
  } finally {
    await session.detach().catch(() => {});
  }
}

async function gotoUrl(url, options = {}) {
  const page = await getPage();
  const answer = await page.goto(url, options);
  return { url: page.url(), status: answer?.status() ?? null, title: await page.title() };
}

async function js(expression, argument) {
  return (await getPage()).evaluate(expression, argument);
}

async function click(selector, options = {}) {
  await (await getPage()).click(selector, options);
}

async function fillInput(selector, text, options = {}) {
  await (await getPage()).fill(selector, text, options);
}

async function pressKey(key, options = {}) {
  await (await getPage()).keyboard.press(key, options);
}

async function uploadFile(selector, paths, options = {}) {
  await (await getPage()).setInputFiles(selector, paths, options);
}

async function waitForSelector(selector, options = {}) {
  await (await getPage()).waitForSelector(selector, options);
}

async function waitForUrl(url, options = {}) {
  const page = await getPage();
  await page.waitForURL(url, options);
  return page.url();
}

async function waitForLoad(state = 'load', options = {}) {
  await (await getPage()).waitForLoadState(state, options);
}

async function waitForFunction(expression, argument, options = {}) {
  await (await getPage()).waitForFunction(expression, argument, options);
}

function wait(milliseconds) {
  return new Promise((resolve) => { setTimeout(resolve, milliseconds); });
}

async function info(page) {
  return { target_id: await targetId(page), url: page.url(), title: await page.title(), current: page === chosen };
}

async function tabs() {
  await getPage();
  const { context } = await browserContext();
  return Promise.all(context.pages().map(info));
}

async function openTab(url) {
  const { context } = await browserContext();
  chosen = await context.newPage();
  if (url !== undefined) await chosen.goto(url);
  return info(chosen);
}

async function find(id) {
  const { context } = await browserContext();
  for (const page of context.pages()) {
    if ((await targetId(page).catch(() => undefined)) === id) return page;
  }
  throw new Error(`no tab has the id ${id}; tabs() lists them`);
}

async function switchTab(id) {
  chosen = await find(id);
  await chosen.bringToFront();
  return info(chosen);
}

async function closeTab(id) {
  await (id === undefined ? await getPage() : await find(id)).close();
}

async function pageInfo() {
  return info(await getPage());
}

async function accessibilitySnapshot(selector = 'body', options = {}) {
  return (await getPage()).locator(selector).ariaSnapshot(options);
}

async function screenshot(options = {}) {
  return (await getPage()).screenshot(options);
}

const HELPERS = {
  getPage, cdp, gotoUrl, js, click, fillInput, pressKey, uploadFile, waitForSelector, waitForUrl, waitForLoad,
  waitForFunction, wait, tabs, openTab, switchTab, closeTab, pageInfo, accessibilitySnapshot, screenshot,
};

/** Makes the helpers and `repl` global; cells may declare their names anew. */
export function define(output) {
  const repl = Object.freeze({
    write: (...values) => output.text('write', values.map((value) => (typeof value === 'string' ? value : inspectable(value))).join(' ')),
    emitImage: (image) => output.image(image),
  });
  for (const [name, value] of Object.entries({ ...HELPERS, repl })) {
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
  }
}

function inspectable(value) {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
