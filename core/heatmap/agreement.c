/* SPDX-License-Identifier: Apache-2.0 */
#include "heatmap/agreement.h"

#include "heatmap/kept.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 20, PIECE_BYTES = PIECE / 8 + KEN_BITS_SLACK };

double ken_agreement_jaccard(const struct ken_agreement *agreement)
{
    const uint64_t either = agreement->both + agreement->only_here + agreement->only_there;
    return either ? (double)agreement->both / (double)either : 1;
}

void ken_agreement_add(struct ken_agreement *sum, const struct ken_agreement *agreement)
{
    sum->both += agreement->both;
    sum->only_here += agreement->only_here;
    sum->only_there += agreement->only_there;
    sum->neither += agreement->neither;
}

void ken_agreement_add_bits(struct ken_agreement *sum, const unsigned char *here, const unsigned char *there, uint64_t from, uint64_t to)
{
    uint64_t both = 0, in_here = 0, in_there = 0;
    for (uint64_t at = from; at < to;) {
        const uint64_t shift = at % 8, most = 64 - shift, count = to - at < most ? to - at : most;
        uint64_t a, b, wanted = count == 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1;
        memcpy(&a, here + at / 8, sizeof a); /* little-endian; KEN_BITS_SLACK is behind */
        memcpy(&b, there + at / 8, sizeof b);
        a = a >> shift & wanted;
        b = b >> shift & wanted;
        both += (uint64_t)__builtin_popcountll(a & b);
        in_here += (uint64_t)__builtin_popcountll(a);
        in_there += (uint64_t)__builtin_popcountll(b);
        at += count;
    }
    sum->both += both;
    sum->only_here += in_here - both;
    sum->only_there += in_there - both;
    sum->neither += to - from + both - in_here - in_there;
}

/* ---- whole tensors */

struct side {
    struct ken_kept *kept;
    unsigned char bits[PIECE_BYTES];
};

static int begin(struct side *side, const struct ken_masked *masked, struct ken_error *error)
{
    int code = ken_kept_create(&side->kept, masked->cells, masked->tensor, masked->delta, error);
    return code ? code : ken_kept_jump(side->kept, 0, error);
}

static int take(struct side *side, uint64_t count, struct ken_error *error)
{
    memset(side->bits, 0, sizeof side->bits);
    return ken_kept_take(side->kept, count, side->bits, NULL, error);
}

int ken_agreement_count(struct ken_agreement *agreement, const struct ken_masked *here, const struct ken_masked *there,
                        const struct ken_interrupt *interrupt, struct ken_error *error)
{
    const uint64_t elements = here->tensor->shape.rows * here->tensor->shape.n;
    struct side *sides = calloc(2, sizeof *sides);
    *agreement = (struct ken_agreement){0};
    int code = sides ? begin(&sides[0], here, error) : ken_fail(error, KEN_ENOMEM, "out of memory for a comparison");
    if (!code) code = begin(&sides[1], there, error);
    for (uint64_t done = 0, count; !code && done < elements; done += count) {
        count = elements - done < PIECE ? elements - done : PIECE;
        if (interrupt->cancelled && interrupt->cancelled(interrupt->opaque)) code = ken_fail(error, KEN_ECANCELLED, "cancelled");
        if (!code) code = take(&sides[0], count, error);
        if (!code) code = take(&sides[1], count, error);
        if (!code) ken_agreement_add_bits(agreement, sides[0].bits, sides[1].bits, 0, count);
    }
    for (size_t i = 0; sides && i < 2; i++) ken_kept_free(&sides[i].kept);
    free(sides);
    return code;
}
