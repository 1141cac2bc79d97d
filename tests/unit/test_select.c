/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/density.h"
#include "selection/methods.h"
#include "rows.h"
#include "unit.h"
#include "vectors.h"

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
    size_t selected = ken_select(&run->row, k, run->method, run->duplicates, run->seed, bits + 1, scratch + GUARD), counted = 0, behind = 0;
    for (size_t i = 0; i < words * 64; i++) {
        unsigned char is_set = bits[1 + i / 64] >> (i % 64) & 1;
        if (i < n) mask[i] = is_set;
        counted += is_set;
        behind += i >= n && is_set;
    }
    ck_assert_uint_eq(behind, 0);
    ck_assert_uint_eq(selected, counted);
    ck_assert_uint_eq(bits[0], UINT64_C(0xa5a5a5a5a5a5a5a5));
    ck_assert_uint_eq(bits[words + 1], UINT64_C(0xa5a5a5a5a5a5a5a5));
    size_t overwritten = 0;
    for (size_t i = 0; i < GUARD; i++) overwritten += scratch[i] != 0xa5 || scratch[GUARD + bytes + i] != 0xa5;
    ck_assert_uint_eq(overwritten, 0);
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
    size_t i = 0;
    while (i < n && mask[i] == expected[i]) i++;
    ck_assert_msg(i == n, "%s: column %zu: %d, expected %d", what, i, i < n ? mask[i] : 0, i < n ? expected[i] : 0);
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
    bool certain = true;
    while (c * scale > 0x1p20) scale /= 2;
    for (size_t j = 0; j < k; j++) {
        double f = naive_density(x, n, h, scale, g[j]);
        level[j] = nearbyint(f);
        if (fabs(f - floor(f) - 0.5) < 2e-9 * f + 1e-15) certain = false;
    }
    return certain;
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

/* ---- method ken */

START_TEST(ken_equals_the_published_implementation_on_all_vectors)
{
    struct vectors vectors;
    size_t rows = 0;
    vectors_read(&vectors);
    for (int c = 0; c < VECTOR_CASES; c++) {
        const struct vector_case *one = &vectors.cases[c];
        unsigned char *mask = malloc(one->n);
        float *x = malloc(one->n * sizeof *x); /* in the file rows lie anywhere */
        for (size_t r = 0; r < one->rows; r++, rows++) {
            memcpy(x, one->x + r * one->n * sizeof *x, one->n * sizeof *x);
            struct run run = run_of(x, one->n, KEN_METHOD_KEN);
            run.duplicates = KEN_DUPLICATES_ALL;
            run_select(&run, one->k, mask);
            char what[64];
            snprintf(what, sizeof what, "case%03d row %zu", c, r);
            assert_same_mask(mask, one->mask + r * one->n, one->n, what);
        }
        free(x);
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
        /* All distributions at short lengths, a third of them in turn at long ones, where the naive way takes its time. */
        int step = n <= 50 ? 1 : 3;
        for (int distribution = (int)n % step; distribution < DISTRIBUTIONS; distribution += step) {
            const char *name = fill_row(x, n, distribution);
            if (below(4) == 0) round_to_bf16(x, n);
            size_t k = 1 + below(below(2) ? n : (n + 9) / 10);
            rows++;
            uncertain += !compare_with_naive(x, n, k, name);
        }
    }
    ck_assert_uint_ge(rows, 3000);
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

/* ---- the other methods */

START_TEST(density_takes_the_densest_columns)
{
    float x[300];
    unsigned char mask[300];
    random_state = 3;
    for (size_t n = 2; n <= 300; n += n < 70 ? 7 : 57) {
        for (int distribution = 0; distribution < DISTRIBUTIONS; distribution++) {
            const char *name = fill_row(x, n, distribution);
            size_t k = 1 + below(n - 1);
            struct run run = run_of(x, n, KEN_METHOD_DENSITY);
            ck_assert_uint_eq(run_select(&run, k, mask), k);
            double mean = 0, variance = 0, f[300], least = INFINITY;
            for (size_t i = 0; i < n; i++) mean += (double)x[i] / (double)n;
            for (size_t i = 0; i < n; i++) variance += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
            double h = 1.06 * sqrt(variance) * pow((double)n, -0.2);
            for (size_t i = 0; i < n; i++) {
                f[i] = h > 0 ? naive_density(x, n, h, h, (double)x[i]) : 1;
                if (mask[i]) least = fmin(least, f[i]);
            }
            size_t denser = 0, out_of_turn = 0; /* not taken though denser; taken before a lower column of the same value */
            for (size_t i = 0; i < n; i++) {
                denser += !mask[i] && f[i] > least * (1 + 4e-12);
                for (size_t j = 0; j < i; j++) out_of_turn += mask[i] && !mask[j] && x[i] == x[j];
            }
            ck_assert_msg(denser == 0 && out_of_turn == 0, "%s, n %zu, k %zu: %zu, %zu", name, n, k, denser, out_of_turn);
        }
    }
}
END_TEST

START_TEST(density_tells_close_densities_by_the_sum_in_full)
{
    /* Mirrored values have equal densities but for the rounding of sums in another order: only the sum in full tells which comes first. */
    enum { N = 64 };
    float x[N];
    unsigned char mask[N], expected[N];
    uint64_t keys[N], bits;
    random_state = 9;
    for (size_t i = 0; i < N; i += 2) x[i] = (float)normal(), x[i + 1] = -x[i];
    struct ken_moments moments = ken_moments_of(x, N);
    struct ken_density density;
    ken_density_init(&density, x, N, &moments);
    for (size_t i = 0; i < N; i++) {
        double f = ken_density_exact(&density, (double)x[i]);
        memcpy(&keys[i], &f, sizeof f);
        keys[i] = ~keys[i];
    }
    struct run run = run_of(x, N, KEN_METHOD_DENSITY);
    for (size_t k = 1; k < N; k++) {
        bits = 0;
        ken_take_smallest(keys, N, k, &bits);
        for (size_t i = 0; i < N; i++) expected[i] = bits >> i & 1;
        ck_assert_uint_eq(run_select(&run, k, mask), k);
        assert_same_mask(mask, expected, N, "density");
    }
}
END_TEST

START_TEST(magnitude_takes_the_largest_differences_and_the_lowest_columns_of_ties)
{
    static const float model[] = {1, 5, -3, 0, 2, -7, 2, 3e38F}, base[] = {0, 5, 1, 0, 1, -3, 3, -3e38F};
    static const unsigned char order[] = {7, 2, 5, 0, 4, 6, 1, 3}; /* differences 1 0 4 0 1 4 1 6e38: beyond float32's range */
    unsigned char mask[8], expected[8] = {0};
    struct run run = run_of(model, 8, KEN_METHOD_MAGNITUDE);
    run.row.base = base;
    for (size_t k = 1; k <= 8; k++) {
        expected[order[k - 1]] = 1;
        ck_assert_uint_eq(run_select(&run, k, mask), k);
        assert_same_mask(mask, expected, 8, "magnitude");
    }
}
END_TEST

START_TEST(magnitude_subtracts_in_double_precision)
{
    /* In float64 rows the difference of 2^-40 counts; in bfloat16 rows the stored values do. */
    const double model[] = {1, 1 + 0x1p-40, 1}, base[] = {1, 1, 1};
    const uint16_t model16[] = {0x3f80, 0x3f81, 0x3f82}, base16[] = {0x3f80, 0x3f80, 0x3f80};
    float x[] = {1, 1, 1};
    unsigned char mask[3];
    struct run run = run_of(x, 3, KEN_METHOD_MAGNITUDE);
    run.row.dtype = KEN_F64, run.row.model = model, run.row.base = base;
    run_select(&run, 1, mask);
    ck_assert(!mask[0] && mask[1] && !mask[2]);
    run.row.dtype = KEN_BF16, run.row.model = model16, run.row.base = base16;
    run_select(&run, 1, mask);
    ck_assert(!mask[0] && !mask[1] && mask[2]);
}
END_TEST

START_TEST(random_is_nested_and_depends_on_seed_tensor_and_row_alone)
{
    enum { N = 321 };
    float x[N] = {0};
    unsigned char mask[N], larger[N], other_tensor[32] = {9};
    struct run run = run_of(x, N, KEN_METHOD_RANDOM), other;
    memset(mask, 0, N);
    for (size_t k = 1; k < N; k += 16) {
        ck_assert_uint_eq(run_select(&run, k, larger), k);
        for (size_t i = 0; i < N; i++) ck_assert(!mask[i] || larger[i]);
        memcpy(mask, larger, N);
    }
    run_select(&run, 160, mask);
    run_select(&run, 160, larger);
    ck_assert_mem_eq(mask, larger, N);
    other = run, other.seed = 1;
    run_select(&other, 160, larger);
    ck_assert_mem_ne(mask, larger, N);
    other = run, other.row.row = 8;
    run_select(&other, 160, larger);
    ck_assert_mem_ne(mask, larger, N);
    other = run, other.row.tensor_key = other_tensor;
    run_select(&other, 160, larger);
    ck_assert_mem_ne(mask, larger, N);
}
END_TEST

/* Philox4x32-10 as in its authors' known answers: a row block from key 0 and counter 0 is 6627e8d5 e169c58d bc57ac4c 9b00dbd8. */
START_TEST(random_is_the_documented_generator)
{
    float x[64] = {0};
    unsigned char mask[64], zero[32] = {0};
    struct run run = run_of(x, 64, KEN_METHOD_RANDOM);
    run.row.tensor_key = zero, run.row.row = 0;
    static const unsigned char first[] = {
        21, 4,  60, 19, 20, 63, 52, 57,
        39, 32, 42, 9,  29, 48, 33, 2}; /* from tests/oracle/ken_oracle.py, in the order in which they are selected */
    unsigned char expected[64] = {0};
    for (size_t k = 1; k <= sizeof first; k++) {
        expected[first[k - 1]] = 1;
        run_select(&run, k, mask);
        assert_same_mask(mask, expected, 64, "random");
    }
}
END_TEST

START_TEST(random_takes_every_column_alike)
{
    enum { N = 64, ROWS = 4000 };
    float x[N] = {0};
    unsigned char mask[N];
    unsigned counts[N] = {0};
    struct run run = run_of(x, N, KEN_METHOD_RANDOM);
    for (size_t r = 0; r < ROWS; r++) {
        run.row.row = r;
        run_select(&run, N / 4, mask);
        for (size_t i = 0; i < N; i++) counts[i] += mask[i];
    }
    /* 1000 expected, standard deviation 27 */
    for (size_t i = 0; i < N; i++) ck_assert_msg(counts[i] > 860 && counts[i] < 1140, "column %zu: %u", i, counts[i]);
}
END_TEST

START_TEST(duplicates_apply_to_every_method)
{
    float x[200], base[200];
    unsigned char mask[200], expected[200];
    random_state = 4;
    for (enum ken_method method = 0; method < KEN_METHOD_COUNT; method++) {
        for (size_t i = 0; i < 200; i++) x[i] = below(5) ? (float)below(40) : below(2) ? 0.0F : -0.0F, base[i] = (float)normal();
        struct run run = run_of(x, 200, method);
        run.row.base = base;
        run_select(&run, 30, expected);
        naive_duplicates(x, 200, expected);
        run.duplicates = KEN_DUPLICATES_ALL;
        ck_assert_uint_gt(run_select(&run, 30, mask), 30);
        assert_same_mask(mask, expected, 200, ken_method_name(method));
    }
}
END_TEST

START_TEST(every_method_keeps_rows_of_at_most_k_whole)
{
    static const float x[] = {3, 1, 2};
    unsigned char mask[3];
    for (enum ken_method method = 0; method < KEN_METHOD_COUNT; method++) {
        struct run run = run_of(x, 3, method);
        ck_assert_uint_eq(run_select(&run, 3, mask), 3);
        ck_assert_uint_eq(run_select(&run, 1000, mask), 3);
        ck_assert(mask[0] && mask[1] && mask[2]);
    }
}
END_TEST

/* ---- long rows: above 65536 values sorting goes another way */

START_TEST(long_rows_are_selected_as_their_repetition_demands)
{
    /* 100,000 values of which each integer occurs ten times: with k = 10,000 grid points on the integers every level is the same but
     * at the ends, and each point takes the lowest column of its integer. */
    enum { N = 100000, K = 10000 };
    float *x = malloc(N * sizeof *x);
    unsigned char *mask = malloc(N);
    for (size_t i = 0; i < N; i++) x[i] = (float)(i * 7 % K);
    struct run run = run_of(x, N, KEN_METHOD_KEN);
    ck_assert_uint_eq(run_select(&run, K, mask), K);
    for (size_t i = 0; i < N; i++) ck_assert_msg(mask[i] == (i < K), "column %zu", i);
    for (enum ken_method method = KEN_METHOD_DENSITY; method < KEN_METHOD_COUNT; method++) {
        run = run_of(x, N, method);
        run.row.base = x;
        ck_assert_uint_eq(run_select(&run, 12345, mask), 12345);
    }
    free(mask);
    free(x);
}
END_TEST

UNIT_MAIN("select", ken_equals_the_published_implementation_on_all_vectors, ken_equals_the_naive_reading_on_random_rows,
          ken_equals_the_naive_reading_for_every_k, ken_of_constant_rows_takes_the_lowest_columns, density_takes_the_densest_columns,
          density_tells_close_densities_by_the_sum_in_full, magnitude_takes_the_largest_differences_and_the_lowest_columns_of_ties,
          magnitude_subtracts_in_double_precision, random_is_nested_and_depends_on_seed_tensor_and_row_alone,
          random_is_the_documented_generator, random_takes_every_column_alike, duplicates_apply_to_every_method,
          every_method_keeps_rows_of_at_most_k_whole, long_rows_are_selected_as_their_repetition_demands)
