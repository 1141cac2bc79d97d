/* SPDX-License-Identifier: Apache-2.0 */
/* Which elements a delta stores, and their values: of every kind of tensor, in both encodings, with and without the base. */
#include "bits.h"
#include "delta/delta_internal.h"
#include "delta/export.h"
#include "delta/places.h"
#include "digest.h"
#include "made_pair.h"
#include "make_checkpoint.h"
#include "prune_pair.h"
#include "unit.h"
#include "unit_folder.h"

#include <stdio.h>
#include <string.h>

static struct unit_folder folder;

static struct ken_checkpoint *open_checkpoint(const char *path)
{
    struct ken_checkpoint *checkpoint = NULL;
    struct ken_error error = {0};
    ck_assert_msg(!ken_checkpoint_open_path(&checkpoint, path, NULL, &error), "%s", error.message);
    return checkpoint;
}

/* All bytes of a tensor; to be freed. */
static unsigned char *read_tensor(const struct ken_checkpoint *checkpoint, const char *name)
{
    const struct ken_tensor *tensor = ken_checkpoint_find(checkpoint, name);
    ck_assert_ptr_nonnull(tensor);
    unsigned char *bytes = malloc(tensor->length + 1);
    ck_assert_int_eq(ken_source_read(checkpoint->files[tensor->file].source, tensor->offset, bytes, tensor->length, NULL), KEN_OK);
    return bytes;
}

/* What the tensor has where nothing is stored; to be freed, NULL without base. */
static unsigned char *converted_base(const struct ken_delta_tensor *tensor, const struct ken_checkpoint *base, uint64_t elements)
{
    if (!tensor->has_base) return NULL;
    unsigned char *raw = read_tensor(base, tensor->base_name), *converted = raw;
    if (tensor->dtype == tensor->base_dtype) return raw;
    converted = malloc(elements * ken_dtype_size(tensor->dtype) + 1);
    ken_convert(tensor->base_dtype, raw, tensor->dtype, converted, elements);
    free(raw);
    return converted;
}

/* Walks a tensor: what is stored has the model's values, all else the base's. */
static void check_tensor(struct ken_places *places, const struct ken_delta *delta, size_t index, const struct ken_checkpoint *model,
                         const struct ken_checkpoint *base, bool values_known)
{
    const struct ken_delta_tensor *tensor = &delta->tensors[index];
    size_t size = ken_dtype_size(tensor->dtype) ? ken_dtype_size(tensor->dtype) : 1;
    uint64_t elements = delta->entries[index].length / size, first = 0, stored = 0;
    unsigned char *wanted = read_tensor(model, tensor->name), *old = converted_base(tensor, base, elements);
    struct ken_places_piece piece;
    struct ken_error error = {0};
    ck_assert_msg(!ken_places_begin(places, index, &error), "%s", error.message);
    while (ck_assert_msg(!ken_places_next(places, &piece, &error), "%s", error.message), piece.count) {
        ck_assert_uint_eq(piece.first, first);
        ck_assert_uint_eq(ken_bits_ones(piece.mask, (piece.count + 7) / 8), piece.stored);
        ck_assert(piece.values || !piece.stored || !values_known);
        for (size_t i = 0, value = 0; i < piece.count; i++) {
            bool is_stored = piece.mask[i / 8] >> i % 8 & 1;
            const unsigned char *found = is_stored ? piece.values ? piece.values + size * value++ : NULL : old + (first + i) * size;
            if (found && memcmp(found, wanted + (first + i) * size, size) != 0)
                ck_abort_msg("%s: element %zu differs", tensor->name, (size_t)first + i);
        }
        first += piece.count;
        stored += piece.stored;
    }
    ck_assert_uint_eq(first, elements);
    ck_assert_uint_eq(stored, tensor->form == KEN_FORM_WHOLE ? elements : tensor->stored);
    free(wanted);
    free(old);
}

static void check_delta(const struct made_pair *made, const char *work, bool with_base)
{
    struct ken_error error = {0};
    struct ken_delta *delta = NULL;
    struct ken_places *places = NULL;
    char *path = unit_join(work, "out/delta.safetensors"), *injected = unit_join(work, "injected");
    struct ken_checkpoint *base = open_checkpoint(made->base);
    ck_assert_msg(!ken_delta_open_path(&delta, path, &error), "%s", error.message);
    ck_assert_msg(!ken_inject(delta, base, injected, NULL, NULL, &error), "%s", error.message);
    struct ken_checkpoint *model = open_checkpoint(injected);
    ck_assert_int_eq(ken_places_create(&places, delta, with_base ? base : NULL, &error), KEN_OK);
    ck_assert_int_eq(ken_delta_needs_base(delta), delta->encoding == KEN_ENCODING_PACKED);
    for (size_t i = 0; i < delta->tensor_count; i++) {
        bool known = with_base || delta->encoding == KEN_ENCODING_PLAIN || delta->tensors[i].form == KEN_FORM_WHOLE;
        check_tensor(places, delta, i, model, base, known);
    }
    ken_places_free(&places);
    ken_delta_close(&delta);
    ken_checkpoint_close(&base);
    ken_checkpoint_close(&model);
    free(injected);
    free(path);
}

START_TEST(every_kind_of_tensor)
{
    static const uint64_t ks[] = {1, 6, 20};
    char work[PATH_MAX];
    struct made_pair made;
    unit_folder_make(&folder);
    made_pair_write(&made, folder.path);
    for (unsigned i = 0; i < 3 * KEN_ENCODING_COUNT; i++) {
        struct ken_options options = pair_options(ks[i % 3], 0);
        char name[16];
        snprintf(name, sizeof name, "work-%u", i);
        unit_path(work, &folder, name);
        ck_assert_int_eq(mkdir(work, 0777), 0);
        options.encoding = i / 3;
        struct prune_pair pair = {.model = made.model, .base = made.base, .folder = work};
        ck_assert_msg(!prune_pair(&pair, &options), "%s", pair.error.message);
        prune_pair_free(&pair);
        check_delta(&made, work, false);
        check_delta(&made, work, true);
    }
    made_pair_free(&made);
    unit_folder_remove(&folder);
}
END_TEST

/* ---- exporting: its files are read in tests/e2e/test_export.py */

static bool at_once(void *opaque)
{
    return ++*(unsigned *)opaque > 1;
}

static void check_not_exported(const struct ken_delta *delta, const struct ken_checkpoint *base, bool (*cancelled)(void *), int wanted,
                               const char *message)
{
    char path[PATH_MAX];
    unsigned asked = 0;
    const struct ken_inject_options options = {.cancelled = cancelled, .opaque = &asked};
    struct ken_export written;
    struct ken_error error = {0};
    int code = ken_delta_export(&written, delta, base, KEN_EXPORT_TRL, unit_path(path, &folder, "out/update"), &options, &error);
    ck_assert_msg(code == wanted && strstr(error.message, message), "%d %s", code, error.message);
    ck_assert_int_eq(rmdir(unit_path(path, &folder, "out")), 0); /* nothing is left */
    ck_assert_int_eq(mkdir(path, 0777), 0);
}

START_TEST(what_is_not_exported_leaves_nothing)
{
    static const float values[4] = {1, 2, 3, 4};
    static const struct make_tensor tensors[] = {{"a", "F32", "[1,4]", values, 16}, {"b", "F32", "[1,4]", values, 16}};
    static const float other[4] = {1, 5, 3, 6};
    static const struct make_tensor tuned[] = {{"a", "F32", "[1,4]", other, 16}, {"b", "F32", "[1,4]", other, 16}};
    struct ken_options options = pair_options(1, 0);
    char model[PATH_MAX], base[PATH_MAX], work[PATH_MAX];
    struct ken_delta *delta = NULL;
    struct ken_error error = {0};
    unit_folder_make(&folder);
    write_safetensors(folder.path, "base", NULL, tensors, 2);
    write_safetensors(folder.path, "model", NULL, tuned, 2);
    ck_assert_int_eq(mkdir(unit_path(work, &folder, "work"), 0777), 0);
    ck_assert_int_eq(mkdir(unit_path(model, &folder, "out"), 0777), 0);
    struct prune_pair pair = {
        .model = unit_path(model, &folder, "model"), .base = unit_path(base, &folder, "base"), .folder = unit_path(work, &folder, "work")};
    options.encoding = KEN_ENCODING_PACKED;
    options.variants[0].method = KEN_METHOD_MAGNITUDE;
    ck_assert_msg(!prune_pair(&pair, &options), "%s", pair.error.message);
    prune_pair_free(&pair);
    struct ken_checkpoint *right = open_checkpoint(base), *wrong = open_checkpoint(model);
    ck_assert_msg(!ken_delta_open_path(&delta, unit_path(work, &folder, "work/out/delta.safetensors"), &error), "%s", error.message);
    check_not_exported(delta, NULL, NULL, KEN_EINVALID, "cannot be had without it");
    check_not_exported(delta, wrong, NULL, KEN_EDIGEST, "another base");
    check_not_exported(delta, right, at_once, KEN_ECANCELLED, "cancelled");
    ken_delta_close(&delta);
    ken_checkpoint_close(&right);
    ken_checkpoint_close(&wrong);
    unit_folder_remove(&folder);
}
END_TEST

/* ---- what is malformed in a way that the header does not tell */

enum { LENGTH = 20 };

/* Opens a plain delta of tensor "a", I16 [20], with two entries, whose base is zeros. */
static struct ken_delta *open_made(const char *form, uint64_t stored, const struct make_tensor *entries)
{
    static const char format[] =
        "{\"format\":\"ken-delta\",\"version\":\"1\",\"encoding\":\"plain\",\"model\":\"{\\\"files\\\":[{\\\"name\\\":"
        "\\\"model.safetensors\\\",\\\"metadata\\\":null,\\\"tensors\\\":[\\\"a\\\"]}],\\\"index\\\":null}\",\"tensors\":\"{\\\"a\\\":"
        "{\\\"dtype\\\":\\\"I16\\\",\\\"shape\\\":[20],\\\"base\\\":{\\\"name\\\":\\\"a\\\",\\\"dtype\\\":\\\"I16\\\",\\\"sha256\\\":"
        "\\\"%s\\\"},\\\"form\\\":\\\"%s\\\",\\\"stored\\\":%lu}}\"}";
    static const unsigned char zeros[2 * LENGTH];
    unsigned char sha256[KEN_SHA256_SIZE];
    char text[sizeof format + 128], hex[KEN_SHA256_HEX_SIZE], path[PATH_MAX];
    struct ken_delta *delta = NULL;
    struct ken_error error = {0};
    ck_assert_int_eq(ken_sha256(zeros, sizeof zeros, sha256, NULL), KEN_OK);
    snprintf(text, sizeof text, format, ken_hex_encode(hex, sha256, sizeof sha256), form, (unsigned long)stored);
    write_safetensors(folder.path, "delta", text, entries, 2);
    ck_assert_msg(!ken_delta_open_path(&delta, unit_path(path, &folder, "delta"), &error), "%s", error.message);
    return delta;
}

static void check_refused(const char *form, uint64_t stored, const struct make_tensor *entries, const char *message)
{
    struct ken_delta *delta = open_made(form, stored, entries);
    struct ken_places *places = NULL;
    struct ken_places_piece piece = {.count = 1};
    struct ken_error error = {0};
    ck_assert_int_eq(ken_places_create(&places, delta, NULL, &error), KEN_OK);
    int code = ken_places_begin(places, 0, &error);
    while (!code && piece.count) code = ken_places_next(places, &piece, &error);
    ck_assert_int_eq(code, message ? KEN_EBAD_DELTA : KEN_OK);
    if (message) ck_assert_msg(strstr(error.message, message) != NULL, "%s", error.message);
    ken_places_free(&places);
    ken_delta_close(&delta);
}

START_TEST(malformed_places_are_refused)
{
    static const struct {
        const char *mask, *message;
    } masks[] = {{"\x01\x80\x08", NULL},
                 {"\x01\x80\x10", "its mask has bits behind its last element"},
                 {"\x01\x88\x08", "its mask has more bits than the 3 values that are stored"},
                 {"\x01\x80\x00", "2 elements are marked, but 3 values are stored"}};
    static const struct {
        uint16_t gaps[3];
        const char *message;
    } gaps[] = {{{0, 14, 3}, NULL},
                {{0, 14, 4}, "gap 2 leads beyond its 20 elements"},
                {{20, 0, 0}, "gap 0 leads beyond its 20 elements"},
                {{0, 65535, 0}, "gap 1 leads beyond"}};
    unit_folder_make(&folder);
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        const struct make_tensor entries[] = {{"a.values", "I16", "[3]", NULL, 6}, {"a.mask", "U8", "[3]", masks[i].mask, 3}};
        check_refused("mask", 3, entries, masks[i].message);
    }
    for (size_t i = 0; i < sizeof gaps / sizeof *gaps; i++) {
        const struct make_tensor entries[] = {{"a.values", "I16", "[3]", NULL, 6}, {"a.gaps", "U16", "[3]", gaps[i].gaps, 6}};
        check_refused("gaps", 3, entries, gaps[i].message);
    }
    unit_folder_remove(&folder);
}
END_TEST

UNIT_MAIN("places", every_kind_of_tensor, what_is_not_exported_leaves_nothing, malformed_places_are_refused)
