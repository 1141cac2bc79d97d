/* SPDX-License-Identifier: Apache-2.0 */
/* The server's list of jobs, page by page. */
#ifndef KENCTL_JOB_PAGES_H
#define KENCTL_JOB_PAGES_H

#include "http.h"
#include "kenctl.h"
#include "lifecycle.h"

enum { KENCTL_PAGE_MOST = 200 }; /* jobs in a page */

/* Appends "&key=value" ("?key=value" if it is the first) to a malloc'ed path, the value percent-encoded. False if out of memory. */
bool kenctl_query_add(char **path, const char *key, const char *value);
/* GETs one page. New reference, whose "data" is an array; NULL and *status after a fault, which has been told. */
json_t *kenctl_page_get(const struct kenctl *kenctl, struct kenctl_http *http, const char *path, int *status);
/*
 * Takes each job in that status, the newest first, from as many pages as there are; owner NULL: of all that may be seen. `take` returns
 * false if out of memory. The exit status of a fault, which has been told.
 */
int kenctl_jobs_each(const struct kenctl *kenctl, struct kenctl_http *http, const char *owner, enum proto_status wanted,
                     bool (*take)(void *opaque, json_t *job), void *opaque);

#endif
