/* SPDX-License-Identifier: Apache-2.0 */
/* The fetcher's thread: a libuv loop that drives libcurl's multi interface. */
#ifndef KEND_LOOP_H
#define KEND_LOOP_H

#include "error.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <uv.h>

struct kend_loop;

/* Something that is run on the loop's thread soon after it was poked; however often it is poked before, it runs once. */
struct kend_tick {
    void (*run)(struct kend_tick *tick);
    struct kend_tick *next; /* the loop's */
    bool queued;            /* the loop's */
};

int kend_loop_create(struct kend_loop **loop, struct ken_error *error);
/* Nothing may be left: no transfer, no handle, no poked tick. */
void kend_loop_destroy(struct kend_loop **loop);
/* Any thread. The tick must stay until it has run. */
void kend_loop_poke(struct kend_loop *loop, struct kend_tick *tick);
/* Takes back what was poked and has not run. Any thread. */
void kend_loop_forget(struct kend_loop *loop, struct kend_tick *tick);

/* ---- on the loop's thread only; all of these assert it */

void kend_loop_assert(const struct kend_loop *loop);
uv_loop_t *kend_loop_uv(struct kend_loop *loop);
/* `done` is called once when the transfer has ended by itself; the handle is no longer driven then. Its CURLOPT_PRIVATE is the loop's. */
struct kend_drive {
    CURL *easy;
    void (*done)(struct kend_drive *drive, CURLcode result);
    struct kend_drive *next, **self; /* the loop's */
    bool lost;                       /* the loop's */
};
int kend_loop_start(struct kend_loop *loop, struct kend_drive *drive);
/* Goes on with one that is paused. */
void kend_loop_resume(struct kend_loop *loop, struct kend_drive *drive);
/* Ends driving it without calling done. Never from within a callback of libcurl. */
void kend_loop_stop(struct kend_loop *loop, struct kend_drive *drive);

#endif
