/* SPDX-License-Identifier: Apache-2.0 */
#include "job.h"
#include "print.h"
#include "remote_job.h"

#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void line(const char *label, const char *text)
{
    if (!text || !*text) return;
    printf("%-14s ", label);
    kenctl_print_text(stdout, text);
    fputc('\n', stdout);
}

/* A plain value as text, malloc'ed; NULL for an array, an object or null. */
static char *plain(const json_t *value)
{
    if (json_is_string(value)) return strdup(json_string_value(value));
    if (json_is_array(value) || json_is_object(value) || json_is_null(value)) return NULL;
    return json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
}

static void field(const char *label, const json_t *value)
{
    char *text = plain(value);
    line(label, text);
    free(text);
}

static void add_plain(struct kenctl_table *table, const json_t *value)
{
    char *text = plain(value);
    kenctl_table_add(table, text);
    free(text);
}

/* Adds a line for each plain value; names of nested ones as "a.b". */
static void add_fields(struct kenctl_table *table, const json_t *object, const char *prefix, unsigned depth)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        char *text = plain(value), *name = NULL;
        if (asprintf(&name, "%s%s%s", prefix, *prefix ? "." : "", key) < 0) name = NULL;
        if (text && name) {
            kenctl_table_add(table, name);
            kenctl_table_add(table, text);
        } else if (json_is_object(value) && name && depth)
            add_fields(table, value, name, depth - 1);
        free(text);
        free(name);
    }
}

int kenctl_print_fields(const json_t *object)
{
    enum { DEEPEST = 4 };
    struct kenctl_table *table = kenctl_table_create("ll", NULL);
    add_fields(table, object, "", DEEPEST);
    return kenctl_table_finish(&table);
}

/* Adds a number of the plan, where it has it: sizes for people on a terminal. */
static void add_number(struct kenctl_table *table, const char *key, const json_t *value)
{
    static const char of_bytes[] = "_bytes";
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value)) return;
    kenctl_table_add(table, key);
    if (strstr(key, of_bytes) && number >= 0)
        kenctl_table_add_size(table, stdout, (uint64_t)number);
    else
        kenctl_table_add_format(table, "%" JSON_INTEGER_FORMAT, number);
}

int kenctl_print_plan(const json_t *plan)
{
    const char *key;
    json_t *value;
    struct kenctl_table *table = kenctl_table_create("lr", NULL);
    json_object_foreach(json_object_get(plan, "totals"), key, value) add_number(table, key, value);
    json_object_foreach((json_t *)plan, key, value) add_number(table, key, value);
    return kenctl_table_finish(&table);
}

void kenctl_print_warning(const char *text)
{
    fputs("warning: ", stderr);
    kenctl_print_text(stderr, text);
    fputc('\n', stderr);
}

int kenctl_print_summary(const json_t *summary)
{
    const json_t *variants = json_object_get(summary, "variants");
    const char *heads[KEN_MAX_VARIANTS + 1] = {"TOTALS"}, *key;
    char align[KEN_MAX_VARIANTS + 2] = "l";
    size_t count = json_object_size(variants), column = 0;
    json_t *totals, *value;
    if (!json_is_object(variants) || !count || count > KEN_MAX_VARIANTS) return kenctl_print_fields(summary);
    json_object_foreach((json_t *)variants, key, totals)
    {
        align[++column] = 'r';
        heads[column] = key;
    }
    struct kenctl_table *table = kenctl_table_create(align, heads);
    json_object_foreach(json_object_get(variants, heads[1]), key, value)
    {
        kenctl_table_add(table, key);
        for (size_t i = 1; i <= count; i++) add_plain(table, json_object_get(json_object_get(variants, heads[i]), key));
    }
    return kenctl_table_finish(&table);
}

static void show_input(const json_t *job, const char *key)
{
    const json_t *input = json_object_get(job, key);
    if (json_is_string(input)) line(key, json_string_value(input));
    if (!json_is_object(input)) return;
    line(key, text_of(input, "url"));
    if (text_of(input, "sha256")) line("", text_of(input, "sha256"));
}

static void show_rules(const json_t *rules)
{
    if (json_is_string(rules)) line("rules", json_string_value(rules));
    if (!json_is_array(rules) || !json_array_size(rules)) return;
    size_t i;
    json_t *rule;
    json_array_foreach(rules, i, rule)
    {
        char *k = plain(json_object_get(rule, "k")), *keep = plain(json_object_get(rule, "keep"));
        printf("%-14s ", i ? "" : "rules");
        kenctl_print_text(stdout, text_of(rule, "match") ? text_of(rule, "match") : "");
        printf(": ");
        kenctl_print_text(stdout, text_of(rule, "action") ? text_of(rule, "action") : "");
        printf("%s%s\n", k || keep ? " " : "", k ? k : keep ? keep : "");
        free(k);
        free(keep);
    }
}

static void show_names(const json_t *names)
{
    size_t i;
    json_t *renaming;
    json_array_foreach(names, i, renaming)
    {
        printf("%-14s ", i ? "" : "names");
        kenctl_print_text(stdout, text_of(renaming, "match") ? text_of(renaming, "match") : "");
        printf(": ");
        kenctl_print_text(stdout, text_of(renaming, "base") ? text_of(renaming, "base") : "");
        fputc('\n', stdout);
    }
}

static int show_variants(const json_t *variants)
{
    static const char *const heads[] = {"VARIANT", "K", "KEEP", "METHOD", "RESCALE", "DUPLICATES"};
    static const char *const keys[] = {"name", "k", "keep", "method", "rescale", "duplicates"};
    if (!json_array_size(variants)) return KENCTL_SUCCESS;
    struct kenctl_table *table = kenctl_table_create("lrrlll", heads);
    size_t i;
    json_t *variant;
    json_array_foreach(variants, i, variant) for (size_t j = 0; j < sizeof keys / sizeof *keys; j++)
        add_plain(table, json_object_get(variant, keys[j]));
    fputc('\n', stdout);
    return kenctl_table_finish(&table);
}

int kenctl_print_artifacts(const json_t *artifacts)
{
    static const char *const heads[] = {"ARTIFACT", "SIZE", "SHA-256"};
    struct kenctl_table *table = kenctl_table_create("lrl", heads);
    size_t i;
    json_t *artifact;
    json_array_foreach(artifacts, i, artifact)
    {
        json_int_t size = json_integer_value(json_object_get(artifact, "size"));
        kenctl_table_add(table, text_of(artifact, "name"));
        kenctl_table_add_size(table, stdout, size > 0 ? (uint64_t)size : 0);
        kenctl_table_add(table, text_of(artifact, "sha256"));
    }
    return kenctl_table_finish(&table);
}

unsigned kenctl_percent(const json_t *number)
{
    double value = json_number_value(number);
    return value > 0 && value <= 100 ? (unsigned)value : value > 100 ? 100 : 0;
}

static void show_status(const json_t *job)
{
    const char *status = text_of(job, "status"), *stage = text_of(job, "stage"), *colour = "";
    const json_t *error = json_object_get(job, "error"), *percent = json_object_get(json_object_get(job, "progress"), "percent");
    if (status && kenctl_colour(stdout))
        colour = strcmp(status, "succeeded") == 0 ? "\033[32m" : strcmp(status, "failed") == 0 ? "\033[31m" : "\033[33m";
    printf("%-14s %s", "status", colour);
    kenctl_print_text(stdout, status ? status : "?");
    fputs(*colour ? "\033[0m" : "", stdout);
    if (stage && *stage) printf(", ");
    kenctl_print_text(stdout, stage ? stage : "");
    if (stage && *stage && json_is_number(percent)) printf(", %u %%", kenctl_percent(percent));
    fputc('\n', stdout);
    if (!json_is_object(error)) return;
    printf("%-14s ", "error");
    kenctl_print_text(stdout, text_of(error, "code") ? text_of(error, "code") : "?");
    printf(": ");
    kenctl_print_text(stdout, text_of(error, "message") ? text_of(error, "message") : "");
    if (text_of(error, "stage")) {
        printf(" (while ");
        kenctl_print_text(stdout, text_of(error, "stage"));
        fputc(')', stdout);
    }
    fputc('\n', stdout);
}

static void show_timings(const json_t *timings)
{
    const char *stage;
    json_t *seconds;
    bool first = true;
    json_object_foreach((json_t *)timings, stage, seconds)
    {
        char text[32];
        if (!json_is_number(seconds) || json_number_value(seconds) <= 0) continue;
        printf(first ? "%-14s " : "%.0s, ", "timings");
        kenctl_print_text(stdout, stage);
        printf(" %s", kenctl_duration(text, sizeof text, json_number_value(seconds)));
        first = false;
    }
    if (!first) fputc('\n', stdout);
}

int kenctl_job_show(const json_t *job)
{
    static const char *const settings[] = {"k",          "keep", "method",    "rescale",       "duplicates",
                                           "non_finite", "seed", "unmatched", "delta_encoding"};
    static const char *const times[][2] = {{"created", "created_at"},   {"started", "started_at"}, {"cancel", "cancel_requested_at"},
                                           {"finished", "finished_at"}, {"expires", "expires_at"}, {"evicted", "evicted_at"},
                                           {"attempt", "attempt"}};
    line("id", text_of(job, "id"));
    line("name", text_of(job, "name"));
    line("owner", text_of(job, "owner"));
    show_status(job);
    line("kind", text_of(job, "kind"));
    show_input(job, "model");
    show_input(job, "base");
    show_input(job, "delta");
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) field(settings[i], json_object_get(job, settings[i]));
    show_rules(json_object_get(job, "rules"));
    show_names(json_object_get(job, "names"));
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(job, "metadata"), key, value)
    {
        char *pair = NULL;
        if (asprintf(&pair, "%s=%s", key, json_is_string(value) ? json_string_value(value) : "") < 0) continue;
        line("metadata", pair);
        free(pair);
    }
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) field(times[i][0], json_object_get(job, times[i][1]));
    show_timings(json_object_get(job, "timings"));
    int status = show_variants(json_object_get(job, "variants"));
    const json_t *artifacts = json_object_get(job, "artifacts");
    if (status == KENCTL_SUCCESS && json_array_size(artifacts)) {
        fputc('\n', stdout);
        status = kenctl_print_artifacts(artifacts);
    }
    const json_t *summary = json_object_get(job, "summary");
    if (status != KENCTL_SUCCESS || !json_object_size(summary)) return status;
    fputc('\n', stdout);
    return kenctl_print_summary(summary);
}
