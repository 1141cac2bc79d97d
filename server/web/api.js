// SPDX-License-Identifier: Apache-2.0
// Calls of the REST interface. All paths are relative, so that the page works below a proxy's folder, too.
import { pause } from "./pause.js";

/** @typedef {{pointer: string, detail: string}} Fault */
/** @typedef {Record<string, any>} Json */

/** What went wrong, as kend told it (problem+json), or that it told nothing. */
export class Problem extends Error {
    /** @param {Json} document @param {number} [retryAfter] seconds */
    constructor(document, retryAfter = 0) {
        super(document.detail || document.title || "the request failed");
        this.name = "Problem";
        this.status = /** @type {number} */ (document.status ?? 0);
        this.code = /** @type {string} */ (document.code ?? "unknown");
        this.title = /** @type {string} */ (document.title ?? "");
        this.errors = /** @type {Fault[]} */ (document.errors ?? []);
        this.jobError = /** @type {{code: string, message: string, stage: string} | null} */ (document.job_error ?? null);
        this.retryAfter = retryAfter;
    }
}

/** Told of every answer that says that nobody is signed in: "unauthorized". */
export const access = new EventTarget();

/**
 * The URL of a call; parameters that are null, undefined or "" are left out.
 * @param {string} path @param {Record<string, string | number | boolean | null | undefined>} [query]
 */
export function url(path, query = {}) {
    const target = new URL(path, document.baseURI);
    target.hash = "";
    for (const [name, value] of Object.entries(query))
        if (value !== null && value !== undefined && value !== "") target.searchParams.set(name, String(value));
    return target.href;
}

/** The path of a job's resource. */
export function ofJob(/** @type {string} */ id, rest = "") {
    return `v1/jobs/${encodeURIComponent(id)}${rest}`;
}

function unreachable() {
    return new Problem({ code: "unreachable", title: "kend cannot be reached", detail: "kend cannot be reached" });
}

/** @param {Response} response */
async function problemOf(response) {
    const retryAfter = Number(response.headers.get("retry-after") ?? 0);
    const document = await response.json().catch(() => ({}));
    const title = `kend, or a proxy before it, answered ${response.status} ${response.statusText}`.trim();
    const problem = new Problem({ title, status: response.status, ...document }, retryAfter);
    if (problem.status === 401) access.dispatchEvent(new Event("unauthorized"));
    return problem;
}

/**
 * @typedef {object} Options
 * @property {Record<string, string | number | boolean | null | undefined>} [query]
 * @property {unknown} [body] sent as JSON
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 * @property {RequestCache} [cache]
 */

/**
 * The response, if its status is below 400 (304 only for who sent If-None-Match), else throws a Problem; what was aborted throws
 * AbortError.
 * @param {string} method @param {string} path @param {Options} [options]
 */
export async function send(method, path, options = {}) {
    /** @type {Record<string, string>} */
    const headers = { Accept: "application/json", ...options.headers };
    if (options.body !== undefined) headers["Content-Type"] = "application/json";
    const body = options.body === undefined ? undefined : JSON.stringify(options.body);
    /** @type {Response} */
    let response;
    try {
        response = await fetch(url(path, options.query), {
            method,
            headers,
            body,
            signal: options.signal,
            cache: options.cache,
            redirect: "error",
        });
    } catch (error) {
        if (options.signal?.aborted) throw error;
        throw unreachable();
    }
    if (response.status >= 400) throw await problemOf(response);
    return response;
}

/**
 * The document of a GET.
 * @param {string} path @param {Options} [options] @returns {Promise<Json>}
 */
export async function get(path, options = {}) {
    const response = await send("GET", path, options);
    return whole(response.json());
}

/** What comes of reading a body, which may break off. @template T @param {Promise<T>} body */
async function whole(body) {
    try {
        return await body;
    } catch (error) {
        throw error instanceof TypeError ? unreachable() : error;
    }
}

/**
 * The picture of a GET, and what its header says of it.
 * @param {string} path @param {Options} options @returns {Promise<{picture: Blob, end: number}>} end: of its scale of colours
 */
export async function getPicture(path, options) {
    const response = await send("GET", path, { ...options, headers: { Accept: "image/png" } });
    return { picture: await whole(response.blob()), end: Number(response.headers.get("x-heatmap-max")) };
}

/** Rows of a list in one answer. */
const PAGE = 200;
/** How often a page is asked for again that is too much just now: a busy kend makes few lists at once. */
const TRIES = 10;

/** After how long one asks again, in ms: what is too much just now, or a kend that is away or in trouble; 0: that is of no use. */
export function pauseAfter(/** @type {Problem} */ { code, status, retryAfter }) {
    if (code !== "rate_limited" && code !== "unreachable" && status < 500) return 0;
    return 1000 * (retryAfter || (code === "rate_limited" ? 1 : 3));
}

/** Whether what single values and pictures are made of is not there any more: no asking again brings it back. */
export function isGone(/** @type {Problem} */ { code }) {
    return code === "inputs_gone" || code === "no_delta";
}

/** @param {string} path @param {Options} options @returns {Promise<Json>} */
async function getPage(path, options) {
    for (let tries = 1; ; tries += 1) {
        try {
            return await get(path, options);
        } catch (error) {
            if (!(error instanceof Problem) || error.code !== "rate_limited" || tries === TRIES) throw error;
            await pause(pauseAfter(error), options.signal);
        }
    }
}

/**
 * All items of a list, page by page; `onPage` is told of each page, and how many items there are so far.
 * @param {string} path @param {Options} options @param {(page: Json, count: number) => void} [onPage] @returns {Promise<Json[]>}
 */
export async function getAll(path, options, onPage) {
    /** @type {Json[]} */
    const items = [];
    for (let after = ""; ;) {
        const page = await getPage(path, { ...options, query: { ...options.query, limit: PAGE, after } });
        items.push(...page.data);
        onPage?.(page, items.length);
        if (!page.has_more) return items;
        after = page.next;
    }
}

/** @param {Json} document @param {string} key one for each thing that is meant once */
export async function createJob(document, key) {
    const response = await send("POST", "v1/jobs", { body: document, headers: { "Idempotency-Key": key } });
    return /** @type {Promise<Json>} */ (response.json());
}

/** What the job would do; nothing is stored. @param {Json} document @param {AbortSignal} [signal] */
export async function planJob(document, signal) {
    const response = await send("POST", "v1/jobs", { query: { dry_run: true }, body: document, signal });
    return /** @type {Promise<Json>} */ (response.json());
}

export async function cancelJob(/** @type {string} */ id) {
    await send("POST", ofJob(id, "/cancel"));
}

export async function deleteJob(/** @type {string} */ id) {
    await send("DELETE", ofJob(id));
}

/** Whether an error only says that nobody waits for the answer any more. */
export function isAbort(/** @type {unknown} */ error) {
    return error instanceof DOMException && error.name === "AbortError";
}
