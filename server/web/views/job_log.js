// SPDX-License-Identifier: Apache-2.0
// What happened to a job, one line each, the newest at the end.
import { panel } from "../components/part.js";
import { h } from "../dom.js";
import { moment } from "../format.js";

/** @typedef {import("../api.js").Json} Json */

const NEAR_END = 24; // pixels: who has scrolled back is left there

/** @param {Json} event */
function inWords({ type, data }) {
    if (type !== "status") return data.message;
    const stage = data.stage ? `, ${data.stage}` : "";
    return `${data.status}${stage}${data.attempt > 1 ? `, attempt ${data.attempt}` : ""}`;
}

/** @param {(warning: string) => void} onWarning */
export function jobLog(onWarning) {
    const list = h("ol", { class: "log", tabindex: "0", "aria-label": "Events" });
    return {
        element: panel("Log", list),
        add(/** @type {Json} */ event) {
            const level = event.type === "status" ? "status" : event.data.level;
            const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_END;
            const time = h("time", { datetime: event.time, class: "quiet" }, moment(event.time).slice(11));
            list.append(
                h(
                    "li",
                    { class: `level-${level}` },
                    time,
                    h("span", { class: "level" }, level),
                    h("span", { class: "break" }, inWords(event)),
                ),
            );
            if (atEnd) list.scrollTop = list.scrollHeight;
            if (level === "warn") onWarning(event.data.message);
        },
    };
}
