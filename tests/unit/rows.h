/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of every kind, the hostile ones among them, from a generator that gives the same ones everywhere. */
#ifndef KEN_TESTS_ROWS_H
#define KEN_TESTS_ROWS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static uint64_t random_state;

static inline uint64_t random_bits(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline double uniform(void)
{
    return ((double)(random_bits() >> 11) + 0.5) * 0x1p-53;
}

static inline double normal(void)
{
    return sqrt(-2 * log(uniform())) * cos(2 * M_PI * uniform());
}

static inline size_t below(size_t limit)
{
    return (size_t)(random_bits() % limit);
}

#define DISTRIBUTION_MAP(X)                                                          \
    X("normal", normal())                                                            \
    X("uniform", uniform() * 2 - 1)                                                  \
    X("heavy tails", normal() / (fabs(normal()) + 1e-3))                             \
    X("lognormal", exp(2 * normal()))                                                \
    X("near one", 1 + 1e-3 * normal())                                               \
    X("tiny spread", 1 + 0x1p-23 * (double)below(50))                                \
    X("two far clusters", (i % 2 ? 1e6 : -1e6) + normal())                           \
    X("one outlier", i == n / 3 ? 1e30 : normal())                                   \
    X("two outliers", i == n / 3 ? 1e30 : i == n / 2 ? -1e30 : normal())             \
    X("many zeros", below(2) ? 0 : normal())                                         \
    X("zeros of both signs", below(3) == 0 ? -0.0 : below(2) ? 0.0 : 0.1 * normal()) \
    X("few values", (double)below(7) - 3)                                            \
    X("two values", below(2) ? 0.25 : -0.5)                                          \
    X("one differs", i == n / 2 ? 1 : 0.5)                                           \
    X("integers", rint(30 * normal()))                                               \
    X("equidistant", (double)((i * 7919) % n) / (double)n)                           \
    X("sorted", (double)i)                                                           \
    X("denormal", 1e-42 * normal())                                                  \
    X("smallest denormals", (double)below(9) * 0x1p-149)                             \
    X("1e-30", 1e-30 * normal())                                                     \
    X("1e30", 1e30 * normal())                                                       \
    X("largest", (uniform() * 2 - 1) * 3.4e38)                                       \
    X("both ends", i % 2 ? 3.4028234e38 : -3.4028234e38)                             \
    X("all scales", normal() * pow(10, 60 * uniform() - 30))                         \
    X("cluster beside 1e8", i % 4 ? normal() : 1e8 + 8 * (double)below(5))

enum {
#define X(name, expression) +1
    DISTRIBUTIONS = 0 DISTRIBUTION_MAP(X)
#undef X
};

static inline const char *fill_row(float *x, size_t n, int distribution)
{
    static const char *const names[] = {
#define X(name, expression) name,
        DISTRIBUTION_MAP(X)
#undef X
    };
    for (size_t i = 0; i < n; i++) {
        double value = 0;
        int at = 0;
#define X(name, expression) \
    if (at++ == distribution) value = expression;
        DISTRIBUTION_MAP(X)
#undef X
        x[i] = (float)value;
    }
    return names[distribution];
}

static inline void round_to_bf16(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= UINT32_C(0xffff0000);
        memcpy(x + i, &bits, sizeof bits);
    }
}

#endif
