/* SPDX-License-Identifier: Apache-2.0 */
/* What the head of a response means for the file. */
#include "fetch/piece.h"

#include "clock.h"

enum kend_verdict kend_piece_refuse(struct kend_piece *piece, struct kend_outcome *outcome, int code, const char *text)
{
    piece->entry->doubtful = true;
    ken_fail(&outcome->error, code, "%.240s: %s", piece->entry->url.shown, text);
    outcome->may_pass = false;
    return KEND_REFUSE;
}

enum kend_verdict kend_piece_enough(struct kend_piece *piece)
{
    piece->enough = true;
    return KEND_ENOUGH;
}

bool kend_piece_is_too_large(const struct kend_piece *piece, uint64_t size, struct kend_outcome *outcome)
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
    struct ken_error reason;
    if (piece->endless || !kend_cached_check(entry->cached, size, &reason))
        return false; /* without a length it is judged where room is made */
    return ken_fail(&outcome->error, KEN_ETOO_LARGE, "%.240s: %.200s", entry->url.shown, reason.message);
}

void kend_entry_open(struct kend_entry *entry, uint64_t size)
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
    return kend_piece_enough(piece);
}

void kend_entry_outdate(struct kend_entry *entry)
{
    pthread_mutex_lock(&entry->mutex);
    entry->stale = true;
    entry->revalidate = false;
    pthread_cond_broadcast(&entry->changed);
    pthread_mutex_unlock(&entry->mutex);
}

static enum kend_verdict outdate(struct kend_piece *piece)
{
    kend_entry_outdate(piece->entry);
    return kend_piece_enough(piece);
}

static enum kend_verdict answer_condition(struct kend_piece *piece, const struct kend_head *head, struct kend_outcome *outcome)
{
    const struct kend_entry *entry = piece->entry;
    if (kend_piece_is_too_large(piece, entry->size, outcome)) return KEND_REFUSE; /* the limit may have been another when it was cached */
    if (head->status == 304) return confirm(piece);
    bool has_size = head->status == 206 ? head->has_total : head->has_length;
    uint64_t size = head->status == 206 ? head->total : head->length;
    bool same = head->status != 416 && has_size && size == entry->size && kend_validators_equal(&head->validators, &entry->validators);
    return same ? confirm(piece) : outdate(piece);
}

static enum kend_verdict begin_range(struct kend_piece *piece, const struct kend_head *head, struct kend_outcome *outcome)
{
    if (!head->has_range || !head->has_total || head->first != 0 || !head->end || head->end > piece->end)
        return kend_piece_refuse(piece, outcome, KEN_EFETCH, "the server answered with another range than the one asked for");
    if (head->has_length && head->length != head->end)
        return kend_piece_refuse(piece, outcome, KEN_EFETCH, "Content-Length and Content-Range of the response contradict each other");
    if (kend_piece_is_too_large(piece, head->total, outcome)) return KEND_REFUSE;
    piece->end = head->end;
    kend_entry_open(piece->entry, head->total);
    return KEND_GO_ON;
}

static enum kend_verdict begin_stream(struct kend_piece *piece, const struct kend_head *head, struct kend_outcome *outcome)
{
    if (head->has_range) return kend_piece_refuse(piece, outcome, KEN_EFETCH, "the server answered 200 with a Content-Range");
    piece->entry->no_ranges = true;
    piece->kind = KEND_PIECE_STREAM;
    piece->endless = !head->has_length;
    piece->end = head->has_length ? head->length : UINT64_MAX;
    if (piece->endless) return KEND_GO_ON;
    if (kend_piece_is_too_large(piece, head->length, outcome)) return KEND_REFUSE;
    kend_entry_open(piece->entry, head->length);
    return KEND_GO_ON;
}

static enum kend_verdict answer_probe(struct kend_piece *piece, const struct kend_head *head, struct kend_outcome *outcome)
{
    pthread_mutex_lock(&piece->entry->mutex);
    piece->entry->validators = head->validators;
    piece->share = kend_share_take(kend_share_find(piece->entry)); /* what it brings beyond what is waited for */
    pthread_mutex_unlock(&piece->entry->mutex);
    switch (head->status) {
    case 206: return begin_range(piece, head, outcome);
    case 200: return begin_stream(piece, head, outcome);
    case 416:
        if (head->has_total && head->total == 0) {
            kend_entry_open(piece->entry, 0);
            return kend_piece_enough(piece);
        }
        return kend_piece_refuse(piece, outcome, KEN_EFETCH, "the server answered 416 to a range that begins at 0");
    default: return kend_piece_refuse(piece, outcome, KEN_EFETCH, "the server answered 304 to a request without a condition");
    }
}

/* ---- answers for a file whose size is known */

/* The file is another than before. Once, it is fetched anew; what was read of it must come again. */
static enum kend_verdict start_anew(struct kend_piece *piece, const struct kend_head *head, uint64_t size, struct kend_outcome *outcome)
{
    struct kend_entry *entry = piece->entry;
    if (entry->anew || size != entry->size)
        return kend_piece_refuse(piece, outcome, KEN_EFETCH, "the file changed on the server while it was being fetched");
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
    piece->kind = KEND_PIECE_STREAM;
    piece->first = piece->written = piece->at = 0;
    piece->end = entry->size;
    for (unsigned i = 0; i < entry->piece_count; i++)
        if (entry->pieces[i] != piece) entry->pieces[i]->doomed = true;
    return KEND_GO_ON;
}

static enum kend_verdict answer_stream(struct kend_piece *piece, const struct kend_head *head, struct kend_outcome *outcome)
{
    if (head->status != 200 || head->has_range)
        return kend_piece_refuse(piece, outcome, KEN_EFETCH, "the server answered with a range where the whole was asked for");
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

/* A server may answer with less than was asked for, but not with so little that the file never comes to its end. */
static enum kend_verdict refuse_crumb(const struct kend_piece *piece, const struct kend_head *head, struct kend_outcome *outcome)
{
    ken_fail(&outcome->error, KEN_EFETCH, "%.240s: the server answered with %llu of the %llu bytes asked for", piece->entry->url.shown,
             (unsigned long long)(head->end - head->first), (unsigned long long)(piece->end - piece->first));
    outcome->may_pass = true;
    return KEND_REFUSE;
}

static enum kend_verdict answer_range(struct kend_piece *piece, const struct kend_head *head, struct kend_outcome *outcome)
{
    if (head->status == 200) return answer_whole(piece, head, outcome);
    if (head->status != 206)
        return kend_piece_refuse(piece, outcome, KEN_EFETCH,
                                 "the file changed on the server while it was being fetched: it has become shorter");
    if (!head->has_range || head->first != piece->at || head->end <= head->first || head->end > piece->end)
        return kend_piece_refuse(piece, outcome, KEN_EFETCH, "the server answered with another range than the one asked for");
    if (head->has_length && head->length != head->end - head->first)
        return kend_piece_refuse(piece, outcome, KEN_EFETCH, "Content-Length and Content-Range of the response contradict each other");
    if (head->end < piece->end && head->end - head->first < KEND_FIRST_BYTES) return refuse_crumb(piece, head, outcome);
    uint64_t size = head->has_total ? head->total : piece->entry->size;
    if (has_changed(piece, head) || size != piece->entry->size) {
        enum kend_verdict verdict = start_anew(piece, head, size, outcome);
        if (verdict != KEND_GO_ON) return verdict;
    }
    piece->end = head->end;
    return KEND_GO_ON;
}

enum kend_verdict kend_piece_answer(void *opaque, const struct kend_head *head, struct kend_outcome *outcome)
{
    struct kend_piece *piece = opaque;
    if (piece->doomed) return kend_piece_enough(piece);
    if (piece->conditional) return answer_condition(piece, head, outcome);
    switch (piece->kind) {
    case KEND_PIECE_PROBE: return answer_probe(piece, head, outcome);
    case KEND_PIECE_RANGE: return answer_range(piece, head, outcome);
    default: return answer_stream(piece, head, outcome);
    }
}
