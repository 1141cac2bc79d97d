// SPDX-License-Identifier: Apache-2.0
// The state of a job: a shape and a word, so that nobody needs the colour.
import { h } from "../dom.js";

/** @typedef {import("../api.js").Json} Json */

/** What is said of a job's state: its stage while it runs. */
export function statusText(/** @type {Json} */ job) {
    if (job.status === "queued" || job.status === "running") return job.cancel_requested_at ? "cancelling" : (job.stage ?? job.status);
    return /** @type {string} */ (job.status);
}

export function statusBadge(/** @type {Json} */ job) {
    return h("span", { class: `status ${job.status}` }, statusText(job));
}
