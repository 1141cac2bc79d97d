// SPDX-License-Identifier: Apache-2.0
// The list: live, filtered, paged, and what can be done in it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DATA, era, Kend, Origin } from "./kend.js";
import { isAccessible, onStage, theKend } from "./stage.js";

const row = (page, name) => page.getByRole("row").filter({ hasText: name });

test("jobs: an empty list says what to do", async () => {
    const kend = await new Kend().start();
    const visit = onStage(
        async ({ page, go }) => {
            await go("");
            await page.getByText("No jobs yet.").waitFor();
            await isAccessible(page);
            await page.getByRole("link", { name: "Submit the first one" }).click();
            await page.getByRole("heading", { name: "New job" }).waitFor();
        },
        { kend },
    );
    try {
        await visit();
    } finally {
        await kend.close();
    }
});

test(
    "jobs: a job comes, goes on and ends before one's eyes; cancel and delete",
    onStage(async ({ page, go, kend }) => {
        const origin = await new Origin(`${DATA}/era-bf16`, 400_000).start();
        try {
            await go("");
            const id = await kend.submit(era({ keep: 0.5, name: "slow one" }, origin.url));
            const slow = row(page, "slow one");
            await slow.getByText("fetching").waitFor();
            await slow.getByText(/of 11\.8 MB, .*B\/s/).waitFor();
            assert.ok((await slow.getByRole("progressbar").getAttribute("value")) !== null);
            await isAccessible(page);
            await slow.getByRole("button", { name: "Cancel slow one" }).click();
            await page.keyboard.press("Escape");
            await page.locator("dialog").waitFor({ state: "detached" });
            assert.equal((await kend.ask("GET", `/v1/jobs/${id}`)).json.cancel_requested_at, null);
            await slow.getByRole("button", { name: "Cancel slow one" }).click();
            await isAccessible(page);
            await page.getByRole("button", { name: "Cancel the job" }).click();
            await slow.getByText("cancelled").waitFor();
            await slow.getByRole("button", { name: "Delete slow one" }).click();
            await page.getByRole("button", { name: "Delete the job" }).click();
            await slow.waitFor({ state: "detached" });
            assert.equal((await kend.ask("GET", `/v1/jobs/${id}`)).status, 404);
        } finally {
            origin.close();
        }
    }),
);

test(
    "jobs: filters by text, status and metadata, kept in the address",
    onStage(async ({ page, go, kend }) => {
        for (const team of ["red", "blue"])
            await kend.wait(await kend.submit(era({ keep: 0.5, name: `filter ${team}`, metadata: { team } })));
        await go("");
        await row(page, "filter red").waitFor();
        await page.keyboard.press("/");
        await page.keyboard.type("Filter BLUE");
        await row(page, "filter red").waitFor({ state: "hidden" });
        assert.ok(await row(page, "filter blue").isVisible());
        await page.getByLabel("Filter (press /)").fill("filter");
        await page.getByLabel("Metadata").fill("team=red");
        await row(page, "filter blue").waitFor({ state: "detached" });
        await page.reload();
        await row(page, "filter red").waitFor();
        assert.equal(await row(page, "filter blue").count(), 0);
        await page.getByLabel("Status").selectOption("failed");
        await page.getByText("No job matches.").waitFor();
        await page.getByRole("button", { name: "Clear the filter" }).click();
        await row(page, "filter blue").waitFor();
        assert.match(page.url(), /#\/$/);
    }),
);

test(
    "jobs: paged",
    onStage(async ({ page, go, kend }) => {
        const made = [];
        for (let i = 0; i < 52; i += 1)
            made.push(await kend.submit(era({ k: 1, name: `page ${i}`, outputs: ["report"], metadata: { of: "pages" } })));
        await go("#/?metadata=of%3Dpages");
        await page.getByText("50 jobs, there are more").waitFor();
        await page.getByRole("button", { name: "Load more" }).click();
        await page.getByText("52 jobs").waitFor();
        const names = await page.locator("tbody .name a").allTextContents();
        assert.deepEqual(names.slice(-2), ["page 1", "page 0"]);
        for (const id of made) await kend.ask("POST", `/v1/jobs/${id}/cancel`);
        for (const id of made) await kend.wait(id);
    }),
);

test(
    "jobs: as curl",
    onStage(
        async ({ page, go, kend }) => {
            const id = await kend.submit(era({ keep: 0.5, name: "by curl" }));
            await kend.wait(id);
            await go("");
            await row(page, "by curl").getByRole("button", { name: "curl by curl" }).click();
            const text = await page.locator("dialog pre").textContent();
            assert.equal(text.split("\n")[0], `curl ${kend.url}/v1/jobs/${id}`);
            await page.getByRole("button", { name: "Copy" }).click();
            assert.equal(await page.evaluate(() => navigator.clipboard.readText()), text);
        },
        { context: { permissions: ["clipboard-read", "clipboard-write"] } },
    ),
);

test("jobs: a kend that is away is said to be, and found again", async () => {
    const kend = await new Kend().start();
    const { host } = new URL(kend.url);
    const visit = onStage(
        async ({ page, go }) => {
            await kend.wait(await kend.submit(era({ keep: 0.5, name: "stays" })));
            await go("");
            await row(page, "stays").waitFor();
            await kend.stop();
            await page.getByText("kend cannot be reached").waitFor();
            assert.ok(await row(page, "stays").isVisible());
            await kend.start(host);
            await page.getByText("kend cannot be reached").waitFor({ state: "detached", timeout: 30_000 });
        },
        { kend, expected: /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/ },
    );
    try {
        await visit();
    } finally {
        await kend.close();
    }
});

test(
    "jobs: on a phone nothing is wider than the screen",
    onStage(
        async ({ page, go }) => {
            const kend = await theKend();
            await kend.wait(await kend.submit(era({ keep: 0.5, name: `long ${"name".repeat(25)}` })));
            for (const [place, shown] of [
                ["", row(page, "long name")],
                ["#/new", page.getByRole("button", { name: "Submit" })],
            ]) {
                await go(place);
                await shown.waitFor();
                const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
                assert.ok(wide <= screen, `${place}: ${wide} > ${screen}`);
                await isAccessible(page);
            }
        },
        { context: { viewport: { width: 375, height: 700 }, isMobile: true, hasTouch: true } },
    ),
);

test(
    "jobs: theme is toggled and kept",
    onStage(async ({ page, go }) => {
        await go("");
        const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
        const light = await ground();
        await page.getByRole("button", { name: "Theme: system" }).click();
        await page.getByRole("button", { name: "Theme: light" }).click();
        await page.getByRole("button", { name: "Theme: dark" }).waitFor();
        assert.notEqual(await ground(), light);
        await page.reload();
        await page.getByRole("button", { name: "Theme: dark" }).waitFor();
        assert.notEqual(await ground(), light);
    }),
);

test(
    "jobs: where streams do not come through, kend is asked again and again",
    onStage(
        async ({ page, go, kend }) => {
            await page.route(/\/v1\/.*events/, (route) => route.fulfill({ status: 502, body: "no streams here" }));
            await go("");
            await page.getByText("Updated every few seconds").waitFor();
            const id = await kend.submit(era({ keep: 0.5, name: "asked for" }));
            await row(page, "asked for").getByText("succeeded").waitFor();
            await kend.ask("DELETE", `/v1/jobs/${id}`);
            await row(page, "asked for").waitFor({ state: "detached" });
        },
        { expected: /status of 502/ },
    ),
);

test(
    "jobs: a stream tells of what happens, while the page is seen",
    onStage(async ({ page, go, kend }) => {
        const lists = [];
        page.on("request", (request) => request.url().includes("/v1/jobs?") && lists.push(request.url()));
        await go("");
        await page.getByText("Live").waitFor();
        const before = lists.length;
        const id = await kend.submit(era({ keep: 0.5, name: "told of" }));
        await row(page, "told of").getByText("succeeded").waitFor();
        await kend.ask("DELETE", `/v1/jobs/${id}`);
        await row(page, "told of").waitFor({ state: "detached" });
        assert.equal(lists.length, before);
    }),
);
