/* SPDX-License-Identifier: Apache-2.0 */
/* A job of the server: asking for it, waiting for it, showing it. */
#ifndef KENCTL_REMOTE_JOB_H
#define KENCTL_REMOTE_JOB_H

#include "http.h"
#include "kenctl.h"

/* Prints a core error after a failed call, adding how to name another server. Its exit status. */
int kenctl_call_failed(const struct kenctl *kenctl, const struct ken_error *error);
/* "/v1/jobs/ID" + rest with the id percent-encoded, malloc'ed; NULL if out of memory. */
char *kenctl_job_path(const char *id, const char *rest);
/* GETs a JSON object below a job. New reference; NULL and *status if that failed, which has been told. */
json_t *kenctl_job_get(const struct kenctl *kenctl, struct kenctl_http *http, const char *id, const char *rest, int *status);
/* The answer to GET below a job: KENCTL_SUCCESS with 200 or 304; else it was told. */
int kenctl_job_ask(const struct kenctl *kenctl, struct kenctl_http *http, const char *id, const char *rest, const char *etag, unsigned wait,
                   struct kenctl_response *response);
/*
 * Waits for the job's end with its progress on standard error; lines: its events are printed as JSON, each on a line. *job (new reference)
 * is its last representation, or NULL. The exit status that tells the result.
 */
int kenctl_job_follow(const struct kenctl *kenctl, struct kenctl_http *http, const char *id, bool lines, json_t **job);
/* Prints the job's warnings with event ids above *last to standard error; *last becomes the last id. What cannot be asked for is left out:
 * they come beside an answer. */
void kenctl_job_warn(struct kenctl_http *http, const char *id, json_int_t *last);
/* Prints a job for people. */
int kenctl_job_show(const json_t *job);
/* A share of work in whole percent for people: 100 only where all is done. */
unsigned kenctl_percent(const json_t *number);
/* Prints an object for people: one line for each plain value, nested ones as "a.b". */
int kenctl_print_fields(const json_t *object);
/* Prints what a plan says in numbers, which are its own or its totals'. */
int kenctl_print_plan(const json_t *plan);
/* Prints a warning of a plan to standard error. */
void kenctl_print_warning(const char *text);
/* Prints the table of artifacts: name, size, SHA-256. */
int kenctl_print_artifacts(const json_t *artifacts);
/* Prints a report's totals, of several variants side by side. */
int kenctl_print_summary(const json_t *summary);

#endif
