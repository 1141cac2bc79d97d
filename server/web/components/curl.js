// SPDX-License-Identifier: Apache-2.0
// What the page does, as curl lines: to be copied, and put into scripts.
import { url } from "../api.js";
import { h } from "../dom.js";
import { session } from "../session.js";
import { openDialog } from "./dialog.js";
import { notice } from "./notice.js";

/** As a POSIX shell reads it back. */
export function quote(/** @type {string} */ text) {
    return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A token is never shown: the line takes it from the environment, as kenctl does. @param {string[]} words */
function line(words) {
    const bearer = session()?.owner ? ['-H "Authorization: Bearer $KENCTL_TOKEN"'] : [];
    return ["curl", ...bearer, ...words].join(" ");
}

/** @param {string} path @param {string[]} [options] */
export function curlGet(path, options = []) {
    return line([...options, quote(url(path))]);
}

/** @param {string} method @param {string} path */
export function curlMethod(method, path) {
    return line(["-X", method, quote(url(path))]);
}

/** @param {import("../api.js").Json} document */
export function curlSubmit(document) {
    return line(["--json", quote(JSON.stringify(document)), quote(url("v1/jobs"))]);
}

/** As browsers did before, and do on plain http. */
function copySelected(/** @type {string} */ text) {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    const area = h("textarea", { class: "copied", readonly: true, value: text });
    (before?.closest("dialog") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    before?.focus();
    return done;
}

/** @param {string} text */
export async function copyText(text) {
    let done = false;
    try {
        await navigator.clipboard.writeText(text);
        done = true;
    } catch {
        done = copySelected(text);
    }
    notice(done ? "Copied" : "The browser does not let the page copy: select the text and copy it", !done);
}

/** Shows lines and copies them. @param {string[]} lines */
export function curlDialog(lines) {
    const text = lines.join("\n");
    const copy = h("button", { type: "button", class: "primary", on: { click: () => void copyText(text) } }, "Copy");
    openDialog("With curl", [h("pre", { class: "code", tabindex: "0" }, text)], [copy, h("button", { value: "" }, "Close")]);
    copy.focus();
}
