/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a transfer, and how it ends. */
#include "fetch/piece.h"

#include "clock.h"

#include <stdlib.h>

enum {
    STREAM_AHEAD = 4 << 20,   /* a stream that nobody waits for any more goes on so far: shorter than coming back */
    PROGRESS_BYTES = 1 << 20, /* so much that was not there before starts the count of failures anew */
    FIRST_PAUSE_MS = 400,
    MAX_PAUSE_MS = 30000,
    HASTY_PAUSE_MS = 3000,
    MAX_RETRY_AFTER_SECONDS = 120
};

/* Whether it is still of use. */
static bool is_wanted(const struct kend_piece *piece)
{
    struct kend_entry *entry = piece->entry;
    if (piece->endless || (piece->share && (piece->kind != KEND_PIECE_STREAM || piece->at < STREAM_AHEAD))) return true;
    pthread_mutex_lock(&entry->mutex);
    bool wanted = piece->share && kend_entry_is_fetching(entry);
    for (const struct kend_waiter *waiter = entry->waiters; waiter && !wanted; waiter = waiter->next)
        wanted = waiter->end > piece->at && waiter->first < piece->end;
    pthread_mutex_unlock(&entry->mutex);
    return wanted;
}

/* How many of the bytes [first, end) are not there yet. */
static uint64_t missing(const struct kend_entry *entry, uint64_t first, uint64_t end)
{
    uint64_t bytes = 0;
    struct kend_range gap;
    for (; kend_ranges_gap(&entry->seen, first, end, &gap); first = gap.end) bytes += gap.end - gap.first;
    return bytes;
}

/* What the data come to with these bytes and all that is not written yet; as far as that is known: of it some may be there already. */
static uint64_t size_with(const struct kend_entry *entry, uint64_t first, uint64_t end)
{
    const uint64_t bytes = entry->seen.total + entry->pending + missing(entry, first, end);
    return entry->has_size && bytes > entry->size ? entry->size : bytes;
}

static enum kend_verdict on_body(void *opaque, const char *bytes, size_t length, struct kend_outcome *outcome)
{
    struct kend_piece *piece = opaque;
    struct kend_entry *entry = piece->entry;
    if (piece->doomed) return kend_piece_enough(piece);
    if (length > piece->end - piece->at) return kend_piece_refuse(piece, outcome, KEN_EFETCH, "the server sends more bytes than it said");
    if (piece->endless && kend_piece_is_too_large(piece, piece->at + length, outcome)) return KEND_REFUSE;
    if (!kend_durable_has_room(entry, size_with(entry, piece->at, piece->at + length))) {
        piece->paused = true;
        return KEND_PAUSE;
    }
    const enum kend_verdict verdict = kend_writing_put(piece, bytes, length);
    if (verdict == KEND_REFUSE) return kend_piece_refuse(piece, outcome, KEN_ENOMEM, "out of memory");
    if (verdict == KEND_PAUSE) return verdict;
    return is_wanted(piece) ? KEND_GO_ON : kend_piece_enough(piece);
}

/* ---- how a piece ends */

void kend_piece_remove(struct kend_piece *piece)
{
    struct kend_entry *entry = piece->entry;
    unsigned i = 0;
    kend_writing_forget(entry, piece);
    while (entry->pieces[i] != piece) i++;
    entry->pieces[i] = entry->pieces[--entry->piece_count];
    kend_share_give_back(entry->fetcher, piece->share);
    free(piece);
}

static int64_t pause_ms(unsigned failures, int64_t retry_after)
{
    if (retry_after >= 0) return 1000 * (retry_after < MAX_RETRY_AFTER_SECONDS ? retry_after : MAX_RETRY_AFTER_SECONDS);
    int64_t pause = FIRST_PAUSE_MS;
    for (unsigned i = 1; i < failures && pause < MAX_PAUSE_MS; i++) pause *= 2;
    if (pause > MAX_PAUSE_MS) pause = MAX_PAUSE_MS;
    /* Up to a quarter less or more, so that many who failed together do not come back together. */
    return pause * 3 / 4 + (int64_t)(uv_hrtime() / 1000 % (uint64_t)(pause / 2 + 1));
}

static void give_up(struct kend_entry *entry, const struct kend_outcome *outcome)
{
    struct ken_error error = outcome->error;
    if (entry->failures > 1) ken_fail(&error, outcome->error.code, "%.400s (tried %u times)", outcome->error.message, entry->failures);
    kend_entry_fail(entry, &error);
}

/* Whether nobody has the patience for more than one short retry. */
static bool is_hasty(struct kend_entry *entry)
{
    bool hasty = true;
    pthread_mutex_lock(&entry->mutex);
    for (const struct kend_entry_source *source = entry->sources; source && hasty; source = source->next)
        hasty = source->source.location->hasty;
    pthread_mutex_unlock(&entry->mutex);
    return hasty;
}

static void retry(struct kend_entry *entry, const struct kend_outcome *outcome)
{
    if (entry->retry_at > kend_monotonic_ms()) return; /* what broke together counts once */
    const bool hasty = is_hasty(entry);
    const unsigned most = hasty && entry->fetcher->retries > 1 ? 1 : entry->fetcher->retries;
    const int64_t pause = pause_ms(++entry->failures, outcome->retry_after);
    if (entry->failures > most || (hasty && pause > HASTY_PAUSE_MS)) {
        give_up(entry, outcome);
        return;
    }
    entry->retry_at = kend_monotonic_ms() + pause;
    kend_entry_note(entry, "retrying (%u of %u) in %.1f s: %.300s", entry->failures, most, (double)pause / 1000, outcome->error.message);
}

static void fail_piece(struct kend_piece *piece, const struct kend_outcome *outcome)
{
    struct kend_entry *entry = piece->entry;
    struct ken_error error = outcome->error;
    pthread_mutex_lock(&entry->mutex);
    bool open = entry->state == KEND_ENTRY_OPEN;
    pthread_mutex_unlock(&entry->mutex);
    if (open && piece->kind == KEND_PIECE_PROBE && piece->conditional)
        kend_entry_outdate(
            entry); /* nothing is wrong with what others already have; who asked gets the answer through an entry of their own */
    else if (outcome->may_pass)
        retry(entry, outcome);
    else {
        if (open && error.code == KEN_ENOT_FOUND) error.code = KEN_EFETCH; /* it was there a moment ago */
        kend_entry_fail(entry, &error);
        if (entry->doubtful) kend_entry_drop(entry);
    }
}

/* Bytes that come once more, because a stream began again, are none. */
static void count_progress(struct kend_entry *entry)
{
    if (entry->seen.total < entry->progress + PROGRESS_BYTES) return;
    entry->progress = entry->seen.total;
    entry->failures = 0;
}

static bool is_early(const struct kend_piece *piece)
{
    return !piece->endless && !piece->enough && !piece->doomed && piece->at < piece->end;
}

bool kend_piece_is_broken(const struct kend_piece *piece)
{
    return !piece->transfer && (piece->outcome.error.code || is_early(piece));
}

static void end_piece(struct kend_piece *piece)
{
    struct kend_entry *entry = piece->entry;
    const struct kend_outcome *outcome = &piece->outcome;
    struct kend_outcome early = {.retry_after = -1, .may_pass = true};
    count_progress(entry);
    if (outcome->error.code) {
        fail_piece(piece, outcome);
    } else if (piece->endless) {
        kend_entry_open(entry, piece->at);
    } else if (is_early(piece)) {
        ken_fail(&early.error, KEN_EFETCH, "%.240s: the response ended %llu bytes early", entry->url.shown,
                 (unsigned long long)(piece->end - piece->at));
        fail_piece(piece, &early);
    } else if (!piece->conditional) {
        entry->failures = 0;
    }
}

static bool has_failed(struct kend_entry *entry)
{
    pthread_mutex_lock(&entry->mutex);
    const bool failed = entry->state == KEND_ENTRY_FAILED;
    pthread_mutex_unlock(&entry->mutex);
    return failed;
}

void kend_piece_conclude(struct kend_piece *piece)
{
    struct kend_entry *entry = piece->entry;
    if (has_failed(entry)) {
        /* It is neither tried again nor opened by what had still been under way. */
        if (entry->doubtful) kend_entry_drop(entry);
    } else if (!piece->doomed) {
        end_piece(piece);
    }
    kend_piece_remove(piece);
    pthread_mutex_lock(&entry->mutex);
    kend_entry_poke(entry);
    pthread_mutex_unlock(&entry->mutex);
}

void kend_piece_differs(struct kend_piece *piece)
{
    struct kend_outcome outcome = {.retry_after = -1};
    kend_piece_refuse(piece, &outcome, KEN_EFETCH, "the file changed on the server while it was being fetched");
    fail_piece(piece, &outcome);
}

static void on_end(void *opaque, const struct kend_outcome *outcome)
{
    struct kend_piece *piece = opaque;
    piece->transfer = NULL;
    piece->paused = false;
    piece->outcome = *outcome;
    if (!piece->pending) kend_piece_conclude(piece);
}

const struct kend_transfer_ops kend_piece_ops = {kend_piece_answer, on_body, on_end};
