// SPDX-License-Identifier: Apache-2.0
// All jobs, the newest first, as they change.
import { get, isAbort } from "../api.js";
import { livenessTeller } from "../components/liveness.js";
import { announce, noticeProblem } from "../components/notice.js";
import { statusText } from "../components/status.js";
import { h, setText } from "../dom.js";
import { watchJobs } from "../events.js";
import { jobName } from "../job.js";
import { newest } from "../newest.js";
import { href } from "../router.js";
import { may } from "../session.js";
import { jobsFilter, isMatch, isWanted, serverQuery } from "./jobs_filter.js";
import { jobRow } from "./jobs_row.js";

/** @typedef {import("../api.js").Json} Json */

const PAGE = 50;
const MOST = 200;
const AGO_MS = 30_000;

export function title() {
    return "Jobs";
}

/** What there is to say where no row is. @param {boolean} filtered @param {boolean} more whether not all are loaded @param {() => void} clear */
function emptyPanel(filtered, more, clear) {
    const none = more ? "No job matches among those that are loaded." : "No job matches.";
    if (filtered) return h("div", { class: "empty" }, h("p", {}, none), h("button", { on: { click: clear } }, "Clear the filter"));
    const how = may("submit")
        ? [h("p", {}, "No jobs yet."), h("a", { class: "button primary", href: href(["new"]) }, "Submit the first one")]
        : [h("p", {}, "No jobs yet. Your token lets you read; to submit, it needs the scope submit.")];
    return h("div", { class: "empty" }, how);
}

/** The jobs that are shown: kept in order, patched row by row. */
class JobList {
    /** @param {AbortSignal} signal @param {import("./jobs_filter.js").Filter} filter */
    constructor(signal, filter) {
        this.signal = signal;
        this.filter = filter;
        /** @type {Map<string, {job: Json, row: ReturnType<typeof jobRow>}>} newest first is by id: they begin with the time */
        this.entries = new Map();
        /** @type {string | null} */
        this.next = null;
        this.loaded = false;
        /** @type {Map<string, Json | null> | null} what events told since a list was asked for: newer than its answer; of a job null: deleted */
        this.news = null;
        this.begin = newest(signal);
        this.refreshed = Promise.resolve(); // when the reading that goes on has ended
        this.body = h("tbody");
        const heads = ["Job", "State", "Submitted"].map((text) => h("th", { scope: "col" }, text));
        const actions = h("th", { scope: "col" }, h("span", { class: "hidden-label" }, "Actions"));
        const caption = h("caption", { class: "hidden-label" }, "Jobs, the newest first");
        this.table = h("table", { class: "jobs cards" }, caption, h("thead", {}, h("tr", {}, heads, actions)), this.body);
        this.more = h("button", { type: "button", on: { click: () => void this.loadMore() } }, "Load more");
        this.tally = h("span", { class: "quiet small" });
        this.empty = h("div");
        this.element = h(
            "div",
            { class: "stack" },
            h("div", { class: "panel flush scroll" }, this.table, this.empty),
            h("div", { class: "bar spread" }, this.tally, this.more),
        );
    }

    /** The first pages anew, as many as are shown. @param {AbortSignal} [signal] */
    refresh(signal = this.signal) {
        const mine = AbortSignal.any([this.begin(), signal]);
        const work = this.readAnew(mine).catch((error) => {
            if (signal.aborted || !mine.aborted) throw error; // else a newer reading goes on
        });
        this.refreshed = work.catch(() => undefined); // told to whoever asked
        return work;
    }

    async readAnew(/** @type {AbortSignal} */ signal) {
        this.news = new Map();
        const most = this.entries.size;
        /** @type {Json[]} */
        const jobs = [];
        let next = null;
        do {
            const limit = Math.min(MOST, Math.max(PAGE, most - jobs.length));
            const page = await get("v1/jobs", { query: { ...serverQuery(this.filter), limit, after: next }, signal });
            jobs.push(...page.data);
            next = page.next;
        } while (next && jobs.length < most);
        if (signal.aborted) return;
        const listed = new Set(jobs.map(({ id }) => id));
        for (const id of [...this.entries.keys()]) if (!listed.has(id) && !this.news?.has(id)) this.drop(id);
        this.loaded = true;
        this.take(jobs, next);
    }

    async loadMore() {
        let before;
        while (before !== this.refreshed) await (before = this.refreshed); // it tells where the next page begins
        if (!this.next) return;
        const signal = this.begin();
        try {
            this.news = new Map();
            const query = { ...serverQuery(this.filter), limit: PAGE, after: this.next };
            const page = await get("v1/jobs", { query, signal });
            if (!signal.aborted) this.take(page.data, page.next);
        } catch (error) {
            if (!isAbort(error)) noticeProblem(error);
        }
    }

    /** Jobs of an answer, or what is known better of them. @param {Json[]} jobs @param {string | null} next */
    take(jobs, next) {
        for (const job of jobs) {
            const newer = this.news?.get(job.id);
            if (newer === undefined) this.put(job);
            else if (newer && isWanted(this.filter, newer)) this.put(newer);
        }
        this.news = null;
        this.next = next;
        this.show();
    }

    /** A job that changed. One further down than what is loaded is left to the next page. */
    change(/** @type {Json} */ job) {
        this.news?.set(job.id, job);
        const known = this.entries.get(job.id);
        if (!isWanted(this.filter, job)) this.drop(job.id);
        else if (known || !this.next || job.id > this.last()) this.put(job);
        if (known && known.job.status !== job.status) announce(`${jobName(job)}: ${statusText(job)}`);
        this.show();
    }

    last() {
        return [...this.entries.keys()].sort()[0] ?? "";
    }

    put(/** @type {Json} */ job) {
        const known = this.entries.get(job.id);
        if (known) {
            known.job = job;
            known.row.update(job);
            return;
        }
        const row = jobRow(job, () => this.remove(job.id));
        const before = [...this.body.children].find((other) => other.id < `row-${job.id}`);
        row.element.id = `row-${job.id}`;
        this.body.insertBefore(row.element, before ?? null);
        this.entries.set(job.id, { job, row });
    }

    /** A job that was deleted. */
    remove(/** @type {string} */ id) {
        this.news?.set(id, null);
        this.drop(id);
        this.show();
    }

    drop(/** @type {string} */ id) {
        this.entries.get(id)?.row.element.remove();
        this.entries.delete(id);
    }

    clear() {
        this.body.replaceChildren();
        this.entries.clear();
    }

    /** What depends on all rows together. */
    show() {
        let matching = 0;
        for (const { job, row } of this.entries.values()) {
            row.element.hidden = !isMatch(this.filter, job);
            matching += row.element.hidden ? 0 : 1;
        }
        this.table.hidden = matching === 0;
        this.more.hidden = !this.next;
        const filtered = Object.values(this.filter.values).some(Boolean);
        this.empty.replaceChildren(...(matching || !this.loaded ? [] : [emptyPanel(filtered, this.next !== null, this.filter.clear)]));
        const all = this.entries.size;
        const of = matching === all ? `${all}` : `${matching} of ${all}`;
        setText(this.tally, this.loaded && all ? `${of} ${all === 1 ? "job" : "jobs"}${this.next ? ", there are more" : ""}` : "");
    }

    showTimes() {
        for (const { row } of this.entries.values()) row.showTime();
    }
}

/** @param {HTMLElement} root @param {import("../router.js").Place} place */
export function mount(root, { query, signal }) {
    const liveness = h("span", { class: "small quiet" });
    const trouble = h("div");
    const filter = jobsFilter(query, signal, (byServer) => {
        if (byServer) list.clear();
        if (byServer) list.refresh().catch((error) => watcher.onLiveness("lost", error));
        else list.show();
    });
    const list = new JobList(signal, filter);
    const watcher = {
        refresh: (/** @type {AbortSignal} */ stop) => list.refresh(stop),
        onJob: (/** @type {Json} */ job) => list.change(job),
        onDeleted: (/** @type {string} */ id) => list.remove(id),
        onLiveness: livenessTeller(liveness, trouble),
    };
    const heading = h("div", { class: "bar spread" }, h("h1", {}, "Jobs"), liveness);
    root.append(h("div", { class: "stack" }, heading, filter.element, trouble, list.element));
    list.show();
    watchJobs(watcher, signal);
    const timer = setInterval(() => list.showTimes(), AGO_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
}
