// SPDX-License-Identifier: Apache-2.0
// A part of a view that is drawn anew when what it shows has changed, and left alone otherwise: focus and selection stay.
import { h } from "../dom.js";

/** @typedef {import("../api.js").Json} Json */
/** @typedef {import("../dom.js").Child} Child */

/**
 * @param {(job: Json) => unknown} depends what the part shows: drawn anew when its JSON differs
 * @param {(job: Json) => Child | Child[]} draw
 */
export function part(depends, draw) {
    const element = h("div", { class: "stack" });
    let shown = "";
    return {
        element,
        update(/** @type {Json} */ job) {
            const now = JSON.stringify(depends(job)) ?? "";
            if (now === shown) return;
            shown = now;
            const children = [draw(job)].flat().filter((child) => child instanceof Node || typeof child === "string");
            element.replaceChildren(...children);
        },
    };
}

/** A titled panel; its heading is what screen readers call it. @param {string} title @param {...(Child | Child[])} content */
export function panel(title, ...content) {
    return h("section", { class: "panel stack", "aria-label": title }, h("h2", {}, title), ...content);
}
