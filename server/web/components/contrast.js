// SPDX-License-Identifier: Apache-2.0
// How strong the colours of pictures are: where their scale ends.
import { h } from "../dom.js";

const DIGITS = 3;

/**
 * @param {() => number} end of the scale as it is; 0: not known yet
 * @param {(max: number) => void} onMax the end from now on; 0: as all tensors have it
 */
export function contrast(end, onMax) {
    const scale = (/** @type {number} */ factor) => () => end() && onMax(Number((factor * end()).toPrecision(DIGITS)));
    const button = (/** @type {string} */ text, /** @type {string} */ title, /** @type {() => void} */ click) =>
        h("button", { type: "button", title, on: { click } }, text);
    return h(
        "div",
        { class: "bar together contrast", role: "group", "aria-label": "Colours" },
        button("Paler", "The scale of colours ends twice as far", scale(2)),
        button("Stronger", "The scale of colours ends half as far", scale(1 / 2)),
        button("Common", "The same scale for all tensors", () => onMax(0)),
    );
}

/** Where the address says that the scale ends; 0: it does not. @param {URLSearchParams} query */
export function maxOf(query) {
    const max = Number(query.get("max"));
    return max > 0 && Number.isFinite(max) ? max : 0;
}
