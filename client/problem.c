/* SPDX-License-Identifier: Apache-2.0 */
/* What a server's refusal means to the person who asked. */
#include "http.h"
#include "kenctl.h"
#include "print.h"

#include <string.h>

/* code of the problem, what to do next */
static const struct {
    const char *code, *advice;
} advices[] = {
    {"unauthorized", "Give a token with --token-file FILE, KENCTL_TOKEN_FILE or KENCTL_TOKEN."},
    {"forbidden", "This token may not do that; ask whoever runs the server for another."},
    {"not_found", "`kenctl list` shows the jobs that there are."},
    {"job_active", "Wait for its end (`kenctl watch ID`) or cancel it (`kenctl cancel ID`)."},
    {"job_finished", "`kenctl show ID` tells how it ended."},
    {"invalid_job", "Correct the document, or what it names; `kenctl submit --help` shows one."},
    {"not_supported", "Leave that out, or ask a newer server."},
    {"idempotency_mismatch", "Take another --idempotency-key for another document."},
    {"queue_full", "Try again when some jobs have ended, or delete jobs where their documents are too many."},
    {"rate_limited", "Try again in a while."},
    {"too_large", "Send less."},
    {"request_timeout", "Try again, over a faster line."},
    {"draining", "The server is being restarted; try again in a while."},
    {"no_space", "The server's disk is full: delete jobs (`kenctl delete ID`) or tell whoever runs it."},
    {"store_unavailable", "Try again in a while, or tell whoever runs the server."},
    {"internal", "Tell whoever runs the server, with the request's id from its log."},
};

static void advise(const struct kenctl *kenctl, const char *code)
{
    if (strcmp(code, "forbidden") == 0 && !kenctl->token) return; /* it may have none: the detail tells */
    for (size_t i = 0; i < sizeof advices / sizeof *advices; i++)
        if (strcmp(advices[i].code, code) == 0) fprintf(stderr, "%s\n", advices[i].advice);
}

int kenctl_refused(const struct kenctl *kenctl, const struct kenctl_response *response)
{
    const json_t *problem = response->json;
    const char *code = json_string_value(json_object_get(problem, "code")), *title = json_string_value(json_object_get(problem, "title"));
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    if (kenctl->json && json_is_object(problem)) kenctl_print_json(problem);
    if (!code)
        return kenctl_fail(KENCTL_FAILURE, "%s answered with status %ld, and not as a kend does; is that the right server?", kenctl->server,
                           response->status);
    const json_t *job_error = json_object_get(problem, "job_error");
    if (json_is_object(job_error)) { /* the document is good: there is nothing in it to correct */
        const char *reason = json_string_value(json_object_get(job_error, "code"));
        const char *message = json_string_value(json_object_get(job_error, "message"));
        return kenctl_fail(KENCTL_FAILURE, "the job would fail in its check: %s (%s)", message ? message : "", reason ? reason : "");
    }
    kenctl_fail(KENCTL_FAILURE, "%s%s%s (%ld %s)", title ? title : code, detail ? ": " : "", detail ? detail : "", response->status, code);
    size_t i;
    json_t *fault;
    json_array_foreach(json_object_get(problem, "errors"), i, fault)
        kenctl_print_fault(json_string_value(json_object_get(fault, "pointer")), json_string_value(json_object_get(fault, "detail")));
    advise(kenctl, code);
    return KENCTL_FAILURE;
}
