// SPDX-License-Identifier: Apache-2.0
// What went wrong, and what to do next.
import { Problem } from "../api.js";
import { h } from "../dom.js";

/** By the problem's code. */
const NEXT = {
    unreachable: "Look whether kend runs and the network is there. The page goes on by itself once it is back.",
    unauthorized: "Sign in with a token.",
    forbidden: "Sign in with a token that may do this, or ask whoever runs this kend.",
    not_found: "It may have been deleted, or belong to somebody else.",
    job_active: "Cancel the job, or wait for its end.",
    rate_limited: "It is too much just now: try again in a moment.",
    queue_full: "Wait until some jobs have ended, or cancel some.",
    no_space: "Delete jobs whose artifacts nobody needs, or ask whoever runs this kend for room.",
    draining: "This kend is being restarted: try again in a moment.",
    store_unavailable: "Try again in a moment; if it stays so, whoever runs this kend should look at its log.",
    internal: "Whoever runs this kend should look at its log.",
    no_delta: 'Submit the job again with the output "delta".',
    inputs_gone: "Submit the job again: its inputs are then fetched anew.",
};

/** A sentence of what happened and one of what to do. */
export function describe(/** @type {unknown} */ error) {
    if (!(error instanceof Problem)) return { title: "The page has a fault", detail: String(error), next: "Load it anew." };
    const next = NEXT[/** @type {keyof typeof NEXT} */ (error.code)] ?? "";
    const title = error.title || error.message;
    return { title, detail: error.message === title ? "" : error.message, next };
}

/** A panel that screen readers tell at once. @param {unknown} error @param {...(Node | null)} more */
export function problemPanel(error, ...more) {
    if (!(error instanceof Problem)) console.error(error);
    const { title, detail, next } = describe(error);
    return h("div", { class: "problem", role: "alert" }, h("strong", {}, title), sentence(detail), sentence(next), more);
}

/** @param {string} text */
function sentence(text) {
    if (!text) return null;
    const upper = text.charAt(0).toUpperCase() + text.slice(1);
    return h("p", {}, /[.!?]$/.test(upper) ? upper : `${upper}.`);
}
