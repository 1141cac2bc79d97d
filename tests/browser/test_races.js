// SPDX-License-Identifier: Apache-2.0
// Answers that come late: what is newer stays.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DATA, era, Origin } from "./kend.js";
import { onStage } from "./stage.js";

/** A promise, and what fulfils it. */
function gate() {
    let open = () => {};
    const opened = new Promise((resolve) => (open = () => resolve(undefined)));
    return { open, opened };
}

/** Holds the answer to a request, which kend has given already when `answered` opens, until `late` is opened. */
async function hold(route, answered, late) {
    const response = await route.fetch();
    answered.open();
    await late.opened;
    await route.fulfill({ response }).catch(() => undefined); // of one that was called off
}

const row = (page, name) => page.getByRole("row").filter({ hasText: name });

test(
    "races: what a stream tells while the list is on its way is not undone by the list",
    onStage(async ({ page, go, kend }) => {
        const origin = await new Origin(`${DATA}/era-bf16`, 100_000).start();
        try {
            const deleted = await kend.submit(era({ keep: 0.5, name: "race deleted" }));
            await kend.wait(deleted);
            const ended = await kend.submit(era({ keep: 0.5, name: "race ended" }, origin.url));
            const list = gate();
            const answered = gate();
            await page.route("**/v1/jobs?*", (route) => hold(route, answered, list));
            await go("");
            await answered.opened;
            await kend.ask("DELETE", `/v1/jobs/${deleted}`);
            await kend.ask("POST", `/v1/jobs/${ended}/cancel`);
            await row(page, "race ended").getByText("cancelled").waitFor();
            list.open();
            await page.getByText("Live").waitFor();
            await row(page, "race ended").getByText("cancelled").waitFor();
            assert.equal(await row(page, "race deleted").count(), 0);
        } finally {
            origin.close();
        }
    }),
);

test(
    "races: an older reading of a job that comes last is passed over",
    onStage(async ({ page, go }) => {
        await go("");
        const late = gate();
        let reads = 0;
        const json = (document) => ({ contentType: "application/json", body: JSON.stringify(document) });
        const job = (stage) => json({ id: "x", status: "running", stage });
        await page.route(/\/v1\/jobs\/x(\?.*)?$/, async (route) => {
            reads += 1;
            const mine = reads;
            if (mine === 2) await late.opened;
            await route.fulfill(job(mine < 3 ? "fetching" : "pruning"));
        });
        await page.route(/\/v1\/jobs\/x\/events/, (route) => {
            if (route.request().headers().accept !== "text/event-stream") return route.fulfill(json({ data: [], has_more: false }));
            const body = 'event: status\nid: 1\ndata: {"id": 1, "type": "status"}\n\n';
            return route.fulfill({ contentType: "text/event-stream", body });
        });
        await page.evaluate(async () => {
            const { watchJob } = await import("/web/events.js");
            globalThis.told = [];
            const watcher = {
                onJob: ({ stage }) => globalThis.told.push(stage),
                onProgress: () => {},
                onEvent: () => {},
                onLiveness: () => {},
            };
            globalThis.watching = new AbortController();
            await watchJob("x", watcher, globalThis.watching.signal);
        });
        await page.waitForFunction(() => globalThis.told.includes("pruning"));
        late.open();
        const before = reads;
        while (reads < before + 3) await page.waitForRequest(/\/v1\/jobs\/x\?/);
        const told = await page.evaluate(() => (globalThis.watching.abort(), globalThis.told));
        assert.deepEqual(told.slice(0, 2), ["fetching", "pruning"]);
        assert.ok(!told.slice(1).includes("fetching"), told.join());
    }),
);
