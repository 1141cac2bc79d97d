// SPDX-License-Identifier: Apache-2.0
// Pictures of parts of a matrix: 256 x 256 pixels, of which each is 1, 2, 4, ... values wide and high. Those seen last are kept.
import { getPicture, isAbort, ofJob, pauseAfter, Problem } from "../api.js";
import { LEAST } from "../heatmap.js";

/** @typedef {import("../heatmap.js").Query} Query */
/** @typedef {{level: number, i: number, j: number}} Place level: a pixel is 2^level values wide; i, j: column and row of tiles */

export const SIDE = 256;
const KEPT = 256; // tiles: 64 MiB
const AT_ONCE = 4;
const COMPARED_AT_ONCE = 2; // kend lets an owner do no more

/** What a tile shows. @param {Place} place @param {number} rows @param {number} n */
export function partOf({ level, i, j }, rows, n) {
    const side = SIDE * 2 ** level;
    return { x: i * side, y: j * side, w: Math.min(side, n - i * side), h: Math.min(side, rows - j * side) };
}

export class Tiles {
    /** @param {string} id of the job @param {AbortSignal} signal @param {() => void} onTile @param {(problem: Problem | null) => void} onProblem null: it is over */
    constructor(id, signal, onTile, onProblem) {
        this.id = id;
        this.signal = signal;
        this.onTile = onTile;
        this.onProblem = onProblem;
        /** @type {Map<string, ImageBitmap>} the least used first */
        this.kept = new Map();
        /** @type {Map<string, AbortController>} */
        this.loading = new Map();
        /** @type {Map<string, number>} where the scale of colours ends, by source */
        this.ends = new Map();
        /** @type {Place[]} */
        this.wanted = [];
        this.failed = false; // for good: nothing is asked for any more
        this.told = ""; // the problem that goes on, by code
        this.waitUntil = 0;
        this.timer = 0;
        /** @type {Query} */
        this.query = {};
        this.rows = 1;
        this.n = 1;
        this.prefix = "";
        signal.addEventListener("abort", () => this.close());
    }

    /** What is drawn from now on. @param {Query} query @param {number} rows @param {number} n */
    setSource(query, rows, n) {
        this.stop();
        this.query = query;
        this.rows = rows;
        this.n = n;
        this.failed = false;
        this.told = "";
        this.prefix = JSON.stringify(query);
    }

    /** Where the scale of colours ends; 0: not known yet. */
    get end() {
        return this.ends.get(this.prefix) ?? 0;
    }

    /** Whether there will be some: not after a failure. */
    get isExpected() {
        return !this.failed;
    }

    /** The reader leaves. */
    close() {
        this.stop();
        clearTimeout(this.timer);
        for (const tile of this.kept.values()) tile.close();
        this.kept.clear();
    }

    stop() {
        for (const request of this.loading.values()) request.abort();
        this.loading.clear();
        this.wanted = [];
    }

    /** @param {Place} place */
    keyOf({ level, i, j }) {
        return `${this.prefix} ${level} ${i} ${j}`;
    }

    /** @param {Place} place */
    find(place) {
        const key = this.keyOf(place);
        const tile = this.kept.get(key);
        if (tile) {
            this.kept.delete(key);
            this.kept.set(key, tile);
        }
        return tile;
    }

    /** Asks for those that are not there, in this order; for no others any more. @param {Place[]} places */
    want(places) {
        const keys = new Set(places.map((place) => this.keyOf(place)));
        for (const [key, request] of this.loading) {
            if (keys.has(key)) continue;
            request.abort();
            this.loading.delete(key);
        }
        this.wanted = places.filter((place) => !this.kept.has(this.keyOf(place)) && !this.loading.has(this.keyOf(place)));
        this.go();
    }

    go() {
        if (this.signal.aborted || this.prefix === "" || this.failed || Date.now() < this.waitUntil) return;
        const most = this.query.view === "compare" ? COMPARED_AT_ONCE : AT_ONCE;
        while (this.loading.size < most) {
            const place = this.wanted.shift();
            if (!place) return;
            void this.load(place);
        }
    }

    /** @param {Place} place */
    async load(place) {
        const key = this.keyOf(place);
        const request = new AbortController();
        this.loading.set(key, request);
        try {
            const part = partOf(place, this.rows, this.n);
            const width = Math.max(LEAST, Math.ceil(part.w / 2 ** place.level));
            const query = { ...this.query, ...part, width };
            const { picture, end } = await getPicture(ofJob(this.id, "/heatmap.png"), { query, signal: request.signal });
            const tile = await createImageBitmap(picture);
            if (request.signal.aborted) {
                tile.close();
                return;
            }
            this.keep(key, tile);
            this.ends.set(this.prefix, end);
            if (this.told) this.onProblem(null);
            this.told = "";
            this.onTile();
        } catch (error) {
            if (!request.signal.aborted && !isAbort(error)) this.fail(place, /** @type {Problem} */ (error));
        } finally {
            if (this.loading.get(key) === request) this.loading.delete(key);
            this.go();
        }
    }

    /** @param {string} key @param {ImageBitmap} tile */
    keep(key, tile) {
        this.kept.set(key, tile);
        for (const [old, other] of this.kept) {
            if (this.kept.size <= KEPT) break;
            this.kept.delete(old);
            other.close();
        }
    }

    /** What may pass is asked for again; all but what is too much just now is told, once. @param {Place} place @param {Problem} problem */
    fail(place, problem) {
        const again = problem instanceof Problem ? pauseAfter(problem) : 0;
        this.failed = !again;
        if (again) {
            this.wanted.unshift(place);
            this.waitUntil = Date.now() + again;
            clearTimeout(this.timer);
            this.timer = setTimeout(() => this.go(), again + 1);
        }
        if (problem.code === "rate_limited" || problem.code === this.told) return;
        this.told = problem.code;
        this.onProblem(problem);
    }
}
