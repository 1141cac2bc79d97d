// SPDX-License-Identifier: Apache-2.0
// The one table of what else there is to see of a job, in the order of its navigation.
import { h } from "./dom.js";
import { href } from "./router.js";

/** @typedef {import("./api.js").Json} Json */
/**
 * @typedef {object} JobPlace
 * @property {string} text
 * @property {string} path below the job's own; "" is the job itself
 * @property {(job: Json) => boolean} shown
 */

/** Whether the job has a report. @param {Json} job */
function hasReport(job) {
    return job.status === "succeeded" && job.kind !== "inject" && !job.evicted_at;
}

/** Whether it has a delta, which pictures are drawn from. @param {Json} job */
function hasDelta(job) {
    return hasReport(job) && (job.outputs ?? []).includes("delta");
}

/** @type {JobPlace[]} */
export const jobPlaces = [
    { text: "Overview", path: "", shown: () => true },
    { text: "Tensors", path: "tensors", shown: hasReport },
    { text: "Layers", path: "layers", shown: hasDelta },
    { text: "KENviz", path: "kenviz", shown: hasDelta },
    { text: "Compare", path: "compare", shown: hasDelta },
];

/** Links between the places of a job; nothing where there is but one. @param {Json} job @param {string} current path */
export function jobNav(job, current) {
    const places = jobPlaces.filter((place) => place.shown(job));
    if (places.length < 2) return null;
    const links = places.map(({ text, path }) =>
        h("a", { href: href(["jobs", job.id, ...path.split("/").filter(Boolean)]), "aria-current": path === current && "page" }, text),
    );
    return h("nav", { class: "tabs", "aria-label": "Of this job" }, links);
}
