// SPDX-License-Identifier: Apache-2.0
// Layers side by side, and masks compared.
import assert from "node:assert/strict";
import { test } from "node:test";
import { era } from "./kend.js";
import { addressOf, drawn, sampleJob } from "./sample.js";
import { isAccessible, onStage } from "./stage.js";

test(
    "layers: small pictures of each role, which lead to the large one",
    onStage(async ({ page, go, kend }) => {
        const id = await sampleJob(kend);
        await go(`#/jobs/${id}`);
        await page.getByRole("link", { name: "Layers" }).click();
        const { json } = await kend.ask("GET", `/v1/jobs/${id}/layers?variant=ken`);
        const role = json.data.find((each) => each.role === "enc.layers.*.self_attn.out_proj.weight");
        const section = page.getByRole("region", { name: role.role });
        await section.waitFor();
        const told = await section.locator(".layer-tile").allTextContents();
        assert.equal(told.length, role.tensors.length);
        for (const [i, { name, kept_fraction, relative_l2 }] of role.tensors.entries())
            assert.equal(told[i], `${name}${i}kept ${(100 * kept_fraction).toFixed(1)} %L2 ${relative_l2.toFixed(4)}`);
        await page.waitForFunction(() => {
            const images = [...document.querySelectorAll(".layer-tile img")].filter(
                (image) => image.getBoundingClientRect().top < innerHeight,
            );
            return images.length > 0 && images.every((image) => image.naturalWidth > 0);
        });
        await page.getByRole("img", { name: "Colours from 0 % to 100 %" }).waitFor();
        await isAccessible(page);
        await page.getByRole("button", { name: "Mask" }).click();
        await page.getByRole("button", { name: "Stronger" }).click();
        await page.waitForFunction(() => location.hash.includes("max="));
        const { max } = await addressOf(page);
        await section.getByRole("link", { name: "layers.2." }).click();
        await drawn(page);
        const address = await addressOf(page);
        assert.deepEqual([address.tensor, address.view, address.max], ["enc.layers.2.self_attn.out_proj.weight", "mask", max]);
        await page.goBack();
        await section.waitFor();
        assert.equal((await addressOf(page)).max, max);
    }),
);

test(
    "layers: what is too much just now is asked for again",
    onStage(
        async ({ page, go, kend }) => {
            const id = await sampleJob(kend);
            let refused = 0;
            const body = JSON.stringify({ status: 429, code: "rate_limited", title: "Too much just now" });
            await page.route("**/layers?*", (route) => {
                refused += 1;
                if (refused > 1) return route.continue();
                return route.fulfill({ status: 429, headers: { "Retry-After": "1" }, contentType: "application/problem+json", body });
            });
            await go(`#/jobs/${id}/layers`);
            await page.locator(".layer-tile").first().waitFor();
            assert.equal(refused, 2);
        },
        { expected: /status of 429.*\/layers/ },
    ),
);

test(
    "compare: two variants, and two jobs; from a tensor to its picture",
    onStage(async ({ page, go, kend }) => {
        const id = await sampleJob(kend);
        const other = await kend.submit(era({ keep: 0.3, name: "the other one" }));
        await kend.wait(other);
        await go(`#/jobs/${id}/compare`);
        const totals = page.getByRole("region", { name: "All together" });
        const { json } = await kend.ask("GET", `/v1/jobs/${id}/compare?variant=ken&with_variant=large&limit=200`);
        await totals.getByText(`Jaccard ${json.totals.jaccard.toFixed(4)}, both ${json.totals.both.toLocaleString("en")}`).waitFor();
        await page.getByRole("button", { name: "Jaccard" }).click();
        const least = [...json.data].sort((a, b) => b.jaccard - a.jaccard)[0];
        assert.equal(await page.locator(".window tbody th a").first().getAttribute("title"), least.name);
        await isAccessible(page);

        await page.getByLabel("Compare with").selectOption({ value: `${other} ` });
        const { json: jobs } = await kend.ask("GET", `/v1/jobs/${id}/compare?variant=ken&with=${other}`);
        await totals.getByText(`Jaccard ${jobs.totals.jaccard.toFixed(4)}`).waitFor();
        await page.getByLabel("Filter").fill("tok.weight");
        await page.getByText(/^1 of \d+ tensors/).waitFor();
        await page.getByRole("link", { name: "tok.weight" }).click();
        await drawn(page);
        const address = await addressOf(page);
        assert.deepEqual([address.tensor, address.view, address.with], ["tok.weight", "compare", other]);
        await page.reload();
        await drawn(page);
        await page.getByText("only there").waitFor();
        await kend.ask("DELETE", `/v1/jobs/${other}`);
    }),
);

test(
    "compare: where there is nothing to compare with, and of a job that failed",
    onStage(async ({ page, go, kend }) => {
        const id = await kend.submit(era({ keep: 0.3, name: "alone" }));
        await kend.wait(id);
        await go(`#/jobs/${id}/compare`);
        await page.getByText("Choose what to compare with").waitFor();
        await isAccessible(page);
        await go(`#/jobs/${id}/kenviz?view=compare`);
        await page.getByText("Choose what to compare with").waitFor();
        const failed = await kend.submit(era({ keep: 0.3 }, "file:///none"));
        await kend.wait(failed);
        await go(`#/jobs/${failed}/layers`);
        await page.getByText("when the job has succeeded").waitFor();
        await kend.ask("DELETE", `/v1/jobs/${id}`);
    }),
);
