/* SPDX-License-Identifier: Apache-2.0 */
/* Names and numbers of sections are those of PKWARE's APPNOTE.TXT, version 6.3.10. */
#include "checkpoint/zip.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHOWN = 160,
    END_SIZE = 22,       /* end of central directory record, without its comment: 4.3.16 */
    LOCATOR_SIZE = 20,   /* zip64 end of central directory locator: 4.3.15 */
    END64_SIZE = 56,     /* zip64 end of central directory record: 4.3.14 */
    DIRECTORY_SIZE = 46, /* central directory header without name, extra field and comment: 4.3.12 */
    LOCAL_SIZE = 30,     /* local file header without name and extra field: 4.3.7 */
    COMMENT_MAX = 65535,
    ZIP64_FIELD = 1, /* id of the extra field with sizes of 64 bits: 4.5.3 */
    FLAG_ENCRYPTED = 1 | 1 << 6 | 1 << 13,
    FLAG_DESCRIPTOR = 1 << 3, /* the sizes come behind the data */
};
#define END_SIGNATURE UINT32_C(0x06054b50)
#define LOCATOR_SIGNATURE UINT32_C(0x07064b50)
#define END64_SIGNATURE UINT32_C(0x06064b50)
#define DIRECTORY_SIGNATURE UINT32_C(0x02014b50)
#define LOCAL_SIGNATURE UINT32_C(0x04034b50)
#define IN_ZIP64_16 0xffff
#define IN_ZIP64_32 UINT32_MAX

struct reading {
    struct ken_zip *zip;
    struct ken_source *source;
    const char *label;
    uint64_t directory, directory_size, count; /* where the central directory is and how many entries it is said to have */
    uint64_t end;                              /* where the records behind it begin */
    struct ken_error *error;
};

__attribute__((format(printf, 2, 3))) static int bad_zip(const struct reading *reading, const char *format, ...)
{
    char reason[SHOWN];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return ken_fail(reading->error, KEN_EBAD_CHECKPOINT, "%s: torch file: %s", reading->label, reason);
}

static int bad_entry(const struct reading *reading, const struct ken_zip_entry *entry, int code, const char *reason)
{
    char shown[SHOWN];
    return ken_fail(reading->error, code, "%s: torch file: entry \"%s\": %s", reading->label,
                    ken_printable(shown, sizeof shown, entry->name, entry->name_size), reason);
}

static uint16_t get16(const unsigned char *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t get32(const unsigned char *at)
{
    return get16(at) | (uint32_t)get16(at + 2) << 16;
}

static uint64_t get64(const unsigned char *at)
{
    return get32(at) | (uint64_t)get32(at + 4) << 32;
}

static int read_at(const struct reading *reading, uint64_t offset, void *buffer, size_t length)
{
    int code = ken_source_wait(reading->source, offset, length, reading->error);
    return code ? code : ken_source_read(reading->source, offset, buffer, length, reading->error);
}

/* ---- the records at the end */

/* Takes the places from the zip64 records, which end right before the other one, at `at`. */
static int read_end64(struct reading *reading, uint64_t at, const unsigned char *locator)
{
    unsigned char record[END64_SIZE];
    uint64_t offset = get64(locator + 8);
    if (get32(locator + 4) || get32(locator + 16) > 1)
        return ken_fail(reading->error, KEN_EUNSUPPORTED, "%s: torch file: a zip in several parts", reading->label);
    if (at < LOCATOR_SIZE + END64_SIZE || offset > at - LOCATOR_SIZE - END64_SIZE)
        return bad_zip(reading, "the zip64 end record is not where it is said to be, at byte %" PRIu64, offset);
    int code = read_at(reading, offset, record, sizeof record);
    if (code) return code;
    uint64_t size = get64(record + 4);
    if (get32(record) != END64_SIGNATURE || size < END64_SIZE - 12 || size != at - LOCATOR_SIZE - offset - 12)
        return bad_zip(reading, "the zip64 end record is not where it is said to be, at byte %" PRIu64, offset);
    if (get32(record + 16) || get32(record + 20) || get64(record + 24) != get64(record + 32))
        return ken_fail(reading->error, KEN_EUNSUPPORTED, "%s: torch file: a zip in several parts", reading->label);
    reading->count = get64(record + 32);
    reading->directory_size = get64(record + 40);
    reading->directory = get64(record + 48);
    reading->end = offset;
    return KEN_OK;
}

/* Whether what both records have is the same, where the older one can say it. */
static bool ends_agree(const struct reading *reading, const unsigned char *record)
{
    uint32_t count = get16(record + 10), size = get32(record + 12), offset = get32(record + 16);
    return (count == IN_ZIP64_16 || count == reading->count) && (size == IN_ZIP64_32 || size == reading->directory_size) &&
           (offset == IN_ZIP64_32 || offset == reading->directory);
}

/* Reads the end record at byte `at`, and the zip64 one if its locator is in front of it. */
static int read_end(struct reading *reading, uint64_t at, const unsigned char *record)
{
    unsigned char locator[LOCATOR_SIZE];
    bool zip64 = false;
    if (at >= LOCATOR_SIZE) {
        int code = read_at(reading, at - LOCATOR_SIZE, locator, sizeof locator);
        if (code) return code;
        zip64 = get32(locator) == LOCATOR_SIGNATURE;
    }
    if (zip64) {
        int code = read_end64(reading, at, locator);
        if (code) return code;
        return ends_agree(reading, record) ? KEN_OK : bad_zip(reading, "its two end records contradict each other");
    }
    reading->count = get16(record + 10);
    reading->directory_size = get32(record + 12);
    reading->directory = get32(record + 16);
    reading->end = at;
    if (get16(record + 4) || get16(record + 6) || get16(record + 8) != reading->count)
        return ken_fail(reading->error, KEN_EUNSUPPORTED, "%s: torch file: a zip in several parts", reading->label);
    if (reading->count == IN_ZIP64_16 || reading->directory_size == IN_ZIP64_32 || reading->directory == IN_ZIP64_32)
        return bad_zip(reading, "the zip64 end record is missing");
    return KEN_OK;
}

/* Finds the end record, which is followed by its comment alone. */
static int find_end(struct reading *reading)
{
    uint64_t size = reading->source->size;
    size_t length = size < END_SIZE + COMMENT_MAX ? (size_t)size : END_SIZE + COMMENT_MAX, at;
    if (length < END_SIZE) return bad_zip(reading, "%" PRIu64 " bytes are too few for a zip", size);
    /* Mostly there is no comment: the long way is for those that have one. */
    unsigned char few[END_SIZE];
    int code = read_at(reading, size - END_SIZE, few, sizeof few);
    if (code) return code;
    if (get32(few) == END_SIGNATURE && !get16(few + 20)) return read_end(reading, size - END_SIZE, few);
    unsigned char *tail = malloc(length);
    if (!tail) return ken_fail_no_memory(reading->error, reading->label);
    code = read_at(reading, size - length, tail, length);
    for (at = length - END_SIZE; !code; at--) {
        if (get32(tail + at) == END_SIGNATURE && get16(tail + at + 20) == length - END_SIZE - at) break;
        if (!at) code = bad_zip(reading, "the end of the zip is missing: the file is cut short, or something follows the zip");
    }
    if (!code) code = read_end(reading, size - length + at, tail + at);
    free(tail);
    return code;
}

/* ---- the directory */

struct sizes {
    uint64_t size, stored, header; /* header: of the directory alone */
};

/* Replaces those that are in the zip64 extra field (4.5.3) by what it says; false if it lacks one, or the fields do not fit. */
static bool take_zip64(const unsigned char *extra, size_t length, struct sizes *sizes)
{
    uint64_t *wanted[] = {&sizes->size, &sizes->stored, &sizes->header};
    size_t next = 0;
    while (length >= 4) {
        size_t field = get16(extra + 2);
        if (field > length - 4) return false;
        for (size_t at = 4; get16(extra) == ZIP64_FIELD && next < 3; next++) {
            if (*wanted[next] != IN_ZIP64_32) continue;
            if (field + 4 - at < 8) return false;
            *wanted[next] = get64(extra + at);
            at += 8;
        }
        extra += field + 4;
        length -= field + 4;
    }
    for (; next < 3; next++)
        if (*wanted[next] == IN_ZIP64_32) return false;
    return true;
}

/* Reads one header of the directory, whose name has been copied. */
static int read_header(const struct reading *reading, struct ken_zip_entry *entry, const unsigned char *header)
{
    size_t name = get16(header + 28), extra = get16(header + 30);
    struct sizes sizes = {.size = get32(header + 24), .stored = get32(header + 20), .header = get32(header + 42)};
    entry->flags = get16(header + 8);
    entry->crc = get32(header + 16);
    if (memchr(entry->name, '\0', name)) return bad_entry(reading, entry, KEN_EBAD_CHECKPOINT, "its name has a NUL character");
    if (entry->flags & FLAG_ENCRYPTED) return bad_entry(reading, entry, KEN_EUNSUPPORTED, "it is encrypted");
    if (get16(header + 10)) return bad_entry(reading, entry, KEN_EUNSUPPORTED, "it is compressed");
    if (get16(header + 34) && get16(header + 34) != IN_ZIP64_16)
        return bad_entry(reading, entry, KEN_EUNSUPPORTED, "it is in another part of the zip");
    if (!take_zip64(header + DIRECTORY_SIZE + name, extra, &sizes))
        return bad_entry(reading, entry, KEN_EBAD_CHECKPOINT, "its extra fields in the directory are malformed");
    if (sizes.size != sizes.stored) return bad_entry(reading, entry, KEN_EBAD_CHECKPOINT, "it is stored, but its two sizes differ");
    entry->size = sizes.size;
    entry->header = sizes.header;
    return KEN_OK;
}

/* Reads all headers out of the directory's bytes. */
static int read_headers(const struct reading *reading, const unsigned char *directory)
{
    struct ken_zip *zip = reading->zip;
    uint64_t at = 0, left = reading->directory_size;
    char *names = zip->names;
    for (; zip->count < reading->count; zip->count++) {
        const unsigned char *header = directory + at;
        if (left < DIRECTORY_SIZE || get32(header) != DIRECTORY_SIGNATURE)
            return bad_zip(reading, "header %zu of its directory is malformed", zip->count);
        size_t name = get16(header + 28), length = DIRECTORY_SIZE + name + get16(header + 30) + get16(header + 32);
        if (length > left) return bad_zip(reading, "header %zu of its directory is malformed", zip->count);
        struct ken_zip_entry *entry = &zip->entries[zip->count];
        *entry = (struct ken_zip_entry){.name = names, .name_size = (uint16_t)name};
        memcpy(names, header + DIRECTORY_SIZE, name);
        names[name] = '\0';
        names += name + 1;
        int code = read_header(reading, entry, header);
        if (code) return code;
        at += length;
        left -= length;
    }
    return left ? bad_zip(reading, "its directory has %" PRIu64 " bytes more than its entries", left) : KEN_OK;
}

static int read_directory(struct reading *reading, uint64_t max_bytes)
{
    uint64_t size = reading->directory_size;
    if (reading->directory > reading->end || size != reading->end - reading->directory)
        return bad_zip(reading, "its directory, of %" PRIu64 " bytes from byte %" PRIu64 " on, does not end where the end record begins",
                       size, reading->directory);
    if (size > max_bytes)
        return ken_fail(reading->error, KEN_ETOO_LARGE, "%s: torch file: a directory of %" PRIu64 " bytes is over the limit of %" PRIu64,
                        reading->label, size, max_bytes);
    if (reading->count > size / DIRECTORY_SIZE)
        return bad_zip(reading, "%" PRIu64 " entries do not fit into a directory of %" PRIu64 " bytes", reading->count, size);
    reading->zip->entries = calloc(reading->count + 1, sizeof *reading->zip->entries);
    reading->zip->names = malloc(size + 1);
    unsigned char *directory = malloc(size + 1);
    int code = reading->zip->entries && reading->zip->names && directory ? KEN_OK : ken_fail_no_memory(reading->error, reading->label);
    if (!code && size) code = read_at(reading, reading->directory, directory, size);
    if (!code) code = read_headers(reading, directory);
    free(directory);
    return code;
}

/* ---- the entries */

static int compare_places(const void *a, const void *b)
{
    const struct ken_zip_entry *left = a, *right = b;
    return left->header < right->header ? -1 : left->header > right->header;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct ken_zip_entry *)a)->name, ((const struct ken_zip_entry *)b)->name);
}

/* Whether the sizes and the checksum of a local header are those of the directory, as far as they are not left to the descriptor. */
static bool sizes_agree(const struct ken_zip_entry *entry, const unsigned char *local, const unsigned char *extra, size_t extra_size)
{
    struct sizes sizes = {.size = get32(local + 22), .stored = get32(local + 18)};
    uint32_t crc = get32(local + 14);
    bool later = entry->flags & FLAG_DESCRIPTOR;
    if (later && !crc && !sizes.size && !sizes.stored) return true;
    if (!take_zip64(extra, extra_size, &sizes)) return false;
    if (later && !crc && !sizes.size && !sizes.stored) return true;
    return crc == entry->crc && sizes.size == entry->size && sizes.stored == entry->size;
}

/* Holds an entry against its local header, which lies before byte `end`, as its bytes do. */
static int read_local(const struct reading *reading, struct ken_zip_entry *entry, uint64_t end, unsigned char *buffer)
{
    if (entry->header > end || end - entry->header < LOCAL_SIZE + (uint64_t)entry->name_size)
        return bad_entry(reading, entry, KEN_EBAD_CHECKPOINT, "its local header is not within the file or overlaps another entry");
    int code = read_at(reading, entry->header, buffer, LOCAL_SIZE + (size_t)entry->name_size);
    if (code) return code;
    size_t extra = get16(buffer + 28), length = LOCAL_SIZE + (size_t)entry->name_size;
    if (get32(buffer) != LOCAL_SIGNATURE) return bad_entry(reading, entry, KEN_EBAD_CHECKPOINT, "it has no local header");
    if (get16(buffer + 26) != entry->name_size || memcmp(buffer + LOCAL_SIZE, entry->name, entry->name_size) != 0)
        return bad_entry(reading, entry, KEN_EBAD_CHECKPOINT, "its local header has another name");
    if (get16(buffer + 6) != entry->flags || get16(buffer + 8))
        return bad_entry(reading, entry, KEN_EBAD_CHECKPOINT, "its local header has other flags or another method");
    uint64_t left = end - entry->header - length;
    if (extra > left || entry->size > left - extra)
        return bad_entry(reading, entry, KEN_EBAD_CHECKPOINT, "its bytes reach beyond the beginning of what comes next");
    /* The field that pads torch's data to 64 bytes has nothing to tell: it is read only where sizes may be in it. */
    bool in_extra = get32(buffer + 18) == IN_ZIP64_32 || get32(buffer + 22) == IN_ZIP64_32;
    if (in_extra && (code = read_at(reading, entry->header + length, buffer + length, extra))) return code;
    if (!sizes_agree(entry, buffer, buffer + length, in_extra ? extra : 0))
        return bad_entry(reading, entry, KEN_EBAD_CHECKPOINT, "its local header has other sizes or another checksum");
    entry->offset = entry->header + length + extra;
    return KEN_OK;
}

static int read_locals(const struct reading *reading)
{
    struct ken_zip *zip = reading->zip;
    int code = KEN_OK;
    unsigned char *buffer = malloc(LOCAL_SIZE + 2 * (size_t)UINT16_MAX);
    if (!buffer) return ken_fail_no_memory(reading->error, reading->label);
    if (zip->count) qsort(zip->entries, zip->count, sizeof *zip->entries, compare_places);
    for (size_t i = 0; i < zip->count && !code; i++) {
        uint64_t next = i + 1 < zip->count ? zip->entries[i + 1].header : reading->directory; /* may be anywhere, it was not read yet */
        code = read_local(reading, &zip->entries[i], next < reading->directory ? next : reading->directory, buffer);
    }
    free(buffer);
    return code;
}

static int sort_names(const struct reading *reading)
{
    struct ken_zip *zip = reading->zip;
    if (zip->count) qsort(zip->entries, zip->count, sizeof *zip->entries, compare_names);
    for (size_t i = 1; i < zip->count; i++)
        if (compare_names(&zip->entries[i - 1], &zip->entries[i]) == 0)
            return bad_entry(reading, &zip->entries[i], KEN_EBAD_CHECKPOINT, "the name appears twice");
    return KEN_OK;
}

int ken_zip_read(struct ken_zip *zip, struct ken_source *source, const char *label, uint64_t max_bytes, struct ken_error *error)
{
    struct reading reading = {.zip = zip, .source = source, .label = label, .error = error};
    *zip = (struct ken_zip){0};
    int code = find_end(&reading);
    if (!code) code = read_directory(&reading, max_bytes);
    if (!code) code = sort_names(&reading); /* before the local headers: of two of a name, that is what is told */
    if (!code) code = read_locals(&reading);
    if (!code) code = sort_names(&reading);
    if (code) ken_zip_free(zip);
    return code;
}

const struct ken_zip_entry *ken_zip_find(const struct ken_zip *zip, const char *name)
{
    const struct ken_zip_entry wanted = {.name = name};
    return zip->count ? bsearch(&wanted, zip->entries, zip->count, sizeof wanted, compare_names) : NULL;
}

void ken_zip_free(struct ken_zip *zip)
{
    free(zip->entries);
    free(zip->names);
    *zip = (struct ken_zip){0};
}
