// SPDX-License-Identifier: Apache-2.0
// Rows of the report, and the layers that they belong to.
import { getAll, ofJob } from "./api.js";

/** @typedef {import("./api.js").Json} Json */
/**
 * @typedef {object} Layer
 * @property {string} name what its tensors' names begin with
 * @property {Json[]} tensors
 * @property {{kept: number, reset: number, unchanged: number}} shares
 */

/**
 * All rows of a variant; `onPage` is told how many there are so far.
 * @param {string} id @param {string} variant @param {AbortSignal} signal @param {(count: number) => void} [onPage]
 */
export function readTensors(id, variant, signal, onPage) {
    return getAll(ofJob(id, "/tensors"), { query: { variant }, signal }, (_, count) => onPage?.(count));
}

/** Whether its rows were pruned: then there are pictures of it. */
export function isPruned(/** @type {Json} */ row) {
    return row.method !== null;
}

/** The pruned tensors by role: `[{role, tensors}]`. @param {string} id @param {string} variant @param {AbortSignal} signal */
export function readRoles(id, variant, signal) {
    return getAll(ofJob(id, "/layers"), { query: { variant }, signal });
}

/** "encoder.layer.3.output.dense.weight" is of "encoder.layer.3"; a name without a number of what stands before its last two parts. */
export function layerName(/** @type {string} */ tensor) {
    const parts = tensor.split(".");
    const number = parts.findIndex((part) => /^\d+$/.test(part));
    return parts.slice(0, number >= 0 ? number + 1 : Math.max(1, parts.length - 2)).join(".");
}

/** Layers in the order in which they first come. @param {Json[]} rows @returns {Layer[]} */
export function layersOf(rows) {
    /** @type {Map<string, Layer>} */
    const layers = new Map();
    for (const row of rows) {
        const name = layerName(row.name);
        const layer = layers.get(name) ?? { name, tensors: [], shares: { kept: 0, reset: 0, unchanged: 0 } };
        layers.set(name, layer);
        layer.tensors.push(row);
        if (row.action !== "prune" && row.action !== "reset") continue; // kept by rule, copied or added: no part of the shares
        layer.shares.kept += row.kept;
        layer.shares.reset += row.reset;
        layer.shares.unchanged += row.unchanged;
    }
    return [...layers.values()];
}

/** The middle one of some numbers; NaN of none. @param {number[]} numbers */
export function median(numbers) {
    const sorted = [...numbers].sort((a, b) => a - b);
    const half = sorted.length >> 1;
    if (sorted.length % 2) return /** @type {number} */ (sorted[half]);
    return (Number(sorted[half - 1]) + Number(sorted[half])) / 2;
}
