// SPDX-License-Identifier: Apache-2.0
// What the colours of a picture mean.
import { barLegend } from "../components/share_bar.js";
import { h } from "../dom.js";
import { agreements } from "../heatmap.js";

/** @param {import("../heatmap.js").View} view @param {number} end of its scale, as kend told it; 0: not yet */
export function legend(view, end) {
    const meaning = h("p", { class: "small quiet" }, view.meaning);
    if (view.scale === "agreement") return [meaning, barLegend(agreements)];
    if (!end) return [meaning];
    const ticks = view.ticks(end);
    const label = `from ${ticks.at(0)} to ${ticks.at(-1)}`;
    const scale = h("div", { class: `scale ${view.scale}`, role: "img", "aria-label": `Colours ${label}` });
    const words = h(
        "div",
        { class: "bar spread small quiet" },
        ticks.map((text) => h("span", {}, text)),
    );
    return [meaning, h("div", {}, scale, words)];
}
