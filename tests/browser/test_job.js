// SPDX-License-Identifier: Apache-2.0
// One job: while it runs, after it, and when it failed.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { DATA, era, Origin } from "./kend.js";
import { isAccessible, onStage } from "./stage.js";

const VARIANTS = [
    { name: "paper", keep: 0.5 },
    { name: "l1", keep: 0.25, rescale: "l1" },
];

/** The texts of a table's cells, row by row. */
async function cells(table) {
    const rows = await table.locator("tbody tr").all();
    return Promise.all(rows.map((row) => row.locator("th, td").allTextContents()));
}

test(
    "job: its stages, progress and log go on before one's eyes; cancelled there",
    onStage(async ({ page, go, kend }) => {
        const origin = await new Origin(`${DATA}/era-bf16`, 400_000).start();
        try {
            const id = await kend.submit(era({ keep: 0.5, name: "stages" }, origin.url));
            await go(`#/jobs/${id}`);
            const timeline = page.getByRole("list", { name: "Stages" });
            await timeline.locator("[aria-current=step]", { hasText: "fetching" }).waitFor();
            await page.getByText(/of 11\.8 MB, .*B\/s/).waitFor();
            await page.getByLabel("Events").getByText("running, fetching").waitFor();
            await isAccessible(page);
            await page.getByRole("button", { name: "Cancel stages" }).click();
            await page.getByRole("button", { name: "Cancel the job" }).click();
            await page.locator(".status.cancelled").waitFor();
            await page.getByLabel("Events").getByText("cancelled").waitFor();
            assert.equal(await page.getByRole("progressbar").count(), 0);
            await page.getByRole("button", { name: "Delete stages" }).click();
            await page.getByRole("button", { name: "Delete the job" }).click();
            await page.getByRole("heading", { name: "Jobs", exact: true }).waitFor();
            assert.equal((await kend.ask("GET", `/v1/jobs/${id}`)).status, 404);
        } finally {
            origin.close();
        }
    }),
);

test(
    "job: it goes on to its end, told by events, and its results come by themselves",
    onStage(async ({ page, go, kend }) => {
        const origin = await new Origin(`${DATA}/era-bf16`, 400_000).start();
        try {
            const id = await kend.submit(era({ keep: 0.5, name: "to its end" }, origin.url));
            await go(`#/jobs/${id}`);
            await page.locator("[aria-current=step]", { hasText: "fetching" }).waitFor();
            origin.rate = 50_000_000;
            await page.locator(".status.succeeded").waitFor();
            await page.getByRole("region", { name: "Outcome" }).waitFor();
            await page.getByLabel("Events").getByText("succeeded").waitFor();
            const { json } = await kend.ask("GET", `/v1/jobs/${id}/events?limit=200`);
            assert.equal(await page.getByLabel("Events").locator("li").count(), json.data.length);
        } finally {
            origin.close();
        }
    }),
);

test(
    "job: variants side by side, layers, artifacts, document",
    onStage(
        async ({ page, go, kend }) => {
            const id = await kend.submit(era({ name: "results", variants: VARIANTS, metadata: { team: "nlp" } }));
            const job = await kend.wait(id);
            await go(`#/jobs/${id}`);
            const { paper, l1 } = job.summary.variants;
            const variants = await cells(page.getByRole("region", { name: "Variants" }).locator("table"));
            assert.deepEqual(
                variants.map((row) => [row[0], row[1], row[3], row[5]]),
                [
                    ["paper", "keep 0.5, ken", `${paper.kept_percent.toFixed(1)} %`, paper.relative_l2.toFixed(4)],
                    ["l1", "keep 0.25, ken, l1", `${l1.kept_percent.toFixed(1)} %`, l1.relative_l2.toFixed(4)],
                ],
            );
            const layers = page.getByRole("region", { name: "Layers" });
            await layers.getByRole("row", { name: /^enc\.layers\.3/ }).waitFor();
            const names = await layers.locator("tbody th").allTextContents();
            assert.deepEqual(names, ["tok", "pos", "enc.layers.0", "enc.layers.1", "enc.layers.2", "enc.layers.3", "cls"]);
            assert.equal(await layers.locator("tr", { hasText: "enc.layers.0" }).locator("circle").count(), 12);
            const before = await layers.locator("tbody tr").first().textContent();
            await layers.getByRole("button", { name: "l1" }).click();
            await page.waitForFunction((text) => document.querySelector(".layers tbody tr").textContent !== text, before);
            await isAccessible(page);

            const artifacts = page.getByRole("region", { name: "Artifacts" });
            assert.equal(await artifacts.locator("tbody tr").count(), 6);
            const [download] = await Promise.all([
                page.waitForEvent("download"),
                artifacts.getByRole("link", { name: "l1/delta.safetensors" }).click(),
            ]);
            const told = job.artifacts.find(({ name }) => name === "l1/delta.safetensors");
            assert.equal(download.suggestedFilename(), "l1-delta.safetensors");
            const digest = createHash("sha256").update(readFileSync(await download.path()));
            assert.equal(digest.digest("hex"), told.sha256);
            await artifacts.getByRole("button", { name: "Copy digest of l1/delta.safetensors" }).click();
            assert.equal(await page.evaluate(() => navigator.clipboard.readText()), told.sha256);

            await page.getByText("Document", { exact: true }).click();
            const document = JSON.parse(await page.locator("details pre").textContent());
            assert.deepEqual([document.variants.length, document.metadata], [2, { team: "nlp" }]);
            await page.getByRole("link", { name: "Change and submit again" }).click();
            await page.getByLabel("Name, variant").nth(1).waitFor();
            assert.match(await page.getByLabel("Fine-tuned model").inputValue(), /era-bf16\/finetuned\.safetensors$/);
        },
        { context: { permissions: ["clipboard-read", "clipboard-write"] } },
    ),
);

test(
    "job: counts of layers are those of the report",
    onStage(async ({ page, go, kend }) => {
        const id = await kend.submit(era({ keep: 0.1 }));
        await kend.wait(id);
        await go("");
        const told = await page.evaluate(async (job) => {
            const { layersOf, readTensors } = await import("/web/tensors.js");
            const rows = await readTensors(job, "", new AbortController().signal);
            return layersOf(rows).map(({ name, shares, tensors }) => [name, tensors.length, shares.kept + shares.reset + shares.unchanged]);
        }, id);
        const layer = 576 * 192 + 576 + 192 * 192 + 192 + 2 * 768 * 192 + 768 + 192 + 4 * 192;
        const numbered = [0, 1, 2, 3].map((number) => [`enc.layers.${number}`, 12, layer]);
        assert.deepEqual(told, [["tok", 1, 6000 * 192], ["pos", 1, 64 * 192], ...numbered, ["cls", 2, 0]]);
    }),
);

test(
    "job: one that failed says why, where, and what to do",
    onStage(async ({ page, go, kend }) => {
        const id = await kend.submit(era({ keep: 0.5, name: "fails" }, `file://${DATA}/none`));
        await kend.wait(id);
        await go(`#/jobs/${id}`);
        await page.getByText("fetch_failed while checking").waitFor();
        await page.getByText("Check the URL, and that it can be read without signing in.").waitFor();
        await page.getByRole("list", { name: "Stages" }).getByText("ended here").waitFor();
        assert.equal(await page.getByRole("region", { name: "Artifacts" }).count(), 0);
        await isAccessible(page);
    }),
);

test(
    "job: warnings of the check, and a job that injects",
    onStage(async ({ page, go, kend }) => {
        const rule = { match: "nothing.*", base: "else.*" };
        const names = [rule, { match: "enc.layers.0.norm1.*", base: "none.*" }];
        const id = await kend.submit(era({ keep: 0.5, name: "warned", names }));
        const job = await kend.wait(id);
        await go(`#/jobs/${id}`);
        await page.locator(".problem.warning").waitFor();
        const { href } = new URL(job.artifacts.find(({ name }) => name === "delta.safetensors").url);
        const base = `file://${DATA}/era-bf16/base.safetensors`;
        const inject = await kend.submit({ kind: "inject", base, delta: href, name: "put back" });
        const injected = await kend.wait(inject);
        assert.equal(injected.status, "succeeded", JSON.stringify(injected.error));
        await go(`#/jobs/${inject}`);
        await page.getByText("52 tensors").waitFor();
        await page.getByRole("list", { name: "Stages" }).getByText("injecting").waitFor();
        await page.getByText("Document", { exact: true }).click();
        await page.getByRole("link", { name: "Change and submit again" }).click();
        await page.getByLabel("Job document").waitFor();
        await isAccessible(page);
    }),
);
