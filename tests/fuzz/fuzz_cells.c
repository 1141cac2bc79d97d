/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pictures from a sidecar and a delta that may say anything. An input is the length of the sidecar (u32, little-endian), the sidecar, and
 * the delta, whose size the sidecar is made to tell rightly unless the length has its highest bit set: else hardly any would be read. Every
 * tensor of the directory is drawn in every view, as a whole and in parts, compared with itself, and put among others.
 */
#include "folder.h"
#include "fuzz.h"
#include "heatmap/agreement_picture.h"
#include "heatmap/layers.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { NAMES = 6, SMALL = 64 };
#define HIGHEST (UINT32_C(1) << 31)

/* Those of the corpus: a directory has their digests, so others cannot be found. */
static const char *const names[NAMES] = {"a.0.w", "a.1.w", "a.10.w", "b", "c", "none"};

static int make_file(const uint8_t *bytes, size_t length)
{
    int file = memfd_create("fuzz", MFD_CLOEXEC);
    KEN_ASSERT(file >= 0 && !ken_file_write(file, 0, bytes, length, "fuzz", NULL));
    return file;
}

/* A PNG that was made begins as one, of that size; else the error is one. */
static void check(int code, const struct ken_error *error, struct ken_picture *picture)
{
    static const unsigned char head[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    if (code) {
        fuzz_check_error(code, error);
        KEN_ASSERT(!picture->png);
    } else {
        const unsigned char *size = picture->png + 16;
        KEN_ASSERT(picture->length > 24 && memcmp(picture->png, head, sizeof head) == 0);
        KEN_ASSERT(((unsigned)size[2] << 8 | size[3]) == picture->width && ((unsigned)size[6] << 8 | size[7]) == picture->height);
        KEN_ASSERT(picture->rows && picture->n);
        fuzz_accepted = true;
    }
    free(picture->png);
    picture->png = NULL;
}

static void draw(const struct ken_picture_side *side, const char *name, enum ken_view view, uint64_t x, uint64_t w)
{
    struct ken_error error = {0};
    struct ken_picture picture;
    struct ken_heatmap heatmap = {.tensor = name, .view = view, .x = x, .y = x / 2, .w = w, .h = w, .width = w ? 16 : 0, .legend = w > 1};
    int code = ken_heatmap_draw(&picture, &heatmap, side->cells, side->cells_bytes, side->delta, side->delta_bytes, &error);
    check(code, &error, &picture);
}

static void compare(const struct ken_picture_side *side, const char *name, uint64_t x, uint64_t w)
{
    struct ken_error error = {0};
    struct ken_picture picture;
    const struct ken_heatmap heatmap = {.tensor = name, .x = x, .y = x / 2, .w = w, .h = w, .width = SMALL};
    check(ken_agreement_draw(&picture, &heatmap, side, side, &error), &error, &picture);
}

static void draw_layers(const struct ken_picture_side *side, enum ken_view view)
{
    struct ken_error error = {0};
    struct ken_picture picture;
    const struct ken_layer layers[] = {{names[0], 0.5, 1}, {names[1], 1e300, -1}, {names[2], 0, 0}};
    const struct ken_layers wanted = {.role = "a.*.w", .layers = layers, .count = 3, .view = view, .width = KEN_LAYERS_LEAST};
    int code = ken_layers_draw(&picture, &wanted, side->cells, side->cells_bytes, side->delta, side->delta_bytes, &error);
    picture.rows = picture.n = 1;
    check(code, &error, &picture);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t length;
    fuzz_accepted = false;
    if (size < sizeof length) return 0;
    memcpy(&length, data, sizeof length);
    const bool as_it_is = length & HIGHEST;
    length &= ~HIGHEST;
    data += sizeof length;
    size -= sizeof length;
    if (length > size) length = (uint32_t)size;
    const uint64_t delta = size - length;
    const struct ken_picture_side side = {make_file(data, length), make_file(data + length, (size_t)delta), length, delta};
    if (!as_it_is && length >= sizeof(struct ken_cells_head))
        KEN_ASSERT(!ken_file_write(side.cells, offsetof(struct ken_cells_head, delta_bytes), &delta, sizeof delta, "fuzz", NULL));
    for (size_t i = 0; i < NAMES; i++) {
        for (unsigned view = 0; view < KEN_VIEW_COUNT; view++) draw(&side, names[i], (enum ken_view)view, i, view ? 3 * view : 0);
        draw(&side, names[i], KEN_VIEW_MASK, 0, 0);
        compare(&side, names[i], 0, 0);
        compare(&side, names[i], i, 5);
    }
    draw_layers(&side, KEN_VIEW_DENSITY);
    draw_layers(&side, KEN_VIEW_MASK);
    close(side.cells);
    close(side.delta);
    return 0;
}
