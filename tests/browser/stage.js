// SPDX-License-Identifier: Apache-2.0
// Where a test takes place: a page of a browser that keeps watch over its console, its requests and its accessibility.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Kend } from "./kend.js";

const require = createRequire(join(process.env.KEND_BROWSER_TOOLS ?? "", "tools.js"));
const { chromium } = require("playwright-core");
const axe = require("axe-core");

const ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];
const TIMEOUT_MS = 15_000;

let browser;
let common;

export async function theBrowser() {
    browser ??= await chromium.launch({ executablePath: process.env.KEND_BROWSER ?? "/usr/bin/chromium", args: ARGUMENTS });
    return browser;
}

/** A kend without tokens that tests share: none may stop it. */
export async function theKend() {
    common ??= await new Kend().start();
    return common;
}

export async function closeAll() {
    await browser?.close();
    await common?.close();
}

/** @typedef {{page: any, kend: Kend, go: (place: string) => Promise<void>, faults: string[]}} Stage */

/**
 * Runs a test on a page of its own. Fails if the console has an error, a request leaves the server, or the policy stops anything.
 * @param {(stage: Stage) => Promise<void>} test
 * @param {{kend?: Kend, context?: object, expected?: RegExp}} [options] expected: errors of the console that the test provokes
 */
export function onStage(test, options = {}) {
    return async () => {
        const kend = options.kend ?? (await theKend());
        const context = await (await theBrowser()).newContext({ reducedMotion: "reduce", ...options.context });
        const page = await context.newPage();
        page.setDefaultTimeout(TIMEOUT_MS);
        const faults = [];
        page.on("console", (message) => {
            const text = `${message.type()}: ${message.text()} (${message.location().url})`;
            if (["error", "warning"].includes(message.type()) && !options.expected?.test(text)) faults.push(text);
        });
        page.on("pageerror", (error) => faults.push(`uncaught: ${error.stack}`));
        page.on("dialog", (dialog) => (faults.push(`a dialog: ${dialog.message()}`), void dialog.dismiss()));
        page.on("request", (request) => {
            const url = request.url();
            if (!url.startsWith(kend.url) && !/^(blob|data):/.test(url)) faults.push(`asked another host: ${url}`);
        });
        const go = async (/** @type {string} */ place) => {
            await page.goto(`${kend.url}/${place}`);
            await page.waitForSelector("main *");
        };
        try {
            await test({ page, kend, go, faults });
            assert.deepEqual(faults, []);
        } finally {
            await context.close();
        }
    };
}

/** No violation of axe-core's rules on the page as it is; in the dark, of those that look at colours. */
export async function isAccessible(page) {
    const options = { light: {}, dark: { runOnly: ["color-contrast"] } };
    await page.evaluate(axe.source);
    for (const [colorScheme, option] of Object.entries(options)) {
        await page.emulateMedia({ colorScheme });
        const { violations } = await page.evaluate((chosen) => globalThis.axe.run(chosen), option);
        const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join("\n")}`);
        assert.deepEqual(told, [], colorScheme);
    }
    await page.emulateMedia({ colorScheme: null });
}
