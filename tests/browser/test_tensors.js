// SPDX-License-Identifier: Apache-2.0
// The table of tensors: thousands of them, by pointer, keyboard and on a phone.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { writeSafetensors } from "./kend.js";
import { addressOf, sampleJob } from "./sample.js";
import { isAccessible, onStage } from "./stage.js";

const TENSORS = 5000;
const LAG_MS = 500; // of a sort or a step of scrolling, on a machine that has much else to do

/** A pair of models with many small tensors. @param {string} folder */
function writePair(folder) {
    const parts = ["query", "key", "value", "output"];
    const names = Array.from({ length: TENSORS }, (_, i) => `model.layers.${i >> 2}.block.${parts[i % 4]}.weight`);
    const values = (/** @type {number} */ i, /** @type {number} */ step) =>
        Array.from({ length: 32 }, (_, j) => Math.sin(i + 7 * j) + ((i * j) % 97 < i % 97 ? step * Math.cos(3 * j) : 0));
    const write = (/** @type {string} */ name, /** @type {number} */ step) => {
        const tensors = names.map((tensor, i) => [tensor, { rows: 4, values: values(i, step) }]);
        writeSafetensors(join(folder, `${name}.safetensors`), Object.fromEntries(tensors));
    };
    write("base", 0);
    write("tuned", 0.1);
}

/** The longest time from a change to the frame that shows it, in milliseconds, of some steps that the page takes. */
function longest(page, steps) {
    return page.evaluate(async (names) => {
        const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
        const table = document.querySelector(".window");
        let most = 0;
        for (const name of names) {
            await frame();
            const begin = performance.now();
            if (typeof name === "number") table.scrollTop = name;
            else [...table.querySelectorAll("thead button")].find((button) => button.textContent === name).click();
            await frame();
            most = Math.max(most, performance.now() - begin);
        }
        return most;
    }, steps);
}

test("tensors: thousands are sorted, filtered and scrolled without lag", (context) =>
    onStage(async ({ page, go, kend }) => {
        writePair(kend.files);
        const at = (/** @type {string} */ name) => `file://${kend.files}/${name}.safetensors`;
        const id = await kend.submit({ model: at("tuned"), base: at("base"), keep: 0.5, name: "many" });
        assert.equal((await kend.wait(id)).status, "succeeded");
        await go(`#/jobs/${id}/tensors`);
        await page.getByText("5,000 tensors").waitFor();
        const sorting = await longest(page, ["Kept", "Kept", "Tensor", "Relative L2", "Values", "Kept"]);
        const scrolling = await longest(
            page,
            Array.from({ length: 40 }, (_, i) => (i * 7919) % (TENSORS * 32)),
        );
        context.diagnostic(`longest sort ${sorting.toFixed(1)} ms, step of scrolling ${scrolling.toFixed(1)} ms`);
        assert.ok(sorting < LAG_MS && scrolling < LAG_MS, `${sorting} ${scrolling}`);
        assert.ok((await page.locator(".window tbody tr").count()) < 80);

        await page.locator(".window").evaluate((table) => (table.scrollTop = 0));
        const { key, down } = { key: "kept", down: "1" };
        assert.deepEqual(await addressOf(page), { sort: key, down });
        const shares = (await page.locator(".window tbody tr[aria-rowindex]").allTextContents()).map((text) =>
            Number(/([\d.]+) %/.exec(text)[1]),
        );
        assert.deepEqual(
            shares,
            [...shares].sort((a, b) => b - a),
        );
        await page.keyboard.press("/");
        await page.keyboard.type("layers.77. query");
        await page.getByText("1 of 5,000 tensors").waitFor();
        await page.getByLabel("Filter").fill("layers.77.");
        await page.getByText("4 of 5,000 tensors").waitFor();
        await page.reload();
        await page.getByText("4 of 5,000 tensors").waitFor();
        await page.getByRole("button", { name: "Tensor", exact: true }).click();
        await page.getByRole("link", { name: "model.layers.77.block.key.weight" }).focus();
        await page.keyboard.press("ArrowDown");
        await page.keyboard.press("Enter");
        await page.locator(".picture").waitFor();
        assert.equal((await addressOf(page)).tensor, "model.layers.77.block.output.weight");

        await kend.ask("DELETE", `/v1/jobs/${id}`);
    })());

test(
    "tensors: what became of them, by variant; without barriers, and on a phone",
    onStage(async ({ page, go, kend }) => {
        const id = await sampleJob(kend);
        await go(`#/jobs/${id}/tensors?variant=large&text=layers.2.`);
        const row = page.getByRole("row", { name: "enc.layers.2.linear1.weight" });
        const { json } = await kend.ask("GET", `/v1/jobs/${id}/tensors?variant=large&name=enc.layers.2.linear1.weight`);
        const told = json.data[0];
        const share = (100 * told.kept) / (told.kept + told.reset + told.unchanged);
        await row.waitFor();
        const text = await row.textContent();
        assert.ok(text.includes(`${share.toFixed(1)} %`) && text.includes(told.relative_l2.toFixed(4)), text);
        await page.getByLabel("Variant").selectOption("ken");
        await page.waitForFunction((before) => !document.querySelector(".window").textContent.includes(before), `${share.toFixed(1)} %`);
        assert.equal((await addressOf(page)).variant, "ken");
        await isAccessible(page);
        await page.setViewportSize({ width: 390, height: 844 });
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
        await isAccessible(page);
    }),
);
