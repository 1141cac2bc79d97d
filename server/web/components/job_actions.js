// SPDX-License-Identifier: Apache-2.0
// What can be done with a job: cancel while it is active, delete when it has ended, and the same by curl.
import { cancelJob, deleteJob, ofJob } from "../api.js";
import { h } from "../dom.js";
import { isOver } from "../events.js";
import { jobName } from "../job.js";
import { may } from "../session.js";
import { curlDialog, curlGet, curlMethod } from "./curl.js";
import { confirmDialog } from "./dialog.js";
import { notice, noticeProblem } from "./notice.js";

/** @typedef {import("../api.js").Json} Json */

async function cancel(/** @type {Json} */ job) {
    const text = `The work on "${jobName(job)}" stops within a second. What was fetched stays in the cache for a later job.`;
    if (!(await confirmDialog("Cancel this job?", text, "Cancel the job"))) return;
    try {
        await cancelJob(job.id);
        notice("The job is being cancelled");
    } catch (error) {
        noticeProblem(error);
    }
}

/** @param {Json} job @param {() => void} onDeleted */
async function remove(job, onDeleted) {
    const text = `"${jobName(job)}", its artifacts and its log are gone then, for good.`;
    if (!(await confirmDialog("Delete this job?", text, "Delete the job"))) return;
    try {
        await deleteJob(job.id);
        notice("The job was deleted");
        onDeleted();
    } catch (error) {
        noticeProblem(error);
    }
}

function showCurl(/** @type {Json} */ job) {
    const path = ofJob(job.id);
    const end = isOver(job) ? curlMethod("DELETE", path) : curlMethod("POST", ofJob(job.id, "/cancel"));
    curlDialog([curlGet(path), curlGet(ofJob(job.id, "/artifacts")), end]);
}

/**
 * The buttons for a job as it is now. `style` is the class that all have.
 * @param {Json} job @param {() => void} onDeleted @param {string} [style]
 */
export function jobActions(job, onDeleted, style = "") {
    const label = (/** @type {string} */ verb) => `${verb} ${jobName(job)}`;
    /** @param {string} text @param {() => void} click @param {string} [more] */
    const button = (text, click, more = "") =>
        h("button", { type: "button", class: `${style} ${more}`.trim(), "aria-label": label(text), on: { click } }, text);
    const buttons = [button("curl", () => showCurl(job))];
    if (!may("submit")) return buttons;
    if (isOver(job)) buttons.push(button("Delete", () => void remove(job, onDeleted), "danger"));
    else if (!job.cancel_requested_at) buttons.push(button("Cancel", () => void cancel(job)));
    return buttons;
}
