// SPDX-License-Identifier: Apache-2.0
// A job document is made here: by a form for what most people set, or as JSON. There is one document; both show it.
import { createJob, get, ofJob, planJob, Problem } from "../api.js";
import { curlDialog, curlSubmit } from "../components/curl.js";
import { choiceButtons } from "../components/field.js";
import { noticeProblem } from "../components/notice.js";
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

/** @param {HTMLElement} root @param {import("../router.js").Place} place */
export async function mount(root, { query, signal }) {
    /** @type {Record<string, Editor>} */
    const editors = { form: jobForm(), json: jobJson() };
    const from = query.get("from");
    let mode = from ? await begin(editors, from, signal) : "form";
    let key = newKey();
    let sent = "";
    const result = h("div", { "aria-live": "polite" });
    const editing = h("div", {}, current().element);
    const modes = choiceButtons("How to edit the document", { form: "Form", json: "Advanced JSON" }, mode, switchTo);

    function current() {
        return /** @type {Editor} */ (editors[mode]);
    }

    function switchTo(/** @type {string} */ other) {
        const document = current().read();
        const reason = document ? /** @type {Editor} */ (editors[other]).write(document) : "";
        if (!document) return;
        if (reason) {
            result.replaceChildren(h("p", { class: "problem warning" }, reason));
            return;
        }
        mode = other;
        modes.set(mode);
        editing.replaceChildren(current().element);
        result.replaceChildren();
    }

    /** Runs one of the two calls with what is there; both are off meanwhile. @param {(document: Json) => Promise<void>} call */
    async function withDocument(call) {
        current().showFaults([]);
        const document = current().read();
        if (!document) return;
        for (const button of [check, submit]) button.disabled = true;
        result.replaceChildren(h("p", { class: "quiet" }, "Asking kend..."));
        try {
            await call(document);
        } catch (error) {
            if (!signal.aborted) result.replaceChildren(refusal(error, current()));
        }
        for (const button of [check, submit]) button.disabled = false;
    }

    const onCheck = () =>
        withDocument(async (document) => {
            const plan = await planJob(document, signal);
            result.replaceChildren(planPanel(plan));
        });
    const onSubmit = () =>
        withDocument(async (document) => {
            const text = JSON.stringify(document);
            if (text !== sent) key = newKey();
            sent = text;
            const job = await createJob(document, key);
            go(["jobs", job.id]);
        });
    const onCurl = () => {
        const document = current().read();
        if (document) curlDialog([curlSubmit(document)]);
    };
    const check = h("button", { type: "button", on: { click: () => void onCheck() } }, "Check");
    const submit = h("button", { type: "submit", class: "primary" }, "Submit");
    const curl = h("button", { type: "button", on: { click: onCurl } }, "curl");
    const form = h("form", { class: "panel stack", novalidate: true }, editing, h("div", { class: "bar" }, submit, check, curl), result);
    form.addEventListener("submit", (event) => {
        event.preventDefault();
        onSubmit().catch(noticeProblem);
    });
    root.append(h("div", { class: "stack" }, h("div", { class: "bar spread" }, h("h1", {}, "New job"), modes.element), form));
}
