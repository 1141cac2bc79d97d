/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/spread.h"
#include "error.h"
#include "selection/kernel.h"

#include <string.h>

enum { CHUNK = 1 << 16 };
#define ROOT_OF_TWO_OVER_PI 0x1.9884533d43651p-1

static size_t most_nodes(size_t n)
{
    return (size_t)(ken_density_widest(n) / KEN_SPREAD_SPACING) + KEN_SPREAD_LANES + 2;
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
        ken_kernel()->spread(spread, density->x + first, density->n - first < CHUNK ? density->n - first : CHUNK);
        for (size_t i = 0; i < spread->nodes; i++) total[i] += chunk[i];
    }
    spread->node = total;
}

void ken_spread_init(struct ken_spread *spread, const struct ken_density *density, void *scratch)
{
    double *node = scratch, per_node = 1 / (KEN_SPREAD_SPACING * density->h), last = (density->max - density->min) * per_node;
    size_t n = density->n;
    *spread = (struct ken_spread){.origin = density->min, .per_node = per_node, .node = node, .nodes = (size_t)last + KEN_SPREAD_LANES + 1};
    KEN_ASSERT(spread->nodes <= most_nodes(n));
    spread->factor = KEN_SPREAD_SPACING * ROOT_OF_TWO_OVER_PI * density->weight;
    size_t longest_sum = n <= CHUNK ? n : CHUNK + n / CHUNK;
    spread->bound = 2e-13 + 0x1p-53 * (double)longest_sum + 0x1p-49 * last;
    memset(node, 0, spread->nodes * sizeof *node);
    if (n <= CHUNK)
        ken_kernel()->spread(spread, density->x, n);
    else
        spread_in_chunks(spread, density, node + most_nodes(n));
}
