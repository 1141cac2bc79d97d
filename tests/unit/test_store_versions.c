/* SPDX-License-Identifier: Apache-2.0 */
/* Databases of earlier versions work under this one; and those of all versions give the disk back what removed jobs left. */
#include "store_place.h"
#include "store_suite.h"
#include "unit.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

static char *read_golden(const char *name)
{
    char path[PATH_MAX];
    const char *golden = getenv("KEND_TEST_GOLDEN");
    ck_assert_ptr_nonnull(golden);
    snprintf(path, sizeof path, "%s/%s", golden, name);
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s", path);
    char *text = calloc(1, 1 << 16);
    ck_assert_uint_lt(fread(text, 1, (1 << 16) - 1, file), (1 << 16) - 1);
    fclose(file);
    return text;
}

static void open_golden(struct place *place, const char *name)
{
    char *golden = read_golden(name);
    begin(place);
    run_sql(place, golden, NULL);
    free(golden);
    open_store(place);
}

/* Ends the place, whose schema must be that of a file that this program has made itself. */
static void end_migrated(struct place *place)
{
    static char migrated[TEXT_SIZE], made[TEXT_SIZE];
    const char *shape = "SELECT group_concat(sql) FROM (SELECT sql FROM sqlite_schema ORDER BY name)";
    struct place fresh;
    kend_store_close(&place->store);
    check_consistent(place);
    begin(&fresh);
    open_store(&fresh);
    kend_store_close(&fresh.store);
    run_sql(place, shape, migrated);
    run_sql(&fresh, shape, made);
    ck_assert_str_eq(migrated, made);
    end(&fresh);
    end(place);
}

static void claim_number(struct place *place, int number, int64_t deaths)
{
    struct kend_job *job;
    char token[KEND_TOKEN_SIZE], id[PROTO_ID_SIZE];
    store_suite_id(id, number);
    ck_assert_int_eq(place->store->ops->claim(place->store, "new", 2000, 1000, &job, token), KEND_STORE_OK);
    ck_assert_str_eq(job->id, id);
    ck_assert_int_eq(job->deaths, deaths);
    kend_job_free(&job);
}

/* A database as version 1 made it, with a job in each status, works under this program as one that it has made itself. */
START_TEST(version_1_is_migrated)
{
    struct place place;
    open_golden(&place, "store-v1.sql");
    struct kend_store_counts counts;
    ck_assert_int_eq(place.store->ops->counts(place.store, &counts), KEND_STORE_OK);
    for (int i = 0; i < PROTO_STATUS_COUNT; i++) ck_assert_uint_eq(counts.by_status[i], 1);
    ck_assert_uint_eq(counts.artifact_bytes, 7);
    struct kend_job *job = get_job(&place, "job_01ARZ3NDEKTSV4RRFF00000001");
    ck_assert_int_eq(job->status, PROTO_SUCCEEDED);
    ck_assert_str_eq(job->summary, "{\"kept\":1}");
    ck_assert_double_eq(job->timings[PROTO_PRUNING], 1.5);
    ck_assert_int_eq(job->expires_at, 1090);
    ck_assert_ptr_null(job->trace);
    ck_assert_int_eq(job->evicted_at, 0);
    kend_job_free(&job);
    job = get_job(&place, "job_01ARZ3NDEKTSV4RRFF00000002");
    ck_assert_int_eq(job->error, PROTO_JOB_FETCH_FAILED);
    ck_assert_str_eq(job->error_message, "404");
    kend_job_free(&job);
    struct kend_artifact_list artifacts;
    ck_assert_int_eq(place.store->ops->artifacts(place.store, "job_01ARZ3NDEKTSV4RRFF00000001", &artifacts), KEND_STORE_OK);
    ck_assert_uint_eq(artifacts.count, 1);
    ck_assert_str_eq(artifacts.item[0].name, "report.json");
    kend_artifact_list_clear(&artifacts);
    ck_assert_int_eq(place.store->ops->abandon(place.store, "old", 2000), KEND_STORE_OK);
    claim_number(&place, 3, 1);
    claim_number(&place, 4, 0);
    end_migrated(&place);
}
END_TEST

/* Version 2 knew no turns: they begin as if it had, with who was never served. Its artifacts can be given up. */
START_TEST(version_2_is_migrated)
{
    struct place place;
    struct kend_job *job;
    open_golden(&place, "store-v2.sql");
    struct kend_store_counts counts;
    ck_assert_int_eq(place.store->ops->counts(place.store, &counts), KEND_STORE_OK);
    ck_assert_uint_eq(counts.by_status[PROTO_QUEUED], 4);
    ck_assert_uint_eq(counts.owners_queued, 3);
    job = get_job(&place, "job_01ARZ3NDEKTSV4RRFF00000004");
    ck_assert_str_eq(job->trace, "4bf92f3577b34da6a3ce929d0e0e4736");
    kend_job_free(&job);
    claim_number(&place, 3, 1);
    const int order[] = {6, 8, 4, 7}; /* bob, carol, "", bob: the nameless owner has been served at 60 */
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) claim_number(&place, order[i], 0);
    ck_assert_int_eq(place.store->ops->evict(place.store, NULL, 91, 2000, &job), KEND_STORE_OK);
    ck_assert_str_eq(job->id, "job_01ARZ3NDEKTSV4RRFF00000001");
    kend_job_free(&job);
    end_migrated(&place);
}
END_TEST

START_TEST(version_3_is_migrated)
{
    struct place place;
    struct kend_job *job;
    open_golden(&place, "store-v3.sql");
    ck_assert_int_eq(place.store->ops->evict(place.store, "alice", 91, 2000, &job), KEND_STORE_OK);
    ck_assert_str_eq(job->id, "job_01ARZ3NDEKTSV4RRFF00000001");
    kend_job_free(&job);
    end_migrated(&place);
}
END_TEST

/* What the documents of that version take counts. */
START_TEST(version_4_is_migrated)
{
    struct place place;
    char id[PROTO_ID_SIZE];
    open_golden(&place, "store-v4.sql");
    store_suite_id(id, 20);
    struct kend_new_job new = {.id = id, .owner = "bob", .spec = "{\"k\":3}", .now = 3000, .max_bytes_per_owner = 3 * 7 - 1};
    ck_assert_int_eq(place.store->ops->create(place.store, &new, NULL), KEND_STORE_OWNER_BYTES_FULL);
    new.max_bytes_per_owner = 3 * 7;
    ck_assert_int_eq(place.store->ops->create(place.store, &new, NULL), KEND_STORE_OK);
    end_migrated(&place);
}
END_TEST

/* ---- room that is given back */

enum { FAT_JOBS = 16, FAT_BYTES = 1 << 20, FIRST_FAT = 101 };

static int64_t file_bytes(const struct place *place)
{
    struct stat status;
    ck_assert_int_eq(stat(place->path, &status), 0);
    return status.st_size;
}

/* Jobs whose documents are large, all of them cancelled. */
static void create_fat_jobs(struct place *place)
{
    char id[PROTO_ID_SIZE], *spec = malloc(FAT_BYTES + 1);
    ck_assert_ptr_nonnull(spec);
    memset(spec, ' ', FAT_BYTES);
    spec[FAT_BYTES] = '\0';
    for (int i = 0; i < FAT_JOBS; i++) {
        store_suite_id(id, FIRST_FAT + i);
        const struct kend_new_job new = {.id = id, .owner = "", .spec = spec, .now = i};
        ck_assert_int_eq(place->store->ops->create(place->store, &new, NULL), KEND_STORE_OK);
        ck_assert_int_eq(place->store->ops->cancel(place->store, id, NULL, i, NULL), KEND_STORE_OK);
    }
    free(spec);
}

static void remove_fat_jobs(struct place *place)
{
    for (int i = 0; i < FAT_JOBS; i++) {
        char id[PROTO_ID_SIZE];
        store_suite_id(id, FIRST_FAT + i);
        ck_assert_int_eq(place->store->ops->remove(place->store, id, NULL), KEND_STORE_OK);
    }
}

/* Shrinks until there is nothing more, in how many steps, the longest of which took how many microseconds. */
static int shrink(struct place *place, int64_t *longest)
{
    int steps = 0;
    enum kend_store_result result;
    *longest = 0;
    for (;; steps++) {
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        result = place->store->ops->shrink(place->store);
        clock_gettime(CLOCK_MONOTONIC, &after);
        if (result != KEND_STORE_OK) break;
        const int64_t took = (after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000;
        if (took > *longest) *longest = took;
    }
    ck_assert_int_eq(result, KEND_STORE_NONE);
    return steps;
}

START_TEST(removed_jobs_give_the_disk_back_bit_by_bit)
{
    struct place place;
    struct kend_store_counts counts;
    int64_t longest;
    begin(&place);
    open_store(&place);
    create_fat_jobs(&place);
    ck_assert_int_eq(shrink(&place, &longest), 0);
    remove_fat_jobs(&place);
    ck_assert_int_eq(place.store->ops->counts(place.store, &counts), KEND_STORE_OK);
    ck_assert_uint_ge(counts.store_free, (uint64_t)FAT_JOBS * FAT_BYTES);
    ck_assert_uint_ge(counts.store_bytes, counts.store_free);
    const int64_t before = file_bytes(&place);
    const int steps = shrink(&place, &longest);
    printf("%d MiB given back in %d steps of %.1f ms at most\n", FAT_JOBS, steps, (double)longest / 1000);
    ck_assert_int_ge(steps, FAT_JOBS * 8);
    ck_assert_int_gt(before, (int64_t)FAT_JOBS * FAT_BYTES);
    ck_assert_int_lt(file_bytes(&place), 4 << 20);
    ck_assert_int_eq(place.store->ops->counts(place.store, &counts), KEND_STORE_OK);
    ck_assert_uint_le(counts.store_bytes, 4 << 20);
    kend_store_close(&place.store);
    check_consistent(&place);
    end(&place);
}
END_TEST

/* Fat jobs in a file that an earlier version made; it is closed. */
static void make_file_of_before(struct place *place)
{
    open_golden(place, "store-v4.sql");
    create_fat_jobs(place);
    kend_store_close(&place->store);
    run_sql(place, "PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM", NULL);
    check_sql(place, "PRAGMA auto_vacuum", "0");
}

/* A file that was made before shrinks, too: it is rewritten when it is opened, and nothing of it is lost. */
START_TEST(a_file_of_before_is_made_to_shrink)
{
    struct place place;
    int64_t longest;
    make_file_of_before(&place);
    open_store(&place);
    struct kend_job *job = get_job(&place, "job_01ARZ3NDEKTSV4RRFF00000001");
    ck_assert_int_eq(job->status, PROTO_SUCCEEDED);
    kend_job_free(&job);
    remove_fat_jobs(&place);
    shrink(&place, &longest);
    ck_assert_int_lt(file_bytes(&place), 4 << 20);
    end_migrated(&place);
}
END_TEST

static uint64_t disk_free; /* 0: as it is */

int statvfs(const char *path, struct statvfs *status)
{
    (void)path;
    if (!disk_free) return -1;
    *status = (struct statvfs){.f_bavail = disk_free, .f_frsize = 1};
    return 0;
}

/* Rewriting would take more than half of what is free: the file is left alone, until there is more. */
START_TEST(a_file_is_not_rewritten_on_a_full_disk)
{
    struct place place;
    make_file_of_before(&place);
    disk_free = (uint64_t)4 * FAT_JOBS * FAT_BYTES;
    open_store(&place);
    kend_store_close(&place.store);
    check_sql(&place, "PRAGMA auto_vacuum", "0");
    disk_free *= 2;
    open_store(&place);
    kend_store_close(&place.store);
    check_sql(&place, "PRAGMA auto_vacuum", "2");
    end(&place);
    disk_free = 0;
}
END_TEST

/* Somebody else has the lock that writers need. */
START_TEST(who_only_looks_for_what_is_free_waits_for_no_writer)
{
    struct place place;
    sqlite3 *other;
    begin(&place);
    open_store(&place);
    ck_assert_int_eq(sqlite3_open(place.path, &other), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(place.store->ops->shrink(place.store), KEND_STORE_NONE);
    sqlite3_close(other);
    end(&place);
}
END_TEST

/* No room for the copy: the file is used as it is, and is rewritten when there is. */
START_TEST(a_file_that_cannot_be_rewritten_is_used_as_it_is)
{
    struct place place;
    struct rlimit limit, none;
    make_file_of_before(&place);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &none), 0);
    signal(SIGXFSZ, SIG_IGN);
    limit = (struct rlimit){FAT_JOBS / 2 * FAT_BYTES, none.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    open_store(&place);
    ck_assert_int_eq(store_suite_create(place.store, 50, 100), KEND_STORE_OK);
    ck_assert_int_eq(place.store->ops->shrink(place.store), KEND_STORE_NONE);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
    remove_fat_jobs(&place);
    ck_assert_int_eq(place.store->ops->shrink(place.store), KEND_STORE_NONE);
    kend_store_close(&place.store);
    check_sql(&place, "PRAGMA auto_vacuum", "0");
    check_sql(&place, "PRAGMA integrity_check", "ok");
    open_store(&place);
    ck_assert_int_lt(file_bytes(&place), 4 << 20);
    kend_job_free(&(struct kend_job *){get_job(&place, "job_01ARZ3NDEKTSV4RRFF00000050")});
    end_migrated(&place);
}
END_TEST

UNIT_MAIN("store_versions", version_1_is_migrated, version_2_is_migrated, version_3_is_migrated, version_4_is_migrated,
          removed_jobs_give_the_disk_back_bit_by_bit, a_file_is_not_rewritten_on_a_full_disk,
          who_only_looks_for_what_is_free_waits_for_no_writer, a_file_of_before_is_made_to_shrink,
          a_file_that_cannot_be_rewritten_is_used_as_it_is)
