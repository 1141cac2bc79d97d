// SPDX-License-Identifier: Apache-2.0
// Native dialogs: Esc closes them, and the focus returns to where it was.
import { h, uniqueId } from "../dom.js";

/** @typedef {import("../dom.js").Child} Child */

/**
 * Shows a dialog until it is closed, then calls `closed` with what closed it: "" for Esc.
 * @param {string} title @param {Child[]} content @param {HTMLButtonElement[]} buttons each closes it by its value
 * @param {(value: string) => void} [closed]
 */
export function openDialog(title, content, buttons, closed) {
    const id = uniqueId("dialog");
    const form = h("form", { method: "dialog", class: "stack" });
    const dialog = h("dialog", { "aria-labelledby": id }, form);
    form.append(h("h2", { id }, title), h("div", { class: "stack" }, content), h("div", { class: "bar" }, buttons));
    dialog.addEventListener("close", () => {
        dialog.remove();
        closed?.(dialog.returnValue);
    });
    document.body.append(dialog);
    dialog.showModal();
    return dialog;
}

/**
 * Whether the reader says yes.
 * @param {string} title @param {string} text @param {string} action what the button says
 * @returns {Promise<boolean>}
 */
export function confirmDialog(title, text, action) {
    return new Promise((resolve) => {
        const no = h("button", { value: "" }, "Not now");
        const yes = h("button", { value: "yes", class: "danger" }, action);
        openDialog(title, [h("p", {}, text)], [yes, no], (value) => resolve(value === "yes"));
        no.focus(); // what Enter does by accident does no harm
    });
}
