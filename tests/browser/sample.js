// SPDX-License-Identifier: Apache-2.0
// A job of two variants that tests look at and leave as it is, and how they look at pictures.
import { era } from "./kend.js";

export const VARIANTS = [
    { name: "ken", keep: 0.25 },
    { name: "large", keep: 0.4, method: "magnitude" },
];

/** @type {Map<object, Promise<string>>} */
const made = new Map();

/** Its id, once it has succeeded. @param {import("./kend.js").Kend} kend */
export function sampleJob(kend) {
    const make = async () => {
        const id = await kend.submit(era({ name: "sample", variants: VARIANTS }));
        const job = await kend.wait(id);
        if (job.status !== "succeeded") throw new Error(JSON.stringify(job.error));
        return id;
    };
    if (!made.has(kend)) made.set(kend, make());
    return made.get(kend);
}

/** Waits until all tiles in sight are drawn. */
export async function drawn(page) {
    await page.locator(".picture[aria-busy=false]").waitFor();
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
}

/** Red, green and blue of a pixel of the picture. */
export function colourAt(page, x, y) {
    return page.evaluate(
        ([left, top]) => {
            const canvas = document.createElement("canvas");
            const context = canvas.getContext("2d", { willReadFrequently: true });
            context.drawImage(document.querySelector(".picture canvas"), -left, -top);
            const { data } = context.getImageData(0, 0, 1, 1);
            return [...data.slice(0, 3)];
        },
        [x, y],
    );
}

/** What the address says. */
export async function addressOf(page) {
    const hash = await page.evaluate(() => location.hash);
    return Object.fromEntries(new URLSearchParams(hash.split("?")[1] ?? ""));
}
