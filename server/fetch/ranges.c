/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/ranges.h"

#include "array.h"

#include <stdlib.h>
#include <string.h>

/* Index of the first range that ends at or after `position`. */
static size_t lower(const struct kend_ranges *ranges, uint64_t position)
{
    size_t low = 0, high = ranges->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges->list[middle].end < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int make_room(struct kend_ranges *ranges)
{
    struct kend_range *list = ken_array_grow(ranges->list, ranges->count, &ranges->capacity, sizeof *list);
    if (!list) return KEN_ENOMEM;
    ranges->list = list;
    return 0;
}

int kend_ranges_add(struct kend_ranges *ranges, uint64_t first, uint64_t end)
{
    if (first >= end) return 0;
    size_t from = lower(ranges, first), to = from;
    while (to < ranges->count && ranges->list[to].first <= end) to++;
    if (from == to) {
        if (make_room(ranges)) return KEN_ENOMEM;
        memmove(ranges->list + from + 1, ranges->list + from, (ranges->count - from) * sizeof *ranges->list);
        ranges->list[from] = (struct kend_range){first, end};
        ranges->count++;
        ranges->total += end - first;
        return 0;
    }
    /* list[from .. to) touch or overlap it and become one. */
    struct kend_range joined = {first, end};
    if (ranges->list[from].first < joined.first) joined.first = ranges->list[from].first;
    if (ranges->list[to - 1].end > joined.end) joined.end = ranges->list[to - 1].end;
    for (size_t i = from; i < to; i++) ranges->total -= ranges->list[i].end - ranges->list[i].first;
    ranges->total += joined.end - joined.first;
    ranges->list[from] = joined;
    memmove(ranges->list + from + 1, ranges->list + to, (ranges->count - to) * sizeof *ranges->list);
    ranges->count -= to - from - 1;
    return 0;
}

uint64_t kend_ranges_reach(const struct kend_ranges *ranges, uint64_t from)
{
    size_t at = lower(ranges, from);
    /* Ranges never touch, so one that ends at `from` has nothing after it. */
    return at < ranges->count && ranges->list[at].first <= from ? ranges->list[at].end : from;
}

bool kend_ranges_hold(const struct kend_ranges *ranges, uint64_t first, uint64_t end)
{
    return first >= end || kend_ranges_reach(ranges, first) >= end;
}

bool kend_ranges_gap(const struct kend_ranges *ranges, uint64_t from, uint64_t limit, struct kend_range *gap)
{
    uint64_t first = kend_ranges_reach(ranges, from);
    if (first >= limit) return false;
    size_t next = lower(ranges, first);
    while (next < ranges->count && ranges->list[next].first < first) next++;
    uint64_t end = next < ranges->count && ranges->list[next].first < limit ? ranges->list[next].first : limit;
    *gap = (struct kend_range){first, end};
    return true;
}

void kend_ranges_clear(struct kend_ranges *ranges)
{
    free(ranges->list);
    *ranges = (struct kend_ranges){0};
}

int kend_ranges_copy(struct kend_ranges *copy, const struct kend_ranges *ranges)
{
    if (!ranges->count) return 0;
    copy->list = malloc(ranges->count * sizeof *copy->list);
    if (!copy->list) return KEN_ENOMEM;
    memcpy(copy->list, ranges->list, ranges->count * sizeof *copy->list);
    copy->count = copy->capacity = ranges->count;
    copy->total = ranges->total;
    return 0;
}

json_t *kend_ranges_to_json(const struct kend_ranges *ranges)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < ranges->count; i++) {
        json_t *one = json_pack("[I, I]", (json_int_t)ranges->list[i].first, (json_int_t)ranges->list[i].end);
        if (!one || json_array_append_new(list, one)) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static bool range_from_json(struct kend_range *range, const json_t *json)
{
    const json_t *first = json_array_get(json, 0), *end = json_array_get(json, 1);
    if (json_array_size(json) != 2 || !json_is_integer(first) || !json_is_integer(end)) return false;
    if (json_integer_value(first) < 0 || json_integer_value(end) <= json_integer_value(first)) return false;
    *range = (struct kend_range){(uint64_t)json_integer_value(first), (uint64_t)json_integer_value(end)};
    return true;
}

int kend_ranges_from_json(struct kend_ranges *ranges, const json_t *json, uint64_t limit)
{
    uint64_t after = 0;
    int code = json_is_array(json) ? 0 : KEN_EINVALID;
    for (size_t i = 0; !code && i < json_array_size(json); i++) {
        struct kend_range range;
        bool good = range_from_json(&range, json_array_get(json, i)) && range.end <= limit && (i == 0 || range.first > after);
        code = good ? kend_ranges_add(ranges, range.first, range.end) : KEN_EINVALID;
        if (good) after = range.end;
    }
    if (code) kend_ranges_clear(ranges);
    return code;
}
