// SPDX-License-Identifier: Apache-2.0
// Where in a JSON text a JSON pointer leads.

const TOKEN = /\s*(?:("(?:[^"\\]|\\.)*")|([{}[\],:])|([^\s{}[\],:"]+))/gy;

/** @typedef {{text: string, begin: number, end: number}} Token */

/** @param {string} json @returns {Token[]} */
function tokens(json) {
    TOKEN.lastIndex = 0;
    const found = [];
    for (let match = TOKEN.exec(json); match; match = TOKEN.exec(json)) {
        const text = /** @type {string} */ (match[1] ?? match[2] ?? match[3]);
        found.push({ text, begin: TOKEN.lastIndex - text.length, end: TOKEN.lastIndex });
    }
    return found;
}

/** The index behind the value that begins at i. @param {Token[]} list @param {number} i */
function skip(list, i) {
    let depth = 0;
    do {
        const text = list[i]?.text ?? "";
        if (text === "{" || text === "[") depth += 1;
        if (text === "}" || text === "]") depth -= 1;
        i += 1;
    } while (depth > 0 && i < list.length);
    return i;
}

/** The index of the member's or item's value in the object or array at i; -1 if there is none. */
function step(/** @type {Token[]} */ list, /** @type {number} */ i, /** @type {string} */ part) {
    const isObject = list[i]?.text === "{";
    if (!isObject && list[i]?.text !== "[") return -1;
    let at = i + 1;
    for (let index = 0; at < list.length && list[at]?.text !== "}" && list[at]?.text !== "]"; index += 1) {
        const name = isObject ? JSON.parse(list[at]?.text ?? '""') : String(index);
        if (isObject) at += 2;
        if (name === part) return at;
        at = skip(list, at);
        if (list[at]?.text === ",") at += 1;
    }
    return -1;
}

/**
 * Begin and end of the value in a valid JSON text; of the last one on the way that is there, if it is not (a field that is missing).
 * @param {string} json @param {string} pointer @returns {[number, number]}
 */
export function locate(json, pointer) {
    const list = tokens(json);
    let i = 0;
    for (const part of pointer.split("/").slice(1)) {
        const next = step(list, i, part.replaceAll("~1", "/").replaceAll("~0", "~"));
        if (next < 0) break;
        i = next;
    }
    return [list[i]?.begin ?? 0, list[skip(list, i) - 1]?.end ?? 0];
}
