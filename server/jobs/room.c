/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/room.h"

#include "bytes.h"
#include "clock.h"
#include "conf.h"
#include "log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HOUR_MS INT64_C(3600000)

static uint64_t less(uint64_t from, uint64_t take)
{
    return take < from ? from - take : 0;
}

/* ---- artifacts that give way */

/* Jobs that ended before this may lose their artifacts; 0: none. */
static int64_t evict_before(const struct kend_parts *parts)
{
    const int64_t hours = (int64_t)parts->conf->artifacts_evict_hours;
    return hours ? proto_now_ms() - hours * HOUR_MS : 0;
}

static int store_failed(enum kend_store_result result, struct ken_error *error)
{
    return ken_fail(error, result == KEND_STORE_NO_SPACE ? KEN_ENO_SPACE : KEN_EIO, "giving up artifacts: %s",
                    kend_store_result_text(result));
}

/* Files that could not be removed are tried again by kend_room_clean, and after the next start. */
static void remember(struct kend_room *room, const char *id)
{
    snprintf(room->leftover[room->leftover_count++], PROTO_ID_SIZE, "%s", id);
}

void kend_room_clean(const struct kend_parts *parts)
{
    struct kend_room *room = parts->room;
    size_t left = 0;
    pthread_mutex_lock(&room->looking);
    for (size_t i = 0; i < room->leftover_count; i++) {
        if (parts->artifacts->ops->remove(parts->artifacts, room->leftover[i], NULL) == 0) continue;
        memmove(room->leftover[left++], room->leftover[i], PROTO_ID_SIZE);
    }
    room->leftover_count = left;
    pthread_mutex_unlock(&room->looking);
}

/*
 * Gives up the artifacts of one job, the row first: files of a job that has none are swept at the next start, a row without files would
 * promise what is not there. *bytes of disk are free by it: 0 where the files could not be removed, which is no fault of
 * who needs room. KEN_ENOT_FOUND: none is old enough, this one's files could not be removed, or those of too many. owner: whose go first;
 * NULL: nobody's.
 */
static int evict_one(const struct kend_parts *parts, const char *owner, int64_t before, uint64_t *bytes, struct ken_error *error)
{
    struct kend_job *job;
    *bytes = 0;
    if (parts->room->leftover_count == KEND_LEFTOVERS) return KEN_ENOT_FOUND;
    const enum kend_store_result result = parts->store->ops->evict(parts->store, owner, before, proto_now_ms(), &job);
    if (result == KEND_STORE_NONE) return KEN_ENOT_FOUND;
    if (result != KEND_STORE_OK) return store_failed(result, error);
    if (parts->changed) parts->changed(parts->opaque, job->id, job->owner);
    struct ken_error reason = {0};
    int code = 0;
    (void)parts->artifacts->ops->used_bytes(parts->artifacts, job->id, bytes, NULL);
    if (parts->artifacts->ops->remove(parts->artifacts, job->id, &reason)) {
        *bytes = 0;
        code = KEN_ENOT_FOUND; /* where nothing can be removed, the next one would be given up for nothing */
        remember(parts->room, job->id);
        kend_log(KEND_LOG_WARN, "evicted artifacts could not be removed", KEND_S("job", job->id), KEND_S("error", reason.message));
    } else {
        atomic_fetch_add(&parts->room->evicted_bytes, *bytes);
        kend_log(KEND_LOG_INFO, "artifacts evicted", KEND_S("job", job->id), KEND_I("bytes", *bytes));
    }
    kend_job_free(&job);
    return code;
}

static bool fits(uint64_t need, uint64_t taken, uint64_t most)
{
    return taken <= most && need <= most - taken;
}

/*
 * Gives up artifacts until `need` fits, those of `for_owner` first (NULL: only as if); nothing where all that could be given up would not
 * do. *taken follows.
 */
static int make_room(const struct kend_parts *parts, const char *for_owner, uint64_t need, uint64_t *taken, struct ken_error *error)
{
    const uint64_t most = parts->conf->artifacts_max_bytes;
    const int64_t before = evict_before(parts);
    uint64_t evictable = 0, bytes;
    int code = 0;
    if (!before || fits(need, *taken, most)) return 0;
    const enum kend_store_result result = parts->store->ops->evictable(parts->store, before, &evictable);
    if (result != KEND_STORE_OK) return store_failed(result, error);
    if (!fits(need, less(*taken, evictable), most)) return 0;
    if (!for_owner) *taken = less(*taken, evictable);
    while (!code && !fits(need, *taken, most)) {
        code = evict_one(parts, for_owner, before, &bytes, error);
        if (!code) *taken = less(*taken, bytes);
    }
    return code == KEN_ENOT_FOUND ? 0 : code;
}

/* Room below artifacts.max_bytes. */
static int find_artifacts(const struct kend_parts *parts, const char *for_owner, uint64_t need, struct ken_error *error)
{
    const uint64_t most = parts->conf->artifacts_max_bytes;
    uint64_t taken;
    if (!most) return 0;
    int code = parts->artifacts->ops->used_bytes(parts->artifacts, NULL, &taken, error);
    if (!code) code = make_room(parts, for_owner, need, &taken, error);
    if (code || fits(need, taken, most)) return code;
    kend_log(KEND_LOG_INFO, "no room for artifacts", KEND_I("need", need), KEND_I("taken", taken), KEND_I("most", most));
    return ken_fail(
        error, KEN_ENO_SPACE,
        "the job's artifacts need %" PRIu64
        " bytes at most, which artifacts.max_bytes does not leave, and artifacts.evict_hours lets too few of those that are there"
        " make room; deleting jobs does",
        need);
}

/* Gives up the artifacts of one job if those of all are too many; KEN_ENOT_FOUND if not. */
static int keep_one(const struct kend_parts *parts, int64_t before)
{
    struct kend_store_counts counts;
    struct ken_error error = {0};
    uint64_t bytes;
    if (parts->store->ops->counts(parts->store, &counts) != KEND_STORE_OK) return KEN_EIO;
    if (counts.artifact_bytes <= parts->conf->artifacts_max_bytes) return KEN_ENOT_FOUND;
    pthread_mutex_lock(&parts->room->looking);
    const int code = evict_one(parts, NULL, before, &bytes, &error);
    pthread_mutex_unlock(&parts->room->looking);
    return code;
}

bool kend_room_keep(const struct kend_parts *parts, unsigned most)
{
    const int64_t before = evict_before(parts);
    if (!parts->conf->artifacts_max_bytes || !before) return false;
    while (most && keep_one(parts, before) == 0) most--;
    return !most;
}

/* ---- the disk */

static int check_disk(const char *what, uint64_t need, uint64_t reserve, uint64_t there, struct ken_error *error)
{
    if (there >= reserve && need <= there - reserve) return 0;
    kend_log(KEND_LOG_INFO, "no room on the disk", KEND_I("need", need), KEND_I("reserve", reserve), KEND_I("free", there));
    return ken_fail(error, KEN_ENO_SPACE, "%s needs %" PRIu64 " bytes of disk, which are not free beside the reserve (disk.reserve_bytes)",
                    what, need);
}

/* What is to come onto the disks. */
struct demand {
    uint64_t fetch, outputs;
    uint64_t spare; /* of what others hold, to be counted as free */
};

static struct demand sum_of(const struct demand *a, const struct demand *b)
{
    return (struct demand){ken_bytes_add(a->fetch, b->fetch), ken_bytes_add(a->outputs, b->outputs), 0};
}

/*
 * Artifacts and cache usually share a file system: then their needs add up. What the cache holds for nobody counts as free; fetching makes
 * room by itself, for outputs it is made here.
 */
static int find_disk(const struct kend_parts *parts, bool make, const struct demand *demand, struct ken_error *error)
{
    const uint64_t reserve = parts->conf->disk_reserve_bytes;
    uint64_t free_bytes, device;
    struct kend_cache_room cache;
    int code = parts->artifacts->ops->free_bytes(parts->artifacts, &free_bytes, &device, error);
    if (code) return code;
    kend_fetcher_room(parts->fetcher, &cache);
    const uint64_t for_inputs = ken_bytes_add(ken_bytes_add(cache.free, cache.evictable), demand->spare);
    const uint64_t both = ken_bytes_add(demand->fetch, demand->outputs);
    if (cache.device != device) {
        code = check_disk("fetching", demand->fetch, reserve, for_inputs, error);
        return code ? code : check_disk("the work", demand->outputs, reserve, free_bytes, error);
    }
    code = check_disk("the job", both, reserve, for_inputs, error);
    if (!code && make) kend_fetcher_make_room(parts->fetcher, both);
    return code;
}

/* ---- promises */

static uint64_t outputs_to_come(const struct kend_parts *parts, const char *id, uint64_t outputs)
{
    uint64_t there = 0;
    (void)parts->artifacts->ops->used_bytes(parts->artifacts, id, &there, NULL); /* unknown: all is to come */
    return less(outputs, there);
}

/* What jobs have been promised and not yet written, but for this one (NULL: for none). */
static uint64_t promised_to_others(const struct kend_parts *parts, const char *id)
{
    struct kend_promise promises[KEND_PROMISES];
    uint64_t bytes = 0;
    pthread_mutex_lock(&parts->room->mutex);
    memcpy(promises, parts->room->promises, sizeof promises);
    pthread_mutex_unlock(&parts->room->mutex);
    for (size_t i = 0; i < KEND_PROMISES; i++)
        if (*promises[i].id && (!id || strcmp(promises[i].id, id) != 0))
            bytes = ken_bytes_add(bytes, outputs_to_come(parts, promises[i].id, promises[i].outputs));
    return bytes;
}

/* What the fetcher has to leave of its file system. */
static uint64_t promised_beside_inputs(void *opaque)
{
    const struct kend_parts *parts = opaque;
    uint64_t free_bytes, device;
    struct kend_cache_room cache;
    kend_fetcher_room(parts->fetcher, &cache);
    if (parts->artifacts->ops->free_bytes(parts->artifacts, &free_bytes, &device, NULL) || device != cache.device) return 0;
    return promised_to_others(parts, NULL);
}

/* The job's promise, else a free one; the mutex is held. */
static struct kend_promise *promise_of(struct kend_room *room, const char *id)
{
    struct kend_promise *unused = NULL;
    for (size_t i = 0; i < KEND_PROMISES; i++) {
        if (strcmp(room->promises[i].id, id) == 0) return &room->promises[i];
        if (!*room->promises[i].id) unused = &room->promises[i];
    }
    KEN_ASSERT(unused);
    return unused;
}

static void promise(struct kend_room *room, const char *id, uint64_t outputs)
{
    pthread_mutex_lock(&room->mutex);
    struct kend_promise *its = promise_of(room, id);
    snprintf(its->id, sizeof its->id, "%s", id);
    its->outputs = outputs;
    pthread_mutex_unlock(&room->mutex);
}

void kend_room_leave(const struct kend_parts *parts, const char *id)
{
    pthread_mutex_lock(&parts->room->mutex);
    promise_of(parts->room, id)->id[0] = '\0';
    pthread_mutex_unlock(&parts->room->mutex);
}

void kend_room_begin(struct kend_parts *parts)
{
    pthread_mutex_init(&parts->room->mutex, NULL);
    pthread_mutex_init(&parts->room->looking, NULL);
    kend_fetcher_share_disk(parts->fetcher, promised_beside_inputs, parts);
}

void kend_room_end(const struct kend_parts *parts)
{
    kend_fetcher_share_disk(parts->fetcher, NULL, NULL);
    pthread_mutex_destroy(&parts->room->looking);
    pthread_mutex_destroy(&parts->room->mutex);
}

/* for_owner: whose artifacts go first for it; NULL: nothing goes, it is only looked whether there would be enough. */
static int find(const struct kend_parts *parts, const char *for_owner, const struct demand *demand, struct ken_error *error)
{
    int code = find_artifacts(parts, for_owner, demand->outputs, error);
    return code ? code : find_disk(parts, for_owner, demand, error);
}

/* With `looking` held. Nothing of others goes before all of it is known to fit. */
static int find_beside_others(const struct kend_parts *parts, const struct kend_room_need *need, const struct kend_coming *coming,
                              bool make, struct ken_error *error)
{
    const struct demand own = {coming->own, outputs_to_come(parts, need->id, need->outputs), coming->held};
    const struct demand others = {coming->others, promised_to_others(parts, need->id), 0};
    const struct demand all = sum_of(&own, &others);
    int code = find(parts, NULL, &all, error);
    if (code == KEN_ENO_SPACE && (others.fetch || others.outputs || own.spare)) {
        code = find(parts, NULL, &own, error); /* tells of the job's own need alone */
        if (!code)
            return ken_fail(error, KEN_EBUSY,
                            "beside what running jobs hold, fetch and may still write there are not %" PRIu64
                            " bytes for inputs and %" PRIu64 " for outputs",
                            own.fetch, own.outputs);
    }
    if (!code && make) code = find(parts, need->owner, &all, error);
    if (!code) promise(parts->room, need->id, need->outputs);
    return code;
}

static int look(const struct kend_parts *parts, const struct kend_room_need *need, bool make, struct ken_error *error)
{
    struct kend_coming coming;
    int code = kend_fetcher_coming(parts->fetcher, need->locations, need->location_count, &coming, error);
    if (code || need->id) return code ? code : find_beside_others(parts, need, &coming, make, error);
    const struct demand own = {coming.own, need->outputs, 0};
    return find(parts, NULL, &own, error);
}

static int look_alone(const struct kend_parts *parts, const struct kend_room_need *need, bool make, struct ken_error *error)
{
    pthread_mutex_lock(&parts->room->looking);
    const int code = look(parts, need, make, error);
    pthread_mutex_unlock(&parts->room->looking);
    return code;
}

int kend_room_find(const struct kend_parts *parts, const struct kend_room_need *need, struct ken_error *error)
{
    return look_alone(parts, need, false, error);
}

int kend_room_make(const struct kend_parts *parts, const struct kend_room_need *need, struct ken_error *error)
{
    return look_alone(parts, need, true, error);
}
