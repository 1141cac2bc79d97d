/* SPDX-License-Identifier: Apache-2.0 */
#include "diff_view.h"

#include "local.h"
#include "plan_view.h"
#include "print.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *word, *text;
} differences[] = {
#define X(symbol, word, text) {word, text},
    KEN_DIFFERENCE_MAP(X)
#undef X
};

/* ---- what both kinds share */

static json_t *number_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static void add_pair(struct kenctl_table *table, const char *a, const char *b)
{
    if (a && b && strcmp(a, b) != 0)
        kenctl_table_add_format(table, "%s:%s", a, b);
    else
        kenctl_table_add(table, a ? a : b);
}

static void add_count(struct kenctl_table *table, bool known, uint64_t count)
{
    if (known)
        kenctl_table_add_format(table, "%" PRIu64, count);
    else
        kenctl_table_add(table, NULL);
}

/* "12.50%", or "-" where there is nothing to have a share of. */
static const char *percent_text(char *text, size_t size, bool known, double share)
{
    if (known)
        snprintf(text, size, "%.2f%%", 100 * share);
    else
        snprintf(text, size, "-");
    return text;
}

static void add_share(struct kenctl_table *table, bool known, double share)
{
    char text[32];
    kenctl_table_add(table, percent_text(text, sizeof text, known, share));
}

static double share_of(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : 0;
}

/* Whether the table has a line of a tensor. */
static bool is_shown(const struct kenctl *kenctl, enum ken_difference difference)
{
    return difference != KEN_DIFFERENCE_SAME || kenctl_option(kenctl, KENCTL_OPT_SAME);
}

/* ---- two models */

static json_t *side_json(const struct ken_side_tensor *tensor)
{
    if (!tensor) return json_null();
    return json_pack("{s:s, s:o}", "dtype", ken_dtype_name(tensor->dtype), "shape", proto_shape_to_json(tensor->shape, tensor->rank));
}

static json_t *compared_json(const struct ken_compared_tensor *tensor)
{
    json_t *json = json_pack("{s:s, s:s, s:o, s:o}", "name", tensor->name, "difference", differences[tensor->difference].word, "a",
                             side_json(tensor->a), "b", side_json(tensor->b));
    json_object_set_new(json, "values", tensor->counted ? json_integer((json_int_t)tensor->values) : json_null());
    json_object_set_new(json, "differing", tensor->counted ? json_integer((json_int_t)tensor->differing) : json_null());
    json_object_set_new(json, "non_finite", tensor->measured ? json_integer((json_int_t)tensor->non_finite) : json_null());
    json_object_set_new(json, "relative_l2",
                        tensor->measured ? number_json(ken_relative_l2(tensor->squares, tensor->squares_a)) : json_null());
    return json;
}

static json_t *comparison_json(const struct ken_comparison *comparison)
{
    json_t *tensors = json_array();
    for (size_t i = 0; i < comparison->count; i++) json_array_append_new(tensors, compared_json(&comparison->tensors[i]));
    return json_pack("{s:s, s:b, s:{s:I, s:I, s:I, s:I, s:I, s:o}, s:o}", "kind", "models", "same", comparison->same == comparison->count,
                     "totals", "tensors", (json_int_t)comparison->count, "differing_tensors",
                     (json_int_t)(comparison->count - comparison->same), "values", (json_int_t)comparison->values, "differing",
                     (json_int_t)comparison->differing, "non_finite", (json_int_t)comparison->non_finite, "relative_l2",
                     comparison->measured ? number_json(ken_relative_l2(comparison->squares, comparison->squares_a)) : json_null(),
                     "tensors", tensors);
}

static void add_compared(struct kenctl_table *table, const struct ken_compared_tensor *tensor)
{
    const struct ken_side_tensor *a = tensor->a, *b = tensor->b;
    char *shape_a = a ? kenctl_shape_text(a->shape, a->rank) : NULL, *shape_b = b ? kenctl_shape_text(b->shape, b->rank) : NULL;
    kenctl_table_add(table, tensor->name);
    kenctl_table_add(table, differences[tensor->difference].text);
    add_pair(table, a ? ken_dtype_name(a->dtype) : NULL, b ? ken_dtype_name(b->dtype) : NULL);
    add_pair(table, shape_a, shape_b);
    add_count(table, tensor->counted, tensor->differing);
    add_share(table, tensor->counted, share_of(tensor->differing, tensor->values));
    if (tensor->measured)
        kenctl_table_add_format(table, "%.4g", ken_relative_l2(tensor->squares, tensor->squares_a));
    else
        kenctl_table_add(table, NULL);
    free(shape_a);
    free(shape_b);
}

static void print_differing(const struct ken_comparison *comparison, size_t differing)
{
    char share[32], distance[32] = "-";
    percent_text(share, sizeof share, comparison->values, share_of(comparison->differing, comparison->values));
    if (comparison->measured) snprintf(distance, sizeof distance, "%.4g", ken_relative_l2(comparison->squares, comparison->squares_a));
    printf("%zu of %zu tensor%s differ%s; %" PRIu64 " of %" PRIu64 " value%s (%s), relative L2 %s", differing, comparison->count,
           kenctl_plural(comparison->count), differing == 1 ? "s" : "", comparison->differing, comparison->values,
           kenctl_plural(comparison->values), share, distance);
    if (comparison->non_finite)
        printf(", leaving out %" PRIu64 " value%s not finite", comparison->non_finite, kenctl_plural(comparison->non_finite));
    fputc('\n', stdout);
}

int kenctl_print_comparison(const struct kenctl *kenctl, const struct ken_comparison *comparison)
{
    static const char *const heads[] = {"TENSOR", "RESULT", "DTYPE", "SHAPE", "DIFFERING", "SHARE", "RELATIVE-L2"};
    size_t differing = comparison->count - comparison->same;
    if (kenctl->json) return kenctl_print_new_json(comparison_json(comparison));
    if (differing)
        print_differing(comparison, differing);
    else
        printf("the same: %zu tensor%s, %" PRIu64 " value%s\n", comparison->count, kenctl_plural(comparison->count), comparison->values,
               kenctl_plural(comparison->values));
    if (!differing && !kenctl_option(kenctl, KENCTL_OPT_SAME)) return KENCTL_SUCCESS;
    struct kenctl_table *table = kenctl_table_create("llllrrr", heads);
    fputc('\n', stdout);
    for (size_t i = 0; i < comparison->count; i++)
        if (is_shown(kenctl, comparison->tensors[i].difference)) add_compared(table, &comparison->tensors[i]);
    return kenctl_table_finish(&table);
}

/* ---- two deltas */

static json_t *delta_side_json(const struct ken_delta_tensor *tensor)
{
    if (!tensor) return json_null();
    return json_pack("{s:s, s:o, s:s, s:I}", "dtype", ken_dtype_name(tensor->dtype), "shape",
                     proto_shape_to_json(tensor->shape, tensor->rank), "form", ken_form_name(tensor->form), "stored",
                     (json_int_t)tensor->stored);
}

/* Adds what was counted, or nulls; compared: there is a tensor that both have. */
static void set_counts(json_t *json, bool counted, bool compared, const struct ken_overlap_counts *counts)
{
    const struct {
        const char *key;
        uint64_t count;
        bool known;
    } members[] = {{"both", counts->both, counted},
                   {"only_a", counts->only_a, counted},
                   {"only_b", counts->only_b, counted},
                   {"other_values", counts->other_values, counted && counts->values_known}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        json_object_set_new(json, members[i].key, members[i].known ? json_integer((json_int_t)members[i].count) : json_null());
    json_object_set_new(json, "jaccard", compared ? number_json(ken_overlap_jaccard(counts)) : json_null());
}

static json_t *overlapping_json(const struct ken_overlapping_tensor *tensor)
{
    json_t *json = json_pack("{s:s, s:s, s:o, s:o}", "name", tensor->name, "difference", differences[tensor->difference].word, "a",
                             delta_side_json(tensor->a), "b", delta_side_json(tensor->b));
    set_counts(json, tensor->counted, tensor->counted, &tensor->counts);
    return json;
}

static json_t *overlap_json(const struct ken_overlap *overlap)
{
    bool known = !overlap->unknown || overlap->same + overlap->unknown < overlap->count;
    json_t *tensors = json_array(), *totals = json_pack("{s:I, s:I, s:I}", "tensors", (json_int_t)overlap->count, "differing_tensors",
                                                        (json_int_t)(overlap->count - overlap->same - overlap->unknown), "unknown_tensors",
                                                        (json_int_t)overlap->unknown);
    set_counts(totals, true, overlap->counted, &overlap->counts);
    for (size_t i = 0; i < overlap->count; i++) json_array_append_new(tensors, overlapping_json(&overlap->tensors[i]));
    return json_pack("{s:s, s:o, s:o, s:o}", "kind", "deltas", "same", known ? json_boolean(overlap->same == overlap->count) : json_null(),
                     "totals", totals, "tensors", tensors);
}

static void add_overlapping(struct kenctl_table *table, const struct ken_overlapping_tensor *tensor)
{
    const struct ken_overlap_counts *counts = &tensor->counts;
    kenctl_table_add(table, tensor->name);
    kenctl_table_add(table, differences[tensor->difference].text);
    add_pair(table, tensor->a ? ken_form_name(tensor->a->form) : NULL, tensor->b ? ken_form_name(tensor->b->form) : NULL);
    add_count(table, tensor->counted, counts->both);
    add_count(table, tensor->counted, counts->only_a);
    add_count(table, tensor->counted, counts->only_b);
    add_count(table, tensor->counted && counts->values_known, counts->other_values);
    add_share(table, tensor->counted, ken_overlap_jaccard(counts));
}

int kenctl_print_overlap(const struct kenctl *kenctl, const struct ken_overlap *overlap)
{
    static const char *const heads[] = {"TENSOR", "RESULT", "FORM", "BOTH", "ONLY-A", "ONLY-B", "OTHER-VALUES", "OVERLAP"};
    const struct ken_overlap_counts *counts = &overlap->counts;
    if (kenctl->json) return kenctl_print_new_json(overlap_json(overlap));
    size_t differing = overlap->count - overlap->same - overlap->unknown;
    char share[32];
    if (overlap->same == overlap->count)
        printf("the same: %zu tensor%s, ", overlap->count, kenctl_plural(overlap->count));
    else
        printf("%zu of %zu tensor%s differ%s; ", differing, overlap->count, kenctl_plural(overlap->count), differing == 1 ? "s" : "");
    printf("%" PRIu64 " element%s stored by both, %" PRIu64 " by A alone, %" PRIu64 " by B alone: overlap %s", counts->both,
           counts->both == 1 ? " is" : "s are", counts->only_a, counts->only_b,
           percent_text(share, sizeof share, overlap->counted, ken_overlap_jaccard(counts)));
    if (counts->values_known) printf("; %" PRIu64 " with other values", counts->other_values);
    fputc('\n', stdout);
    if (overlap->same == overlap->count && !kenctl_option(kenctl, KENCTL_OPT_SAME)) return KENCTL_SUCCESS;
    struct kenctl_table *table = kenctl_table_create("lllrrrrr", heads);
    fputc('\n', stdout);
    for (size_t i = 0; i < overlap->count; i++)
        if (is_shown(kenctl, overlap->tensors[i].difference)) add_overlapping(table, &overlap->tensors[i]);
    return kenctl_table_finish(&table);
}
