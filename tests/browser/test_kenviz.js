// SPDX-License-Identifier: Apache-2.0
// KENviz: pictures are moved through, and what they show is what the files have.
import assert from "node:assert/strict";
import { copyFileSync, readFileSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readRow } from "./checkpoint.js";
import { DATA, era, writeSafetensors } from "./kend.js";
import { addressOf, coloursAt, drawn, sampleJob } from "./sample.js";
import { isAccessible, onStage } from "./stage.js";

const TENSOR = "enc.layers.1.linear1.weight";
const LEFT = 46; // of the rulers, as views/kenviz_canvas.js has them
const TOP = 20;

/** A region whose values are 20 pixels and more, so that each can be pointed at. */
const CLOSE = { x: 40, y: 100, w: 24, h: 16 };

/** Where in the picture values are. @param {{row: number, column: number}[]} cursors */
async function placesOf(page, cursors) {
    const size = await page.locator(".picture").evaluate((element) => [element.clientWidth, element.clientHeight]);
    const { x, y, w, h } = await addressOf(page);
    const scale = Math.min((size[0] - LEFT) / w, (size[1] - TOP) / h);
    return cursors.map(({ row, column }) => ({ x: LEFT + (column + 0.5 - x) * scale, y: TOP + (row + 0.5 - y) * scale }));
}

/** A number of an address without its last digits. */
function round([name, text]) {
    return [name, Number.isFinite(Number(text)) ? String(Number(Number(text).toFixed(2))) : text];
}

async function rounded(page) {
    return Object.fromEntries(Object.entries(await addressOf(page)).map(round));
}

async function hover(page, cursor) {
    const [position] = await placesOf(page, [cursor]);
    await page.locator(".picture").hover({ position });
}

/** Loads the page anew at a place, and waits until it is drawn and its address tells what is seen. */
async function visit(page, go, place) {
    const anew = page.url() !== "about:blank";
    await go(place);
    if (anew) await page.reload(); // to go to another place alone loads nothing
    await page.getByText(/^rows \d/).waitFor();
    await drawn(page);
}

const readout = (page, name) => page.locator(".readout dt", { hasText: name }).locator("+ dd");

/** The address of a view of the sample. @param {string} id @param {Record<string, unknown>} query */
function placeOf(id, query) {
    const given = Object.entries({ tensor: TENSOR, variant: "ken", ...query }).map(([name, value]) => [name, String(value)]);
    return `#/jobs/${id}/kenviz?${new URLSearchParams(given)}`;
}

test(
    "kenviz: from the table to a picture, zoomed, and a value that is what the files have",
    onStage(async ({ page, go, kend }) => {
        const id = await sampleJob(kend);
        await go(`#/jobs/${id}/tensors?variant=ken`);
        await page.getByRole("link", { name: TENSOR }).click();
        await drawn(page);
        await page.getByRole("img", { name: "Colours from 0 % to 100 %" }).waitFor();
        await page.getByText("rows 0 to 767, columns 0 to 191").waitFor();
        await page.locator(".picture").hover({ position: { x: 100, y: 100 } });
        await page.mouse.wheel(0, -900);
        await page.getByRole("button", { name: "Zoom in" }).click();
        await page.waitForFunction(() => location.hash.includes("&w="));
        await drawn(page);
        assert.ok(Number((await addressOf(page)).w) < 192);
        await page.getByRole("button", { name: "Show all of the matrix" }).click();
        await page.waitForFunction(() => !location.hash.includes("&w="));

        await visit(page, go, placeOf(id, { view: "mask", ...CLOSE }));
        const cursor = { row: 107, column: 51 };
        await hover(page, cursor);
        const tuned = readRow(`${DATA}/era-bf16/finetuned.safetensors`, TENSOR, cursor.row)[cursor.column];
        const base = readRow(`${DATA}/era-bf16/base.safetensors`, TENSOR, cursor.row)[cursor.column];
        await readout(page, "Base").filter({ hasText: /\d/ }).waitFor();
        assert.equal(await readout(page, "Row").textContent(), "107");
        assert.equal(await readout(page, "Column").textContent(), "51");
        assert.equal(Number(await readout(page, "Base").textContent()), Number(base.toPrecision(5)));
        assert.equal(Number(await readout(page, "Fine-tuned").textContent()), Number(tuned.toPrecision(5)));
    }),
);

/** What the deltas of both variants store of a region. */
async function keptOf(kend, id, tensor, region) {
    const kept = ["ken", "large"].map(async (variant) => {
        const query = new URLSearchParams({ tensor, variant, ...region });
        return (await kend.ask("GET", `/v1/jobs/${id}/values?${query}`)).json.kept;
    });
    return Promise.all(kept);
}

test(
    "kenviz: each value of a mask and of a comparison has the colour of what was kept",
    onStage(async ({ page, go, kend }) => {
        const id = await sampleJob(kend);
        const colours = { truetrue: [20, 20, 20], truefalse: [0, 114, 178], falsetrue: [240, 170, 40], falsefalse: [240, 240, 240] };
        const corner = { x: 168, y: 5984, w: 24, h: 16 }; // of the last tiles, which are no squares
        for (const [tensor, region] of Object.entries({ [TENSOR]: CLOSE, "tok.weight": corner })) {
            const [here, there] = await keptOf(kend, id, tensor, region);
            await visit(page, go, placeOf(id, { tensor, view: "compare", with_variant: "large", ...region }));
            const values = Array.from({ length: 60 }, (_, i) => [(i * 7) % region.h, (i * 11) % region.w]);
            const at = await placesOf(
                page,
                values.map(([row, column]) => ({ row: region.y + row, column: region.x + column })),
            );
            const kinds = values.map(([row, column]) => `${here[row][column]}${there[row][column]}`);
            assert.equal(new Set(kinds).size, 4);
            assert.deepEqual(
                await coloursAt(page, at),
                kinds.map((kind) => colours[kind]),
            );
            await page.getByRole("button", { name: "Mask" }).click();
            await drawn(page);
            for (const [i, [red, green, blue]] of (await coloursAt(page, at)).entries())
                assert.equal(red + green + blue === 3 * 255, kinds[i]?.startsWith("false"), `${tensor} ${values[i]}`);
        }
        await isAccessible(page);
    }),
);

test(
    "kenviz: layers by slider and keys, what is seen stays; all is in the address",
    onStage(async ({ page, go, kend }) => {
        const id = await sampleJob(kend);
        await visit(
            page,
            go,
            placeOf(id, { tensor: "enc.layers.0.self_attn.out_proj.weight", view: "neighbors", x: 10, y: 20, w: 60, h: 40 }),
        );
        const before = await addressOf(page);
        await page.getByRole("slider", { name: "Layer" }).fill("2");
        await page.waitForFunction(() => location.hash.includes("layers.2."));
        await page.locator(".picture").press("PageDown");
        await page.waitForFunction(() => location.hash.includes("layers.3."));
        await drawn(page);
        assert.deepEqual(await addressOf(page), { ...before, tensor: "enc.layers.3.self_attn.out_proj.weight" });
        await page.locator(".picture").press("+");
        await page.locator(".picture").press("ArrowRight");
        await page.waitForFunction((old) => !location.hash.includes(`w=${old}`), before.w);
        await drawn(page);
        const address = await addressOf(page);
        const picture = await page.locator(".picture canvas").evaluate((canvas) => canvas.toDataURL());
        await visit(page, go, placeOf(id, address));
        assert.deepEqual(await rounded(page), Object.fromEntries(Object.entries(address).map(round)));
        assert.ok((await page.locator(".picture canvas").evaluate((canvas) => canvas.toDataURL())) === picture, "another picture");
        await page.locator(".picture").press("Shift+ArrowDown");
        assert.match(await readout(page, "Row").textContent(), /^\d+$/);
    }),
);

test(
    "kenviz: a row, and the picture as a file",
    onStage(async ({ page, go, kend }) => {
        const id = await sampleJob(kend);
        await visit(page, go, placeOf(id, { view: "mask" }));
        const region = page.getByRole("region", { name: "One row" });
        await page.locator(".picture").press("Shift+ArrowDown");
        const row = Number(await readout(page, "Row").textContent());
        await page.locator(".picture").press("Enter");
        await region.locator(".row-chart").waitFor();
        const values = readRow(`${DATA}/era-bf16/finetuned.safetensors`, TENSOR, row);
        const { json } = await kend.ask("GET", `/v1/jobs/${id}/row?tensor=${TENSOR}&variant=ken&row=${row}`);
        const text = await region.textContent();
        assert.ok(text.includes(`${json.kept} of ${values.length}`), text);
        assert.ok(text.includes(String(Number(Math.min(...values).toPrecision(5)))), text);
        assert.equal(await region.locator("rect.all").count(), json.histogram.all.filter(Boolean).length);
        assert.equal(await region.locator("rect.kept").count(), json.histogram.kept.filter(Boolean).length);
        await region.getByLabel("Row").fill("700");
        await page.waitForFunction(() => location.hash.includes("row=700"));
        await isAccessible(page);
        const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "PNG" }).click()]);
        assert.equal(download.suggestedFilename(), `${TENSOR}-mask.png`);
        assert.deepEqual(
            [...readFileSync(await download.path()).subarray(1, 4)],
            [..."PNG"].map((letter) => letter.charCodeAt(0)),
        );
        await page.getByRole("button", { name: "Stronger" }).click();
        await page.waitForFunction(() => location.hash.includes("max="));
        await page.getByRole("button", { name: "Delta" }).click();
        await drawn(page);
    }),
);

test(
    "kenviz: with a finger's and two fingers' moves on a phone",
    onStage(
        async ({ page, go, kend }) => {
            const id = await sampleJob(kend);
            await visit(page, go, placeOf(id, { view: "density" }));
            assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
            await isAccessible(page);
            const box = await page.locator(".picture").boundingBox();
            const at = (dx, dy) => ({ x: box.x + 120 + dx, y: box.y + 150 + dy });
            const session = await page.context().newCDPSession(page);
            const touch = (type, ...touchPoints) => session.send("Input.dispatchTouchEvent", { type, touchPoints });
            await touch("touchStart", { ...at(-20, 0), id: 0 }, { ...at(20, 0), id: 1 });
            for (let i = 1; i <= 5; i += 1) await touch("touchMove", { ...at(-20 - 10 * i, 0), id: 0 }, { ...at(20 + 10 * i, 0), id: 1 });
            await touch("touchEnd");
            await page.waitForFunction(() => location.hash.includes("&w="));
            const { w } = await addressOf(page);
            assert.ok(Number(w) < 192, w);
            await page.touchscreen.tap(...Object.values(at(0, 0)));
            await page.locator(".row-chart").waitFor();
        },
        { context: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true } },
    ),
);

test(
    "kenviz: when the inputs are gone it says so once, and goes on with pictures",
    onStage(
        async ({ page, go, kend }) => {
            for (const name of ["finetuned", "base"])
                copyFileSync(`${DATA}/era-bf16/${name}.safetensors`, join(kend.files, `${name}.safetensors`));
            const id = await kend.submit(era({ keep: 0.5, name: "gone" }, `file://${kend.files}`));
            await kend.wait(id);
            utimesSync(join(kend.files, "finetuned.safetensors"), 1e9, 1e9);
            let asked = 0;
            page.on("request", (request) => (asked += /\/(values|row)\?/.test(request.url())));
            await go(`#/jobs/${id}/kenviz?tensor=${TENSOR}&view=mask`);
            await drawn(page);
            await page.locator(".picture").hover({ position: { x: 100, y: 100 } });
            await page.getByText("The inputs of this job are not in the cache any more").waitFor();
            assert.equal(await page.getByRole("region", { name: "One row" }).count(), 0);
            await page.locator(".picture").hover({ position: { x: 120, y: 120 } });
            await page.locator(".picture").click({ position: { x: 130, y: 90 } });
            await page.getByRole("button", { name: "Zoom in" }).click();
            await drawn(page);
            await page.getByText(/^rows [1-9]/).waitFor(); // told later than values or a row would have been asked for
            assert.equal(asked, 1);
        },
        { expected: /status of 409.*\/values/ },
    ),
);

/** Answers the first so many requests with a problem. @param {number} status @param {string} code */
async function refuse(page, address, times, status, code) {
    let left = times;
    const body = JSON.stringify({ status, code, title: `It is ${code}` });
    await page.route(address, (route) => {
        if (left === 0) return route.continue();
        left -= 1;
        return status ? route.fulfill({ status, contentType: "application/problem+json", body }) : route.abort("connectionrefused");
    });
}

test(
    "kenviz: a request that fails in passing ends neither pictures nor values",
    onStage(
        async ({ page, go, kend }) => {
            const id = await sampleJob(kend);
            for (const [status, code, said] of [
                [503, "draining", "It is draining"],
                [0, "", "kend cannot be reached"],
            ]) {
                await refuse(page, "**/heatmap.png?*", 1, status, code);
                await refuse(page, "**/values?*", 1, status, code);
                await page.goto("about:blank");
                await go(placeOf(id, { view: "mask", ...CLOSE }));
                const problem = page.locator(".problem").getByText(said).first();
                await problem.waitFor();
                await page.locator(".picture").hover({ position: { x: 100, y: 100 } });
                await page.locator(".readout").getByText(said).waitFor();
                await readout(page, "Base").filter({ hasText: /\d/ }).waitFor();
                await page.locator(".readout").getByText(said).waitFor({ state: "detached" });
                await drawn(page);
                await problem.waitFor({ state: "detached" });
                await page.unrouteAll();
            }
        },
        { expected: /status of 503|ERR_CONNECTION_REFUSED/ },
    ),
);

test(
    "kenviz: what became of a value is said of what is stored, whatever the base's type",
    onStage(async ({ page, go, kend }) => {
        const side = 32;
        const values = (change) => Array.from({ length: side * side }, (_, i) => change(i));
        const base = values(() => 1.00002); // 1 as BF16
        const model = values((i) => (i % side < side / 2 ? 1 : 1 + 2 ** -7 * (1 + (i % 5))));
        writeSafetensors(join(kend.files, "fine.safetensors"), { a: { rows: side, values: base } });
        writeSafetensors(join(kend.files, "coarse.safetensors"), { a: { rows: side, values: model } }, "BF16");
        const at = (name) => `file://${kend.files}/${name}.safetensors`;
        const id = await kend.submit({ model: at("coarse"), base: at("fine"), keep: 0.25 });
        const job = await kend.wait(id);
        assert.equal(job.status, "succeeded", JSON.stringify(job.error));
        const region = { x: 0, y: 0, w: side, h: side };
        const { json } = await kend.ask("GET", `/v1/jobs/${id}/values?${new URLSearchParams({ tensor: "a", ...region })}`);
        const find = (wanted) => {
            const i = base.findIndex((_, place) => wanted(json.kept[Math.floor(place / side)][place % side], place % side));
            return { row: Math.floor(i / side), column: i % side };
        };
        await visit(page, go, `#/jobs/${id}/kenviz?${new URLSearchParams({ tensor: "a", view: "mask", x: 0, y: 0, w: 32, h: 31 })}`);
        for (const [fate, cursor] of Object.entries({
            unchanged: find((kept, column) => !kept && column < side / 2),
            reset: find((kept, column) => !kept && column >= side / 2),
            kept: find((kept) => kept),
        })) {
            await hover(page, cursor);
            await page.locator(".readout .tag", { hasText: fate }).waitFor();
            assert.equal(await readout(page, "Row").textContent(), String(cursor.row));
        }
    }),
);
