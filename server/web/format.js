// SPDX-License-Identifier: Apache-2.0
// Numbers, sizes and times for people.

const whole = new Intl.NumberFormat("en");
const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

export function count(/** @type {number} */ number) {
    return whole.format(number);
}

/** Three digits: 999 B, 1.23 kB, 45.6 MB. */
export function bytes(/** @type {number} */ number) {
    let unit = 0;
    while (number >= 999.5 && unit < UNITS.length - 1) {
        number /= 1000;
        unit += 1;
    }
    const digits = unit === 0 || number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2;
    return `${number.toFixed(digits)} ${UNITS[unit]}`;
}

/** Of a share of 1. */
export function percent(/** @type {number} */ share, digits = 1) {
    return `${(100 * share).toFixed(digits)} %`;
}

/** Four digits, for measures such as the relative L2; nothing is shown as 0 that is not. */
export function measure(/** @type {number} */ number) {
    return number !== 0 && Math.abs(number) < 0.0001 ? number.toExponential(1) : number.toFixed(4);
}

export function duration(/** @type {number} */ seconds) {
    if (seconds < 0.0995) return `${Math.round(1000 * seconds)} ms`;
    if (seconds < 10) return `${seconds.toFixed(1)} s`;
    seconds = Math.round(seconds);
    if (seconds < 60) return `${seconds} s`;
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) return `${minutes} min ${String(seconds % 60).padStart(2, "0")} s`;
    const hours = Math.floor(minutes / 60);
    if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
    return `${Math.floor(hours / 24)} days`;
}

/** About how long ago, in words that do not change each second. */
export function ago(/** @type {string} */ time, now = Date.now()) {
    const seconds = Math.max(0, (now - Date.parse(time)) / 1000);
    if (seconds < 45) return "just now";
    if (seconds < 45 * 60) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
    if (seconds < 22 * 3600) return `${Math.max(1, Math.round(seconds / 3600))} h ago`;
    const days = Math.max(1, Math.round(seconds / 86400));
    return days === 1 ? "1 day ago" : `${days} days ago`;
}

/** In the time of the reader's place, sortable: 2026-11-30 02:35:07. */
export function moment(/** @type {string} */ time) {
    const date = new Date(time);
    const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
    const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** The last part of a URL or path that tells something. */
export function baseName(/** @type {string} */ url) {
    const parts = url
        .replace(/[?#].*$/, "")
        .split("/")
        .filter(Boolean);
    return parts.at(-1) ?? url;
}
