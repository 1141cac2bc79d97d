// SPDX-License-Identifier: Apache-2.0
// The document as JSON, whole. A fault leads to its place in the text.
import { field } from "../components/field.js";
import { h } from "../dom.js";
import { locate } from "../pointer.js";

/** @typedef {import("../api.js").Json} Json */
/** @typedef {import("../api.js").Fault} Fault */

const HINT = "Every field of the document: docs/jobs.md. Several variants come from one fetch and one pass.";

/** @returns {import("./new_job.js").Editor} */
export function jobJson() {
    const text = h("textarea", { rows: "18", spellcheck: "false", autocapitalize: "off" });
    const whole = field("Job document", text, HINT);
    const list = h("ul", { class: "faults" });
    const element = h("div", { class: "stack" }, whole.element, list);

    const goTo = (/** @type {string} */ pointer) => {
        const [begin, end] = locate(text.value, pointer);
        text.focus();
        text.setSelectionRange(begin, end);
        const lines = text.value.slice(0, begin).split("\n").length;
        text.scrollTop = Math.max(0, (lines - 4) * 21);
    };
    const read = () => {
        list.replaceChildren();
        try {
            const document = JSON.parse(text.value);
            if (document === null || typeof document !== "object" || Array.isArray(document)) throw new SyntaxError("it must be an object");
            whole.setFault("");
            return /** @type {Json} */ (document);
        } catch (error) {
            whole.setFault(`This is no JSON document: ${error instanceof Error ? error.message : error}`);
            text.focus();
            return null;
        }
    };
    const write = (/** @type {Json} */ document) => {
        text.value = `${JSON.stringify(document, null, 2)}\n`;
        whole.setFault("");
        list.replaceChildren();
        return "";
    };
    const showFaults = (/** @type {Fault[]} */ faults) => {
        const items = faults.map(({ pointer, detail }) => {
            const place = h("button", { type: "button", class: "plain", on: { click: () => goTo(pointer) } }, pointer || "/");
            return h("li", {}, place, ` ${detail}`);
        });
        list.replaceChildren(...items);
        whole.setFault(faults.length > 0 ? `${faults.length} ${faults.length === 1 ? "fault" : "faults"}` : "");
        if (faults[0]) goTo(faults[0].pointer);
        return [];
    };
    return { element, read, write, showFaults };
}
