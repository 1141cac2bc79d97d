// SPDX-License-Identifier: Apache-2.0
// The views of pictures, and what their colours mean.
import { ofJob, url } from "./api.js";
import { measure, percent } from "./format.js";

/** @typedef {Record<string, string | number | boolean>} Query */
/**
 * @typedef {object} View
 * @property {string} text
 * @property {string} meaning
 * @property {"sequential" | "diverging" | "agreement"} scale of colours, as a class
 * @property {(end: number) => string[]} ticks from its beginning to its end; `end` is what kend told
 */

const upTo = (/** @type {number} */ end) => [0, end / 2, end].map(measure);

/** @type {Record<string, View>} */
export const views = {
    mask: {
        text: "Mask",
        meaning: "Kept values by sign and size; nothing where reset.",
        scale: "diverging",
        ticks: (end) => [-end, 0, end].map(measure),
    },
    neighbors: {
        text: "Neighbours",
        meaning: "How many of the four neighbours of a kept value are kept.",
        scale: "sequential",
        ticks: () => ["0", "2", "4"],
    },
    density: {
        text: "Density",
        meaning: "The share of the values that is kept.",
        scale: "sequential",
        ticks: (end) => [0, end / 2, end].map((share) => percent(share, 0)),
    },
    delta: { text: "Delta", meaning: "The size of fine-tuned minus base, of 32 x 32 values each.", scale: "sequential", ticks: upTo },
    compare: { text: "Compare", meaning: "What is kept here and there.", scale: "agreement", ticks: () => [] },
};

/** Of a comparison, by class. */
export const agreements = { both: "kept in both", here: "only here", there: "only there", neither: "in neither" };

export const LEAST = 16; // pixels of a side, as kend draws them
const MOST = 4096;
const MOST_PIXELS = 4_194_304;

/** @param {string} id @param {Query} query */
export function pictureUrl(id, query) {
    return url(ofJob(id, "/heatmap.png"), query);
}

/** The width of a picture whose longer side has so many pixels, as far as kend draws that. @param {number} w @param {number} h @param {number} side */
export function pictureWidth(w, h, side) {
    const longer = w >= h ? side : (side * w) / h;
    const most = Math.min(MOST, Math.floor((MOST * w) / h), Math.floor(Math.sqrt((MOST_PIXELS * w) / h)));
    return Math.max(LEAST, Math.min(Math.round(longer), most));
}
