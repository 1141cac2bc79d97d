/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes on their way to the disk. The loop's thread keeps them in blocks, which one thread of libuv's pool at a time writes for an entry,
 * in the order in which they came: so what is of a state of the file that is no more never comes after what is of the next. What is there
 * already is compared instead. Only what was written is told to readers.
 */
#include "fetch/piece.h"

#include "folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LEAST_BLOCK = 16 << 10, /* of what comes first, or drips; the next one is twice as large */
    BLOCK_BYTES = 256 << 10,
    MOST_BYTES = 2 * BLOCK_BYTES, /* of a piece: it pauses until they are written */
    COMPARE_BYTES = 16 << 10
};

struct kend_block {
    struct kend_block *next;
    struct kend_piece *piece; /* the loop's thread only; NULL: nobody wants it any more */
    uint64_t at;
    size_t length, room;
    bool cut;       /* no bytes: the file is emptied */
    bool different; /* from what was there before */
    int failed;     /* an errno */
    char bytes[];
};

/* ---- in the pool */

/* Bytes that were there before must be the same. 0 or an errno. */
static int compare(int fd, struct kend_block *block, uint64_t at, uint64_t end)
{
    char there[COMPARE_BYTES];
    while (at < end && !block->different) {
        const size_t want = end - at < sizeof there ? (size_t)(end - at) : sizeof there;
        const ssize_t got = ken_pread(fd, there, want, at);
        if (got <= 0) return got < 0 ? errno : EIO;
        block->different = memcmp(there, block->bytes + (at - block->at), (size_t)got) != 0;
        at += (uint64_t)got;
    }
    return 0;
}

static int write_all(int fd, const struct kend_block *block, uint64_t at, uint64_t end)
{
    while (at < end) {
        const ssize_t put = pwrite(fd, block->bytes + (at - block->at), (size_t)(end - at), (off_t)at);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return errno;
        at += (uint64_t)put;
    }
    return 0;
}

/* From here on nothing is there to compare with. */
static int empty(int fd, struct kend_ranges *seen)
{
    kend_ranges_clear(seen);
    return ftruncate(fd, 0) ? errno : 0;
}

/* Writes what is new and compares what is not. */
static int put_block(int fd, struct kend_block *block, struct kend_ranges *seen)
{
    uint64_t at = block->at;
    const uint64_t end = block->at + block->length;
    int failed = 0;
    if (block->cut) return empty(fd, seen);
    while (at < end && !failed && !block->different) {
        uint64_t until = kend_ranges_reach(seen, at);
        struct kend_range gap;
        if (until > at) {
            if (until > end) until = end;
            failed = compare(fd, block, at, until);
        } else {
            until = kend_ranges_gap(seen, at, end, &gap) ? gap.end : end;
            failed = write_all(fd, block, at, until);
        }
        at = until;
    }
    return failed;
}

static void run_write(uv_work_t *work)
{
    struct kend_entry *entry = work->data;
    for (struct kend_block *block = entry->writing; block; block = block->next)
        block->failed = put_block(kend_cached_fd(entry->cached), block, &entry->written);
}

/* ---- the loop's thread */

static void free_block(struct kend_entry *entry, struct kend_block *block)
{
    entry->pending -= block->length;
    if (block->piece) block->piece->pending -= block->length;
    free(block);
}

/* Tells readers what is there. 0 or an errno. */
static int account(struct kend_entry *entry, const struct kend_block *block)
{
    pthread_mutex_lock(&entry->mutex);
    const uint64_t end = block->at + block->length;
    const bool good = !kend_ranges_add(&entry->seen, block->at, end) && !kend_ranges_add(&entry->good, block->at, end);
    if (entry->has_size && entry->good.total == entry->size) entry->complete = true;
    if (!entry->dirty) kend_entry_poke(entry); /* from now on there is something to save */
    entry->dirty = true;
    if (entry->waiters || entry->complete) pthread_cond_broadcast(&entry->changed);
    pthread_mutex_unlock(&entry->mutex);
    block->piece->written = end;
    kend_cached_wrote(entry->cached, entry->seen.total);
    return good ? 0 : ENOMEM;
}

static void fail(struct kend_entry *entry, int failed)
{
    struct ken_error error;
    if (failed == ENOMEM)
        ken_fail(&error, KEN_ENOMEM, "out of memory");
    else
        ken_fail_errno(&error, failed, "writing the cached copy of %.200s", entry->url.shown);
    kend_entry_fail(entry, &error);
}

/* Only now: until the file is empty, what was there takes its room. */
static void account_cut(struct kend_entry *entry)
{
    kend_ranges_clear(&entry->seen);
    kend_cached_wrote(entry->cached, 0);
}

static void end_block(struct kend_entry *entry, struct kend_block *block)
{
    if (block->cut ? block->failed : block->piece && !block->piece->doomed && block->failed)
        fail(entry, block->failed);
    else if (block->cut)
        account_cut(entry);
    else if (block->piece && !block->piece->doomed && block->different)
        kend_piece_differs(block->piece);
    else if (block->piece && !block->piece->doomed && account(entry, block))
        fail(entry, ENOMEM);
    free_block(entry, block);
}

static void start(struct kend_entry *entry);

static void after_write(uv_work_t *work, int status)
{
    struct kend_entry *entry = work->data;
    KEN_ASSERT(status == 0);
    while (entry->writing) {
        struct kend_block *block = entry->writing;
        entry->writing = block->next;
        end_block(entry, block);
    }
    kend_ranges_clear(&entry->written);
    start(entry);
    kend_pieces_written(entry);
    pthread_mutex_lock(&entry->mutex);
    kend_entry_poke(entry);
    pthread_mutex_unlock(&entry->mutex);
}

/* Writes what has come in, unless something is being written. */
static void start(struct kend_entry *entry)
{
    if (entry->writing || !entry->blocks) return;
    if (kend_ranges_copy(&entry->written, &entry->seen)) {
        fail(entry, ENOMEM); /* with it go the pieces, and their blocks */
        return;
    }
    entry->writing = entry->blocks;
    entry->blocks = NULL;
    entry->last_block = NULL;
    entry->write_work.data = entry;
    const int failed = uv_queue_work(kend_loop_uv(entry->fetcher->loop), &entry->write_work, run_write, after_write);
    KEN_ASSERT(!failed);
}

static struct kend_block *add_block(struct kend_entry *entry, struct kend_piece *piece, size_t bytes)
{
    struct kend_block *block = malloc(sizeof *block + bytes);
    if (!block) return NULL;
    *block = (struct kend_block){.piece = piece, .at = piece ? piece->at : 0, .room = bytes};
    if (entry->last_block)
        entry->last_block->next = block;
    else
        entry->blocks = block;
    entry->last_block = block;
    return block;
}

/* The block that the piece's next bytes go to, of which there are `length`; NULL: out of memory. */
static struct kend_block *find_room(struct kend_piece *piece, size_t length)
{
    struct kend_block *block = piece->entry->blocks, *found = NULL;
    for (; block; block = block->next)
        if (block->piece == piece) found = block;
    if (found && found->length < found->room) return found;
    size_t room = found ? 2 * found->room : LEAST_BLOCK;
    if (room < length) room = length;
    return add_block(piece->entry, piece, room < BLOCK_BYTES ? room : BLOCK_BYTES);
}

enum kend_verdict kend_writing_put(struct kend_piece *piece, const char *bytes, size_t length)
{
    struct kend_entry *entry = piece->entry;
    if (piece->pending && piece->pending + length > MOST_BYTES) {
        piece->paused = true;
        return KEND_PAUSE;
    }
    while (length) {
        struct kend_block *block = find_room(piece, length);
        if (!block) return KEND_REFUSE;
        const size_t fits = block->room - block->length, put = length < fits ? length : fits;
        memcpy(block->bytes + block->length, bytes, put);
        block->length += put;
        piece->at += put;
        piece->pending += put;
        entry->pending += put;
        bytes += put;
        length -= put;
    }
    start(entry);
    return KEND_GO_ON;
}

int kend_writing_cut(struct kend_entry *entry)
{
    struct kend_block *block = add_block(entry, NULL, 0);
    if (!block) return KEN_ENOMEM;
    block->cut = true;
    start(entry);
    return 0;
}

void kend_writing_forget(struct kend_entry *entry, const struct kend_piece *piece)
{
    for (struct kend_block *block = entry->writing; block; block = block->next)
        if (block->piece == piece) block->piece = NULL;
    entry->last_block = NULL;
    for (struct kend_block **at = &entry->blocks; *at;) {
        struct kend_block *block = *at;
        if (block->piece == piece) {
            *at = block->next;
            free_block(entry, block);
        } else {
            entry->last_block = block;
            at = &block->next;
        }
    }
}
