// SPDX-License-Identifier: Apache-2.0
// What of a matrix is seen through a place of some pixels. No elements here: numbers alone.

/** @typedef {{x: number, y: number, w: number, h: number}} Region of columns and rows */

const CLOSEST = 40; // pixels of one value
const THIN = 8; // a whole matrix that would be thinner ...
const STRIP = 64; // ... is stretched to so many pixels

/** By how much. @param {number} pixels that it would have */
function stretch(pixels) {
    return pixels < THIN ? STRIP / pixels : 1;
}

export class Camera {
    /** @param {number} rows @param {number} n columns */
    constructor(rows, n) {
        this.width = 1; // pixels of the place
        this.height = 1;
        this.rows = rows;
        this.n = n;
        this.stretchX = 1;
        this.stretchY = 1;
        this.x = 0; // column and row in the upper left corner; with fractions
        this.y = 0;
        this.scale = 1; // pixels of a value, but for the stretch
        this.setMatrix(rows, n);
    }

    /** Another one; what is seen stays, if it has that. @param {number} rows @param {number} n */
    setMatrix(rows, n) {
        this.rows = rows;
        this.n = n;
        this.stretchX = rows < n ? 1 : stretch((n * this.height) / rows);
        this.stretchY = rows < n ? stretch((rows * this.width) / n) : 1;
    }

    /** Pixels of a column. */
    get sx() {
        return this.scale * this.stretchX;
    }

    /** Pixels of a row. */
    get sy() {
        return this.scale * this.stretchY;
    }

    /** The scale at which all is seen. */
    get whole() {
        return Math.min(this.width / (this.n * this.stretchX), this.height / (this.rows * this.stretchY));
    }

    /** @param {number} width @param {number} height pixels */
    resize(width, height) {
        const seen = this.region();
        this.width = Math.max(1, width);
        this.height = Math.max(1, height);
        this.setMatrix(this.rows, this.n);
        this.show(seen);
    }

    fit() {
        this.show({ x: 0, y: 0, w: this.n, h: this.rows });
    }

    /** All of a region, as large as it can be, in the middle. @param {Region} region */
    show({ x, y, w, h }) {
        this.scale = Math.min(this.width / (w * this.stretchX), this.height / (h * this.stretchY));
        this.limitScale();
        this.x = x + w / 2 - this.width / this.sx / 2;
        this.y = y + h / 2 - this.height / this.sy / 2;
        this.clamp();
    }

    /** What is seen, with fractions. @returns {Region} */
    region() {
        const x = Math.max(0, this.x);
        const y = Math.max(0, this.y);
        const right = Math.min(this.n, this.x + this.width / this.sx);
        const bottom = Math.min(this.rows, this.y + this.height / this.sy);
        return { x, y, w: Math.max(1e-9, right - x), h: Math.max(1e-9, bottom - y) };
    }

    /** @param {number} factor @param {number} [px] the pixel that stays where it is @param {number} [py] */
    zoom(factor, px = this.width / 2, py = this.height / 2) {
        const column = this.x + px / this.sx;
        const row = this.y + py / this.sy;
        this.scale *= factor;
        this.limitScale();
        this.x = column - px / this.sx;
        this.y = row - py / this.sy;
        this.clamp();
    }

    /** @param {number} dx pixels that the picture goes to the right @param {number} dy */
    pan(dx, dy) {
        this.x -= dx / this.sx;
        this.y -= dy / this.sy;
        this.clamp();
    }

    /** The value at a pixel; null beside the matrix. @param {number} px @param {number} py */
    at(px, py) {
        const column = Math.floor(this.x + px / this.sx);
        const row = Math.floor(this.y + py / this.sy);
        return column >= 0 && column < this.n && row >= 0 && row < this.rows ? { column, row } : null;
    }

    /** Pans as little as is needed to see a value. @param {{column: number, row: number}} cursor */
    follow({ column, row }) {
        const w = this.width / this.sx;
        const h = this.height / this.sy;
        if (column < this.x) this.x = column;
        if (column + 1 > this.x + w) this.x = column + 1 - w;
        if (row < this.y) this.y = row;
        if (row + 1 > this.y + h) this.y = row + 1 - h;
        this.clamp();
    }

    limitScale() {
        const { whole } = this;
        this.scale = Math.min(Math.max(this.scale, whole), Math.max(CLOSEST, whole));
    }

    /** The matrix begins at the rulers where it is smaller than the place, else it fills it. */
    clamp() {
        const w = this.width / this.sx;
        const h = this.height / this.sy;
        this.x = w >= this.n ? 0 : Math.min(Math.max(this.x, 0), this.n - w);
        this.y = h >= this.rows ? 0 : Math.min(Math.max(this.y, 0), this.rows - h);
    }
}
