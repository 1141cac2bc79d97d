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

/** Red, green and blue of pixels of the picture. @param {{x: number, y: number}[]} places */
export function coloursAt(page, places) {
    return page.evaluate((list) => {
        const picture = document.querySelector(".picture canvas");
        const canvas = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
        const context = canvas.getContext("2d", { willReadFrequently: true });
        context.drawImage(picture, 0, 0);
        return list.map(({ x, y }) => [...context.getImageData(Math.round(x), Math.round(y), 1, 1).data.slice(0, 3)]);
    }, places);
}

/** What the address says. */
export async function addressOf(page) {
    const hash = await page.evaluate(() => location.hash);
    return Object.fromEntries(new URLSearchParams(hash.split("?")[1] ?? ""));
}
