// SPDX-License-Identifier: Apache-2.0
// A job document is made here: by a form for what most people set, or as JSON. There is one document; both show it.
import { createJob, get, ofJob, planJob, Problem } from "../api.js";
import { curlDialog, curlSubmit } from "../components/curl.js";
import { choiceButtons } from "../components/field.js";
import { problemPanel } from "../components/problem.js";
import { h } from "../dom.js";
import { go } from "../router.js";
import { jobForm } from "./job_form.js";
import { jobJson } from "./job_json.js";
import { specOfJob } from "./job_spec.js";
import { planPanel } from "./plan_panel.js";

/** @typedef {import("../api.js").Json} Json */
/** @typedef {import("../api.js").Fault} Fault */
/**
 * One way of showing the document.
 * @typedef {object} Editor
 * @property {HTMLElement} element
 * @property {() => Json | null} read the document; null if what is there is none, which the editor then shows
 * @property {(document: Json) => string} write shows it; why it cannot, or ""
 * @property {(faults: Fault[]) => Fault[]} showFaults puts them where they belong; those without such a place are returned
 */

export function title() {
    return "New job";
}

/** A fresh key for what is meant once: a document sent again after a lost answer makes no second job. */
function newKey() {
    return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {Fault[]} faults */
function faultList(faults) {
    return h(
        "ul",
        { class: "faults" },
        faults.map(({ pointer, detail }) => h("li", {}, h("code", {}, pointer || "/"), ` ${detail}`)),
    );
}

/** What is wrong with the document, where it has no field of its own. @param {unknown} error @param {Editor} editor */
function refusal(error, editor) {
    if (!(error instanceof Problem) || error.errors.length === 0) return problemPanel(error);
    const rest = editor.showFaults(error.errors);
    const where = rest.length < error.errors.length ? h("p", {}, "What is wrong is marked above.") : null;
    return problemPanel(error, where, rest.length > 0 ? faultList(rest) : null);
}

/** Begins with another job's document, in the form if that can show it. @param {Record<string, Editor>} editors @param {string} id @param {AbortSignal} signal */
async function begin(editors, id, signal) {
    const document = specOfJob(await get(ofJob(id), { signal }));
    for (const [mode, editor] of Object.entries(editors)) if (editor.write(document) === "") return mode;
    throw new TypeError("no editor shows this document");
}

/** The two editors of one document, and what can be done with it. */
class NewJob {
    /** @param {Record<string, Editor>} editors @param {string} mode @param {AbortSignal} signal */
    constructor(editors, mode, signal) {
        this.editors = editors;
        this.mode = mode;
        this.signal = signal;
        this.key = newKey();
        this.sent = "";
        this.result = h("div", { "aria-live": "polite" });
        this.editing = h("div", {}, this.current().element);
        const labels = { form: "Form", json: "Advanced JSON" };
        this.modes = choiceButtons("How to edit the document", labels, mode, (other) => this.switchTo(other));
        this.check = h("button", { type: "button", on: { click: () => void this.plan() } }, "Check");
        this.submit = h("button", { type: "submit", class: "primary" }, "Submit");
    }

    current() {
        return /** @type {Editor} */ (this.editors[this.mode]);
    }

    switchTo(/** @type {string} */ other) {
        const document = this.current().read();
        if (!document) return;
        const reason = /** @type {Editor} */ (this.editors[other]).write(document);
        if (reason) {
            this.result.replaceChildren(h("p", { class: "problem warning" }, reason));
            return;
        }
        this.mode = other;
        this.modes.set(other);
        this.editing.replaceChildren(this.current().element);
        this.result.replaceChildren();
    }

    /** Makes a call with what is there; both buttons are off meanwhile. @param {(document: Json) => Promise<void>} call */
    async withDocument(call) {
        this.current().showFaults([]);
        const document = this.current().read();
        if (!document) return;
        for (const button of [this.check, this.submit]) button.disabled = true;
        this.result.replaceChildren(h("p", { class: "quiet" }, "Asking kend..."));
        try {
            await call(document);
        } catch (error) {
            if (!this.signal.aborted) this.result.replaceChildren(refusal(error, this.current()));
        }
        for (const button of [this.check, this.submit]) button.disabled = false;
    }

    plan() {
        return this.withDocument(async (document) => {
            const plan = await planJob(document, this.signal);
            this.result.replaceChildren(planPanel(plan));
        });
    }

    create() {
        return this.withDocument(async (document) => {
            const text = JSON.stringify(document);
            if (text !== this.sent) this.key = newKey();
            this.sent = text;
            const job = await createJob(document, this.key);
            go(["jobs", job.id]);
        });
    }

    showCurl() {
        const document = this.current().read();
        if (document) curlDialog([curlSubmit(document)]);
    }
}

/** @param {HTMLElement} root @param {import("../router.js").Place} place */
export async function mount(root, { query, signal }) {
    const editors = { form: jobForm(), json: jobJson() };
    const from = query.get("from");
    const job = new NewJob(editors, from ? await begin(editors, from, signal) : "form", signal);
    const curl = h("button", { type: "button", on: { click: () => job.showCurl() } }, "curl");
    const onSubmit = (/** @type {Event} */ event) => {
        event.preventDefault();
        void job.create();
    };
    const buttons = h("div", { class: "bar" }, job.submit, job.check, curl);
    const form = h("form", { class: "panel stack", novalidate: true, on: { submit: onSubmit } }, job.editing, buttons, job.result);
    root.append(h("div", { class: "stack" }, h("div", { class: "bar spread" }, h("h1", {}, "New job"), job.modes.element), form));
}
