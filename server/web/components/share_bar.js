// SPDX-License-Identifier: Apache-2.0
// Kept, reset and unchanged as one bar. Colours and order are the same wherever shares are shown.
import { h, svg } from "../dom.js";
import { count, percent } from "../format.js";

/** @typedef {{kept: number, reset: number, unchanged: number}} Shares */

const PARTS = /** @type {const} */ (["kept", "reset", "unchanged"]);
const WIDTH = 100;

/** @param {Shares} shares */
function inWords(shares, all = PARTS.reduce((sum, part) => sum + shares[part], 0)) {
    return PARTS.map((part) => `${part} ${percent(all ? shares[part] / all : 0)}`).join(", ");
}

/** A bar that fills its place; words are its title and name. @param {Shares} shares counts of values */
export function shareBar(shares) {
    const all = PARTS.reduce((sum, part) => sum + shares[part], 0);
    const label = all ? `${inWords(shares, all)} of ${count(all)} values` : "nothing was pruned here";
    let x = 0;
    const rects = PARTS.map((part) => {
        const width = all ? (WIDTH * shares[part]) / all : 0;
        x += width;
        return svg("rect", { class: `share ${part}`, x: x - width, y: 0, width, height: 10 });
    });
    const bar = { class: "share-bar", viewBox: `0 0 ${WIDTH} 10`, preserveAspectRatio: "none", role: "img", "aria-label": label };
    return svg("svg", bar, svg("title", {}, label), rects);
}

/** What the colours say. */
export function shareLegend() {
    const words = { kept: "kept: in the delta", reset: "reset to the base", unchanged: "unchanged by fine-tuning" };
    return h(
        "div",
        { class: "legend small quiet" },
        PARTS.map((part) => h("span", {}, h("span", { class: `swatch ${part}` }), words[part])),
    );
}
