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

void kend_location_note(struct kend_location *location, const char *text)
{
    pthread_mutex_lock(&location->mutex);
    if (!location->closed && location->note) location->note(location->opaque, text);
    pthread_mutex_unlock(&location->mutex);
}

void kend_location_retain(struct kend_location *location)
{
    atomic_fetch_add(&location->references, 1);
}

void kend_location_release(struct kend_location *location)
{
    if (atomic_fetch_sub(&location->references, 1) > 1) return;
    KEN_ASSERT(!location->sources);
    kend_url_clear(&location->url);
    pthread_mutex_destroy(&location->mutex);
    free(location->owner);
    free(location->label);
    free(location);
}

static int open_url(struct kend_location *location, const struct kend_url *url, struct ken_source **source, struct ken_error *error)
{
    return kend_url_is_file(url) ? kend_file_scheme_open(location, url, source, error)
                                 : kend_entry_source_open(location, url, source, error);
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
    location->cancelled = request->cancelled;
    location->note = request->note;
    location->opaque = request->opaque;
    location->has_sha256 = request->sha256;
    if (request->sha256) memcpy(location->sha256, request->sha256, sizeof location->sha256);
    pthread_mutex_init(&location->mutex, NULL);
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
    pthread_mutex_lock(&location->mutex);
    location->closed = true;
    for (struct kend_source *source = location->sources; source; source = source->next) source->more->stop(source);
    pthread_mutex_unlock(&location->mutex);
    kend_location_release(location);
    *own = NULL;
}
