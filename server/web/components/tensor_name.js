// SPDX-License-Identifier: Apache-2.0
// A tensor's name on one line: where there is no room for all of it, its beginning goes first, which tells least.
import { h } from "../dom.js";

/** @typedef {import("../dom.js").Child} Child */

const TOLD = 2; // parts of the name that stay

/** @param {string} name @param {string | null} [link] a place on the page */
export function tensorName(name, link = null) {
    const parts = name.split(".");
    const end = parts.slice(-TOLD).join(".");
    const begin = name.slice(0, name.length - end.length);
    const pieces = [begin ? h("span", { class: "begin" }, h("bdi", {}, begin)) : null, h("span", { class: "end" }, end)];
    return link
        ? h("a", { class: "tensor", href: link, title: name, "aria-label": name }, pieces)
        : h("span", { class: "tensor", title: name }, pieces);
}

/** @param {number[]} shape */
export function shapeText(shape) {
    return shape.length > 0 ? shape.join(" x ") : "scalar";
}
