/* SPDX-License-Identifier: Apache-2.0 */
/* The streams of events that are open: so many of one owner. */
#ifndef KEND_HTTP_STREAMS_H
#define KEND_HTTP_STREAMS_H

#include <pthread.h>
#include <sys/queue.h>

struct kend_stream;

/* Fields belong to stream.c. */
struct kend_streams {
    pthread_mutex_t lock;
    TAILQ_HEAD(, kend_stream) open;
};

void kend_streams_init(struct kend_streams *streams);
/* None may be open. */
void kend_streams_destroy(struct kend_streams *streams);

#endif
