// SPDX-License-Identifier: Apache-2.0
// What changes, as it changes: server-sent events, and asking again and again where those do not come through.
import { get, isAbort, ofJob, Problem, send, url } from "./api.js";
import { pause } from "./pause.js";

/** @typedef {import("./api.js").Json} Json */
/** @typedef {"live" | "polling" | "lost"} Liveness lost: kend does not answer; it is asked again by itself */
/**
 * @typedef {object} Source
 * @property {() => string} address of the stream, now
 * @property {Record<string, (data: Json) => void>} events by name
 * @property {(signal: AbortSignal) => Promise<void>} refresh reads all anew: what happened before the stream was open
 * @property {(signal: AbortSignal) => Promise<void>} poll takes its time, then tells what has changed
 * @property {(liveness: Liveness, problem?: Problem) => void} onLiveness
 */

const RETRY_STREAM_MS = 30_000;
const LOST_PAUSE_MS = 3_000;
const LIST_PAUSE_MS = 2_000;
const JOB_PAUSE_MS = 300;
const JOB_WAIT_SECONDS = 25;

/** One life of a watcher: from when the page is seen until it is hidden or left. */
class Watch {
    /** @param {Source} source @param {AbortSignal} signal */
    constructor(source, signal) {
        this.source = source;
        this.signal = signal;
        /** @type {AbortController | null} */
        this.polling = null;
        /** @type {EventSource | null} */
        this.stream = null;
        signal.addEventListener("abort", () => (this.stream?.close(), this.polling?.abort()));
        this.open();
    }

    open() {
        if (this.signal.aborted) return;
        const stream = new EventSource(this.source.address());
        this.stream = stream;
        stream.addEventListener("open", () => void this.opened());
        stream.addEventListener("error", () => this.failed(stream));
        for (const [name, take] of Object.entries(this.source.events))
            stream.addEventListener(name, (event) => {
                const { data } = /** @type {MessageEvent<string>} */ (event);
                if (!this.signal.aborted) take(JSON.parse(data));
            });
    }

    async opened() {
        this.polling?.abort();
        this.polling = null;
        await this.attempt(() => this.source.refresh(this.signal), "live");
    }

    /** The browser itself opens a stream anew that broke off; one that was refused is for us to try again. */
    failed(/** @type {EventSource} */ stream) {
        if (this.signal.aborted) return;
        if (stream.readyState === EventSource.CLOSED) setTimeout(() => this.open(), RETRY_STREAM_MS);
        if (this.polling) return;
        this.polling = new AbortController();
        void this.poll(this.polling.signal);
    }

    async poll(/** @type {AbortSignal} */ signal) {
        let good = await this.attempt(() => this.source.refresh(signal), "polling");
        while (!signal.aborted) {
            if (!good) await pause(LOST_PAUSE_MS, signal);
            if (!signal.aborted) good = await this.attempt(() => this.source.poll(signal), "polling");
        }
    }

    /** @param {() => Promise<void>} work @param {Liveness} liveness */
    async attempt(work, liveness) {
        try {
            await work();
            if (!this.signal.aborted) this.source.onLiveness(liveness);
            return true;
        } catch (error) {
            if (this.signal.aborted || isAbort(error)) return false;
            if (!(error instanceof Problem)) throw error;
            this.source.onLiveness("lost", error);
            return false;
        }
    }
}

/**
 * Follows a source while the page is seen: a browser has six connections to a server, and a stream on a hidden tab would hold one.
 * @param {Source} source @param {AbortSignal} signal
 */
function follow(source, signal) {
    let life = new AbortController();
    const turn = () => {
        life.abort();
        if (signal.aborted || document.hidden) return;
        life = new AbortController();
        new Watch(source, life.signal);
    };
    document.addEventListener("visibilitychange", turn, { signal });
    signal.addEventListener("abort", () => life.abort());
    turn();
}

/**
 * All jobs that one may see.
 * @param {object} watcher
 * @param {(signal: AbortSignal) => Promise<void>} watcher.refresh
 * @param {(job: Json) => void} watcher.onJob
 * @param {(id: string) => void} watcher.onDeleted
 * @param {(liveness: Liveness, problem?: Problem) => void} watcher.onLiveness
 * @param {AbortSignal} signal
 */
export function watchJobs({ refresh, onJob, onDeleted, onLiveness }, signal) {
    const poll = async (/** @type {AbortSignal} */ stop) => {
        await pause(LIST_PAUSE_MS, stop);
        if (!stop.aborted) await refresh(stop);
    };
    const events = { job: onJob, deleted: (/** @type {Json} */ data) => onDeleted(data.id) };
    follow({ address: () => url("v1/events"), events, refresh, poll, onLiveness }, signal);
}

/** All durable events of a job behind one. @param {string} id @param {number} seen @param {AbortSignal} signal */
async function eventsAfter(id, seen, signal) {
    /** @type {Json[]} */
    const events = [];
    for (let more = true, after = seen ? String(seen) : ""; more;) {
        const page = await get(ofJob(id, "/events"), { query: { limit: 200, after }, signal });
        events.push(...page.data);
        more = page.has_more;
        after = page.next ?? "";
    }
    return events;
}

/**
 * @typedef {object} JobWatcher
 * @property {(job: Json) => void} onJob the job, at first and whenever it has changed
 * @property {(progress: Json) => void} onProgress
 * @property {(event: Json) => void} onEvent each durable event once, in order
 * @property {(liveness: Liveness, problem?: unknown) => void} onLiveness
 */

/** What has been seen of a job, and the calls that see more. */
class JobReader {
    /** @param {string} id @param {JobWatcher} watcher */
    constructor(id, watcher) {
        this.id = id;
        this.watcher = watcher;
        this.seen = 0;
        this.etag = "";
        this.asked = 0;
        this.told = 0; // the youngest reading of which the job was told: an older one is passed over
        this.over = new AbortController();
    }

    take(/** @type {Json} */ event) {
        if (event.id <= this.seen) return;
        this.seen = event.id;
        this.watcher.onEvent(event);
    }

    /** @param {AbortSignal} signal @param {number} [wait] seconds, for something that is not known yet */
    async read(signal, wait = 0) {
        const mine = (this.asked += 1);
        const headers = this.etag ? { "If-None-Match": this.etag } : undefined;
        const response = await send("GET", ofJob(this.id), { query: { wait: wait || "" }, headers, signal, cache: "no-store" });
        if (response.status === 304) return;
        const job = await response.json();
        for (const event of await eventsAfter(this.id, this.seen, signal)) this.take(event);
        if (mine < this.told) return;
        this.told = mine;
        this.etag = response.headers.get("etag") ?? "";
        this.watcher.onJob(job);
        if (isOver(job)) this.over.abort();
    }

    /** Once it has been read: a job that is not there any more has ended, too. @param {AbortSignal} signal @param {number} [wait] */
    async readAgain(signal, wait) {
        try {
            await this.read(signal, wait);
        } catch (error) {
            if (!(error instanceof Problem) || error.code !== "not_found") throw error;
            this.watcher.onLiveness("lost", error);
            this.over.abort();
        }
    }
}

/**
 * One job, until it has ended. Throws a Problem if it cannot be read at first.
 * @param {string} id @param {JobWatcher} watcher @param {AbortSignal} signal
 */
export async function watchJob(id, watcher, signal) {
    const reader = new JobReader(id, watcher);
    await reader.read(signal);
    const until = AbortSignal.any([signal, reader.over.signal]);
    if (until.aborted) return;
    const durable = (/** @type {Json} */ event) => {
        reader.take(event);
        if (event.type === "status") reader.readAgain(until).catch((error) => watcher.onLiveness("lost", error));
    };
    const source = {
        address: () => url(ofJob(id, "/events"), { after: reader.seen || "" }),
        events: { status: durable, log: durable, progress: (/** @type {Json} */ data) => watcher.onProgress(data.progress) },
        refresh: (/** @type {AbortSignal} */ stop) => reader.readAgain(stop),
        poll: async (/** @type {AbortSignal} */ stop) => {
            await pause(JOB_PAUSE_MS, stop);
            if (!stop.aborted) await reader.readAgain(stop, JOB_WAIT_SECONDS);
        },
        onLiveness: watcher.onLiveness,
    };
    follow(source, until);
}

/** Whether nothing will happen to a job any more. */
export function isOver(/** @type {Json} */ job) {
    return job.status === "succeeded" || job.status === "failed" || job.status === "cancelled";
}
