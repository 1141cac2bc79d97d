// SPDX-License-Identifier: Apache-2.0
// Whether what is shown is what is.
import { isAbort, Problem } from "../api.js";
import { setText } from "../dom.js";
import { problemPanel } from "./problem.js";

const WORDS = { live: "Live", polling: "Updated every few seconds", lost: "Not up to date" };

/**
 * What a watcher tells of itself, in a word, and its problem where there is room for it.
 * @param {HTMLElement} word @param {HTMLElement} place
 * @returns {(liveness: import("../events.js").Liveness, problem?: unknown) => void}
 */
export function livenessTeller(word, place) {
    let shown = "";
    return (liveness, problem) => {
        if (isAbort(problem)) return;
        setText(word, WORDS[liveness]);
        const code = problem instanceof Problem ? problem.code : "";
        if (code === shown) return; // told already: not again with every try
        shown = code;
        place.replaceChildren(...(problem ? [problemPanel(problem)] : []));
    };
}
