// SPDX-License-Identifier: Apache-2.0
// The document of a job, as it was submitted and completed by what holds without it.
import { copyText } from "../components/curl.js";
import { h } from "../dom.js";
import { href } from "../router.js";
import { may } from "../session.js";

/** @typedef {import("../api.js").Json} Json */

/** What kend adds to the document in the resource. */
const ADDED = new Set(
    (
        "id object status stage owner progress attempt created_at started_at finished_at cancel_requested_at expires_at evicted_at " +
        "timings error artifacts summary"
    ).split(" "),
);

/** @returns {Json} */
export function specOfJob(/** @type {Json} */ job) {
    return Object.fromEntries(Object.entries(job).filter(([name]) => !ADDED.has(name)));
}

export function spec(/** @type {Json} */ job) {
    const text = JSON.stringify(specOfJob(job), null, 2);
    const copy = h("button", { type: "button", on: { click: () => void copyText(text) } }, "Copy");
    const again = may("submit") ? h("a", { class: "button", href: href(["new"], { from: job.id }) }, "Change and submit again") : null;
    return h(
        "details",
        { class: "panel" },
        h("summary", {}, h("h2", {}, "Document")),
        h("div", { class: "stack" }, h("div", { class: "bar" }, copy, again), h("pre", { class: "code", tabindex: "0" }, text)),
    );
}
