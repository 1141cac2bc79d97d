// SPDX-License-Identifier: Apache-2.0
// Answers that come late: what is newer stays.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DATA, era, Origin } from "./kend.js";
import { sampleJob } from "./sample.js";
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

test(
    "races: a list that is not wanted any more is called off, and does not replace the one that is",
    onStage(async ({ page, go, kend }) => {
        const id = await sampleJob(kend);
        const pictures = gate();
        for (const [place, list] of Object.entries({ tensors: "tensors", kenviz: "layers", layers: "layers", compare: "compare" })) {
            const held = gate();
            const failed = new Promise((resolve) => {
                page.on("requestfailed", (request) => request.url().includes(`/${list}?variant=ken`) && resolve(undefined));
            });
            await page.route(`**/${list}?variant=ken&*`, (route) => hold(route, gate(), held));
            await page.goto("about:blank");
            await go(`#/jobs/${id}/${place}?variant=ken&with=${id}&with_variant=ken`);
            await page.getByLabel("Variant").selectOption("large");
            await failed;
            held.open();
            await page.waitForFunction(() => location.hash.includes("variant=large"));
            await page.unrouteAll({ behavior: "wait" });
        }
        const { json } = await kend.ask("GET", `/v1/jobs/${id}/layers?variant=large`);
        const { role, tensors } = json.data.find((each) => each.tensors.length > 1);
        await page.route("**/layers?variant=ken&*", (route) => hold(route, gate(), pictures));
        await page.goto("about:blank");
        await go(`#/jobs/${id}/layers?variant=ken`);
        await page.getByLabel("Variant").selectOption("large");
        const first = page.getByRole("region", { name: role }).locator(".layer-tile").first();
        const kept = `kept ${(100 * tensors[0].kept_fraction).toFixed(1)} %`;
        await first.getByText(kept).waitFor();
        pictures.open();
        await page.unrouteAll({ behavior: "wait" });
        assert.ok((await first.textContent()).includes(kept));
    }),
);

test(
    "races: a job that is deleted while it is watched is told once, and not asked for again",
    onStage(
        async ({ page, go, kend }) => {
            const origin = await new Origin(`${DATA}/era-bf16`, 100_000).start();
            try {
                const id = await kend.submit(era({ keep: 0.5, name: "race watched" }, origin.url));
                let asked = 0;
                const body = JSON.stringify({ status: 404, code: "not_found", title: "Not found" });
                await page.route(/\/events(\?after=\d+)?$/, (route) => route.abort("connectionrefused")); // the stream
                await page.route(/\?wait=25$/, (route) => {
                    asked += 1;
                    return route.fulfill({ status: 404, contentType: "application/problem+json", body });
                });
                await page.clock.install();
                await go(`#/jobs/${id}`);
                await page.locator(".problem").getByText("Not found").waitFor();
                await page.clock.runFor(10_000); // three pauses after a failure
                await kend.ask("POST", `/v1/jobs/${id}/cancel`);
                assert.equal(asked, 1);
            } finally {
                origin.close();
            }
        },
        { expected: /status of 404|ERR_CONNECTION_REFUSED/ },
    ),
);

test(
    "races: the scale of an older view does not replace the one that is seen",
    onStage(async ({ page, go, kend }) => {
        const id = await sampleJob(kend);
        const [answered, late] = [gate(), gate()];
        await page.route(/heatmap\.png.*view=density.*&w=1&h=1/, (route) => hold(route, answered, late));
        await go(`#/jobs/${id}/layers?view=density`);
        await answered.opened;
        await page.getByRole("button", { name: "Neighbours" }).click();
        const scale = page.getByRole("img", { name: "Colours from 0 to 4" });
        await scale.waitFor();
        late.open();
        await page.unrouteAll({ behavior: "wait" });
        await scale.waitFor();
        assert.equal(await page.getByRole("img", { name: "Colours from 0 % to 100 %" }).count(), 0);
    }),
);
