// SPDX-License-Identifier: Apache-2.0
// The variants of a document in the form: a row each. What a row has no control for stays in its variant.
import { select } from "../components/field.js";
import { h, setText } from "../dom.js";
import { AMOUNTS, amountOf, METHODS, put, putAmount, RESCALES } from "./job_form_values.js";

/** @typedef {import("../api.js").Json} Json */
/** @typedef {import("../api.js").Fault} Fault */

const INHERITED = "as above";

/** @param {Record<string, string>} choices */
function inheriting(choices) {
    return select(["", ...Object.keys(choices)], "", { "": INHERITED });
}

/** One row. @param {Json} variant @param {() => void} onRemove */
function variantRow(variant, onRemove) {
    const name = h("input", { type: "text", spellcheck: "false", value: String(variant.name ?? "") });
    const unit = select(Object.keys(AMOUNTS), "keep", AMOUNTS);
    const amount = h("input", { type: "text", inputmode: "decimal" });
    const method = inheriting(METHODS);
    const rescale = inheriting(RESCALES);
    const remove = h("button", { type: "button", class: "plain danger", on: { click: onRemove } }, "Remove");
    const fault = h("div", { class: "fault" });
    const given = amountOf(variant) ?? { unit: "keep", text: "" };
    unit.value = given.unit;
    amount.value = given.text;
    method.value = variant.method ?? "";
    rescale.value = variant.rescale ?? "";
    const labelled = { Name: name, "What the number is": unit, "How much to keep": amount, Method: method, Rescale: rescale };
    for (const [label, control] of Object.entries(labelled)) control.setAttribute("aria-label", `${label}, variant`);
    return {
        element: h("div", { class: "field" }, h("div", { class: "variant" }, [...Object.values(labelled), remove]), fault),
        name,
        read() {
            const read = { ...variant, name: name.value.trim() };
            putAmount(read, unit.value, amount.value);
            put(read, "method", method.value);
            put(read, "rescale", rescale.value);
            return read;
        },
        setFault: (/** @type {string} */ text) => setText(fault, text),
    };
}

/** @param {(count: number) => void} onCount told how many there are, whenever that changes */
export function variantRows(onCount) {
    /** @type {ReturnType<typeof variantRow>[]} */
    let rows = [];
    const list = h("div", { class: "stack" });
    const changed = () => {
        list.replaceChildren(...rows.map((row) => row.element));
        onCount(rows.length);
    };
    const add = (/** @type {Json} */ variant) => {
        const row = variantRow(variant, () => {
            rows = rows.filter((other) => other !== row);
            changed();
            more.focus();
        });
        rows.push(row);
        return row;
    };
    const addNew = () => {
        const row = add({});
        changed();
        row.name.focus();
    };
    const more = h("button", { type: "button", on: { click: addNew } }, "Add a variant");
    const hint = h("div", { class: "small quiet" }, "Several from one fetch and one pass, each with its own amount, side by side.");
    return {
        element: h("fieldset", { class: "field wide" }, h("legend", {}, "Variants"), list, h("div", {}, more), hint),
        read: () => rows.map((row) => row.read()),
        write(/** @type {Json[]} */ variants) {
            rows = [];
            variants.forEach(add);
            changed();
        },
        /** Shows those of single variants; the others are returned. @param {Fault[]} faults */
        showFaults(faults) {
            const of = (/** @type {number} */ i) => faults.filter(({ pointer }) => `${pointer}/`.startsWith(`/variants/${i}/`));
            const shown = rows.map((row, i) => {
                const own = of(i);
                row.setFault(own.map(({ pointer, detail }) => `${pointer.split("/").slice(3).join("/")} ${detail}`.trim()).join("; "));
                return own;
            });
            return faults.filter((fault) => !shown.flat().includes(fault));
        },
    };
}
