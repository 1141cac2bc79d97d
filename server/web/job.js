// SPDX-License-Identifier: Apache-2.0
// What is told of a job in a few words, the same everywhere.
import { baseName, bytes, percent } from "./format.js";

/** @typedef {import("./api.js").Json} Json */

/** An input's URL; "" if the job has no such input. @param {Json} job @param {"model" | "base" | "delta"} side */
export function inputUrl(job, side) {
    return /** @type {string} */ (job[side]?.url ?? "");
}

/** Its own name, or its input's. */
export function jobName(/** @type {Json} */ job) {
    return /** @type {string} */ (job.name || baseName(inputUrl(job, "model") || inputUrl(job, "delta")) || job.id);
}

/**
 * The totals of each variant, in the order of the document; a job without variants has one, named "".
 * @param {Json} job @returns {{name: string, totals: Json}[]}
 */
export function variantTotals(job) {
    if (!job.summary) return [];
    if (!job.summary.variants) return [{ name: "", totals: job.summary }];
    const order = (job.variants ?? []).map((/** @type {Json} */ variant) => variant.name);
    return order.map((/** @type {string} */ name) => ({ name, totals: job.summary.variants[name] }));
}

/** What came of a job that has succeeded. */
export function outcome(/** @type {Json} */ job) {
    const variants = variantTotals(job);
    const totals = variants[0]?.totals;
    if (!totals) return "";
    if (variants.length > 1) return `${variants.length} variants`;
    const size = totals.delta_bytes ? `, delta of ${bytes(totals.delta_bytes)}` : "";
    return totals.kept_percent === undefined
        ? `model of ${bytes(totals.model_bytes)}`
        : `kept ${percent(totals.kept_percent / 100)}${size}`;
}
