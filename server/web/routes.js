// SPDX-License-Identifier: Apache-2.0
// The one table of places. A view is loaded when it is first needed.

/** @type {import("./router.js").Route[]} */
export const routes = [
    { pattern: "/", nav: "jobs", load: () => import("./views/jobs.js") },
    { pattern: "/jobs", nav: "jobs", load: () => import("./views/jobs.js") },
    { pattern: "/new", nav: "new", load: () => import("./views/new_job.js") },
    { pattern: "/jobs/:id", nav: "jobs", load: () => import("./views/job.js") },
    { pattern: "/jobs/:id/tensors", nav: "jobs", load: () => import("./views/tensors.js") },
    { pattern: "/jobs/:id/layers", nav: "jobs", load: () => import("./views/layers.js") },
    { pattern: "/jobs/:id/kenviz", nav: "jobs", load: () => import("./views/kenviz.js") },
    { pattern: "/jobs/:id/compare", nav: "jobs", load: () => import("./views/compare.js") },
    { pattern: "/sign-in", load: () => import("./views/sign_in.js") },
    { pattern: "*", load: () => import("./views/nowhere.js") },
];
