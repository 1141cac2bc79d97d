// SPDX-License-Identifier: Apache-2.0
// One job.
import { jobActions } from "../components/job_actions.js";
import { livenessTeller } from "../components/liveness.js";
import { announce } from "../components/notice.js";
import { progressMeter } from "../components/progress.js";
import { statusBadge, statusText } from "../components/status.js";
import { h } from "../dom.js";
import { watchJob } from "../events.js";
import { jobName, outcome } from "../job.js";
import { go } from "../router.js";

/** @typedef {import("../api.js").Json} Json */

/** @param {import("../router.js").Place} place */
export function title({ params }) {
    return `Job ${params.id}`;
}

/** @param {HTMLElement} root @param {import("../router.js").Place} place */
export function mount(root, { params, signal }) {
    const id = /** @type {string} */ (params.id);
    const liveness = h("span", { class: "small quiet" });
    const trouble = h("div");
    const head = h("div", { class: "stack" });
    const meter = progressMeter("Progress of this job");
    let status = "";
    root.append(h("div", { class: "stack" }, trouble, head, liveness));
    const onJob = (/** @type {Json} */ job) => {
        if (status && status !== job.status) announce(`${jobName(job)}: ${statusText(job)}`);
        status = job.status;
        const actions = jobActions(job, () => go([]));
        head.replaceChildren(
            h("div", { class: "bar spread" }, h("h1", {}, jobName(job)), h("div", { class: "bar" }, actions)),
            h("div", { class: "bar" }, statusBadge(job), h("span", { class: "quiet" }, outcome(job))),
            job.status === "running" ? meter.element : "",
        );
        meter.update(job.progress);
    };
    return watchJob(id, { onJob, onProgress: meter.update, onEvent: () => {}, onLiveness: livenessTeller(liveness, trouble) }, signal);
}
