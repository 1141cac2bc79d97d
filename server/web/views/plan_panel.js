// SPDX-License-Identifier: Apache-2.0
// What a dry run tells: what would be done, and what it needs.
import { warningList } from "../components/warnings.js";
import { pairList } from "../components/pairs.js";
import { h } from "../dom.js";
import { bytes, count } from "../format.js";

/** @typedef {import("../api.js").Json} Json */

/** @param {Json} totals */
function tensorsInWords(totals) {
    const parts = [`${count(totals.tensors)}, of which ${count(totals.pruned_tensors)} are pruned`];
    if (totals.added_tensors) parts.push(`${count(totals.added_tensors)} without a counterpart`);
    if (totals.renamed_tensors) parts.push(`${count(totals.renamed_tensors)} with another name in the base`);
    if (totals.dropped_tensors) parts.push(`${count(totals.dropped_tensors)} of the base unused`);
    return parts.join(", ");
}

export function planPanel(/** @type {Json} */ plan) {
    const totals = plan.totals ?? {};
    /** @type {[string, string | null][]} */
    const pairs = [
        ["Tensors", totals.pruned_tensors === undefined ? null : tensorsInWords(totals)],
        ["Parameters", totals.parameters === undefined ? null : count(totals.parameters)],
        ["To be fetched", plan.fetch_bytes === 0 ? "nothing: all is here" : bytes(plan.fetch_bytes)],
        ["Disk", bytes(plan.disk_bytes)],
        ["Memory", bytes(plan.memory_bytes)],
        ["Delta", totals.delta_bytes_at_most === undefined ? null : `at most ${bytes(totals.delta_bytes_at_most)}`],
        ["Pruned model", totals.model_bytes ? bytes(totals.model_bytes) : null],
        ["Variants", plan.variants?.length ? plan.variants.join(", ") : null],
    ];
    return h(
        "section",
        { class: "stack", "aria-label": "Plan" },
        h("h2", { class: "good" }, "This job can run"),
        pairList(pairs),
        warningList(plan.warnings ?? []),
    );
}
