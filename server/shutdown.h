/* SPDX-License-Identifier: Apache-2.0 */
/* Signals, and the way from SIGTERM to the end. */
#ifndef KEND_SHUTDOWN_H
#define KEND_SHUTDOWN_H

#include "http/server.h"
#include "jobs/engine.h"

struct kend_shutdown;

/* Blocks SIGTERM, SIGINT and SIGHUP in the calling thread and all it starts later; they are read by kend_shutdown_wait. KEN_EIO,
 * KEN_ENOMEM. */
int kend_shutdown_create(struct kend_shutdown **shutdown, struct ken_error *error);
void kend_shutdown_destroy(struct kend_shutdown **shutdown);
/*
 * Waits for SIGTERM or SIGINT (SIGHUP has http reload, also later), then lets running jobs end within `seconds` while HTTP still answers; a
 * second signal hands them back at once, and if that takes longer than KEND_HURRY_SECONDS, or at a third, the process ends where it is:
 * nothing that was answered is lost by that. After it has returned, a further signal ends the process at once.
 */
enum { KEND_HURRY_SECONDS = 2 };
void kend_shutdown_wait(struct kend_shutdown *shutdown, struct kend_engine *engine, struct kend_http *http, unsigned seconds);

#endif
