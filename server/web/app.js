// SPDX-License-Identifier: Apache-2.0
// The page: its frame, who uses it, and the place that the address names.
import { access, Problem } from "./api.js";
import { noticeProblem, noticeRegion } from "./components/notice.js";
import { problemPanel } from "./components/problem.js";
import { h } from "./dom.js";
import { go, href, startRouter } from "./router.js";
import { routes } from "./routes.js";
import { begin, may, session, signOut } from "./session.js";
import { beginTheme, themeButton } from "./theme.js";

beginTheme();

const main = h("main", { id: "main", tabindex: "-1" });
const nav = h("nav", { "aria-label": "Places" });
const who = h("div", { class: "who" });
/** @type {string | undefined} */
let place;

function showNav() {
    const places = [{ key: "jobs", text: "Jobs", path: /** @type {string[]} */ ([]) }];
    if (may("submit")) places.push({ key: "new", text: "New job", path: ["new"] });
    const links = places.map(({ key, text, path }) => h("a", { href: href(path), "aria-current": key === place && "page" }, text));
    nav.replaceChildren(...(session() ? links : []));
}

async function leave() {
    try {
        await signOut();
    } catch (error) {
        noticeProblem(error);
        return;
    }
    go(["sign-in"]);
    showFrame();
}

/** Everything that depends on who uses the page. */
function showFrame() {
    const owner = session()?.owner;
    const button = h("button", { type: "button", class: "plain", on: { click: () => void leave() } }, "Sign out");
    who.replaceChildren(...(owner ? [h("span", {}, owner), button] : []), themeButton());
    showNav();
}

function frame() {
    const skip = h("button", { type: "button", class: "skip", on: { click: () => main.focus() } }, "Skip to the content");
    const brand = h("a", { class: "brand", href: href([]) }, h("img", { src: "web/icon.svg", alt: "" }), "kend");
    document.body.replaceChildren(skip, h("header", { class: "top" }, brand, nav, who), main, noticeRegion());
}

/** "/" goes to the filter of a view that has one: the element with data-focus-key. */
function onKey(/** @type {KeyboardEvent} */ event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.closest("input, textarea, select, dialog")) return;
    const filter = /** @type {HTMLElement | null} */ (main.querySelector("[data-focus-key='/']"));
    if (!filter) return;
    event.preventDefault();
    filter.focus();
}

/** Where a token is needed, whoever came for a place is led back there after the sign-in. */
function askToSignIn() {
    if (location.hash.startsWith("#/sign-in")) return;
    go(["sign-in"], { then: location.hash });
}

async function start() {
    frame();
    try {
        await begin();
    } catch (error) {
        if (!(error instanceof Problem) || error.status !== 401) {
            main.replaceChildren(problemPanel(error, h("button", { on: { click: () => location.reload() } }, "Try again")));
            return;
        }
        askToSignIn();
    }
    access.addEventListener("unauthorized", () => (askToSignIn(), showFrame()));
    addEventListener("keydown", onKey);
    addEventListener("kend-session", showFrame);
    showFrame();
    startRouter(routes, main, (route) => {
        place = route.nav;
        showNav();
    });
}

void start();
