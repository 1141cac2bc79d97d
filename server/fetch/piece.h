/* SPDX-License-Identifier: Apache-2.0 */
/* One transfer of an entry: what the answer means, the bytes that come, how it ends. The loop's thread. */
#ifndef KEND_PIECE_H
#define KEND_PIECE_H

#include "fetch/entry.h"

enum { KEND_FIRST_BYTES = 64 << 10 }; /* what a probe asks for, and the least of a range */

enum kend_piece_kind {
    KEND_PIECE_PROBE, /* what is it? The first bytes come along, unless the cache has it */
    KEND_PIECE_RANGE, /* [first, end) */
    KEND_PIECE_STREAM /* the whole, from its beginning */
};

/* One transfer of an entry. */
struct kend_piece {
    struct kend_entry *entry;
    struct kend_transfer *transfer; /* NULL: it has ended, as `outcome` tells */
    struct kend_location *share;    /* NULL: it has none, and goes on only while somebody waits for it */
    enum kend_piece_kind kind;
    bool conditional;                 /* it asks whether what is known still holds */
    bool endless;                     /* the size is told by the end of the stream */
    bool doomed;                      /* to be cancelled: it is of a state of the file that is no more */
    bool enough;                      /* it was ended because nothing more is wanted of it */
    bool paused;                      /* until there is room, or what came before is written */
    uint64_t first, written, at, end; /* [written, at) came in and is not on the disk yet */
    uint64_t pending;                 /* bytes that wait to be written */
    struct kend_outcome outcome;
};

extern const struct kend_transfer_ops kend_piece_ops;

/* Frees it, and forgets what was not written. It must be one of its entry's. */
void kend_piece_remove(struct kend_piece *piece);
/* Its transfer has ended before its time. */
bool kend_piece_is_broken(const struct kend_piece *piece);
/* Its transfer has ended and all bytes are written: that is its end. */
void kend_piece_conclude(struct kend_piece *piece);
/* What came through it is not what had come before. */
void kend_piece_differs(struct kend_piece *piece);

/* ---- writing.c: from the network to the disk; loop's thread */

/* Takes bytes that come next. KEND_PAUSE: not before others are written. KEND_REFUSE: out of memory. */
enum kend_verdict kend_writing_put(struct kend_piece *piece, const char *bytes, size_t length);
/* Empties the file, after what came before. KEN_ENOMEM */
int kend_writing_cut(struct kend_entry *entry);
/* Nobody waits for the piece's bytes any more; NULL: for the file to be emptied. */
void kend_writing_forget(struct kend_entry *entry, const struct kend_piece *piece);

/* ---- share.c: what a location may have under way; loop's thread */

/* One of the entry's locations that has a share left; NULL: none has. With the entry's mutex held. */
struct kend_location *kend_share_find(const struct kend_entry *entry);
/* Takes what was found; NULL: nothing. Before the mutex is let go. */
struct kend_location *kend_share_take(struct kend_location *share);
/* The entry is poked as soon as a share was given back. */
void kend_share_await(struct kend_entry *entry);
void kend_share_forget(struct kend_entry *entry);
/* NULL: there was none. No entry's mutex held. */
void kend_share_give_back(struct kend_fetcher *fetcher, struct kend_location *share);

/* ---- answer.c */

/* The head of the response: kend_piece_ops.head. */
enum kend_verdict kend_piece_answer(void *piece, const struct kend_head *head, struct kend_outcome *outcome);
/* The server contradicts itself: what is cached of this file is not to be built on. */
enum kend_verdict kend_piece_refuse(struct kend_piece *piece, struct kend_outcome *outcome, int code, const char *text);
/* It ends, and that is no failure. */
enum kend_verdict kend_piece_enough(struct kend_piece *piece);
/* Whether a file of this size is more than may be fetched; *outcome then tells. */
bool kend_piece_is_too_large(const struct kend_piece *piece, uint64_t size, struct kend_outcome *outcome);
/* The origin has said what the file is: readers may go on. */
void kend_entry_open(struct kend_entry *entry, uint64_t size);
/* The origin has another file now: whoever asked starts with a new entry. */
void kend_entry_outdate(struct kend_entry *entry);

#endif
