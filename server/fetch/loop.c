/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/loop.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONNECTIONS = 64 };

struct kend_loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_timer_t timer; /* libcurl's */
    CURLM *multi;
    uv_thread_t thread;
    pthread_mutex_t mutex; /* the two below */
    struct kend_tick *first, **last;
    bool stopping;
};

/* A socket of libcurl's, watched. */
struct watch {
    uv_poll_t poll;
    struct kend_loop *loop;
    curl_socket_t socket;
};

void kend_loop_assert(const struct kend_loop *loop)
{
    uv_thread_t self = uv_thread_self();
    KEN_ASSERT(uv_thread_equal(&self, &loop->thread));
}

uv_loop_t *kend_loop_uv(struct kend_loop *loop)
{
    return &loop->uv;
}

void kend_loop_poke(struct kend_loop *loop, struct kend_tick *tick)
{
    pthread_mutex_lock(&loop->mutex);
    if (!tick->queued) {
        tick->queued = true;
        tick->next = NULL;
        *loop->last = tick;
        loop->last = &tick->next;
        uv_async_send(&loop->wake);
    }
    pthread_mutex_unlock(&loop->mutex);
}

void kend_loop_forget(struct kend_loop *loop, struct kend_tick *tick)
{
    pthread_mutex_lock(&loop->mutex);
    struct kend_tick **at = &loop->first;
    while (*at && *at != tick) at = &(*at)->next;
    if (*at) {
        *at = tick->next;
        tick->queued = false;
        if (!*at) loop->last = at;
    }
    pthread_mutex_unlock(&loop->mutex);
}

static size_t count_ticks(struct kend_loop *loop)
{
    size_t count = 0;
    pthread_mutex_lock(&loop->mutex);
    for (const struct kend_tick *tick = loop->first; tick; tick = tick->next) count++;
    pthread_mutex_unlock(&loop->mutex);
    return count;
}

static struct kend_tick *take_tick(struct kend_loop *loop)
{
    pthread_mutex_lock(&loop->mutex);
    struct kend_tick *tick = loop->first;
    if (tick) {
        loop->first = tick->next;
        if (!loop->first) loop->last = &loop->first;
        tick->queued = false;
    }
    pthread_mutex_unlock(&loop->mutex);
    return tick;
}

static void close_own(struct kend_loop *loop)
{
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->timer, NULL);
}

static void on_wake(uv_async_t *wake)
{
    struct kend_loop *loop = wake->data;
    /* One that pokes itself comes in the next turn, after the sockets. */
    size_t count = count_ticks(loop);
    for (struct kend_tick *tick; count-- && (tick = take_tick(loop));) tick->run(tick);
    pthread_mutex_lock(&loop->mutex);
    bool stopping = loop->stopping;
    pthread_mutex_unlock(&loop->mutex);
    if (stopping && !uv_is_closing((uv_handle_t *)wake)) {
        /* libcurl closes its idle connections, and with them their watches. */
        curl_multi_cleanup(loop->multi);
        close_own(loop);
    }
}

/* ---- libcurl */

static void report_ended(struct kend_loop *loop)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(loop->multi, &left));) {
        if (message->msg != CURLMSG_DONE) continue;
        CURLcode result = message->data.result;
        struct kend_drive *drive = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&drive);
        KEN_ASSERT(drive);
        curl_multi_remove_handle(loop->multi, drive->easy);
        drive->done(drive, result);
    }
}

static void act(struct kend_loop *loop, curl_socket_t socket, int events)
{
    int running;
    curl_multi_socket_action(loop->multi, socket, events, &running);
    report_ended(loop);
}

static void on_timer(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(CURLM *multi, long milliseconds, void *opaque)
{
    struct kend_loop *loop = opaque;
    (void)multi;
    if (milliseconds < 0)
        uv_timer_stop(&loop->timer);
    else
        uv_timer_start(&loop->timer, on_timer, (uint64_t)milliseconds, 0);
    return 0;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    int flags = status < 0 ? CURL_CSELECT_IN | CURL_CSELECT_OUT : 0; /* reading or writing then tells what is wrong */
    if (events & UV_READABLE) flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE) flags |= CURL_CSELECT_OUT;
    act(watch->loop, watch->socket, flags);
}

static void free_watch(uv_handle_t *handle)
{
    free(handle->data);
}

static struct watch *make_watch(struct kend_loop *loop, curl_socket_t socket)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch) return NULL;
    watch->loop = loop;
    watch->socket = socket;
    if (uv_poll_init_socket(&loop->uv, &watch->poll, socket)) {
        free(watch);
        return NULL;
    }
    watch->poll.data = watch;
    curl_multi_assign(loop->multi, socket, watch);
    return watch;
}

static int set_socket(CURL *easy, curl_socket_t socket, int what, void *opaque, void *assigned)
{
    struct kend_loop *loop = opaque;
    struct watch *watch = assigned;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch) {
            curl_multi_assign(loop->multi, socket, NULL);
            uv_poll_stop(&watch->poll);
            uv_close((uv_handle_t *)&watch->poll, free_watch);
        }
        return 0;
    }
    if (!watch) watch = make_watch(loop, socket);
    if (!watch) return -1;
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    uv_poll_start(&watch->poll, events, on_socket);
    return 0;
}

int kend_loop_start(struct kend_loop *loop, struct kend_drive *drive)
{
    kend_loop_assert(loop);
    curl_easy_setopt(drive->easy, CURLOPT_PRIVATE, drive);
    return curl_multi_add_handle(loop->multi, drive->easy) == CURLM_OK ? 0 : KEN_ENOMEM;
}

void kend_loop_stop(struct kend_loop *loop, struct kend_drive *drive)
{
    kend_loop_assert(loop);
    curl_multi_remove_handle(loop->multi, drive->easy);
}

/* ---- start and end */

static void run(void *opaque)
{
    struct kend_loop *loop = opaque;
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

static CURLM *make_multi(struct kend_loop *loop)
{
    CURLM *multi = curl_multi_init();
    if (!multi) return NULL;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, loop);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, loop);
    curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)MAX_CONNECTIONS);
    return multi;
}

int kend_loop_create(struct kend_loop **result, struct ken_error *error)
{
    struct kend_loop *loop = calloc(1, sizeof *loop);
    *result = NULL;
    if (!loop) return ken_fail(error, KEN_ENOMEM, "out of memory");
    pthread_mutex_init(&loop->mutex, NULL);
    loop->last = &loop->first;
    if (uv_loop_init(&loop->uv)) goto no_loop;
    if (uv_async_init(&loop->uv, &loop->wake, on_wake)) goto no_wake;
    uv_timer_init(&loop->uv, &loop->timer);
    loop->wake.data = loop->timer.data = loop;
    loop->multi = make_multi(loop);
    if (!loop->multi) goto no_multi;
    if (uv_thread_create(&loop->thread, run, loop)) goto no_thread;
    *result = loop;
    return 0;

no_thread:
    curl_multi_cleanup(loop->multi);
no_multi:
    close_own(loop);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
no_wake:
    uv_loop_close(&loop->uv);
no_loop:
    pthread_mutex_destroy(&loop->mutex);
    free(loop);
    return ken_fail(error, KEN_ENOMEM, "the fetcher's thread could not be started");
}

void kend_loop_destroy(struct kend_loop **own)
{
    struct kend_loop *loop = *own;
    if (!loop) return;
    pthread_mutex_lock(&loop->mutex);
    loop->stopping = true;
    uv_async_send(&loop->wake);
    pthread_mutex_unlock(&loop->mutex);
    uv_thread_join(&loop->thread);
    int busy = uv_loop_close(&loop->uv);
    KEN_ASSERT(!busy);
    pthread_mutex_destroy(&loop->mutex);
    free(loop);
    *own = NULL;
}
