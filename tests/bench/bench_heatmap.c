/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long pictures of a matrix of 50,000 x 14,336 take, a quarter of it kept, from files that are made up in $TMPDIR (250 MB): prints a
 * table of processor time, and fails where a part of it takes longer than 100 ms, or memory grows.
 */
#include "delta/packed.h"
#include "folder.h"
#include "heatmap/agreement_picture.h"
#include "heatmap/layers.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MOST_SECONDS 0.1
enum { ROWS = 50000, COLUMNS = 14336, MASK_ROW = COLUMNS / 8, LAYERS = 32, TRIES = 3, MOST_MEMORY_KB = 48 << 10 };
static const uint64_t elements = UINT64_C(50000) * 14336, values_bytes = UINT64_C(50000) * 14336 * 4;

static uint64_t random_state = 1;

static uint64_t bits(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static double uniform(void)
{
    return (double)(bits() >> 11) * 0x1p-53;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* what others do on the machine is not to count */
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void check(int code, const struct ken_error *error)
{
    if (!code) return;
    fprintf(stderr, "bench_heatmap: %s\n", error->message);
    exit(1);
}

/* ---- a delta and its cells */

/* A file without a name. */
static int make_file(void)
{
    const char *folder = getenv("TMPDIR");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/bench_heatmap.XXXXXX", folder && *folder ? folder : "/tmp");
    int file = mkstemp(path);
    if (file < 0 || unlink(path) != 0) {
        perror(path);
        exit(1);
    }
    return file;
}

/* Writes a band's mask behind the values and adds up its cells, whose sums spread as those of a thousand values do. */
static void write_band(struct ken_picture_side *side, const struct ken_cells_shape *shape, uint64_t band, uint64_t *stored)
{
    static unsigned char mask[KEN_CELL * MASK_ROW];
    static struct ken_cells_record cells[COLUMNS / KEN_CELL];
    struct ken_error error;
    const uint64_t left = ROWS - band * shape->height, rows = left < shape->height ? left : shape->height;
    const struct ken_cells_band head = {*stored, *stored ? band * shape->height * COLUMNS : 0};
    memset(cells, 0, sizeof cells);
    for (uint64_t i = 0; i < rows * MASK_ROW; i += 4) {
        const uint32_t word = (uint32_t)(bits() & bits());
        struct ken_cells_record *cell = &cells[i % MASK_ROW / 4];
        memcpy(mask + i, &word, sizeof word);
        cell->stored += (uint32_t)__builtin_popcount(word);
        *stored += (uint64_t)__builtin_popcount(word);
    }
    for (size_t i = 0; i < COLUMNS / KEN_CELL; i++) {
        cells[i].pairs = cells[i].stored / 2;
        cells[i].difference = (float)(1024 * (0.3 + 0.1 * uniform()));
        cells[i].size = (float)(cells[i].stored * (0.7 + 0.1 * uniform()));
        cells[i].value = (float)(cells[i].stored * 0.3 * (uniform() - 0.5));
    }
    const uint64_t at = sizeof(struct ken_cells_head) + band * shape->band_bytes;
    check(ken_file_write(side->delta, values_bytes + band * shape->height * MASK_ROW, mask, rows * MASK_ROW, "a mask", &error), &error);
    check(ken_file_write(side->cells, at, &head, sizeof head, "cells", &error), &error);
    check(ken_file_write(side->cells, at + sizeof head, cells, sizeof cells, "cells", &error), &error);
}

static int in_order(const void *a, const void *b)
{
    return memcmp(a, b, KEN_SHA256_SIZE);
}

/* As many layers, which all have the same bands. */
static void make_side(struct ken_picture_side *side)
{
    struct ken_cells_shape shape;
    struct ken_cells_tensor tensors[LAYERS];
    struct ken_error error;
    uint64_t stored = 0;
    ken_cells_measure(&shape, ROWS, COLUMNS);
    const uint64_t directory = sizeof(struct ken_cells_head) + shape.bands * shape.band_bytes;
    side->delta_bytes = values_bytes + elements / 8;
    side->cells_bytes = directory + sizeof tensors;
    side->cells = make_file();
    side->delta = make_file();
    for (uint64_t band = 0; band < shape.bands; band++) write_band(side, &shape, band, &stored);
    const struct ken_cells_head head = {KEN_CELLS_MAGIC, LAYERS, directory, side->delta_bytes, {1, 1}, {0}};
    for (unsigned i = 0; i < LAYERS; i++) {
        char name[32];
        snprintf(name, sizeof name, "layer.%u.w", i);
        tensors[i] = (struct ken_cells_tensor){.dtype = "F32",
                                               .rows = ROWS,
                                               .n = COLUMNS,
                                               .stored = stored,
                                               .bands = sizeof head,
                                               .places = values_bytes,
                                               .values_length = 4 * stored,
                                               .form = KEN_FORM_MASK};
        check(ken_sha256(name, strlen(name), tensors[i].name, &error), &error);
    }
    qsort(tensors, LAYERS, sizeof *tensors, in_order);
    check(ken_file_write(side->cells, 0, &head, sizeof head, "cells", &error), &error);
    check(ken_file_write(side->cells, directory, tensors, sizeof tensors, "cells", &error), &error);
}

/* ---- deltas that must be decoded: gaps, and blocks of encoding packed */

enum { CODED_ROWS = 4096, CODED_COLUMNS = 65600, CODED = CODED_ROWS * CODED_COLUMNS, GAP = 2, BLOCK = KEN_PACKED_RAW / 2 };

/* Cells are written by nobody: comparing looks only at what bands begin with. */
static void finish_coded(struct ken_picture_side *side, struct ken_cells_tensor *tensor, const struct ken_cells_shape *shape)
{
    struct ken_error error;
    struct ken_cells_head head = {KEN_CELLS_MAGIC, 1, sizeof head + shape->bands * shape->band_bytes, side->delta_bytes, {1, 1}, {0}};
    memcpy(tensor->dtype, "BF16", 4);
    tensor->rows = CODED_ROWS;
    tensor->n = CODED_COLUMNS;
    tensor->bands = sizeof head;
    check(ken_sha256("w", 1, tensor->name, &error), &error);
    check(ken_file_write(side->cells, 0, &head, sizeof head, "cells", &error), &error);
    check(ken_file_write(side->cells, head.directory, tensor, sizeof *tensor, "cells", &error), &error);
    side->cells_bytes = head.directory + sizeof *tensor;
}

/* One of sixteen is kept: of more there would be a mask. */
static void make_gaps(struct ken_picture_side *side)
{
    static uint16_t gaps[1 << 16];
    struct ken_cells_shape shape;
    struct ken_error error;
    uint64_t stored = 0, next = 0, band = 0;
    ken_cells_measure(&shape, CODED_ROWS, CODED_COLUMNS);
    *side = (struct ken_picture_side){.cells = make_file(), .delta = make_file()};
    for (bool more = true; more;) {
        size_t count = 0;
        for (; more && count < sizeof gaps / sizeof *gaps; count++) {
            const uint64_t gap = bits() % 31, element = next + gap;
            more = element < CODED - 32;
            for (; band < shape.bands && (band * shape.height * CODED_COLUMNS <= element || !more); band++) {
                const struct ken_cells_band head = {stored + count, next};
                check(ken_file_write(side->cells, sizeof(struct ken_cells_head) + band * shape.band_bytes, &head, sizeof head, "cells",
                                     &error),
                      &error);
            }
            gaps[count] = (uint16_t)gap;
            next = element + 1;
        }
        check(ken_file_write(side->delta, GAP * stored, gaps, GAP * count, "gaps", &error), &error);
        stored += count;
    }
    struct ken_cells_tensor tensor = {
        .stored = stored, .values = GAP * stored, .values_length = 2 * stored, .form = KEN_FORM_GAPS, .gap = GAP};
    side->delta_bytes = (GAP + 2) * stored;
    check(ken_file_write(side->delta, side->delta_bytes - 1, "", 1, "a delta", &error), &error);
    finish_coded(side, &tensor, &shape);
}

/* A quarter is kept; all blocks are as the first. */
static void make_packed(struct ken_picture_side *side)
{
    static unsigned char mask[BLOCK / 8];
    static uint16_t values[BLOCK];
    const uint64_t blocks = ken_packed_blocks(CODED, 2);
    const unsigned char *bytes;
    struct ken_cells_shape shape;
    struct ken_packed_entry entry;
    struct ken_packer *packer;
    struct ken_error error;
    unsigned char index[KEN_PACKED_INDEX_ENTRY];
    struct ken_packed_input input = {.dtype = KEN_BF16, .count = BLOCK, .mask = mask, .values = values};
    ken_cells_measure(&shape, CODED_ROWS, CODED_COLUMNS);
    *side = (struct ken_picture_side){.cells = make_file(), .delta = make_file()};
    for (size_t i = 0; i < sizeof mask; i++) {
        mask[i] = (unsigned char)(bits() & bits());
        input.stored += (size_t)__builtin_popcount(mask[i]);
    }
    for (size_t i = 0; i < BLOCK; i++) values[i] = (uint16_t)(0x3c00 + bits() % 512);
    check(ken_packer_create(&packer, &error), &error);
    check(ken_packer_pack(packer, &input, &bytes, &entry, &error), &error);
    ken_packed_entry_write(index, &entry);
    side->delta_bytes = blocks * (sizeof index + entry.length);
    for (uint64_t i = 0; i < blocks; i++) {
        check(ken_file_write(side->delta, i * sizeof index, index, sizeof index, "a delta", &error), &error);
        check(ken_file_write(side->delta, blocks * sizeof index + i * entry.length, bytes, entry.length, "a delta", &error), &error);
    }
    ken_packer_free(&packer);
    struct ken_cells_tensor tensor = {
        .stored = blocks * entry.stored, .values_length = side->delta_bytes, .form = KEN_FORM_MASK, .packed = 1};
    finish_coded(side, &tensor, &shape);
}

static bool bench_coded(const char *what, const struct ken_picture_side *side)
{
    static const struct {
        uint64_t y, w, h;
        unsigned width;
    } regions[] = {{0, 16, CODED_ROWS, 16}, {0, 0, 0, 1024}, {0, 4096, CODED_ROWS, 1024}, {2000, 1000, 1000, 1000}, {7, 0, 16, 4096}};
    bool good = true;
    for (size_t i = 0; i < sizeof regions / sizeof *regions; i++) {
        const struct ken_heatmap heatmap = {
            .tensor = "w", .y = regions[i].y, .w = regions[i].w, .h = regions[i].h, .width = regions[i].width};
        struct ken_picture picture;
        struct ken_error error;
        double least = 1e9;
        for (unsigned try = 0; try < TRIES; try++) {
            const double begin = seconds();
            check(ken_agreement_draw(&picture, &heatmap, side, side, &error), &error);
            const double took = seconds() - begin;
            free(picture.png);
            if (took < least) least = took;
        }
        printf("%s: %ju x %ju from 0, %ju; %u pixels wide: %.1f ms%s\n", what, (uintmax_t)(heatmap.w ? heatmap.w : CODED_COLUMNS),
               (uintmax_t)(heatmap.h ? heatmap.h : CODED_ROWS), (uintmax_t)heatmap.y, heatmap.width, 1e3 * least,
               least <= MOST_SECONDS ? "" : " !");
        good &= least <= MOST_SECONDS;
    }
    return good;
}

/* ---- pictures */

static const struct {
    uint64_t x, y, w, h;
    unsigned width;
} parts[] = {
    {0, 0, COLUMNS, ROWS, 294},          {0, 0, COLUMNS, ROWS, 1024},       {0, 0, COLUMNS, COLUMNS, 2048}, {3000, 9000, 8192, 8192, 1024},
    {77, 40000, 4096, 4096, 1024},       {77, 40000, 2048, 2048, 1024},     {5, 49000, 1000, 1000, 1000},   {5000, 20000, 256, 256, 256},
    {COLUMNS - 512, 31, 512, 512, 2048}, {0, ROWS - 16, COLUMNS, 16, 4096}, {100, 0, 16, ROWS, 16},
};
enum { PARTS = sizeof parts / sizeof *parts };

/* The least of some tries. */
static double time_part(const struct ken_picture_side sides[2], size_t part, unsigned view, bool legend)
{
    double least = 1e9;
    for (unsigned i = 0; i < TRIES; i++) {
        struct ken_heatmap heatmap = {.tensor = "layer.7.w", .view = (enum ken_view)view, .legend = legend};
        struct ken_picture picture;
        struct ken_error error;
        heatmap.x = parts[part].x, heatmap.y = parts[part].y, heatmap.w = parts[part].w, heatmap.h = parts[part].h;
        heatmap.width = parts[part].width;
        const double begin = seconds();
        if (view == KEN_VIEW_COUNT)
            check(ken_agreement_draw(&picture, &heatmap, &sides[0], &sides[1], &error), &error);
        else
            check(ken_heatmap_draw(&picture, &heatmap, sides->cells, sides->cells_bytes, sides->delta, sides->delta_bytes, &error), &error);
        const double took = seconds() - begin;
        free(picture.png);
        if (took < least) least = took;
    }
    return least;
}

static bool bench_parts(const struct ken_picture_side sides[2])
{
    bool good = true;
    printf("%-44s", "milliseconds of one thread");
    for (unsigned view = 0; view < KEN_VIEW_COUNT; view++) printf("%10s", ken_view_name((enum ken_view)view));
    printf("%10s%10s\n", KEN_AGREEMENT_VIEW, "legend");
    for (size_t part = 0; part < PARTS; part++) {
        char text[64];
        snprintf(text, sizeof text, "%ju x %ju from %ju, %ju; %u pixels wide", (uintmax_t)parts[part].w, (uintmax_t)parts[part].h,
                 (uintmax_t)parts[part].x, (uintmax_t)parts[part].y, parts[part].width);
        printf("%-44s", text);
        for (unsigned view = 0; view <= KEN_VIEW_COUNT + 1; view++) {
            const bool legend = view > KEN_VIEW_COUNT;
            const double took = time_part(sides, part, legend ? KEN_VIEW_DENSITY : view, legend);
            printf("%9.1f%s", 1e3 * took, took <= MOST_SECONDS ? " " : "!");
            good &= took <= MOST_SECONDS;
        }
        putchar('\n');
        fflush(stdout);
    }
    return good;
}

static void bench_layers(const struct ken_picture_side *side)
{
    struct ken_layer layers[LAYERS];
    char names[LAYERS][32];
    struct ken_picture picture;
    struct ken_error error;
    for (unsigned i = 0; i < LAYERS; i++) {
        snprintf(names[i], sizeof names[i], "layer.%u.w", i);
        layers[i] = (struct ken_layer){names[i], 0.25, 0.5};
    }
    const struct ken_layers wanted = {.role = "layer.*.w", .layers = layers, .count = LAYERS};
    const double begin = seconds();
    check(ken_layers_draw(&picture, &wanted, side->cells, side->cells_bytes, side->delta, side->delta_bytes, &error), &error);
    printf("%d such matrices in one picture: %.0f ms\n", LAYERS, 1e3 * (seconds() - begin));
    free(picture.png);
}

static void bench_counts(const struct ken_picture_side sides[2])
{
    struct ken_cells cells[2];
    struct ken_cells_found found[2];
    struct ken_masked masked[2];
    struct ken_error error;
    struct ken_agreement agreement;
    const struct ken_interrupt nothing = {NULL, NULL};
    for (size_t i = 0; i < 2; i++) {
        check(ken_cells_open(&cells[i], sides[i].cells, sides[i].cells_bytes, sides[i].delta_bytes, &error), &error);
        check(ken_cells_find(&cells[i], "layer.0.w", &found[i], &error), &error);
        masked[i] = (struct ken_masked){&cells[i], &found[i], sides[i].delta};
    }
    const double begin = seconds();
    check(ken_agreement_count(&agreement, &masked[0], &masked[1], &nothing, &error), &error);
    const double took = seconds() - begin;
    printf("where two masks of it agree: %.0f ms, %.1f thousand million parameters a second\n", 1e3 * took, (double)elements / took * 1e-9);
}

int main(void)
{
    struct ken_picture_side sides[2];
    struct rusage used;
    make_side(&sides[0]);
    make_side(&sides[1]);
    bool good = bench_parts(sides);
    bench_layers(&sides[0]);
    bench_counts(sides);
    struct ken_picture_side coded;
    make_gaps(&coded);
    good &= bench_coded("compare, gaps", &coded);
    make_packed(&coded);
    good &= bench_coded("compare, packed", &coded);
    getrusage(RUSAGE_SELF, &used);
    printf("peak resident memory: %.1f MiB\n", (double)used.ru_maxrss / 1024);
    good &= used.ru_maxrss <= MOST_MEMORY_KB;
    if (!good) fprintf(stderr, "bench_heatmap: more than %.0f ms, or more than %d MiB\n", 1e3 * MOST_SECONDS, MOST_MEMORY_KB >> 10);
    return !good;
}
