/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect/values.h"

#include "bits.h"
#include "delta/packed.h"
#include "folder.h"
#include "heatmap/heatmap.h"
#include "heatmap/kept.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Elements of whole rows that lie from the first to the last value: all that say where values are stored is looked at. */
enum { MOST_IN_ROWS = 64 << 20, MOST_IN_PACKED_ROWS = 16 << 20 };

/* One reading. All buffers are of the model's dtype. */
struct reading {
    const struct ken_pair *pair;
    struct ken_pair_tensor tensor;
    struct ken_values *values;
    struct ken_kept *kept;
    size_t size;           /* bytes of an element */
    unsigned char *row;    /* [w] of one side */
    unsigned char *pruned; /* [w] */
    unsigned char *bits;   /* [w] which of them are stored */
    unsigned char *block;  /* encoding packed: the elements [per_block] of the pruned tensor from `block_first` on */
    uint64_t per_block, block_first;
};

/* ---- the region */

static int check_region(const struct reading *reading, struct ken_error *error)
{
    struct ken_values *values = reading->values;
    const struct ken_cells_shape *shape = &reading->tensor.found.shape;
    const uint64_t most = reading->tensor.found.on_disk.packed ? MOST_IN_PACKED_ROWS : MOST_IN_ROWS;
    int code = ken_region_check(values->x, &values->w, shape->n, "x", "w", "columns", error);
    if (!code) code = ken_region_check(values->y, &values->h, shape->rows, "y", "h", "rows", error);
    if (code) return code;
    if (values->w > KEN_VALUES_MOST / values->h)
        return ken_fail(error, KEN_EINVALID, "\"w\" and \"h\" ask for more than %d values", KEN_VALUES_MOST);
    if (values->h > 1 && shape->n > most / values->h)
        return ken_fail(error, KEN_EINVALID, "\"h\" is too large: so many rows have more than %" PRIu64 " values", most);
    if (values->h == 1 && values->x + values->w > most)
        return ken_fail(error, KEN_EINVALID, "\"x\" and \"w\" lead too far into a row: values can be told of its first %" PRIu64, most);
    return KEN_OK;
}

/* ---- one row */

/* Puts what the delta stores over what the base has, of elements from `first` on; `ones` are stored before them. */
static int put_stored(struct reading *reading, uint64_t first, uint64_t ones, struct ken_error *error)
{
    const struct ken_cells_tensor *told = &reading->tensor.found.on_disk;
    const uint64_t w = reading->values->w, all = told->values_length / reading->size;
    const bool whole = told->form == KEN_FORM_WHOLE;
    const uint64_t number = whole ? first : ones;
    uint64_t stored = 0;
    for (uint64_t i = 0; i < w; i++) stored += ken_bits_has(reading->bits, i);
    if (!stored) return KEN_OK;
    const uint64_t count = whole ? w : stored;
    if (number > all || count > all - number) return ken_fail(error, KEN_EBAD_DELTA, "the delta: more is marked than is stored");
    int code =
        ken_file_read(reading->pair->delta, told->values + number * reading->size, reading->row, count * reading->size, "the delta", error);
    if (code) return code;
    for (uint64_t i = 0, next = 0; i < w; i++) {
        if (!ken_bits_has(reading->bits, i)) continue;
        memcpy(reading->pruned + i * reading->size, reading->row + (whole ? i : next++) * reading->size, reading->size);
    }
    return KEN_OK;
}

static int read_plain(struct reading *reading, uint64_t first, struct ken_error *error)
{
    const struct ken_pair_tensor *tensor = &reading->tensor;
    uint64_t ones;
    int code = ken_pair_read(reading->pair->base, tensor->base, tensor->found.dtype, first, reading->values->w, reading->pruned, error);
    if (!code) code = ken_kept_take(reading->kept, reading->values->w, reading->bits, &ones, error);
    return code ? code : put_stored(reading, first, ones, error);
}

/* Decodes the block that begins there. */
static int unpack(struct reading *reading, uint64_t block_first, struct ken_error *error)
{
    const struct ken_pair_tensor *tensor = &reading->tensor;
    const uint64_t left = tensor->found.shape.rows * tensor->found.shape.n - block_first;
    int code = ken_pair_read(reading->pair->base, tensor->base, tensor->found.dtype, block_first,
                             left < reading->per_block ? left : reading->per_block, reading->block, error);
    if (!code) code = ken_kept_unpack(reading->kept, reading->block, error);
    reading->block_first = code ? UINT64_MAX : block_first;
    return code;
}

static int read_packed(struct reading *reading, uint64_t first, struct ken_error *error)
{
    unsigned char bits[KEN_PACKED_RAW / 8 + KEN_BITS_SLACK];
    for (uint64_t done = 0; done < reading->values->w;) {
        const uint64_t in_block = (first + done) % reading->per_block, block_first = first + done - in_block;
        const uint64_t left = reading->values->w - done, rest = reading->per_block - in_block, now = left < rest ? left : rest;
        memset(bits, 0, now / 8 + 1 + KEN_BITS_SLACK);
        int code = ken_kept_take(reading->kept, now, bits, NULL, error);
        if (!code && block_first != reading->block_first) code = unpack(reading, block_first, error);
        if (code) return code;
        memcpy(reading->pruned + done * reading->size, reading->block + in_block * reading->size, now * reading->size);
        for (uint64_t i = 0; i < now; i++)
            if (ken_bits_has(bits, i)) reading->bits[(done + i) / 8] |= (unsigned char)(1U << (done + i) % 8);
        done += now;
    }
    return KEN_OK;
}

/* Values of one side, as they are in its file. */
static int read_side(struct reading *reading, const struct ken_checkpoint *checkpoint, const struct ken_tensor *tensor, uint64_t first,
                     double *numbers, struct ken_error *error)
{
    int code = ken_pair_read(checkpoint, tensor, tensor->dtype, first, reading->values->w, reading->row, error);
    for (uint64_t i = 0; !code && i < reading->values->w; i++) numbers[i] = ken_load(tensor->dtype, reading->row, i);
    return code;
}

static int read_row(struct reading *reading, uint64_t row, struct ken_error *error)
{
    struct ken_values *values = reading->values;
    const struct ken_pair_tensor *tensor = &reading->tensor;
    const uint64_t n = tensor->found.shape.n, first = row * n + values->x, at = (row - values->y) * values->w;
    memset(reading->bits, 0, values->w / 8 + 1 + KEN_BITS_SLACK);
    int code = ken_kept_take(reading->kept, values->x, NULL, NULL, error);
    if (!code) code = reading->block ? read_packed(reading, first, error) : read_plain(reading, first, error);
    if (!code && row + 1 < values->y + values->h) code = ken_kept_take(reading->kept, n - values->x - values->w, NULL, NULL, error);
    if (!code) code = read_side(reading, reading->pair->model, tensor->model, first, values->model + at, error);
    if (!code) code = read_side(reading, reading->pair->base, tensor->base, first, values->base + at, error);
    for (uint64_t i = 0; !code && i < values->w; i++) {
        values->pruned[at + i] = ken_load(values->dtype, reading->pruned, i);
        values->kept[at + i] = ken_bits_has(reading->bits, i);
    }
    return code;
}

/* ---- all */

static int make(struct reading *reading, struct ken_error *error)
{
    struct ken_values *values = reading->values;
    const struct ken_cells_tensor *told = &reading->tensor.found.on_disk;
    const uint64_t count = values->w * values->h;
    values->base = calloc(count, sizeof *values->base);
    values->model = calloc(count, sizeof *values->model);
    values->pruned = calloc(count, sizeof *values->pruned);
    values->kept = calloc(count, 1);
    reading->row = calloc(values->w, sizeof(double));
    reading->pruned = calloc(values->w, sizeof(double));
    reading->bits = calloc(1, values->w / 8 + 1 + KEN_BITS_SLACK);
    reading->per_block = ken_packed_elements(reading->size);
    reading->block_first = UINT64_MAX;
    bool there = values->base && values->model && values->pruned && values->kept && reading->row && reading->pruned && reading->bits;
    if (there && told->packed && told->form != KEN_FORM_SAME) there = (reading->block = malloc(KEN_PACKED_RAW)) != NULL;
    if (!there) return ken_fail(error, KEN_ENOMEM, "out of memory for values");
    int code = ken_kept_create(&reading->kept, &reading->tensor.cells, &reading->tensor.found, reading->pair->delta, error);
    return code ? code : ken_kept_seek(reading->kept, values->y, error);
}

int ken_values_read(struct ken_values *values, const struct ken_pair *pair, const char *tensor, uint64_t x, uint64_t y, uint64_t w,
                    uint64_t h, struct ken_error *error)
{
    struct reading reading = {.pair = pair, .values = values};
    *values = (struct ken_values){.x = x, .y = y, .w = w, .h = h};
    int code = ken_pair_find(pair, tensor, &reading.tensor, error);
    if (!code) code = check_region(&reading, error);
    if (code) return code;
    reading.size = reading.tensor.found.size;
    values->dtype = reading.tensor.found.dtype;
    values->base_dtype = reading.tensor.base->dtype;
    code = make(&reading, error);
    for (uint64_t row = y; !code && row < y + h; row++) code = read_row(&reading, row, error);
    ken_kept_free(&reading.kept);
    free(reading.block);
    free(reading.bits);
    free(reading.pruned);
    free(reading.row);
    return code;
}

void ken_values_free(struct ken_values *values)
{
    free(values->base);
    free(values->model);
    free(values->pruned);
    free(values->kept);
    *values = (struct ken_values){0};
}
