/* SPDX-License-Identifier: Apache-2.0 */
/* Room for jobs beside what others have been promised, on a disk of so many bytes; and artifacts that cannot be given up. */
#include "jobs/room.h"

#include "cache_fetcher.h"
#include "conf.h"
#include "fetch/fetch_source.h"
#include "store_place.h"
#include "store_suite.h"
#include "unit.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum { JOBS = 24, ARTIFACT_BYTES = 100 };

/* ---- a disk, for the cache and for artifacts; nothing is written to it */

static uint64_t disk_free;
static struct place place;

int fstatvfs(int fd, struct statvfs *status)
{
    (void)fd;
    *status = (struct statvfs){.f_bavail = disk_free, .f_frsize = 1};
    return 0;
}

/* ---- artifacts: what each job takes, and whether it can be removed */

static struct job {
    char id[PROTO_ID_SIZE];
    uint64_t bytes;
} jobs[JOBS];
static bool stuck;
static unsigned removals;

static struct job *job_of(const char *id)
{
    for (size_t i = 0; i < JOBS; i++)
        if (strcmp(jobs[i].id, id) == 0) return &jobs[i];
    ck_abort_msg("%s", id);
}

static int used_bytes(struct kend_artifacts *artifacts, const char *id, uint64_t *bytes, struct ken_error *error)
{
    (void)artifacts, (void)error;
    *bytes = id ? job_of(id)->bytes : 0;
    for (size_t i = 0; !id && i < JOBS; i++) *bytes += jobs[i].bytes;
    return 0;
}

static int free_bytes(struct kend_artifacts *artifacts, uint64_t *bytes, uint64_t *device, struct ken_error *error)
{
    (void)artifacts, (void)error;
    struct stat status;
    ck_assert_int_eq(stat(place.folder.path, &status), 0);
    *bytes = disk_free;
    *device = status.st_dev;
    return 0;
}

static int remove_job(struct kend_artifacts *artifacts, const char *id, struct ken_error *error)
{
    (void)artifacts;
    removals++;
    if (stuck) return ken_fail(error, KEN_EIO, "stuck");
    job_of(id)->bytes = 0;
    return 0;
}

static const struct kend_artifacts_ops operations = {.used_bytes = used_bytes, .free_bytes = free_bytes, .remove = remove_job};

/* ---- the parts that room is looked for in */

static struct kend_artifacts artifacts = {&operations};
static struct kend_conf conf;
static struct kend_cache *cache;
static struct kend_room room;
static struct kend_parts parts;

static void set_up(uint64_t bytes)
{
    struct ken_error error = {0};
    begin(&place);
    open_store(&place);
    disk_free = bytes;
    char path[PATH_MAX];
    ck_assert_msg(kend_cache_create(&cache, unit_path(path, &place.folder, "cache"), 0, 0, &error) == 0, "%s", error.message);
    parts =
        (struct kend_parts){.conf = &conf, .store = place.store, .artifacts = &artifacts, .fetcher = cache_fetcher(cache), .room = &room};
    kend_room_begin(&parts);
    for (int i = 0; i < JOBS; i++) store_suite_id(jobs[i].id, i);
}

static void tear_down(void)
{
    kend_room_end(&parts);
    kend_cache_destroy(&cache);
    end(&place);
}

/* ---- a location with one file of the cache */

static struct kend_cached *cached_of(const struct kend_source *source);
static const struct kend_source_ops source_operations = {.cached = cached_of};
struct input {
    struct kend_source source;
    struct kend_location location;
    struct kend_cached *cached;
};

static struct kend_cached *cached_of(const struct kend_source *source)
{
    return ((const struct input *)source)->cached;
}

static struct kend_cached *open_entry(const char *url)
{
    char key[KEND_CACHE_KEY];
    struct kend_cached *cached;
    struct kend_meta meta;
    ck_assert_int_eq(kend_cache_key(key, "", url, NULL), 0);
    ck_assert_int_eq(kend_cache_open(cache, key, &cached, &meta, NULL), 0);
    return cached;
}

static int reserve(struct kend_cached *cached, uint64_t bytes)
{
    uint64_t granted;
    return kend_cached_reserve(cached, bytes, bytes, &granted, NULL);
}

/* Whether the job has room for these outputs and, if there is one, its input of these bytes. */
static int find(int job, struct kend_cached *cached, uint64_t bytes, uint64_t outputs, bool make)
{
    struct input input = {.source = {.base.size = bytes, .more = &source_operations}, .cached = cached};
    struct kend_location *locations[] = {&input.location};
    struct ken_error error = {0};
    input.location.sources = cached ? &input.source : NULL;
    const struct kend_room_need need = {jobs[job].id, "", locations, 1, outputs};
    return make ? kend_room_make(&parts, &need, &error) : kend_room_find(&parts, &need, &error);
}

/* ---- what others have been promised */

START_TEST(what_others_still_fetch_is_not_given_away)
{
    set_up(1000);
    struct kend_cached *first = open_entry("a"), *second = open_entry("b");
    ck_assert_int_eq(reserve(first, 600), 0);
    ck_assert_int_eq(find(1, NULL, 0, 400, false), 0);
    kend_room_leave(&parts, jobs[1].id);
    ck_assert_int_eq(find(1, NULL, 0, 401, false), KEN_EBUSY);
    ck_assert_int_eq(find(1, second, 300, 101, false), KEN_EBUSY);
    ck_assert_int_eq(find(1, second, 1000, 1, false), KEN_ENO_SPACE); /* alone, too */
    ck_assert_int_eq(find(1, first, 600, 400, false), 0);             /* the same file comes once */
    kend_room_leave(&parts, jobs[1].id);
    kend_cached_wrote(first, 600); /* it has come */
    disk_free = 400;
    ck_assert_int_eq(find(1, NULL, 0, 400, false), 0);
    kend_room_leave(&parts, jobs[1].id);
    ck_assert_int_eq(find(1, NULL, 0, 401, false), KEN_EBUSY); /* it may go when the other job has ended */
    kend_cached_close(&first);
    kend_cached_close(&second);
    tear_down();
}
END_TEST

START_TEST(what_others_still_write_is_not_fetched_over)
{
    set_up(1000);
    struct kend_cached *cached = open_entry("a");
    ck_assert_int_eq(find(1, NULL, 0, 600, false), 0);
    ck_assert_int_eq(reserve(cached, 401), KEN_EBUSY);
    ck_assert_int_eq(reserve(cached, 400), 0);
    jobs[1].bytes = 600; /* it has been written */
    disk_free = 400;
    ck_assert_int_eq(reserve(cached, 400), 0);
    kend_room_leave(&parts, jobs[1].id);
    disk_free = 1000;
    ck_assert_int_eq(reserve(cached, 1000), 0);
    kend_cached_close(&cached);
    tear_down();
}
END_TEST

/* Each looked when the other had not been granted anything; the last look, when both have all, sees both. */
START_TEST(who_takes_room_at_the_same_time_does_not_get_it_twice)
{
    set_up(1000);
    struct kend_cached *first = open_entry("a"), *second = open_entry("b");
    ck_assert_int_eq(find(1, first, 300, 300, false), 0);
    ck_assert_int_eq(reserve(first, 300), 0);
    ck_assert_int_eq(find(2, second, 100, 300, false), 0);
    ck_assert_int_eq(reserve(second, 100), 0);
    ck_assert_int_eq(find(1, first, 300, 300, true), 0);
    ck_assert_int_eq(find(2, second, 100, 300, true), 0);
    disk_free = 999; /* somebody else took a byte */
    ck_assert_int_eq(find(2, second, 100, 300, true), KEN_EBUSY);
    kend_cached_close(&first);
    kend_cached_close(&second);
    tear_down();
}
END_TEST

/* ---- the line of those that wait for room in the cache */

/* Gives up the second time it is asked. */
static bool soon(void *opaque)
{
    return ++*(int *)opaque > 1;
}

START_TEST(who_needs_nothing_of_the_cache_waits_in_line_as_well)
{
    set_up(1000);
    int asked = 0;
    struct kend_turn large = {0}, small = {0};
    struct kend_location of_files = {0}, *locations[] = {&of_files};
    ck_assert_int_eq(kend_fetcher_reserve(parts.fetcher, &small, locations, 1, NULL), 0);
    ck_assert_int_eq(kend_turn_wait(parts.fetcher, &large, soon, &asked, NULL), KEN_ECANCELLED);
    ck_assert_int_eq(kend_fetcher_reserve(parts.fetcher, &small, locations, 1, NULL), KEN_EBUSY);
    ck_assert_int_eq(kend_fetcher_reserve(parts.fetcher, NULL, locations, 1, NULL), 0); /* only looks */
    ck_assert_int_eq(kend_fetcher_reserve(parts.fetcher, &large, locations, 1, NULL), 0);
    ck_assert_int_eq(kend_fetcher_reserve(parts.fetcher, &small, locations, 1, NULL), 0);
    tear_down();
}
END_TEST

/* ---- artifacts that give way */

/* So many jobs that succeeded long ago, the first one first. */
static void succeed(int count)
{
    conf.artifacts_max_bytes = (uint64_t)count * ARTIFACT_BYTES;
    conf.artifacts_evict_hours = 1;
    for (int i = 0; i < count; i++) {
        ck_assert_int_eq(store_suite_create(place.store, i, 10 + i), KEND_STORE_OK);
        jobs[i].bytes = ARTIFACT_BYTES;
    }
    run_sql(&place,
            "UPDATE job SET status = 'succeeded', finished_at = created_at;"
            "INSERT INTO artifact SELECT id, 0, 'a', '', 100, zeroblob(32) FROM job",
            NULL);
}

START_TEST(what_cannot_be_removed_frees_nothing_and_is_tried_again)
{
    uint64_t bytes;
    set_up(1 << 20);
    succeed(3);
    stuck = true;
    ck_assert_int_eq(find(10, NULL, 0, ARTIFACT_BYTES, true), KEN_ENO_SPACE);
    ck_assert_uint_eq(removals, 1); /* no other one was given up */
    ck_assert_int_eq(place.store->ops->evictable(place.store, 1 << 20, &bytes), KEND_STORE_OK);
    ck_assert_uint_eq(bytes, 2 * ARTIFACT_BYTES);
    ck_assert_uint_eq(atomic_load(&room.evicted_bytes), 0);
    kend_room_clean(&parts);
    ck_assert_uint_eq(removals, 2);
    stuck = false;
    kend_room_clean(&parts);
    ck_assert_uint_eq(removals, 3);
    kend_room_clean(&parts);
    ck_assert_uint_eq(removals, 3);
    ck_assert_int_eq(find(10, NULL, 0, 3 * ARTIFACT_BYTES, true), 0);
    tear_down();
}
END_TEST

/* A folder in which nothing can be removed costs no more rows than can be kept in mind. */
START_TEST(evictions_end_where_too_many_failed)
{
    set_up(1 << 20);
    succeed(KEND_LEFTOVERS + 4);
    stuck = true;
    for (int i = 0; i < KEND_LEFTOVERS + 4; i++) ck_assert_int_eq(find(23, NULL, 0, ARTIFACT_BYTES, true), KEN_ENO_SPACE);
    ck_assert_uint_eq(removals, KEND_LEFTOVERS);
    uint64_t bytes;
    ck_assert_int_eq(place.store->ops->evictable(place.store, 1 << 20, &bytes), KEND_STORE_OK);
    ck_assert_uint_eq(bytes, 4 * ARTIFACT_BYTES);
    ck_assert(!kend_room_keep(&parts, 10));
    tear_down();
}
END_TEST

UNIT_MAIN("room", what_others_still_fetch_is_not_given_away, what_others_still_write_is_not_fetched_over,
          who_takes_room_at_the_same_time_does_not_get_it_twice, who_needs_nothing_of_the_cache_waits_in_line_as_well,
          what_cannot_be_removed_frees_nothing_and_is_tried_again, evictions_end_where_too_many_failed)
