// SPDX-License-Identifier: Apache-2.0
// Dark or light: as the system has it, until the reader says otherwise.
import { h, setText } from "./dom.js";

const KEY = "kend-theme";
/** @type {{system: "light", light: "dark", dark: "system"}} */
const NEXT = { system: "light", light: "dark", dark: "system" };
/** @typedef {keyof typeof NEXT} Theme */

/** @returns {Theme} */
function stored() {
    try {
        const theme = localStorage.getItem(KEY);
        return theme === "light" || theme === "dark" ? theme : "system";
    } catch {
        return "system"; // storage is switched off
    }
}

function apply(/** @type {Theme} */ theme) {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
}

/** As it was left; to be called before anything is shown. */
export function beginTheme() {
    apply(stored());
}

export function themeButton() {
    let theme = stored();
    const button = h("button", { type: "button", class: "plain", title: "Dark, light, or as the system has it" });
    const show = () => setText(button, `Theme: ${theme}`);
    button.addEventListener("click", () => {
        theme = NEXT[theme];
        apply(theme);
        try {
            localStorage.setItem(KEY, theme);
        } catch {
            // it holds for this visit
        }
        show();
    });
    show();
    return button;
}
