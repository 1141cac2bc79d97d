/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/loop.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct kend_loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_timer_t timer; /* libcurl's */
    CURLM *multi;
    struct kend_drive *drives; /* those that are driven */
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

/* Takes it out of libcurl and off the list. */
static void let_go(struct kend_loop *loop, struct kend_drive *drive)
{
    curl_multi_remove_handle(loop->multi, drive->easy);
    *drive->self = drive->next;
    if (drive->next) drive->next->self = drive->self;
}

/* Ends those that would not end by themselves. Whoever is told may start and stop others. */
static void end_lost(struct kend_loop *loop)
{
    for (;;) {
        struct kend_drive *drive = loop->drives;
        while (drive && !drive->lost) drive = drive->next;
        if (!drive) return;
        let_go(loop, drive);
        drive->done(drive, CURLE_OUT_OF_MEMORY);
    }
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
    end_lost(loop);
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
        let_go(loop, drive);
        drive->done(drive, result);
    }
}

static void act(struct kend_loop *loop, curl_socket_t socket, int events)
{
    int running;
    const CURLMcode result = curl_multi_socket_action(loop->multi, socket, events, &running);
    report_ended(loop);
    /* libcurl had no memory, and does not say for which of them. */
    for (struct kend_drive *drive = loop->drives; result != CURLM_OK && drive; drive = drive->next) drive->lost = true;
    end_lost(loop);
}

static void on_timer(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

/* A transfer that cannot go on ends in the next turn: here, libcurl may be in the midst of it. */
static void lose(struct kend_loop *loop, CURL *easy)
{
    struct kend_drive *drive = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&drive);
    if (drive) drive->lost = true;
    uv_async_send(&loop->wake);
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

static void close_watch(struct watch *watch)
{
    uv_poll_stop(&watch->poll);
    uv_close((uv_handle_t *)&watch->poll, free_watch);
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
    if (curl_multi_assign(loop->multi, socket, watch) == CURLM_OK) return watch;
    close_watch(watch);
    return NULL;
}

/* An error that is answered here would end the multi handle for good: it is the transfer alone that cannot go on. */
static int set_socket(CURL *easy, curl_socket_t socket, int what, void *opaque, void *assigned)
{
    struct kend_loop *loop = opaque;
    struct watch *watch = assigned;
    if (what == CURL_POLL_REMOVE) {
        if (watch) {
            curl_multi_assign(loop->multi, socket, NULL);
            close_watch(watch);
        }
        return 0;
    }
    if (!watch) watch = make_watch(loop, socket);
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    if (!watch || uv_poll_start(&watch->poll, events, on_socket)) lose(loop, easy);
    return 0;
}

int kend_loop_start(struct kend_loop *loop, struct kend_drive *drive)
{
    kend_loop_assert(loop);
    drive->lost = false;
    if (curl_easy_setopt(drive->easy, CURLOPT_PRIVATE, drive) != CURLE_OK) return KEN_ENOMEM;
    if (curl_multi_add_handle(loop->multi, drive->easy) != CURLM_OK) return KEN_ENOMEM;
    drive->next = loop->drives;
    drive->self = &loop->drives;
    if (drive->next) drive->next->self = &drive->next;
    loop->drives = drive;
    return 0;
}

void kend_loop_resume(struct kend_loop *loop, struct kend_drive *drive)
{
    kend_loop_assert(loop);
    if (curl_easy_pause(drive->easy, CURLPAUSE_CONT) != CURLE_OK) lose(loop, drive->easy);
}

void kend_loop_stop(struct kend_loop *loop, struct kend_drive *drive)
{
    kend_loop_assert(loop);
    let_go(loop, drive);
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
    if (multi && curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, set_socket) == CURLM_OK &&
        curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, loop) == CURLM_OK &&
        curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
        curl_multi_setopt(multi, CURLMOPT_TIMERDATA, loop) == CURLM_OK)
        return multi;
    curl_multi_cleanup(multi);
    return NULL;
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
