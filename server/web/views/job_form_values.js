// SPDX-License-Identifier: Apache-2.0
// Between what is typed and what a document holds.

/** @typedef {import("../api.js").Json} Json */

export const METHODS = { ken: "ken: the paper's", density: "density", magnitude: "magnitude", random: "random" };
export const RESCALES = { none: "none: as the paper", l1: "l1: keeps the size of the update" };
export const AMOUNTS = { keep: "Share of each row", k: "Values in each row" };

/** @param {Json | string | undefined} input a URL or {url, sha256} */
export function urlOf(input) {
    return typeof input === "string" ? input : (input?.url ?? "");
}

/** The input with this URL; a digest belongs to the URL that it came with. @param {Json | string | undefined} before @param {string} text */
export function withUrl(before, text) {
    return before !== undefined && urlOf(before) === text ? before : text;
}

/** @param {string} text lines of KEY=VALUE */
export function metadataOf(text) {
    const lines = text.split("\n").filter((line) => line.trim());
    return Object.fromEntries(lines.map((line) => [line.split("=")[0]?.trim() ?? "", line.split("=").slice(1).join("=").trim()]));
}

/** As a number where it is one; else as it was typed, for kend to say what is wrong with it. @param {string} text */
function numberOf(text) {
    const number = Number(text.replace(",", "."));
    return text.trim() && Number.isFinite(number) ? number : text;
}

/** Sets a member; one that is what holds without it is left out. @param {Json} document @param {string} key @param {unknown} value @param {unknown} [preset] */
export function put(document, key, value, preset = "") {
    if (value === preset) delete document[key];
    else document[key] = value;
}

/** How much to keep, in a document or a variant of one. @param {Json} document @param {string} unit @param {string} text */
export function putAmount(document, unit, text) {
    delete document.k;
    delete document.keep;
    document[unit] = numberOf(text);
}

/** @param {Json} document @returns {{unit: string, text: string} | null} */
export function amountOf(document) {
    if (document.k !== undefined) return { unit: "k", text: String(document.k) };
    return document.keep === undefined ? null : { unit: "keep", text: String(document.keep) };
}
