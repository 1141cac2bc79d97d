// SPDX-License-Identifier: Apache-2.0
// The document as a form: what most people set. What it has no field for stays in the document as it is.
import { field, fieldGroup, select } from "../components/field.js";
import { h } from "../dom.js";

/** @typedef {import("../api.js").Json} Json */
/** @typedef {import("../api.js").Fault} Fault */
/** @typedef {import("../components/field.js").Field} Field */

const METHODS = { ken: "ken: the paper's", density: "density", magnitude: "magnitude", random: "random" };
const RESCALES = { none: "none: as the paper", l1: "l1: keeps the size of the update" };
const OUTPUTS = ["delta", "model", "report"];
const AMOUNTS = { keep: "Share of each row", k: "Values in each row" };

/** @param {Record<string, string>} labels */
function labelled(labels) {
    return select(Object.keys(labels), undefined, labels);
}

/** @param {Json | string | undefined} input a URL or {url, sha256} */
function urlOf(input) {
    return typeof input === "string" ? input : (input?.url ?? "");
}

/** The input with this URL; a digest belongs to the URL that it came with. @param {Json | string | undefined} before */
function withUrl(before, /** @type {string} */ text) {
    return before !== undefined && urlOf(before) === text ? before : text;
}

/** @param {string} text lines of KEY=VALUE */
function metadataOf(text) {
    const lines = text.split("\n").filter((line) => line.trim());
    return Object.fromEntries(lines.map((line) => [line.split("=")[0]?.trim() ?? "", line.split("=").slice(1).join("=").trim()]));
}

/** As a number where it is one; else as it was typed, for kend to say what is wrong with it. */
function numberOf(/** @type {string} */ text) {
    const number = Number(text.replace(",", "."));
    return text.trim() && Number.isFinite(number) ? number : text;
}

/** @param {Json} document @param {string} key @param {unknown} value left out where it is what holds without it */
function put(document, key, value, preset = /** @type {unknown} */ ("")) {
    if (value === preset) delete document[key];
    else document[key] = value;
}

function controls() {
    const url = () => h("input", { type: "url", spellcheck: "false", placeholder: "https://..." });
    return {
        model: url(),
        base: url(),
        name: h("input", { type: "text", placeholder: "sst2-bert" }),
        unit: labelled(AMOUNTS),
        amount: h("input", { type: "text", inputmode: "decimal", value: "0.25", "aria-label": "How much to keep" }),
        method: labelled(METHODS),
        rescale: labelled(RESCALES),
        encoding: select(["plain", "packed"], "plain", { plain: "plain: any reader opens it", packed: "packed: smaller" }),
        metadata: h("textarea", { rows: "2", placeholder: "team=nlp", spellcheck: "false" }),
        outputs: OUTPUTS.map((output) => h("input", { type: "checkbox", value: output, checked: true })),
    };
}

/** @returns {import("./new_job.js").Editor} */
export function jobForm() {
    const at = controls();
    /** @type {Json} */
    let kept = {}; // the document, with what the form has no field for
    at.unit.setAttribute("aria-label", "What the number is");
    const checks = at.outputs.map((box) => h("label", { class: "check" }, box, box.value));
    const amount = fieldGroup("How much to keep", [at.unit, at.amount], "0.25 of each row, or a number of values");
    /** @type {[string[], Field, string?][]} pointers, field, class */
    const fields = [
        [["/model"], field("Fine-tuned model", at.model, "A file, an index, or a folder with / at its end"), "wide"],
        [["/base"], field("Base that it was tuned from", at.base), "wide"],
        [["/keep", "/k"], amount],
        [["/name"], field("Name", at.name, "For you; lists show it")],
        [["/method"], field("Method", at.method)],
        [["/rescale"], field("Rescale", at.rescale, "l1 keeps the quality at a quarter and less")],
        [["/outputs"], fieldGroup("Outputs", checks)],
        [["/delta_encoding"], field("Encoding of the delta", at.encoding)],
        [["/metadata"], field("Metadata", at.metadata, "One KEY=VALUE a line; jobs can be filtered by it"), "wide"],
    ];
    const variants = h("p", { class: "quiet wide", hidden: true });
    const element = h("div", { class: "form" }, variants);
    for (const [, each, wide] of fields) {
        each.element.classList.toggle("wide", wide === "wide");
        element.append(each.element);
    }

    const read = () => {
        const document = { ...kept };
        put(document, "model", withUrl(kept.model, at.model.value.trim()));
        put(document, "base", withUrl(kept.base, at.base.value.trim()));
        put(document, "name", at.name.value.trim());
        put(document, "method", at.method.value, "ken");
        put(document, "rescale", at.rescale.value, "none");
        put(document, "delta_encoding", at.encoding.value, "plain");
        const outputs = at.outputs.filter((box) => box.checked).map((box) => box.value);
        put(document, "outputs", outputs.length === OUTPUTS.length ? "" : outputs);
        const metadata = metadataOf(at.metadata.value);
        put(document, "metadata", Object.keys(metadata).length > 0 ? metadata : "");
        delete document.k;
        delete document.keep;
        if (!document.variants) put(document, at.unit.value, numberOf(at.amount.value));
        return document;
    };
    const write = (/** @type {Json} */ document) => {
        if (document.kind && document.kind !== "prune") return "The form is for jobs that prune: edit this one as JSON.";
        kept = document;
        at.model.value = urlOf(document.model);
        at.base.value = urlOf(document.base);
        at.name.value = String(document.name ?? "");
        at.method.value = document.method ?? "ken";
        at.rescale.value = document.rescale ?? "none";
        at.encoding.value = document.delta_encoding ?? "plain";
        const metadata = Object.entries(document.metadata ?? {});
        at.metadata.value = metadata.map(([name, value]) => `${name}=${value}`).join("\n");
        for (const box of at.outputs) box.checked = !document.outputs || document.outputs.includes(box.value);
        if (document.k !== undefined || document.keep !== undefined) {
            at.unit.value = document.k === undefined ? "keep" : "k";
            at.amount.value = String(document.k ?? document.keep);
        }
        const count = Array.isArray(document.variants) ? document.variants.length : 0;
        variants.hidden = count === 0;
        variants.textContent = `This document has ${count} variants, each with its own amount: edit them as JSON.`;
        amount.element.hidden = count > 0;
        return "";
    };
    const showFaults = (/** @type {Fault[]} */ faults) => {
        const rest = new Set(faults);
        for (const [pointers, each] of fields) {
            const own = faults.filter(({ pointer }) => pointers.some((start) => pointer === start || pointer.startsWith(`${start}/`)));
            const shown = each.element.hidden ? [] : own;
            each.setFault(shown.map(({ pointer, detail }) => (pointers.includes(pointer) ? detail : `${pointer}: ${detail}`)).join("; "));
            for (const fault of shown) rest.delete(fault);
        }
        const bad = /** @type {HTMLElement | null} */ (element.querySelector("[aria-invalid='true']"));
        bad?.focus();
        return [...rest];
    };
    return { element, read, write, showFaults };
}
