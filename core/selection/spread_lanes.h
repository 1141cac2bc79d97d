/* SPDX-License-Identifier: Apache-2.0 */
/* Spreading, in the order of operations that all kernels share: every file that includes this has it compiled for its instruction set. */
#ifndef KEN_SPREAD_LANES_H
#define KEN_SPREAD_LANES_H

#include "selection/exponential.h"
#include "selection/spread.h"
#include "selection/arrangement.h"

#include <string.h>

/*
 * exp(-(spacing j)^2) for j = -17 to 18, and four zeros to make lanes. What depends on the place between two nodes is a geometric sequence
 * in j.
 */
static const double ken_spread_profile[KEN_SPREAD_LANES] = {
    0x1.38f2cee171661p-67, 0x1.e01b4dc58b38bp-60, 0x1.0b6c3afdde051p-52, 0x1.b0a877956b90bp-46, 0x1.fc4bde5e39859p-40,
    0x1.b1a02a0225246p-34, 0x1.0c9ec5ad0c54bp-28, 0x1.e355bbaee85bcp-24, 0x1.3bc1de4d10024p-19, 0x1.2b94c2b893410p-15,
    0x1.9ccaba7b21826p-12, 0x1.9d05c285d1a71p-9,  0x1.2c155b8213cf2p-6,  0x1.3ca3e54079d19p-4,  0x1.e53a61786f311p-3,
    0x1.0df945c9630cep-1,  0x1.b44c30d232e50p-1,  0x1.0000000000000p+0,  0x1.b44c30d232e50p-1,  0x1.0df945c9630cep-1,
    0x1.e53a61786f311p-3,  0x1.3ca3e54079d19p-4,  0x1.2c155b8213cf2p-6,  0x1.9d05c285d1a71p-9,  0x1.9ccaba7b21826p-12,
    0x1.2b94c2b893410p-15, 0x1.3bc1de4d10024p-19, 0x1.e355bbaee85bcp-24, 0x1.0c9ec5ad0c54bp-28, 0x1.b1a02a0225246p-34,
    0x1.fc4bde5e39859p-40, 0x1.b0a877956b90bp-46, 0x1.0b6c3afdde051p-52, 0x1.e01b4dc58b38bp-60, 0x1.38f2cee171661p-67,
    0x1.2840eeb0c308ep-75,
};

struct spread_place {
    v8d factor;    /* of eight nodes */
    double *first; /* the first of the nodes */
    double ratio;  /* from eight nodes to the next eight */
};

static inline void find_place(struct spread_place *place, const struct ken_spread *spread, double x)
{
    double position = (x - spread->origin) * spread->per_node;
    size_t left = (size_t)position;
    double between = position - (double)left, squared = KEN_SPREAD_SPACING * KEN_SPREAD_SPACING;
    /* exp(-S^2 (between - j)^2) = exp(-S^2 between^2) exp(2 S^2 between)^j exp(-S^2 j^2), from j = -17 on */
    double r = 1 + ken_exp_minus_one(2 * squared * between), inverse = 1 / r;
    double inverse2 = inverse * inverse, inverse4 = inverse2 * inverse2, inverse8 = inverse4 * inverse4;
    double start = (1 + ken_exp_minus_one(-squared * between * between)) * (inverse8 * inverse8 * inverse);
    double r2 = r * r, r3 = r2 * r, r4 = r2 * r2;
    place->first = spread->node + left;
    place->factor = start * (v8d){1, r, r2, r3, r4, r4 * r, r4 * r2, r4 * r3};
    place->ratio = r4 * r4;
}

static void spread_values(const struct ken_spread *spread, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct spread_place at;
        find_place(&at, spread, (double)x[i]);
        for (size_t j = 0; j < KEN_SPREAD_LANES; j += 8) {
            v8d node, profile;
            memcpy(&node, at.first + j, sizeof node);
            memcpy(&profile, ken_spread_profile + j, sizeof profile);
            node += at.factor * profile;
            memcpy(at.first + j, &node, sizeof node);
            at.factor *= at.ratio;
        }
    }
}

static double spread_at(const struct ken_spread *spread, double g)
{
    struct spread_place at;
    v8d sums = {0};
    find_place(&at, spread, g);
    for (size_t j = 0; j < KEN_SPREAD_LANES; j += 8) {
        v8d node, profile;
        memcpy(&node, at.first + j, sizeof node);
        memcpy(&profile, ken_spread_profile + j, sizeof profile);
        sums += node * (at.factor * profile);
        at.factor *= at.ratio;
    }
    double lanes[KEN_LANES];
    memcpy(lanes, &sums, sizeof lanes);
    return ken_lanes_sum(lanes) * spread->factor;
}

#endif
