/* SPDX-License-Identifier: Apache-2.0 */
#include "untaken.h"
#include "sort.h"

#include <math.h>

enum { LEAF = 16 }; /* positions; divides the 64 of a word of the set */
#define NO_COLUMN UINT32_MAX

static size_t leaves_for(size_t n)
{
    size_t leaves = 1;
    while (leaves * LEAF < n) leaves *= 2;
    return leaves;
}

size_t ken_untaken_scratch(size_t n)
{
    return ken_freeset_words(n) * sizeof(uint64_t) + 2 * leaves_for(n) * sizeof(uint32_t);
}

void ken_untaken_init(struct ken_untaken *untaken, const float *x, const uint64_t *entries, size_t n, void *scratch)
{
    uint64_t *words = scratch;
    *untaken = (struct ken_untaken){.x = x, .entries = entries, .n = n, .leaves = leaves_for(n)};
    ken_freeset_fill(&untaken->free, words, n);
    untaken->lowest = (uint32_t *)(words + ken_freeset_words(n));
}

static inline uint32_t key_at(const struct ken_untaken *untaken, size_t position)
{
    return (uint32_t)(untaken->entries[position] >> 32);
}

static inline float distance_to(const struct ken_untaken *untaken, size_t position, float g)
{
    return fabsf(ken_key_float(key_at(untaken, position)) - g);
}

/* ---- the lowest free column of a range of positions: a tree of minima over the words of the set */

/* Lowest column among the free positions from + leaf * LEAF to until + leaf * LEAF, 0 <= from <= until < LEAF. */
static uint32_t lowest_in_leaf(const struct ken_untaken *untaken, size_t leaf, size_t from, size_t until)
{
    size_t first = leaf * LEAF;
    uint64_t among = (UINT64_MAX >> (63 - until) & UINT64_MAX << from) << (first % 64);
    uint32_t lowest = NO_COLUMN;
    for (uint64_t bits = untaken->free.level[0][first / 64] & among; bits; bits &= bits - 1) {
        uint32_t column = (uint32_t)untaken->entries[first / 64 * 64 + (size_t)__builtin_ctzll(bits)];
        lowest = column < lowest ? column : lowest;
    }
    return lowest;
}

static inline uint32_t lower_of(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void make_lowest(struct ken_untaken *untaken)
{
    uint32_t *lowest = untaken->lowest;
    size_t used = (untaken->n + LEAF - 1) / LEAF;
    for (size_t leaf = 0; leaf < untaken->leaves; leaf++)
        lowest[untaken->leaves + leaf] = leaf < used ? lowest_in_leaf(untaken, leaf, 0, LEAF - 1) : NO_COLUMN;
    for (size_t node = untaken->leaves - 1; node > 0; node--) lowest[node] = lower_of(lowest[2 * node], lowest[2 * node + 1]);
    untaken->has_lowest = true;
}

static void update_lowest(struct ken_untaken *untaken, size_t position)
{
    uint32_t *lowest = untaken->lowest;
    size_t node = untaken->leaves + position / LEAF;
    if (lowest[node] != (uint32_t)untaken->entries[position]) return;
    lowest[node] = lowest_in_leaf(untaken, position / LEAF, 0, LEAF - 1);
    while (node > 1) {
        node /= 2;
        uint32_t least = lower_of(lowest[2 * node], lowest[2 * node + 1]);
        if (lowest[node] == least) break;
        lowest[node] = least;
    }
}

/* Lowest free column of positions first to last, both inclusive. */
static uint32_t lowest_in_range(struct ken_untaken *untaken, size_t first, size_t last)
{
    if (!untaken->has_lowest) make_lowest(untaken);
    const uint32_t *tree = untaken->lowest;
    size_t low = first / LEAF, high = last / LEAF;
    if (low == high) return lowest_in_leaf(untaken, low, first % LEAF, last % LEAF);
    uint32_t lowest = NO_COLUMN;
    if (first % LEAF) lowest = lowest_in_leaf(untaken, low++, first % LEAF, LEAF - 1);
    if (last % LEAF != LEAF - 1)
        lowest = lower_of(lowest, lowest_in_leaf(untaken, high, 0, last % LEAF));
    else
        high++;
    low += untaken->leaves;
    for (high += untaken->leaves; low < high; low /= 2, high /= 2) { /* the leaves [low, high), then the nodes above them */
        if (low & 1) lowest = lower_of(lowest, tree[low++]);
        if (high & 1) lowest = lower_of(lowest, tree[--high]);
    }
    return lowest;
}

/* ---- ties: the run of positions whose rounded distance is the same. Distances do not fall with the way from g, so it is one run. */

/* Between `inside`, as far from g as `distance`, and `outside`, which is not: the last one inside. */
static size_t run_edge(const struct ken_untaken *untaken, size_t inside, size_t outside, float g, float distance)
{
    while (inside + 1 != outside && outside + 1 != inside) {
        size_t middle = inside < outside ? inside + (outside - inside) / 2 : outside + (inside - outside) / 2;
        if (distance_to(untaken, middle, g) == distance)
            inside = middle;
        else
            outside = middle;
    }
    return inside;
}

/* The last position >= `position` that is as far from g; position is on the right of g. */
static size_t run_end(const struct ken_untaken *untaken, size_t position, float g, float distance)
{
    if (distance_to(untaken, untaken->n - 1, g) == distance) return untaken->n - 1;
    for (size_t stride = 1; position + 1 < untaken->n; stride *= 2) {
        size_t probe = untaken->n - position > stride ? position + stride : untaken->n - 1;
        if (distance_to(untaken, probe, g) != distance) return run_edge(untaken, position, probe, g, distance);
        position = probe;
    }
    return position;
}

/* The first position <= `position` that is as far from g; position is on the left of g. */
static size_t run_begin(const struct ken_untaken *untaken, size_t position, float g, float distance)
{
    if (distance_to(untaken, 0, g) == distance) return 0;
    for (size_t stride = 1; position > 0; stride *= 2) {
        size_t probe = position > stride ? position - stride : 0;
        if (distance_to(untaken, probe, g) != distance) return run_edge(untaken, position, probe, g, distance);
        position = probe;
    }
    return position;
}

/* The position of the lowest free column in the run first..last: where all have one value, the first free one, as columns ascend. */
static size_t lowest_of_run(struct ken_untaken *untaken, size_t first, size_t last)
{
    if (key_at(untaken, first) == key_at(untaken, last)) return ken_freeset_from(&untaken->free, first);
    uint32_t column = lowest_in_range(untaken, first, last);
    return ken_entries_from(untaken->entries, first, last, ken_entry(ken_float_key(untaken->x[column]), column));
}

uint32_t ken_untaken_take(struct ken_untaken *untaken, float g, size_t start)
{
    size_t left = start > 0 ? ken_freeset_until(&untaken->free, start - 1) : KEN_FREESET_NONE;
    size_t right = start < untaken->n ? ken_freeset_from(&untaken->free, start) : KEN_FREESET_NONE;
    bool has_left = left != KEN_FREESET_NONE, has_right = right != KEN_FREESET_NONE;
    float left_distance = has_left ? distance_to(untaken, left, g) : INFINITY;
    float right_distance = has_right ? distance_to(untaken, right, g) : INFINITY; /* so may a real distance be */
    size_t best = KEN_FREESET_NONE;
    if (has_right && !(has_left && left_distance < right_distance))
        best = lowest_of_run(untaken, right, run_end(untaken, right, g, right_distance));
    if (has_left && !(has_right && right_distance < left_distance)) {
        size_t other = lowest_of_run(untaken, run_begin(untaken, left, g, left_distance), left);
        if (best == KEN_FREESET_NONE || (uint32_t)untaken->entries[other] < (uint32_t)untaken->entries[best]) best = other;
    }
    ken_freeset_remove(&untaken->free, best);
    if (untaken->has_lowest) update_lowest(untaken, best);
    return (uint32_t)untaken->entries[best];
}
