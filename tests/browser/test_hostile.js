// SPDX-License-Identifier: Apache-2.0
// Names, metadata, URLs and messages that would be markup or script, were they ever taken for it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DATA } from "./kend.js";
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
            await page.waitForTimeout(200);
            assert.equal(await page.locator("img:not([src='web/icon.svg']), script:not([src]), b").count(), 0);
            assert.ok(!(await page.title()).startsWith("taken"));
        }
        await kend.ask("DELETE", `/v1/jobs/${id}`);
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
