// SPDX-License-Identifier: Apache-2.0
// The document as a form: what most people set. What it has no field for stays in the document as it is.
import { field, fieldGroup, select } from "../components/field.js";
import { h } from "../dom.js";
import { AMOUNTS, amountOf, metadataOf, METHODS, put, putAmount, RESCALES, urlOf, withUrl } from "./job_form_values.js";
import { variantRows } from "./job_form_variants.js";

/** @typedef {import("../api.js").Json} Json */
/** @typedef {import("../api.js").Fault} Fault */
/** @typedef {import("../components/field.js").Field} Field */

const OUTPUTS = ["delta", "model", "report"];
const ENCODINGS = { plain: "plain: any reader opens it", packed: "packed: smaller" };

/** @param {Record<string, string>} labels */
function labelled(labels) {
    return select(Object.keys(labels), undefined, labels);
}

function controls() {
    const url = () => h("input", { type: "url", spellcheck: "false", placeholder: "https://..." });
    const unit = labelled(AMOUNTS);
    unit.setAttribute("aria-label", "What the number is");
    return {
        model: url(),
        base: url(),
        name: h("input", { type: "text", placeholder: "sst2-bert" }),
        unit,
        amount: h("input", { type: "text", inputmode: "decimal", value: "0.25", "aria-label": "How much to keep" }),
        method: labelled(METHODS),
        rescale: labelled(RESCALES),
        encoding: labelled(ENCODINGS),
        metadata: h("textarea", { rows: "2", placeholder: "team=nlp", spellcheck: "false" }),
        outputs: OUTPUTS.map((output) => h("input", { type: "checkbox", value: output, checked: true })),
    };
}

/**
 * Fields in their order: the pointers that are theirs, the field, whether it is as wide as the form.
 * @param {ReturnType<typeof controls>} at @returns {[string[], Field, boolean?][]}
 */
function fieldsOf(at) {
    const checks = at.outputs.map((box) => h("label", { class: "check" }, box, box.value));
    return [
        [["/model"], field("Fine-tuned model", at.model, "A file, an index, or a folder with / at its end"), true],
        [["/base"], field("Base that it was tuned from", at.base), true],
        [["/keep", "/k"], fieldGroup("How much to keep", [at.unit, at.amount], "0.25 of each row, or a number of values")],
        [["/name"], field("Name", at.name, "For you; lists show it")],
        [["/method"], field("Method", at.method)],
        [["/rescale"], field("Rescale", at.rescale, "l1 keeps the quality at a quarter and less")],
        [["/outputs"], fieldGroup("Outputs", checks)],
        [["/delta_encoding"], field("Encoding of the delta", at.encoding)],
        [["/metadata"], field("Metadata", at.metadata, "One KEY=VALUE a line; jobs can be filtered by it"), true],
    ];
}

/** @implements {Editor} */
class JobForm {
    constructor() {
        this.at = controls();
        this.fields = fieldsOf(this.at);
        /** @type {Json} */
        this.kept = {}; // the document, with what the form has no field for
        const amount = /** @type {Field} */ (this.fields[2]?.[1]);
        this.variants = variantRows((count) => (amount.element.hidden = count > 0));
        this.element = h("div", { class: "form" });
        for (const [, each, wide] of this.fields) {
            each.element.classList.toggle("wide", wide ?? false);
            this.element.append(each.element);
        }
        this.fields.at(-2)?.[1].element.after(this.variants.element);
    }

    read() {
        const { at, kept } = this;
        const document = { ...kept };
        const outputs = at.outputs.filter((box) => box.checked).map((box) => box.value);
        const metadata = metadataOf(at.metadata.value);
        const variants = this.variants.read();
        put(document, "model", withUrl(kept.model, at.model.value.trim()));
        put(document, "base", withUrl(kept.base, at.base.value.trim()));
        put(document, "name", at.name.value.trim());
        put(document, "method", at.method.value, "ken");
        put(document, "rescale", at.rescale.value, "none");
        put(document, "delta_encoding", at.encoding.value, "plain");
        put(document, "outputs", outputs.length === OUTPUTS.length ? "" : outputs);
        put(document, "metadata", Object.keys(metadata).length > 0 ? metadata : "");
        putAmount(document, at.unit.value, at.amount.value);
        if (variants.length > 0) delete document[at.unit.value];
        put(document, "variants", variants.length > 0 ? variants : "");
        return document;
    }

    write(/** @type {Json} */ document) {
        const { at } = this;
        if (document.kind && document.kind !== "prune") return "The form is for jobs that prune: edit this one as JSON.";
        this.kept = document;
        at.model.value = urlOf(document.model);
        at.base.value = urlOf(document.base);
        at.name.value = String(document.name ?? "");
        at.method.value = document.method ?? "ken";
        at.rescale.value = document.rescale ?? "none";
        at.encoding.value = document.delta_encoding ?? "plain";
        const metadata = Object.entries(document.metadata ?? {});
        at.metadata.value = metadata.map(([name, value]) => `${name}=${value}`).join("\n");
        for (const box of at.outputs) box.checked = !document.outputs || document.outputs.includes(box.value);
        const amount = amountOf(document);
        if (amount) [at.unit.value, at.amount.value] = [amount.unit, amount.text];
        this.variants.write(Array.isArray(document.variants) ? document.variants : []);
        return "";
    }

    showFaults(/** @type {Fault[]} */ faults) {
        const rest = new Set(this.variants.showFaults(faults));
        for (const [pointers, each] of this.fields) {
            const own = each.element.hidden
                ? []
                : [...rest].filter(({ pointer }) => pointers.some((start) => `${pointer}/`.startsWith(`${start}/`)));
            each.setFault(own.map(({ pointer, detail }) => (pointers.includes(pointer) ? detail : `${pointer}: ${detail}`)).join("; "));
            for (const fault of own) rest.delete(fault);
        }
        const bad = /** @type {HTMLElement | null} */ (this.element.querySelector("[aria-invalid='true']"));
        bad?.focus();
        return [...rest];
    }
}

/** @typedef {import("./new_job.js").Editor} Editor */

/** @returns {Editor} */
export function jobForm() {
    return new JobForm();
}
