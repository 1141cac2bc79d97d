// SPDX-License-Identifier: Apache-2.0

/** Ends after a time, or when the signal is aborted. @param {number} ms @param {AbortSignal} [signal] */
export function pause(ms, signal) {
    return new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        signal?.addEventListener("abort", () => (clearTimeout(timer), resolve(undefined)), { once: true });
    });
}
