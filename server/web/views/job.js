// SPDX-License-Identifier: Apache-2.0
// One job: what it is, how far it is, what came of it, what happened to it.
import { jobActions } from "../components/job_actions.js";
import { livenessTeller } from "../components/liveness.js";
import { announce } from "../components/notice.js";
import { panel, part } from "../components/part.js";
import { progressMeter } from "../components/progress.js";
import { statusBadge, statusText } from "../components/status.js";
import { warningList } from "../components/warnings.js";
import { h } from "../dom.js";
import { isOver, watchJob } from "../events.js";
import { jobName, outcome } from "../job.js";
import { jobNav } from "../job_places.js";
import { go, href } from "../router.js";
import { artifacts } from "./job_artifacts.js";
import { facts, failure } from "./job_facts.js";
import { layers } from "./job_layers.js";
import { jobLog } from "./job_log.js";
import { spec } from "./job_spec.js";
import { timeline, timelineKey } from "./job_timeline.js";
import { variants } from "./job_variants.js";

/** @typedef {import("../api.js").Json} Json */

/** @param {import("../router.js").Place} place */
export function title({ params }) {
    return `Job ${params.id}`;
}

/** Name, state and what can be done. */
function heading(/** @type {Json} */ job) {
    return [
        h("a", { class: "small", href: href([]) }, "All jobs"),
        h(
            "div",
            { class: "bar spread" },
            h("h1", {}, jobName(job)),
            h(
                "div",
                { class: "bar" },
                jobActions(job, () => go([])),
            ),
        ),
        h("div", { class: "bar" }, statusBadge(job), h("span", { class: "quiet" }, outcome(job))),
        jobNav(job, ""),
    ];
}

/** @param {HTMLElement} root @param {import("../router.js").Place} place */
export function mount(root, { params, signal }) {
    const liveness = h("span", { class: "small quiet" });
    const trouble = h("div");
    const meter = progressMeter("Progress of this job");
    /** @type {string[]} */
    const warnings = [];
    const warned = h("div");
    const log = jobLog((text) => {
        warnings.push(text);
        warned.replaceChildren(warningList(warnings) ?? "");
    });
    const parts = [
        part((job) => [job.status, job.stage, job.cancel_requested_at, job.summary], heading),
        part((job) => job.error, failure),
        part(
            (job) => [isOver(job), job.status === "queued"],
            (job) => (job.status === "running" ? meter.element : null),
        ),
        part(timelineKey, timeline),
        part((job) => job.summary, variants),
        part(
            (job) => [job.summary, job.evicted_at],
            (job) => (job.evicted_at ? null : layers(job, signal)),
        ),
        part((job) => job.artifacts, artifacts),
        part(
            (job) => [job.started_at, job.finished_at, job.attempt, job.evicted_at],
            (job) => panel("About", facts(job)),
        ),
        part((job) => job.id, spec),
    ];
    const elements = parts.map((each) => each.element);
    elements.splice(2, 0, warned); // behind why it failed
    let status = "";
    const onJob = (/** @type {Json} */ job) => {
        if (status && status !== job.status) announce(`${jobName(job)}: ${statusText(job)}`);
        status = job.status;
        document.title = `${jobName(job)} - kend`;
        meter.update(job.progress);
        for (const each of parts) each.update(job);
        liveness.hidden = isOver(job);
    };
    root.append(h("div", { class: "stack job" }, trouble, elements, log.element, liveness));
    const watcher = { onJob, onProgress: meter.update, onEvent: log.add, onLiveness: livenessTeller(liveness, trouble) };
    return watchJob(/** @type {string} */ (params.id), watcher, signal);
}
