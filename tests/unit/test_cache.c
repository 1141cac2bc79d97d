/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/cache.h"
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static char folder[32];

static void set_up(void)
{
    strcpy(folder, "/tmp/kend-cache-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void tear_down(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static struct kend_cache *create(uint64_t max_bytes, uint64_t reserve)
{
    struct kend_cache *cache;
    struct ken_error error = {0};
    ck_assert_msg(kend_cache_create(&cache, folder, max_bytes, reserve, &error) == 0, "%s", error.message);
    return cache;
}

static const char *key_of(const char *url)
{
    static char key[KEND_CACHE_KEY];
    ck_assert_int_eq(kend_cache_key(key, "owner", url, NULL), 0);
    return key;
}

static struct kend_cached *open_entry(struct kend_cache *cache, const char *url, struct kend_meta *meta)
{
    struct kend_cached *cached;
    struct ken_error error = {0};
    ck_assert_msg(kend_cache_open(cache, key_of(url), &cached, meta, &error) == 0, "%s", error.message);
    return cached;
}

static int reserve(struct kend_cached *cached, uint64_t bytes, struct ken_error *error)
{
    uint64_t granted;
    return kend_cached_reserve(cached, bytes, bytes, &granted, error);
}

/* A complete entry of so many bytes. */
static void put(struct kend_cache *cache, const char *url, uint64_t bytes)
{
    struct kend_meta meta;
    struct kend_cached *cached = open_entry(cache, url, &meta);
    ck_assert(!meta.has_size);
    ck_assert_int_eq(reserve(cached, bytes, NULL), 0);
    ck_assert_int_eq(ftruncate(kend_cached_fd(cached), (off_t)bytes), 0);
    kend_cached_wrote(cached, bytes);
    meta = (struct kend_meta){.has_size = true, .complete = true, .size = bytes};
    strcpy(meta.validators.etag, "\"tag\"");
    ck_assert_int_eq(kend_ranges_add(&meta.ranges, 0, bytes), 0);
    ck_assert_int_eq(kend_cached_save(cached, &meta, "http://x/", NULL), 0);
    kend_meta_clear(&meta);
    kend_cached_close(&cached);
}

static bool has(struct kend_cache *cache, const char *url)
{
    struct kend_meta meta;
    struct kend_cached *cached = open_entry(cache, url, &meta);
    bool known = meta.has_size;
    kend_meta_clear(&meta);
    kend_cached_close(&cached);
    return known;
}

static bool exists(const char *url, const char *file)
{
    char path[200];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s/%s", folder, key_of(url), file);
    return stat(path, &status) == 0;
}

START_TEST(what_was_saved_is_there_again)
{
    struct kend_meta meta;
    struct kend_cache *cache = create(0, 0);
    put(cache, "a", 1000);
    ck_assert_uint_eq(kend_cache_bytes(cache), 1000);
    kend_cache_destroy(&cache);
    cache = create(0, 0);
    ck_assert_uint_eq(kend_cache_bytes(cache), 1000);
    struct kend_cached *cached = open_entry(cache, "a", &meta);
    ck_assert(meta.has_size && meta.complete && !meta.has_sha256);
    ck_assert_uint_eq(meta.size, 1000);
    ck_assert_str_eq(meta.validators.etag, "\"tag\"");
    ck_assert(kend_ranges_hold(&meta.ranges, 0, 1000));
    kend_meta_clear(&meta);
    kend_cached_close(&cached);
    ck_assert(!has(cache, "b"));
    kend_cache_destroy(&cache);
}
END_TEST

START_TEST(owner_and_url_make_the_key)
{
    char a[KEND_CACHE_KEY], b[KEND_CACHE_KEY];
    ck_assert_int_eq(kend_cache_key(a, "ab", "c", NULL), 0);
    ck_assert_int_eq(kend_cache_key(b, "a", "bc", NULL), 0);
    ck_assert_str_ne(a, b);
    ck_assert_int_eq(kend_cache_key(b, "ab", "c", NULL), 0);
    ck_assert_str_eq(a, b);
}
END_TEST

START_TEST(what_was_not_saved_is_gone)
{
    struct kend_meta meta;
    struct kend_cache *cache = create(0, 0);
    struct kend_cached *cached = open_entry(cache, "a", &meta);
    ck_assert_int_eq(pwrite(kend_cached_fd(cached), "x", 1, 0), 1);
    kend_cached_close(&cached);
    ck_assert(!exists("a", ""));
    ck_assert_uint_eq(kend_cache_bytes(cache), 0);
    kend_cache_destroy(&cache);
}
END_TEST

START_TEST(broken_leftovers_are_removed_and_block_nothing)
{
    static const char *const metas[] = {
        "",
        "{",
        "{}",
        "{\"version\":2,\"size\":1,\"complete\":false,\"etag\":\"\",\"last_modified\":\"\",\"ranges\":[]}",
        "{\"version\":1,\"size\":-1,\"complete\":false,\"etag\":\"\",\"last_modified\":\"\",\"ranges\":[]}",
        "{\"version\":1,\"size\":9,\"complete\":true,\"etag\":\"\",\"last_modified\":\"\",\"ranges\":[[0,9]],\"mtime_ns\":1}",
        "{\"version\":1,\"size\":9,\"complete\":false,\"etag\":\"\",\"last_modified\":\"\",\"ranges\":[[0,10]]}",
        "{\"version\":1,\"size\":9000,\"complete\":false,\"etag\":\"\",\"last_modified\":\"\",\"ranges\":[[0,9000]]}",
        "{\"version\":1,\"size\":9,\"complete\":false,\"etag\":1,\"last_modified\":\"\",\"ranges\":[]}",
        "{\"version\":1,\"size\":9,\"complete\":false,\"etag\":\"\",\"last_modified\":\"\",\"sha256\":\"x\",\"ranges\":[]}",
    };
    for (size_t i = 0; i < sizeof metas / sizeof *metas; i++) {
        char path[200];
        struct kend_cache *cache = create(0, 0);
        put(cache, "a", 9);
        snprintf(path, sizeof path, "%s/%s/meta", folder, key_of("a"));
        int fd = open(path, O_WRONLY | O_TRUNC);
        ck_assert_int_eq(write(fd, metas[i], strlen(metas[i])), (ssize_t)strlen(metas[i]));
        close(fd);
        if (i % 2) {
            ck_assert_msg(!has(cache, "a"), "%s", metas[i]);
        } else {
            kend_cache_destroy(&cache);
            cache = create(0, 0);
            ck_assert_msg(!exists("a", ""), "%s", metas[i]);
        }
        ck_assert_uint_eq(kend_cache_bytes(cache), 0);
        put(cache, "a", 9);
        ck_assert(has(cache, "a"));
        kend_cache_destroy(&cache);
        ck_assert_int_eq(unlink(path), 0); /* data without meta */
        cache = create(0, 0);
        ck_assert(!exists("a", ""));
        kend_cache_destroy(&cache);
    }
}
END_TEST

START_TEST(data_that_was_changed_does_not_count)
{
    char path[200];
    struct kend_cache *cache = create(0, 0);
    put(cache, "a", 100);
    snprintf(path, sizeof path, "%s/%s/data", folder, key_of("a"));
    int fd = open(path, O_WRONLY);
    ck_assert_int_eq(write(fd, "x", 1), 1);
    close(fd);
    ck_assert(!has(cache, "a"));
    kend_cache_destroy(&cache);
}
END_TEST

START_TEST(least_recently_used_go_first_and_pinned_stay)
{
    struct kend_meta meta;
    struct ken_error error = {0};
    struct kend_cache *cache = create(1000, 0);
    put(cache, "a", 300);
    put(cache, "b", 300);
    put(cache, "c", 300);
    ck_assert(has(cache, "a")); /* used again: now b is the oldest */
    put(cache, "d", 300);
    ck_assert(!exists("b", "meta"));
    ck_assert(exists("a", "meta") && exists("c", "meta") && exists("d", "meta"));
    struct kend_cached *pinned = open_entry(cache, "a", &meta);
    kend_meta_clear(&meta);
    struct kend_cached *next = open_entry(cache, "e", &meta);
    ck_assert_int_eq(reserve(next, 800, &error), KEN_EBUSY);
    ck_assert_ptr_nonnull(strstr(error.message, "cache.max_bytes is 1000"));
    ck_assert(exists("a", "meta"));
    ck_assert_int_eq(reserve(next, 700, &error), 0);
    kend_cached_close(&pinned);
    ck_assert_int_eq(reserve(next, 800, &error), 0);
    ck_assert(!exists("a", ""));
    ck_assert_int_eq(reserve(next, 1001, &error), KEN_ETOO_LARGE);
    ck_assert_ptr_nonnull(strstr(error.message, "cache.max_bytes (1000)"));
    kend_cached_close(&next);
    kend_cache_destroy(&cache);
}
END_TEST

START_TEST(reservations_of_others_count)
{
    struct kend_meta meta;
    uint64_t granted;
    struct kend_cache *cache = create(1000, 0);
    struct kend_cached *a = open_entry(cache, "a", &meta);
    struct kend_cached *b = open_entry(cache, "b", &meta);
    ck_assert_int_eq(reserve(a, 600, NULL), 0);
    ck_assert_int_eq(reserve(b, 401, NULL), KEN_EBUSY);
    ck_assert_int_eq(kend_cached_reserve(b, 100, 900, &granted, NULL), 0);
    ck_assert_uint_eq(granted, 100);
    ck_assert_int_eq(kend_cached_reserve(b, 100, 400, &granted, NULL), 0);
    ck_assert_uint_eq(granted, 400);
    kend_cached_close(&a);
    kend_cached_close(&b);
    kend_cache_destroy(&cache);
}
END_TEST

START_TEST(room_is_granted_to_all_or_none)
{
    struct kend_meta meta;
    uint64_t bytes;
    struct ken_error error = {0};
    struct kend_cache *cache = create(1000, 0);
    put(cache, "idle", 100);
    struct kend_cached *a = open_entry(cache, "a", &meta);
    struct kend_cached *b = open_entry(cache, "b", &meta);
    struct kend_cached *c = open_entry(cache, "c", &meta);
    const struct kend_claim first[] = {{a, 500}, {b, 400}, {a, 500}}, second[] = {{c, 300}, {b, 400}}, never[] = {{a, 601}, {b, 400}};
    ck_assert_int_eq(kend_cache_check(cache, first, 3, &bytes, NULL), 0);
    ck_assert_uint_eq(bytes, 900);
    ck_assert_int_eq(kend_cache_reserve(cache, first, 3, NULL), 0);
    ck_assert(exists("idle", "meta"));
    ck_assert(kend_cache_has_room(cache, 100));
    ck_assert(!kend_cache_has_room(cache, 101));
    ck_assert_int_eq(kend_cache_reserve(cache, second, 2, &error), KEN_EBUSY);
    ck_assert_ptr_nonnull(strstr(error.message, "700 bytes do not fit"));
    ck_assert_msg(exists("idle", "meta"), "evicted for nothing");
    ck_assert_int_eq(reserve(c, 100, NULL), 0); /* nothing was left reserved for it */
    ck_assert_int_eq(kend_cache_check(cache, never, 2, &bytes, &error), KEN_ETOO_LARGE);
    ck_assert_int_eq(kend_cache_reserve(cache, never, 2, &error), KEN_ETOO_LARGE);
    ck_assert_ptr_nonnull(strstr(error.message, "1001 bytes are more than cache.max_bytes (1000)"));
    kend_cached_close(&a);
    ck_assert_int_eq(kend_cache_reserve(cache, second, 2, NULL), 0);
    kend_cached_close(&b);
    kend_cached_close(&c);
    kend_cache_destroy(&cache);
}
END_TEST

START_TEST(the_disk_keeps_its_reserve)
{
    struct kend_meta meta;
    struct statvfs status;
    struct ken_error error = {0};
    ck_assert_int_eq(statvfs(folder, &status), 0);
    uint64_t available = (uint64_t)status.f_bavail * status.f_frsize;
    struct kend_cache *cache = create(0, available / 2);
    struct kend_cached *cached = open_entry(cache, "a", &meta);
    ck_assert_int_eq(reserve(cached, available, &error), KEN_ENO_SPACE);
    ck_assert_ptr_nonnull(strstr(error.message, "disk.reserve_bytes"));
    ck_assert_int_eq(reserve(cached, 1 << 20, NULL), 0);
    kend_cached_close(&cached);
    kend_cache_destroy(&cache);
}
END_TEST

START_TEST(a_detached_entry_is_read_on_and_its_key_is_free)
{
    struct kend_meta meta;
    char byte = 0;
    struct kend_cache *cache = create(0, 0);
    put(cache, "a", 10);
    struct kend_cached *old = open_entry(cache, "a", &meta);
    kend_meta_clear(&meta);
    ck_assert_int_eq(pwrite(kend_cached_fd(old), "o", 1, 0), 1);
    kend_cached_detach(old);
    put(cache, "a", 20);
    ck_assert_int_eq(pread(kend_cached_fd(old), &byte, 1, 0), 1);
    ck_assert_int_eq(byte, 'o');
    kend_cached_close(&old);
    ck_assert(has(cache, "a"));
    ck_assert_uint_eq(kend_cache_bytes(cache), 20);
    kend_cache_destroy(&cache);
    cache = create(0, 0);
    ck_assert_uint_eq(kend_cache_bytes(cache), 20);
    kend_cache_destroy(&cache);
}
END_TEST

START_TEST(an_entry_that_cannot_be_moved_shares_its_folder_with_nobody)
{
    struct kend_meta meta;
    struct kend_cached *other;
    struct ken_error error = {0};
    char path[120];
    struct kend_cache *cache = create(0, 0);
    put(cache, "a", 10);
    struct kend_cached *old = open_entry(cache, "a", &meta);
    kend_meta_clear(&meta);
    for (int i = 0; i < 9; i++) { /* where it would be moved to is something else */
        snprintf(path, sizeof path, "%s/.gone-%ld-%d", folder, (long)getpid(), i);
        close(open(path, O_CREAT | O_WRONLY, 0600));
    }
    kend_cached_detach(old);
    ck_assert(exists("a", "data") && !exists("a", "meta"));
    ck_assert_int_eq(kend_cache_open(cache, key_of("a"), &other, &meta, &error), KEN_EIO);
    for (int i = 0; i < 9; i++) {
        snprintf(path, sizeof path, "%s/.gone-%ld-%d", folder, (long)getpid(), i);
        unlink(path);
    }
    kend_cached_close(&old);
    ck_assert(!exists("a", "data"));
    ck_assert(!has(cache, "a"));
    kend_cache_destroy(&cache);
}
END_TEST

/* A disk where deleting frees nothing for now. */
static uint64_t still_free;
static void (*while_asked)(void); /* what else happens meanwhile */

int fstatvfs(int fd, struct statvfs *status)
{
    (void)fd;
    if (while_asked) while_asked();
    if (!still_free) return statvfs(folder, status);
    *status = (struct statvfs){.f_bavail = still_free, .f_frsize = 1};
    return 0;
}

START_TEST(what_was_given_up_counts_before_it_is_free)
{
    struct kend_meta meta;
    still_free = 10000;
    struct kend_cache *cache = create(0, 0);
    for (const char *const *url = (const char *const[]){"a", "b", "c", NULL}; *url; url++) put(cache, *url, 1000);
    struct kend_cached *cached = open_entry(cache, "d", &meta);
    ck_assert_int_eq(reserve(cached, 10500, NULL), 0);
    ck_assert(!exists("a", "data") && exists("b", "data") && exists("c", "data"));
    kend_cached_close(&cached);
    kend_cache_make_room(cache, 11000);
    ck_assert(!exists("b", "data") && exists("c", "data"));
    kend_cache_destroy(&cache);
    still_free = 0;
}
END_TEST

/* What is deleted is free at once, but somebody else writes 3000 bytes when the first is. */
static void write_beside(void)
{
    still_free = exists("a", "data") ? 10000 : 8000;
    if (!exists("b", "data")) still_free += 1000;
    if (!exists("c", "data")) still_free += 1000;
}

START_TEST(what_others_write_meanwhile_is_not_given_up)
{
    struct kend_meta meta;
    still_free = 10000;
    struct kend_cache *cache = create(0, 0);
    for (const char *const *url = (const char *const[]){"a", "b", "c", NULL}; *url; url++) put(cache, *url, 1000);
    struct kend_cached *cached = open_entry(cache, "d", &meta);
    while_asked = write_beside;
    ck_assert_int_eq(reserve(cached, 10900, NULL), 0);
    ck_assert(!exists("a", "data") && !exists("b", "data") && !exists("c", "data"));
    kend_cached_close(&cached);
    kend_cache_destroy(&cache);
    while_asked = NULL;
    still_free = 0;
}
END_TEST

static struct kend_cache *asked;
static pthread_t opener;

static void *open_the_oldest(void *opaque)
{
    struct kend_meta meta;
    struct kend_cached *cached = open_entry(asked, "a", &meta);
    kend_meta_clear(&meta);
    kend_cached_close(&cached);
    return opaque;
}

/* The disk is slow to tell what is free: who opens an entry meanwhile does not wait for that. */
static void open_meanwhile(void)
{
    while_asked = NULL;
    ck_assert_int_eq(pthread_create(&opener, NULL, open_the_oldest, NULL), 0);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    ck_assert_int_eq(pthread_timedjoin_np(opener, NULL, &until), 0);
}

START_TEST(a_slow_disk_keeps_nobody_from_opening)
{
    struct kend_meta meta;
    asked = create(0, 0);
    put(asked, "a", 1000);
    struct kend_cached *cached = open_entry(asked, "b", &meta);
    while_asked = open_meanwhile;
    ck_assert_int_eq(reserve(cached, 1000, NULL), 0);
    while_asked = open_meanwhile;
    kend_cache_make_room(asked, 1);
    ck_assert(has(asked, "a"));
    kend_cached_close(&cached);
    kend_cache_destroy(&asked);
}
END_TEST

START_TEST(folders_that_cannot_be_used_are_named)
{
    struct kend_cache *cache = create(0, 0), *second;
    struct ken_error error = {0};
    char path[200];
    ck_assert_int_eq(kend_cache_create(&second, folder, 0, 0, &error), KEN_EINVALID);
    ck_assert_ptr_nonnull(strstr(error.message, "in use by another process"));
    ck_assert_ptr_null(second);
    kend_cache_destroy(&cache);
    snprintf(path, sizeof path, "%s/lock/x", folder);
    ck_assert_int_eq(kend_cache_create(&cache, path, 0, 0, &error), KEN_EINVALID);
    ck_assert_ptr_nonnull(strstr(error.message, "cache.dir"));
    ck_assert_int_eq(kend_cache_create(&cache, "", 0, 0, &error), KEN_EINVALID);
    snprintf(path, sizeof path, "%s/x/y/z", folder);
    ck_assert_int_eq(kend_cache_create(&cache, path, 0, 0, &error), 0);
    kend_cache_destroy(&cache);
}
END_TEST

START_TEST(it_gives_up_what_nobody_uses_when_the_disk_runs_full)
{
    struct kend_cache_room room;
    struct kend_meta meta;
    struct stat status;
    struct kend_cache *cache = create(0, 0);
    put(cache, "old", 1000);
    put(cache, "used", 500);
    put(cache, "new", 2000);
    struct kend_cached *used = open_entry(cache, "used", &meta);
    kend_meta_clear(&meta);
    kend_cache_room(cache, &room);
    ck_assert_int_eq(stat(folder, &status), 0);
    ck_assert_uint_eq(room.device, status.st_dev);
    ck_assert_uint_eq(room.evictable, 3000);
    ck_assert_uint_gt(room.free, 0);
    kend_cache_make_room(cache, 1);
    ck_assert_uint_eq(kend_cache_bytes(cache), 3500);
    kend_cache_make_room(cache, UINT64_MAX);
    ck_assert(!exists("old", "data") && !exists("new", "data") && exists("used", "data"));
    kend_cache_room(cache, &room);
    ck_assert_uint_eq(room.evictable, 0);
    kend_cached_close(&used);
    kend_cache_destroy(&cache);
    cache = create(0, (uint64_t)1 << 62); /* a reserve that is never there */
    kend_cache_make_room(cache, 0);
    ck_assert_uint_eq(kend_cache_bytes(cache), 0);
    kend_cache_destroy(&cache);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {what_was_saved_is_there_again,
                                  owner_and_url_make_the_key,
                                  what_was_not_saved_is_gone,
                                  broken_leftovers_are_removed_and_block_nothing,
                                  data_that_was_changed_does_not_count,
                                  least_recently_used_go_first_and_pinned_stay,
                                  reservations_of_others_count,
                                  room_is_granted_to_all_or_none,
                                  the_disk_keeps_its_reserve,
                                  a_detached_entry_is_read_on_and_its_key_is_free,
                                  an_entry_that_cannot_be_moved_shares_its_folder_with_nobody,
                                  what_was_given_up_counts_before_it_is_free,
                                  what_others_write_meanwhile_is_not_given_up,
                                  a_slow_disk_keeps_nobody_from_opening,
                                  folders_that_cannot_be_used_are_named,
                                  it_gives_up_what_nobody_uses_when_the_disk_runs_full};
    Suite *suite = suite_create("cache");
    TCase *cases = tcase_create("cache");
    tcase_set_timeout(cases, UNIT_TIMEOUT_SECONDS);
    tcase_add_checked_fixture(cases, set_up, tear_down);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) tcase_add_test(cases, tests[i]);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
