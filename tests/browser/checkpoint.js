// SPDX-License-Identifier: Apache-2.0
// Checkpoints as safetensors, read without any of kend's code.
import { readFileSync } from "node:fs";

/** The values of a row of a BF16 matrix. @param {string} path @param {string} name @param {number} row */
export function readRow(path, name, row) {
    const bytes = readFileSync(path);
    const length = Number(bytes.readBigUInt64LE(0));
    const { dtype, shape, data_offsets } = JSON.parse(bytes.subarray(8, 8 + length).toString())[name];
    if (dtype !== "BF16") throw new Error(`${name} is ${dtype}`);
    const word = Buffer.alloc(4);
    return Array.from({ length: shape[1] }, (_, column) => {
        bytes.copy(
            word,
            2,
            8 + length + data_offsets[0] + 2 * (row * shape[1] + column),
            8 + length + data_offsets[0] + 2 * (row * shape[1] + column + 1),
        );
        return word.readFloatLE(0);
    });
}
