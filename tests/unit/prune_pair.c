/* SPDX-License-Identifier: Apache-2.0 */
#include "prune_pair.h"

#include "digest.h"
#include "make_checkpoint.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ken_options pair_options(uint64_t k, double keep)
{
    return (struct ken_options){
        .variants = {{.amount = {.k = k, .keep = keep}}},
        .variant_count = 1,
        .outputs = KEN_OUTPUT_DELTA | KEN_OUTPUT_MODEL | KEN_OUTPUT_REPORT,
    };
}

static bool cancelled(void *opaque)
{
    struct prune_pair *pair = opaque;
    unsigned long asked = __atomic_add_fetch(&pair->asked, 1, __ATOMIC_RELAXED);
    return pair->cancel_after && asked >= pair->cancel_after;
}

static void progress(void *opaque, uint64_t rows)
{
    ((struct prune_pair *)opaque)->rows_reported = rows;
}

static void on_durable_rows(void *opaque, uint64_t rows)
{
    struct prune_pair *pair = opaque;
    if (pair->durable_rows) pair->durable_rows(pair->opaque, rows);
}

static void add_line(FILE *text, const char *folder, const char *path, const struct ken_prune_file *told)
{
    unsigned char sha256[32];
    char hex[65], below[256];
    snprintf(below, sizeof below, "out/%s", path);
    struct made_file file = read_file(folder, below);
    ck_assert_int_eq(ken_sha256(file.bytes, file.length, sha256, NULL), 0);
    if (told) {
        ck_assert_uint_eq(told->size, file.length);
        ck_assert_mem_eq(told->sha256, sha256, sizeof sha256);
    }
    fprintf(text, "%s %zu %s\n", path, file.length, ken_hex_encode(hex, sha256, sizeof sha256));
    free(file.bytes);
}

static void take_results(struct prune_pair *pair, const struct ken_prune *prune, size_t variants)
{
    size_t length;
    FILE *text = open_memstream(&pair->files, &length);
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < ken_prune_file_count(prune); i++) {
        const struct ken_prune_file *file = ken_prune_file(prune, i);
        add_line(text, pair->folder, file->path, file);
    }
    for (size_t v = 0; v < variants; v++) {
        add_line(text, pair->folder, ken_prune_tensors_path(prune, v), NULL);
        if (ken_prune_cells_path(prune, v)) add_line(text, pair->folder, ken_prune_cells_path(prune, v), NULL);
        pair->totals[v] = strdup(ken_prune_totals_json(prune, v));
    }
    ck_assert_int_eq(fclose(text), 0);
}

static int run(struct prune_pair *pair, const struct ken_plan *plan, const struct ken_options *options)
{
    struct ken_prune *prune = NULL;
    struct ken_prune_env env = {
        .directory = open(pair->folder, O_RDONLY | O_DIRECTORY),
        .durable = pair->durable,
        .sync_seconds = pair->sync_seconds,
        .cancelled = cancelled,
        .progress = progress,
        .durable_rows = on_durable_rows,
        .opaque = pair,
    };
    ck_assert_int_ge(env.directory, 0);
    struct ken_budget *own_budget = pair->budget ? NULL : ken_budget_create(pair->memory ? pair->memory : 96 << 20);
    struct ken_executor *own_executor = NULL;
    if (!pair->executor) ck_assert_int_eq(ken_threads_create(&own_executor, pair->threads ? pair->threads : 2, &pair->error), 0);
    env.budget = pair->budget ? pair->budget : own_budget;
    env.executor = pair->executor ? pair->executor : own_executor;
    int code = ken_prune_open(&prune, plan, &env, &pair->resumed, &pair->error);
    if (!code) code = ken_prune_rows(prune, &pair->error);
    if (!code) code = ken_prune_finish(prune, &pair->error);
    if (!code) take_results(pair, prune, options->variant_count);
    ken_prune_close(&prune);
    ken_threads_destroy(&own_executor);
    ken_budget_destroy(&own_budget); /* asserts that all was given back */
    close(env.directory);
    return code;
}

int prune_pair(struct prune_pair *pair, const struct ken_options *options)
{
    struct ken_checkpoint *model = NULL, *base = NULL;
    struct ken_plan *plan = NULL;
    const struct ken_plan_limits limits = {.memory = pair->memory ? pair->memory : 96 << 20, .threads = pair->threads ? pair->threads : 2};
    prune_pair_free(pair);
    pair->error = (struct ken_error){0};
    pair->asked = 0;
    int code = ken_checkpoint_open_path(&model, pair->model, NULL, &pair->error);
    if (!code) code = ken_checkpoint_open_path(&base, pair->base, NULL, &pair->error);
    if (!code) code = ken_plan_make(&plan, model, base, options, &limits, &pair->error);
    if (!code) pair->rows = ken_plan_totals(plan)->rows;
    if (!code) code = run(pair, plan, options);
    ken_plan_free(&plan);
    ken_checkpoint_close(&base);
    ken_checkpoint_close(&model);
    ck_assert_int_eq(code, pair->error.code);
    return code;
}

void prune_pair_free(struct prune_pair *pair)
{
    free(pair->files);
    pair->files = NULL;
    for (size_t v = 0; v < KEN_MAX_VARIANTS; v++) {
        free(pair->totals[v]);
        pair->totals[v] = NULL;
    }
}

uint64_t json_number(const char *json, const char *key)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(json, quoted);
    ck_assert_msg(at != NULL, "no %s in %s", key, json);
    return strtoull(at + strlen(quoted), NULL, 10);
}
