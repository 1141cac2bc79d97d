// SPDX-License-Identifier: Apache-2.0
// Elements. Whatever comes from outside becomes a text node or an attribute's value here, never markup.

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, unknown>} Attributes */

const SVG = "http://www.w3.org/2000/svg";
/** Set as properties: as attributes they say only how an element begins. */
const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "hidden", "open", "indeterminate"]);

/** Links lead to this server, or to a place on this page; a URL out of a document might be a script. */
function isSafe(/** @type {string} */ url) {
    const { protocol } = new URL(url, document.baseURI);
    return protocol === "http:" || protocol === "https:";
}

/** @param {Element} element @param {Attributes} attributes */
function assign(element, attributes) {
    for (const [name, value] of Object.entries(attributes)) {
        if (value === undefined || value === null || value === false) continue;
        if (name === "on") {
            for (const [type, listener] of Object.entries(/** @type {Record<string, EventListener>} */ (value)))
                element.addEventListener(type, listener);
        } else if (PROPERTIES.has(name)) Reflect.set(element, name, value);
        else if (name.startsWith("on") || name === "srcdoc") throw new TypeError(`no attribute ${name} here`);
        else if ((name !== "href" && name !== "src") || isSafe(String(value)))
            element.setAttribute(name, value === true ? "" : String(value));
    }
}

/** @param {Element} element @param {(Child | Child[])[]} children */
function append(element, children) {
    for (const child of children.flat())
        if (child !== null && child !== undefined && child !== false) element.append(child instanceof Node ? child : String(child));
}

/**
 * An element: h("a", {href: "#/", class: "x", on: {click: f}}, "text", other).
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    append(element, children); // before the attributes: a select has no value without its options
    assign(element, attributes);
    return element;
}

/**
 * An element of a drawing.
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function svg(tag, attributes = {}, ...children) {
    const element = document.createElementNS(SVG, tag);
    append(element, children);
    assign(element, attributes);
    return element;
}

/** Replaces what is in an element, but only where it differs: selections and focus elsewhere stay. */
export function setText(/** @type {Element} */ element, /** @type {string} */ text) {
    if (element.textContent !== text) element.textContent = text;
}

let numbers = 0;
/** An id that no other element has, for labels. */
export function uniqueId(/** @type {string} */ stem) {
    numbers += 1;
    return `${stem}-${numbers}`;
}
