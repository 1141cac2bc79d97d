/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/moments.h"

#include <math.h>

static void find_range(struct ken_moments *moments, const float *x, size_t n)
{
    float min[KEN_LANES], max[KEN_LANES];
    for (size_t lane = 0; lane < KEN_LANES; lane++) min[lane] = max[lane] = x[0];
    size_t i = 0;
    for (; i + KEN_LANES <= n; i += KEN_LANES) {
        for (size_t lane = 0; lane < KEN_LANES; lane++) {
            min[lane] = x[i + lane] < min[lane] ? x[i + lane] : min[lane];
            max[lane] = x[i + lane] > max[lane] ? x[i + lane] : max[lane];
        }
    }
    for (; i < n; i++) {
        min[0] = x[i] < min[0] ? x[i] : min[0];
        max[0] = x[i] > max[0] ? x[i] : max[0];
    }
    for (size_t lane = 1; lane < KEN_LANES; lane++) {
        min[0] = min[lane] < min[0] ? min[lane] : min[0];
        max[0] = max[lane] > max[0] ? max[lane] : max[0];
    }
    moments->min = min[0] + 0.0F; /* -0 becomes 0, so that it cannot matter which of the two came first */
    moments->max = max[0] + 0.0F;
}

static double mean_of(const float *x, size_t n)
{
    double lanes[KEN_LANES] = {0};
    size_t i = 0;
    for (; i + KEN_LANES <= n; i += KEN_LANES)
        for (size_t lane = 0; lane < KEN_LANES; lane++) lanes[lane] += (double)x[i + lane];
    for (size_t lane = 0; i < n; i++, lane++) lanes[lane] += (double)x[i];
    return ken_lanes_sum(lanes) / (double)n;
}

static double variance_of(const float *x, size_t n, double mean)
{
    double lanes[KEN_LANES] = {0};
    size_t i = 0;
    for (; i + KEN_LANES <= n; i += KEN_LANES) {
        for (size_t lane = 0; lane < KEN_LANES; lane++) {
            double distance = (double)x[i + lane] - mean;
            lanes[lane] += distance * distance;
        }
    }
    for (size_t lane = 0; i < n; i++, lane++) {
        double distance = (double)x[i] - mean;
        lanes[lane] += distance * distance;
    }
    return ken_lanes_sum(lanes) / (double)n;
}

struct ken_moments ken_moments_of(const float *x, size_t n)
{
    struct ken_moments moments;
    find_range(&moments, x, n);
    moments.mean = mean_of(x, n);
    moments.s = sqrt(variance_of(x, n, moments.mean));
    return moments;
}
