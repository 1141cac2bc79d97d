// SPDX-License-Identifier: Apache-2.0
// One row of a matrix: how its values are distributed, and what was kept of them.
import { get, ofJob, Problem } from "../api.js";
import { field } from "../components/field.js";
import { panel } from "../components/part.js";
import { pairList } from "../components/pairs.js";
import { problemPanel } from "../components/problem.js";
import { barLegend } from "../components/share_bar.js";
import { h, svg } from "../dom.js";
import { count, percent } from "../format.js";
import { newest } from "../newest.js";

/** @typedef {import("../api.js").Json} Json */

const WIDE = 720;
const NARROW = 360;
const HEIGHT = 170;
const BASE = 150; // where bars stand
const TOP = 14;
const REST_MS = 120;

/** Five digits at most. @param {number | string | null} value */
export function short(value) {
    return typeof value === "number" ? String(Number(value.toPrecision(5))) : String(value ?? "-");
}

/** Histogram, density as counts of its bins, and the bandwidth as a length. @param {Json} row @param {number} width */
function chart(row, width) {
    const { edges, all, kept } = row.histogram;
    const [first, last] = [edges[0], edges[all.length]]; // further apart than minimum and maximum where those are the same
    const span = last - first || 1;
    const bin = span / all.length;
    const at = (/** @type {number} */ value) => (width * (value - first)) / span;
    const curve = row.density.value.map((/** @type {number} */ density) => density * (row.n - row.non_finite) * bin);
    const most = Math.max(...all, ...curve, 1);
    const height = (/** @type {number} */ number) => ((BASE - TOP) * number) / most;
    const bars = (/** @type {number[]} */ counts, /** @type {string} */ name) =>
        counts.map((number, i) => {
            const place = { x: at(edges[i]) + 0.5, width: Math.max(0.5, at(edges[i] + bin) - at(edges[i]) - 1) };
            return number ? svg("rect", { class: name, ...place, y: BASE - height(number), height: height(number) }) : null;
        });
    const points = row.density.at.map((/** @type {number} */ value, /** @type {number} */ i) => `${at(value)},${BASE - height(curve[i])}`);
    const wide = Math.min(width, (width * row.bandwidth) / span);
    const text = (/** @type {number} */ x, /** @type {string} */ anchor, /** @type {string} */ words, y = HEIGHT - 4) =>
        svg("text", { class: "tick", x, y, "text-anchor": anchor }, words);
    const label = `Values from ${short(row.minimum)} to ${short(row.maximum)}, ${count(row.kept)} of ${count(row.n)} kept`;
    return svg(
        "svg",
        { class: "row-chart", viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label },
        bars(all, "all"),
        bars(kept, "kept"),
        row.bandwidth ? svg("polyline", { class: "curve", points: points.join(" ") }) : null,
        svg("line", { class: "axis", x1: 0, x2: width, y1: BASE, y2: BASE }),
        svg("line", { class: "bandwidth", x1: width - wide, x2: width, y1: TOP - 4, y2: TOP - 4 }),
        text(width - wide - 6, "end", "bandwidth", TOP),
        text(0, "start", short(first)),
        first < 0 && last > 0 ? text(at(0), "middle", "0") : null,
        text(width, "end", short(last)),
        text(0, "start", count(Math.round(most)), TOP),
    );
}

/** @param {Json} row */
function facts(row) {
    return pairList([
        ["Kept", `${count(row.kept)} of ${count(row.n)} (${percent(row.kept / row.n)})`],
        ["Chosen", `${count(row.selected)}, asked for ${count(row.k)}`],
        ["Mean", short(row.mean)],
        ["Standard deviation", short(row.standard_deviation)],
        ["Bandwidth", short(row.bandwidth)],
        ["Not finite", row.non_finite ? count(row.non_finite) : null],
    ]);
}

/**
 * @param {string} id of the job @param {AbortSignal} signal @param {(row: number) => void} onRow
 * @param {(problem: Problem) => void} onGone the inputs are: no row can be read any more
 */
export function rowInspector(id, signal, onRow, onGone) {
    const number = h("input", { type: "number", min: "0", step: "1", inputmode: "numeric" });
    const place = h("div", { class: "row-facts" });
    const hint = h("p", { class: "small quiet" }, "Click into the picture, or press Enter there, to look at a row.");
    const colours = barLegend({ all: "all values", kept: "kept", curve: "density" });
    const controls = h("div", { class: "bar" }, field("Row", number).element, colours);
    const element = panel("One row", controls, hint, place);
    let source = { tensor: "", variant: "" };
    let timer = 0;
    let gone = false;
    const begin = newest(signal);

    async function read(/** @type {number} */ row) {
        const mine = begin();
        try {
            const told = await get(ofJob(id, "/row"), { query: { ...source, row }, signal: mine });
            if (mine.aborted) return;
            place.replaceChildren(
                told.minimum === null
                    ? h("p", {}, "No value of this row is finite.")
                    : chart(told, element.clientWidth < WIDE ? NARROW : WIDE),
                facts(told),
            );
        } catch (error) {
            if (mine.aborted) return;
            if (error instanceof Problem && error.code === "inputs_gone") onGone(error);
            else place.replaceChildren(problemPanel(error));
        }
    }
    function show(/** @type {number} */ row) {
        if (gone) return;
        if (number.value !== String(row)) number.value = String(row);
        hint.hidden = true;
        clearTimeout(timer);
        timer = setTimeout(() => void read(row), REST_MS);
    }
    number.addEventListener("input", () => {
        const row = number.valueAsNumber;
        if (Number.isInteger(row) && number.checkValidity()) onRow(row);
    });
    signal.addEventListener("abort", () => clearTimeout(timer));
    return {
        element,
        show,
        /** @param {string} tensor @param {string} variant @param {number} rows */
        setSource(tensor, variant, rows) {
            clearTimeout(timer);
            begin(); // and nothing of it yet: what comes of the one before is of no use
            source = { tensor, variant };
            number.max = String(rows - 1);
        },
        /** Quiet from now on. */
        end() {
            gone = true;
            element.hidden = true;
        },
    };
}
