// SPDX-License-Identifier: Apache-2.0
// Places on the page: "#/jobs/ID?view=x". A view is mounted for a place, and its signal is aborted when the reader leaves it.
import { isAbort } from "./api.js";
import { problemPanel } from "./components/problem.js";

/**
 * @typedef {object} Place
 * @property {Record<string, string>} params what stood for the ":names" of the pattern
 * @property {URLSearchParams} query
 * @property {AbortSignal} signal aborted when the view ends: give it to fetches, watchers and listeners outside the root
 */
/**
 * @typedef {object} View
 * @property {(place: Place) => string} title
 * @property {(root: HTMLElement, place: Place) => void | Promise<void>} mount fills the root; its first h1 is focused
 */
/**
 * @typedef {object} Route
 * @property {string} pattern segments; ":name" is any one
 * @property {string} [nav] the entry of the navigation that it belongs to
 * @property {() => Promise<View>} load
 */

/** The link to a place: href(["jobs", id], {variant: "half"}). @param {string[]} path @param {Record<string, string>} [query] */
export function href(path, query = {}) {
    const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""));
    const text = parameters.toString();
    return `#/${path.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/** @param {string[]} path @param {Record<string, string>} [query] */
export function go(path, query = {}) {
    location.hash = href(path, query);
}

/** The address that what is shown belongs to. */
let shown = "";

/**
 * Changes the query of the place without leaving it; nothing where the reader is about to leave it: the address is of another place then.
 * @param {Record<string, string>} query
 */
export function setQuery(query) {
    if (location.hash !== shown) return;
    const { path } = read();
    history.replaceState(null, "", href(path, query));
    shown = location.hash;
}

function read() {
    const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
    const decode = (/** @type {string} */ part) => {
        try {
            return decodeURIComponent(part);
        } catch {
            return part;
        }
    };
    return { path: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

/** @param {string} pattern @param {string[]} path @returns {Record<string, string> | null} */
export function match(pattern, path) {
    const parts = pattern.split("/").filter(Boolean);
    /** @type {Record<string, string>} */
    const params = {};
    if (parts.length !== path.length) return null;
    for (const [i, part] of parts.entries()) {
        const given = path[i] ?? "";
        if (part.startsWith(":")) params[part.slice(1)] = given;
        else if (part !== given) return null;
    }
    return params;
}

/**
 * Shows the place that the address names, from now on. The last route is for all that no other matches.
 * @param {Route[]} routes @param {HTMLElement} root @param {(route: Route) => void} onRoute
 * @returns {{show: () => void, leave: () => void}}
 */
export function startRouter(routes, root, onRoute) {
    let leaving = new AbortController();
    let first = true;

    async function show() {
        leaving.abort();
        leaving = new AbortController();
        shown = location.hash;
        const { signal } = leaving;
        const { path, query } = read();
        const found = routes.map((route) => ({ route, params: match(route.pattern, path) })).find(({ params }) => params);
        const { route, params } = found ?? { route: /** @type {Route} */ (routes.at(-1)), params: {} };
        const place = { params: params ?? {}, query, signal };
        onRoute(route);
        try {
            const view = await route.load();
            if (signal.aborted) return;
            document.title = `${view.title(place)} - kend`;
            root.replaceChildren();
            await view.mount(root, place);
        } catch (error) {
            if (signal.aborted || isAbort(error)) return;
            root.replaceChildren(problemPanel(error));
        }
        if (!signal.aborted && !first) focusHeading(root);
        first = false;
    }

    addEventListener("hashchange", show);
    void show();
    return { show: () => void show(), leave: () => leaving.abort() };
}

/** Whoever is read to hears where he is; the keyboard goes on from there. */
function focusHeading(/** @type {HTMLElement} */ root) {
    if (root.contains(document.activeElement)) return;
    const heading = root.querySelector("h1");
    heading?.setAttribute("tabindex", "-1");
    (heading ?? root).focus({ preventScroll: true });
    scrollTo(0, 0);
}
