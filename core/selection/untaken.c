/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/untaken.h"
#include "selection/kernel.h"
#include "selection/sort.h"

#include <math.h>

enum {
    LEAF = 16,       /* positions; divides the 64 of a word of the set */
    SHORT_RUN = 128, /* positions that are looked at one by one */
    SOON = 4         /* free ones that are looked at before all else */
};
#define NO_COLUMN UINT32_MAX

static size_t leaves_for(size_t n)
{
    size_t leaves = 1;
    while (leaves * LEAF < n) leaves *= 2;
    return leaves;
}

size_t ken_untaken_scratch(size_t n)
{
    return ken_freeset_words(n) * sizeof(uint64_t) + (2 * leaves_for(n) + (n + 1) / 2 * 2) * sizeof(uint32_t);
}

void ken_untaken_init(struct ken_untaken *untaken, const float *x, const uint64_t *entries, size_t n, const uint64_t *mask, void *scratch)
{
    uint64_t *words = scratch;
    *untaken = (struct ken_untaken){.x = x, .mask = mask, .entries = entries, .n = n, .leaves = leaves_for(n)};
    untaken->left.low = untaken->right.low = INFINITY; /* no run yet */
    ken_freeset_fill(&untaken->free, words, n);
    untaken->lowest = (uint32_t *)(words + ken_freeset_words(n));
    untaken->position = untaken->lowest + 2 * untaken->leaves;
}

static inline uint32_t key_at(const struct ken_untaken *untaken, size_t position)
{
    return (uint32_t)(untaken->entries[position] >> 32);
}

static inline uint32_t column_at(const struct ken_untaken *untaken, size_t position)
{
    return (uint32_t)untaken->entries[position];
}

static inline float value_at(const struct ken_untaken *untaken, size_t position)
{
    return ken_key_float(key_at(untaken, position));
}

static inline float distance_to(const struct ken_untaken *untaken, size_t position, float g)
{
    return fabsf(value_at(untaken, position) - g);
}

/* ---- the lowest free column of a range of positions: a tree of minima over the words of the set */

/* The free position of the lowest column among positions first to last of one leaf, or KEN_FREESET_NONE. */
static size_t lowest_in_leaf(const struct ken_untaken *untaken, size_t first, size_t last)
{
    uint64_t among = UINT64_MAX >> (63 - last % 64) & UINT64_MAX << (first % 64);
    uint32_t lowest = NO_COLUMN;
    size_t best = KEN_FREESET_NONE;
    for (uint64_t bits = untaken->free.level[0][first / 64] & among; bits; bits &= bits - 1) {
        size_t position = first / 64 * 64 + (size_t)__builtin_ctzll(bits);
        uint32_t column = column_at(untaken, position);
        best = column < lowest ? position : best;
        lowest = column < lowest ? column : lowest;
    }
    return best;
}

static uint32_t lowest_of_leaf(const struct ken_untaken *untaken, size_t leaf)
{
    size_t position = lowest_in_leaf(untaken, leaf * LEAF, leaf * LEAF + LEAF - 1);
    return position == KEN_FREESET_NONE ? NO_COLUMN : column_at(untaken, position);
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
        lowest[untaken->leaves + leaf] = leaf < used ? lowest_of_leaf(untaken, leaf) : NO_COLUMN;
    for (size_t node = untaken->leaves - 1; node > 0; node--) lowest[node] = lower_of(lowest[2 * node], lowest[2 * node + 1]);
    untaken->has_lowest = true;
}

void ken_untaken_lower(struct ken_untaken *untaken, size_t position)
{
    uint32_t *lowest = untaken->lowest;
    size_t node = untaken->leaves + position / LEAF;
    if (lowest[node] != column_at(untaken, position)) return;
    lowest[node] = lowest_of_leaf(untaken, position / LEAF);
    while (node > 1) {
        node /= 2;
        uint32_t least = lower_of(lowest[2 * node], lowest[2 * node + 1]);
        if (lowest[node] == least) break;
        lowest[node] = least;
    }
}

/* The free position of the column that a node of the tree tells. */
static size_t position_of_node(const struct ken_untaken *untaken, size_t node)
{
    const uint32_t *tree = untaken->lowest;
    uint32_t column = tree[node];
    while (node < untaken->leaves) node = tree[2 * node] == column ? 2 * node : 2 * node + 1;
    size_t position = (node - untaken->leaves) * LEAF;
    while (column_at(untaken, position) != column) position++;
    return position;
}

/* The node with the lowest column among those that make up the leaves [low, high); low < high. */
static size_t lowest_node(const struct ken_untaken *untaken, size_t low, size_t high)
{
    const uint32_t *tree = untaken->lowest;
    size_t best = low += untaken->leaves;
    for (high += untaken->leaves; low < high; low /= 2, high /= 2) {
        if (low & 1) {
            best = tree[low] < tree[best] ? low : best;
            low++;
        }
        if (high & 1) {
            high--;
            best = tree[high] < tree[best] ? high : best;
        }
    }
    return best;
}

static size_t lower_position(const struct ken_untaken *untaken, size_t a, size_t b)
{
    if (a == KEN_FREESET_NONE || b == KEN_FREESET_NONE) return a == KEN_FREESET_NONE ? b : a;
    return column_at(untaken, a) < column_at(untaken, b) ? a : b;
}

/* The free position of the lowest column of positions first to last, both inclusive; there is one. */
static size_t lowest_in_range(struct ken_untaken *untaken, size_t first, size_t last)
{
    if (!untaken->has_lowest) make_lowest(untaken);
    size_t low = first / LEAF, high = last / LEAF, best = KEN_FREESET_NONE;
    if (low == high) return lowest_in_leaf(untaken, first, last);
    if (first % LEAF) best = lowest_in_leaf(untaken, first, low++ * LEAF + LEAF - 1);
    if (last % LEAF != LEAF - 1)
        best = lower_position(untaken, best, lowest_in_leaf(untaken, high * LEAF, last));
    else
        high++;
    if (low == high) return best;
    size_t node = lowest_node(untaken, low, high);
    uint32_t column = untaken->lowest[node];
    if (best != KEN_FREESET_NONE && column_at(untaken, best) < column) return best;
    return position_of_node(untaken, node);
}

/* ---- ties: the run of positions whose rounded distance is the same. Distances do not fall with the way from g, so it is one run. */

/* From a position that is as far from g as `distance`, in one direction (1 or -1). */
struct run {
    const struct ken_untaken *untaken;
    size_t position;
    ptrdiff_t direction;
    float g, distance;
};

static bool reaches(const struct run *run, size_t length)
{
    return distance_to(run->untaken, (size_t)((ptrdiff_t)run->position + run->direction * (ptrdiff_t)length), run->g) == run->distance;
}

/* How many positions of the run lie behind its first one, of `room`. Looks first where the last run ended: that of the next grid point
 * often ends there too, or near. */
static size_t run_length(const struct run *run, size_t room, size_t last_edge)
{
    ptrdiff_t way = run->direction * ((ptrdiff_t)last_edge - (ptrdiff_t)run->position);
    size_t guess = way > 0 && (size_t)way < room ? (size_t)way : 0, inside = 0, outside = room, stride = 1;
    if (room == 0 || !reaches(run, 1)) return 0; /* as in most rows */
    if (reaches(run, room)) return room;
    bool is_inside = reaches(run, guess);
    *(is_inside ? &inside : &outside) = guess;
    for (; outside - inside > stride; stride *= 2) {
        size_t probe = is_inside ? inside + stride : outside - stride;
        bool is = reaches(run, probe);
        *(is ? &inside : &outside) = probe;
        if (is != is_inside) break;
    }
    while (outside - inside > 1) {
        size_t middle = inside + (outside - inside) / 2;
        *(reaches(run, middle) ? &inside : &outside) = middle;
    }
    return inside;
}

/* The last position >= `position` that is as far from g; position is on the right of g. */
static size_t run_end(struct ken_untaken *untaken, size_t position, float g, float distance)
{
    const struct run run = {untaken, position, 1, g, distance};
    untaken->right.edge = position + run_length(&run, untaken->n - 1 - position, untaken->right.edge);
    return untaken->right.edge;
}

/* The first position <= `position` that is as far from g; position is on the left of g. */
static size_t run_begin(struct ken_untaken *untaken, size_t position, float g, float distance)
{
    const struct run run = {untaken, position, -1, g, distance};
    untaken->left.edge = position - run_length(&run, position, untaken->left.edge);
    return untaken->left.edge;
}

/* The first position that has the value of `position`. */
static size_t first_of_value(const struct ken_untaken *untaken, size_t position)
{
    uint64_t least = untaken->entries[position] >> 32 << 32;
    size_t stride = 1, last = position;
    while (last >= stride && untaken->entries[last - stride] >= least) {
        last -= stride;
        stride *= 2;
    }
    return ken_entries_from(untaken->entries, last >= stride ? last - stride + 1 : 0, last, least);
}

/*
 * The position of the lowest free column in the run first..last, or KEN_FREESET_NONE if it is not found soon. One grid point after the
 * other meets the same run, with ever fewer free values: the search goes on where it ended, through columns that are not taken.
 */
static size_t lowest_by_cursor(struct ken_untaken *untaken, struct ken_untaken_cursor *cursor, size_t first, size_t last)
{
    float low = value_at(untaken, first), high = value_at(untaken, last);
    if (!(low >= cursor->low && high <= cursor->high)) cursor->column = 0;
    cursor->low = low;
    cursor->high = high;
    size_t column = ken_kernel()->lowest_between(untaken->x, untaken->mask, untaken->n, cursor->column, low, high);
    if (column == SIZE_MAX) return KEN_FREESET_NONE;
    cursor->column = column;
    if (!untaken->has_position) {
        for (size_t position = 0; position < untaken->n; position++) untaken->position[column_at(untaken, position)] = (uint32_t)position;
        untaken->has_position = true;
    }
    return untaken->position[column];
}

/* The position of the lowest free column in the run first..last: where all have one value, the first free one, as columns ascend. */
static size_t lowest_of_run(struct ken_untaken *untaken, struct ken_untaken_cursor *cursor, size_t first, size_t last)
{
    if (key_at(untaken, first) == key_at(untaken, last)) return ken_freeset_from(&untaken->free, first);
    if (last - first < SHORT_RUN) return ken_kernel()->lowest_free(untaken->entries, untaken->free.level[0], first, last);
    size_t position = lowest_by_cursor(untaken, cursor, first, last);
    return position != KEN_FREESET_NONE ? position : lowest_in_range(untaken, first, last);
}

/* Looks only at the next few free values, which most often are farther from g, and finds the lowest column among equal ones: the first of
 * them. KEN_FREESET_NONE where that does not settle it. */
static inline size_t best_soon_on_right(const struct ken_untaken *untaken, size_t right, float g, float distance)
{
    for (size_t next = right, looks = 0; looks < SOON && next + 1 < untaken->n; looks++) {
        next = ken_freeset_from(&untaken->free, next + 1);
        if (next == KEN_FREESET_NONE) return right;
        if (key_at(untaken, next) == key_at(untaken, right)) continue;
        return distance_to(untaken, next, g) != distance ? right : KEN_FREESET_NONE;
    }
    return KEN_FREESET_NONE;
}

static inline size_t best_soon_on_left(const struct ken_untaken *untaken, size_t left, float g, float distance)
{
    for (size_t first = left, looks = 0; looks < SOON && first > 0; looks++) {
        size_t next = ken_freeset_until(&untaken->free, first - 1);
        if (next == KEN_FREESET_NONE) return first;
        if (key_at(untaken, next) != key_at(untaken, left)) return distance_to(untaken, next, g) != distance ? first : KEN_FREESET_NONE;
        first = next;
    }
    return KEN_FREESET_NONE;
}

/* The free position with the lowest column among those as far from g as `right`, the first free one on that side. */
static inline size_t best_on_right(struct ken_untaken *untaken, size_t right, float g, float distance)
{
    if (ken_is_telling(distance, value_at(untaken, right))) return right;
    size_t best = best_soon_on_right(untaken, right, g, distance);
    return best != KEN_FREESET_NONE ? best : lowest_of_run(untaken, &untaken->right, right, run_end(untaken, right, g, distance));
}

/* As best_on_right(), with `left` the last free position on the left. */
static inline size_t best_on_left(struct ken_untaken *untaken, size_t left, float g, float distance)
{
    bool is_telling = ken_is_telling(distance, value_at(untaken, left));
    if (is_telling && (left == 0 || key_at(untaken, left - 1) != key_at(untaken, left))) return left;
    size_t best = best_soon_on_left(untaken, left, g, distance);
    if (best != KEN_FREESET_NONE) return best;
    if (is_telling) return ken_freeset_from(&untaken->free, first_of_value(untaken, left));
    return lowest_of_run(untaken, &untaken->left, run_begin(untaken, left, g, distance), left);
}

uint32_t ken_untaken_take(struct ken_untaken *untaken, float g, size_t start)
{
    size_t left = start > 0 ? ken_freeset_until(&untaken->free, start - 1) : KEN_FREESET_NONE;
    size_t right = start < untaken->n ? ken_freeset_from(&untaken->free, start) : KEN_FREESET_NONE, best;
    bool has_left = left != KEN_FREESET_NONE, has_right = right != KEN_FREESET_NONE;
    float left_distance = has_left ? distance_to(untaken, left, g) : INFINITY;
    float right_distance = has_right ? distance_to(untaken, right, g) : INFINITY; /* so may a real distance be */
    if (has_right && (!has_left || right_distance < left_distance)) {
        best = best_on_right(untaken, right, g, right_distance);
    } else if (!has_right || left_distance < right_distance) {
        best = best_on_left(untaken, left, g, left_distance);
    } else {
        best = best_on_right(untaken, right, g, right_distance);
        size_t other = best_on_left(untaken, left, g, left_distance);
        if (column_at(untaken, other) < column_at(untaken, best)) best = other;
    }
    return ken_untaken_take_at(untaken, best);
}
