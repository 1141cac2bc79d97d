// SPDX-License-Identifier: Apache-2.0

/**
 * Of readings for one place only the newest goes on: what is returned begins one, calls off the one before, and gives its signal. An
 * answer counts only while that is not aborted.
 * @param {AbortSignal} signal of the view
 */
export function newest(signal) {
    let current = new AbortController();
    return () => {
        current.abort();
        current = new AbortController();
        return AbortSignal.any([signal, current.signal]);
    };
}
