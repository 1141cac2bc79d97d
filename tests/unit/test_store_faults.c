/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every write of the store, with its n-th use of disk or memory failing, for n = 1, 2, ... until nothing fails any more. Each time the
 * database is as before or complete, what is answered is true, and the next call works.
 */
#include "faulty_vfs.h"
#include "store_suite.h"
#include "unit.h"
#include "unit_folder.h"

#include <fcntl.h>
#include <sqlite3.h>

struct place {
    struct unit_folder folder;
    char path[PATH_MAX], url[PATH_MAX + 8];
    struct kend_store *store;
    int number; /* of the job at hand */
    char id[PROTO_ID_SIZE], token[KEND_TOKEN_SIZE];
};

static void begin(struct place *place)
{
    *place = (struct place){0};
    unit_folder_make(&place->folder);
    unit_path(place->path, &place->folder, "kend.db");
    snprintf(place->url, sizeof place->url, "sqlite:%s", place->path);
}

static void open_store(struct place *place)
{
    char message[256] = "";
    ck_assert_msg(kend_store_open(&place->store, place->url, message) == KEND_STORE_OK, "%s", message);
}

static void end(struct place *place)
{
    kend_store_close(&place->store);
    unit_folder_remove(&place->folder);
}

/* What the store logs about failures that are meant is no news; and there is no power to fail, so memory serves as a disk. */
static void set_up(void)
{
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 1);
    faulty_install();
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(dup2(null, STDERR_FILENO), 0);
    close(null);
}

/* ---- the writes, each with what must have been before */

static enum kend_store_result create(struct place *place)
{
    const struct kend_pair pair = {"team", "nlp"};
    char key[32];
    snprintf(key, sizeof key, "key %d", place->number);
    struct kend_new_job new = {.id = place->id,
                               .owner = "alice",
                               .spec = "{}",
                               .idempotency_key = key,
                               .metadata = &pair,
                               .metadata_count = 1,
                               .now = place->number,
                               .max_queued = 1000000};
    struct kend_job *job;
    enum kend_store_result result = place->store->ops->create(place->store, &new, &job);
    ck_assert_int_eq(job != NULL, result == KEND_STORE_OK);
    kend_job_free(&job);
    return result;
}

static enum kend_store_result claim(struct place *place)
{
    struct kend_job *job;
    enum kend_store_result result = place->store->ops->claim(place->store, "a", 1000, 1000, &job, place->token);
    ck_assert_int_eq(job != NULL, result == KEND_STORE_OK);
    kend_job_free(&job);
    return result;
}

static enum kend_store_result renew(struct place *place)
{
    bool cancel;
    static int64_t now = 2000;
    return place->store->ops->renew(place->store, place->id, place->token, now++, 1000, &cancel);
}

static enum kend_store_result progress(struct place *place)
{
    struct kend_run_state state = {.stage = PROTO_PRUNING, .marker = 1};
    return place->store->ops->progress(place->store, place->id, place->token, 2000, &state);
}

static enum kend_store_result append_log(struct place *place)
{
    return place->store->ops->log(place->store, place->id, place->token, 2000, "{}");
}

static enum kend_store_result cancel(struct place *place)
{
    return place->store->ops->cancel(place->store, place->id, NULL, 2000, NULL);
}

static enum kend_store_result hand_back(struct place *place)
{
    return place->store->ops->hand_back(place->store, place->id, place->token, 2000, NULL);
}

static enum kend_store_result finish(struct place *place)
{
    struct kend_job_artifact items[] = {{.name = (char *)"a", .variant = (char *)""}, {.name = (char *)"b", .variant = (char *)""}};
    const struct kend_artifact_list artifacts = {.item = items, .count = 2};
    const struct kend_outcome outcome = {.event = PROTO_SUCCEED, .summary = "{}", .artifacts = &artifacts, .now = 3000};
    return place->store->ops->finish(place->store, place->id, place->token, &outcome);
}

static enum kend_store_result remove_job(struct place *place)
{
    return place->store->ops->remove(place->store, place->id, NULL);
}

/* Those of the job at hand: there are no others. */
static enum kend_store_result evict(struct place *place)
{
    struct kend_job *job;
    enum kend_store_result result = place->store->ops->evict(place->store, NULL, 4000, 5000, &job);
    ck_assert_int_eq(job != NULL, result == KEND_STORE_OK);
    kend_job_free(&job);
    return result;
}

static enum kend_store_result abandon(struct place *place)
{
    return place->store->ops->abandon(place->store, "a", 2000);
}

static enum kend_store_result check(struct place *place)
{
    return place->store->ops->check(place->store);
}

typedef enum kend_store_result step(struct place *place);
static const struct operation {
    const char *name;
    step *run;
    step *before[4]; /* on a new job */
} operations[] = {
    {"check", check, {0}},
    {"create", create, {0}},
    {"claim", claim, {create}},
    {"renew", renew, {create, claim}},
    {"progress", progress, {create, claim}},
    {"log", append_log, {create, claim}},
    {"cancel queued", cancel, {create}},
    {"cancel running", cancel, {create, claim}},
    {"hand back", hand_back, {create, claim}},
    {"finish", finish, {create, claim}},
    {"remove", remove_job, {create, claim, finish}},
    {"evict", evict, {create, claim, finish}},
    {"abandon", abandon, {create, claim}},
};

/* All that the database says, as one text; to be freed. */
static char *fingerprint(const struct place *place)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    ck_assert_int_eq(sqlite3_open(place->path, &db), SQLITE_OK);
    const char *sql =
        "SELECT (SELECT count(*) || coalesce(group_concat(id || status || stage || attempt || sequence || token || lease_until ||"
        " coalesce(holder, '') || marker || finished_at || cancel_requested_at), '') FROM job) || '/' ||"
        "(SELECT coalesce(group_concat(id || sequence || data), '') FROM event WHERE id IN (SELECT id FROM job)) || '/' ||"
        "(SELECT coalesce(group_concat(id || name), '') FROM artifact) || '/' ||"
        "(SELECT coalesce(group_concat(id || key), '') FROM metadata) || '/' ||"
        "(SELECT group_concat(status || jobs) FROM counter) || '/' ||"
        "(SELECT coalesce(group_concat(name || queued || running || turn), '') FROM owner_load) || '/' || (SELECT beats FROM probe)";
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    char *text = strdup((const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return text;
}

static void prepare(struct place *place, const struct operation *operation)
{
    /* The job before is out of the way: cancelled or ended, so that a claim finds the new one. */
    if (place->number) {
        cancel(place);
        if (finish(place) != KEND_STORE_OK) cancel(place);
        place->store->ops->remove(place->store, place->id, NULL);
    }
    store_suite_id(place->id, ++place->number);
    for (int i = 0; operation->before[i]; i++) ck_assert_int_eq(operation->before[i](place), KEND_STORE_OK);
}

/* One operation with fault n; false once no fault was met. */
static bool try_one(struct place *place, const struct operation *operation, enum faulty_kind kind, unsigned n, bool lasting)
{
    enum kend_store_result expected = kind == FAULTY_FULL ? KEND_STORE_NO_SPACE : KEND_STORE_UNAVAILABLE;
    char *before = fingerprint(place);
    faulty_arm(kind, n, lasting);
    enum kend_store_result result = operation->run(place);
    bool failed = faulty_disarm();
    char *after = fingerprint(place);
    if (result == KEND_STORE_OK) {
        ck_assert_msg(strcmp(before, after) != 0, "%s, %u: nothing was done", operation->name, n);
        if (failed) prepare(place, operation);
    } else {
        ck_assert_msg(failed && result == expected, "%s, %u: %s", operation->name, n, kend_store_result_text(result));
        ck_assert_msg(strcmp(before, after) == 0, "%s, %u:\n%s\n%s", operation->name, n, before, after);
    }
    free(before);
    free(after);
    return failed;
}

static void sweep(enum faulty_kind kind, bool lasting)
{
    struct place place;
    set_up();
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        begin(&place);
        open_store(&place);
        prepare(&place, &operations[i]);
        unsigned n = 1;
        while (try_one(&place, &operations[i], kind, n, lasting)) n++;
        ck_assert_msg(n > 1, "%s met no fault", operations[i].name);
        /* whatever failed, it starts again, whole */
        char *before = fingerprint(&place);
        kend_store_close(&place.store);
        open_store(&place);
        char *after = fingerprint(&place);
        ck_assert_str_eq(before, after);
        ck_assert_int_eq(place.store->ops->check(place.store), KEND_STORE_OK);
        free(before);
        free(after);
        end(&place);
    }
}

START_TEST(one_write_finds_the_disk_full)
{
    sweep(FAULTY_FULL, false);
}
END_TEST

START_TEST(the_disk_stays_full)
{
    sweep(FAULTY_FULL, true);
}
END_TEST

START_TEST(one_use_of_the_disk_fails)
{
    sweep(FAULTY_IO, false);
}
END_TEST

START_TEST(the_disk_keeps_failing)
{
    sweep(FAULTY_IO, true);
}
END_TEST

START_TEST(one_allocation_fails)
{
    sweep(FAULTY_MEMORY, false);
}
END_TEST

/* Opening a new store: it says why it failed, and what it has left behind does not keep the next one from opening. */
static void sweep_open(enum faulty_kind kind, bool lasting)
{
    set_up();
    bool failed = true;
    unsigned n = 1, step_size = kind == FAULTY_MEMORY ? 7 : 1; /* opening allocates some thousand times */
    for (; failed; n += step_size) {
        struct place place;
        char message[256] = "";
        begin(&place);
        faulty_arm(kind, n, lasting);
        enum kend_store_result result = kend_store_open(&place.store, place.url, message);
        failed = faulty_disarm();
        ck_assert_int_eq(place.store != NULL, result == KEND_STORE_OK);
        if (result != KEND_STORE_OK) {
            ck_assert_msg(failed && message[0], "%u", n);
            open_store(&place);
        }
        ck_assert_int_eq(store_suite_create(place.store, 1, 10), KEND_STORE_OK);
        end(&place);
    }
    ck_assert_uint_gt(n, 10);
}

START_TEST(opening_on_a_full_disk)
{
    sweep_open(FAULTY_FULL, true);
}
END_TEST

START_TEST(opening_on_a_failing_disk)
{
    sweep_open(FAULTY_IO, false);
}
END_TEST

START_TEST(opening_without_memory)
{
    sweep_open(FAULTY_MEMORY, false);
}
END_TEST

UNIT_MAIN("store_faults", one_write_finds_the_disk_full, the_disk_stays_full, one_use_of_the_disk_fails, the_disk_keeps_failing,
          one_allocation_fails, opening_on_a_full_disk, opening_on_a_failing_disk, opening_without_memory)
