/* SPDX-License-Identifier: Apache-2.0 */
#include "heatmap/cells.h"

#include "delta/packed.h"
#include "folder.h"

#include <float.h>
#include <string.h>

_Static_assert(sizeof(struct ken_cells_head) == 64 && sizeof(struct ken_cells_tensor) == 120, "as docs/design/heatmaps.md has it");
_Static_assert(sizeof(struct ken_cells_band) == 16 && sizeof(struct ken_cells_record) == 28, "as docs/design/heatmaps.md has it");

/* A band is 2 Mi elements at most, where that is possible; and it has 2048 cells at most, or the widest there are. */
enum { BAND_ELEMENTS = 1 << 21, BAND_CELLS = 2048, WIDEST = 32768 };

void ken_cells_measure(struct ken_cells_shape *shape, uint64_t rows, uint64_t n)
{
    uint64_t width = KEN_CELL, height = KEN_CELL;
    while (height > 1 && n > BAND_ELEMENTS / height) height /= 2;
    while (width < WIDEST && n > BAND_CELLS * width) width *= 2;
    *shape = (struct ken_cells_shape){.rows = rows, .n = n, .width = width, .height = height};
    shape->columns = n / width + (n % width != 0);
    shape->bands = rows / height + (rows % height != 0);
    shape->band_bytes = sizeof(struct ken_cells_band) + shape->columns * sizeof(struct ken_cells_record);
}

static int bad(struct ken_error *error, const char *reason)
{
    return ken_fail(error, KEN_EBAD_DELTA, "the cells beside the delta: %s", reason);
}

int ken_cells_read(const struct ken_cells *cells, uint64_t offset, void *bytes, uint64_t length, struct ken_error *error)
{
    return ken_file_read(cells->file, offset, bytes, length, "the cells beside the delta", error);
}

/* Whether so many things lie within `size` bytes. */
static bool fits(uint64_t size, uint64_t offset, uint64_t count, uint64_t each)
{
    uint64_t bytes;
    return !__builtin_mul_overflow(count, each, &bytes) && offset <= size && bytes <= size - offset;
}

int ken_cells_open(struct ken_cells *cells, int file, uint64_t size, uint64_t delta_bytes, struct ken_error *error)
{
    *cells = (struct ken_cells){.file = file, .size = size};
    if (size < sizeof cells->head) return bad(error, "they have no head");
    int code = ken_cells_read(cells, 0, &cells->head, sizeof cells->head, error);
    if (code) return code;
    if (memcmp(cells->head.magic, KEN_CELLS_MAGIC, sizeof cells->head.magic) != 0) return bad(error, "they are of another kind or version");
    if (cells->head.delta_bytes != delta_bytes) return bad(error, "they belong to another delta");
    for (size_t i = 0; i < KEN_CELLS_SCALES; i++)
        if (!(cells->head.largest[i] >= 0 && cells->head.largest[i] <= DBL_MAX)) return bad(error, "a scale that is none");
    return fits(size, cells->head.directory, cells->head.tensors, sizeof(struct ken_cells_tensor))
               ? KEN_OK
               : bad(error, "the directory is not whole");
}

/* ---- one tensor */

/* Whether values, and mask or gaps, lie within the delta. */
static const char *check_places(const struct ken_cells *cells, const struct ken_cells_found *found, uint64_t elements)
{
    const struct ken_cells_tensor *told = &found->on_disk;
    const uint64_t delta = cells->head.delta_bytes, mask = elements / 8 + (elements % 8 != 0);
    if (told->form == KEN_FORM_SAME) return told->stored ? "of what is the same, values are told" : NULL;
    if (!fits(delta, told->values, told->values_length, 1)) return "values outside the delta";
    if (told->packed) {
        if (told->packed != 1 || told->form != KEN_FORM_MASK) return "an unknown form";
        return told->values_length / KEN_PACKED_INDEX_ENTRY >= ken_packed_blocks(elements, found->size) ? NULL : "the index is not whole";
    }
    const uint64_t values = told->form == KEN_FORM_WHOLE ? elements : told->stored;
    if (told->values_length / found->size != values || told->values_length % found->size) return "another number of values";
    switch (told->form) {
    case KEN_FORM_WHOLE: return fits(cells->size, told->mask, mask, 1) ? NULL : "a mask outside the cells";
    case KEN_FORM_MASK: return fits(delta, told->places, mask, 1) ? NULL : "a mask outside the delta";
    case KEN_FORM_GAPS: return (told->gap == 2 || told->gap == 4) && fits(delta, told->places, told->stored, told->gap) ? NULL : "gaps";
    default: return "an unknown form";
    }
}

static int check(const struct ken_cells *cells, struct ken_cells_found *found, struct ken_error *error)
{
    const struct ken_cells_tensor *told = &found->on_disk;
    uint64_t elements;
    size_t length = strnlen(told->dtype, sizeof told->dtype);
    if (!ken_dtype_parse(told->dtype, length, &found->dtype) || !ken_dtype_is_prunable(found->dtype))
        return bad(error, "a dtype that is not pruned");
    found->size = ken_dtype_size(found->dtype);
    if (!told->rows || !told->n || __builtin_mul_overflow(told->rows, told->n, &elements) || elements > INT64_MAX / 16)
        return bad(error, "a shape that no tensor has");
    if (told->stored > elements) return bad(error, "more is stored than there is");
    ken_cells_measure(&found->shape, told->rows, told->n);
    if (!fits(cells->size, told->bands, found->shape.bands, found->shape.band_bytes)) return bad(error, "bands outside the file");
    const char *reason = check_places(cells, found, elements);
    return reason ? bad(error, reason) : KEN_OK;
}

int ken_cells_find(const struct ken_cells *cells, const char *name, struct ken_cells_found *found, struct ken_error *error)
{
    unsigned char wanted[KEN_SHA256_SIZE];
    int code = ken_sha256(name, strlen(name), wanted, error);
    for (uint64_t first = 0, end = cells->head.tensors; !code && first < end;) {
        const uint64_t middle = first + (end - first) / 2;
        code = ken_cells_read(cells, cells->head.directory + middle * sizeof found->on_disk, &found->on_disk, sizeof found->on_disk, error);
        if (code) break;
        int order = memcmp(wanted, found->on_disk.name, sizeof wanted);
        if (order == 0) return check(cells, found, error);
        if (order < 0)
            end = middle;
        else
            first = middle + 1;
    }
    return code ? code : ken_fail(error, KEN_ENOT_FOUND, "no pruned tensor has that name");
}
