// SPDX-License-Identifier: Apache-2.0
// Names and what belongs to them.
import { h } from "../dom.js";

/** @param {[string, string | null][]} pairs those without a value are left out */
export function pairList(pairs) {
    const given = pairs.filter(([, text]) => text !== null);
    return h(
        "dl",
        { class: "pairs" },
        given.flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]),
    );
}
