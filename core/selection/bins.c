/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/bins.h"
#include "selection/kernel.h"
#include "selection/lagrange.h"

#include <math.h>
#include <string.h>

enum {
    NODES = KEN_BINS_NODES,
    BEFORE = NODES / 2 - 1, /* nodes of an interpolation before the one at the left of a value */
    MOST_PER_NODE = 1024,
    MARGIN = 32,        /* more values and weights than are used, so that kernels can go on to the end of a vector */
    ENOUGH_ROOM = 12288 /* nodes: more are not made room for unless they are few beside n */
};

struct precision {
    double nodes;     /* per bandwidth, at least */
    double reach;     /* bandwidths: where the Gaussian is cut */
    double remainder; /* what it has fallen to there */
    double uncertain; /* grid points that may be expected to stay so before it pays to place the nodes closer: each costs a sum in full */
};
static const struct precision precisions[] = {
    {6, 5.6, 1.56e-7, 0.05}, {8, 6.1, 8.4e-9, 0.05}, {12, 7.0, 2.3e-11, 0.5}, {15, 7.2, 5.6e-12, 0.5}, {20, 7.5, 6.2e-13, INFINITY}};
enum { PRECISIONS = sizeof precisions / sizeof *precisions };

/* ---- the parts of the scratch */

struct layout {
    double *between; /* [per_node, NODES] */
    double *powers;  /* [nodes, NODES] */
    double *weights; /* [nodes + NODES - 1 + MARGIN] */
    double *values;  /* [nodes + NODES - 1 + 2 taps + MARGIN] */
    double *profile; /* [2 taps + 1], with zeros around it */
    size_t nodes, taps;
};

/* Nodes that a row of n values may have. */
static size_t room_for(size_t n)
{
    size_t most = (size_t)(ken_density_widest(n) * precisions[PRECISIONS - 1].nodes) * 2 + 64, proportional = n / 26;
    if (most < ENOUGH_ROOM) return most;
    return proportional > ENOUGH_ROOM ? proportional : ENOUGH_ROOM;
}

static size_t up_to_lines(size_t doubles)
{
    return (doubles + 7) / 8 * 8;
}

size_t ken_bins_scratch(size_t n)
{
    return (room_for(n) * (NODES + 2) + (size_t)MOST_PER_NODE * NODES + 1024) * sizeof(double) / 64 * 64;
}

static bool lay_out(struct layout *layout, size_t nodes, size_t taps, size_t per_node, size_t bytes, double *scratch)
{
    layout->nodes = nodes;
    layout->taps = taps;
    layout->between = scratch;
    layout->powers = layout->between + per_node * NODES;
    layout->weights = layout->powers + nodes * NODES;
    layout->values = layout->weights + up_to_lines(nodes + NODES - 1 + MARGIN);
    layout->profile = layout->values + up_to_lines(nodes + NODES - 1 + 2 * taps + MARGIN) + KEN_CONVOLVE_PADDING;
    return (size_t)(layout->profile + 2 * taps + 1 + KEN_CONVOLVE_PADDING - scratch) * sizeof *scratch <= bytes;
}

/* ---- values to nodes, nodes to nodes, nodes to grid points */

static void convolve(const struct layout *layout, double spacing, double scale)
{
    size_t taps = layout->taps, width = 2 * taps + 1;
    const struct ken_kernel *kernel = ken_kernel();
    memset(layout->weights + layout->nodes + NODES - 1, 0, MARGIN * sizeof *layout->weights);
    kernel->weigh(layout->weights, layout->powers, layout->nodes, scale);
    kernel->gaussian(layout->profile + taps, taps, spacing);
    for (size_t t = 1; t <= taps; t++) layout->profile[taps - t] = layout->profile[taps + t];
    memset(layout->profile - KEN_CONVOLVE_PADDING, 0, KEN_CONVOLVE_PADDING * sizeof *layout->profile);
    memset(layout->profile + width, 0, KEN_CONVOLVE_PADDING * sizeof *layout->profile);
    memset(layout->values, 0, (layout->nodes + NODES - 1 + 2 * taps + MARGIN) * sizeof *layout->values);
    kernel->convolve(layout->values, layout->weights, layout->nodes + NODES - 1, layout->profile, width);
}

static void weigh_between(const struct layout *layout, size_t per_node)
{
    for (size_t i = 0; i < per_node; i++) {
        double powers[NODES] = {1}, v = (double)i / (double)per_node - 0.5;
        for (int p = 1; p < NODES; p++) powers[p] = powers[p - 1] * v;
        ken_lagrange_weights(layout->between + i * NODES, powers, 1);
    }
}

/* Where the nodes stand. */
struct spacing {
    double distance, bandwidths; /* from one to the next */
    size_t per_node, per_point, nodes, taps;
    double bound; /* of the error, as a part of c */
};

/* False where there would be more nodes than there is room for. */
static bool space(struct spacing *spacing, const struct ken_density *density, const struct ken_grid *grid,
                  const struct precision *precision)
{
    double h = density->h, range = density->max - density->min, widest = h / precision->nodes, ratio = grid->step / widest;
    double room = (double)room_for(density->n), largest = fmax(fabs(density->min), fabs(density->max));
    if (range / widest > room || ratio > room) return false;
    spacing->per_point = ratio > 1 ? (size_t)ceil(ratio) : 1;
    spacing->per_node = ratio > 1 ? 1 : ratio * MOST_PER_NODE < 1 ? MOST_PER_NODE : (size_t)(1 / ratio);
    spacing->distance = grid->step * (double)spacing->per_node / (double)spacing->per_point;
    spacing->bandwidths = spacing->distance / h;
    spacing->nodes = (size_t)(range / spacing->distance) + 3;
    spacing->taps = (size_t)ceil(precision->reach / spacing->bandwidths);
    /*
     * Interpolating twice, 0.233 spacing^8 each, the second time on values with the error of the first; cutting the Gaussian; rounding, of
     * grid points too, which are where they were rounded to.
     */
    double squared = spacing->bandwidths * spacing->bandwidths, fourth = squared * squared;
    spacing->bound = 0.233 * 2.5 * fourth * fourth + 2.25 * precision->remainder + 1e-12 + 0x1p-51 * largest / h;
    return true;
}

/* The widest spacing that leaves few grid points uncertain, or else the closest. */
static bool choose_spacing(struct spacing *chosen, const struct ken_density *density, const struct ken_grid *grid)
{
    double c = density->weight * (double)density->n;
    bool any = false;
    for (size_t i = 0; i < PRECISIONS; i++) {
        struct spacing spacing;
        if (!space(&spacing, density, grid, &precisions[i])) break;
        *chosen = spacing;
        any = true;
        if (2 * (double)grid->k * c * spacing.bound <= precisions[i].uncertain) break;
    }
    return any;
}

bool ken_bins_init(struct ken_bins *bins, const struct ken_density *density, const struct ken_grid *grid, void *scratch)
{
    struct spacing spacing;
    struct layout layout;
    if (!choose_spacing(&spacing, density, grid)) return false;
    if (!lay_out(&layout, spacing.nodes, spacing.taps, spacing.per_node, ken_bins_scratch(density->n), scratch)) return false;
    memset(layout.powers, 0, spacing.nodes * NODES * sizeof *layout.powers);
    ken_kernel()->sum_powers(layout.powers, density->x, density->n, density->min, 1 / spacing.distance);
    convolve(&layout, spacing.bandwidths, density->weight);
    if (spacing.per_node > 1) weigh_between(&layout, spacing.per_node);
    *bins = (struct ken_bins){.at_node = layout.values + spacing.taps + BEFORE,
                              .between = layout.between,
                              .per_node = spacing.per_node,
                              .per_point = spacing.per_point,
                              .bound = density->weight * (double)density->n * spacing.bound};
    return true;
}

double ken_bins_at(const struct ken_bins *bins, size_t j)
{
    if (bins->per_node == 1) return bins->at_node[j * bins->per_point];
    const double *value = bins->at_node + j / bins->per_node - BEFORE, *weight = bins->between + j % bins->per_node * NODES;
    double even = 0, odd = 0;
    for (int i = 0; i < NODES; i += 2) {
        even += value[i] * weight[i];
        odd += value[i + 1] * weight[i + 1];
    }
    return even + odd;
}
