/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/location.h"

#include "fetch/fetcher.h"
#include "fetch/fetch_source.h"

#include "checkpoint/locate.h"

#include <stdlib.h>
#include <string.h>

bool kend_location_is_over(struct kend_location *location)
{
    pthread_mutex_lock(&location->mutex);
    bool over = location->closed || (location->cancelled && location->cancelled(location->opaque));
    pthread_mutex_unlock(&location->mutex);
    return over;
}

/*
 * ---- notes: whoever takes them may write them to a disk, which the loop's thread does not wait for. One thread of the pool hands them
 * over, for one location after the other: a disk that is slow to take them leaves the others to what is fetched.
 */

struct kend_note {
    struct kend_note *next;
    char text[];
};

/* The first one; NULL: none is left, and nobody is about to hand over any. */
static struct kend_note *take_note(struct kend_location *location)
{
    pthread_mutex_lock(&location->mutex);
    struct kend_note *note = location->notes;
    if (note) {
        location->notes = note->next;
        if (!location->notes) location->last_note = &location->notes;
    } else {
        location->told = false;
    }
    pthread_mutex_unlock(&location->mutex);
    return note;
}

/* With `telling` held: who closes the location waits for that, and leaves none. */
static void tell_notes(struct kend_location *location)
{
    for (struct kend_note *note; (note = take_note(location));) {
        location->note(location->opaque, note->text);
        free(note);
    }
}

static void run_teller(uv_work_t *work)
{
    struct kend_location *location = work->data;
    pthread_mutex_lock(&location->telling);
    tell_notes(location);
    pthread_mutex_unlock(&location->telling);
}

static void send_teller(struct kend_fetcher *fetcher);

static void after_teller(uv_work_t *work, int status)
{
    struct kend_location *location = work->data;
    struct kend_fetcher *fetcher = location->fetcher;
    KEN_ASSERT(status == 0);
    fetcher->teller.data = NULL;
    kend_location_release(location);
    send_teller(fetcher);
}

/* For the first that waits, unless one is on its way. */
static void send_teller(struct kend_fetcher *fetcher)
{
    if (fetcher->teller.data || !fetcher->first_told) return;
    struct kend_location *location = fetcher->first_told;
    fetcher->first_told = location->next_told;
    if (!fetcher->first_told) fetcher->last_told = NULL;
    fetcher->teller.data = location;
    const int failed = uv_queue_work(kend_loop_uv(fetcher->loop), &fetcher->teller, run_teller, after_teller);
    KEN_ASSERT(!failed);
}

static void await_teller(struct kend_location *location)
{
    struct kend_fetcher *fetcher = location->fetcher;
    kend_location_retain(location);
    location->next_told = NULL;
    if (fetcher->last_told)
        fetcher->last_told->next_told = location;
    else
        fetcher->first_told = location;
    fetcher->last_told = location;
    send_teller(fetcher);
}

void kend_location_note(struct kend_location *location, const char *text)
{
    const size_t size = strlen(text) + 1;
    struct kend_note *note = location->note ? malloc(sizeof *note + size) : NULL;
    if (!note) return;
    note->next = NULL;
    memcpy(note->text, text, size);
    pthread_mutex_lock(&location->mutex);
    const bool closed = location->closed, told = location->told;
    if (!closed) {
        *location->last_note = note;
        location->last_note = &note->next;
        location->told = true;
    }
    pthread_mutex_unlock(&location->mutex);
    if (closed)
        free(note);
    else if (!told)
        await_teller(location);
}

void kend_location_retain(struct kend_location *location)
{
    atomic_fetch_add(&location->references, 1);
}

void kend_location_release(struct kend_location *location)
{
    if (atomic_fetch_sub(&location->references, 1) > 1) return;
    KEN_ASSERT(!location->sources && !location->notes);
    kend_url_clear(&location->url);
    pthread_mutex_destroy(&location->telling);
    pthread_mutex_destroy(&location->mutex);
    free(location->owner);
    free(location->label);
    free(location);
}

static int open_url(struct kend_location *location, const struct kend_url *url, struct ken_source **source, struct ken_error *error)
{
    if (kend_url_is_file(url)) return kend_file_scheme_open(location, url, source, error);
    return location->held ? kend_held_source_open(location, url, source, error) : kend_entry_source_open(location, url, source, error);
}

static int open_named(struct ken_opener *opener, const char *name, struct ken_source **source, struct ken_error *error)
{
    struct kend_location *location = (struct kend_location *)((char *)opener - offsetof(struct kend_location, opener));
    struct kend_url url = {0};
    struct ken_error reason = {0};
    *source = NULL;
    int code;
    if (name) {
        code = kend_url_beside(&url, &location->url, name, &reason);
        if (!code) code = open_url(location, &url, source, &reason);
        kend_url_clear(&url);
    } else {
        code = open_url(location, &location->url, source, &reason);
        if (code == KEN_ENOT_FOUND) code = KEN_EFETCH; /* nothing else is tried in its place */
    }
    return code ? ken_fail(error, code, "%s", reason.message) : 0;
}

/* A file is called by the last segment of its path, which never holds a secret; a folder by the whole URL. */
static int set_label(struct kend_location *location, struct ken_error *error)
{
    const char *slash = strrchr(location->url.path, '/');
    const char *name = slash && slash[1] ? slash + 1 : location->url.shown;
    location->label = strndup(name, KEN_LABEL_SIZE - 1);
    return location->label ? 0 : ken_fail(error, KEN_ENOMEM, "out of memory");
}

int kend_location_open(struct kend_location **result, struct kend_fetcher *fetcher, const struct kend_location_request *request,
                       struct ken_error *error)
{
    struct kend_location *location = calloc(1, sizeof *location);
    *result = NULL;
    if (!location) return ken_fail(error, KEN_ENOMEM, "out of memory");
    location->fetcher = fetcher;
    location->references = 1;
    location->hasty = request->hasty;
    location->held = request->held;
    location->cancelled = request->cancelled;
    location->note = request->note;
    location->opaque = request->opaque;
    location->has_sha256 = request->sha256;
    if (request->sha256) memcpy(location->sha256, request->sha256, sizeof location->sha256);
    pthread_mutex_init(&location->telling, NULL);
    pthread_mutex_init(&location->mutex, NULL);
    location->last_note = &location->notes;
    location->owner = strdup(request->owner);
    int code = location->owner ? kend_url_parse(&location->url, request->url, NULL, &fetcher->settings.connection.policy, error)
                               : ken_fail(error, KEN_ENOMEM, "out of memory");
    if (!code && kend_url_is_file(&location->url)) code = kend_file_scheme_mark_folder(fetcher, &location->url, error);
    if (!code) code = set_label(location, error);
    if (code) {
        kend_location_release(location);
        return code;
    }
    location->opener.open = open_named;
    location->opener.label = location->label;
    location->opener.is_folder = kend_url_is_folder(&location->url);
    *result = location;
    return 0;
}

struct ken_opener *kend_location_opener(struct kend_location *location)
{
    return &location->opener;
}

bool kend_location_refresh(struct kend_location *location)
{
    const bool refreshed = location->was_cached && !location->afresh;
    location->afresh = true;
    if (!refreshed || !location->note) return refreshed;
    pthread_mutex_lock(&location->telling);
    location->note(location->opaque, "what the cache has of it makes no sense; fetching it anew");
    pthread_mutex_unlock(&location->telling);
    return true;
}

void kend_location_fetch(struct kend_location *location)
{
    pthread_mutex_lock(&location->mutex);
    for (struct kend_source *source = location->sources; source; source = source->next) source->more->fetch(source);
    pthread_mutex_unlock(&location->mutex);
}

void kend_location_state(struct kend_location *location, struct kend_location_state *state)
{
    *state = (struct kend_location_state){.complete = true};
    pthread_mutex_lock(&location->mutex);
    for (struct kend_source *source = location->sources; source; source = source->next) source->more->state(source, state);
    pthread_mutex_unlock(&location->mutex);
}

int kend_location_wait(struct kend_location *location, struct ken_error *error)
{
    int code = 0;
    /* Only its own thread adds and closes sources, so the list stands still while it blocks. */
    for (struct kend_source *source = location->sources; source && !code; source = source->next)
        code = source->more->whole(source, location->has_sha256 ? location->sha256 : NULL, error);
    return code;
}

void kend_location_close(struct kend_location **own)
{
    struct kend_location *location = *own;
    if (!location) return;
    pthread_mutex_lock(&location->telling);
    pthread_mutex_lock(&location->mutex);
    location->closed = true;
    for (struct kend_source *source = location->sources; source; source = source->next) source->more->stop(source);
    pthread_mutex_unlock(&location->mutex);
    tell_notes(location); /* from here on there are no more */
    pthread_mutex_unlock(&location->telling);
    kend_location_release(location);
    *own = NULL;
}
