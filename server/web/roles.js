// SPDX-License-Identifier: Apache-2.0
// Pruned tensors that do the same work in different layers.

/** @typedef {import("./api.js").Json} Json */

/** Rows and columns, as pruning sees a tensor. @param {number[]} shape */
export function matrixOf(shape) {
    const [first = 1, ...others] = shape;
    const n = others.reduce((product, side) => product * side, 1);
    return shape.length > 1 ? { rows: first, n } : { rows: 1, n: first };
}

/** Where a tensor is among the roles; without a name, or with one that is not there, the first matrix. @param {Json[]} roles @param {string} name */
export function findTensor(roles, name) {
    const all = roles.flatMap((role) =>
        role.tensors.map((/** @type {Json} */ tensor, /** @type {number} */ index) => ({ role, tensor, index })),
    );
    return all.find(({ tensor }) => tensor.name === name) ?? all.find(({ tensor }) => tensor.shape.length > 1) ?? all[0];
}
