/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes of an entry are asked for next, and what the answers mean for it. */
#include "fetch/entry.h"

#include "clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FIRST_BYTES = 64 << 10, /* what a probe asks for, and the least of a range */
    STREAM_AHEAD = 4 << 20, /* a stream that nobody waits for any more goes on so far: shorter than coming back */
    MIN_PIECE = 8 << 20,
    MAX_PIECE = 32 << 20,
    PROGRESS_BYTES = 1 << 20, /* a piece that came so far starts the count of failures anew */
    FIRST_PAUSE_MS = 400,
    MAX_PAUSE_MS = 30000,
    HASTY_PAUSE_MS = 3000,
    MAX_RETRY_AFTER_SECONDS = 120,
    COMPARE_BYTES = 16 << 10
};

enum kind {
    PROBE, /* what is it? The first bytes come along, unless the cache has it */
    RANGE, /* [first, end) */
    STREAM /* the whole, from its beginning */
};

/* One transfer of an entry. */
struct kend_piece {
    struct kend_entry *entry;
    struct kend_transfer *transfer;
    enum kind kind;
    bool conditional; /* it asks whether what is known still holds */
    bool endless;     /* the size is told by the end of the stream */
    bool doomed;      /* to be cancelled: it is of a state of the file that is no more */
    bool enough;      /* it was ended because nothing more is wanted of it */
    bool paused;      /* until there is room */
    uint64_t first, at, end;
};

/* The server contradicts itself: what is cached of this file is not to be built on. */
static enum kend_verdict refuse(struct kend_piece *piece, struct kend_outcome *outcome, int code, const char *text)
{
    piece->entry->doubtful = true;
    ken_fail(&outcome->error, code, "%.240s: %s", piece->entry->url.shown, text);
    outcome->may_pass = false;
    return KEND_REFUSE;
}

static enum kend_verdict enough(struct kend_piece *piece)
{
    piece->enough = true;
    return KEND_ENOUGH;
}

/* ---- what is said about the file */

static bool is_too_large(const struct kend_piece *piece, uint64_t size, struct kend_outcome *outcome)
{
    const struct kend_entry *entry = piece->entry;
    uint64_t most = entry->fetcher->max_bytes;
    outcome->may_pass = false;
    if (size > INT64_MAX)
        return ken_fail(&outcome->error, KEN_ETOO_LARGE, "%.240s: the server says it has %llu bytes, more than a file can have",
                        entry->url.shown, (unsigned long long)size);
    if (most && size > most)
        return ken_fail(&outcome->error, KEN_ETOO_LARGE, "%.240s: has %llu bytes, fetch.max_bytes is %llu", entry->url.shown,
                        (unsigned long long)size, (unsigned long long)most);
    return false;
}

/* The origin has said what the file is: readers may go on. */
static void open_entry(struct kend_entry *entry, uint64_t size)
{
    pthread_mutex_lock(&entry->mutex);
    entry->state = KEND_ENTRY_OPEN;
    entry->has_size = true;
    entry->size = size;
    entry->complete = entry->good.total == size;
    entry->validated_at = kend_monotonic_ms();
    entry->revalidate = false;
    entry->dirty = entry->complete;
    pthread_cond_broadcast(&entry->changed);
    pthread_mutex_unlock(&entry->mutex);
}

/* The cache, or what was fetched so far, is still what the origin has. */
static enum kend_verdict confirm(struct kend_piece *piece)
{
    struct kend_entry *entry = piece->entry;
    pthread_mutex_lock(&entry->mutex);
    bool resumes = entry->state == KEND_ENTRY_PROBING && !entry->complete && entry->good.total;
    uint64_t there = entry->good.total;
    entry->state = KEND_ENTRY_OPEN;
    entry->revalidate = false;
    entry->validated_at = kend_monotonic_ms();
    pthread_cond_broadcast(&entry->changed);
    pthread_mutex_unlock(&entry->mutex);
    if (resumes)
        kend_entry_note(entry, "%llu of %llu bytes of %.240s are in the cache", (unsigned long long)there, (unsigned long long)entry->size,
                        entry->url.shown);
    return enough(piece);
}

/* The origin has another file now: whoever asked starts with a new entry. */
static enum kend_verdict outdate(struct kend_piece *piece)
{
    struct kend_entry *entry = piece->entry;
    pthread_mutex_lock(&entry->mutex);
    entry->stale = true;
    entry->revalidate = false;
    pthread_cond_broadcast(&entry->changed);
    pthread_mutex_unlock(&entry->mutex);
    return enough(piece);
}

static enum kend_verdict answer_condition(struct kend_piece *piece, const struct kend_head *head, struct kend_outcome *outcome)
{
    const struct kend_entry *entry = piece->entry;
    if (is_too_large(piece, entry->size, outcome)) return KEND_REFUSE; /* the limit may have been another when it was cached */
    if (head->status == 304) return confirm(piece);
    bool has_size = head->status == 206 ? head->has_total : head->has_length;
    uint64_t size = head->status == 206 ? head->total : head->length;
    bool same = head->status != 416 && has_size && size == entry->size && kend_validators_equal(&head->validators, &entry->validators);
    return same ? confirm(piece) : outdate(piece);
}

static enum kend_verdict begin_range(struct kend_piece *piece, const struct kend_head *head, struct kend_outcome *outcome)
{
    if (!head->has_range || !head->has_total || head->first != 0 || !head->end || head->end > piece->end)
        return refuse(piece, outcome, KEN_EFETCH, "the server answered with another range than the one asked for");
    if (head->has_length && head->length != head->end)
        return refuse(piece, outcome, KEN_EFETCH, "Content-Length and Content-Range of the response contradict each other");
    if (is_too_large(piece, head->total, outcome)) return KEND_REFUSE;
    piece->end = head->end;
    open_entry(piece->entry, head->total);
    return KEND_GO_ON;
}

static enum kend_verdict begin_stream(struct kend_piece *piece, const struct kend_head *head, struct kend_outcome *outcome)
{
    if (head->has_range) return refuse(piece, outcome, KEN_EFETCH, "the server answered 200 with a Content-Range");
    piece->entry->no_ranges = true;
    piece->kind = STREAM;
    piece->endless = !head->has_length;
    piece->end = head->has_length ? head->length : UINT64_MAX;
    if (piece->endless) return KEND_GO_ON;
    if (is_too_large(piece, head->length, outcome)) return KEND_REFUSE;
    open_entry(piece->entry, head->length);
    return KEND_GO_ON;
}

static enum kend_verdict answer_probe(struct kend_piece *piece, const struct kend_head *head, struct kend_outcome *outcome)
{
    pthread_mutex_lock(&piece->entry->mutex);
    piece->entry->validators = head->validators;
    pthread_mutex_unlock(&piece->entry->mutex);
    switch (head->status) {
    case 206: return begin_range(piece, head, outcome);
    case 200: return begin_stream(piece, head, outcome);
    case 416:
        if (head->has_total && head->total == 0) {
            open_entry(piece->entry, 0);
            return enough(piece);
        }
        return refuse(piece, outcome, KEN_EFETCH, "the server answered 416 to a range that begins at 0");
    default: return refuse(piece, outcome, KEN_EFETCH, "the server answered 304 to a request without a condition");
    }
}

/* ---- answers for a file whose size is known */

/* The file is another than before. Once, it is fetched anew; what was read of it must come again. */
static enum kend_verdict start_anew(struct kend_piece *piece, const struct kend_head *head, uint64_t size, struct kend_outcome *outcome)
{
    struct kend_entry *entry = piece->entry;
    if (entry->anew || size != entry->size)
        return refuse(piece, outcome, KEN_EFETCH, "the file changed on the server while it was being fetched");
    entry->anew = true;
    pthread_mutex_lock(&entry->mutex);
    entry->validators = head->validators;
    kend_ranges_clear(&entry->good);
    entry->complete = false;
    entry->durable = 0;
    entry->dirty = true;
    pthread_mutex_unlock(&entry->mutex);
    for (unsigned i = 0; i < entry->piece_count; i++)
        if (entry->pieces[i] != piece) entry->pieces[i]->doomed = true;
    kend_entry_note(entry, "%.240s has changed on the server; fetching it anew", entry->url.shown);
    return KEND_GO_ON;
}

static bool has_changed(const struct kend_piece *piece, const struct kend_head *head)
{
    const struct kend_validators *known = &piece->entry->validators;
    return kend_validators_known(known) && kend_validators_known(&head->validators) && !kend_validators_equal(known, &head->validators);
}

/* From now on it is the whole file that comes through this piece, and only through it. */
static enum kend_verdict turn_into_stream(struct kend_piece *piece)
{
    struct kend_entry *entry = piece->entry;
    piece->kind = STREAM;
    piece->first = piece->at = 0;
    piece->end = entry->size;
    for (unsigned i = 0; i < entry->piece_count; i++)
        if (entry->pieces[i] != piece) entry->pieces[i]->doomed = true;
    return KEND_GO_ON;
}

static enum kend_verdict answer_stream(struct kend_piece *piece, const struct kend_head *head, struct kend_outcome *outcome)
{
    if (head->status != 200 || head->has_range)
        return refuse(piece, outcome, KEN_EFETCH, "the server answered with a range where the whole was asked for");
    uint64_t size = head->has_length ? head->length : piece->entry->size;
    if (has_changed(piece, head) || size != piece->entry->size) return start_anew(piece, head, size, outcome);
    return KEND_GO_ON;
}

static enum kend_verdict answer_whole(struct kend_piece *piece, const struct kend_head *head, struct kend_outcome *outcome)
{
    bool changed = has_changed(piece, head);
    enum kend_verdict verdict = answer_stream(piece, head, outcome);
    if (!changed) piece->entry->no_ranges = true; /* it was not If-Range that made it the whole */
    return verdict == KEND_GO_ON ? turn_into_stream(piece) : verdict;
}

static enum kend_verdict answer_range(struct kend_piece *piece, const struct kend_head *head, struct kend_outcome *outcome)
{
    if (head->status == 200) return answer_whole(piece, head, outcome);
    if (head->status != 206)
        return refuse(piece, outcome, KEN_EFETCH, "the file changed on the server while it was being fetched: it has become shorter");
    if (!head->has_range || head->first != piece->at || head->end <= head->first || head->end > piece->end)
        return refuse(piece, outcome, KEN_EFETCH, "the server answered with another range than the one asked for");
    if (head->has_length && head->length != head->end - head->first)
        return refuse(piece, outcome, KEN_EFETCH, "Content-Length and Content-Range of the response contradict each other");
    uint64_t size = head->has_total ? head->total : piece->entry->size;
    if (has_changed(piece, head) || size != piece->entry->size) {
        enum kend_verdict verdict = start_anew(piece, head, size, outcome);
        if (verdict != KEND_GO_ON) return verdict;
    }
    piece->end = head->end;
    return KEND_GO_ON;
}

static enum kend_verdict on_head(void *opaque, const struct kend_head *head, struct kend_outcome *outcome)
{
    struct kend_piece *piece = opaque;
    if (piece->doomed) return enough(piece);
    if (piece->conditional) return answer_condition(piece, head, outcome);
    switch (piece->kind) {
    case PROBE: return answer_probe(piece, head, outcome);
    case RANGE: return answer_range(piece, head, outcome);
    default: return answer_stream(piece, head, outcome);
    }
}

/* ---- bytes */

/* Bytes that were there before must be the same. */
static bool compare(const struct kend_entry *entry, uint64_t at, const char *bytes, size_t length, int *failed)
{
    char there[COMPARE_BYTES];
    while (length) {
        size_t want = length < sizeof there ? length : sizeof there;
        ssize_t got = pread(kend_cached_fd(entry->cached), there, want, (off_t)at);
        if (got <= 0) {
            *failed = got < 0 ? errno : EIO;
            return true;
        }
        if (memcmp(there, bytes, (size_t)got) != 0) return false;
        at += (uint64_t)got;
        bytes += got;
        length -= (size_t)got;
    }
    return true;
}

static int write_all(const struct kend_entry *entry, uint64_t at, const char *bytes, size_t length)
{
    while (length) {
        ssize_t put = pwrite(kend_cached_fd(entry->cached), bytes, length, (off_t)at);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return errno;
        at += (uint64_t)put;
        bytes += put;
        length -= (size_t)put;
    }
    return 0;
}

/* Writes what is new and compares what is not. False: *outcome tells. */
static bool put(struct kend_piece *piece, const char *bytes, size_t length, struct kend_outcome *outcome)
{
    struct kend_entry *entry = piece->entry;
    uint64_t at = piece->at, end = piece->at + length;
    int failed = 0;
    while (at < end && !failed) {
        uint64_t until = kend_ranges_reach(&entry->seen, at);
        struct kend_range gap;
        if (until > at) {
            if (until > end) until = end;
            if (!compare(entry, at, bytes, (size_t)(until - at), &failed)) {
                refuse(piece, outcome, KEN_EFETCH, "the file changed on the server while it was being fetched");
                return false;
            }
        } else {
            until = kend_ranges_gap(&entry->seen, at, end, &gap) ? gap.end : end;
            failed = write_all(entry, at, bytes, (size_t)(until - at));
        }
        bytes += until - at;
        at = until;
    }
    outcome->may_pass = false;
    if (failed) ken_fail_errno(&outcome->error, failed, "writing the cached copy of %.200s", entry->url.shown);
    return !failed;
}

/* Tells readers what is there. False: out of memory. */
static bool account(struct kend_piece *piece, size_t length)
{
    struct kend_entry *entry = piece->entry;
    uint64_t end = piece->at + length;
    pthread_mutex_lock(&entry->mutex);
    bool good = !kend_ranges_add(&entry->seen, piece->at, end) && !kend_ranges_add(&entry->good, piece->at, end);
    if (entry->has_size && entry->good.total == entry->size) entry->complete = true;
    if (!entry->dirty) kend_entry_poke(entry); /* from now on there is something to save */
    entry->dirty = true;
    if (entry->waiters || entry->complete) pthread_cond_broadcast(&entry->changed);
    pthread_mutex_unlock(&entry->mutex);
    piece->at = end;
    kend_cached_wrote(entry->cached, entry->seen.total);
    return good;
}

/* Whether a stream is still of use. */
static bool is_wanted(const struct kend_piece *piece)
{
    struct kend_entry *entry = piece->entry;
    if (piece->kind != STREAM || piece->endless) return true;
    pthread_mutex_lock(&entry->mutex);
    bool wanted = kend_entry_is_fetching(entry);
    for (const struct kend_waiter *waiter = entry->waiters; waiter && !wanted; waiter = waiter->next) wanted = waiter->end > piece->at;
    pthread_mutex_unlock(&entry->mutex);
    return wanted || piece->at < STREAM_AHEAD;
}

/* How many of the bytes [first, end) are not there yet. */
static uint64_t missing(const struct kend_entry *entry, uint64_t first, uint64_t end)
{
    uint64_t bytes = 0;
    struct kend_range gap;
    for (; kend_ranges_gap(&entry->seen, first, end, &gap); first = gap.end) bytes += gap.end - gap.first;
    return bytes;
}

static enum kend_verdict on_body(void *opaque, const char *bytes, size_t length, struct kend_outcome *outcome)
{
    struct kend_piece *piece = opaque;
    struct kend_entry *entry = piece->entry;
    if (piece->doomed) return enough(piece);
    if (length > piece->end - piece->at) return refuse(piece, outcome, KEN_EFETCH, "the server sends more bytes than it said");
    if (piece->endless && is_too_large(piece, piece->at + length, outcome)) return KEND_REFUSE;
    if (!kend_durable_has_room(entry, entry->seen.total + missing(entry, piece->at, piece->at + length))) {
        piece->paused = true;
        return KEND_PAUSE;
    }
    if (!put(piece, bytes, length, outcome)) return KEND_REFUSE;
    if (!account(piece, length)) return refuse(piece, outcome, KEN_ENOMEM, "out of memory");
    return is_wanted(piece) ? KEND_GO_ON : enough(piece);
}

/* ---- how a piece ends */

static void remove_piece(struct kend_piece *piece)
{
    struct kend_entry *entry = piece->entry;
    unsigned i = 0;
    while (entry->pieces[i] != piece) i++;
    entry->pieces[i] = entry->pieces[--entry->piece_count];
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
    if (open && piece->kind == PROBE && piece->conditional)
        (void)outdate(piece); /* nothing is wrong with what others already have; who asked gets the answer through an entry of their own */
    else if (outcome->may_pass)
        retry(entry, outcome);
    else {
        if (open && error.code == KEN_ENOT_FOUND) error.code = KEN_EFETCH; /* it was there a moment ago */
        kend_entry_fail(entry, &error);
        if (entry->doubtful) kend_entry_drop(entry);
    }
}

static void end_piece(struct kend_piece *piece, const struct kend_outcome *outcome)
{
    struct kend_entry *entry = piece->entry;
    struct kend_outcome early = {.retry_after = -1, .may_pass = true};
    if (piece->at - piece->first >= PROGRESS_BYTES) entry->failures = 0;
    if (outcome->error.code) {
        fail_piece(piece, outcome);
    } else if (piece->endless) {
        open_entry(entry, piece->at);
    } else if (!piece->enough && !piece->doomed && piece->at < piece->end) {
        ken_fail(&early.error, KEN_EFETCH, "%.240s: the response ended %llu bytes early", entry->url.shown,
                 (unsigned long long)(piece->end - piece->at));
        fail_piece(piece, &early);
    } else if (!piece->conditional) {
        entry->failures = 0;
    }
}

static void on_end(void *opaque, const struct kend_outcome *outcome)
{
    struct kend_piece *piece = opaque;
    struct kend_entry *entry = piece->entry;
    if (!piece->doomed) end_piece(piece, outcome);
    remove_piece(piece);
    pthread_mutex_lock(&entry->mutex);
    kend_entry_poke(entry);
    pthread_mutex_unlock(&entry->mutex);
}

static const struct kend_transfer_ops transfer_ops = {on_head, on_body, on_end};

/* ---- what is asked for next */

static bool start(struct kend_entry *entry, const struct kend_piece *model)
{
    struct kend_piece *piece = malloc(sizeof *piece);
    if (!piece) return false;
    *piece = *model;
    piece->entry = entry;
    piece->at = piece->first;
    const struct kend_transfer_request request = {
        .url = &entry->url,
        .has_range = piece->kind != STREAM,
        .first = piece->first,
        .end = piece->end,
        .if_none = piece->conditional ? &entry->validators : NULL,
        .if_range = piece->kind == RANGE && entry->validators.strong ? &entry->validators : NULL,
    };
    if (kend_transfer_start(&piece->transfer, entry->fetcher->loop, &entry->fetcher->settings, &request, &transfer_ops, piece)) {
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
        kend_ranges_clear(&entry->seen);
        pthread_mutex_unlock(&entry->mutex);
        if (ftruncate(kend_cached_fd(entry->cached), 0)) return false;
    }
    return start(entry, &(struct kend_piece){.kind = PROBE, .conditional = conditional, .end = FIRST_BYTES});
}

/* From the beginning. Unless the origin can vouch for it, what is there counts no more; it is compared with. */
static bool start_stream(struct kend_entry *entry)
{
    pthread_mutex_lock(&entry->mutex);
    if (!entry->validators.strong) {
        kend_ranges_clear(&entry->good);
        entry->durable = 0;
    }
    pthread_mutex_unlock(&entry->mutex);
    return start(entry, &(struct kend_piece){.kind = STREAM, .end = entry->size});
}

/* What is there or under way. */
static int covered(const struct kend_entry *entry, struct kend_ranges *ranges)
{
    int code = kend_ranges_copy(ranges, &entry->good);
    for (unsigned i = 0; !code && i < entry->piece_count; i++)
        if (!entry->pieces[i]->conditional) code = kend_ranges_add(ranges, entry->pieces[i]->at, entry->pieces[i]->end);
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
    uint64_t most = fetching ? piece_bytes(entry) : FIRST_BYTES;
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
        good = !covered(entry, &ranges);
        found = good && next_range(entry, &ranges, fetching, &next);
        pthread_mutex_unlock(&entry->mutex);
        kend_ranges_clear(&ranges);
        if (found) good = start(entry, &(struct kend_piece){.kind = RANGE, .first = next.first, .end = next.end});
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
    return entry->piece_count || start_stream(entry);
}

static void cancel_doomed(struct kend_entry *entry)
{
    for (unsigned i = entry->piece_count; i-- > 0;) {
        if (!entry->pieces[i]->doomed) continue;
        kend_transfer_cancel(&entry->pieces[i]->transfer);
        remove_piece(entry->pieces[i]);
    }
}

static bool has_probe(const struct kend_entry *entry)
{
    for (unsigned i = 0; i < entry->piece_count; i++)
        if (entry->pieces[i]->kind == PROBE) return true;
    return false;
}

int64_t kend_pieces_schedule(struct kend_entry *entry)
{
    cancel_doomed(entry);
    if (entry->retry_at > kend_monotonic_ms()) return entry->retry_at;
    pthread_mutex_lock(&entry->mutex);
    enum kend_entry_state state = entry->state;
    bool revalidate = entry->revalidate, known = entry->has_size, stale = entry->stale;
    pthread_mutex_unlock(&entry->mutex);
    bool good = true;
    if (state == KEND_ENTRY_PROBING)
        good = entry->piece_count || stale || start_probe(entry, known);
    else if (revalidate && !kend_validators_known(&entry->validators))
        (void)outdate(&(struct kend_piece){.entry = entry});
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
        struct kend_piece *last = entry->pieces[--entry->piece_count];
        kend_transfer_cancel(&last->transfer);
        free(last);
    }
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
