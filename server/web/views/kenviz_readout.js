// SPDX-License-Identifier: Apache-2.0
// The value under the cursor.
import { h, setText } from "../dom.js";
import { count } from "../format.js";
import { short } from "./kenviz_row.js";

/** @typedef {import("./kenviz_values.js").Cursor} Cursor */
/** @typedef {import("./kenviz_values.js").Value} Value */

/** @param {Value} value */
function fate(value) {
    if (value.kept) return "kept";
    return value.pruned === value.model ? "unchanged" : "reset"; // the base may be of a finer type than what is stored
}

export function readout() {
    const names = { row: "Row", column: "Column", base: "Base", model: "Fine-tuned", pruned: "Pruned", fate: "" };
    const cells = Object.fromEntries(Object.keys(names).map((key) => [key, h("dd", { class: "mono" }, "-")]));
    const pairs = Object.entries(names).map(([key, text]) => (text ? [h("dt", {}, text), cells[key] ?? ""] : []));
    const mark = h("span", { class: "tag" });
    const words = h("p", { class: "small quiet", role: "status" });
    const list = h("dl", { class: "pairs" }, pairs.flat());
    const set = (/** @type {string} */ key, /** @type {string} */ text) => {
        const cell = cells[key];
        if (cell) setText(cell, text);
    };
    return {
        element: h("section", { class: "stack readout", "aria-label": "Value under the cursor" }, list, mark, words),
        clear() {
            for (const key of Object.keys(cells)) set(key, "-");
            setText(mark, "");
        },
        /** Until its values come: none. @param {Cursor} cursor */
        setPlace(cursor) {
            set("row", count(cursor.row));
            set("column", count(cursor.column));
            for (const key of ["base", "model", "pruned"]) set(key, "-");
            setText(mark, "");
        },
        /** @param {Cursor} cursor @param {Value} value */
        setValue(cursor, value) {
            this.setPlace(cursor);
            for (const key of /** @type {const} */ (["base", "model", "pruned"])) set(key, short(value[key]));
            setText(mark, fate(value));
        },
        note(/** @type {string} */ text) {
            setText(words, text);
        },
        inWords() {
            const values =
                cells.base?.textContent === "-"
                    ? ""
                    : `: base ${cells.base?.textContent}, fine-tuned ${cells.model?.textContent}, ${mark.textContent}`;
            return `row ${cells.row?.textContent}, column ${cells.column?.textContent}${values}`;
        },
    };
}
