/* SPDX-License-Identifier: Apache-2.0 */
#include "http/wait.h"

#include "clock.h"
#include "http/hash.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { WAIT_HASHES = 1024, WAIT_NOBODY = UINT32_MAX, WAIT_EVENTS = 64 };

/*
 * A place is named by its number and by how often it was taken, so that an event of epoll that arrives late is not taken for one of the
 * place's next tenant.
 */
struct wait_place {
    struct kend_wait *wait; /* NULL: free */
    uint32_t tenancy;
    uint32_t heap; /* where in heap[] */
    uint32_t next_free;
};

struct kend_waits {
    pthread_mutex_t lock;
    pthread_t thread;
    struct kend_feed *feed;
    int epoll, bell; /* bell: eventfd, rung when the thread has to look again */
    bool closing, ending;
    struct kend_wait_places most;
    uint32_t taken, first_free;
    uint32_t streams, streams_taken; /* places that streams have; those of `taken` that are theirs */
    struct wait_place *place;        /* [places] */
    uint32_t *heap;                  /* [taken] numbers of places, the earliest deadline first */
    struct kend_wait *waiting[WAIT_HASHES];
    uint64_t changes[WAIT_HASHES];
};

static unsigned wait_hash(const char *job)
{
    return kend_hash(0, job, strlen(job)) % WAIT_HASHES;
}

/* ---- the heap of deadlines */

static int64_t heap_key(const struct kend_waits *waits, uint32_t at)
{
    return waits->place[waits->heap[at]].wait->deadline;
}

static void heap_set(struct kend_waits *waits, uint32_t at, uint32_t number)
{
    waits->heap[at] = number;
    waits->place[number].heap = at;
}

static void heap_swap(struct kend_waits *waits, uint32_t a, uint32_t b)
{
    uint32_t number = waits->heap[a];
    heap_set(waits, a, waits->heap[b]);
    heap_set(waits, b, number);
}

static void heap_up(struct kend_waits *waits, uint32_t at)
{
    while (at && heap_key(waits, at) < heap_key(waits, (at - 1) / 2)) {
        heap_swap(waits, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static void heap_down(struct kend_waits *waits, uint32_t at)
{
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++)
            if (child < waits->taken && heap_key(waits, child) < heap_key(waits, least)) least = child;
        if (least == at) return;
        heap_swap(waits, at, least);
        at = least;
    }
}

/* Takes entry `at` out; waits->taken still counts it. */
static void heap_remove(struct kend_waits *waits, uint32_t at)
{
    uint32_t last = waits->taken - 1;
    heap_swap(waits, at, last);
    waits->taken = last;
    if (at == last) return;
    heap_up(waits, at);
    heap_down(waits, at);
}

/* ---- with the lock held */

static void wait_ring(const struct kend_waits *waits)
{
    uint64_t one = 1;
    ssize_t written = write(waits->bell, &one, sizeof one);
    (void)written; /* a full counter rings as well */
}

static void wait_resume(struct kend_waits *waits, struct kend_wait *wait)
{
    struct wait_place *place = &waits->place[wait->slot];
    KEN_ASSERT(place->wait == wait && wait->suspended);
    heap_remove(waits, place->heap);
    place->wait = NULL;
    place->next_free = waits->first_free;
    waits->first_free = wait->slot;
    waits->streams_taken -= wait->stream;
    *wait->self = wait->next;
    if (wait->next) wait->next->self = wait->self;
    if (wait->socket >= 0) epoll_ctl(waits->epoll, EPOLL_CTL_DEL, wait->socket, NULL);
    wait->suspended = false;
    wait->suspended_ms += kend_monotonic_ms() - wait->since;
    if (wait->connection) MHD_resume_connection(wait->connection);
}

/* Has those look again that wait for this job, or KEND_WAIT_ANY. */
static void wait_changed(struct kend_waits *waits, const char *job)
{
    unsigned hash = wait_hash(job);
    waits->changes[hash]++;
    for (struct kend_wait *wait = waits->waiting[hash], *next; wait; wait = next) {
        next = wait->next;
        if (strcmp(wait->job, job) == 0) wait_resume(waits, wait);
    }
}

static void wait_overdue(struct kend_waits *waits, int64_t now)
{
    while (waits->taken && heap_key(waits, 0) <= now) wait_resume(waits, waits->place[waits->heap[0]].wait);
}

static void wait_gone(struct kend_waits *waits, uint64_t name)
{
    uint32_t number = (uint32_t)(name >> 32);
    if (number >= waits->most.all) return;
    const struct wait_place *place = &waits->place[number];
    if (!place->wait || place->tenancy != (uint32_t)name) return;
    place->wait->gone = true;
    wait_resume(waits, place->wait);
}

/* ---- the thread */

static int wait_timeout(struct kend_waits *waits)
{
    pthread_mutex_lock(&waits->lock);
    int64_t now = kend_monotonic_ms();
    wait_overdue(waits, now);
    int64_t left = waits->taken ? heap_key(waits, 0) - now : -1;
    int timeout = waits->ending ? 0 : left > 60000 ? 60000 : (int)left;
    pthread_mutex_unlock(&waits->lock);
    return timeout;
}

static void *wait_thread(void *opaque)
{
    struct kend_waits *waits = opaque;
    struct epoll_event events[WAIT_EVENTS];
    for (bool ending = false; !ending;) {
        int count = epoll_wait(waits->epoll, events, WAIT_EVENTS, wait_timeout(waits));
        pthread_mutex_lock(&waits->lock);
        for (int i = 0; i < count; i++) {
            uint64_t rung;
            if (events[i].data.u64 != UINT64_MAX)
                wait_gone(waits, events[i].data.u64);
            else if (read(waits->bell, &rung, sizeof rung) < 0)
                KEN_ASSERT(errno == EAGAIN || errno == EINTR);
        }
        ending = waits->ending;
        pthread_mutex_unlock(&waits->lock);
    }
    return NULL;
}

/* ---- for others */

int kend_waits_create(struct kend_waits **out, const struct kend_wait_places *most, struct ken_error *error)
{
    int failure = ENOMEM;
    struct kend_waits *waits = calloc(1, sizeof *waits);
    *out = NULL;
    if (!waits) goto no_waits;
    waits->most = *most;
    waits->place = calloc(most->all, sizeof *waits->place);
    waits->heap = calloc(most->all, sizeof *waits->heap);
    if (!waits->place || !waits->heap || kend_feed_create(&waits->feed, NULL)) goto no_places;
    for (uint32_t i = 0; i < most->all; i++) waits->place[i].next_free = i + 1 < most->all ? i + 1 : WAIT_NOBODY;
    waits->epoll = epoll_create1(EPOLL_CLOEXEC);
    failure = errno;
    if (waits->epoll < 0) goto no_places;
    waits->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    failure = errno;
    if (waits->bell < 0) goto no_bell;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
    failure = epoll_ctl(waits->epoll, EPOLL_CTL_ADD, waits->bell, &event) < 0 ? errno : 0;
    if (failure) goto no_thread;
    pthread_mutex_init(&waits->lock, NULL);
    failure = pthread_create(&waits->thread, NULL, wait_thread, waits);
    if (failure) goto no_lock;
    *out = waits;
    return KEN_OK;

no_lock:
    pthread_mutex_destroy(&waits->lock);
no_thread:
    close(waits->bell);
no_bell:
    close(waits->epoll);
no_places:
    kend_feed_destroy(&waits->feed);
    free(waits->heap);
    free(waits->place);
    free(waits);
no_waits:
    return ken_fail_errno(error, failure, "starting the thread of waiting requests");
}

void kend_waits_close(struct kend_waits *waits)
{
    pthread_mutex_lock(&waits->lock);
    waits->closing = true;
    while (waits->taken) wait_resume(waits, waits->place[waits->heap[0]].wait);
    pthread_mutex_unlock(&waits->lock);
}

void kend_waits_destroy(struct kend_waits **out)
{
    struct kend_waits *waits = *out;
    if (!waits) return;
    *out = NULL;
    pthread_mutex_lock(&waits->lock);
    KEN_ASSERT(!waits->taken);
    waits->ending = true;
    wait_ring(waits);
    pthread_mutex_unlock(&waits->lock);
    pthread_join(waits->thread, NULL);
    pthread_mutex_destroy(&waits->lock);
    close(waits->bell);
    close(waits->epoll);
    kend_feed_destroy(&waits->feed);
    free(waits->heap);
    free(waits->place);
    free(waits);
}

/* The feed first: who is woken finds it there. */
static void waits_tell(struct kend_waits *waits, const char *job, const char *owner, bool removed)
{
    kend_feed_put(waits->feed, job, owner, removed);
    pthread_mutex_lock(&waits->lock);
    wait_changed(waits, job);
    wait_changed(waits, KEND_WAIT_ANY);
    pthread_mutex_unlock(&waits->lock);
}

void kend_waits_changed(void *opaque, const char *job, const char *owner)
{
    waits_tell(opaque, job, owner, false);
}

void kend_waits_removed(void *opaque, const char *job, const char *owner)
{
    waits_tell(opaque, job, owner, true);
}

struct kend_feed *kend_waits_feed(struct kend_waits *waits)
{
    return waits->feed;
}

uint32_t kend_waits_count(struct kend_waits *waits)
{
    pthread_mutex_lock(&waits->lock);
    uint32_t count = waits->taken - waits->streams_taken;
    pthread_mutex_unlock(&waits->lock);
    return count;
}

uint32_t kend_waits_streams(struct kend_waits *waits)
{
    pthread_mutex_lock(&waits->lock);
    uint32_t count = waits->streams;
    pthread_mutex_unlock(&waits->lock);
    return count;
}

/* The lock is held. How many places are neither taken nor kept for a stream. */
static uint32_t waits_free(const struct kend_waits *waits)
{
    return waits->most.all - waits->streams - (waits->taken - waits->streams_taken);
}

bool kend_wait_begin_stream(struct kend_waits *waits, struct kend_wait *wait)
{
    pthread_mutex_lock(&waits->lock);
    wait->stream = !waits->closing && waits->streams < waits->most.streams && waits_free(waits);
    waits->streams += wait->stream;
    pthread_mutex_unlock(&waits->lock);
    return wait->stream;
}

void kend_wait_end_stream(struct kend_waits *waits, struct kend_wait *wait)
{
    pthread_mutex_lock(&waits->lock);
    KEN_ASSERT(wait->stream && !wait->suspended);
    wait->stream = false;
    waits->streams--;
    pthread_mutex_unlock(&waits->lock);
}

uint64_t kend_waits_seen(struct kend_waits *waits, const char *job)
{
    pthread_mutex_lock(&waits->lock);
    uint64_t seen = waits->changes[wait_hash(job)];
    pthread_mutex_unlock(&waits->lock);
    return seen;
}

/* Takes a free place for a request whose job, deadline and connection are set; the lock is held. */
static void wait_enter(struct kend_waits *waits, struct kend_wait *wait)
{
    struct kend_wait **list = &waits->waiting[wait_hash(wait->job)];
    struct wait_place *place = &waits->place[waits->first_free];
    wait->slot = waits->first_free;
    waits->first_free = place->next_free;
    place->wait = wait;
    place->tenancy++;
    waits->streams_taken += wait->stream;
    heap_set(waits, waits->taken++, wait->slot);
    heap_up(waits, waits->taken - 1);
    wait->next = *list;
    wait->self = list;
    if (wait->next) wait->next->self = &wait->next;
    *list = wait;
    wait->suspended = true;
    wait->since = kend_monotonic_ms();
    if (waits->heap[0] == wait->slot) wait_ring(waits); /* the thread sleeps for longer */
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.u64 = (uint64_t)wait->slot << 32 | place->tenancy};
    if (wait->socket >= 0 && epoll_ctl(waits->epoll, EPOLL_CTL_ADD, wait->socket, &event) < 0) wait->socket = -1; /* till the deadline */
}

static int wait_socket(struct MHD_Connection *connection)
{
    if (!connection) return -1;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

/* The lock is held. A stream has its place already. */
static bool waits_admit(const struct kend_waits *waits, const struct kend_wait *wait)
{
    return wait->stream || (waits_free(waits) && waits->taken - waits->streams_taken < waits->most.others);
}

enum kend_wait_result kend_wait_suspend(struct kend_waits *waits, struct kend_wait *wait, struct MHD_Connection *connection,
                                        const char *job, uint64_t seen, int64_t deadline)
{
    enum kend_wait_result result = KEND_WAIT_SUSPENDED;
    pthread_mutex_lock(&waits->lock);
    if (waits->closing) {
        result = KEND_WAIT_CLOSING;
    } else if (wait->gone || !waits_admit(waits, wait)) {
        result = KEND_WAIT_FULL;
    } else if (wait->woken || (job && waits->changes[wait_hash(job)] != seen)) {
        wait->woken = false;
        result = KEND_WAIT_CHANGED;
    } else {
        strncpy(wait->job, job ? job : "", sizeof wait->job - 1);
        wait->connection = connection;
        wait->socket = wait_socket(connection);
        wait->deadline = deadline;
        if (connection) MHD_suspend_connection(connection);
        wait_enter(waits, wait);
    }
    pthread_mutex_unlock(&waits->lock);
    return result;
}

void kend_wait_wake(struct kend_waits *waits, struct kend_wait *wait)
{
    pthread_mutex_lock(&waits->lock);
    if (wait->suspended)
        wait_resume(waits, wait);
    else
        wait->woken = true;
    pthread_mutex_unlock(&waits->lock);
}
