/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/store.h"

#include "error.h"
#include "jobs/store_sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const result_texts[KEND_STORE_RESULT_COUNT] = {
#define X(symbol, text) [symbol] = text,
    KEND_STORE_RESULT_MAP(X)
#undef X
};

const char *kend_store_result_text(enum kend_store_result result)
{
    KEN_ASSERT((unsigned)result < KEND_STORE_RESULT_COUNT);
    return result_texts[result];
}

static const struct {
    const char *scheme;
    enum kend_store_result (*open)(struct kend_store **store, const char *rest, char message[256]);
    enum kend_store_result (*examine)(const char *rest, char message[256]);
} back_ends[] = {
    {"sqlite:", kend_store_sqlite_open, kend_store_sqlite_examine},
};

static enum kend_store_result fail_unknown_kind(const char *url, char message[256])
{
    /* Only the scheme is shown: a URL may carry a password. */
    snprintf(message, 256, "store.url: unknown kind of store \"%.*s\"; sqlite:PATH is known", (int)strcspn(url, ":"), url);
    return KEND_STORE_UNAVAILABLE;
}

enum kend_store_result kend_store_open(struct kend_store **store, const char *url, char message[256])
{
    *store = NULL;
    for (size_t i = 0; i < sizeof back_ends / sizeof *back_ends; i++) {
        size_t length = strlen(back_ends[i].scheme);
        if (strncmp(url, back_ends[i].scheme, length) == 0) return back_ends[i].open(store, url + length, message);
    }
    return fail_unknown_kind(url, message);
}

enum kend_store_result kend_store_examine(const char *url, char message[256])
{
    for (size_t i = 0; i < sizeof back_ends / sizeof *back_ends; i++) {
        size_t length = strlen(back_ends[i].scheme);
        if (strncmp(url, back_ends[i].scheme, length) == 0) return back_ends[i].examine(url + length, message);
    }
    return fail_unknown_kind(url, message);
}

void kend_store_close(struct kend_store **store)
{
    if (*store) (*store)->ops->close(*store);
    *store = NULL;
}

void kend_job_free(struct kend_job **job)
{
    if (!*job) return;
    free((*job)->owner);
    free((*job)->spec);
    free((*job)->error_message);
    free((*job)->summary);
    free((*job)->trace);
    free(*job);
    *job = NULL;
}

void kend_job_list_clear(struct kend_job_list *list)
{
    for (size_t i = 0; i < list->count; i++) kend_job_free(&list->item[i]);
    free(list->item);
    *list = (struct kend_job_list){0};
}

void kend_artifact_list_clear(struct kend_artifact_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->item[i].name);
        free(list->item[i].variant);
    }
    free(list->item);
    *list = (struct kend_artifact_list){0};
}

void kend_event_list_clear(struct kend_event_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->item[i].type);
        free(list->item[i].data);
    }
    free(list->item);
    *list = (struct kend_event_list){0};
}
