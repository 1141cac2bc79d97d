// SPDX-License-Identifier: Apache-2.0
// A long table of tensors, and above it a filter for words in their names.
import { h, setText } from "../dom.js";
import { count } from "../format.js";
import { field } from "./field.js";
import { windowTable } from "./window_table.js";

/** @typedef {import("../api.js").Json} Json */
/** @typedef {{text: string, sort: string, down: string}} TableState as the address has it */

const TYPING_MS = 120;

/** @param {URLSearchParams} query @returns {TableState} */
export function tableState(query) {
    return { text: query.get("text") ?? "", sort: query.get("sort") ?? "", down: query.get("down") ?? "" };
}

/** Whether a row's name has all the words. @param {Json} row @param {string[]} words */
function hasWords(row, words) {
    const name = row.name.toLowerCase();
    return words.every((word) => name.includes(word));
}

/**
 * @param {string} label @param {import("./window_table.js").Column[]} columns @param {TableState} state is kept up to date
 * @param {() => void} save @param {AbortSignal} signal @param {(row: Json) => boolean} [isWanted] besides its name
 */
export function namedTable(label, columns, state, save, signal, isWanted = () => true) {
    /** @type {Json[]} */
    let rows = [];
    let timer = 0;
    const note = h("p", { class: "small quiet", role: "status" });
    const table = windowTable(label, columns, { key: state.sort, down: state.down !== "" }, ({ key, down }) => {
        state.sort = key;
        state.down = down ? "1" : "";
        save();
    });
    const text = h("input", {
        type: "search",
        value: state.text,
        "data-focus-key": "/",
        placeholder: "Parts of the name",
        spellcheck: "false",
    });

    function refresh() {
        const words = state.text.toLowerCase().split(/\s+/);
        const wanted = rows.filter((row) => hasWords(row, words) && isWanted(row));
        table.setRows(wanted);
        const all = `${count(rows.length)} tensors`;
        setText(note, wanted.length === rows.length ? all : `${count(wanted.length)} of ${all}`);
    }
    text.addEventListener("input", () => {
        clearTimeout(timer);
        timer = setTimeout(() => {
            state.text = text.value.trim();
            save();
            refresh();
        }, TYPING_MS);
    });
    signal.addEventListener("abort", () => clearTimeout(timer));
    return {
        filter: field("Filter (press /)", text).element,
        note,
        element: h("div", { class: "panel flush" }, table.element),
        refresh,
        setRows(/** @type {Json[]} */ next) {
            rows = next;
            refresh();
        },
    };
}

/** Fields beside each other, which send nothing. @param {...(HTMLElement | null)} fields */
export function filterBar(...fields) {
    const stop = (/** @type {Event} */ event) => event.preventDefault();
    return h("form", { class: "filter", role: "search", on: { submit: stop } }, fields);
}
