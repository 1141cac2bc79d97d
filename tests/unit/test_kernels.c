/* SPDX-License-Identifier: Apache-2.0 */
/* Every kernel that this machine can run against the scalar one. KEND_TEST_ROWS: how many random rows. */
#include "rows.h"
#include "selection/kernel.h"
#include "selection/select.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

enum { GUARD = 64, ROWS = 3000, LONGEST = 131072 };

static const struct ken_kernel *next_kernel(size_t *i)
{
    const struct ken_kernel *kernel;
    while ((kernel = ken_kernel_at((*i)++)))
        if (kernel->is_usable()) return kernel;
    return NULL;
}

/* ---- masks */

struct row {
    const float *x;
    size_t n, k;
    const char *name;
};

/* Memory that tells whether it was written beside. */
static unsigned char *guarded(size_t bytes)
{
    unsigned char *memory = aligned_alloc(64, (bytes + 2 * GUARD + 63) / 64 * 64);
    memset(memory, 0xa5, bytes + 2 * GUARD);
    return memory + GUARD;
}

static void release(unsigned char *memory, size_t bytes)
{
    bool is_whole = true; /* one assertion for all, because Check writes each into a file */
    for (size_t i = 0; i < GUARD; i++) is_whole = is_whole && memory[i - GUARD] == 0xa5 && memory[bytes + i] == 0xa5;
    ck_assert(is_whole);
    free(memory - GUARD);
}

/* The mask by a kernel, from a copy of x that is aligned to `offset` floats off a line and ends with its buffer. */
static uint64_t *mask_by(const struct ken_kernel *kernel, const struct row *row, size_t offset, bool as_bf16)
{
    size_t n = row->n, words = ken_mask_words(n), x_bytes = (n + offset) * sizeof *row->x;
    size_t scratch_bytes = ken_select_scratch(KEN_METHOD_KEN, n);
    unsigned char *x_memory = guarded(x_bytes), *mask_memory = guarded(words * sizeof(uint64_t)), *scratch = guarded(scratch_bytes);
    float *x = (float *)x_memory + offset;
    memset(x_memory, 0xa5, x_bytes);
    if (as_bf16) {
        unsigned char *narrow = malloc(2 * n + 1); /* at an odd address */
        for (size_t i = 0; i < n; i++) memcpy(narrow + 1 + 2 * i, (const unsigned char *)&row->x[i] + 2, 2);
        kernel->widen_bf16(narrow + 1, x, n);
        free(narrow);
    } else {
        memcpy(x, row->x, n * sizeof *x);
    }
    struct ken_row one = {.n = n, .x = x, .dtype = KEN_F32, .model = x};
    ck_assert_int_eq(ken_kernel_choose(kernel->name, NULL), KEN_OK);
    size_t selected = ken_select(&one, row->k, KEN_METHOD_KEN, KEN_DUPLICATES_EXACT, 0, (uint64_t *)mask_memory, scratch);
    ck_assert_uint_eq(selected, row->k < n ? row->k : n);
    uint64_t *mask = malloc(words * sizeof *mask);
    memcpy(mask, mask_memory, words * sizeof *mask);
    release(x_memory, x_bytes);
    release(mask_memory, words * sizeof(uint64_t));
    release(scratch, scratch_bytes);
    return mask;
}

static void compare_masks(const struct row *row, bool as_bf16)
{
    const struct ken_kernel *kernel;
    size_t i = 0, bytes = ken_mask_words(row->n) * sizeof(uint64_t);
    uint64_t *expected = mask_by(next_kernel(&i), row, 0, as_bf16);
    while ((kernel = next_kernel(&i))) {
        uint64_t *mask = mask_by(kernel, row, 1 + below(15), as_bf16);
        ck_assert_msg(memcmp(mask, expected, bytes) == 0, "%s: %s, n %zu, k %zu%s", kernel->name, row->name, row->n, row->k,
                      as_bf16 ? ", bfloat16" : "");
        free(mask);
    }
    free(expected);
}

static float *x;

static void compare_row(size_t n, size_t k, int distribution)
{
    struct row row = {.x = x, .n = n, .k = k, .name = fill_row(x, n, distribution)};
    compare_masks(&row, false);
    round_to_bf16(x, n);
    compare_masks(&row, true);
}

static void set_up(void)
{
    x = malloc(LONGEST * sizeof *x);
    random_state = 11;
}

static void tear_down(void)
{
    free(x);
    ken_kernel_choose("auto", NULL);
}

START_TEST(every_short_length_gives_the_same_mask)
{
    set_up();
    for (size_t n = 1; n <= 300; n++) {
        compare_row(n, 1 + below(n), 0);
        compare_row(n, 1 + below(n), (int)below(DISTRIBUTIONS));
        compare_row(n, n > 1 ? n - 1 : 1, (int)below(DISTRIBUTIONS));
        compare_row(n, n < 3 ? n : 2, (int)below(DISTRIBUTIONS));
    }
    tear_down();
}
END_TEST

START_TEST(every_kind_of_row_gives_the_same_mask)
{
    static const size_t shapes[][2] = {{97, 50}, {768, 384}, {768, 192}, {1500, 1400}, {4096, 2048}, {5000, 17}};
    set_up();
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int distribution = 0; distribution < DISTRIBUTIONS; distribution++) compare_row(shapes[s][0], shapes[s][1], distribution);
    tear_down();
}
END_TEST

START_TEST(long_rows_give_the_same_mask)
{
    static const size_t shapes[][2] = {{14336, 3584}, {65535, 1000}, {65536, 30000}, {65537, 65000}, {LONGEST, 32768}};
    set_up();
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        compare_row(shapes[s][0], shapes[s][1], 0);
        compare_row(shapes[s][0], shapes[s][1], 1 + (int)below(DISTRIBUTIONS - 1));
    }
    tear_down();
}
END_TEST

START_TEST(random_rows_give_the_same_mask)
{
    const char *wanted = getenv("KEND_TEST_ROWS");
    size_t rows = wanted ? strtoul(wanted, NULL, 10) : ROWS;
    set_up();
    for (size_t i = 0; i < rows; i += 2) { /* each also rounded to bfloat16 */
        size_t n = 1 + below(below(50) ? 300 : 3000);
        compare_row(n, 1 + below(n), (int)below(DISTRIBUTIONS));
    }
    tear_down();
}
END_TEST

START_TEST(a_constant_row_gives_the_lowest_columns)
{
    size_t i = 0;
    const struct ken_kernel *kernel;
    set_up();
    while ((kernel = next_kernel(&i))) {
        for (size_t n = 2; n < 200; n += 13) {
            struct row row = {.x = x, .n = n, .k = n / 2, .name = "constant"};
            for (size_t j = 0; j < n; j++) x[j] = j % 3 ? 0.0F : -0.0F;
            uint64_t *mask = mask_by(kernel, &row, n % 16, false);
            for (size_t j = 0; j < n; j++) ck_assert_uint_eq(mask[j / 64] >> (j % 64) & 1, j < n / 2);
            free(mask);
        }
    }
    tear_down();
}
END_TEST

/* ---- what must have the same bits by itself */

START_TEST(moments_and_sums_in_full_have_the_same_bits)
{
    size_t i = 1;
    const struct ken_kernel *kernel;
    set_up();
    while ((kernel = next_kernel(&i))) {
        for (size_t n = 1; n <= 300; n++) {
            fill_row(x, n, (int)(n % DISTRIBUTIONS));
            struct ken_moments expected = ken_moments_of(x, n), moments = kernel->moments(x, n);
            ck_assert_mem_eq(&moments.min, &expected.min, sizeof expected.min);
            ck_assert_mem_eq(&moments.max, &expected.max, sizeof expected.max);
            ck_assert_mem_eq(&moments.mean, &expected.mean, sizeof expected.mean);
            ck_assert_mem_eq(&moments.s, &expected.s, sizeof expected.s);
            if (moments.min == moments.max) continue;
            struct ken_density density;
            ken_density_init(&density, x, n, &moments);
            for (int j = 0; j <= 4; j++) {
                double g = density.min + (density.max - density.min) * j / 4, all = ken_density_exact(&density, g);
                double sum = kernel->density(&density, g);
                ck_assert_mem_eq(&sum, &all, sizeof sum);
            }
        }
    }
    tear_down();
}
END_TEST

START_TEST(sixteen_bits_are_widened_exactly)
{
    enum { ALL = 1 << 16 };
    size_t i = 0;
    const struct ken_kernel *kernel;
    uint16_t *in = malloc(ALL * sizeof *in);
    float *expected = malloc(ALL * sizeof *expected), *out = malloc(ALL * sizeof *out);
    while ((kernel = next_kernel(&i))) {
        for (int is_half = 0; is_half <= 1; is_half++) {
            uint16_t infinity = is_half ? 0x7c00 : 0x7f80;
            size_t n = 0;
            for (uint32_t bits = 0; bits < ALL; bits++)
                if ((bits & infinity) != infinity) in[n++] = (uint16_t)bits;
            ken_widen(is_half ? KEN_F16 : KEN_BF16, in, expected, n);
            (is_half ? kernel->widen_f16 : kernel->widen_bf16)(in, out, n);
            ck_assert_mem_eq(out, expected, n * sizeof *out);
        }
        for (size_t n = 0; n < 40; n++) { /* any length, and nothing behind it */
            memset(out, 0xa5, 64 * sizeof *out);
            kernel->widen_bf16(in + 1, out, n);
            ken_widen(KEN_BF16, in + 1, expected, n);
            ck_assert_mem_eq(out, expected, n * sizeof *out);
            for (size_t b = n * sizeof *out; b < 64 * sizeof *out; b++) ck_assert_uint_eq(((unsigned char *)out)[b], 0xa5);
        }
    }
    free(out);
    free(expected);
    free(in);
}
END_TEST

/* ---- choosing */

START_TEST(a_kernel_is_chosen_by_name)
{
    struct ken_error error = {0};
    ck_assert_str_eq(ken_kernel_at(0)->name, "scalar");
    ck_assert_int_eq(ken_kernel_choose("scalar", &error), KEN_OK);
    ck_assert_str_eq(ken_kernel()->name, "scalar");
    ck_assert_int_eq(ken_kernel_choose("sse9", &error), KEN_EINVALID);
    ck_assert(strstr(error.message, "there is no kernel \"sse9\" for this architecture: there are auto, scalar") != NULL);
    ck_assert_str_eq(ken_kernel()->name, "scalar");
    const struct ken_kernel *fastest = ken_kernel_find("auto", &error), *kernel;
    for (size_t i = 0; (kernel = ken_kernel_at(i)); i++) {
        int code = ken_kernel_choose(kernel->name, &error);
        ck_assert_int_eq(code, kernel->is_usable() ? KEN_OK : KEN_EINVALID);
        if (code == KEN_OK) ck_assert_ptr_eq(ken_kernel(), kernel);
    }
    ck_assert_int_eq(ken_kernel_choose("auto", &error), KEN_OK);
    ck_assert_ptr_eq(ken_kernel(), fastest);
}
END_TEST

UNIT_MAIN("kernels", every_short_length_gives_the_same_mask, every_kind_of_row_gives_the_same_mask, long_rows_give_the_same_mask,
          random_rows_give_the_same_mask, a_constant_row_gives_the_lowest_columns, moments_and_sums_in_full_have_the_same_bits,
          sixteen_bits_are_widened_exactly, a_kernel_is_chosen_by_name)
