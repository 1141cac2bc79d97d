// SPDX-License-Identifier: Apache-2.0
// What a job is compared with: another of its variants, or another job.
import { get, isAbort } from "../api.js";
import { h } from "../dom.js";
import { jobName, variantTotals } from "../job.js";
import { jobPlaces } from "../job_places.js";
import { field } from "./field.js";
import { noticeProblem } from "./notice.js";

/** @typedef {import("../api.js").Json} Json */
/** @typedef {{with: string, with_variant: string}} Other "" for with: the same job */

const JOBS = 100; // the newest

/** @param {Other} other */
const keyOf = (other) => `${other.with} ${other.with_variant}`;

/** @param {Json} job @param {string} id "" for the same job @returns {Other[]} */
function othersOf(job, id) {
    return variantTotals(job).map(({ name }) => ({ with: id, with_variant: name }));
}

/** @param {string} label @param {Other[]} others @param {string} chosen */
function group(label, others, chosen) {
    const options = others.map((other) =>
        h("option", { value: keyOf(other), selected: keyOf(other) === chosen }, other.with_variant || label),
    );
    return h("optgroup", { label }, options);
}

/**
 * The other one that the address names; else another variant of the same job, if it has one.
 * @param {Json} job @param {string} variant @param {URLSearchParams} query @returns {Other | null}
 */
export function otherOf(job, variant, query) {
    const other = { with: query.get("with") ?? "", with_variant: query.get("with_variant") ?? "" };
    if (other.with || other.with_variant) return other;
    return othersOf(job, "").find(({ with_variant }) => with_variant !== variant) ?? null;
}

/**
 * A choice of variants of this job, and of those of other jobs when they are known.
 * @param {Json} job @param {Other | null} chosen @param {AbortSignal} signal @param {(other: Other) => void} onChoice
 */
export function otherField(job, chosen, signal, onChoice) {
    const key = chosen ? keyOf(chosen) : "";
    const none = h("option", { value: "", selected: !chosen }, "Choose a job");
    const given = chosen?.with ? [group("Job of the link", [chosen], key)] : [];
    const own = othersOf(job, "");
    const control = h("select", {}, none, own.length > 1 ? group("This job", own, key) : null, given);
    control.addEventListener("change", () => {
        const [id = "", variant = ""] = control.value.split(" ");
        if (control.value) onChoice({ with: id, with_variant: variant });
    });
    const hasPictures = jobPlaces.find(({ path }) => path === "compare")?.shown;

    async function addJobs() {
        try {
            const { data } = await get("v1/jobs", { query: { status: "succeeded", limit: JOBS }, signal });
            const jobs = data.filter((/** @type {Json} */ each) => each.id !== job.id && hasPictures?.(each));
            const value = control.value;
            const groups = jobs.map((/** @type {Json} */ each) =>
                group(`${jobName(each)} (${each.id.slice(-6)})`, othersOf(each, each.id), key),
            );
            if (jobs.some((/** @type {Json} */ each) => each.id === chosen?.with)) given[0]?.remove();
            control.append(...groups);
            control.value = value;
        } catch (error) {
            if (!isAbort(error) && !signal.aborted) noticeProblem(error);
        }
    }
    void addJobs();
    return field("Compare with", control).element;
}
