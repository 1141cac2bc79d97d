// SPDX-License-Identifier: Apache-2.0
// Checkpoints as safetensors: written for tests, and read without any of kend's code.
import { readFileSync, writeFileSync } from "node:fs";

/** @typedef {{name: string, shape: number[], values: Float32Array}} Tensor */

/** F32 all of them. @param {string} path @param {Tensor[]} tensors */
export function writeCheckpoint(path, tensors) {
    const header = {};
    let end = 0;
    for (const { name, shape, values } of tensors) {
        header[name] = { dtype: "F32", shape, data_offsets: [end, end + values.byteLength] };
        end += values.byteLength;
    }
    const json = Buffer.from(JSON.stringify(header));
    const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, " ")]);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(padded.length));
    const data = tensors.map(({ values }) => Buffer.from(values.buffer, values.byteOffset, values.byteLength));
    writeFileSync(path, Buffer.concat([length, padded, ...data]));
}

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

/** Numbers that look like chance, the same each time. @param {number} seed */
export function numbers(seed) {
    let state = seed;
    return () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state / 2 ** 32 - 0.5;
    };
}
