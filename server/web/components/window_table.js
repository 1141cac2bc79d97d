// SPDX-License-Identifier: Apache-2.0
// A table of any number of rows, of which only those in sight are elements: sorted by a click on a heading, walked through by arrows.
import { h } from "../dom.js";

/** @typedef {import("../api.js").Json} Json */
/** @typedef {import("../dom.js").Child} Child */
/**
 * @typedef {object} Column
 * @property {string} key what the address calls it
 * @property {string} text
 * @property {(row: Json) => number | string} value that is sorted by
 * @property {(row: Json) => Child | Child[]} cell
 * @property {boolean} [number] set to the right
 * @property {boolean} [most] sorted with the greatest first
 * @property {string} [width] class: how wide, and whether small screens do without
 */
/** @typedef {{key: string, down: boolean}} Order */

const ROW = 32; // pixels, as in the sheet
const BEYOND = 10; // rows above and below those in sight

const words = new Intl.Collator("en", { numeric: true });

/** @param {number | string} a @param {number | string} b */
function compare(a, b) {
    return typeof a === "number" && typeof b === "number" ? a - b : words.compare(String(a), String(b));
}

/** Rows in an order; equal ones stay as they are. @param {Json[]} rows @param {Column | undefined} column @param {boolean} down */
function sorted(rows, column, down) {
    if (!column) return rows;
    const sign = down ? -1 : 1;
    const keys = rows.map((row) => ({ row, key: column.value(row) }));
    return keys.sort((a, b) => sign * compare(a.key, b.key)).map(({ row }) => row);
}

/** Up and down between the links of the rows. */
function onArrow(/** @type {KeyboardEvent} */ event) {
    const row = /** @type {HTMLElement} */ (event.target).closest("tbody tr");
    const next = event.key === "ArrowDown" ? row?.nextElementSibling : event.key === "ArrowUp" ? row?.previousElementSibling : null;
    const link = /** @type {HTMLElement | null | undefined} */ (next?.querySelector("a"));
    if (!link) return;
    event.preventDefault();
    link.focus({ preventScroll: true });
    next?.scrollIntoView({ block: "nearest" });
}

/**
 * @param {string} label @param {Column[]} columns @param {Order} order at first; key "": as the rows come
 * @param {(order: Order) => void} onOrder
 */
export function windowTable(label, columns, order, onOrder) {
    /** @type {Json[]} as they came */
    let given = [];
    /** @type {Json[]} as they are shown */
    let rows = [];
    /** @type {Map<Json, HTMLTableRowElement>} those that are elements */
    const made = new Map();
    let asked = 0;
    const spacer = () => h("tr", { class: "spacer", "aria-hidden": "true" }, h("td"));
    const above = spacer();
    const below = spacer();
    const heads = columns.map((column) =>
        h(
            "th",
            { scope: "col", class: [column.width, column.number && "number"].filter(Boolean).join(" ") },
            h("button", { type: "button", class: "plain", on: { click: () => sortBy(column) } }, column.text),
        ),
    );
    const body = h("tbody", { on: { keydown: onArrow } }, above, below);
    const table = h("table", { "aria-label": label }, h("thead", {}, h("tr", {}, heads)), body);
    const element = h("div", { class: "window", tabindex: "0", role: "region", "aria-label": label, on: { scroll: later } }, table);
    const resized = new ResizeObserver(later);
    resized.observe(element);

    /** @param {Json} row */
    function rowOf(row) {
        const cells = columns.map((column, i) => {
            const name = [column.width, column.number && "number"].filter(Boolean).join(" ");
            return i === 0 ? h("th", { scope: "row", class: name }, column.cell(row)) : h("td", { class: name }, column.cell(row));
        });
        return h("tr", {}, cells);
    }

    function draw() {
        asked = 0;
        const first = Math.max(0, Math.floor(element.scrollTop / ROW) - BEYOND);
        const end = Math.min(rows.length, Math.ceil((element.scrollTop + element.clientHeight) / ROW) + BEYOND);
        const shown = new Set(rows.slice(first, end));
        for (const [row, tr] of made) {
            if (shown.has(row)) continue;
            if (tr.contains(document.activeElement)) element.focus({ preventScroll: true });
            tr.remove();
            made.delete(row);
        }
        let before = /** @type {Element} */ (above);
        let index = first;
        for (const row of shown) {
            const tr = made.get(row) ?? rowOf(row);
            made.set(row, tr);
            tr.setAttribute("aria-rowindex", String((index += 1) + 1));
            if (before.nextElementSibling !== tr) before.after(tr);
            before = tr;
        }
        above.style.setProperty("height", `${first * ROW}px`);
        below.style.setProperty("height", `${(rows.length - end) * ROW}px`);
        table.setAttribute("aria-rowcount", String(rows.length + 1));
    }

    function later() {
        asked ||= requestAnimationFrame(draw);
    }

    function arrange() {
        const column = columns.find(({ key }) => key === order.key);
        rows = sorted(given, column, order.down);
        for (const [i, head] of heads.entries()) {
            if (columns[i] !== column) head.removeAttribute("aria-sort");
            else head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
        }
        draw();
    }

    /** @param {Column} column */
    function sortBy(column) {
        const again = order.key === column.key;
        order = { key: column.key, down: again ? !order.down : Boolean(column.number || column.most) };
        element.scrollTop = 0;
        arrange();
        onOrder(order);
    }

    return {
        element,
        /** @param {Json[]} next each an object of its own */
        setRows(next) {
            given = next;
            arrange();
        },
    };
}
