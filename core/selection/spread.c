/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/spread.h"
#include "error.h"
#include "selection/exponential.h"
#include "selection/pair.h"

#include <string.h>

/*
 * Distance of nodes: 0.4 h, whose trapezoidal sum has a relative error of 2 exp(-pi^2 / (2 * 0.4^2)) = 8e-14. Reach: the 36 nearest nodes,
 * so that all beyond 18 * 0.4 h = 7.2 h are left out: 3 exp(-7.2^2) = 9e-23 of a value.
 */
#define SPACING 0.4
enum { REACH = 36, CHUNK = 1 << 16 };
#define ROOT_OF_TWO_OVER_PI 0x1.9884533d43651p-1

/* exp(-(SPACING j)^2) for j = -17 to 18, and what of it depends on the place between two nodes is a geometric sequence in j. */
static const double profile[REACH] = {
    0x1.38f2cee171661p-67, 0x1.e01b4dc58b38bp-60, 0x1.0b6c3afdde051p-52, 0x1.b0a877956b90bp-46, 0x1.fc4bde5e39859p-40,
    0x1.b1a02a0225246p-34, 0x1.0c9ec5ad0c54bp-28, 0x1.e355bbaee85bcp-24, 0x1.3bc1de4d10024p-19, 0x1.2b94c2b893410p-15,
    0x1.9ccaba7b21826p-12, 0x1.9d05c285d1a71p-9,  0x1.2c155b8213cf2p-6,  0x1.3ca3e54079d19p-4,  0x1.e53a61786f311p-3,
    0x1.0df945c9630cep-1,  0x1.b44c30d232e50p-1,  0x1.0000000000000p+0,  0x1.b44c30d232e50p-1,  0x1.0df945c9630cep-1,
    0x1.e53a61786f311p-3,  0x1.3ca3e54079d19p-4,  0x1.2c155b8213cf2p-6,  0x1.9d05c285d1a71p-9,  0x1.9ccaba7b21826p-12,
    0x1.2b94c2b893410p-15, 0x1.3bc1de4d10024p-19, 0x1.e355bbaee85bcp-24, 0x1.0c9ec5ad0c54bp-28, 0x1.b1a02a0225246p-34,
    0x1.fc4bde5e39859p-40, 0x1.b0a877956b90bp-46, 0x1.0b6c3afdde051p-52, 0x1.e01b4dc58b38bp-60, 0x1.38f2cee171661p-67,
    0x1.2840eeb0c308ep-75,
};

struct place {
    double *first;      /* the first of REACH nodes */
    ken_pair even, odd; /* factors of nodes 0 and 1, of nodes 2 and 3: two short chains of products instead of a long one */
    ken_pair ratio;     /* from each four nodes to the next */
};

static inline struct place place_of(const struct ken_spread *spread, double x)
{
    double position = (x - spread->origin) * spread->per_node;
    size_t left = (size_t)position;
    double between = position - (double)left;
    /* exp(-S^2 (between - j)^2) = exp(-S^2 between^2) exp(2 S^2 between)^j exp(-S^2 j^2), from j = -17 on */
    double ratio = 1 + ken_exp_minus_one(2 * SPACING * SPACING * between), inverse = 1 / ratio;
    double inverse2 = inverse * inverse, inverse4 = inverse2 * inverse2, inverse8 = inverse4 * inverse4;
    double start = (1 + ken_exp_minus_one(-(SPACING * SPACING) * between * between)) * (inverse8 * inverse8 * inverse);
    double square = ratio * ratio;
    ken_pair even = {start, start * ratio};
    return (struct place){spread->node + left, even, even * ken_pair_of(square), ken_pair_of(square * square)};
}

static void spread_values(const struct ken_spread *spread, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct place at = place_of(spread, (double)x[i]);
        for (size_t j = 0; j < REACH; j += 4) {
            double *node = at.first + j;
            ken_pair_store(node, ken_pair_load(node) + at.even * ken_pair_load(profile + j));
            ken_pair_store(node + 2, ken_pair_load(node + 2) + at.odd * ken_pair_load(profile + j + 2));
            at.even *= at.ratio;
            at.odd *= at.ratio;
        }
    }
}

double ken_spread_at(const struct ken_spread *spread, double g)
{
    struct place at = place_of(spread, g);
    ken_pair even = ken_pair_of(0), odd = even;
    for (size_t j = 0; j < REACH; j += 4) {
        even += ken_pair_load(at.first + j) * (at.even * ken_pair_load(profile + j));
        odd += ken_pair_load(at.first + j + 2) * (at.odd * ken_pair_load(profile + j + 2));
        at.even *= at.ratio;
        at.odd *= at.ratio;
    }
    ken_pair sum = even + odd;
    return (sum[0] + sum[1]) * spread->factor;
}

static size_t most_nodes(size_t n)
{
    return (size_t)(ken_density_widest(n) / SPACING) + REACH + 2;
}

size_t ken_spread_scratch(size_t n)
{
    return most_nodes(n) * 2 * sizeof(double);
}

/* Adds at most 65536 values to a node before adding up such sums, so that the rounding of long sums stays below 2^-36. */
static void spread_in_chunks(struct ken_spread *spread, const struct ken_density *density, double *chunk)
{
    double *total = spread->node;
    for (size_t first = 0; first < density->n; first += CHUNK) {
        memset(chunk, 0, spread->nodes * sizeof *chunk);
        spread->node = chunk;
        spread_values(spread, density->x + first, density->n - first < CHUNK ? density->n - first : CHUNK);
        for (size_t i = 0; i < spread->nodes; i++) total[i] += chunk[i];
    }
    spread->node = total;
}

void ken_spread_init(struct ken_spread *spread, const struct ken_density *density, void *scratch)
{
    double *node = scratch, per_node = 1 / (SPACING * density->h), last = (density->max - density->min) * per_node;
    size_t n = density->n;
    *spread = (struct ken_spread){.origin = density->min, .per_node = per_node, .node = node, .nodes = (size_t)last + REACH + 1};
    KEN_ASSERT(spread->nodes <= most_nodes(n));
    spread->factor = SPACING * ROOT_OF_TWO_OVER_PI * density->weight;
    size_t longest_sum = n <= CHUNK ? n : CHUNK + n / CHUNK;
    spread->bound = 2e-13 + 0x1p-53 * (double)longest_sum + 0x1p-49 * last;
    memset(node, 0, spread->nodes * sizeof *node);
    if (n <= CHUNK)
        spread_values(spread, density->x, n);
    else
        spread_in_chunks(spread, density, node + most_nodes(n));
}
