/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/scratch.h"

#include "folder.h"
#include "selection/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GATHER_BYTES = 262144, NO_FILE = -1 };

struct files {
    int values, mask, records;
};

struct ken_scratch {
    const struct ken_plan *plan;
    bool stores; /* a delta is wanted: else there are records only */
    struct files files[KEN_MAX_VARIANTS];
    unsigned char gathered[GATHER_BYTES + KEN_GATHER_SLACK]; /* of whoever adds */
};

static int open_one(int *file, const char *kind, size_t variant, int directory, bool fresh, uint64_t length, struct ken_error *error)
{
    char path[KEN_PATH_SIZE];
    struct stat status;
    snprintf(path, sizeof path, "%s.%zu", kind, variant);
    int code = ken_file_open(file, directory, path, fresh, error);
    if (code) return code;
    if (fstat(*file, &status)) return ken_fail_errno(error, errno, "%s", path);
    if ((uint64_t)status.st_size < length) return ken_fail(error, KEN_ENOT_FOUND, "%s of an earlier run is not there", path);
    return KEN_OK;
}

static int open_variant(struct ken_scratch *scratch, size_t variant, int directory, bool fresh, const struct ken_progress *progress,
                        struct ken_error *error)
{
    struct files *files = &scratch->files[variant];
    const struct ken_variant_progress *of = progress ? &progress->variants[variant] : NULL;
    uint64_t records = progress ? progress->tensor * sizeof(struct ken_record) : 0;
    int code = open_one(&files->records, "records", variant, directory, fresh, records, error);
    if (code || !scratch->stores) return code;
    code = open_one(&files->values, "values", variant, directory, fresh, of ? of->values_length : 0, error);
    return code ? code : open_one(&files->mask, "mask", variant, directory, fresh, of ? of->mask_length : 0, error);
}

int ken_scratch_open(struct ken_scratch **scratch, const struct ken_plan *plan, int directory, bool fresh,
                     const struct ken_progress *progress, struct ken_error *error)
{
    struct ken_scratch *opened = malloc(sizeof *opened);
    *scratch = NULL;
    if (!opened) return ken_fail(error, KEN_ENOMEM, "out of memory for scratch files");
    opened->plan = plan;
    opened->stores = plan->options->outputs & KEN_OUTPUT_DELTA;
    for (size_t v = 0; v < KEN_MAX_VARIANTS; v++) opened->files[v] = (struct files){NO_FILE, NO_FILE, NO_FILE};
    int code = KEN_OK;
    for (size_t v = 0; !code && v < plan->options->variant_count; v++)
        code = open_variant(opened, v, directory, fresh, fresh ? NULL : progress, error);
    *scratch = opened;
    if (code) ken_scratch_close(scratch);
    return code;
}

/* ---- adding */

/* Notes how far those of n elements from `index` on lie apart whose bit is set: bit 0 of `bits` belongs to the first. Distances of less
 * than 64 are of no interest. */
static void note_gaps(struct ken_variant_progress *progress, uint64_t index, const unsigned char *bits, uint64_t n)
{
    for (uint64_t first = 0; first < n; first += 64) {
        uint64_t word = 0, bytes = (n - first + 7) / 8;
        memcpy(&word, bits + first / 8, bytes < sizeof word ? bytes : sizeof word);
        if (n - first < 64) word &= (UINT64_C(1) << (n - first)) - 1;
        if (!word) continue;
        uint64_t gap = index + first + (unsigned)__builtin_ctzll(word) - progress->next;
        if (gap > progress->record.largest_gap) progress->record.largest_gap = gap;
        progress->next = index + first + 64 - (unsigned)__builtin_clzll(word);
    }
}

/* Appends the elements whose bit is set. */
static int add_values(struct ken_scratch *scratch, const struct ken_block *block, const struct ken_part *part, int file,
                      struct ken_variant_progress *progress, struct ken_error *error)
{
    size_t size = block->entry->size, most = GATHER_BYTES / size;
    uint64_t phase = block->first_element % 8;
    note_gaps(progress, block->first_element - phase, part->kept, phase + block->elements);
    for (uint64_t done = 0; done < block->elements;) {
        size_t count = block->elements - done < most ? block->elements - done : most;
        size_t found = ken_kernel()->elements->gather(part->dense + done * size, part->kept, phase + done, count, size, scratch->gathered);
        int code = ken_file_write(file, progress->values_length, scratch->gathered, found * size, "the scratch file of values", error);
        if (code) return code;
        progress->values_length += found * size;
        done += count;
    }
    return KEN_OK;
}

/* Appends the whole bytes of the mask; the rest is pending. */
static int add_mask(const struct ken_block *block, struct ken_part *part, int file, struct ken_variant_progress *progress,
                    struct ken_error *error)
{
    uint64_t bits = block->first_element % 8 + block->elements, bytes = bits / 8;
    part->kept[0] = (unsigned char)(part->kept[0] | progress->pending);
    int code = ken_file_write(file, progress->mask_length, part->kept, bytes, "the scratch file of masks", error);
    if (code) return code;
    progress->mask_length += bytes;
    progress->pending = bits % 8 ? part->kept[bytes] : 0;
    return KEN_OK;
}

static void add_to_record(const struct ken_block *block, const struct ken_part *part, struct ken_record *record)
{
    record->selected += part->selected;
    record->unchanged += block->unchanged;
    record->stored += part->stored;
    record->non_finite_rows += block->non_finite_rows;
    for (uint64_t u = 0; part->difference && u < block->range.units; u++) {
        record->difference += part->difference[u];
        record->update += block->update[u];
    }
}

int ken_scratch_add(struct ken_scratch *scratch, const struct ken_block *block, struct ken_part *part, size_t variant,
                    struct ken_variant_progress *progress, struct ken_error *error)
{
    const struct files *files = &scratch->files[variant];
    add_to_record(block, part, &progress->record);
    if (!scratch->stores || !part->kept) return KEN_OK;
    int code = add_values(scratch, block, part, files->values, progress, error);
    return code ? code : add_mask(block, part, files->mask, progress, error);
}

/* Where elements have not whole bytes, bytes were counted: all elements are stored, or none. */
static void count_packed(const struct ken_entry *entry, struct ken_record *record)
{
    uint64_t elements = ken_tensor_elements(entry->model);
    record->stored = record->stored ? elements : 0;
    record->unchanged = record->unchanged == entry->elements && entry->base ? elements : 0;
}

int ken_scratch_end_tensor(struct ken_scratch *scratch, size_t tensor, size_t variant, struct ken_variant_progress *progress,
                           struct ken_error *error)
{
    const struct ken_entry *entry = &scratch->plan->entries[tensor];
    const struct files *files = &scratch->files[variant];
    int code = KEN_OK;
    if (scratch->stores && entry->base && !entry->packed && entry->elements % 8) {
        unsigned char last = (unsigned char)progress->pending;
        code = ken_file_write(files->mask, progress->mask_length++, &last, 1, "the scratch file of masks", error);
    }
    if (entry->packed) count_packed(entry, &progress->record);
    if (!code)
        code = ken_file_write(files->records, tensor * sizeof progress->record, &progress->record, sizeof progress->record,
                              "the scratch file of records", error);
    progress->pending = progress->next = 0;
    progress->record = (struct ken_record){.values = progress->values_length, .mask = progress->mask_length};
    return code;
}

int ken_scratch_sync(struct ken_scratch *scratch, struct ken_error *error)
{
    for (size_t v = 0; v < scratch->plan->options->variant_count; v++) {
        const struct files *files = &scratch->files[v];
        bool failed = fdatasync(files->records) || (scratch->stores && (fdatasync(files->values) || fdatasync(files->mask)));
        if (failed) return ken_fail_errno(error, errno, "syncing scratch files");
    }
    return KEN_OK;
}

static void close_one(int file)
{
    if (file != NO_FILE) close(file);
}

void ken_scratch_close(struct ken_scratch **scratch)
{
    if (!*scratch) return;
    for (size_t v = 0; v < KEN_MAX_VARIANTS; v++) {
        close_one((*scratch)->files[v].values);
        close_one((*scratch)->files[v].mask);
        close_one((*scratch)->files[v].records);
    }
    free(*scratch);
    *scratch = NULL;
}

/* ---- reading back */

int ken_scratch_records(const struct ken_scratch *scratch, size_t variant, size_t first, struct ken_record *records, size_t count,
                        struct ken_error *error)
{
    return ken_file_read(scratch->files[variant].records, first * sizeof *records, records, count * sizeof *records,
                         "the scratch file of records", error);
}

int ken_scratch_values(const struct ken_scratch *scratch, size_t variant, uint64_t offset, void *bytes, uint64_t length,
                       struct ken_error *error)
{
    return ken_file_read(scratch->files[variant].values, offset, bytes, length, "the scratch file of values", error);
}

int ken_scratch_mask(const struct ken_scratch *scratch, size_t variant, uint64_t offset, void *bytes, uint64_t length,
                     struct ken_error *error)
{
    return ken_file_read(scratch->files[variant].mask, offset, bytes, length, "the scratch file of masks", error);
}
