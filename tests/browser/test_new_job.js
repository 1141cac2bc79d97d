// SPDX-License-Identifier: Apache-2.0
// A document is made, checked and submitted, by form and as JSON.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DATA, era } from "./kend.js";
import { isAccessible, onStage } from "./stage.js";

const REFUSED = /status of 422/;
const root = `file://${DATA}/era-bf16`;

test(
    "new job: faults stand beside their fields",
    onStage(
        async ({ page, go }) => {
            await go("#/new");
            await page.getByLabel("Fine-tuned model").fill("nonsense");
            await page.getByLabel("How much to keep", { exact: true }).last().fill("7");
            await page.getByLabel("Metadata").fill("=x");
            await page.getByRole("button", { name: "Submit" }).click();
            await page.getByText("must be an absolute URL").waitFor();
            assert.equal(await page.getByLabel("Fine-tuned model").getAttribute("aria-invalid"), "true");
            assert.ok(await page.getByLabel("Fine-tuned model").evaluate((input) => input === document.activeElement));
            assert.match(await page.locator(".field", { hasText: "Base that" }).locator(".fault").textContent(), /is required/);
            await isAccessible(page);
        },
        { expected: REFUSED },
    ),
);

test(
    "new job: checked, submitted by the keyboard, watched until it has succeeded",
    onStage(async ({ page, go, kend }) => {
        await go("#/new");
        await page.getByLabel("Fine-tuned model").fill(`${root}/finetuned.safetensors`);
        await page.getByLabel("Base that").fill(`${root}/base.safetensors`);
        await page.getByLabel("Name", { exact: true }).fill("by form");
        await page.getByLabel("Rescale").selectOption("l1");
        await page.getByRole("button", { name: "Check" }).click();
        await page.getByText("This job can run").waitFor();
        await page.getByText("52, of which 50 are pruned").waitFor();
        await isAccessible(page);
        await page.getByLabel("Name", { exact: true }).press("Enter");
        await page.getByRole("heading", { name: "by form" }).waitFor();
        await page.locator(".status.succeeded").waitFor();
        const id = page.url().split("/").at(-1);
        const { json } = await kend.ask("GET", `/v1/jobs/${id}`);
        assert.deepEqual([json.name, json.keep, json.rescale, json.outputs.length], ["by form", 0.25, "l1", 3]);
    }),
);

test(
    "new job: what the form has no field for stays, and JSON faults lead to their place",
    onStage(
        async ({ page, go }) => {
            await go("#/new");
            await page.getByRole("button", { name: "Advanced JSON" }).click();
            const text = page.getByLabel("Job document");
            await text.fill('{"model": ');
            await page.getByRole("button", { name: "Check" }).click();
            await page.getByText("This is no JSON document").waitFor();
            const document = era({
                variants: [
                    { name: "half", keep: 0.5 },
                    { name: "none", keep: 2 },
                ],
                timeout_seconds: 600,
                colour: 1,
            });
            await text.fill(JSON.stringify(document));
            await page.getByRole("button", { name: "Check" }).click();
            await page.getByText("unknown field").waitFor();
            await page.getByRole("button", { name: "/variants/1/keep" }).click();
            const chosen = await text.evaluate((area) => area.value.slice(area.selectionStart, area.selectionEnd));
            assert.equal(chosen, "2");
            await isAccessible(page);
            delete document.colour;
            document.variants[1].keep = 0.1;
            await text.fill(JSON.stringify(document));
            await page.getByRole("button", { name: "Form" }).click();
            assert.equal(await page.getByLabel("Name, variant").count(), 2);
            await page.getByLabel("Name", { exact: true }).fill("two");
            await page.getByRole("button", { name: "Advanced JSON" }).click();
            assert.deepEqual(JSON.parse(await text.inputValue()), { ...document, name: "two" });
            await page.getByRole("button", { name: "curl" }).click();
            assert.match(await page.locator("dialog pre").textContent(), /^curl --json '\{"model":.*"name":"two"\}' http:/);
        },
        { expected: REFUSED },
    ),
);

test(
    "new job: a check that fails names the input",
    onStage(
        async ({ page, go }) => {
            await go("#/new");
            await page.getByLabel("Fine-tuned model").fill(`${root}/absent.safetensors`);
            await page.getByLabel("Base that").fill(`${root}/base.safetensors`);
            await page.getByRole("button", { name: "Check" }).click();
            await page.locator(".field", { hasText: "Fine-tuned model" }).locator(".fault", { hasText: "absent" }).waitFor();
        },
        { expected: REFUSED },
    ),
);

test(
    "new job: variants in the form, their faults beside them",
    onStage(
        async ({ page, go, kend }) => {
            await go("#/new");
            await page.getByLabel("Fine-tuned model").fill(`${root}/finetuned.safetensors`);
            await page.getByLabel("Base that").fill(`${root}/base.safetensors`);
            for (const [i, name] of ["half", "tenth", "third"].entries()) {
                await page.getByRole("button", { name: "Add a variant" }).click();
                await page.keyboard.type(name);
                await page.getByLabel("How much to keep, variant").nth(i).fill(["0.5", "20", "x"][i]);
            }
            await page.getByRole("button", { name: "Remove" }).nth(2).click();
            await page.getByRole("button", { name: "Check" }).click();
            await page.locator(".fault", { hasText: "keep" }).waitFor();
            await isAccessible(page);
            await page.getByLabel("What the number is, variant").nth(1).selectOption("k");
            await page.getByLabel("Rescale, variant").nth(1).selectOption("l1");
            await page.getByRole("button", { name: "Submit" }).click();
            await page.getByRole("region", { name: "Variants" }).waitFor();
            const { json } = await kend.ask("GET", `/v1/jobs/${page.url().split("/").at(-1)}`);
            const told = json.variants.map(({ name, keep, k, rescale }) => [name, keep ?? k, rescale]);
            assert.deepEqual(told, [
                ["half", 0.5, "none"],
                ["tenth", 20, "l1"],
            ]);
        },
        { expected: REFUSED },
    ),
);
