// SPDX-License-Identifier: Apache-2.0
// Signing in and out, and what a token does not allow.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { era, Kend } from "./kend.js";
import { isAccessible, onStage } from "./stage.js";

const REFUSED = /status of 40[13]/;
const kend = new Kend();
/** @type {Record<string, string>} */
const tokens = {};

before(async () => {
    kend.settings["auth.tokens_file"] = join(kend.folder, "tokens");
    writeFileSync(kend.settings["auth.tokens_file"], "", { mode: 0o600 });
    for (const [name, owner, scope] of [
        ["submit", "nlp", "submit"],
        ["read", "nlp", "read"],
        ["admin", "root", "admin"],
    ])
        tokens[name] = kend.token(owner, scope);
    await kend.start();
    kend.headers = { Authorization: `Bearer ${tokens.submit}` };
    await kend.wait(await kend.submit(era({ keep: 0.5, name: "of nlp" })));
});
after(() => kend.close());

async function signIn(page, token) {
    await page.getByLabel("Token").fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
}

test(
    "session: in, back to where one wanted to go, and out",
    onStage(
        async ({ page, go }) => {
            await go("#/new");
            await page.getByRole("heading", { name: "Sign in" }).waitFor();
            await isAccessible(page);
            await signIn(page, "kend_0123456789abcdef_wrong");
            await page.getByText("the token is not one of this server's").waitFor();
            await signIn(page, "kend_\u20ac");
            await page.getByText("a token has no such characters").waitFor();
            await signIn(page, tokens.submit);
            await page.getByRole("heading", { name: "New job" }).waitFor();
            await page.getByText("nlp").first().waitFor();
            const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
            assert.ok(!stored.includes("kend_"), "what could be stolen is kept where scripts can read it");
            await page.getByRole("link", { name: "Jobs" }).click();
            await page.getByRole("link", { name: "of nlp" }).waitFor();
            await page.getByRole("button", { name: "curl of nlp" }).click();
            assert.match(await page.locator("dialog pre").textContent(), /Bearer \$KENCTL_TOKEN/);
            await page.keyboard.press("Escape");
            await page.getByRole("button", { name: "Sign out" }).click();
            await page.getByRole("heading", { name: "Sign in" }).waitFor();
            await go("");
            await page.getByRole("heading", { name: "Sign in" }).waitFor();
        },
        { kend, expected: REFUSED },
    ),
);

test(
    "session: what a token may not do is not offered; admins see whose a job is",
    onStage(
        async ({ page, go }) => {
            await go("");
            await signIn(page, tokens.read);
            await page.getByRole("link", { name: "of nlp" }).waitFor();
            assert.equal(await page.getByRole("link", { name: "New job" }).count(), 0);
            assert.equal(await page.getByRole("button", { name: "Delete of nlp" }).count(), 0);
            assert.equal(await page.getByLabel("Owner").count(), 0);
            await page.getByRole("button", { name: "Sign out" }).click();
            await page.getByRole("heading", { name: "Sign in" }).waitFor();
            await signIn(page, tokens.admin);
            await page.getByRole("link", { name: "of nlp" }).waitFor();
            await page.getByLabel("Owner").fill("root");
            await page.getByText("No job matches.").waitFor();
            await page.getByLabel("Owner").fill("nlp");
            await page.locator(".tag", { hasText: "nlp" }).waitFor();
        },
        { kend, expected: REFUSED },
    ),
);

test(
    "session: one that ends leads to the sign-in",
    onStage(
        async ({ page, go }) => {
            await go("");
            await signIn(page, tokens.submit);
            await page.getByRole("link", { name: "of nlp" }).waitFor();
            await page.context().clearCookies();
            await page.getByRole("link", { name: "of nlp" }).click();
            await page.getByRole("heading", { name: "Sign in" }).waitFor();
            assert.equal(await page.getByRole("button", { name: "Sign out" }).count(), 0);
            await signIn(page, tokens.submit);
            await page.getByRole("heading", { name: "of nlp" }).waitFor();
        },
        { kend, expected: REFUSED },
    ),
);
