/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/bins.h"
#include "selection/exponential.h"
#include "selection/pair.h"

#include <math.h>
#include <string.h>

enum {
    NODES = 9,          /* of one interpolation */
    SIDE = NODES / 2,   /* of them on either side */
    POWERS = NODES + 1, /* sums of powers 0 to 8, and a ninth to make pairs */
    SIDES = 2 * SIDE,
    MOST_PER_NODE = 1024,
    MOST_BETWEEN = MOST_PER_NODE * POWERS,
    ENOUGH_ROOM = 8192 /* nodes: more are not made room for unless they are few beside n */
};

struct precision {
    double nodes;     /* per bandwidth, at least */
    double reach;     /* bandwidths: where the Gaussian is cut */
    double remainder; /* what it has fallen to there */
};
/* In long rows more grid points are near a half-integer, a sum in full costs more, and nodes are few beside the values. */
static const struct precision precision_short = {7, 6.1, 8.4e-9}, precision_long = {10, 6.8, 9.1e-11};
enum { LONG = 16384 };

static const struct precision *precision_for(size_t n)
{
    return n < LONG ? &precision_short : &precision_long;
}

/* ---- interpolation: weights of nodes -4 to 4 for a place u in [-1/2, 1/2], Lagrange's polynomials */

/* 8! times the coefficients of u^0, u^2, ... and of u^1, u^3, ... for nodes 0 to 4; node -m has the same even and the opposite odd part. */
static const double even_part[SIDE + 1][5] = {
    {40320, -57400, 19110, -2100, 70}, {0, 32256, -13664, 1624, -56}, {0, -4032, 4732, -728, 28},
    {0, 512, -672, 168, -8},           {0, -36, 49, -14, 1},
};
static const double odd_part[SIDE + 1][4] = {
    {0, 0, 0, 0}, {32256, -13664, 1624, -56}, {-8064, 9464, -1456, 56}, {1536, -2016, 504, -24}, {-144, 196, -56, 4},
};
#define FACTORIAL 40320.0

/* weights [9] += the nodes' weights for values whose sums of u^0 to u^8 are given. */
static void add_weights(double *weights, const double powers[NODES])
{
    for (int m = 0; m <= SIDE; m++) {
        const double *even = even_part[m], *odd = odd_part[m];
        double same = even[0] * powers[0] + even[1] * powers[2] + even[2] * powers[4] + even[3] * powers[6] + even[4] * powers[8];
        double opposite = odd[0] * powers[1] + odd[1] * powers[3] + odd[2] * powers[5] + odd[3] * powers[7];
        weights[SIDE + m] += (same + opposite) / FACTORIAL;
        if (m > 0) weights[SIDE - m] += (same - opposite) / FACTORIAL;
    }
}

static void powers_of(double u, double powers[NODES])
{
    powers[0] = 1;
    for (int p = 1; p < NODES; p++) powers[p] = powers[p - 1] * u;
}

/* ---- the parts of the scratch */

struct layout {
    double *powers;  /* [nodes, POWERS] */
    double *weights; /* [nodes + 2 SIDE] */
    double *values;  /* [nodes + 2 SIDE + 2 taps] */
    double *kernel;  /* [2 taps + 1] */
    double *between; /* [per_node, POWERS] */
    size_t nodes, taps;
};

/* Nodes that a row of n values may have. */
static size_t room_for(size_t n)
{
    size_t most = (size_t)(ken_density_widest(n) * precision_for(n)->nodes) * 2 + 64, proportional = n / 26;
    if (most < ENOUGH_ROOM) return most;
    return proportional > ENOUGH_ROOM ? proportional : ENOUGH_ROOM;
}

size_t ken_bins_scratch(size_t n)
{
    return (room_for(n) * (POWERS + 2) + MOST_BETWEEN) * sizeof(double);
}

static bool lay_out(struct layout *layout, size_t nodes, size_t taps, size_t room, double *scratch)
{
    size_t used = nodes * (POWERS + 2) + 2 * (SIDES + 2 * taps) + 1;
    layout->nodes = nodes;
    layout->taps = taps;
    layout->between = scratch;
    layout->powers = layout->between + MOST_BETWEEN;
    layout->weights = layout->powers + nodes * POWERS;
    layout->values = layout->weights + nodes + SIDES;
    layout->kernel = layout->values + nodes + SIDES + 2 * taps;
    return used <= room * (POWERS + 2);
}

/* ---- values to nodes */

static void sum_powers(const struct layout *layout, const struct ken_density *density, double nodes_per_unit)
{
    memset(layout->powers, 0, layout->nodes * POWERS * sizeof *layout->powers);
    for (size_t i = 0; i < density->n; i++) {
        double position = ((double)density->x[i] - density->min) * nodes_per_unit;
        size_t nearest = (size_t)(position + 0.5);
        double u = position - (double)nearest, *sums = layout->powers + nearest * POWERS;
        ken_pair power = {1, u}, square = ken_pair_of(u * u);
        for (size_t p = 0; p < POWERS; p += 2) {
            ken_pair_store(sums + p, ken_pair_load(sums + p) + power);
            power *= square;
        }
    }
}

static void weigh_nodes(const struct layout *layout)
{
    memset(layout->weights, 0, (layout->nodes + SIDES) * sizeof *layout->weights);
    for (size_t node = 0; node < layout->nodes; node++) {
        const double *powers = layout->powers + node * POWERS;
        if (powers[0] > 0) add_weights(layout->weights + node, powers);
    }
}

/* ---- nodes to nodes */

static void convolve(const struct layout *layout, double spacing, double weight)
{
    size_t taps = layout->taps, width = 2 * taps + 1;
    for (size_t t = 0; t <= taps; t++) {
        double distance = (double)t * spacing;
        layout->kernel[taps + t] = layout->kernel[taps - t] = weight * ken_exp(-0.5 * distance * distance);
    }
    memset(layout->values, 0, (layout->nodes + SIDES + 2 * taps) * sizeof *layout->values);
    for (size_t node = 0; node < layout->nodes + SIDES; node++) {
        double mass = layout->weights[node], *value = layout->values + node;
        if (mass == 0) continue;
        ken_pair both = ken_pair_of(mass);
        size_t t = 0;
        for (; t + 2 <= width; t += 2) ken_pair_store(value + t, ken_pair_load(value + t) + both * ken_pair_load(layout->kernel + t));
        value[t] += mass * layout->kernel[t]; /* the width is odd */
    }
}

/* ---- nodes to grid points */

static void weigh_between(const struct layout *layout, size_t per_node)
{
    memset(layout->between, 0, per_node * POWERS * sizeof *layout->between);
    size_t node = per_node / 2; /* before it are the grid points on the node's left */
    for (size_t i = 0; i < per_node; i++) {
        double powers[NODES];
        powers_of(((double)i - (double)node) / (double)per_node, powers);
        add_weights(layout->between + i * POWERS, powers);
    }
}

bool ken_bins_init(struct ken_bins *bins, const struct ken_density *density, const struct ken_grid *grid, void *scratch)
{
    const struct precision *precision = precision_for(density->n);
    double h = density->h, range = density->max - density->min, widest = h / precision->nodes, ratio = grid->step / widest;
    size_t room = room_for(density->n);
    if (range / widest > (double)room || ratio > (double)room) return false;
    bins->per_point = ratio > 1 ? (size_t)ceil(ratio) : 1;
    bins->per_node = ratio > 1 ? 1 : ratio * MOST_PER_NODE < 1 ? MOST_PER_NODE : (size_t)(1 / ratio);
    double distance = grid->step * (double)bins->per_node / (double)bins->per_point, spacing = distance / h;
    struct layout layout;
    size_t nodes = (size_t)(range / distance + 0.5) + 2, taps = (size_t)ceil(precision->reach / spacing);
    if (!lay_out(&layout, nodes, taps, room, scratch)) return false;
    sum_powers(&layout, density, 1 / distance);
    weigh_nodes(&layout);
    convolve(&layout, spacing, density->weight);
    weigh_between(&layout, bins->per_node);
    bins->between = layout.between;
    bins->at_node = layout.values + taps + SIDE;
    /* Interpolating twice, 0.351 spacing^9 each, the second time on values with the error of the first; cutting the Gaussian. */
    double squared = spacing * spacing, power = squared * squared * squared * squared * spacing;
    bins->bound = density->weight * (double)density->n * (0.351 * 2.6 * power + 2.5 * precision->remainder + 1e-12);
    return true;
}

static double interpolate(const double *value, const double *weight)
{
    ken_pair sum = ken_pair_load(value) * ken_pair_load(weight);
    for (size_t i = 2; i < NODES - 1; i += 2) sum += ken_pair_load(value + i) * ken_pair_load(weight + i);
    return sum[0] + sum[1] + value[NODES - 1] * weight[NODES - 1];
}

void ken_bins_evaluate(const struct ken_bins *bins, size_t first, size_t count, double *f)
{
    if (bins->per_node == 1) {
        for (size_t i = 0; i < count; i++) f[i] = bins->at_node[(first + i) * bins->per_point];
        return;
    }
    size_t shifted = first + bins->per_node / 2, place = shifted % bins->per_node;
    const double *value = bins->at_node + shifted / bins->per_node - SIDE;
    for (size_t i = 0; i < count; i++) {
        f[i] = interpolate(value, bins->between + place * POWERS);
        if (++place == bins->per_node) {
            place = 0;
            value++;
        }
    }
}
