/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor.h"

#include "array.h"
#include "json.h"
#include "print.h"

#include <stdarg.h>
#include <stdlib.h>

static const char *const check_names[] = {
#define X(symbol, name, right) name,
    KENCTL_CHECK_MAP(X)
#undef X
};

static const struct {
    const char *word, *colour;
} verdicts[] = {
#define X(symbol, word, colour) {word, colour},
    KENCTL_VERDICT_MAP(X)
#undef X
};

void kenctl_find(struct kenctl_findings *findings, enum kenctl_check check, enum kenctl_verdict verdict, const char *advice,
                 const char *format, ...)
{
    struct kenctl_finding *item = ken_array_grow(findings->item, findings->count, &findings->capacity, sizeof *item);
    char *found = NULL;
    va_list arguments;
    if (item) findings->item = item;
    va_start(arguments, format);
    if (item && vasprintf(&found, format, arguments) >= 0)
        findings->item[findings->count++] = (struct kenctl_finding){check, verdict, found, advice};
    else
        findings->failed = true;
    va_end(arguments);
}

static enum kenctl_verdict worst(const struct kenctl_findings *findings)
{
    enum kenctl_verdict verdict = KENCTL_OK;
    for (size_t i = 0; i < findings->count; i++)
        if (findings->item[i].verdict > verdict) verdict = findings->item[i].verdict;
    return verdict;
}

/* A line for what was found, and one for what to do next. */
static void print_finding(const struct kenctl_finding *finding)
{
    bool colour = kenctl_colour(stdout);
    const char *word = verdicts[finding->verdict].word;
    if (colour)
        printf("\033[%sm%-4s\033[0m", verdicts[finding->verdict].colour, word);
    else
        printf("%-4s", word);
    printf("  %-12s  ", check_names[finding->check]);
    kenctl_print_text(stdout, finding->found);
    if (finding->advice) printf("\n      -> %s", finding->advice);
    putchar('\n');
}

/* New reference; NULL if out of memory. */
static json_t *to_json(const struct kenctl_findings *findings)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < findings->count; i++) {
        const struct kenctl_finding *finding = &findings->item[i];
        json_t *item = json_pack("{s:s, s:s, s:o, s:s*}", "check", check_names[finding->check], "status", verdicts[finding->verdict].word,
                                 "found", proto_json_text(finding->found), "advice", finding->advice);
        if (json_array_append_new(list, item) == 0) continue;
        json_decref(list);
        list = NULL;
    }
    return list ? json_pack("{s:s, s:o}", "status", verdicts[worst(findings)].word, "checks", list) : NULL;
}

static int print_findings(const struct kenctl_findings *findings, const struct kenctl *kenctl)
{
    if (findings->failed) return kenctl_fail(KENCTL_FAILURE, "out of memory");
    if (kenctl->json) {
        json_t *document = to_json(findings);
        int status = kenctl_print_json(document);
        json_decref(document);
        return status;
    }
    for (size_t i = 0; i < findings->count; i++)
        if (!kenctl->quiet || findings->item[i].verdict != KENCTL_OK) print_finding(&findings->item[i]);
    return KENCTL_SUCCESS;
}

int kenctl_findings_finish(struct kenctl_findings *findings, const struct kenctl *kenctl)
{
    int status = print_findings(findings, kenctl);
    if (status == KENCTL_SUCCESS && worst(findings) == KENCTL_FAIL) status = KENCTL_FAILURE;
    for (size_t i = 0; i < findings->count; i++) free(findings->item[i].found);
    free(findings->item);
    *findings = (struct kenctl_findings){0};
    return status;
}
