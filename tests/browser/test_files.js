// SPDX-License-Identifier: Apache-2.0
// How the page's files are served.
import assert from "node:assert/strict";
import { test } from "node:test";
import { onStage, theKend } from "./stage.js";

const POLICY =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; " +
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

test("files: types, policy, tags", async () => {
    const kend = await theKend();
    const files = { "/": "text/html", "/web/app.js": "text/javascript", "/web/style.css": "text/css", "/web/icon.svg": "image/svg+xml" };
    for (const [path, type] of Object.entries(files)) {
        const { status, headers } = await kend.ask("GET", path);
        assert.equal(status, 200);
        assert.ok(headers.get("content-type").startsWith(type));
        assert.equal(headers.get("content-security-policy"), POLICY);
        assert.equal(headers.get("x-content-type-options"), "nosniff");
        assert.equal(headers.get("referrer-policy"), "no-referrer");
        kend.headers = { "If-None-Match": headers.get("etag") };
        const again = await kend.ask("GET", path);
        kend.headers = {};
        assert.deepEqual([again.status, again.text], [304, ""]);
    }
});

test(
    "files: all that the page loads is there, at once and without script in it",
    onStage(async ({ page, go, kend }) => {
        const loaded = [];
        page.on("response", (response) => loaded.push([response.status(), response.url().slice(kend.url.length)]));
        await go("");
        await page.getByRole("heading", { name: "Jobs" }).waitFor();
        const files = loaded.filter(([, path]) => path.startsWith("/web/"));
        assert.ok(files.length > 10);
        assert.deepEqual(
            files.filter(([status]) => status !== 200),
            [],
        );
        const markup = await page.evaluate(() => document.documentElement.outerHTML);
        assert.ok(!/\sstyle=|\son\w+=|<script>/.test(markup), "inline style or script");
    }),
);
