/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/cells_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER = 65536, PIECE = 4096, NO_FILE = -1 };

struct ken_cells_writer {
    const struct ken_plan *plan;
    bool durable;
    int files[KEN_MAX_VARIANTS];
    uint64_t *bands;          /* [tensors] where the bands of each are in the file */
    uint64_t end;             /* behind them all */
    uint64_t columns;         /* cells of the longest band */
    struct ken_cell *pending; /* [variants, columns] of the band that is not done yet */
    struct ken_cells_band begun[KEN_MAX_VARIANTS];
    unsigned char buffer[BUFFER];
};

void ken_cells_path(char path[KEN_PATH_SIZE], const struct ken_plan *plan, size_t variant)
{
    const char *name = plan->options->variants[variant].name;
    snprintf(path, KEN_PATH_SIZE, "out/.kend/%s.cells", *name ? name : "tensors");
}

uint64_t ken_cells_bytes_at_most(const struct ken_plan *plan)
{
    uint64_t bytes = sizeof(struct ken_cells_head);
    for (size_t t = 0; t < plan->model->tensor_count; t++) {
        const struct ken_entry *entry = &plan->entries[t];
        if (!entry->pruned) continue;
        bytes += entry->cells.bands * entry->cells.band_bytes + sizeof(struct ken_cells_tensor) + entry->elements / 8 + 1;
    }
    return bytes;
}

/* ---- opening */

static int lay_out(struct ken_cells_writer *writer, struct ken_error *error)
{
    const struct ken_plan *plan = writer->plan;
    writer->bands = calloc(plan->model->tensor_count + 1, sizeof *writer->bands);
    if (!writer->bands) return ken_fail(error, KEN_ENOMEM, "out of memory for cells");
    writer->end = sizeof(struct ken_cells_head);
    for (size_t t = 0; t < plan->model->tensor_count; t++) {
        const struct ken_cells_shape *shape = &plan->entries[t].cells;
        writer->bands[t] = writer->end;
        if (!plan->entries[t].pruned) continue;
        writer->end += shape->bands * shape->band_bytes;
        if (shape->columns > writer->columns) writer->columns = shape->columns;
    }
    writer->pending = calloc(plan->options->variant_count * writer->columns + 1, sizeof *writer->pending);
    return writer->pending ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory for cells");
}

int ken_cells_writer_open(struct ken_cells_writer **writer, const struct ken_plan *plan, int directory, bool durable, bool fresh,
                          struct ken_error *error)
{
    char path[KEN_PATH_SIZE];
    struct ken_cells_writer *opened = calloc(1, sizeof *opened);
    *writer = opened;
    if (!opened) return ken_fail(error, KEN_ENOMEM, "out of memory for cells");
    opened->plan = plan;
    opened->durable = durable;
    for (size_t v = 0; v < KEN_MAX_VARIANTS; v++) opened->files[v] = NO_FILE;
    int code = lay_out(opened, error);
    for (size_t v = 0; !code && v < plan->options->variant_count; v++) {
        ken_cells_path(path, plan, v);
        code = ken_file_open(&opened->files[v], directory, path, fresh, error);
        if (code) opened->files[v] = NO_FILE;
    }
    if (code) ken_cells_writer_close(writer);
    return code;
}

void ken_cells_writer_close(struct ken_cells_writer **writer)
{
    if (!*writer) return;
    for (size_t v = 0; v < KEN_MAX_VARIANTS; v++)
        if ((*writer)->files[v] != NO_FILE) close((*writer)->files[v]);
    free((*writer)->pending);
    free((*writer)->bands);
    free(*writer);
    *writer = NULL;
}

int ken_cells_writer_sync(const struct ken_cells_writer *writer, struct ken_error *error)
{
    for (size_t v = 0; v < writer->plan->options->variant_count; v++)
        if (fdatasync(writer->files[v])) return ken_fail_errno(error, errno, "syncing cells");
    return KEN_OK;
}

bool ken_cells_at_band(const struct ken_plan *plan, const struct ken_progress *progress)
{
    if (progress->tensor == plan->model->tensor_count) return true;
    const struct ken_entry *entry = &plan->entries[progress->tensor];
    return !entry->pruned || progress->unit % entry->cells.height == 0;
}

/* ---- pairs of a block's first row with the row above it, which lies in another block */

static uint32_t bits_at(const unsigned char *bits, uint64_t first, uint64_t count)
{
    uint64_t word = 0, valid = count < KEN_CELL ? (UINT64_C(1) << count) - 1 : UINT32_MAX;
    memcpy(&word, bits + first / 8, 5);
    return (uint32_t)(word >> first % 8 & valid);
}

/* Bits [count] of a tensor's mask from `first` on, bit first % 8 of the first byte being the first: from the scratch, and what is pending.
 */
static int read_above(const struct ken_scratch *scratch, size_t variant, const struct ken_variant_progress *progress, uint64_t first,
                      uint64_t count, unsigned char bits[PIECE / 8 + 8], struct ken_error *error)
{
    const uint64_t at = progress->record.mask + first / 8, length = (first % 8 + count + 7) / 8;
    const uint64_t there = progress->mask_length - at < length ? progress->mask_length - at : length;
    if (there < length) bits[there] = (unsigned char)progress->pending;
    return there ? ken_scratch_mask(scratch, variant, at, bits, there, error) : KEN_OK;
}

static int add_pairs_above(const struct ken_scratch *scratch, const struct ken_block *block, struct ken_part *part, size_t variant,
                           const struct ken_variant_progress *progress, struct ken_error *error)
{
    const uint64_t n = block->entry->unit, phase = block->first_element % 8;
    unsigned char above[PIECE / 8 + 8] = {0};
    if (!block->range.first) return KEN_OK;
    for (uint64_t first = 0; first < n; first += PIECE) {
        const uint64_t count = n - first < PIECE ? n - first : PIECE, from = block->first_element - n + first;
        int code = read_above(scratch, variant, progress, from, count, above, error);
        if (code) return code;
        for (uint64_t i = 0; i < count; i += KEN_CELL) {
            const uint32_t both = bits_at(above, from % 8 + i, count - i) & bits_at(part->kept, phase + first + i, count - i);
            part->cells[(first + i) / block->entry->cells.width].pairs += (uint32_t)__builtin_popcount(both);
        }
    }
    return KEN_OK;
}

/* ---- bands */

/* Where a band's values begin, of which the block has the first row. */
static struct ken_cells_band band_begin(const struct ken_block *block, const struct ken_part *part,
                                        const struct ken_variant_progress *progress, uint64_t row)
{
    const uint64_t phase = block->first_element % 8;
    struct ken_cells_band band = {.values = progress->record.stored, .next = progress->next};
    for (uint64_t r = 0; r < row; r++) band.values += part->row_kept[r];
    for (uint64_t i = row * block->entry->unit; i-- && band.values > progress->record.stored;)
        if (part->kept[(phase + i) / 8] >> (phase + i) % 8 & 1) {
            band.next = block->first_element + i + 1;
            break;
        }
    return band;
}

static void add_cells(struct ken_cell *to, const struct ken_cell *cells, uint64_t count)
{
    for (uint64_t c = 0; c < count; c++) {
        to[c].selected += cells[c].selected;
        to[c].changed += cells[c].changed;
        to[c].stored += cells[c].stored;
        to[c].pairs += cells[c].pairs;
        to[c].difference += cells[c].difference;
        to[c].value += cells[c].value;
        to[c].size += cells[c].size;
    }
}

/* Bytes of consecutive bands on their way to the file. */
struct run {
    struct ken_cells_writer *writer;
    int file;
    uint64_t offset;
    size_t used;
};

static int run_flush(struct run *run, struct ken_error *error)
{
    int code = ken_file_write(run->file, run->offset, run->writer->buffer, run->used, "cells", error);
    run->offset += run->used;
    run->used = 0;
    return code;
}

static int run_add(struct run *run, const void *bytes, size_t length, struct ken_error *error)
{
    int code = run->used + length > BUFFER ? run_flush(run, error) : KEN_OK;
    memcpy(run->writer->buffer + run->used, bytes, length);
    run->used += length;
    return code;
}

static int write_band(struct run *run, const struct ken_cells_band *band, const struct ken_cell *cells, uint64_t count,
                      struct ken_error *error)
{
    int code = run_add(run, band, sizeof *band, error);
    for (uint64_t c = 0; !code && c < count; c++) {
        const struct ken_cells_record record = {
            cells[c].selected,       cells[c].changed,      cells[c].stored, cells[c].pairs, (float)(cells[c].difference),
            (float)(cells[c].value), (float)(cells[c].size)};
        code = run_add(run, &record, sizeof record, error);
    }
    return code;
}

int ken_cells_writer_add(struct ken_cells_writer *writer, const struct ken_scratch *scratch, const struct ken_block *block,
                         struct ken_part *part, size_t variant, const struct ken_variant_progress *progress, struct ken_error *error)
{
    const struct ken_cells_shape *shape = &block->entry->cells;
    const uint64_t first = block->range.first, end = first + block->range.units;
    struct ken_cell *pending = writer->pending + variant * writer->columns;
    struct run run = {.writer = writer, .file = writer->files[variant]};
    run.offset = writer->bands[block->range.tensor] + first / shape->height * shape->band_bytes;
    int code = add_pairs_above(scratch, block, part, variant, progress, error);
    for (uint64_t band = first / shape->height; !code && band * shape->height < end; band++) {
        const uint64_t begin = band * shape->height;
        if (begin >= first) {
            writer->begun[variant] = band_begin(block, part, progress, begin - first);
            memset(pending, 0, shape->columns * sizeof *pending);
        }
        add_cells(pending, part->cells + (band - first / shape->height) * shape->columns, shape->columns);
        if (begin + shape->height <= end || end == shape->rows)
            code = write_band(&run, &writer->begun[variant], pending, shape->columns, error);
    }
    return code ? code : run_flush(&run, error);
}

/* ---- finishing */

/* How many cells have a mean of that magnitude: by its exponent and the first two bits behind, which is a step of a quarter at most. */
enum { STEPS = 1024, STEP_SHIFT = 21 };
struct histogram {
    uint64_t count[STEPS], all;
};

static void histogram_add(struct histogram *of, float sum, uint64_t count)
{
    uint32_t bits;
    float mean = count ? sum / (float)count : 0;
    if (!(mean > 0)) return;
    memcpy(&bits, &mean, sizeof bits);
    of->count[bits >> STEP_SHIFT & (STEPS - 1)]++;
    of->all++;
}

/* What 99 of 100 do not exceed; 0 if there are none. */
static double histogram_most(const struct histogram *of)
{
    uint64_t seen = 0;
    float edge = 0;
    for (uint32_t step = 0; step < STEPS && seen * 100 < of->all * 99; step++) {
        const uint32_t bits = (step + 1) << STEP_SHIFT;
        seen += of->count[step];
        memcpy(&edge, &bits, sizeof edge);
    }
    return edge;
}

struct finishing {
    const struct ken_cells_writer *writer;
    const struct ken_scratch *scratch;
    size_t variant;
    struct histogram sizes, differences;
    uint64_t end; /* of the file so far */
    unsigned char bytes[BUFFER];
};

static int look_at_band(struct finishing *of, size_t tensor, uint64_t band, struct ken_error *error)
{
    enum { AT_ONCE = BUFFER / sizeof(struct ken_cells_record) };
    const struct ken_cells_shape *shape = &of->writer->plan->entries[tensor].cells;
    const uint64_t offset = of->writer->bands[tensor] + band * shape->band_bytes + sizeof(struct ken_cells_band);
    const uint64_t rows = shape->rows - band * shape->height < shape->height ? shape->rows - band * shape->height : shape->height;
    for (uint64_t c = 0; c < shape->columns; c += AT_ONCE) {
        const uint64_t count = shape->columns - c < AT_ONCE ? shape->columns - c : AT_ONCE;
        struct ken_cells_record record;
        int code =
            ken_file_read(of->writer->files[of->variant], offset + c * sizeof record, of->bytes, count * sizeof record, "cells", error);
        if (code) return code;
        for (uint64_t i = 0; i < count; i++) {
            const uint64_t left = shape->n - (c + i) * shape->width, width = left < shape->width ? left : shape->width;
            memcpy(&record, of->bytes + i * sizeof record, sizeof record);
            histogram_add(&of->sizes, record.size, record.stored);
            histogram_add(&of->differences, record.difference, rows * width);
        }
    }
    return KEN_OK;
}

/* The mask of a tensor whose delta has all values: nothing there tells what was kept. */
static int copy_mask(struct finishing *of, uint64_t from, uint64_t elements, struct ken_error *error)
{
    for (uint64_t length = (elements + 7) / 8, done = 0; done < length;) {
        const uint64_t count = length - done < BUFFER ? length - done : BUFFER;
        int code = ken_scratch_mask(of->scratch, of->variant, from + done, of->bytes, count, error);
        if (!code) code = ken_file_write(of->writer->files[of->variant], of->end, of->bytes, count, "cells", error);
        if (code) return code;
        of->end += count;
        done += count;
    }
    return KEN_OK;
}

static int finish_tensor(struct finishing *of, size_t tensor, struct ken_cells_tensor *entry, struct ken_error *error)
{
    const struct ken_entry *planned = &of->writer->plan->entries[tensor];
    const struct ken_tensor *model = planned->model;
    struct ken_record record;
    int code = ken_sha256(model->name, strlen(model->name), entry->name, error);
    if (!code) code = ken_scratch_records(of->scratch, of->variant, tensor, &record, 1, error);
    memcpy(entry->dtype, ken_dtype_name(model->dtype), strlen(ken_dtype_name(model->dtype)));
    entry->rows = planned->cells.rows;
    entry->n = planned->cells.n;
    entry->stored = code ? 0 : record.stored;
    entry->bands = of->writer->bands[tensor];
    if (!code && entry->form == KEN_FORM_WHOLE) {
        entry->mask = of->end;
        code = copy_mask(of, record.mask, planned->elements, error);
    }
    for (uint64_t band = 0; !code && band < planned->cells.bands; band++) code = look_at_band(of, tensor, band, error);
    return code;
}

static int by_name(const void *a, const void *b)
{
    return memcmp(((const struct ken_cells_tensor *)a)->name, ((const struct ken_cells_tensor *)b)->name, KEN_SHA256_SIZE);
}

int ken_cells_writer_finish(const struct ken_cells_writer *writer, const struct ken_scratch *scratch, size_t variant, uint64_t delta_bytes,
                            struct ken_cells_tensor *tensors, struct ken_error *error)
{
    const struct ken_plan *plan = writer->plan;
    struct finishing *of = calloc(1, sizeof *of);
    struct ken_cells_head head = {.magic = KEN_CELLS_MAGIC, .delta_bytes = delta_bytes};
    int code = KEN_OK, file = writer->files[variant];
    if (!of) return ken_fail(error, KEN_ENOMEM, "out of memory for cells");
    *of = (struct finishing){.writer = writer, .scratch = scratch, .variant = variant, .end = writer->end};
    for (size_t t = 0; !code && t < plan->model->tensor_count; t++) {
        if (!plan->entries[t].pruned) continue;
        tensors[head.tensors] = tensors[t];
        code = finish_tensor(of, t, &tensors[head.tensors++], error);
    }
    qsort(tensors, head.tensors, sizeof *tensors, by_name);
    head.directory = of->end;
    head.largest[KEN_CELLS_VALUES] = histogram_most(&of->sizes);
    head.largest[KEN_CELLS_DIFFERENCES] = histogram_most(&of->differences);
    if (!code) code = ken_file_write(file, head.directory, tensors, head.tensors * sizeof *tensors, "cells", error);
    if (!code) code = ken_file_write(file, 0, &head, sizeof head, "cells", error);
    if (!code && writer->durable && fdatasync(file)) code = ken_fail_errno(error, errno, "syncing cells");
    free(of);
    return code;
}
