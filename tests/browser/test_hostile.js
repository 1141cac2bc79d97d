// SPDX-License-Identifier: Apache-2.0
// Names, metadata, URLs and messages that would be markup or script, were they ever taken for it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "node:path";
import { DATA, writeSafetensors } from "./kend.js";
import { onStage } from "./stage.js";

const BAIT = `<img src=x onerror="document.title='taken'"><script>document.title='taken'</script>`;

test(
    "hostile: what a job says is text",
    onStage(async ({ page, go, kend }) => {
        const missing = `file://${DATA}/era-bf16/%3Cimg%20src=x%20onerror=alert(1)%3E.safetensors`;
        const document = { model: missing, base: missing, k: 1, name: BAIT, metadata: { [`"><b>${BAIT.slice(0, 50)}`]: BAIT } };
        const id = await kend.submit(document);
        await kend.wait(id);
        await go("");
        const row = page.getByRole("row").filter({ hasText: "document.title" });
        await row.waitFor();
        assert.equal(await row.locator("a").textContent(), BAIT);
        await row.getByRole("button", { name: /^curl/ }).click();
        await page.keyboard.press("Escape");
        await row.getByRole("button", { name: /^Delete/ }).click();
        assert.ok((await page.locator("dialog p").textContent()).includes(BAIT));
        await page.keyboard.press("Escape");
        await row.locator("a").click();
        await page.getByRole("heading", { name: BAIT }).waitFor();
        for (const place of ["", `#/jobs/${id}`]) {
            await go(place);
            await page.locator("main", { hasText: "document.title" }).waitFor();
            await page.evaluate(() => new Promise((resolve) => setTimeout(resolve))); // bait that was taken would have had its turn
            assert.equal(await page.locator("img:not([src='web/icon.svg']), script:not([src]), b").count(), 0);
            assert.ok(!(await page.title()).startsWith("taken"));
        }
        await kend.ask("DELETE", `/v1/jobs/${id}`);
    }),
);

test(
    "hostile: what an artifact says is text: names of tensors in layers, warnings, log and document",
    onStage(async ({ page, go, kend }) => {
        const names = [`${BAIT}.0.weight`, `"><svg onload=alert(1)>.1.weight`, "__proto__", "constructor.0.a"];
        const tensors = (/** @type {number} */ step) =>
            Object.fromEntries(
                names.map((name, i) => [name, { rows: 2, values: Array.from({ length: 64 }, (_, j) => i + Math.sin(j) * step) }]),
            );
        for (const [file, step] of Object.entries({ model: 1.1, base: 1 }))
            writeSafetensors(join(kend.files, `${file}.safetensors`), tensors(step));
        const rules = [{ match: "<img*", base: "<script>alert(1)</script>*" }];
        const at = (/** @type {string} */ file) => `file://${kend.files}/${file}.safetensors`;
        const id = await kend.submit({ model: at("model"), base: at("base"), keep: 0.5, names: rules });
        const job = await kend.wait(id);
        assert.equal(job.status, "succeeded", JSON.stringify(job.error));
        await go(`#/jobs/${id}`);
        const layers = page.getByRole("region", { name: "Layers" });
        await layers.locator("tbody tr").nth(3).waitFor();
        const shown = await layers.locator("tbody th").allTextContents();
        assert.ok(shown.includes(`${BAIT}.0`) && shown.includes("__proto__"), shown.join());
        await page.locator(".problem.warning").waitFor();
        await page.getByText("Document", { exact: true }).click();
        assert.ok((await page.locator("details pre").textContent()).includes("<script>alert(1)</script>*"));
        assert.equal(await page.locator("main img, main script, main svg[onload]").count(), 0);
        for (const place of ["tensors", "layers", "kenviz", "compare"]) {
            await go(`#/jobs/${id}/${place}?${new URLSearchParams({ tensor: names[1] ?? "", with: id })}`);
            await page.locator("main", { hasText: "<svg onload=alert(1)>" }).waitFor();
            const foreign = "main img:not(.layer-tile img), main script, main svg[onload]";
            assert.equal(await page.locator(foreign).count(), 0, place);
        }
    }),
);

test(
    "hostile: places that are none",
    onStage(
        async ({ page, go }) => {
            for (const place of [`#/${encodeURIComponent(BAIT)}`, "#/%E0%A4%A", "#/jobs/a/b/c/d"]) {
                await go(place);
                await page.getByRole("heading", { name: "There is nothing here" }).waitFor();
            }
            await go(`#/jobs/${encodeURIComponent(`../session?${BAIT}`)}`);
            await page.getByText("Not found").first().waitFor();
        },
        { expected: /status of 404/ },
    ),
);
