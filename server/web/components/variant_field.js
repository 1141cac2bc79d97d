// SPDX-License-Identifier: Apache-2.0
// Which variant of a job is looked at.
import { variantTotals } from "../job.js";
import { field, select } from "./field.js";

/** @typedef {import("../api.js").Json} Json */

/** The variant that is named, if the job has it; else its first. @param {Json} job @param {string | null} name */
export function variantOf(job, name) {
    const names = variantTotals(job).map((each) => each.name);
    return names.includes(name ?? "") ? /** @type {string} */ (name ?? "") : (names[0] ?? "");
}

/** Nothing where there is no choice. @param {Json} job @param {string} chosen @param {(variant: string) => void} onChoice */
export function variantField(job, chosen, onChoice) {
    const names = variantTotals(job).map(({ name }) => name);
    if (names.length < 2) return null;
    const control = select(names, chosen);
    control.addEventListener("change", () => onChoice(control.value));
    return field("Variant", control).element;
}
