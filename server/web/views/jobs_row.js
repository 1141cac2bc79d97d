// SPDX-License-Identifier: Apache-2.0
// One job in the list. It is patched in place, so that focus and selection stay.
import { jobActions } from "../components/job_actions.js";
import { progressMeter } from "../components/progress.js";
import { statusBadge } from "../components/status.js";
import { h, setText } from "../dom.js";
import { ago, duration, moment } from "../format.js";
import { inputUrl, jobName, outcome } from "../job.js";
import { href } from "../router.js";

/** @typedef {import("../api.js").Json} Json */

function nameCell(/** @type {Json} */ job) {
    const input = inputUrl(job, "model") || inputUrl(job, "delta");
    const tags = Object.entries(job.metadata ?? {}).map(([key, value]) => [h("span", { class: "tag" }, `${key}=${value}`), " "]);
    if (job.owner) tags.unshift([h("span", { class: "tag" }, job.owner), " "]);
    return h(
        "td",
        { class: "name" },
        h("a", { href: href(["jobs", job.id]) }, jobName(job)),
        h("div", { class: "small quiet break" }, input),
        tags.length > 0 && h("div", {}, tags.flat()),
    );
}

/** What is said below the state of a job that does not run. */
function stateDetail(/** @type {Json} */ job) {
    if (job.status === "succeeded") return h("div", { class: "small quiet" }, outcome(job));
    if (job.error) return h("div", { class: "small break clamp" }, h("span", { class: "bad" }, job.error.code), ` ${job.error.message}`);
    return null;
}

/** @param {Json} first @param {() => void} onDeleted */
export function jobRow(first, onDeleted) {
    let job = first;
    let shown = "";
    const state = h("td", { class: "state" });
    const time = h("td", { "data-label": "Submitted" });
    const actions = h("td", { class: "actions" });
    const meter = progressMeter(`Progress of ${jobName(job)}`);

    const showTime = () => setText(time, ago(job.created_at));
    const update = (/** @type {Json} */ next) => {
        job = next;
        if (job.status === "running") meter.update(job.progress);
        const kind = [job.status, job.stage, job.cancel_requested_at, job.evicted_at].join();
        if (kind === shown) return;
        shown = kind;
        state.replaceChildren(statusBadge(job), job.status === "running" ? meter.element : (stateDetail(job) ?? ""));
        actions.replaceChildren(...jobActions(job, onDeleted, "plain"));
        const took = job.finished_at && job.started_at ? Date.parse(job.finished_at) - Date.parse(job.started_at) : null;
        time.title = `${moment(job.created_at)}${took === null ? "" : `, took ${duration(took / 1000)}`}`;
        showTime();
    };
    update(job);
    return { element: h("tr", {}, nameCell(job), state, time, actions), update, showTime };
}
