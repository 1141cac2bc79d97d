/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"

#include "job.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum field_kind { TEXT, INTEGER, REAL };

/* Options that are one field of the document. */
static const struct {
    const char *field, *name;
    enum kenctl_option option;
    enum field_kind kind;
} fields[] = {
    {"kind", "--kind", KENCTL_OPT_KIND, TEXT},
    {"name", "--name", KENCTL_OPT_NAME, TEXT},
    {"method", "--method", KENCTL_OPT_METHOD, TEXT},
    {"k", "--k", KENCTL_OPT_K, INTEGER},
    {"keep", "--keep", KENCTL_OPT_KEEP, REAL},
    {"rescale", "--rescale", KENCTL_OPT_RESCALE, TEXT},
    {"duplicates", "--duplicates", KENCTL_OPT_DUPLICATES, TEXT},
    {"non_finite", "--non-finite", KENCTL_OPT_NON_FINITE, TEXT},
    {"seed", "--seed", KENCTL_OPT_SEED, INTEGER},
    {"unmatched", "--unmatched", KENCTL_OPT_UNMATCHED, TEXT},
    {"delta_encoding", "--delta-encoding", KENCTL_OPT_ENCODING, TEXT},
    {"timeout_seconds", "--timeout", KENCTL_OPT_TIMEOUT, INTEGER},
};
enum { FIELD_COUNT = sizeof fields / sizeof *fields };

/* New reference; NULL if text is no number of that kind. */
static json_t *number(const char *text, enum field_kind kind)
{
    char *end;
    errno = 0;
    if (kind == INTEGER) {
        long long value = strtoll(text, &end, 10);
        return *text && !*end && !errno ? json_integer(value) : NULL;
    }
    double value = strtod(text, &end);
    return *text && !*end && isfinite(value) ? json_real(value) : NULL;
}

static int set_fields(const struct kenctl *kenctl, json_t *document)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const char *text = kenctl_option(kenctl, fields[i].option);
        if (!text) continue;
        json_t *value = fields[i].kind == TEXT ? json_string(text) : number(text, fields[i].kind);
        if (!value)
            return kenctl_usage(kenctl, "%s needs %s, not '%s'", fields[i].name,
                                fields[i].kind == TEXT      ? "UTF-8"
                                : fields[i].kind == INTEGER ? "a whole number"
                                                            : "a number",
                                text);
        json_object_set_new(document, fields[i].field, value);
    }
    return KENCTL_SUCCESS;
}

static void set_input(const struct kenctl *kenctl, json_t *document, const char *field, enum kenctl_option url_option,
                      enum kenctl_option sha256_option)
{
    const char *url = kenctl_option(kenctl, url_option), *sha256 = kenctl_option(kenctl, sha256_option);
    json_t *input = NULL;
    if (!url) return;
    if (sha256)
        input = json_pack("{s:s, s:s}", "url", url, "sha256", sha256);
    else
        input = json_string(url);
    json_object_set_new(document, field, input);
}

/* "GLOB=prune:0.5" as a rule of the document; NULL (and told) if it is none. */
static json_t *rule(const struct kenctl *kenctl, const char *text)
{
    const char *equals = strrchr(text, '='), *colon = equals ? strchr(equals, ':') : NULL;
    if (!equals) {
        kenctl_usage(kenctl, "--rule is GLOB=ACTION, not '%s'", text);
        return NULL;
    }
    json_t *rule = json_pack("{s:s%, s:s%}", "match", text, (size_t)(equals - text), "action", equals + 1,
                             colon ? (size_t)(colon - equals - 1) : strlen(equals + 1));
    if (!colon) return rule;
    bool share = strchr(colon, '.') != NULL;
    json_t *amount = number(colon + 1, share ? REAL : INTEGER);
    if (!amount) {
        kenctl_usage(kenctl, "what a --rule keeps is a number as 384 or 0.5, not '%s'", colon + 1);
        json_decref(rule);
        return NULL;
    }
    json_object_set_new(rule, share ? "keep" : "k", amount);
    return rule;
}

/* Adds to an array of the document, which is made if it is not there. */
static void append(json_t *document, const char *field, json_t *item)
{
    json_t *items = json_object_get(document, field);
    if (!items) {
        items = json_array();
        json_object_set_new(document, field, items);
    }
    json_array_append_new(items, item);
}

static int set_rules(const struct kenctl *kenctl, json_t *document)
{
    bool layers = kenctl_option(kenctl, KENCTL_OPT_RULES_LAYERS) != NULL;
    if (layers && kenctl_option(kenctl, KENCTL_OPT_RULE)) return kenctl_usage(kenctl, "--rules-layers and --rule exclude each other");
    if (layers) json_object_set_new(document, "rules", json_string("layers"));
    for (size_t i = 0; i < kenctl->arguments.value_count; i++) {
        if (kenctl->arguments.values[i].option != KENCTL_OPT_RULE) continue;
        json_t *one = rule(kenctl, kenctl->arguments.values[i].text);
        if (!one) return KENCTL_USAGE;
        append(document, "rules", one);
    }
    return KENCTL_SUCCESS;
}

static int set_names(const struct kenctl *kenctl, json_t *document)
{
    for (size_t i = 0; i < kenctl->arguments.value_count; i++) {
        if (kenctl->arguments.values[i].option != KENCTL_OPT_NAMES) continue;
        const char *text = kenctl->arguments.values[i].text, *equals = strrchr(text, '=');
        if (!equals) return kenctl_usage(kenctl, "--names is GLOB=PATTERN, not '%s'", text);
        json_t *one = json_pack("{s:s%, s:s}", "match", text, (size_t)(equals - text), "base", equals + 1);
        if (!one) return kenctl_usage(kenctl, "--names must be UTF-8");
        append(document, "names", one);
    }
    return KENCTL_SUCCESS;
}

static int set_metadata(const struct kenctl *kenctl, json_t *document)
{
    for (size_t i = 0; i < kenctl->arguments.value_count; i++) {
        if (kenctl->arguments.values[i].option != KENCTL_OPT_METADATA) continue;
        const char *text = kenctl->arguments.values[i].text, *equals = strchr(text, '=');
        if (!equals) return kenctl_usage(kenctl, "--metadata is KEY=VALUE, not '%s'", text);
        json_t *metadata = json_object_get(document, "metadata");
        if (!metadata) {
            metadata = json_object();
            json_object_set_new(document, "metadata", metadata);
        }
        char *key = strndup(text, (size_t)(equals - text));
        if (key && json_object_get(metadata, key)) {
            free(key);
            return kenctl_usage(kenctl, "--metadata has '%.*s' twice", (int)(equals - text), text);
        }
        int set = key ? json_object_set_new(metadata, key, json_string(equals + 1)) : -1;
        free(key);
        if (set != 0) return kenctl_usage(kenctl, "--metadata must be UTF-8");
    }
    return KENCTL_SUCCESS;
}

static void set_outputs(const struct kenctl *kenctl, json_t *document)
{
    const char *list = kenctl_option(kenctl, KENCTL_OPT_OUTPUTS);
    if (!list) return;
    json_t *outputs = json_array();
    while (*list) {
        size_t length = strcspn(list, ",");
        json_array_append_new(outputs, json_stringn(list, length));
        list += length + (list[length] == ',');
    }
    json_object_set_new(document, "outputs", outputs);
}

static json_t *from_options(const struct kenctl *kenctl, int *status)
{
    json_t *document = json_object();
    set_input(kenctl, document, "model", KENCTL_OPT_MODEL, KENCTL_OPT_MODEL_SHA256);
    set_input(kenctl, document, "base", KENCTL_OPT_BASE, KENCTL_OPT_BASE_SHA256);
    set_input(kenctl, document, "delta", KENCTL_OPT_DELTA, KENCTL_OPT_DELTA_SHA256);
    set_outputs(kenctl, document);
    *status = set_fields(kenctl, document);
    if (*status == KENCTL_SUCCESS) *status = set_rules(kenctl, document);
    if (*status == KENCTL_SUCCESS) *status = set_names(kenctl, document);
    if (*status == KENCTL_SUCCESS) *status = set_metadata(kenctl, document);
    if (*status == KENCTL_SUCCESS && document) return document;
    if (!document) *status = kenctl_fail(KENCTL_FAILURE, "out of memory");
    json_decref(document);
    return NULL;
}

static json_t *from_file(const char *path, int *status)
{
    json_error_t fault;
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "re");
    if (!file) {
        *status = kenctl_fail(KENCTL_FAILURE, "cannot read %s: %s", path, strerror(errno));
        return NULL;
    }
    json_t *document = json_loadf(file, JSON_REJECT_DUPLICATES, &fault);
    if (!standard) fclose(file);
    if (!document)
        *status = kenctl_fail(KENCTL_FAILURE, "%s:%d:%d: not a JSON document: %s", standard ? "standard input" : path, fault.line,
                              fault.column, fault.text);
    return document;
}

/* Whether there is such a kind; tells which there are if not. */
static bool is_kind(const struct kenctl *kenctl, const char *kind)
{
#define X(symbol, name) " " name
    static const char names[] = PROTO_KIND_MAP(X);
#undef X
    for (int i = 0; i < PROTO_KIND_COUNT; i++)
        if (strcmp(proto_kind_name((enum proto_kind)i), kind) == 0) return true;
    kenctl_usage(kenctl, "there is no kind '%s' of job: there are%s", kind, names);
    return false;
}

/* Whether the options name the inputs that a job of their kind needs. */
static bool has_inputs(const struct kenctl *kenctl, int *status)
{
    const char *kind = kenctl_option(kenctl, KENCTL_OPT_KIND), *inject = proto_kind_name(PROTO_KIND_INJECT);
    const bool injects = kind && strcmp(kind, inject) == 0, delta = kenctl_option(kenctl, KENCTL_OPT_DELTA);
    const bool own = injects ? delta : kenctl_option(kenctl, KENCTL_OPT_MODEL) != NULL;
    *status = KENCTL_USAGE;
    if (kind && !is_kind(kenctl, kind)) return false;
    if (own && kenctl_option(kenctl, KENCTL_OPT_BASE)) return true;
    if (injects)
        kenctl_usage(kenctl, "'%s --kind %s' needs --base and --delta", kenctl->command->name, inject);
    else if (delta)
        kenctl_usage(kenctl, "--delta is of jobs that make a model back: --kind %s", inject);
    else
        kenctl_usage(kenctl, "'%s' needs --model and --base where there is no job document", kenctl->command->name);
    return false;
}

json_t *kenctl_document(const struct kenctl *kenctl, const char *file, int *status)
{
    static const unsigned char makers[] = {KENCTL_DOCUMENT_OPTIONS, KENCTL_JOB_OPTIONS};
    const char *job = kenctl_option(kenctl, KENCTL_OPT_JOB);
    size_t given = 0;
    for (size_t i = 0; i < sizeof makers; i++) given += makers[i] != KENCTL_OPT_JOB && kenctl_option(kenctl, (enum kenctl_option)makers[i]);
    if (file && job) {
        *status = kenctl_usage(kenctl, "one document is enough: '%s' or '%s'", file, job);
        return NULL;
    }
    if (job) file = job;
    if (file && given) {
        *status = kenctl_usage(kenctl, "a document and options that make one exclude each other");
        return NULL;
    }
    if (!file && !given) {
        *status = kenctl_usage(kenctl, "'%s' needs a job document, or --model, --base and --k or --keep", kenctl->command->name);
        return NULL;
    }
    if (kenctl_option(kenctl, KENCTL_OPT_K) && kenctl_option(kenctl, KENCTL_OPT_KEEP)) {
        *status = kenctl_usage(kenctl, "--k and --keep exclude each other");
        return NULL;
    }
    if (!file && !has_inputs(kenctl, status)) return NULL;
    return file ? from_file(file, status) : from_options(kenctl, status);
}

const char *kenctl_option_of(const char *pointer)
{
    static const struct {
        const char *field, *name;
    } others[] = {{"model", "--model"}, {"base", "--base"},       {"delta", "--delta"},      {"rules", "--rule"},
                  {"names", "--names"}, {"outputs", "--outputs"}, {"metadata", "--metadata"}};
    char field[64];
    if (*pointer != '/') return NULL;
    if (strcmp(pointer, "/model/sha256") == 0) return "--model-sha256";
    if (strcmp(pointer, "/base/sha256") == 0) return "--base-sha256";
    if (strcmp(pointer, "/delta/sha256") == 0) return "--delta-sha256";
    snprintf(field, sizeof field, "%.*s", (int)strcspn(pointer + 1, "/"), pointer + 1);
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (strcmp(fields[i].field, field) == 0) return fields[i].name;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(others[i].field, field) == 0) return others[i].name;
    return NULL;
}

bool kenctl_parse_size(const char *text, uint64_t *bytes)
{
    static const struct {
        const char *name;
        uint64_t factor;
    } units[] = {{"", 1},
                 {"B", 1},
                 {"K", 1ULL << 10},
                 {"M", 1ULL << 20},
                 {"G", 1ULL << 30},
                 {"KiB", 1ULL << 10},
                 {"MiB", 1ULL << 20},
                 {"GiB", 1ULL << 30},
                 {"TiB", 1ULL << 40},
                 {"kB", 1000},
                 {"MB", 1000000},
                 {"GB", 1000000000},
                 {"TB", 1000000000000}};
    char *end;
    double value = strtod(text, &end);
    if (end == text || !isfinite(value) || value < 0) return false;
    while (*end == ' ') end++;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(units[i].name, end) != 0) continue;
        value *= (double)units[i].factor;
        if (value > 9e18) return false;
        *bytes = (uint64_t)value;
        return true;
    }
    return false;
}
