/* SPDX-License-Identifier: Apache-2.0 */
#include "http/comparisons.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct kept_comparison {
    struct kend_comparison comparison; /* the first member: what users have */
    struct kend_compared_model here, there;
    unsigned users;
    bool kept; /* has a place; else it goes with its last user */
};

struct kend_comparisons {
    pthread_mutex_t lock;
    struct kept_comparison *place[KEND_COMPARISONS]; /* what was used last in front; NULLs behind */
};

int kend_comparisons_create(struct kend_comparisons **comparisons, struct ken_error *error)
{
    *comparisons = calloc(1, sizeof **comparisons);
    if (!*comparisons) return ken_fail(error, KEN_ENOMEM, "out of memory");
    pthread_mutex_init(&(*comparisons)->lock, NULL);
    return KEN_OK;
}

static void drop(struct kept_comparison *kept)
{
    kend_comparison_free(&kept->comparison);
    free(kept);
}

void kend_comparisons_destroy(struct kend_comparisons **comparisons)
{
    if (!*comparisons) return;
    for (size_t i = 0; i < KEND_COMPARISONS && (*comparisons)->place[i]; i++) {
        KEN_ASSERT(!(*comparisons)->place[i]->users);
        drop((*comparisons)->place[i]);
    }
    pthread_mutex_destroy(&(*comparisons)->lock);
    free(*comparisons);
    *comparisons = NULL;
}

static bool same_model(const struct kend_compared_model *a, const struct kend_compared_model *b)
{
    return strcmp(a->job, b->job) == 0 && strcmp(a->variant, b->variant) == 0;
}

/* Puts one in front of all at the places before `end`. */
static void put_first(struct kend_comparisons *comparisons, struct kept_comparison *kept, size_t end)
{
    memmove(comparisons->place + 1, comparisons->place, end * sizeof *comparisons->place);
    comparisons->place[0] = kept;
}

const struct kend_comparison *kend_comparisons_find(struct kend_comparisons *comparisons, const struct kend_comparing *comparing)
{
    struct kept_comparison *found = NULL;
    pthread_mutex_lock(&comparisons->lock);
    for (size_t i = 0; !found && i < KEND_COMPARISONS && comparisons->place[i]; i++) {
        struct kept_comparison *kept = comparisons->place[i];
        if (!same_model(&kept->here, &comparing->here) || !same_model(&kept->there, &comparing->there)) continue;
        found = kept;
        found->users++;
        put_first(comparisons, found, i);
    }
    pthread_mutex_unlock(&comparisons->lock);
    return found ? &found->comparison : NULL;
}

static void give_place_up(struct kend_comparisons *comparisons, size_t place)
{
    struct kept_comparison *kept = comparisons->place[place];
    comparisons->place[place] = NULL;
    kept->kept = false;
    if (!kept->users) drop(kept);
}

/* Of those that are kept, the ones used last stay as long as all have room. */
static void make_room(struct kend_comparisons *comparisons)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < KEND_COMPARISONS && comparisons->place[i]; i++) {
        bytes += comparisons->place[i]->comparison.arena.used;
        if (bytes > KEND_COMPARISONS_BYTES) give_place_up(comparisons, i); /* and all behind it */
    }
}

const struct kend_comparison *kend_comparisons_keep(struct kend_comparisons *comparisons, const struct kend_comparing *comparing,
                                                    struct kend_comparison *comparison)
{
    struct kept_comparison *kept = malloc(sizeof *kept);
    if (!kept) return NULL;
    *kept = (struct kept_comparison){*comparison, comparing->here, comparing->there, 1, true};
    *comparison = (struct kend_comparison){0};
    pthread_mutex_lock(&comparisons->lock);
    if (comparisons->place[KEND_COMPARISONS - 1]) give_place_up(comparisons, KEND_COMPARISONS - 1);
    put_first(comparisons, kept, KEND_COMPARISONS - 1);
    make_room(comparisons);
    pthread_mutex_unlock(&comparisons->lock);
    return &kept->comparison;
}

void kend_comparisons_give_back(struct kend_comparisons *comparisons, const struct kend_comparison *comparison)
{
    struct kept_comparison *kept = (struct kept_comparison *)(uintptr_t)comparison;
    pthread_mutex_lock(&comparisons->lock);
    const bool last = --kept->users == 0 && !kept->kept;
    pthread_mutex_unlock(&comparisons->lock);
    if (last) drop(kept);
}
