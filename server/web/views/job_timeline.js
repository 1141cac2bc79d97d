// SPDX-License-Identifier: Apache-2.0
// The stages of a job: which are over and how long they took, which one it is in.
import { h } from "../dom.js";
import { duration } from "../format.js";

/** @typedef {import("../api.js").Json} Json */

const STAGES = ["checking", "fetching", "pruning", "publishing"];
const STATES = { done: "done", current: "now", stopped: "ended here", ahead: "" };

/** @param {Json} job @param {string} stage @returns {keyof typeof STATES} */
function stateOf(job, stage) {
    if (job.status === "succeeded") return "done";
    const at = job.status === "running" ? job.stage : job.error?.stage;
    const place = STAGES.indexOf(at ?? "");
    const own = STAGES.indexOf(stage);
    if (place >= 0 && own < place) return "done";
    if (own === place) return job.status === "running" ? "current" : "stopped";
    return job.timings[stage] > 0 ? "done" : "ahead";
}

/** A job that injects does so where others prune. @param {Json} job @param {string} stage */
function nameOf(job, stage) {
    return job.kind === "inject" && stage === "pruning" ? "injecting" : stage;
}

/** What the timeline depends on. */
export function timelineKey(/** @type {Json} */ job) {
    return [job.status, job.stage, job.timings, job.error];
}

export function timeline(/** @type {Json} */ job) {
    const steps = STAGES.map((stage) => {
        const state = stateOf(job, stage);
        const seconds = job.timings[stage];
        return h(
            "li",
            { class: state, "aria-current": state === "current" && "step" },
            h("span", { class: "stage" }, nameOf(job, stage)),
            h("span", { class: "small quiet" }, [STATES[state], seconds > 0 ? duration(seconds) : ""].filter(Boolean).join(", ") || "-"),
        );
    });
    return h("ol", { class: "timeline", "aria-label": "Stages" }, steps);
}
