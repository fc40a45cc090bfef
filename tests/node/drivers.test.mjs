// Playwright and Puppeteer against a session made through the official Node SDK.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Kernel from "@onkernel/sdk";
import { chromium } from "playwright-core";
import puppeteer from "puppeteer-core";

const kernel = new Kernel(); // KERNEL_BASE_URL, KERNEL_API_KEY
const site = process.env.TEST_SITE;
let session;

before(async () => {
  session = await kernel.browsers.create({ headless: true, timeout_seconds: 600 });
});
after(async () => {
  await kernel.browsers.deleteByID(session.session_id);
});

async function drivePlaywright(address) {
  const browser = await chromium.connectOverCDP(address);
  const context = browser.contexts()[0];
  assert.ok(context, "the default context is there");
  const page = context.pages()[0];
  assert.ok(page, "a page is there");
  await page.goto(`${site}/hello`);
  assert.equal(await page.title(), "Hello");
  assert.equal(await page.textContent("#greeting"), "hello");
  await page.locator("#greeting").click();
  assert.ok((await page.screenshot()).length > 1000);
  const other = await browser.newContext();
  const tab = await other.newPage();
  await tab.goto(`${site}/title/other`);
  assert.equal(await tab.title(), "other");
  await other.close();
  await browser.close(); // disconnects; the session lives on
}

test("playwright by WebSocket address", async () => drivePlaywright(session.cdp_ws_url));

test("playwright by HTTP address", async () => drivePlaywright(session.cdp_ws_url.replace(/^ws/, "http")));

test("closing the driver leaves the session", async () => {
  const found = await kernel.browsers.retrieve(session.session_id);
  assert.equal(found.deleted_at ?? null, null);
});

test("puppeteer over CDP", async () => {
  const browser = await puppeteer.connect({ browserWSEndpoint: session.cdp_ws_url, defaultViewport: null });
  const page = await browser.newPage();
  await page.goto(`${site}/hello`);
  assert.equal(await page.title(), "Hello");
  assert.equal(await page.$eval("#greeting", (node) => node.textContent), "hello");
  await page.close();
  await browser.disconnect();
});

test("playwright and puppeteer see each other's pages", async () => {
  const one = await chromium.connectOverCDP(session.cdp_ws_url);
  const two = await puppeteer.connect({ browserWSEndpoint: session.cdp_ws_url, defaultViewport: null });
  const [seen, page] = await Promise.all([one.contexts()[0].waitForEvent("page"), two.newPage()]);
  await page.goto(`${site}/title/shared`);
  await seen.waitForURL("**/title/shared");
  await seen.waitForFunction(() => document.title === "shared");
  await page.close();
  await two.disconnect();
  await one.close();
});

test("playwright exposes bindings and routes requests", async () => {
  const browser = await chromium.connectOverCDP(session.cdp_ws_url);
  const page = await browser.contexts()[0].newPage();
  await page.exposeFunction("fromHere", (x) => x + 1);
  await page.route("**/mocked", (route) => route.fulfill({ body: "mocked body" }));
  await page.goto(`${site}/mocked`);
  assert.equal(await page.textContent("body"), "mocked body");
  assert.equal(await page.evaluate("fromHere(41)"), 42);
  await page.close();
  await browser.close();
});
