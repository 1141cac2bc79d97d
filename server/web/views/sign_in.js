// SPDX-License-Identifier: Apache-2.0
// A token becomes a session.
import { describe } from "../components/problem.js";
import { field } from "../components/field.js";
import { h } from "../dom.js";
import { signIn } from "../session.js";

export function title() {
    return "Sign in";
}

/** A place on this page, whatever the address says. @param {import("../router.js").Place} place */
function target(place) {
    const then = place.query.get("then") ?? "";
    return then.startsWith("#/") && !then.startsWith("#/sign-in") ? then : "#/";
}

/** @param {HTMLElement} root @param {import("../router.js").Place} place */
export function mount(root, place) {
    const input = h("input", { type: "password", autocomplete: "off", spellcheck: "false", required: true, placeholder: "kend_..." });
    const token = field("Token", input, "It is sent once. A cookie stands for it then, which ends with your session.");
    const button = h("button", { class: "primary" }, "Sign in");

    const submit = async (/** @type {Event} */ event) => {
        event.preventDefault();
        button.disabled = true;
        token.setFault("");
        try {
            await signIn(input.value.trim());
            dispatchEvent(new Event("kend-session"));
            location.hash = target(place);
        } catch (error) {
            const { title: what, detail } = describe(error);
            token.setFault(detail || what);
            input.focus();
        }
        button.disabled = false;
    };
    root.append(
        h(
            "form",
            { class: "panel stack sign-in", on: { submit: (/** @type {Event} */ event) => void submit(event) } },
            h("h1", {}, "Sign in"),
            h(
                "p",
                { class: "quiet" },
                "This kend wants a token. Whoever runs it makes one with ",
                h("code", {}, "kenctl token create"),
                ".",
            ),
            token.element,
            h("div", {}, button),
        ),
    );
    input.focus();
}
