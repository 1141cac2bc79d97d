/* SPDX-License-Identifier: Apache-2.0 */
#include "select.h"
#include "unit.h"
#include "vectors.h"

#include <math.h>

enum { GUARD = 64 }; /* bytes around every buffer that is handed out */

/* ---- running a selection with guarded buffers */

struct run {
    struct ken_row row;
    enum ken_method method;
    enum ken_duplicates duplicates;
    uint64_t seed;
};

static const unsigned char some_tensor[32] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

/* mask [n] of bytes; returns what ken_select returned. */
static size_t run_select(const struct run *run, size_t k, unsigned char *mask)
{
    size_t n = run->row.n, words = ken_mask_words(n), bytes = ken_select_scratch(run->method, n);
    ck_assert_uint_eq(bytes % 64, 0);
    unsigned char *scratch = aligned_alloc(64, bytes + 2 * GUARD);
    uint64_t *bits = malloc((words + 2) * sizeof *bits);
    memset(scratch, 0xa5, bytes + 2 * GUARD);
    memset(bits, 0xa5, (words + 2) * sizeof *bits);
    size_t selected = ken_select(&run->row, k, run->method, run->duplicates, run->seed, bits + 1, scratch + GUARD), counted = 0;
    for (size_t i = 0; i < words * 64; i++) {
        unsigned char is_set = bits[1 + i / 64] >> (i % 64) & 1;
        if (i < n)
            mask[i] = is_set;
        else
            ck_assert_uint_eq(is_set, 0);
        counted += is_set;
    }
    ck_assert_uint_eq(selected, counted);
    ck_assert_uint_eq(bits[0], UINT64_C(0xa5a5a5a5a5a5a5a5));
    ck_assert_uint_eq(bits[words + 1], UINT64_C(0xa5a5a5a5a5a5a5a5));
    for (size_t i = 0; i < GUARD; i++) ck_assert_uint_eq(scratch[i] == 0xa5 && scratch[GUARD + bytes + i] == 0xa5, 1);
    free(bits);
    free(scratch);
    return selected;
}

static struct run run_of(const float *x, size_t n, enum ken_method method)
{
    return (struct run){.row = {.n = n, .x = x, .dtype = KEN_F32, .model = x, .tensor_key = some_tensor, .row = 7}, .method = method};
}

static void assert_same_mask(const unsigned char *mask, const unsigned char *expected, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++) ck_assert_msg(mask[i] == expected[i], "%s: column %zu: %d, expected %d", what, i, mask[i], expected[i]);
}

/* ---- KEN.md read once more, naively: every density in full, every distance looked at */

static double naive_density(const float *x, size_t n, double h, double scale, double g)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += exp(-(g - (double)x[i]) * (g - (double)x[i]) / (2 * h * h));
    return 1 / ((double)n * h * sqrt(2 * M_PI)) * scale * sum;
}

/* Returns false where a level is too near to a half to be told with this arithmetic. */
static bool naive_levels(const float *x, size_t n, const double *g, size_t k, double *level)
{
    double mean = 0, variance = 0, scale = 1;
    for (size_t i = 0; i < n; i++) mean += (double)x[i];
    mean /= (double)n;
    for (size_t i = 0; i < n; i++) variance += ((double)x[i] - mean) * ((double)x[i] - mean);
    double h = 1.06 * sqrt(variance / (double)n) * pow((double)n, -0.2), c = 1 / (h * sqrt(2 * M_PI));
    while (c * scale > 0x1p20) scale /= 2;
    for (size_t j = 0; j < k; j++) {
        double f = naive_density(x, n, h, scale, g[j]);
        level[j] = nearbyint(f);
        if (fabs(f - floor(f) - 0.5) < 2e-9 * f + 1e-15) return false;
    }
    return true;
}

static size_t naive_nearest(const float *x, size_t n, const unsigned char *taken, float g)
{
    size_t best = n;
    for (size_t i = 0; i < n; i++)
        if (!taken[i] && (best == n || fabsf(x[i] - g) < fabsf(x[best] - g))) best = i;
    return best;
}

static bool naive_ken(const float *x, size_t n, size_t k, unsigned char *taken)
{
    memset(taken, 0, n);
    double min = (double)x[0], max = (double)x[0], *g = malloc(2 * k * sizeof *g), *level = g + k;
    for (size_t i = 0; i < n; i++) min = fmin(min, (double)x[i]), max = fmax(max, (double)x[i]);
    for (size_t j = 0; j < k; j++) g[j] = k == 1 ? min : (double)j * ((max - min) / (double)(k - 1)) + min;
    if (k > 1) g[k - 1] = max;
    bool certain = true;
    if (min == max)
        memset(level, 0, k * sizeof *level);
    else
        certain = naive_levels(x, n, g, k, level);
    for (size_t visit = 0; visit < k; visit++) {
        size_t next = 0;
        for (size_t j = 0; j < k; j++)
            if (level[j] > level[next] || (level[next] < 0 && level[j] >= 0)) next = j;
        level[next] = -1;
        taken[naive_nearest(x, n, taken, (float)g[next])] = 1;
    }
    free(g);
    return certain;
}

static void naive_duplicates(const float *x, size_t n, unsigned char *taken)
{
    unsigned char *all = calloc(n, 1);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) all[i] |= x[i] == x[j] && taken[j];
    memcpy(taken, all, n);
    free(all);
}

/* ---- rows of every kind */

static uint64_t random_state;

static uint64_t random_bits(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static double uniform(void)
{
    return ((double)(random_bits() >> 11) + 0.5) * 0x1p-53;
}

static double normal(void)
{
    return sqrt(-2 * log(uniform())) * cos(2 * M_PI * uniform());
}

static size_t below(size_t limit)
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

static const char *fill_row(float *x, size_t n, int distribution)
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

static void round_to_bf16(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= UINT32_C(0xffff0000);
        memcpy(x + i, &bits, sizeof bits);
    }
}

/* ---- method ken */

START_TEST(ken_equals_the_published_implementation_on_all_vectors)
{
    struct vectors vectors;
    size_t rows = 0;
    vectors_read(&vectors);
    for (int c = 0; c < VECTOR_CASES; c++) {
        const struct vector_case *one = &vectors.cases[c];
        unsigned char *mask = malloc(one->n);
        for (size_t r = 0; r < one->rows; r++, rows++) {
            struct run run = run_of(one->x + r * one->n, one->n, KEN_METHOD_KEN);
            run.duplicates = KEN_DUPLICATES_ALL;
            run_select(&run, one->k, mask);
            char what[64];
            snprintf(what, sizeof what, "case%03d row %zu", c, r);
            assert_same_mask(mask, one->mask + r * one->n, one->n, what);
        }
        free(mask);
    }
    ck_assert_uint_eq(rows, 479);
    vectors_free(&vectors);
}
END_TEST

/* Returns whether the row could be told with certainty. */
static bool compare_with_naive(const float *x, size_t n, size_t k, const char *name)
{
    unsigned char *mask = malloc(n), *expected = malloc(n);
    char what[128];
    snprintf(what, sizeof what, "%s, n %zu, k %zu", name, n, k);
    bool certain = k >= n || naive_ken(x, n, k, expected);
    if (k >= n) memset(expected, 1, n);
    if (certain) {
        struct run run = run_of(x, n, KEN_METHOD_KEN);
        ck_assert_uint_eq(run_select(&run, k, mask), k < n ? k : n);
        assert_same_mask(mask, expected, n, what);
        naive_duplicates(x, n, expected);
        run.duplicates = KEN_DUPLICATES_ALL;
        run_select(&run, k, mask);
        assert_same_mask(mask, expected, n, what);
    }
    free(expected);
    free(mask);
    return certain;
}

START_TEST(ken_equals_the_naive_reading_on_random_rows)
{
    float x[300];
    size_t rows = 0, uncertain = 0;
    random_state = 1;
    for (size_t n = 1; n <= 300; n++) {
        for (int distribution = 0; distribution < DISTRIBUTIONS; distribution++) {
            const char *name = fill_row(x, n, distribution);
            if (below(4) == 0) round_to_bf16(x, n);
            size_t k = 1 + below(below(2) ? n : (n + 9) / 10);
            rows++;
            uncertain += !compare_with_naive(x, n, k, name);
        }
    }
    ck_assert_uint_ge(rows, 7000);
    ck_assert_uint_lt(uncertain, rows / 20);
}
END_TEST

START_TEST(ken_equals_the_naive_reading_for_every_k)
{
    float x[40];
    random_state = 2;
    for (int distribution = 0; distribution < DISTRIBUTIONS; distribution++)
        for (size_t n = 1; n <= 40; n += 13)
            for (size_t k = 1; k <= n + 2; k++) compare_with_naive(x, n, k, fill_row(x, n, distribution));
}
END_TEST

START_TEST(ken_of_constant_rows_takes_the_lowest_columns)
{
    float x[100];
    unsigned char mask[100];
    for (size_t i = 0; i < 100; i++) x[i] = i % 3 ? 0.0F : -0.0F;
    struct run run = run_of(x, 100, KEN_METHOD_KEN);
    ck_assert_uint_eq(run_select(&run, 65, mask), 65);
    for (size_t i = 0; i < 100; i++) ck_assert_uint_eq(mask[i], i < 65);
    run.duplicates = KEN_DUPLICATES_ALL;
    ck_assert_uint_eq(run_select(&run, 65, mask), 100);
}
END_TEST

UNIT_MAIN("select", ken_equals_the_published_implementation_on_all_vectors, ken_equals_the_naive_reading_on_random_rows,
          ken_equals_the_naive_reading_for_every_k, ken_of_constant_rows_takes_the_lowest_columns)
