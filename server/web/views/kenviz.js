// SPDX-License-Identifier: Apache-2.0
// KENviz: what pruning did to a matrix of any size, to be moved through; all that is chosen is in the address.
import { contrast, maxOf } from "../components/contrast.js";
import { choiceButtons } from "../components/field.js";
import { openJob } from "../components/job_head.js";
import { announce } from "../components/notice.js";
import { otherField, otherOf } from "../components/other_field.js";
import { problemPanel } from "../components/problem.js";
import { variantField, variantOf } from "../components/variant_field.js";
import { h, setText } from "../dom.js";
import { count } from "../format.js";
import { pictureUrl, pictureWidth, views } from "../heatmap.js";
import { newest } from "../newest.js";
import { matrixOf } from "../roles.js";
import { setQuery } from "../router.js";
import { readRoles } from "../tensors.js";
import { Camera } from "./kenviz_camera.js";
import { PictureCanvas } from "./kenviz_canvas.js";
import { layerChoice } from "./kenviz_layers.js";
import { legend } from "./kenviz_legend.js";
import { readout } from "./kenviz_readout.js";
import { rowInspector } from "./kenviz_row.js";
import { Tiles } from "./kenviz_tiles.js";
import { Values } from "./kenviz_values.js";

/** @typedef {import("../api.js").Json} Json */
/** @typedef {import("../components/other_field.js").Other} Other */
/** @typedef {import("./kenviz_canvas.js").Cursor} Cursor */

const SAVE_MS = 150;
const PNG_SIDE = 2048; // pixels of the longer side, at most
const PNG_LEAST = 512; // and at least
const NOTHING = 1e-6; // of a row or column: what rounding may leave
const DIGITS = 4; // of rows and columns in the address: less than a pixel
const KEYS =
    "Arrows move the picture, with Shift the cursor; + and - zoom, 0 shows all; Enter looks at the cursor's row; Page Up and Page Down go to the layer before and behind.";

export function title() {
    return "KENviz";
}

/** The region of an address; null if one is missing. @param {URLSearchParams} query */
function regionOf(query) {
    const numbers = ["x", "y", "w", "h"].map((name) => Number(query.get(name) || NaN));
    const [x = NaN, y = NaN, w = NaN, height = NaN] = numbers;
    return numbers.every((number) => number >= 0) && w > 0 && height > 0 ? { x, y, w, h: height } : null;
}

/** @param {string} text @param {string} label what it does @param {() => void} click */
function button(text, label, click) {
    return h("button", { type: "button", "aria-label": label, title: label, on: { click } }, text);
}

/** One visit of the view. */
class Kenviz {
    /** @param {Json} job @param {import("../router.js").Place} place */
    constructor(job, { query, signal }) {
        this.job = job;
        this.signal = signal;
        this.begin = newest(signal);
        this.variant = variantOf(job, query.get("variant"));
        this.view = views[query.get("view") ?? ""] ? /** @type {string} */ (query.get("view")) : "density";
        /** @type {Other | null} */
        this.other = otherOf(job, this.variant, query);
        this.tensor = query.get("tensor") ?? "";
        this.given = regionOf(query);
        const row = query.get("row");
        /** @type {number | null} */
        this.row = row && /^\d{1,15}$/.test(row) ? Number(row) : null;
        this.max = maxOf(query); // where the scale of colours ends; 0: the same for all tensors
        this.timer = 0;
        this.camera = new Camera(1, 1);
        const trouble = (/** @type {unknown} */ error) => this.trouble.replaceChildren(...(error ? [problemPanel(error)] : []));
        this.tiles = new Tiles(job.id, signal, () => this.onTile(), trouble);
        this.picture = new PictureCanvas(
            this.camera,
            this.tiles,
            {
                onMove: () => this.save(),
                onCursor: (cursor, byKey) => this.onCursor(cursor, byKey),
                onPick: ({ row }) => this.setRow(row),
                onLayer: (step) => this.layers.step(step),
            },
            signal,
        );
        this.layers = layerChoice((tensor) => this.setTensor(tensor));
        this.readout = readout();
        const gone = () => this.onGone();
        this.values = new Values(
            job.id,
            signal,
            (cursor, value) => {
                this.readout.setValue(cursor, value);
                this.readout.note("");
                if (this.keyed) announce(this.readout.inWords());
            },
            (problem) => (problem.code === "inputs_gone" ? gone() : this.readout.note(problem.message)),
        );
        this.rows = rowInspector(job.id, signal, (row) => this.setRow(row), gone);
        this.keyed = false;
        this.trouble = h("div");
        this.legend = h("div", { class: "stack" });
        this.shown = { view: "", end: 0 };
        this.contrast = contrast(
            () => this.tiles.end,
            (max) => {
                this.max = max;
                this.apply();
            },
        );
        this.download = h("a", { class: "button", download: "" }, "PNG");
        this.position = h("span", { class: "small quiet" });
        signal.addEventListener("abort", () => clearTimeout(this.timer));
    }

    /** All elements. */
    build() {
        const { picture } = this;
        const help = h("p", { class: "small quiet", id: "kenviz-keys" }, KEYS);
        picture.element.setAttribute("aria-describedby", help.id);
        const texts = Object.fromEntries(Object.entries(views).map(([name, { text }]) => [name, text]));
        const view = choiceButtons("View", texts, this.view, (name) => {
            view.set(name);
            this.view = name;
            this.apply();
        });
        const zoom = h(
            "div",
            { class: "bar together" },
            button("-", "Zoom out", () => picture.zoom(1 / 2)),
            button("+", "Zoom in", () => picture.zoom(2)),
            button("All", "Show all of the matrix", () => picture.fit()),
            this.download,
        );
        const variant = variantField(this.job, this.variant, (name) => {
            this.variant = name;
            void this.read();
        });
        this.otherPlace = otherField(this.job, this.other, this.signal, (other) => {
            this.other = other;
            this.apply();
        });
        const choices = h("div", { class: "kenviz-choices" }, this.layers.element, variant, this.otherPlace);
        const side = h("div", { class: "stack kenviz-side" }, this.legend, this.contrast, this.readout.element, help);
        const bar = h("div", { class: "bar spread" }, view.element, this.position, zoom);
        return [choices, bar, this.trouble, h("div", { class: "kenviz" }, picture.element, side), this.rows.element];
    }

    async read() {
        const mine = this.begin();
        try {
            const roles = await readRoles(this.job.id, this.variant, mine);
            if (mine.aborted) return;
            if (roles.length > 0) this.layers.setRoles(roles, this.tensor);
            else this.showNothing();
        } catch (error) {
            if (!mine.aborted) this.trouble.replaceChildren(problemPanel(error));
        }
    }

    showNothing() {
        this.tiles.failed = true;
        this.picture.later();
        this.trouble.replaceChildren(h("p", { class: "problem warning" }, "No tensor was pruned: there is nothing to see."));
    }

    /** What is seen stays, where the other matrix is of the same shape. @param {Json} tensor */
    setTensor(tensor) {
        const { rows, n } = matrixOf(tensor.shape);
        const same = this.tensor !== "" && rows === this.camera.rows && n === this.camera.n;
        this.tensor = tensor.name;
        if (!same) {
            this.camera.setMatrix(rows, n);
            if (this.given) this.camera.show(this.given);
            else this.camera.fit();
            this.picture.cursor = null;
            this.readout.clear();
        }
        this.given = null;
        if (this.row !== null) this.row = Math.min(this.row, rows - 1);
        this.apply();
    }

    /** Asks for what is chosen. */
    apply() {
        const { tensor, variant, view } = this;
        const { rows, n } = this.camera;
        const compared = view === "compare";
        this.trouble.replaceChildren();
        if (this.otherPlace) this.otherPlace.hidden = !compared;
        this.tiles.setSource(this.chosen(), rows, n);
        this.tiles.failed = compared && !this.other;
        if (this.tiles.failed) this.trouble.replaceChildren(h("p", { class: "problem warning" }, "Choose what to compare with."));
        this.values.setSource(tensor, variant, rows, n);
        this.rows.setSource(tensor, variant, rows);
        this.showLegend();
        this.picture.element.setAttribute("aria-label", `${views[view]?.text} of ${tensor}, ${count(rows)} rows, ${count(n)} columns`);
        this.picture.hold();
        if (this.picture.cursor) this.onCursor(this.picture.cursor, false);
        if (this.row !== null) this.setRow(this.row);
        this.save();
    }

    showLegend() {
        const view = views[this.view];
        const { end } = this.tiles;
        if (!view || (this.shown.view === this.view && this.shown.end === end)) return;
        this.shown = { view: this.view, end };
        this.legend.replaceChildren(...legend(view, end));
        this.contrast.hidden = view.scale === "agreement";
    }

    onTile() {
        this.picture.later();
        this.showLegend();
    }

    /** @param {Cursor} cursor @param {boolean} byKey */
    onCursor(cursor, byKey) {
        this.keyed = byKey;
        this.readout.setPlace(cursor);
        this.values.ask(cursor);
        if (byKey && this.values.gone) announce(this.readout.inWords());
    }

    setRow(/** @type {number} */ row) {
        this.row = row;
        this.picture.row = row;
        this.picture.later();
        this.rows.show(row);
        this.save();
    }

    /** Said once; pictures go on without values. */
    onGone() {
        if (!this.values.gone || !this.rows.element.hidden)
            this.readout.note(
                "The inputs of this job are not in the cache any more: single values and rows cannot be shown. Pictures need none.",
            );
        this.values.gone = true;
        this.rows.end();
    }

    /** The region in whole columns and rows. */
    region() {
        const { x, y, w, h: height } = this.camera.region();
        const left = Math.floor(x + NOTHING);
        const top = Math.floor(y + NOTHING);
        return { x: left, y: top, w: Math.ceil(x + w - NOTHING) - left, h: Math.ceil(y + height - NOTHING) - top };
    }

    /** What is asked for, but for the region. @returns {import("../heatmap.js").Query} */
    chosen() {
        const { tensor, variant, view } = this;
        if (view === "compare") return { tensor, variant, view, ...(this.other ?? {}) };
        return { tensor, variant, view, max: this.max ? String(this.max) : "" };
    }

    /** When the picture rests. */
    save() {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => {
            this.saveAddress();
            this.tellRegion();
        }, SAVE_MS);
    }

    saveAddress() {
        if (!this.tensor) return; // which one is not known yet
        const seen = this.camera.region();
        const all = seen.w > this.camera.n - NOTHING && seen.h > this.camera.rows - NOTHING;
        const region = Object.entries(all ? {} : seen).map(([name, value]) => [name, String(Number(value.toFixed(DIGITS)))]);
        setQuery({
            .../** @type {Record<string, string>} */ (this.chosen()),
            ...Object.fromEntries(region),
            row: this.row === null ? "" : String(this.row),
        });
    }

    /** In words, and as a file to be had. */
    tellRegion() {
        const part = this.region();
        const width = pictureWidth(part.w, part.h, Math.min(PNG_SIDE, Math.max(part.w, part.h, PNG_LEAST)));
        this.download.href = pictureUrl(this.job.id, { ...this.chosen(), ...part, width, legend: true });
        this.download.download = `${this.tensor}-${this.view}.png`;
        const rows = `rows ${count(part.y)} to ${count(part.y + part.h - 1)}`;
        setText(this.position, `${rows}, columns ${count(part.x)} to ${count(part.x + part.w - 1)}`);
    }
}

/** @param {HTMLElement} root @param {import("../router.js").Place} place */
export async function mount(root, place) {
    const { job, body } = await openJob(root, place, "kenviz");
    if (!body) return;
    const kenviz = new Kenviz(job, place);
    body.append(...kenviz.build());
    await kenviz.read();
}
