// SPDX-License-Identifier: Apache-2.0
// Which tensor is looked at: its role, and a slider over the layers that have it.
import { field, select } from "../components/field.js";
import { tensorName } from "../components/tensor_name.js";
import { h } from "../dom.js";
import { measure, percent } from "../format.js";
import { findTensor } from "../roles.js";

/** @typedef {import("../api.js").Json} Json */

/** @param {(tensor: Json) => void} onTensor */
export function layerChoice(onTensor) {
    /** @type {Json[]} */
    let roles = [];
    /** @type {Json | undefined} */
    let role;
    const slider = h("input", { type: "range", min: "0", step: "1" });
    const told = h("div", { class: "small told" });
    const roleField = h("div", { class: "role-field" });
    const sliderField = field("Layer", slider);
    slider.addEventListener("input", () => choose(slider.valueAsNumber));

    function tell(/** @type {Json} */ tensor) {
        const numbers = `kept ${percent(tensor.kept_fraction)}, relative L2 ${measure(tensor.relative_l2)}`;
        slider.setAttribute("aria-valuetext", tensor.name);
        told.replaceChildren(tensorName(tensor.name), h("span", { class: "quiet" }, numbers));
    }
    function choose(/** @type {number} */ index) {
        const tensor = role?.tensors[Math.min(Math.max(index, 0), role.tensors.length - 1)];
        if (!tensor) return;
        slider.value = String(role?.tensors.indexOf(tensor));
        tell(tensor);
        onTensor(tensor);
    }
    function setRole(/** @type {Json} */ next, index = 0) {
        role = next;
        slider.max = String(next.tensors.length - 1);
        slider.disabled = next.tensors.length < 2;
        choose(index);
    }
    return {
        element: h("div", { class: "layer-choice" }, roleField, sliderField.element, told),
        step: (/** @type {number} */ step) => choose(slider.valueAsNumber + step),
        /** The tensor, or where there is none of that name, some matrix. @param {Json[]} next @param {string} name */
        setRoles(next, name) {
            roles = next;
            const found = findTensor(roles, name);
            if (!found) return;
            const control = select(
                roles.map((each) => each.role),
                found.role.role,
            );
            control.addEventListener("change", () => {
                const chosen = roles.find((each) => each.role === control.value);
                if (chosen) setRole(chosen, slider.valueAsNumber);
            });
            roleField.replaceChildren(field("Tensors", control).element);
            setRole(found.role, found.index);
        },
    };
}
