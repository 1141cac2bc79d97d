/* SPDX-License-Identifier: Apache-2.0 */
/* One GET, with its redirects: every hop vetted anew, every response judged as far as that needs no knowledge of the file. */
#ifndef KEND_TRANSFER_H
#define KEND_TRANSFER_H

#include "fetch/connection.h"
#include "fetch/head.h"
#include "fetch/loop.h"

#include <stdatomic.h>

/* Settings of all transfers, borrowed. */
struct kend_transfer_settings {
    struct kend_connection_settings connection;
    _Atomic uint64_t received; /* bytes of bodies, in all */
};

enum kend_verdict { KEND_GO_ON, KEND_PAUSE /* body only: comes again after kend_transfer_resume */, KEND_ENOUGH, KEND_REFUSE };

/* How it ended. */
struct kend_outcome {
    struct ken_error error; /* code 0: the body came whole, or it was ended by KEND_ENOUGH */
    bool may_pass;          /* the failure is one that trying again can cure */
    int64_t retry_after;    /* seconds the server asks to wait; -1: it did not say */
};

struct kend_transfer;

/* On the loop's thread. kend_transfer_cancel must not be called from `head` or `body`. */
struct kend_transfer_ops {
    /* The head of the last hop with a status of 200, 206, 304 or 416. KEND_REFUSE: *outcome was filled. */
    enum kend_verdict (*head)(void *opaque, const struct kend_head *head, struct kend_outcome *outcome);
    /* Body of 200 and 206, counted by kend. */
    enum kend_verdict (*body)(void *opaque, const char *bytes, size_t length, struct kend_outcome *outcome);
    /* Once; the transfer is freed when it returns. */
    void (*end)(void *opaque, const struct kend_outcome *outcome);
};

struct kend_transfer_request {
    const struct kend_url *url;
    bool has_range;
    uint64_t first, end;                              /* [first, end) */
    const struct kend_validators *if_range, *if_none; /* or NULL: sent as conditions */
};

/* KEN_ENOMEM: `end` is not called. */
int kend_transfer_start(struct kend_transfer **transfer, struct kend_loop *loop, struct kend_transfer_settings *settings,
                        const struct kend_transfer_request *request, const struct kend_transfer_ops *ops, void *opaque);
void kend_transfer_resume(struct kend_transfer *transfer);
/* Ends it now; `end` is not called. */
void kend_transfer_cancel(struct kend_transfer **transfer);

#endif
