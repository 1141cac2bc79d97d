/* SPDX-License-Identifier: Apache-2.0 */
#include "lanes.h"

#include "condition.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { TICK_MILLISECONDS = 50 };

/* A place for one block on its way; belongs to the executor between submit and retirement. */
struct flight {
    struct ken_task task;
    struct ken_lanes *lanes;
    void *block;
    uint64_t bytes; /* of the budget */
    bool done;      /* run, and not retired yet: to be taken through the lanes */
};

struct lane {
    uint64_t next; /* block */
    bool busy;     /* a worker is in it */
};

struct ken_lanes {
    const struct ken_lanes_ops *ops;
    void *opaque;
    struct ken_executor *executor;
    struct ken_budget *budget; /* or NULL */
    pthread_t runner;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct flight *flights; /* [capacity], block i in flights[i % capacity] */
    size_t capacity;
    uint64_t submitted, retired; /* blocks */
    struct lane lanes[KEN_MAX_LANES];
    struct ken_error error; /* of the lowest block that failed */
    uint64_t failed;        /* that block */
    unsigned failed_in;     /* the lane that it failed in */
    atomic_bool stop;       /* blocks in flight are of no use any more */
};

static void release(struct ken_lanes *lanes, uint64_t bytes)
{
    if (lanes->budget) ken_budget_release(lanes->budget, bytes);
}

/* ---- the workers */

static uint64_t passed_all(const struct ken_lanes *lanes)
{
    uint64_t least = UINT64_MAX;
    for (unsigned l = 0; l < lanes->ops->lanes; l++)
        if (lanes->lanes[l].next < least) least = lanes->lanes[l].next;
    return least;
}

/* Frees the blocks that have been through all lanes; the lock is held, but not while freeing. */
static void free_passed_on_worker(struct ken_lanes *lanes)
{
    while (lanes->retired < passed_all(lanes)) {
        struct flight *flight = &lanes->flights[lanes->retired % lanes->capacity];
        void *block = flight->block;
        uint64_t bytes = flight->bytes;
        flight->done = false;
        lanes->retired++;
        pthread_mutex_unlock(&lanes->lock);
        lanes->ops->destroy(lanes->opaque, block);
        release(lanes, bytes);
        pthread_mutex_lock(&lanes->lock);
        pthread_cond_signal(&lanes->changed);
    }
}

/* From the lowest block that failed on, nothing more is done. What is told is its error, unless it was only stopped because of another. */
static void note_error(struct ken_lanes *lanes, uint64_t block, unsigned lane, const struct ken_error *error)
{
    bool lower = block < lanes->failed || (block == lanes->failed && lane < lanes->failed_in);
    if (lanes->error.code && !lower) return;
    if (!lanes->error.code || error->code != KEN_ECANCELLED) lanes->error = *error;
    lanes->failed = block;
    lanes->failed_in = lane;
    atomic_store(&lanes->stop, true);
}

/* Takes the next block through a lane; the lock is held, but not meanwhile. */
static void take_next_on_worker(struct ken_lanes *lanes, unsigned number)
{
    struct lane *lane = &lanes->lanes[number];
    void *block = lanes->flights[lane->next % lanes->capacity].block;
    struct ken_error error = {0};
    bool failed_before = lanes->error.code && lanes->failed < lane->next;
    pthread_mutex_unlock(&lanes->lock);
    int code = failed_before ? KEN_OK : lanes->ops->take(lanes->opaque, number, block, &error);
    pthread_mutex_lock(&lanes->lock);
    if (code) note_error(lanes, lane->next, number, &error);
    lane->next++;
}

static bool has_next(const struct ken_lanes *lanes, const struct lane *lane)
{
    return lane->next < lanes->submitted && lanes->flights[lane->next % lanes->capacity].done;
}

static void run_on_worker(struct ken_task *task)
{
    struct flight *flight = (struct flight *)task;
    struct ken_lanes *lanes = flight->lanes;
    lanes->ops->run(lanes->opaque, flight->block);
    pthread_mutex_lock(&lanes->lock);
    flight->done = true;
    for (unsigned l = 0; l < lanes->ops->lanes; l++) {
        struct lane *lane = &lanes->lanes[l];
        if (lane->busy) continue;
        lane->busy = true;
        while (has_next(lanes, lane)) {
            take_next_on_worker(lanes, l);
            free_passed_on_worker(lanes);
        }
        lane->busy = false;
    }
    pthread_cond_signal(&lanes->changed);
    pthread_mutex_unlock(&lanes->lock);
}

/* ---- the runner */

static int tend_on_runner(struct ken_lanes *lanes, struct ken_error *error)
{
    KEN_ASSERT(pthread_equal(lanes->runner, pthread_self()));
    return lanes->ops->tend(lanes->opaque, error);
}

static uint64_t in_flight_on_runner(struct ken_lanes *lanes)
{
    pthread_mutex_lock(&lanes->lock);
    uint64_t count = lanes->submitted - lanes->retired;
    pthread_mutex_unlock(&lanes->lock);
    return count;
}

/* Waits until fewer than `limit` blocks are in flight. */
static int wait_for_fewer_on_runner(struct ken_lanes *lanes, uint64_t limit, struct ken_error *error)
{
    while (in_flight_on_runner(lanes) >= limit) {
        pthread_mutex_lock(&lanes->lock);
        if (lanes->submitted - lanes->retired >= limit) ken_condition_wait_ms(&lanes->changed, &lanes->lock, TICK_MILLISECONDS);
        pthread_mutex_unlock(&lanes->lock);
        int code = tend_on_runner(lanes, error);
        if (code) return code;
    }
    return KEN_OK;
}

int ken_lanes_wait(struct ken_lanes *lanes, struct ken_error *error)
{
    return wait_for_fewer_on_runner(lanes, lanes->capacity, error);
}

/* Queues for memory only when no own block could give some back, and tends to the work until then. */
int ken_lanes_acquire(struct ken_lanes *lanes, uint64_t bytes, struct ken_error *error)
{
    int code = tend_on_runner(lanes, error);
    if (code || !lanes->budget) return code;
    KEN_ASSERT(bytes <= ken_budget_total(lanes->budget));
    while (!ken_budget_try(lanes->budget, bytes)) {
        uint64_t in_flight = in_flight_on_runner(lanes);
        if (in_flight) {
            code = wait_for_fewer_on_runner(lanes, in_flight, error);
            if (code) return code;
            continue;
        }
        if (ken_budget_acquire(lanes->budget, bytes, lanes->ops->cancelled, lanes->opaque)) return KEN_OK;
        return ken_fail(error, KEN_ECANCELLED, "cancelled");
    }
    return KEN_OK;
}

void ken_lanes_submit(struct ken_lanes *lanes, void *block, uint64_t bytes)
{
    struct flight *flight = &lanes->flights[lanes->submitted % lanes->capacity];
    pthread_mutex_lock(&lanes->lock); /* a worker that retires looks at this place too */
    *flight = (struct flight){.task.run = run_on_worker, .lanes = lanes, .block = block, .bytes = bytes};
    lanes->submitted++;
    pthread_mutex_unlock(&lanes->lock);
    lanes->executor->ops->submit(lanes->executor, &flight->task);
}

bool ken_lanes_stopped(const struct ken_lanes *lanes)
{
    return atomic_load(&lanes->stop);
}

static bool is_busy(const struct ken_lanes *lanes)
{
    for (unsigned l = 0; l < lanes->ops->lanes; l++)
        if (lanes->lanes[l].busy) return true;
    return false;
}

int ken_lanes_end(struct ken_lanes *lanes, int code, struct ken_error *error)
{
    if (code == KEN_ECANCELLED) atomic_store(&lanes->stop, true);
    pthread_mutex_lock(&lanes->lock);
    while (lanes->retired < lanes->submitted || is_busy(lanes)) {
        ken_condition_wait_ms(&lanes->changed, &lanes->lock, TICK_MILLISECONDS);
        pthread_mutex_unlock(&lanes->lock);
        (void)tend_on_runner(lanes, NULL); /* what ends the work is known */
        pthread_mutex_lock(&lanes->lock);
    }
    pthread_mutex_unlock(&lanes->lock);
    if (!lanes->error.code || code == KEN_ECANCELLED) return code;
    if (error) *error = lanes->error; /* of a block before the one that could not be submitted */
    return lanes->error.code;
}

int ken_lanes_create(struct ken_lanes **lanes, const struct ken_lanes_ops *ops, void *opaque, struct ken_executor *executor,
                     struct ken_budget *budget, struct ken_error *error)
{
    KEN_ASSERT(ops->lanes <= KEN_MAX_LANES);
    struct ken_lanes *created = calloc(1, sizeof *created);
    *lanes = NULL;
    if (!created || !(created->flights = calloc(2 * (size_t)executor->threads, sizeof *created->flights))) {
        free(created);
        return ken_fail(error, KEN_ENOMEM, "out of memory for blocks in flight");
    }
    created->ops = ops;
    created->opaque = opaque;
    created->executor = executor;
    created->budget = budget;
    created->runner = pthread_self();
    created->capacity = 2 * (size_t)executor->threads;
    pthread_mutex_init(&created->lock, NULL);
    ken_condition_init(&created->changed);
    atomic_init(&created->stop, false);
    *lanes = created;
    return KEN_OK;
}

void ken_lanes_destroy(struct ken_lanes **lanes)
{
    if (!*lanes) return;
    pthread_cond_destroy(&(*lanes)->changed);
    pthread_mutex_destroy(&(*lanes)->lock);
    free((*lanes)->flights);
    free(*lanes);
    *lanes = NULL;
}
