// SPDX-License-Identifier: Apache-2.0
// Single values of a matrix, asked for when the reader rests on one, a block of them at once.
import { get, isGone, ofJob, pauseAfter, Problem } from "../api.js";
import { newest } from "../newest.js";

/** @typedef {import("../api.js").Json} Json */
/** @typedef {{column: number, row: number}} Cursor */
/** @typedef {{base: number | string, model: number | string, pruned: number | string, kept: boolean}} Value */

const SIDE = 32;
const REST_MS = 90;
const KEPT = 128; // blocks

export class Values {
    /**
     * @param {string} id of the job @param {AbortSignal} signal
     * @param {(cursor: Cursor, value: Value) => void} onValue @param {(problem: Problem) => void} onProblem
     */
    constructor(id, signal, onValue, onProblem) {
        this.id = id;
        this.onValue = onValue;
        this.onProblem = onProblem;
        /** @type {Map<string, Json>} */
        this.kept = new Map();
        this.gone = false; // the inputs: nothing is asked for any more
        this.timer = 0;
        this.source = { tensor: "", variant: "" };
        this.rows = 1;
        this.n = 1;
        this.begin = newest(signal);
        signal.addEventListener("abort", () => clearTimeout(this.timer));
    }

    /** @param {string} tensor @param {string} variant @param {number} rows @param {number} n */
    setSource(tensor, variant, rows, n) {
        clearTimeout(this.timer);
        this.begin();
        this.source = { tensor, variant };
        this.rows = rows;
        this.n = n;
    }

    /** Tells it at once if it is there, else after a rest. @param {Cursor} cursor */
    ask(cursor) {
        clearTimeout(this.timer);
        if (this.gone) return;
        const x = cursor.column - (cursor.column % SIDE);
        const y = cursor.row - (cursor.row % SIDE);
        const key = JSON.stringify([this.source, x, y]);
        const block = this.kept.get(key);
        if (block) this.tell(cursor, block);
        else this.timer = setTimeout(() => void this.read(cursor, key, x, y), REST_MS);
    }

    /** @param {Cursor} cursor @param {Json} block */
    tell(cursor, block) {
        const of = (/** @type {string} */ side) => block[side][cursor.row - block.y][cursor.column - block.x];
        this.onValue(cursor, { base: of("base"), model: of("model"), pruned: of("pruned"), kept: of("kept") });
    }

    /** @param {Cursor} cursor @param {string} key @param {number} x @param {number} y */
    async read(cursor, key, x, y) {
        const mine = this.begin();
        const part = { x, y, w: Math.min(SIDE, this.n - x), h: Math.min(SIDE, this.rows - y) };
        try {
            const block = await get(ofJob(this.id, "/values"), { query: { ...this.source, ...part }, signal: mine });
            this.kept.set(key, block);
            if (this.kept.size > KEPT) this.kept.delete(/** @type {string} */ (this.kept.keys().next().value));
            if (!mine.aborted) this.tell(cursor, block);
        } catch (error) {
            if (mine.aborted || !(error instanceof Problem)) return;
            const again = pauseAfter(error);
            if (again) this.timer = setTimeout(() => void this.read(cursor, key, x, y), again);
            if (isGone(error)) this.gone = true;
            if (error.code !== "rate_limited") this.onProblem(error);
        }
    }
}
