// SPDX-License-Identifier: Apache-2.0
// The page below a folder of a proxy, as http.public_url tells it.
import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { test } from "node:test";
import { era, Kend } from "./kend.js";
import { onStage } from "./stage.js";

const FOLDER = "/prune";

/** A proxy that passes what lies below the folder on to `target.url`, with the Host it was asked by. */
async function startProxy(target) {
    const server = createServer((asked, answer) => {
        if (!asked.url.startsWith(`${FOLDER}/`)) {
            answer.writeHead(404).end();
            return;
        }
        const { method, headers } = asked;
        const onward = request(target.url + asked.url.slice(FOLDER.length), { method, headers }, (answered) => {
            answer.writeHead(answered.statusCode, answered.headers);
            answered.pipe(answer);
        });
        onward.on("error", () => answer.destroy());
        answer.on("close", () => onward.destroy());
        asked.pipe(onward);
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
    return server;
}

test("proxy: all works below its folder: files, calls, streams, downloads", async () => {
    const target = { url: "" };
    const proxy = await startProxy(target);
    const url = `http://127.0.0.1:${proxy.address().port}${FOLDER}`;
    const kend = await new Kend({ "http.public_url": url }).start();
    target.url = kend.url;
    const visit = onStage(
        async ({ page, go }) => {
            await go("#/new");
            const { model, base } = era();
            await page.getByLabel("Fine-tuned model").fill(model);
            await page.getByLabel("Base that").fill(base);
            await page.getByRole("button", { name: "Submit" }).click();
            await page.locator(".status.succeeded").waitFor();
            const link = page.getByRole("link", { name: "report.json" });
            const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
            assert.ok(download.url().startsWith(`${url}/v1/jobs/`));
            assert.equal(await download.failure(), null);
            await page.getByRole("link", { name: "kend" }).click();
            await page.getByText("Live").waitFor();
            await kend.submit(era({ keep: 0.5, name: "behind a proxy" }));
            await page.getByRole("row").filter({ hasText: "behind a proxy" }).getByText("succeeded").waitFor();
        },
        { kend: { url } },
    );
    try {
        await visit();
    } finally {
        proxy.closeAllConnections();
        proxy.close();
        await kend.close();
    }
});
