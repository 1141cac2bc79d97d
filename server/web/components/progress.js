// SPDX-License-Identifier: Apache-2.0
// How far a job is, how fast it goes, and how long it still takes.
import { h, setText } from "../dom.js";
import { bytes, count, duration } from "../format.js";

/** @typedef {import("../api.js").Json} Json */

const WINDOW_MS = 5_000;

/** Rates over the last seconds. */
class Rates {
    constructor() {
        /** @type {{time: number, bytes: number, rows: number}[]} */
        this.samples = [];
    }

    /** @param {Json} progress @param {number} time @returns {{bytes: number, rows: number}} a second */
    add(progress, time) {
        const sample = { time, bytes: progress.bytes_fetched, rows: progress.rows_done };
        const last = this.samples.at(-1);
        if (last && (sample.bytes < last.bytes || sample.rows < last.rows)) this.samples = []; // it began anew
        this.samples.push(sample);
        while (this.samples.length > 2 && time - /** @type {{time: number}} */ (this.samples[1]).time > WINDOW_MS) this.samples.shift();
        const first = /** @type {typeof sample} */ (this.samples[0]);
        const seconds = (time - first.time) / 1000;
        if (seconds < 0.2) return { bytes: 0, rows: 0 };
        return { bytes: (sample.bytes - first.bytes) / seconds, rows: (sample.rows - first.rows) / seconds };
    }
}

/** @param {Json} progress @param {{bytes: number, rows: number}} rates */
function inWords(progress, rates) {
    const parts = [`${progress.percent.toFixed(1)} %`];
    if (progress.bytes_fetched < progress.bytes_total) {
        parts.push(`${bytes(progress.bytes_fetched)} of ${bytes(progress.bytes_total)}`);
        if (rates.bytes >= 1) parts.push(`${bytes(rates.bytes)}/s`);
    } else if (progress.rows_total) {
        parts.push(`${count(progress.rows_done)} of ${count(progress.rows_total)} rows`);
        if (rates.rows >= 1) parts.push(`${count(Math.round(rates.rows))} rows/s`);
    }
    if (progress.eta_seconds !== null && progress.eta_seconds !== undefined) parts.push(`${duration(progress.eta_seconds)} left`);
    return parts.join(", ");
}

/** A bar with words below it; update it with each progress. It is not read out: a change of status is. */
export function progressMeter(/** @type {string} */ label) {
    const rates = new Rates();
    const bar = h("progress", { max: "100", "aria-label": label });
    const words = h("div", { class: "small quiet" });
    return {
        element: h("div", {}, bar, words),
        update(/** @type {Json} */ progress) {
            bar.value = progress.percent;
            setText(words, inWords(progress, rates.add(progress, performance.now())));
        },
    };
}
