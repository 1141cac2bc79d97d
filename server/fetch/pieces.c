/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes of an entry are asked for next. */
#include "fetch/piece.h"

#include "clock.h"

#include <stdlib.h>

enum { MIN_PIECE = 8 << 20, MAX_PIECE = 32 << 20 };

/* The piece's share is given back where it cannot be started. */
static bool start(struct kend_entry *entry, const struct kend_piece *model)
{
    struct kend_piece *piece = malloc(sizeof *piece);
    if (!piece) {
        kend_share_give_back(entry->fetcher, model->share);
        return false;
    }
    *piece = *model;
    piece->entry = entry;
    piece->written = piece->at = piece->first;
    const struct kend_transfer_request request = {
        .url = &entry->url,
        .has_range = piece->kind != KEND_PIECE_STREAM,
        .first = piece->first,
        .end = piece->end,
        .if_none = piece->conditional ? &entry->validators : NULL,
        .if_range = piece->kind == KEND_PIECE_RANGE && entry->validators.strong ? &entry->validators : NULL,
    };
    if (kend_transfer_start(&piece->transfer, entry->fetcher->loop, &entry->fetcher->settings, &request, &kend_piece_ops, piece)) {
        kend_share_give_back(entry->fetcher, piece->share);
        free(piece);
        return false;
    }
    entry->pieces[entry->piece_count++] = piece;
    return true;
}

static bool start_probe(struct kend_entry *entry, bool conditional)
{
    /* What a stream without a size brought before it broke off: nobody has seen it. */
    if (!conditional && entry->seen.total) {
        pthread_mutex_lock(&entry->mutex);
        kend_ranges_clear(&entry->good);
        pthread_mutex_unlock(&entry->mutex);
        if (kend_writing_cut(entry)) return false;
    }
    return start(entry, &(struct kend_piece){.kind = KEND_PIECE_PROBE, .conditional = conditional, .end = KEND_FIRST_BYTES});
}

/* From the beginning. Unless the origin can vouch for it, what is there counts no more; it is compared with. */
static bool start_stream(struct kend_entry *entry, bool fetching)
{
    pthread_mutex_lock(&entry->mutex);
    struct kend_location *share = kend_share_take(kend_share_find(entry));
    if (fetching && !share) {
        pthread_mutex_unlock(&entry->mutex);
        kend_share_await(entry);
        return true;
    }
    if (!entry->validators.strong) {
        kend_ranges_clear(&entry->good);
        entry->durable = 0;
    }
    pthread_mutex_unlock(&entry->mutex);
    return start(entry, &(struct kend_piece){.kind = KEND_PIECE_STREAM, .share = share, .end = entry->size});
}

/* What is there or under way. */
static int covered(const struct kend_entry *entry, struct kend_ranges *ranges)
{
    int code = kend_ranges_copy(ranges, &entry->good);
    for (unsigned i = 0; !code && i < entry->piece_count; i++) {
        const struct kend_piece *piece = entry->pieces[i];
        if (!piece->conditional) code = kend_ranges_add(ranges, piece->written, piece->transfer ? piece->end : piece->at);
    }
    return code;
}

/* How long a piece of the fetch phase is. */
static uint64_t piece_bytes(const struct kend_entry *entry)
{
    uint64_t bytes = entry->size / (4 * (uint64_t)entry->fetcher->connections);
    return bytes < MIN_PIECE ? MIN_PIECE : bytes > MAX_PIECE ? MAX_PIECE : bytes;
}

/* The next range to ask for: what somebody waits for, else, if all is wanted, the lowest. With the mutex held. */
static bool next_range(const struct kend_entry *entry, const struct kend_ranges *ranges, bool fetching, struct kend_range *next)
{
    bool found = false;
    struct kend_range gap;
    uint64_t most = fetching ? piece_bytes(entry) : KEND_FIRST_BYTES;
    for (const struct kend_waiter *waiter = entry->waiters; waiter; waiter = waiter->next) {
        if (!kend_ranges_gap(ranges, waiter->first, waiter->end, &gap) || (found && gap.first >= next->first)) continue;
        *next = gap;
        found = true;
        if (!fetching && gap.end - gap.first > most) most = gap.end - gap.first;
    }
    if (!found && !(fetching && kend_ranges_gap(ranges, 0, entry->size, next))) return false;
    /* No further than the next byte that is there, and a whole piece where nothing is. */
    if (!kend_ranges_gap(ranges, next->first, entry->size, &gap)) return false;
    next->end = gap.end - next->first > most ? next->first + most : gap.end;
    return true;
}

static bool has_wants(struct kend_entry *entry, bool *fetching)
{
    pthread_mutex_lock(&entry->mutex);
    *fetching = kend_entry_is_fetching(entry);
    bool wants = *fetching && !entry->complete;
    for (const struct kend_waiter *waiter = entry->waiters; waiter && !wants; waiter = waiter->next)
        wants = !kend_ranges_hold(&entry->good, waiter->first, waiter->end);
    pthread_mutex_unlock(&entry->mutex);
    return wants;
}

static bool start_ranges(struct kend_entry *entry, bool fetching)
{
    struct kend_ranges ranges = {0};
    bool good = true, found = true;
    while (good && found && entry->piece_count < entry->fetcher->connections) {
        struct kend_range next = {0};
        pthread_mutex_lock(&entry->mutex);
        /* Without a share it is what somebody waits for, and no more. */
        struct kend_location *share = kend_share_find(entry);
        good = !covered(entry, &ranges);
        found = good && next_range(entry, &ranges, fetching && share, &next);
        if (found) kend_share_take(share);
        pthread_mutex_unlock(&entry->mutex);
        kend_ranges_clear(&ranges);
        if (found)
            good = start(entry, &(struct kend_piece){.kind = KEND_PIECE_RANGE, .share = share, .first = next.first, .end = next.end});
        else if (fetching && !share)
            kend_share_await(entry);
    }
    return good;
}

static bool start_wanted(struct kend_entry *entry)
{
    bool fetching;
    if (!has_wants(entry, &fetching)) return true;
    /* All of it, before a byte of it is fetched. */
    if (fetching && !kend_durable_has_room(entry, entry->size)) return true;
    if (!entry->no_ranges && (!fetching || entry->validators.strong)) return start_ranges(entry, fetching);
    return entry->piece_count || start_stream(entry, fetching);
}

static void cancel_doomed(struct kend_entry *entry)
{
    for (unsigned i = entry->piece_count; i-- > 0;) {
        if (!entry->pieces[i]->doomed) continue;
        kend_transfer_cancel(&entry->pieces[i]->transfer);
        kend_piece_remove(entry->pieces[i]);
    }
}

static bool has_probe(const struct kend_entry *entry)
{
    for (unsigned i = 0; i < entry->piece_count; i++)
        if (entry->pieces[i]->kind == KEND_PIECE_PROBE) return true;
    return false;
}

/* Whether a transfer has failed, and what it brought is still being written: what follows from it is told after that. */
static bool has_broken(const struct kend_entry *entry)
{
    for (unsigned i = 0; i < entry->piece_count; i++)
        if (kend_piece_is_broken(entry->pieces[i])) return true;
    return false;
}

int64_t kend_pieces_schedule(struct kend_entry *entry)
{
    cancel_doomed(entry);
    if (has_broken(entry)) return INT64_MAX;
    if (entry->retry_at > kend_monotonic_ms()) return entry->retry_at;
    pthread_mutex_lock(&entry->mutex);
    enum kend_entry_state state = entry->state;
    bool revalidate = entry->revalidate, known = entry->has_size, stale = entry->stale;
    pthread_mutex_unlock(&entry->mutex);
    bool good = true;
    if (state == KEND_ENTRY_PROBING)
        good = entry->piece_count || stale || start_probe(entry, known);
    else if (revalidate && !kend_validators_known(&entry->validators))
        kend_entry_outdate(entry);
    else if (revalidate && !has_probe(entry))
        good = start_probe(entry, true);
    if (good && state == KEND_ENTRY_OPEN) good = start_wanted(entry);
    if (!good) {
        struct ken_error error;
        ken_fail(&error, KEN_ENOMEM, "out of memory");
        kend_entry_fail(entry, &error);
    }
    return INT64_MAX;
}

void kend_pieces_cancel(struct kend_entry *entry)
{
    while (entry->piece_count) {
        struct kend_piece *last = entry->pieces[entry->piece_count - 1];
        kend_transfer_cancel(&last->transfer);
        kend_piece_remove(last);
    }
    kend_writing_forget(entry, NULL);
}

void kend_pieces_resume(struct kend_entry *entry)
{
    /* A resumed transfer may end, or pause again, within the call. */
    struct kend_transfer *paused[KEND_MAX_PIECES];
    unsigned count = 0;
    for (unsigned i = 0; i < entry->piece_count; i++) {
        if (entry->pieces[i]->paused) paused[count++] = entry->pieces[i]->transfer;
        entry->pieces[i]->paused = false;
    }
    for (unsigned i = 0; i < count; i++) kend_transfer_resume(paused[i]);
}

void kend_pieces_written(struct kend_entry *entry)
{
    for (unsigned i = entry->piece_count; i-- > 0;)
        if (!entry->pieces[i]->transfer && !entry->pieces[i]->pending) kend_piece_conclude(entry->pieces[i]);
    kend_pieces_resume(entry);
}
