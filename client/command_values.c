/* SPDX-License-Identifier: Apache-2.0 */
#include "kenctl.h"
#include "print.h"
#include "remote_job.h"
#include "url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* N numbers with commas between them. */
static bool read_numbers(const char *text, unsigned long long *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const size_t digits = strspn(text, "0123456789");
        if (!digits || digits > 18 || text[digits] != (i + 1 < count ? ',' : '\0')) return false;
        numbers[i] = strtoull(text, NULL, 10);
        text += digits + 1;
    }
    return true;
}

/* x, y, w, h. */
static int read_region(const struct kenctl *kenctl, unsigned long long region[4])
{
    const char *at = kenctl_option(kenctl, KENCTL_OPT_AT), *text = kenctl_option(kenctl, KENCTL_OPT_REGION_VALUES);
    unsigned long long place[2];
    if (!at == !text) return kenctl_usage(kenctl, "'values' needs --at ROW,COLUMN or --region X,Y,W,H");
    if (text)
        return read_numbers(text, region, 4) ? KENCTL_SUCCESS : kenctl_usage(kenctl, "--region is X,Y,W,H, as 0,0,8,8, not '%s'", text);
    if (!read_numbers(at, place, 2)) return kenctl_usage(kenctl, "--at is ROW,COLUMN, as 3,14, not '%s'", at);
    region[0] = place[1];
    region[1] = place[0];
    region[2] = region[3] = 1;
    return KENCTL_SUCCESS;
}

/* What is below the job, malloc'ed; NULL if out of memory. */
static char *make_rest(const struct kenctl *kenctl, const unsigned long long region[4])
{
    const char *variant = kenctl_option(kenctl, KENCTL_OPT_VARIANT);
    char *tensor = proto_percent_encode(kenctl->arguments.operands[1], ""), *name = proto_percent_encode(variant ? variant : "", "");
    char *rest = NULL;
    if (!tensor || !name ||
        asprintf(&rest, "/values?tensor=%s%s%s&x=%llu&y=%llu&w=%llu&h=%llu", tensor, variant ? "&variant=" : "", name, region[0], region[1],
                 region[2], region[3]) < 0)
        rest = NULL;
    free(name);
    free(tensor);
    return rest;
}

/* ---- for people: a line for each value */

static void add_number(struct kenctl_table *table, const json_t *number)
{
    if (json_is_number(number))
        kenctl_table_add_format(table, "%.9g", json_number_value(number));
    else
        kenctl_table_add(table, json_string_value(number));
}

static int print_values(const json_t *values)
{
    static const char *const heads[] = {"ROW", "COLUMN", "BASE", "MODEL", "PRUNED", "KEPT"};
    static const char *const sides[] = {"base", "model", "pruned"};
    struct kenctl_table *table = kenctl_table_create("rrrrrl", heads);
    const json_int_t x = json_integer_value(json_object_get(values, "x")), y = json_integer_value(json_object_get(values, "y"));
    const json_t *kept = json_object_get(values, "kept");
    for (size_t row = 0; table && row < json_array_size(kept); row++)
        for (size_t column = 0; column < json_array_size(json_array_get(kept, row)); column++) {
            kenctl_table_add_format(table, "%lld", (long long)y + (long long)row);
            kenctl_table_add_format(table, "%lld", (long long)x + (long long)column);
            for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
                add_number(table, json_array_get(json_array_get(json_object_get(values, sides[i]), row), column));
            kenctl_table_add(table, json_is_true(json_array_get(json_array_get(kept, row), column)) ? "yes" : "no");
        }
    return kenctl_table_finish(&table);
}

static int run(struct kenctl *kenctl)
{
    unsigned long long region[4];
    int status = read_region(kenctl, region);
    if (status != KENCTL_SUCCESS) return status;
    struct kenctl_http *http = kenctl_http_open(kenctl);
    if (!http) return KENCTL_USAGE;
    char *rest = make_rest(kenctl, region);
    json_t *values = NULL;
    if (rest)
        values = kenctl_job_get(kenctl, http, kenctl->arguments.operands[0], rest, &status);
    else
        status = kenctl_fail(KENCTL_FAILURE, "out of memory");
    if (values) status = kenctl->json ? kenctl_print_new_json(json_incref(values)) : print_values(values);
    json_decref(values);
    free(rest);
    kenctl_http_close(&http);
    return status;
}

static const unsigned char options[] = {KENCTL_OPT_FORMAT, KENCTL_OPT_AT, KENCTL_OPT_REGION_VALUES, KENCTL_OPT_VARIANT};

const struct kenctl_command kenctl_command_values = {
    .name = "values",
    .summary = "Show single values of a matrix: base, fine-tuned, pruned",
    .operands = "JOB TENSOR",
    .text = "Of a job of the server, as long as the server has in its cache what the job pruned. KEPT tells whether the delta stores the\n"
            "value: of those that are not kept, the pruned one is the base's.\n"
            "\nExamples:\n"
            "  kenctl values job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C lm_head.weight --at 3,14\n"
            "  kenctl values job_01JD8Z5M3T9V6Q2R4X7Y8A1B2C lm_head.weight --region 0,0,8,8 -o json\n",
    .options = options,
    .option_count = sizeof options,
    .least = 2,
    .most = 2,
    .run = run,
};
