// SPDX-License-Identifier: Apache-2.0
// The filter above the jobs. Status, metadata and owner are asked of kend; text is looked for in what is loaded. It lives in the address.
import { h } from "../dom.js";
import { field, select } from "../components/field.js";
import { inputUrl, jobName } from "../job.js";
import { setQuery } from "../router.js";
import { may } from "../session.js";

/** @typedef {import("../api.js").Json} Json */
/** @typedef {{text: string, status: string, metadata: string, owner: string}} Values */
/** @typedef {{element: HTMLElement, values: Values, clear: () => void}} Filter */

const STATUSES = ["", "queued", "running", "succeeded", "failed", "cancelled"];
const TYPING_MS = 250;

/** KEY=VALUE pairs, separated by commas. @returns {[string, string][]} */
function pairs(/** @type {string} */ text) {
    return text
        .split(",")
        .map((part) => part.split(/=(.*)/s))
        .filter(([key, value]) => key?.trim() && value !== undefined)
        .map(([key, value]) => [/** @type {string} */ (key).trim(), /** @type {string} */ (value).trim()]);
}

/** What kend is asked for. @param {Filter} filter */
export function serverQuery({ values }) {
    /** @type {Record<string, string>} */
    const query = { status: values.status, owner: values.owner };
    for (const [key, value] of pairs(values.metadata)) query[`metadata.${key}`] = value;
    return query;
}

/** Whether kend would list the job. @param {Filter} filter @param {Json} job */
export function isWanted({ values }, job) {
    if (values.status && job.status !== values.status) return false;
    if (values.owner && job.owner !== values.owner) return false;
    return pairs(values.metadata).every(([key, value]) => job.metadata?.[key] === value);
}

/** Whether it has the text in what tells one job from another. @param {Filter} filter @param {Json} job */
export function isMatch({ values }, job) {
    const metadata = Object.entries(job.metadata ?? {}).map(([key, value]) => `${key}=${value}`);
    const urls = [inputUrl(job, "model"), inputUrl(job, "base"), inputUrl(job, "delta")];
    const text = [jobName(job), job.id, job.owner ?? "", ...urls, ...metadata].join("\n").toLowerCase();
    return values.text
        .toLowerCase()
        .split(/\s+/)
        .every((word) => text.includes(word));
}

/**
 * @param {URLSearchParams} query of the place @param {AbortSignal} signal
 * @param {(byServer: boolean) => void} onChange whether kend has to be asked anew
 * @returns {Filter}
 */
export function jobsFilter(query, signal, onChange) {
    /** @type {Values} */
    const values = {
        text: query.get("text") ?? "",
        status: STATUSES.includes(query.get("status") ?? "") ? (query.get("status") ?? "") : "",
        metadata: query.get("metadata") ?? "",
        owner: may("admin") ? (query.get("owner") ?? "") : "",
    };
    const text = h("input", { type: "search", value: values.text, "data-focus-key": "/", placeholder: "Name, id, URL, metadata" });
    const status = select(STATUSES, values.status, { "": "any" });
    const metadata = h("input", { type: "text", value: values.metadata, placeholder: "team=nlp, task=sst2", spellcheck: "false" });
    const owner = h("input", { type: "text", value: values.owner, spellcheck: "false" });
    /** @type {Record<keyof Values, HTMLInputElement | HTMLSelectElement>} */
    const controls = { text, status, metadata, owner };
    let timer = 0;

    const take = () => {
        const before = JSON.stringify(serverQuery({ values, element, clear }));
        for (const [name, control] of Object.entries(controls)) values[/** @type {keyof Values} */ (name)] = control.value.trim();
        setQuery(values);
        onChange(JSON.stringify(serverQuery({ values, element, clear })) !== before);
    };
    const later = () => {
        clearTimeout(timer);
        timer = setTimeout(take, TYPING_MS);
    };
    const clear = () => {
        for (const control of Object.values(controls)) control.value = "";
        take();
        text.focus();
    };
    const fields = [field("Filter (press /)", text), field("Status", status), field("Metadata", metadata)];
    if (may("admin")) fields.push(field("Owner", owner));
    const element = h("form", { class: "filter", role: "search", on: { submit: (/** @type {Event} */ event) => event.preventDefault() } });
    element.append(...fields.map((each) => each.element));
    element.addEventListener("input", later);
    signal.addEventListener("abort", () => clearTimeout(timer));
    return { element, values, clear };
}
