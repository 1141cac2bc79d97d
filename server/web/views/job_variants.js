// SPDX-License-Identifier: Apache-2.0
// The variants of a job side by side: what was asked for and what came of it.
import { panel } from "../components/part.js";
import { shareBar, shareLegend } from "../components/share_bar.js";
import { h } from "../dom.js";
import { bytes, count, measure, percent } from "../format.js";
import { variantTotals } from "../job.js";

/** @typedef {import("../api.js").Json} Json */

/** How much was to be kept. @param {Json} variant */
function amount(variant) {
    if (variant.keep !== undefined) return `keep ${variant.keep}`;
    return variant.k === undefined ? "" : `k ${variant.k}`;
}

/** A variant as its document says; the job itself where it has none. @param {Json} job @param {string} name @returns {Json} */
function specOf(job, name) {
    return (job.variants ?? []).find((/** @type {Json} */ variant) => variant.name === name) ?? job;
}

/** @param {Json} job @param {string} name @param {Json} totals */
function variantRow(job, name, totals) {
    const spec = specOf(job, name);
    const cells = [
        h("th", { scope: "row" }, name || "(one)"),
        h(
            "td",
            { "data-label": "Settings" },
            [amount(spec), spec.method, spec.rescale === "none" ? "" : spec.rescale].filter(Boolean).join(", "),
        ),
        h("td", { class: "shares" }, shareBar({ kept: totals.kept, reset: totals.reset, unchanged: totals.unchanged })),
        h("td", { class: "number", "data-label": "Kept" }, percent(totals.kept_percent / 100)),
        h("td", { class: "number", "data-label": "Reset" }, percent(totals.reset_percent / 100)),
        h("td", { class: "number", "data-label": "Relative L2" }, measure(totals.relative_l2)),
        h("td", { class: "number", "data-label": "Delta" }, totals.delta_bytes ? bytes(totals.delta_bytes) : "-"),
        h("td", { class: "number", "data-label": "Model" }, totals.model_bytes ? bytes(totals.model_bytes) : "-"),
    ];
    return h("tr", {}, cells);
}

/** What an inject job came to. @param {Json} totals */
function injected(totals) {
    const text = `${count(totals.tensors)} tensors, ${count(totals.parameters)} parameters, ${count(totals.stored)} of them from the delta`;
    return panel("Outcome", h("p", {}, `${text}; the model has ${bytes(totals.model_bytes)}.`));
}

export function variants(/** @type {Json} */ job) {
    const list = variantTotals(job);
    if (list.length === 0) return null;
    const first = /** @type {{totals: Json}} */ (list[0]).totals;
    if (first.kept === undefined) return injected(first);
    const heads = ["Kept", "Reset", "Relative L2", "Delta", "Model"].map((text) => h("th", { scope: "col", class: "number" }, text));
    const head = h(
        "tr",
        {},
        h("th", { scope: "col" }, "Variant"),
        h("th", { scope: "col" }, "Settings"),
        h("th", { scope: "col" }, "Values"),
        heads,
    );
    const rows = list.map(({ name, totals }) => variantRow(job, name, totals));
    const note = `${count(first.parameters)} parameters. Relative L2: distance of the pruned from the fine-tuned model over that of the fine-tuned from the base; 0 keeps all, 1 resets all, and rescaling can go beyond.`;
    return panel(
        list.length > 1 ? "Variants" : "Outcome",
        h("div", { class: "scroll" }, h("table", { class: "cards" }, h("thead", {}, head), h("tbody", {}, rows))),
        h("div", { class: "bar spread" }, shareLegend(), h("p", { class: "small quiet" }, note)),
    );
}
