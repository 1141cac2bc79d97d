// SPDX-License-Identifier: Apache-2.0
// What is above each place of a job: the way back, its name, its other places.
import { get, ofJob } from "../api.js";
import { h } from "../dom.js";
import { jobName } from "../job.js";
import { jobNav, jobPlaces } from "../job_places.js";
import { href } from "../router.js";

/** @typedef {import("../api.js").Json} Json */

/**
 * Reads the job and heads the place. `body` is where the view goes on; null where the job has nothing for it.
 * @param {HTMLElement} root @param {import("../router.js").Place} place @param {string} path of the place, below the job's own
 * @returns {Promise<{job: Json, body: HTMLElement | null}>}
 */
export async function openJob(root, { params, signal }, path) {
    const job = await get(ofJob(/** @type {string} */ (params.id)), { signal });
    const here = /** @type {import("../job_places.js").JobPlace} */ (jobPlaces.find((each) => each.path === path));
    const body = h("div", { class: "stack" });
    const heading = h("h1", {}, jobName(job), h("span", { class: "quiet place" }, ` ${here.text}`));
    document.title = `${here.text}: ${jobName(job)} - kend`;
    root.append(h("div", { class: "stack" }, h("a", { class: "small", href: href([]) }, "All jobs"), heading, jobNav(job, path), body));
    if (here.shown(job)) return { job, body };
    const why =
        job.status === "succeeded" ? "This job has nothing to show here." : "There is something to see here when the job has succeeded.";
    const back = h("a", { href: href(["jobs", job.id]) }, "What the job does");
    body.append(h("div", { class: "empty" }, h("p", {}, why), h("p", {}, back)));
    return { job, body: null };
}
