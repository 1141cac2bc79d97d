// SPDX-License-Identifier: Apache-2.0
// Layer by layer: which share was kept, and how far its tensors are from the fine-tuned ones.
import { isAbort } from "../api.js";
import { choiceButtons } from "../components/field.js";
import { panel } from "../components/part.js";
import { problemPanel } from "../components/problem.js";
import { shareBar, shareLegend } from "../components/share_bar.js";
import { h, setText, svg } from "../dom.js";
import { count, measure, percent } from "../format.js";
import { variantTotals } from "../job.js";
import { layersOf, median, readTensors } from "../tensors.js";

/** @typedef {import("../api.js").Json} Json */
/** @typedef {import("../tensors.js").Layer} Layer */

const WIDTH = 240;
const HEIGHT = 18;
const EDGE = 5; // so that whole dots fit at both ends
const STEP = 0.5;

/** Rows whose relative L2 says something. @param {Json[]} tensors */
function pruned(tensors) {
    return tensors.filter((row) => row.action === "prune" || row.action === "reset");
}

/** What stands for a layer: the median of its matrices, where it has some. @param {Layer} layer */
function typical({ tensors }) {
    const matrices = pruned(tensors).filter((row) => row.shape.length > 1);
    return median((matrices.length > 0 ? matrices : pruned(tensors)).map((row) => row.relative_l2));
}

/** Where a value stands. @param {number} value @param {number} end */
function placeOf(value, end) {
    return EDGE + ((WIDTH - 2 * EDGE) * value) / end;
}

/** Each tensor a dot, vectors small; a line where all would be reset. @param {Layer} layer @param {number} end of the scale */
function dots(layer, end) {
    const rows = pruned(layer.tensors);
    const values = rows.map((row) => row.relative_l2);
    const label = `relative L2 from ${measure(Math.min(...values))} to ${measure(Math.max(...values))}, typically ${measure(typical(layer))}`;
    const one = end > 1 ? svg("line", { class: "one", x1: placeOf(1, end), x2: placeOf(1, end), y1: 0, y2: HEIGHT }) : null;
    const circles = rows.map((row) => {
        const matrix = row.shape.length > 1;
        const place = { cx: placeOf(row.relative_l2, end), cy: HEIGHT / 2, r: matrix ? 3.5 : 2 };
        return svg(
            "circle",
            { class: matrix ? "dot" : "dot vector", ...place },
            svg("title", {}, `${row.name}: ${measure(row.relative_l2)}`),
        );
    });
    const axis = svg("line", { class: "axis", x1: EDGE, x2: WIDTH - EDGE, y1: HEIGHT / 2, y2: HEIGHT / 2 });
    const attributes = { class: "dots", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label };
    return svg("svg", attributes, axis, one, circles);
}

/** The ends of the scale, above the dots. @param {number} end */
function scale(end) {
    /** @param {number} value @param {string} anchor */
    const tick = (value, anchor) => svg("text", { class: "tick", x: placeOf(value, end), y: 11, "text-anchor": anchor }, String(value));
    const one = end > 1 ? tick(1, "middle") : null;
    return svg("svg", { class: "dots", viewBox: `0 0 ${WIDTH} 14`, "aria-hidden": "true" }, tick(0, "start"), one, tick(end, "end"));
}

/** @param {Layer} layer @param {number} end */
function layerRow(layer, end) {
    const { kept, reset, unchanged } = layer.shares;
    const all = kept + reset + unchanged;
    const any = pruned(layer.tensors).length > 0;
    return h(
        "tr",
        {},
        h("th", { scope: "row", class: "break" }, layer.name),
        h("td", { class: "number", "data-label": "Tensors" }, count(layer.tensors.length)),
        h("td", { class: "shares" }, shareBar(layer.shares)),
        h("td", { class: "number", "data-label": "Kept" }, all ? percent(kept / all) : "-"),
        h("td", {}, any ? dots(layer, end) : h("span", { class: "small quiet" }, "nothing was pruned here")),
        h("td", { class: "number", "data-label": "Relative L2" }, any ? measure(typical(layer)) : "-"),
    );
}

/** @param {Json[]} rows */
function layerTable(rows) {
    const greatest = Math.max(...pruned(rows).map((row) => row.relative_l2), 0);
    const end = Math.max(1, Math.ceil(greatest / STEP) * STEP);
    const column = (/** @type {string} */ text, number = false) => h("th", { scope: "col", class: number && "number" }, text);
    const head = h(
        "tr",
        {},
        column("Layer"),
        column("Tensors", true),
        column("Values"),
        column("Kept", true),
        h("th", { scope: "col" }, h("span", {}, "Relative L2 of each tensor"), scale(end)),
        column("Median", true),
    );
    const body = layersOf(rows).map((layer) => layerRow(layer, end));
    return h("table", { class: "cards dense layers" }, h("thead", {}, head), h("tbody", {}, body));
}

/** The panel, filled once the job has succeeded. @param {Json} job @param {AbortSignal} signal */
export function layers(job, signal) {
    const list = variantTotals(job);
    if (list.length === 0 || job.kind === "inject") return null;
    const place = h("div", { class: "scroll" });
    const note = h("p", { class: "small quiet" });
    let asked = 0;

    const show = async (/** @type {string} */ variant) => {
        const mine = (asked += 1);
        try {
            const told = (/** @type {number} */ number) => setText(note, `Reading tensors: ${count(number)}`);
            const rows = await readTensors(job.id, variant, signal, told);
            if (mine !== asked) return;
            place.replaceChildren(layerTable(rows));
            setText(note, "Large dots are matrices, small ones vectors; the median is that of the matrices, where a layer has some.");
        } catch (error) {
            if (!isAbort(error) && mine === asked) place.replaceChildren(problemPanel(error));
        }
    };
    const first = list[0]?.name ?? "";
    const names = Object.fromEntries(list.map(({ name }) => [name, name]));
    const choice = choiceButtons("Variant", names, first, (variant) => {
        choice.set(variant);
        void show(variant);
    });
    void show(first);
    return panel("Layers", h("div", { class: "bar spread" }, list.length > 1 ? choice.element : "", shareLegend()), place, note);
}
