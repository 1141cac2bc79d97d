// SPDX-License-Identifier: Apache-2.0
// A labelled control with a place for what is wrong with it.
import { h, setText, uniqueId } from "../dom.js";

/**
 * @typedef {object} Field
 * @property {HTMLElement} element
 * @property {HTMLElement} control
 * @property {(text: string) => void} setFault "" for none
 */

/**
 * @param {string} label @param {HTMLElement} control @param {string} [hint]
 * @returns {Field}
 */
export function field(label, control, hint = "") {
    const id = uniqueId("field");
    const fault = h("div", { class: "fault", id: `${id}-fault` });
    const hinted = hint ? h("div", { class: "small quiet", id: `${id}-hint` }, hint) : null;
    control.id = id;
    control.setAttribute("aria-describedby", hinted ? `${id}-hint ${id}-fault` : `${id}-fault`);
    return {
        element: h("div", { class: "field" }, h("label", { for: id }, label), control, fault, hinted),
        control,
        setFault(text) {
            setText(fault, text);
            if (text) control.setAttribute("aria-invalid", "true");
            else control.removeAttribute("aria-invalid");
        },
    };
}

/**
 * Several controls under one name.
 * @param {string} label @param {HTMLElement[]} controls @param {string} [hint]
 * @returns {Field}
 */
export function fieldGroup(label, controls, hint = "") {
    const id = uniqueId("group");
    const fault = h("div", { class: "fault", id });
    const element = h(
        "fieldset",
        { class: "field", "aria-describedby": id },
        h("legend", {}, label),
        h("div", { class: "bar together" }, controls),
    );
    element.append(fault);
    if (hint) element.append(h("div", { class: "small quiet" }, hint));
    const first = controls[0]?.querySelector("input, select") ?? controls[0];
    return {
        element,
        control: /** @type {HTMLElement} */ (first),
        setFault(text) {
            setText(fault, text);
        },
    };
}

/** @param {string[]} values @param {string} [chosen] @param {Record<string, string>} [labels] */
export function select(values, chosen = values[0], labels = {}) {
    const options = values.map((value) => h("option", { value, selected: value === chosen }, labels[value] ?? value));
    return h("select", {}, options);
}

/** Buttons of which one is pressed. @param {string} label @param {Record<string, string>} choices value to text */
export function choiceButtons(label, choices, /** @type {string} */ chosen, /** @type {(value: string) => void} */ onChoice) {
    const buttons = new Map();
    const set = (/** @type {string} */ value) => {
        for (const [other, button] of buttons) button.setAttribute("aria-pressed", String(other === value));
    };
    for (const [value, text] of Object.entries(choices))
        buttons.set(value, h("button", { type: "button", on: { click: () => onChoice(value) } }, text));
    set(chosen);
    return { element: h("div", { class: "choices", role: "group", "aria-label": label }, [...buttons.values()]), set };
}
