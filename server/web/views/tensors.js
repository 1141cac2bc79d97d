// SPDX-License-Identifier: Apache-2.0
// All tensors of a job, thousands of them: what became of the values of each.
import { field, select } from "../components/field.js";
import { openJob } from "../components/job_head.js";
import { filterBar, namedTable, tableState } from "../components/named_table.js";
import { problemPanel } from "../components/problem.js";
import { shareBar, shareLegend } from "../components/share_bar.js";
import { shapeText, tensorName } from "../components/tensor_name.js";
import { variantField, variantOf } from "../components/variant_field.js";
import { h, setText } from "../dom.js";
import { count, measure, percent } from "../format.js";
import { jobPlaces } from "../job_places.js";
import { newest } from "../newest.js";
import { href, setQuery } from "../router.js";
import { isPruned, readTensors } from "../tensors.js";

/** @typedef {import("../api.js").Json} Json */
/** @typedef {import("../components/named_table.js").TableState & {variant: string, action: string}} State */

const ACTIONS = { "": "any", prune: "pruned", keep: "kept whole", reset: "reset" };

export function title() {
    return "Tensors";
}

/** @param {Json} row */
function keptShare(row) {
    const all = row.kept + row.reset + row.unchanged;
    return all ? row.kept / all : 0;
}

/** @param {Json} row */
function values(row) {
    return row.shape.reduce((/** @type {number} */ product, /** @type {number} */ side) => product * side, 1);
}

/** @param {(row: Json) => string | null} link @returns {import("../components/window_table.js").Column[]} */
function columns(link) {
    return [
        { key: "name", text: "Tensor", value: (row) => row.name, cell: (row) => tensorName(row.name, link(row)), width: "wide" },
        { key: "values", text: "Shape", value: values, cell: (row) => shapeText(row.shape), number: true, width: "medium roomy" },
        { key: "dtype", text: "Type", value: (row) => row.dtype, cell: (row) => row.dtype, width: "narrow roomy" },
        {
            key: "action",
            text: "Done",
            value: (row) => row.method ?? row.action,
            cell: (row) => row.method ?? ACTIONS[/** @type {keyof typeof ACTIONS} */ (row.action)],
            width: "narrow roomy",
        },
        {
            key: "reset",
            text: "Values",
            value: (row) => row.reset / (values(row) || 1),
            cell: (row) => shareBar({ kept: row.kept, reset: row.reset, unchanged: row.unchanged }),
            most: true,
            width: "bars",
        },
        { key: "kept", text: "Kept", value: keptShare, cell: (row) => percent(keptShare(row)), number: true, width: "narrow" },
        {
            key: "l2",
            text: "Relative L2",
            value: (row) => row.relative_l2,
            cell: (row) => measure(row.relative_l2),
            number: true,
            width: "narrow",
        },
    ];
}

/** @param {HTMLElement} root @param {import("../router.js").Place} place */
export async function mount(root, place) {
    const { job, body } = await openJob(root, place, "tensors");
    if (!body) return;
    const { query, signal } = place;
    /** @type {State} */
    const state = { ...tableState(query), variant: variantOf(job, query.get("variant")), action: query.get("action") ?? "" };
    const save = () => setQuery(state);
    const begin = newest(signal);
    const trouble = h("div");
    const pictures = jobPlaces.some(({ path, shown }) => path === "kenviz" && shown(job));
    const link = (/** @type {Json} */ row) =>
        pictures && isPruned(row) ? href(["jobs", job.id, "kenviz"], { variant: state.variant, tensor: row.name }) : null;
    const isWanted = (/** @type {Json} */ row) => !state.action || row.action === state.action;
    const table = namedTable("Tensors", columns(link), state, save, signal, isWanted);

    async function read() {
        const mine = begin();
        const told = (/** @type {number} */ number) => setText(table.note, `Reading tensors: ${count(number)}`);
        trouble.replaceChildren();
        try {
            const rows = await readTensors(job.id, state.variant, mine, told);
            if (!mine.aborted) table.setRows(rows);
        } catch (error) {
            if (!mine.aborted) trouble.replaceChildren(problemPanel(error));
        }
    }
    const action = select(Object.keys(ACTIONS), state.action, ACTIONS);
    action.addEventListener("change", () => {
        state.action = action.value;
        save();
        table.refresh();
    });
    const variant = variantField(job, state.variant, (name) => {
        state.variant = name;
        save();
        void read();
    });
    const fields = filterBar(table.filter, field("Done", action).element, variant);
    body.append(fields, h("div", { class: "bar spread" }, table.note, shareLegend()), trouble, table.element);
    await read();
}
