/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes depend on the inputs and the options alone: not on threads, memory, company, cancelling, kills or full disks. */
#include "made_pair.h"
#include "make_checkpoint.h"
#include "prune_pair.h"
#include "unit.h"
#include "unit_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static struct unit_folder folder;

/* ---- faults: the calls below are the program's own, in the place of the C library's */

static unsigned long calls, fail_from; /* 0: never */

static bool is_due(void)
{
    unsigned long call = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    return fail_from && call >= fail_from;
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset)
{
    if (!is_due()) return syscall(SYS_pwrite64, file, bytes, length, offset);
    errno = ENOSPC;
    return -1;
}

int fallocate(int file, int mode, off_t offset, off_t length)
{
    if (!is_due()) return (int)syscall(SYS_fallocate, file, mode, offset, length);
    errno = ENOSPC;
    return -1;
}

/* No test here takes the machine's power away: what is written stays, and waiting for the disk would only take time. */
int fdatasync(int file)
{
    (void)file;
    if (!is_due()) return 0;
    errno = ENOSPC;
    return -1;
}

int fsync(int file)
{
    return fdatasync(file);
}

/* ---- */

static char *work(const char *name)
{
    static char path[PATH_MAX];
    unit_path(path, &folder, name);
    if (mkdir(path, 0777)) ck_assert_int_eq(errno, EEXIST);
    return path;
}

static void run(struct prune_pair *pair, const struct ken_options *options)
{
    ck_assert_msg(!prune_pair(pair, options), "%s", pair->error.message);
}

static struct ken_options three_variants(void)
{
    struct ken_options options = pair_options(0, 0);
    options.variant_count = 3;
    options.variants[0] = (struct ken_variant){.name = "half", .amount = {.keep = 0.5}};
    options.variants[1] =
        (struct ken_variant){.name = "ten", .amount = {.k = 10}, .method = KEN_METHOD_MAGNITUDE, .rescale = KEN_RESCALE_L1};
    options.variants[2] = (struct ken_variant){.name = "dice", .amount = {.k = 5}, .method = KEN_METHOD_RANDOM, .seed = 7};
    return options;
}

START_TEST(threads_and_memory_do_not_matter)
{
    static const unsigned threads[] = {1, 2, 3, 8};
    static const uint64_t memory[] = {UINT64_C(512) << 10, UINT64_C(2) << 20, UINT64_C(1) << 30};
    struct ken_options options = three_variants();
    struct made_pair made;
    unit_folder_make(&folder);
    made_pair_write(&made, folder.path);
    struct prune_pair first = {.model = made.model, .base = made.base, .folder = work("work")}, pair = first;
    for (unsigned encoding = 0; encoding < KEN_ENCODING_COUNT; encoding++) {
        options.encoding = encoding;
        run(&first, &options);
        for (size_t t = 0; t < 4; t++)
            for (size_t m = 0; m < 3; m++) {
                pair.threads = threads[t];
                pair.memory = memory[m];
                pair.durable = m == 1;
                run(&pair, &options);
                ck_assert_str_eq(pair.files, first.files);
            }
    }
    prune_pair_free(&first);
    prune_pair_free(&pair);
    made_pair_free(&made);
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(variants_alone_give_the_same)
{
    struct ken_options all = three_variants(), alone = all;
    struct made_pair made;
    unit_folder_make(&folder);
    made_pair_write(&made, folder.path);
    struct prune_pair together = {.model = made.model, .base = made.base, .folder = work("work")}, pair = together;
    run(&together, &all);
    alone.variant_count = 1;
    for (size_t v = 0; v < all.variant_count; v++) {
        alone.variants[0] = all.variants[v];
        run(&pair, &alone);
        ck_assert_str_eq(pair.totals[0], together.totals[v]);
        for (char *line = strtok(pair.files, "\n"); line; line = strtok(NULL, "\n")) ck_assert_ptr_nonnull(strstr(together.files, line));
    }
    prune_pair_free(&together);
    prune_pair_free(&pair);
    made_pair_free(&made);
    unit_folder_remove(&folder);
}
END_TEST

static void *run_thread(void *pair)
{
    struct ken_options options = three_variants();
    run(pair, &options);
    return NULL;
}

/* Three prunings that share two threads and memory for hardly one of them neither block each other nor mix. */
START_TEST(several_at_once_share_threads_and_memory)
{
    enum { AT_ONCE = 3 };
    struct made_pair made;
    struct prune_pair pairs[AT_ONCE];
    char folders[AT_ONCE][PATH_MAX];
    pthread_t threads[AT_ONCE];
    struct ken_executor *executor;
    struct ken_budget *budget = ken_budget_create(512 << 10);
    unit_folder_make(&folder);
    made_pair_write(&made, folder.path);
    ck_assert_int_eq(ken_threads_create(&executor, 2, NULL), 0);
    for (size_t i = 0; i < AT_ONCE; i++) {
        snprintf(folders[i], sizeof folders[i], "%s", work((const char *[]){"a", "b", "c"}[i]));
        pairs[i] = (struct prune_pair){.model = made.model, .base = made.base, .folder = folders[i], .memory = 512 << 10, .durable = true};
        pairs[i].executor = executor;
        pairs[i].budget = budget;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_thread, &pairs[i]), 0);
    }
    for (size_t i = 0; i < AT_ONCE; i++) ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < AT_ONCE; i++) {
        ck_assert_str_eq(pairs[i].files, pairs[0].files);
        if (i) prune_pair_free(&pairs[i]);
    }
    prune_pair_free(&pairs[0]);
    ken_threads_destroy(&executor);
    ken_budget_destroy(&budget);
    made_pair_free(&made);
    unit_folder_remove(&folder);
}
END_TEST

/* A row that takes most of the memory is selected for all variants first, and its outputs are made one by one. */
START_TEST(a_row_that_hardly_fits_gives_the_same)
{
    enum { N = 50000, ROWS = 3 };
    static float model[ROWS * N], base[ROWS * N];
    static uint16_t half[ROWS * N]; /* F16 */
    struct ken_options options = three_variants();
    unit_folder_make(&folder);
    for (size_t i = 0; i < sizeof base / sizeof *base; i++) {
        base[i] = (float)((i * 7919) % 10007) / 10007;
        ken_store(KEN_F16, half, i, (double)((i * 104729) % 9973));
        model[i] = base[i] + (float)((i * 31) % 101) / 10000;
    }
    struct make_tensor tensors[] = {{.name = "a", .dtype = "F32", .shape = "[3,50000]", .data = base, .length = sizeof base},
                                    {.name = "b", .dtype = "F32", .shape = "[3,50000]", .data = base, .length = sizeof base},
                                    {.name = "c", .dtype = "F16", .shape = "[3,50000]", .data = half, .length = sizeof half}};
    write_safetensors(folder.path, "base", NULL, tensors, 3);
    tensors[0].data = tensors[1].data = model;
    half[77] = half[N + 5] = 0x3c00; /* 1 */
    write_safetensors(folder.path, "model", NULL, tensors, 3);
    char of_model[PATH_MAX], of_base[PATH_MAX];
    struct prune_pair pair = {
        .model = unit_path(of_model, &folder, "model"), .base = unit_path(of_base, &folder, "base"), .folder = work("work")};
    for (int with_magnitude = 1; with_magnitude >= 0; with_magnitude--) {
        struct prune_pair tight = {.model = pair.model, .base = pair.base, .folder = pair.folder};
        if (!with_magnitude) options.variants[1].method = KEN_METHOD_KEN;
        run(&pair, &options);
        for (tight.memory = 1 << 20; prune_pair(&tight, &options) == KEN_ETOO_LARGE;) /* as much as it says, and no more */
            tight.memory = strtoull(strstr(tight.error.message, "needs ") + 6, NULL, 10);
        ck_assert_msg(!tight.error.code, "%s", tight.error.message);
        ck_assert_str_eq(tight.files, pair.files);
        prune_pair_free(&tight);
    }
    prune_pair_free(&pair);
    unit_folder_remove(&folder);
}
END_TEST

/* ---- the real pair, stopped again and again */

static char era_model[PATH_MAX], era_base[PATH_MAX];

static struct prune_pair era(const char *name)
{
    snprintf(era_model, sizeof era_model, "%s/era-bf16/finetuned.safetensors", getenv("KEND_TEST_DATA"));
    snprintf(era_base, sizeof era_base, "%s/era-bf16/base.safetensors", getenv("KEND_TEST_DATA"));
    return (struct prune_pair){.model = era_model, .base = era_base, .folder = work(name), .durable = true, .sync_seconds = 0.001};
}

static struct ken_options quick(void)
{
    struct ken_options options = three_variants();
    options.variants[0].method = KEN_METHOD_MAGNITUDE;
    options.variants[0].amount.keep = 0.9;
    return options;
}

static char *undisturbed(const struct ken_options *options)
{
    struct prune_pair pair = era("undisturbed");
    pair.durable = false;
    run(&pair, options);
    char *files = strdup(pair.files);
    prune_pair_free(&pair);
    return files;
}

static void check_cancelled_and_resumed(enum ken_encoding encoding)
{
    struct ken_options options = quick();
    options.encoding = encoding;
    unit_folder_make(&folder);
    char *expected = undisturbed(&options);
    struct prune_pair pair = era("work");
    uint64_t last = 0;
    int cancelled = 0, resumed = 0, code;
    for (pair.cancel_after = 2000; (code = prune_pair(&pair, &options)) != 0; pair.cancel_after += 2000) {
        ck_assert_int_eq(code, KEN_ECANCELLED);
        ck_assert_ptr_null(pair.files);
        ck_assert_uint_ge(pair.resumed, last);
        resumed += pair.resumed > last;
        last = pair.resumed;
        cancelled++;
    }
    ck_assert_int_ge(cancelled, 5);
    ck_assert_int_ge(resumed, 1);
    ck_assert_str_eq(pair.files, expected);
    ck_assert_uint_eq(pair.resumed > 0 && pair.resumed <= pair.rows, 1);
    ck_assert_uint_eq(pair.rows_reported, pair.rows);

    pair.cancel_after = 0; /* once more: nothing is left to be done but to finish */
    run(&pair, &options);
    ck_assert_uint_eq(pair.resumed, pair.rows);
    ck_assert_str_eq(pair.files, expected);

    char path[PATH_MAX];
    ck_assert_int_eq(unlink(unit_path(path, &folder, "work/mask.1")), 0); /* the journal tells of what is not there */
    run(&pair, &options);
    ck_assert_uint_eq(pair.resumed, 0);
    ck_assert_str_eq(pair.files, expected);

    options.variants[2].seed++; /* another plan */
    run(&pair, &options);
    ck_assert_uint_eq(pair.resumed, 0);
    ck_assert_str_ne(pair.files, expected);
    free(expected);
    prune_pair_free(&pair);
    unit_folder_remove(&folder);
}

START_TEST(cancelled_and_resumed)
{
    check_cancelled_and_resumed(KEN_ENCODING_PLAIN);
}
END_TEST

START_TEST(cancelled_and_resumed_packed)
{
    check_cancelled_and_resumed(KEN_ENCODING_PACKED);
}
END_TEST

/* Copies a file, and lets its last byte be another if told so. */
static void copy_file(const char *from, const char *to, bool changed)
{
    const char *slash = strrchr(from, '/');
    char *directory = strndup(from, (size_t)(slash - from));
    struct made_file file = read_file(directory, slash + 1);
    file.bytes[file.length - 1] ^= changed;
    FILE *out = fopen(to, "we");
    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(file.bytes, 1, file.length, out), file.length);
    ck_assert_int_eq(fclose(out), 0);
    free(file.bytes);
    free(directory);
}

/* A model that became another one between two runs, though its header is the same: nothing made of the old one may be taken up. */
START_TEST(another_input_begins_anew)
{
    struct ken_options options = quick();
    char model[PATH_MAX];
    unit_folder_make(&folder);
    struct prune_pair pair = era("work");
    copy_file(pair.model, unit_path(model, &folder, "model.safetensors"), false);
    pair.model = model;
    run(&pair, &options);
    run(&pair, &options);
    ck_assert_uint_eq(pair.resumed, pair.rows);
    char *before = strdup(pair.files);

    copy_file(era_model, model, true);
    run(&pair, &options);
    ck_assert_uint_eq(pair.resumed, 0);
    ck_assert_str_ne(pair.files, before);
    free(before);
    prune_pair_free(&pair);
    unit_folder_remove(&folder);
}
END_TEST

/* Runs in a child that is killed after so long, or ends by itself: true. */
static bool run_and_kill(struct prune_pair *pair, const struct ken_options *options, long milliseconds)
{
    int status;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (!child) _exit(prune_pair(pair, options) ? 2 : 0);
    const struct timespec time = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) ck_assert_int_eq(WEXITSTATUS(status), 0);
    return WIFEXITED(status);
}

START_TEST(killed_and_resumed)
{
    struct ken_options options = quick();
    unit_folder_make(&folder);
    char *expected = undisturbed(&options);
    struct prune_pair pair = era("work");
    unsigned seed = (unsigned)getpid();
    int kills = 0;
    while (kills < 40 && !run_and_kill(&pair, &options, 10 + 10 * kills + (long)(rand_r(&seed) % 60))) {
        pair.threads = 1 + (unsigned)kills % 3;
        pair.memory = UINT64_C(3) << (20 + kills % 4);
        kills++;
    }
    run(&pair, &options);
    ck_assert_int_ge(kills, 1);
    ck_assert_uint_gt(pair.resumed, 0);
    ck_assert_str_eq(pair.files, expected);
    free(expected);
    prune_pair_free(&pair);
    unit_folder_remove(&folder);
}
END_TEST

/* The disk is full from the n-th call on, for every n: the error says so, and with room again the work goes on. */
static void check_a_full_disk_is_told_and_survived(enum ken_encoding encoding)
{
    struct ken_options options = three_variants();
    options.encoding = encoding;
    struct made_pair made;
    unit_folder_make(&folder);
    made_pair_write(&made, folder.path);
    struct prune_pair pair = {.model = made.model, .base = made.base, .folder = work("plain")};
    run(&pair, &options);
    char *expected = strdup(pair.files);
    prune_pair_free(&pair);
    pair = (struct prune_pair){
        .model = made.model, .base = made.base, .folder = work("work"), .durable = true, .sync_seconds = 1e-9, .threads = 1};
    unsigned long n = 1;
    for (;; n++) {
        calls = 0;
        fail_from = n;
        int code = prune_pair(&pair, &options);
        if (!code) break;
        ck_assert_int_eq(code, KEN_ENO_SPACE);
        fail_from = 0;
        if (n % 10) continue;
        run(&pair, &options);
        ck_assert_str_eq(pair.files, expected);
        struct ken_options other = options;
        other.variants[2].seed = n;
        run(&pair, &other); /* so that the next run begins anew */
    }
    fail_from = 0;
    ck_assert_uint_gt(n, 50);
    ck_assert_str_eq(pair.files, expected);
    free(expected);
    prune_pair_free(&pair);
    made_pair_free(&made);
    unit_folder_remove(&folder);
}

START_TEST(a_full_disk_is_told_and_survived)
{
    check_a_full_disk_is_told_and_survived(KEN_ENCODING_PLAIN);
}
END_TEST

START_TEST(a_full_disk_is_told_and_survived_packed)
{
    check_a_full_disk_is_told_and_survived(KEN_ENCODING_PACKED);
}
END_TEST

/* An input that is exchanged meanwhile is noticed at the end. */
static void touch(void *opaque, uint64_t rows)
{
    (void)rows;
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};
    ck_assert_int_eq(utimensat(AT_FDCWD, opaque, times, 0), 0);
}

START_TEST(a_changed_input_is_noticed)
{
    struct ken_options options = three_variants();
    struct made_pair made;
    char shard[PATH_MAX];
    unit_folder_make(&folder);
    made_pair_write(&made, folder.path);
    struct prune_pair pair = {.model = made.model, .base = made.base, .folder = work("work"), .durable = true, .sync_seconds = 1e-9};
    pair.durable_rows = touch;
    snprintf(shard, sizeof shard, "%s/part-1.safetensors", made.base);
    pair.opaque = shard;
    ck_assert_int_eq(prune_pair(&pair, &options), KEN_EFETCH);
    prune_pair_free(&pair);
    made_pair_free(&made);
    unit_folder_remove(&folder);
}
END_TEST

UNIT_MAIN("prune_bytes", threads_and_memory_do_not_matter, variants_alone_give_the_same, several_at_once_share_threads_and_memory,
          a_row_that_hardly_fits_gives_the_same, cancelled_and_resumed, cancelled_and_resumed_packed, another_input_begins_anew,
          killed_and_resumed, a_full_disk_is_told_and_survived, a_full_disk_is_told_and_survived_packed, a_changed_input_is_noticed)
