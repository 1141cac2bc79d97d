// SPDX-License-Identifier: Apache-2.0
// What can be downloaded, with sizes and digests.
import { ofJob, url } from "../api.js";
import { copyText, curlDialog, curlGet } from "../components/curl.js";
import { panel } from "../components/part.js";
import { h } from "../dom.js";
import { bytes, count } from "../format.js";

/** @typedef {import("../api.js").Json} Json */

const DIGITS = 16; // of a digest, where it is shown to be told from another

/** @param {Json} job @param {Json} artifact */
function pathOf(job, artifact) {
    return ofJob(job.id, `/artifacts/${artifact.name.split("/").map(encodeURIComponent).join("/")}`);
}

/** @param {Json} job @param {Json} artifact */
function artifactRow(job, artifact) {
    const path = pathOf(job, artifact);
    const file = artifact.name.replaceAll("/", "-");
    const copy = () => void copyText(artifact.sha256);
    return h(
        "tr",
        {},
        h("td", { class: "break" }, h("a", { href: url(path), download: file }, artifact.name)),
        h("td", { class: "number", "data-label": "Size", title: `${count(artifact.size)} bytes` }, bytes(artifact.size)),
        h("td", { "data-label": "SHA-256" }, h("code", { title: artifact.sha256 }, `${artifact.sha256.slice(0, DIGITS)}...`)),
        h(
            "td",
            { class: "actions" },
            h(
                "button",
                { type: "button", class: "plain", "aria-label": `Copy digest of ${artifact.name}`, on: { click: copy } },
                "Copy digest",
            ),
            h(
                "button",
                {
                    type: "button",
                    class: "plain",
                    "aria-label": `curl ${artifact.name}`,
                    on: { click: () => curlDialog([curlGet(path, ["-C", "-", "-o", file])]) },
                },
                "curl",
            ),
        ),
    );
}

export function artifacts(/** @type {Json} */ job) {
    const list = /** @type {Json[]} */ (job.artifacts ?? []);
    if (list.length === 0) return null;
    const heads = [
        h("th", { scope: "col" }, "File"),
        h("th", { scope: "col", class: "number" }, "Size"),
        h("th", { scope: "col" }, "SHA-256"),
    ];
    const actions = h("th", { scope: "col" }, h("span", { class: "hidden-label" }, "Actions"));
    const rows = list.map((artifact) => artifactRow(job, artifact));
    const table = h("table", { class: "cards" }, h("thead", {}, h("tr", {}, heads, actions)), h("tbody", {}, rows));
    return panel("Artifacts", h("div", { class: "scroll" }, table));
}
