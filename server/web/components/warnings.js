// SPDX-License-Identifier: Apache-2.0
// What a check warns of.
import { h } from "../dom.js";

/** @param {string[]} warnings */
export function warningList(warnings) {
    if (warnings.length === 0) return null;
    const items = warnings.map((text) => h("li", { class: "break" }, text));
    return h("div", { class: "problem warning" }, h("strong", {}, "Warnings"), h("ul", { class: "faults" }, items));
}
