/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that fail in one lane while another is behind. What the pipeline calls is wrapped by the linker. */
#include "made_pair.h"
#include "prune_pair.h"
#include "pruning/run.h"
#include "unit.h"
#include "unit_folder.h"

#include <sys/stat.h>
#include <time.h>

enum { K = 5, PATIENCE = 500, CANCELLED = 1 /* tensor */ };

static atomic_int outputs_taken;
static atomic_bool inputs_failed, written_too_far;

void __real_ken_block_run(struct ken_block *block);
int __real_ken_inputs_add(struct ken_inputs *inputs, const struct ken_block *block, struct ken_error *error);
int __real_ken_outputs_add(struct ken_prune *prune, struct ken_block *block, struct ken_error *error);
void __wrap_ken_block_run(struct ken_block *block);
int __wrap_ken_inputs_add(struct ken_inputs *inputs, const struct ken_block *block, struct ken_error *error);
int __wrap_ken_outputs_add(struct ken_prune *prune, struct ken_block *block, struct ken_error *error);

static bool is_writing(void)
{
    return atomic_load(&outputs_taken) > 0;
}

static bool has_failed(void)
{
    return atomic_load(&inputs_failed);
}

static void wait_until(bool (*is)(void))
{
    const struct timespec pause = {0, 10000000};
    for (int i = 0; i < PATIENCE && !is(); i++) nanosleep(&pause, NULL);
}

/* The second tensor was cancelled while it ran. The first block is done before all others, so that these are in the other lane first. */
void __wrap_ken_block_run(struct ken_block *block)
{
    if (block->range.tensor || block->range.first) wait_until(is_writing);
    __real_ken_block_run(block);
    if (block->range.tensor == CANCELLED) block->code = ken_fail(&block->error, KEN_ECANCELLED, "cancelled");
}

/* What is behind it cannot be read again. */
int __wrap_ken_inputs_add(struct ken_inputs *inputs, const struct ken_block *block, struct ken_error *error)
{
    if (block->range.tensor <= CANCELLED) return __real_ken_inputs_add(inputs, block, error);
    atomic_store(&inputs_failed, true);
    return ken_fail(error, KEN_EIO, "a bad sector");
}

/* The first block is written slowly. */
int __wrap_ken_outputs_add(struct ken_prune *prune, struct ken_block *block, struct ken_error *error)
{
    if (atomic_fetch_add(&outputs_taken, 1) == 0) wait_until(has_failed);
    if (block->range.tensor >= CANCELLED) atomic_store(&written_too_far, true);
    return __real_ken_outputs_add(prune, block, error);
}

START_TEST(nothing_is_written_behind_a_block_that_failed)
{
    struct unit_folder folder;
    struct made_pair made;
    char work[PATH_MAX];
    unit_folder_make(&folder);
    made_pair_write(&made, folder.path);
    ck_assert_int_eq(mkdir(unit_path(work, &folder, "work"), 0777), 0);
    struct ken_options options = pair_options(K, 0);
    struct prune_pair pair = {.model = made.model, .base = made.base, .folder = work, .memory = 8 << 20, .threads = 3};
    ck_assert_int_eq(prune_pair(&pair, &options), KEN_EIO);
    ck_assert_str_eq(pair.error.message, "a bad sector");
    ck_assert(atomic_load(&inputs_failed));
    ck_assert(!atomic_load(&written_too_far));
    prune_pair_free(&pair);
    made_pair_free(&made);
    unit_folder_remove(&folder);
}
END_TEST

UNIT_MAIN("pipeline", nothing_is_written_behind_a_block_that_failed)
