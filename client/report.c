/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include "checkpoint/locate.h"
#include "kenctl.h"
#include "pruning/prune.h"

#include <inttypes.h>
#include <string.h>

/* Counts that every tensor of a report has, and those of its totals that are their sums. */
#define COUNT_MAP(X) X(UNCHANGED, "unchanged") X(KEPT, "kept") X(RESET, "reset")
#define TOTAL_MAP(X) COUNT_MAP(X) X(WHOLE, "whole") X(ADDED, "added") X(PARAMETERS, "parameters")
#define X(symbol, name) symbol,
enum total { TOTAL_MAP(X) TOTAL_COUNT };
#undef X
#define X(symbol, name) name,
static const char *const total_names[] = {TOTAL_MAP(X)};
#undef X
enum { COUNTS = RESET + 1 };

struct checking {
    const char *path;
    uint64_t totals[TOTAL_COUNT]; /* summed up from the tensors; wraps around rather than fails: it is compared only */
};

/* False if there is no such count. */
static bool count_of(const json_t *object, const char *key, uint64_t *count)
{
    const json_t *value = json_object_get(object, key);
    *count = (uint64_t)json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) >= 0;
}

static int check_count(const char *path, const char *of, const json_t *object, const char *key, uint64_t wanted, const char *who)
{
    uint64_t told;
    if (!count_of(object, key, &told)) return kenctl_fail(KENCTL_FAILURE, "%s: not a report: %s has no %s", path, of, key);
    if (told == wanted) return KENCTL_SUCCESS;
    return kenctl_fail(KENCTL_FAILURE, "%s: %s of %s is %" PRIu64 ", but %s %" PRIu64, path, key, of, told, who, wanted);
}

static bool is_shape(const json_t *told, const struct ken_delta_tensor *tensor)
{
    if (json_array_size(told) != tensor->rank) return false;
    for (uint32_t i = 0; i < tensor->rank; i++)
        if ((uint64_t)json_integer_value(json_array_get(told, i)) != tensor->shape[i]) return false;
    return true;
}

static bool is_text(const json_t *told, const char *wanted)
{
    return json_is_string(told) && strcmp(json_string_value(told), wanted) == 0;
}

/* What the counts of a tensor are in the totals. */
static void add_up(struct checking *checking, const json_t *told, const uint64_t counts[COUNTS], uint64_t elements)
{
    checking->totals[PARAMETERS] += elements;
    if (json_is_null(json_object_get(told, "base_name")))
        checking->totals[ADDED] += elements;
    else if (is_text(json_object_get(told, "action"), ken_action_name(KEN_ACTION_KEEP)))
        checking->totals[WHOLE] += elements;
    else
        for (size_t i = 0; i < COUNTS; i++) checking->totals[i] += counts[i];
}

static int check_tensor(struct checking *checking, const json_t *told, const struct ken_delta_tensor *tensor)
{
    char shown[KEN_LABEL_SIZE], of[KEN_LABEL_SIZE + 16];
    uint64_t counts[COUNTS], elements = 1;
    ken_printable(shown, sizeof shown, tensor->name, strlen(tensor->name));
    snprintf(of, sizeof of, "tensor \"%s\"", shown);
    for (uint32_t i = 0; i < tensor->rank; i++) elements *= tensor->shape[i]; /* checked when the delta was opened */
    if (!is_text(json_object_get(told, "name"), tensor->name) || !is_text(json_object_get(told, "dtype"), ken_dtype_name(tensor->dtype)) ||
        !is_shape(json_object_get(told, "shape"), tensor))
        return kenctl_fail(KENCTL_FAILURE, "%s: %s has another name, dtype, shape or place in the delta", checking->path, of);
    for (size_t i = 0; i < COUNTS; i++)
        if (!count_of(told, total_names[i], &counts[i]))
            return kenctl_fail(KENCTL_FAILURE, "%s: not a report: %s has no %s", checking->path, of, total_names[i]);
    /* Stored whole: how many of the elements were kept, the delta does not tell. */
    if (tensor->form != KEN_FORM_WHOLE && counts[KEPT] != tensor->stored)
        return check_count(checking->path, of, told, "kept", tensor->stored, "the delta stores");
    if (counts[UNCHANGED] + counts[KEPT] + counts[RESET] != elements)
        return kenctl_fail(KENCTL_FAILURE, "%s: unchanged, kept and reset of %s do not add up to its %" PRIu64 " elements", checking->path,
                           of, elements);
    add_up(checking, told, counts, elements);
    return KENCTL_SUCCESS;
}

static int check_tensors(struct checking *checking, const json_t *tensors, const struct ken_delta *delta)
{
    size_t count = ken_delta_tensor_count(delta);
    if (json_array_size(tensors) != count)
        return kenctl_fail(KENCTL_FAILURE, "%s: the number of tensors is %zu, but the delta has %zu", checking->path,
                           json_array_size(tensors), count);
    int status = KENCTL_SUCCESS;
    for (size_t i = 0; i < count && status == KENCTL_SUCCESS; i++)
        status = check_tensor(checking, json_array_get(tensors, i), ken_delta_tensor(delta, i));
    return status;
}

static int check_totals(const struct checking *checking, const json_t *totals, uint64_t delta_bytes, const struct ken_checkpoint *model)
{
    uint64_t bytes = 0;
    int status = check_count(checking->path, "the totals", totals, "delta_bytes", delta_bytes, "the file has");
    for (size_t i = 0; model && i < model->file_count; i++) bytes += model->files[i].source->size;
    if (status == KENCTL_SUCCESS && model)
        status = check_count(checking->path, "the totals", totals, "model_bytes", bytes, "the files have");
    for (size_t i = 0; i < TOTAL_COUNT && status == KENCTL_SUCCESS; i++)
        status = check_count(checking->path, "the totals", totals, total_names[i], checking->totals[i], "the tensors' is");
    return status;
}

int kenctl_report_check(const char *path, const struct ken_delta *delta, uint64_t delta_bytes, const struct ken_checkpoint *model)
{
    struct checking checking = {.path = path};
    json_error_t fault;
    json_t *report = json_load_file(path, JSON_REJECT_DUPLICATES, &fault);
    if (!report) return kenctl_fail(KENCTL_FAILURE, "%s: not a report: %s", path, fault.text);
    const json_t *totals = json_object_get(report, "totals"), *tensors = json_object_get(report, "tensors");
    int status = KENCTL_SUCCESS;
    if (!json_is_object(totals) || !json_is_array(tensors))
        status = kenctl_fail(KENCTL_FAILURE, "%s: not a report: it has no %s", path, json_is_object(totals) ? "tensors" : "totals");
    if (status == KENCTL_SUCCESS) status = check_tensors(&checking, tensors, delta);
    if (status == KENCTL_SUCCESS) status = check_totals(&checking, totals, delta_bytes, model);
    json_decref(report);
    return status;
}
