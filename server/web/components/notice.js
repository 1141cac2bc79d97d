// SPDX-License-Identifier: Apache-2.0
// Short words on what was done, which go by themselves; and words for those only who are read to.
import { h, setText } from "../dom.js";
import { describe } from "./problem.js";

const SHOWN_MS = 6_000;
const FAILURE_MS = 12_000;

const shown = h("div", { class: "notices" });
const spoken = h("div", { class: "live", role: "status", "aria-live": "polite" });

/** The places of notices, once for the page. */
export function noticeRegion() {
    return h("div", {}, shown, spoken);
}

/** Said, not shown: what can be seen anyway. Seldom: a change of status, never progress. */
export function announce(/** @type {string} */ text) {
    setText(spoken, text);
}

export function notice(/** @type {string} */ text, failure = false) {
    const box = h("div", { class: failure ? "notice failure" : "notice", role: failure ? "alert" : "status" }, text);
    shown.append(box);
    setTimeout(() => box.remove(), failure ? FAILURE_MS : SHOWN_MS);
}

export function noticeProblem(/** @type {unknown} */ error) {
    const { title, detail, next } = describe(error);
    notice([title, detail, next].filter(Boolean).join(". ").replace(/\.\. /g, ". "), true);
}
