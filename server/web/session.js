// SPDX-License-Identifier: Apache-2.0
// Who uses the page. The token itself is not kept: a cookie stands for it, which no script can read.
import { access, get, Problem, send } from "./api.js";

/** @typedef {{owner: string | null, scopes: string[], token_expires_at: string | null}} Session */

/** @type {Session | null} */
let current = null;

/** Whoever it is, asked once; a Problem with status 401 if nobody is signed in and a token is needed. */
export async function begin() {
    current = /** @type {Session} */ (await get("v1/session"));
    return current;
}

access.addEventListener("unauthorized", () => (current = null));

export async function signIn(/** @type {string} */ token) {
    if (!/^[\x20-\x7e]*$/.test(token)) throw new Problem({ code: "unauthorized", title: "a token has no such characters" });
    const response = await send("POST", "v1/session", { headers: { Authorization: `Bearer ${token}` } });
    current = /** @type {Session} */ (await response.json());
    return current;
}

export async function signOut() {
    await send("DELETE", "v1/session");
    current = null;
}

export function session() {
    return current;
}

/** Every scope includes those before it. */
export function may(/** @type {"read" | "submit" | "admin"} */ scope) {
    const order = ["read", "submit", "admin"];
    return current?.scopes.some((held) => order.indexOf(held) >= order.indexOf(scope)) ?? false;
}
