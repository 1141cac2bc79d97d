// SPDX-License-Identifier: Apache-2.0
// All matrices of each role as small pictures in the same colours, layer by layer.
import { getPicture, ofJob, url } from "../api.js";
import { contrast, maxOf } from "../components/contrast.js";
import { choiceButtons } from "../components/field.js";
import { openJob } from "../components/job_head.js";
import { panel } from "../components/part.js";
import { problemPanel } from "../components/problem.js";
import { shapeText } from "../components/tensor_name.js";
import { variantField, variantOf } from "../components/variant_field.js";
import { h } from "../dom.js";
import { count, measure, percent } from "../format.js";
import { LEAST, pictureUrl, pictureWidth, views } from "../heatmap.js";
import { findTensor, matrixOf } from "../roles.js";
import { newest } from "../newest.js";
import { href, setQuery } from "../router.js";
import { readRoles } from "../tensors.js";
import { legend } from "./kenviz_legend.js";

/** @typedef {import("../api.js").Json} Json */
/** @typedef {{variant: string, view: string, max: string}} State as the address has it */

const SIDE = 128; // pixels of the longer side
const LEAST_SIDE = 8; // of the shorter one
const AGAIN_MS = 2_000; // after which a picture that did not come is asked for again ...
const TRIES = 10; // ... so often: a busy kend makes few at once

export function title() {
    return "Layers";
}

/** @param {HTMLImageElement} image @param {string} src */
function insist(image, src) {
    let tries = 1;
    image.addEventListener("error", () => {
        if (tries === TRIES) return;
        tries += 1;
        setTimeout(() => image.isConnected && (image.src = src), AGAIN_MS);
    });
}

/** @param {string} id @param {Json} tensor @param {State} state */
function tile(id, tensor, state) {
    const { rows, n } = matrixOf(tensor.shape);
    const query = { ...state, tensor: tensor.name };
    const side = (/** @type {number} */ length) => Math.max(LEAST_SIDE, Math.round((SIDE * length) / Math.max(n, rows)));
    const src = pictureUrl(id, { ...query, width: pictureWidth(n, rows, SIDE) });
    const image = h("img", { src, alt: "", loading: "lazy", width: side(n), height: side(rows) });
    insist(image, src);
    const words = `kept ${percent(tensor.kept_fraction)}`;
    return h(
        "a",
        { class: "layer-tile", href: href(["jobs", id, "kenviz"], query), title: tensor.name },
        h("span", { class: "hidden-label" }, tensor.name),
        image,
        h("span", { class: "number" }, tensor.numbers.join(".") || tensor.name),
        h("span", {}, words),
        h("span", { class: "quiet" }, `L2 ${measure(tensor.relative_l2)}`),
    );
}

/** @param {string} id @param {Json[]} tensors @param {State} state */
function tiles(id, tensors, state) {
    const drawn = tensors.map((tensor) => tile(id, tensor, state));
    return h("div", { class: "layer-tiles" }, drawn);
}

/** @param {string} id @param {Json} role @param {State} state */
function section(id, role, state) {
    const { shape } = role.tensors[0];
    const picture = url(ofJob(id, "/layers.png"), { role: role.role, ...state });
    const heading = h(
        "h2",
        { class: "break" },
        role.role,
        h("span", { class: "quiet small" }, ` ${count(role.tensors.length)} of ${shapeText(shape)}`),
    );
    const link = h("a", { class: "small", href: picture, download: `${role.role.replaceAll("*", "N")}-${state.view}.png` }, "PNG");
    return h(
        "section",
        { class: "panel stack", "aria-label": role.role },
        h("div", { class: "bar spread" }, heading, link),
        tiles(id, role.tensors, state),
    );
}

/** Roles of several layers each for itself, then what there is but once. @param {string} id @param {Json[]} roles @param {State} state */
function sections(id, roles, state) {
    const single = roles.filter(({ tensors }) => tensors.length === 1).flatMap(({ tensors }) => tensors);
    const many = roles.filter(({ tensors }) => tensors.length > 1).map((role) => section(id, role, state));
    return single.length > 0 ? [...many, panel("In one layer only", tiles(id, single, state))] : many;
}

/** Whether it has matrices, or vectors alone. @param {Json} role */
function hasMatrix(role) {
    return role.tensors.some((/** @type {Json} */ tensor) => tensor.shape.length > 1);
}

/** Where the scale of colours ends, which a picture's answer tells. @param {string} id @param {Json[]} roles @param {State} state @param {AbortSignal} signal */
async function readEnd(id, roles, state, signal) {
    const tensor = findTensor(roles, "")?.tensor.name;
    if (!tensor) return 0;
    const query = { ...state, tensor, w: 1, h: 1, width: LEAST };
    const { end } = await getPicture(ofJob(id, "/heatmap.png"), { query, signal });
    return end;
}

/** @param {HTMLElement} root @param {import("../router.js").Place} place */
export async function mount(root, place) {
    const { job, body } = await openJob(root, place, "layers");
    if (!body) return;
    const { query, signal } = place;
    const given = query.get("view") ?? "";
    /** @type {State} */
    const state = {
        variant: variantOf(job, query.get("variant")),
        view: views[given] && given !== "compare" ? given : "density",
        max: String(maxOf(query) || ""),
    };
    const matrices = h("div", { class: "stack" });
    const vectors = h("div", { class: "stack" });
    const details = h("details", { hidden: true }, h("summary", {}, h("h2", {}, "Vectors")), vectors);
    const colours = h("div", { class: "layer-legend" });
    /** @type {Json[]} */
    let roles = [];
    let known = false; // whether the roles are those of the variant
    let end = 0;
    const begin = newest(signal);

    async function draw(/** @type {AbortSignal} */ mine) {
        setQuery(state);
        const short = roles.filter((role) => !hasMatrix(role));
        matrices.replaceChildren(...sections(job.id, roles.filter(hasMatrix), state));
        vectors.replaceChildren(...sections(job.id, short, state));
        details.hidden = short.length === 0;
        const told = await readEnd(job.id, roles, state, mine);
        if (mine.aborted) return;
        end = told;
        const view = views[state.view];
        if (view) colours.replaceChildren(...legend(view, end));
    }
    async function show() {
        const mine = begin();
        try {
            const read = known ? roles : await readRoles(job.id, state.variant, mine);
            if (mine.aborted) return;
            roles = read;
            known = true;
            await draw(mine);
        } catch (error) {
            if (!mine.aborted) matrices.replaceChildren(problemPanel(error));
        }
    }
    const texts = Object.fromEntries(Object.entries(views).flatMap(([name, { text }]) => (name === "compare" ? [] : [[name, text]])));
    const choice = choiceButtons("View", texts, state.view, (view) => {
        choice.set(view);
        Object.assign(state, { view, max: "" });
        void show();
    });
    const strength = contrast(
        () => end,
        (max) => {
            state.max = String(max || "");
            void show();
        },
    );
    const variant = variantField(job, state.variant, (name) => {
        state.variant = name;
        known = false;
        void show();
    });
    body.append(h("div", { class: "bar spread" }, choice.element, colours, strength, variant), matrices, details);
    await show();
}
