// SPDX-License-Identifier: Apache-2.0
// Two jobs, or two variants of one: where their masks agree and differ, tensor by tensor.
import { getAll, ofJob } from "../api.js";
import { openJob } from "../components/job_head.js";
import { filterBar, namedTable, tableState } from "../components/named_table.js";
import { otherField, otherOf } from "../components/other_field.js";
import { panel } from "../components/part.js";
import { problemPanel } from "../components/problem.js";
import { barLegend, stackedBar } from "../components/share_bar.js";
import { shapeText, tensorName } from "../components/tensor_name.js";
import { variantField, variantOf } from "../components/variant_field.js";
import { h } from "../dom.js";
import { count, measure, percent } from "../format.js";
import { agreements } from "../heatmap.js";
import { newest } from "../newest.js";
import { href, setQuery } from "../router.js";

/** @typedef {import("../api.js").Json} Json */

const NOTHING = "Choose what to compare with: another variant, or another job that pruned the same model.";
const REASONS = {
    shape: "of another shape there",
    base: "of another base",
    only_here: "pruned here alone",
    only_there: "pruned there alone",
};

export function title() {
    return "Compare";
}

/** Of all values of a row. @param {Json} row @param {"both" | "only_here" | "only_there"} part */
function share(row, part) {
    return row[part] / (row.both + row.only_here + row.only_there + row.neither || 1);
}

/** @param {Json} row */
function agreementBar(row) {
    const parts = /** @type {const} */ (["both", "only_here", "only_there"]);
    const label = parts.map((part) => `${part.replace("_", " ")} ${percent(share(row, part))}`).join(", ");
    return stackedBar(
        [
            ["both", row.both],
            ["here", row.only_here],
            ["there", row.only_there],
            ["neither", row.neither],
        ],
        label,
    );
}

/** @param {(row: Json) => string} link @returns {import("../components/window_table.js").Column[]} */
function columns(link) {
    /** @param {"both" | "only_here" | "only_there"} part @param {string} text */
    const shares = (part, text) => ({
        key: part,
        text,
        value: (/** @type {Json} */ row) => share(row, part),
        cell: (/** @type {Json} */ row) => percent(share(row, part)),
        number: true,
        width: "narrow roomy",
    });
    /** @param {string} key @param {string} text @param {string} [more] */
    const measured = (key, text, more = "") => ({
        key,
        text,
        value: (/** @type {Json} */ row) => row[key],
        cell: (/** @type {Json} */ row) => measure(row[key]),
        number: true,
        width: `narrow${more}`,
    });
    return [
        { key: "name", text: "Tensor", value: (row) => row.name, cell: (row) => tensorName(row.name, link(row)), width: "wide" },
        {
            key: "shape",
            text: "Shape",
            value: (row) => row.both + row.only_here + row.only_there + row.neither,
            cell: (row) => shapeText(row.shape),
            number: true,
            width: "medium roomy",
        },
        {
            key: "bar",
            text: "Masks",
            value: (row) => share(row, "only_here") + share(row, "only_there"),
            cell: agreementBar,
            most: true,
            width: "bars",
        },
        shares("both", "Both"),
        shares("only_here", "Only here"),
        shares("only_there", "Only there"),
        measured("jaccard", "Jaccard"),
        measured("relative_l2_here", "L2 here", " roomy"),
        measured("relative_l2_there", "L2 there", " roomy"),
    ];
}

/** @param {Json} totals */
function totalsPanel(totals) {
    const parts = [`Of ${count(totals.tensors)} tensors`, `Jaccard ${measure(totals.jaccard)}`];
    const kept = /** @type {const} */ (["both", "only_here", "only_there"]).map(
        (part) => `${part.replace("_", " ")} ${count(totals[part])} (${percent(share(totals, part))})`,
    );
    return panel("All together", agreementBar(totals), h("p", {}, [...parts, ...kept].join(", ")), barLegend(agreements));
}

/** @param {string} id @param {string} variant @param {import("../components/other_field.js").Other} other @param {AbortSignal} signal */
async function readComparison(id, variant, other, signal) {
    /** @type {Json} */
    let last = {};
    const rows = await getAll(ofJob(id, "/compare"), { query: { variant, ...other }, signal }, (page) => (last = page));
    return { rows, last };
}

/** @param {Json[]} skipped @param {number} all */
function skippedList(skipped, all) {
    if (all === 0) return "";
    const items = skipped.map(({ name, reason }) =>
        h("li", {}, `${name}: ${REASONS[/** @type {keyof typeof REASONS} */ (reason)] ?? reason}`),
    );
    return h("details", {}, h("summary", {}, `${count(all)} tensors cannot be compared`), h("ul", { class: "small" }, items));
}

/** @param {HTMLElement} root @param {import("../router.js").Place} place */
export async function mount(root, place) {
    const { job, body } = await openJob(root, place, "compare");
    if (!body) return;
    const { query, signal } = place;
    const variant = variantOf(job, query.get("variant"));
    let other = otherOf(job, variant, query);
    const state = { ...tableState(query), variant, ...(other ?? { with: "", with_variant: "" }) };
    const save = () => setQuery(state);
    const begin = newest(signal);
    const result = h("div", { class: "stack" });
    const link = (/** @type {Json} */ row) => {
        const { variant: here, with: id, with_variant } = state;
        return href(["jobs", job.id, "kenviz"], { tensor: row.name, view: "compare", variant: here, with: id, with_variant });
    };
    const table = namedTable("Masks of each tensor", columns(link), state, save, signal);
    const skipped = h("div");
    const found = h("div", { class: "stack", hidden: true }, table.note, table.element, skipped);

    async function read() {
        const mine = begin();
        save();
        found.hidden = true;
        result.replaceChildren(h("p", { class: "quiet" }, other ? "Counting in both deltas ..." : NOTHING));
        if (!other) return;
        try {
            const { rows, last } = await readComparison(job.id, state.variant, other, mine);
            if (mine.aborted) return;
            result.replaceChildren(totalsPanel(last.totals));
            skipped.replaceChildren(skippedList(last.skipped, last.totals.skipped));
            found.hidden = false;
            table.setRows(rows);
        } catch (error) {
            if (!mine.aborted) result.replaceChildren(problemPanel(error));
        }
    }
    const variants = variantField(job, variant, (name) => {
        state.variant = name;
        void read();
    });
    const others = otherField(job, other, signal, (next) => {
        other = next;
        Object.assign(state, next);
        void read();
    });
    body.append(filterBar(table.filter, variants, others), result, found);
    await read();
}
