// SPDX-License-Identifier: Apache-2.0
// The picture itself: tiles on a canvas between two rulers, moved by pointer, wheel, fingers and keys.
import { h } from "../dom.js";
import { partOf, SIDE } from "./kenviz_tiles.js";

/** @typedef {import("./kenviz_camera.js").Camera} Camera */
/** @typedef {import("./kenviz_tiles.js").Tiles} Tiles */
/** @typedef {import("./kenviz_tiles.js").Place} Place */
/** @typedef {{column: number, row: number}} Cursor */
/**
 * @typedef {object} Hand what the reader does
 * @property {() => void} onMove
 * @property {(cursor: Cursor, byKey: boolean) => void} onCursor
 * @property {(cursor: Cursor) => void} onPick a row is chosen
 * @property {(step: number) => void} onLayer
 */

const LEFT = 46; // the rulers
const TOP = 20;
const TICK_APART = 64;
const STEP = 48; // pixels that a key pans
const ZOOM = 1.5;
const LINE = 20; // pixels of a line that a wheel turns
const WHEEL = 400; // pixels of a wheel for a zoom by e
const PINCH = 60;
const STILL = 4; // pixels that a click may move
const HOLD_MS = 400; // so long the last picture stays while the first tile of another one comes
const PAPER = "#ffffff"; // where nothing is kept, as in the pictures

/** The least of 1, 2, 5, 10, ... values that are so many pixels apart. @param {number} pixels of a value */
function stepOf(pixels) {
    for (let ten = 1; ; ten *= 10) for (const factor of [1, 2, 5]) if (ten * factor * pixels >= TICK_APART) return ten * factor;
}

/** @param {number} begin @param {number} end @param {number} step */
function multiples(begin, end, step) {
    const first = Math.ceil(begin / step);
    const number = Math.max(0, Math.ceil(end / step) - first);
    return Array.from({ length: number }, (_, i) => (first + i) * step);
}

export class PictureCanvas {
    /** @param {Camera} camera @param {Tiles} tiles @param {Hand} hand @param {AbortSignal} signal */
    constructor(camera, tiles, hand, signal) {
        this.camera = camera;
        this.tiles = tiles;
        this.hand = hand;
        /** @type {Cursor | null} */
        this.cursor = null;
        /** @type {number | null} marked in the ruler */
        this.row = null;
        this.asked = 0;
        this.holdUntil = 0;
        this.timer = 0;
        this.signal = signal;
        /** @type {Map<number, {x: number, y: number}>} pointers that are down */
        this.down = new Map();
        this.moved = 0;
        this.canvas = h("canvas", { "aria-hidden": "true" });
        this.element = h("div", { class: "picture", tabindex: "0", role: "application", "aria-roledescription": "picture" }, this.canvas);
        this.listen();
        const resized = new ResizeObserver(() => this.resize());
        resized.observe(this.element);
        const themed = new MutationObserver(() => this.later()); // the rulers have the colours of the page
        themed.observe(document.documentElement, { attributes: true });
        const dark = matchMedia("(prefers-color-scheme: dark)");
        dark.addEventListener("change", () => this.draw(), { signal });
        signal.addEventListener("abort", () => {
            resized.disconnect();
            themed.disconnect();
            clearTimeout(this.timer);
            cancelAnimationFrame(this.asked);
        });
    }

    resize() {
        this.camera.resize(this.element.clientWidth - LEFT, this.element.clientHeight - TOP);
        this.draw();
        this.hand.onMove();
    }

    /** Another matrix or view: what was drawn stays until there is something of it. */
    hold() {
        this.holdUntil = performance.now() + HOLD_MS;
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.later(), HOLD_MS + 1);
        this.expect();
    }

    /** Something else will be seen. */
    expect() {
        this.element.setAttribute("aria-busy", "true"); // until it is drawn
        this.later();
    }

    later() {
        if (this.signal.aborted) return;
        this.asked ||= requestAnimationFrame(() => this.draw());
    }

    // ---- drawing

    /** The tiles in sight, the middle first. @param {number} ratio @returns {Place[]} */
    places(ratio) {
        const { camera } = this;
        const most = Math.max(0, Math.ceil(Math.log2(Math.max(camera.rows, camera.n) / SIDE)));
        const level = Math.min(most, Math.max(0, Math.round(Math.log2(1 / (camera.scale * ratio)))));
        const side = SIDE * 2 ** level;
        const { x, y, w, h: height } = camera.region();
        const middle = { i: (x + w / 2) / side - 0.5, j: (y + height / 2) / side - 0.5 };
        const found = [];
        for (let j = Math.floor(y / side); j * side < y + height; j += 1)
            for (let i = Math.floor(x / side); i * side < x + w; i += 1) found.push({ level, i, j });
        const far = (/** @type {Place} */ place) => Math.hypot(place.i - middle.i, place.j - middle.j);
        return found.sort((a, b) => far(a) - far(b));
    }

    /** A tile, or the part of a coarser one that shows the same. @param {CanvasRenderingContext2D} context @param {Place} place @param {number} ratio */
    drawTile(context, place, ratio) {
        const { camera, tiles } = this;
        const part = partOf(place, camera.rows, camera.n);
        for (let up = { ...place }; up.level < place.level + 8; up = { level: up.level + 1, i: up.i >> 1, j: up.j >> 1 }) {
            const tile = tiles.find(up);
            if (!tile) continue;
            const whole = partOf(up, camera.rows, camera.n);
            const from = { x: ((part.x - whole.x) / whole.w) * tile.width, y: ((part.y - whole.y) / whole.h) * tile.height };
            const size = { w: (part.w / whole.w) * tile.width, h: (part.h / whole.h) * tile.height };
            const left = Math.round(ratio * (LEFT + (part.x - camera.x) * camera.sx));
            const top = Math.round(ratio * (TOP + (part.y - camera.y) * camera.sy));
            const right = Math.round(ratio * (LEFT + (part.x + part.w - camera.x) * camera.sx));
            const bottom = Math.round(ratio * (TOP + (part.y + part.h - camera.y) * camera.sy));
            context.imageSmoothingEnabled = right - left < size.w;
            context.drawImage(tile, from.x, from.y, size.w, size.h, left, top, Math.max(1, right - left), Math.max(1, bottom - top));
            return up.level === place.level;
        }
        return false;
    }

    draw() {
        cancelAnimationFrame(this.asked);
        this.asked = 0;
        const { camera, tiles, canvas } = this;
        const ratio = devicePixelRatio || 1;
        const places = this.places(ratio);
        tiles.want(places);
        const some = places.some((place) => tiles.find(place));
        this.element.setAttribute("aria-busy", String(tiles.isExpected && !places.every((place) => tiles.find(place))));
        if (!some && performance.now() < this.holdUntil) return;
        const width = Math.round(this.element.clientWidth * ratio);
        const height = Math.round(this.element.clientHeight * ratio);
        if (canvas.width !== width) canvas.width = width;
        if (canvas.height !== height) canvas.height = height;
        const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.clearRect(0, 0, width, height);
        context.save();
        context.beginPath();
        context.rect(LEFT * ratio, TOP * ratio, width, height);
        context.clip();
        context.fillStyle = PAPER;
        const seen = camera.region();
        const left = LEFT + (seen.x - camera.x) * camera.sx;
        const top = TOP + (seen.y - camera.y) * camera.sy;
        context.fillRect(left * ratio, top * ratio, seen.w * camera.sx * ratio, seen.h * camera.sy * ratio);
        for (const place of places) this.drawTile(context, place, ratio);
        context.scale(ratio, ratio);
        this.drawCursor(context);
        context.restore();
        context.scale(ratio, ratio);
        this.drawRulers(context);
    }

    /** @param {CanvasRenderingContext2D} context */
    drawCursor(context) {
        const { camera, cursor } = this;
        if (!cursor) return;
        const w = Math.max(camera.sx, 5);
        const height = Math.max(camera.sy, 5);
        const x = LEFT + (cursor.column + 0.5 - camera.x) * camera.sx - w / 2;
        const y = TOP + (cursor.row + 0.5 - camera.y) * camera.sy - height / 2;
        context.lineWidth = 3;
        context.strokeStyle = "#ffffff";
        context.strokeRect(x, y, w, height);
        context.lineWidth = 1.5;
        context.strokeStyle = "#000000";
        context.strokeRect(x, y, w, height);
    }

    /** @param {CanvasRenderingContext2D} context */
    drawRulers(context) {
        const { camera } = this;
        const style = getComputedStyle(this.element);
        const seen = camera.region();
        context.fillStyle = style.color;
        context.strokeStyle = style.borderTopColor;
        context.font = `11px ${style.fontFamily}`;
        context.textAlign = "center";
        context.textBaseline = "middle";
        for (const column of multiples(seen.x, seen.x + seen.w, stepOf(camera.sx)))
            this.tick(context, String(column), LEFT + (column + 0.5 - camera.x) * camera.sx, TOP, 0, -10);
        context.textAlign = "right";
        for (const row of multiples(seen.y, seen.y + seen.h, stepOf(camera.sy * 2)))
            this.tick(context, String(row), LEFT, TOP + (row + 0.5 - camera.y) * camera.sy, -6, 0);
        if (this.row === null || this.row < seen.y - 1 || this.row > seen.y + seen.h) return;
        const y = TOP + (this.row + 0.5 - camera.y) * camera.sy;
        context.fillStyle = style.outlineColor;
        context.beginPath();
        context.moveTo(LEFT, y);
        context.lineTo(LEFT - 9, y - 6);
        context.lineTo(LEFT - 9, y + 6);
        context.fill();
    }

    /** @param {CanvasRenderingContext2D} context @param {string} text @param {number} x @param {number} y @param {number} dx to the text @param {number} dy */
    tick(context, text, x, y, dx, dy) {
        const left = Math.round(x - 0.5) + 0.5; // lines of one pixel
        const top = Math.round(y - 0.5) + 0.5;
        context.fillText(text, Math.round(x) + dx, Math.round(y) + dy);
        context.beginPath();
        context.moveTo(left, top);
        context.lineTo(left + Math.sign(dx) * 4, top + Math.sign(dy) * 4);
        context.stroke();
    }

    // ---- what the reader does

    listen() {
        const { element } = this;
        element.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
        element.addEventListener("pointerdown", (event) => this.onDown(event));
        element.addEventListener("pointermove", (event) => this.onPointer(event));
        for (const type of /** @type {const} */ (["pointerup", "pointercancel"]))
            element.addEventListener(type, (event) => this.onUp(event));
        element.addEventListener("dblclick", (event) => this.zoom(2 * ZOOM, this.place(event)));
        element.addEventListener("keydown", (event) => this.onKey(event));
    }

    /** Where in the picture. @param {MouseEvent} event */
    place(event) {
        const box = this.element.getBoundingClientRect();
        const { clientLeft, clientTop } = this.element;
        return { x: event.clientX - box.left - clientLeft - LEFT, y: event.clientY - box.top - clientTop - TOP };
    }

    changed() {
        this.expect();
        this.hand.onMove();
    }

    /** @param {number} factor @param {{x: number, y: number}} [at] */
    zoom(factor, at) {
        this.camera.zoom(factor, at?.x, at?.y);
        this.changed();
    }

    fit() {
        this.camera.fit();
        this.changed();
    }

    /** @param {Cursor | null} cursor @param {boolean} byKey */
    setCursor(cursor, byKey) {
        if (!cursor || (cursor.column === this.cursor?.column && cursor.row === this.cursor.row)) return;
        this.cursor = cursor;
        this.later();
        this.hand.onCursor(cursor, byKey);
    }

    onWheel(/** @type {WheelEvent} */ event) {
        event.preventDefault();
        const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE * event.deltaY : event.deltaY;
        this.zoom(Math.exp(-pixels / (event.ctrlKey ? PINCH : WHEEL)), this.place(event)); // Ctrl: two fingers on a touch pad
    }

    onDown(/** @type {PointerEvent} */ event) {
        if (event.button !== 0) return;
        this.element.setPointerCapture(event.pointerId);
        this.down.set(event.pointerId, this.place(event));
        if (this.down.size === 1) this.moved = 0;
    }

    onPointer(/** @type {PointerEvent} */ event) {
        const now = this.place(event);
        const before = this.down.get(event.pointerId);
        if (!before) {
            if (event.pointerType === "mouse") this.setCursor(this.camera.at(now.x, now.y), false);
            return;
        }
        this.moved += Math.hypot(now.x - before.x, now.y - before.y);
        const other = [...this.down].find(([id]) => id !== event.pointerId)?.[1];
        this.down.set(event.pointerId, now);
        if (other) {
            const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
            this.camera.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
            const apart = Math.hypot(before.x - other.x, before.y - other.y);
            this.camera.zoom(Math.hypot(now.x - other.x, now.y - other.y) / Math.max(1, apart), middle.x, middle.y);
        } else if (this.moved > STILL) this.camera.pan(now.x - before.x, now.y - before.y);
        this.changed();
    }

    onUp(/** @type {PointerEvent} */ event) {
        if (!this.down.delete(event.pointerId) || this.moved > STILL || event.type !== "pointerup") return;
        const { x, y } = this.place(event);
        const cursor = this.camera.at(x, y);
        this.setCursor(cursor, false);
        if (cursor) this.hand.onPick(cursor);
    }

    onKey(/** @type {KeyboardEvent} */ event) {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const step = /** @type {Record<string, [number, number]>} */ ({
            ArrowLeft: [-1, 0],
            ArrowRight: [1, 0],
            ArrowUp: [0, -1],
            ArrowDown: [0, 1],
        })[event.key];
        if (step && event.shiftKey) this.moveCursor(...step);
        else if (step) this.camera.pan(-STEP * step[0], -STEP * step[1]);
        else if (event.key === "+" || event.key === "=") this.camera.zoom(ZOOM);
        else if (event.key === "-" || event.key === "_") this.camera.zoom(1 / ZOOM);
        else if (event.key === "0" || event.key === "Home") this.camera.fit();
        else if (event.key === "Enter" && this.cursor) this.hand.onPick(this.cursor);
        else if (event.key === "PageDown" || event.key === "PageUp") this.hand.onLayer(event.key === "PageDown" ? 1 : -1);
        else return;
        event.preventDefault();
        this.changed();
    }

    /** @param {number} dx columns @param {number} dy rows */
    moveCursor(dx, dy) {
        const { camera } = this;
        const { x, y, w, h: height } = camera.region();
        const from = this.cursor ?? { column: Math.floor(x + w / 2) - dx, row: Math.floor(y + height / 2) - dy };
        const column = Math.min(Math.max(from.column + dx, 0), camera.n - 1);
        const row = Math.min(Math.max(from.row + dy, 0), camera.rows - 1);
        camera.follow({ column, row });
        this.setCursor({ column, row }, true);
    }
}
