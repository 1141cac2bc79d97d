// SPDX-License-Identifier: Apache-2.0
import { h } from "../dom.js";
import { href } from "../router.js";

export function title() {
    return "Not found";
}

/** @param {HTMLElement} root */
export function mount(root) {
    root.append(h("div", { class: "empty" }, h("h1", {}, "There is nothing here"), h("p", {}, h("a", { href: href([]) }, "All jobs"))));
}
