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

/**
 * Parts of a whole beside each other, filling the bar's place; words are its title and name.
 * @param {[string, number][]} parts class and size of each @param {string} label
 */
export function stackedBar(parts, label) {
    const all = parts.reduce((sum, [, size]) => sum + size, 0);
    let x = 0;
    const rects = parts.map(([name, size]) => {
        const width = all ? (WIDTH * size) / all : 0;
        x += width;
        return svg("rect", { class: `share ${name}`, x: x - width, y: 0, width, height: 10 });
    });
    const bar = { class: "share-bar", viewBox: `0 0 ${WIDTH} 10`, preserveAspectRatio: "none", role: "img", "aria-label": label };
    return svg("svg", bar, svg("title", {}, label), rects);
}

/** What the colours of a bar say. @param {Record<string, string>} words by class */
export function barLegend(words) {
    const entries = Object.entries(words).map(([name, text]) => h("span", {}, h("span", { class: `swatch ${name}` }), text));
    return h("div", { class: "legend small quiet" }, entries);
}

/** @param {Shares} shares counts of values */
export function shareBar(shares) {
    const all = PARTS.reduce((sum, part) => sum + shares[part], 0);
    const label = all ? `${inWords(shares, all)} of ${count(all)} values` : "nothing was pruned here";
    return stackedBar(
        PARTS.map((part) => [part, shares[part]]),
        label,
    );
}

export function shareLegend() {
    return barLegend({ kept: "kept: in the delta", reset: "reset to the base", unchanged: "unchanged by fine-tuning" });
}
