/* SPDX-License-Identifier: Apache-2.0 */
/* How fast rows are selected: prints a table, writes bench.json, fails when a kernel is below its goal or a hostile row costs too much. */
#include "selection/kernel.h"
#include "selection/select.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDS_PER_LINE 0.1
#define MOST_HOSTILE_RATIO 3.0
#define MOST_LENGTH_RATIO 1.6 /* of the time per parameter, n = 16384 against n = 256 */
enum { ROWS = 16 };

static uint64_t random_state = 1;

static double uniform(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return ((double)((z ^ z >> 31) >> 11) + 0.5) * 0x1p-53;
}

static double normal(void)
{
    return sqrt(-2 * log(uniform())) * cos(2 * M_PI * uniform());
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* what others do on the machine is not to count */
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* What a row is filled with: value i of n. */
#define ROW_KIND_MAP(X)                                                           \
    X("normal", 0.02 * normal())                                                  \
    X("tiny spread", 1 + 0x1p-23 * rint(64 * uniform()))                          \
    X("small normal", 1e-6 * normal())                                            \
    X("denormal", 1e-42 * normal())                                               \
    X("uniform", uniform() - 0.5)                                                 \
    X("heavy tails", 0.02 * normal() / fabs(normal()))                            \
    X("heavier tails", exp(6 * normal()))                                         \
    X("two far clusters", (i % 2 ? 1e6 : -1e6) + normal())                        \
    X("far cluster of a few", i % 100 ? 1e-7 * normal() : 1 + 1e-7 * normal())    \
    X("plateau at one half", -1 + 2 * ((double)i + 0.5) / (double)n)              \
    X("plateau over clusters", i % 50 ? 0 : 0.001 * (double)i / (double)n)        \
    X("low plateau", i % 16 ? 0.5e-4 : 1e-4 * (double)i / (double)n)              \
    X("two values", i % 2 ? 0.25 : -0.25)                                         \
    X("one differs", i == n / 2 ? 1 : 0.5)                                        \
    X("few values", rint(4 * normal()))                                           \
    X("a thousand values", rint(300 * normal()))                                  \
    X("many zeros", i % 4 ? 0 : 0.02 * normal())                                  \
    X("one outlier", i == n / 3 ? 1e30 : 0.02 * normal())                         \
    X("two outliers", i == n / 3 ? 1e30 : i == n / 2 ? -1e30 : 0.02 * normal())   \
    X("one outlier, small scale", i == n / 3 ? 1 : 2e-32 * normal())              \
    X("sixteen outliers", i % (n / 16) == 7 ? (double)i * 1e26 : 0.02 * normal()) \
    X("all scales", normal() * pow(10, 40 * uniform() - 20))                      \
    X("sorted", (double)i * 1e-4)                                                 \
    X("reversed", (double)(n - i))                                                \
    X("largest", (i % 2 ? 1 : -1) * 3.4e38 * uniform())

static double value_of(int kind, size_t i, size_t n)
{
    int at = 0;
#define X(name, expression) \
    if (at++ == kind) return expression;
    ROW_KIND_MAP(X)
#undef X
    return 0;
}

static const char *const kinds[] = {
#define X(name, expression) name,
    ROW_KIND_MAP(X)
#undef X
};

struct rows {
    size_t n;
    enum ken_dtype dtype;
    unsigned char *model, *base; /* [ROWS, n] */
    float *x;                    /* [n] */
    uint64_t *mask;
};

static void *allocate(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!memory) {
        fputs("bench_select: out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    return memory;
}

static struct rows rows_make(size_t n, enum ken_dtype dtype, int kind)
{
    size_t size = ken_dtype_size(dtype);
    struct rows rows = {n,
                        dtype,
                        allocate(ROWS * n * size),
                        allocate(ROWS * n * size),
                        allocate(n * sizeof(float)),
                        allocate(ken_mask_words(n) * sizeof(uint64_t))};
    for (size_t i = 0; i < ROWS * n; i++) {
        double value = value_of(kind, i % n, n);
        ken_store(dtype, rows.model, i, value);
        ken_store(dtype, rows.base, i, value * (1 + 0.01 * normal()));
    }
    return rows;
}

static void rows_free(struct rows *rows)
{
    free(rows->model);
    free(rows->base);
    free(rows->x);
    free(rows->mask);
}

/* Seconds per row, widening included: of the fastest pass over the rows, as only disturbance makes one longer. Asking for the time of each
 * row would take longer than some rows. */
static double time_rows(const struct rows *rows, size_t k, enum ken_method method)
{
    static const unsigned char tensor_key[32] = {1};
    void *scratch = allocate(ken_select_scratch(method, rows->n));
    size_t row_bytes = rows->n * ken_dtype_size(rows->dtype);
    double least = INFINITY, start = seconds(), end = start + SECONDS_PER_LINE;
    while (start < end) {
        for (size_t r = 0; r < ROWS; r++) {
            const unsigned char *model = rows->model + r * row_bytes;
            ken_kernel_widen(rows->dtype, model, rows->x, rows->n);
            struct ken_row row = {rows->n, rows->x, rows->dtype, model, rows->base + r * row_bytes, tensor_key, r};
            ken_select(&row, k, method, KEN_DUPLICATES_EXACT, 0, rows->mask, scratch);
        }
        double now = seconds();
        least = fmin(least, now - start);
        start = now;
    }
    free(scratch);
    return least / ROWS;
}

static double time_kind(size_t n, size_t k, enum ken_dtype dtype, enum ken_method method, int kind)
{
    struct rows rows = rows_make(n, dtype, kind);
    double time = time_rows(&rows, k, method);
    rows_free(&rows);
    return time;
}

/* goal: Mparam/s that are required; 0: nothing is. */
static void report(FILE *json, const char *method, const char *dtype, size_t n, size_t k, double time, double goal)
{
    double speed = (double)n / time * 1e-6;
    printf("%-6s  %-9s  %-4s  n %6zu  k %5zu  %9.2f us/row  %7.1f Mparam/s", ken_kernel()->name, method, dtype, n, k, time * 1e6, speed);
    if (goal > 0) printf("  required %.0f%s", goal, speed < goal ? ", MISSED" : "");
    puts("");
    fprintf(json,
            "  {\"kernel\": \"%s\", \"method\": \"%s\", \"dtype\": \"%s\", \"n\": %zu, \"k\": %zu, \"seconds_per_row\": %.4g, "
            "\"mparam_per_second\": %.4g},\n",
            ken_kernel()->name, method, dtype, n, k, time, speed);
}

/* What a kernel is required to reach, in million parameters a second, with the first four shapes; 0: nothing. */
struct goal {
    const char *kernel;
    double least;
};
static const struct goal goals[] = {{"scalar", 15}, {"avx2", 35}, {"avx512", 60}, {"neon", 0}};

static const size_t shapes[][2] = {{768, 192}, {768, 384}, {4096, 2048}, {14336, 3584}, {256, 128}, {16384, 8192}, {131072, 32768}};
enum { SHAPES = sizeof shapes / sizeof *shapes, WITH_GOAL = 4, SHORT = 4, LONG = 5 };

static double goal_of(const char *kernel)
{
    for (size_t i = 0; i < sizeof goals / sizeof *goals; i++)
        if (strcmp(goals[i].kernel, kernel) == 0) return goals[i].least;
    return 0;
}

static bool bench_dtype(FILE *json, enum ken_dtype dtype)
{
    const char *kernel = ken_kernel()->name;
    double times[SHAPES], goal = goal_of(kernel);
    bool good = true;
    for (size_t s = 0; s < SHAPES; s++) {
        times[s] = time_kind(shapes[s][0], shapes[s][1], dtype, KEN_METHOD_KEN, 0);
        report(json, "ken", ken_dtype_name(dtype), shapes[s][0], shapes[s][1], times[s], s < WITH_GOAL ? goal : 0);
        if (s < WITH_GOAL && (double)shapes[s][0] / times[s] * 1e-6 < goal) good = false;
    }
    double ratio = times[LONG] / (double)shapes[LONG][0] / (times[SHORT] / (double)shapes[SHORT][0]);
    printf("%s, %s: time per parameter of n 16384 against n 256: %.2f  required %.1f%s\n", kernel, ken_dtype_name(dtype), ratio,
           MOST_LENGTH_RATIO, ratio > MOST_LENGTH_RATIO ? ", MISSED" : "");
    return good && ratio <= MOST_LENGTH_RATIO;
}

/* Every kernel of this machine; the one that is chosen by itself comes last, and stays. */
static bool bench_shapes(FILE *json)
{
    static const enum ken_dtype types[] = {KEN_F32, KEN_BF16, KEN_F16};
    const struct ken_kernel *kernel;
    bool good = true;
    fputs(" \"shapes\": [\n", json);
    for (size_t i = 0; (kernel = ken_kernel_at(i)); i++) {
        if (ken_kernel_choose(kernel->name, NULL) != KEN_OK) continue;
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) good &= bench_dtype(json, types[t]);
    }
    for (enum ken_method method = KEN_METHOD_DENSITY; method < KEN_METHOD_COUNT; method++)
        report(json, ken_method_name(method), "F32", 4096, 2048, time_kind(4096, 2048, KEN_F32, method, 0), 0);
    fputs("  null],\n", json);
    return good;
}

static bool bench_hostile(FILE *json, enum ken_method method, size_t n, size_t k)
{
    bool good = true;
    double ordinary = time_kind(n, k, KEN_F32, method, 0);
    printf("\n%s, n %zu, k %zu: cost of a row against a normal one, required %.1f\n", ken_method_name(method), n, k, MOST_HOSTILE_RATIO);
    fprintf(json, " \"hostile_%s_%zu\": {\n", ken_method_name(method), n);
    for (size_t kind = 1; kind < sizeof kinds / sizeof *kinds; kind++) {
        double ratio = time_kind(n, k, KEN_F32, method, (int)kind) / ordinary;
        printf("  %-24s %5.2f%s\n", kinds[kind], ratio, ratio > MOST_HOSTILE_RATIO ? "  MISSED" : "");
        fprintf(json, "  \"%s\": %.3g%s\n", kinds[kind], ratio, kind + 1 < sizeof kinds / sizeof *kinds ? "," : "},");
        if (ratio > MOST_HOSTILE_RATIO) good = false;
    }
    return good;
}

int main(int argc, char **argv)
{
    FILE *json = fopen(argc > 1 ? argv[1] : "bench.json", "w");
    if (!json) {
        perror("bench.json");
        return EXIT_FAILURE;
    }
    fputs("{\n", json);
    bool good = bench_shapes(json);
    good &= bench_hostile(json, KEN_METHOD_KEN, 4096, 2048);
    good &= bench_hostile(json, KEN_METHOD_KEN, 131072, 32768);
    good &= bench_hostile(json, KEN_METHOD_DENSITY, 4096, 2048);
    fprintf(json, " \"good\": %s\n}\n", good ? "true" : "false");
    if (fclose(json) != 0) {
        perror("bench.json");
        return EXIT_FAILURE;
    }
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
