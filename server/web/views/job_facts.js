// SPDX-License-Identifier: Apache-2.0
// What is known of a job at a glance, and why it failed.
import { pairList } from "../components/pairs.js";
import { h } from "../dom.js";
import { ago, duration, moment } from "../format.js";
import { inputUrl } from "../job.js";

/** @typedef {import("../api.js").Json} Json */

/** By the error's code, as docs/jobs.md has it. */
const NEXT = {
    address_forbidden: "Name another URL, or ask whoever runs this kend to allow the address, scheme or folder.",
    fetch_failed: "Check the URL, and that it can be read without signing in.",
    digest_mismatch: "The file is not the one that is meant: name the right one, or its digest.",
    bad_checkpoint: "The file is malformed where the message says: fetch or save it anew.",
    unsupported_checkpoint: "Save the model as safetensors, or with a newer PyTorch.",
    tensor_mismatch: 'Name the base that the model was tuned from, or pair the tensors with "names" in the document.',
    non_finite: 'Look at the tensor; with "non_finite": "keep" such rows are kept whole.',
    no_space: "Delete jobs that nobody needs, or wait for others to end, and submit it again.",
    too_large: "Ask whoever runs this kend to raise the limit that the message names.",
    timed_out: "Submit it again with a larger timeout_seconds: what was fetched is in the cache.",
    artifact_store_failed: "Whoever runs this kend should look at its log.",
    attempts_exhausted: "Whoever runs this kend should look at its log.",
    internal: "Whoever runs this kend should look at its log.",
};

export function failure(/** @type {Json} */ job) {
    if (!job.error) return null;
    const { code, message, stage } = job.error;
    const next = NEXT[/** @type {keyof typeof NEXT} */ (code)];
    const where = stage ? ` while ${stage}` : "";
    return h(
        "div",
        { class: "problem" },
        h("strong", {}, `${code}${where}`),
        h("p", { class: "break" }, message),
        next && h("p", {}, next),
    );
}

/** @param {string | null} time */
function when(time) {
    return time ? `${moment(time)} (${ago(time)})` : null;
}

/** @param {Json} job */
function ending(job) {
    if (job.evicted_at) return `artifacts were removed ${moment(job.evicted_at)} to make room`;
    return job.expires_at ? `${moment(job.expires_at)}, with its artifacts` : null;
}

export function facts(/** @type {Json} */ job) {
    const took = job.started_at && job.finished_at ? (Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000 : null;
    const metadata = Object.entries(job.metadata ?? {}).map(([key, value]) => `${key}=${value}`);
    return pairList([
        ["Job", job.id],
        ["Owner", job.owner ?? null],
        ["Model", inputUrl(job, "model") || null],
        ["Delta", inputUrl(job, "delta") || null],
        ["Base", inputUrl(job, "base")],
        ["Metadata", metadata.join(", ") || null],
        ["Submitted", when(job.created_at)],
        ["Started", when(job.started_at)],
        ["Ended", when(job.finished_at)],
        ["Took", took === null ? null : duration(took)],
        ["Attempts", job.attempt > 1 ? String(job.attempt) : null],
        ["Goes", ending(job)],
    ]);
}
