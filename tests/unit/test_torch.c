/* SPDX-License-Identifier: Apache-2.0 */
/* Torch files in C: what is well-formed, every read and every byte that may fail. A hundred malformed ones are in tests/e2e/torch_files.py.
 */
#include "checkpoint/checkpoint.h"
#include "checkpoint/pickle.h"
#include "checkpoint/strided.h"
#include "make_torch.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES(text) text, sizeof(text) - 1
#define ADVICE ": save the state dict alone, as torch.save(model.state_dict(), FILE) does"
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- strides */

/* A source of bytes that fails the test where it is read without having been waited for. */
struct strict_source {
    struct ken_source source;
    const unsigned char *bytes;
    unsigned char *waited; /* [size] */
};

static int strict_wait(struct ken_source *source, uint64_t offset, uint64_t length, struct ken_error *error)
{
    (void)error;
    memset(((struct strict_source *)source)->waited + offset, 1, length);
    return KEN_OK;
}

static int strict_read(struct ken_source *source, uint64_t offset, void *buffer, size_t length, struct ken_error *error)
{
    const struct strict_source *strict = (struct strict_source *)source;
    (void)error;
    ck_assert_ptr_null(memchr(strict->waited + offset, 0, length)); /* all was waited for */
    memcpy(buffer, strict->bytes + offset, length);
    return KEN_OK;
}

static int strict_digest(struct ken_source *source, unsigned char sha256[32], struct ken_error *error)
{
    (void)source;
    (void)error;
    memset(sha256, 7, 32);
    return KEN_OK;
}

static int strict_check(struct ken_source *source, struct ken_error *error)
{
    (void)source;
    return ken_fail(error, KEN_EFETCH, "changed on purpose");
}

static void strict_close(struct ken_source *source)
{
    struct strict_source *strict = (struct strict_source *)source;
    free(strict->waited);
    free(strict);
}

static const struct ken_source_ops strict_ops = {strict_wait, strict_read, strict_digest, strict_check, strict_close};

static struct ken_source *make_strict(const unsigned char *bytes, size_t size)
{
    struct strict_source *strict = malloc(sizeof *strict);
    ck_assert_ptr_nonnull(strict);
    *strict = (struct strict_source){
        .source = {.ops = &strict_ops, .size = size, .tells_digest = true, .has_state = true, .state = {9}},
        .bytes = bytes,
        .waited = calloc(1, size + 1),
    };
    ck_assert_ptr_nonnull(strict->waited);
    return &strict->source;
}

/* Where element `index` of the row-major order lies, worked out anew for each. */
static uint64_t place_of(uint64_t index, const uint64_t *shape, const uint64_t *strides, uint32_t rank)
{
    uint64_t place = 0;
    for (uint32_t i = rank; i-- > 0; index /= shape[i]) place += index % shape[i] * strides[i];
    return place;
}

static const struct {
    uint32_t element, rank;
    uint64_t shape[5], strides[5];
    uint32_t left; /* dimensions after joining */
} layouts[] = {
    {4, 2, {3, 4}, {4, 1}, 1},
    {4, 2, {3, 4}, {1, 3}, 2},
    {2, 3, {3, 4, 5}, {20, 5, 1}, 1},
    {2, 3, {3, 4, 5}, {1, 3, 12}, 3},
    {8, 3, {3, 4, 5}, {5, 15, 1}, 3},
    {1, 3, {3, 1, 5}, {5, 99, 1}, 1},
    {4, 2, {3, 4}, {8, 2}, 1},
    {4, 2, {6, 4}, {0, 1}, 2},
    {4, 2, {6, 4}, {1, 0}, 2},
    {4, 2, {6, 4}, {0, 0}, 1},
    {4, 2, {6, 4}, {1, 1}, 2},
    {4, 1, {7}, {3}, 1},
    {4, 1, {7}, {0}, 1},
    {1, 5, {2, 3, 2, 2, 3}, {1, 2, 18, 6, 36}, 5},
    {2, 2, {2, 9}, {50000, 3}, 2},
    {4, 2, {90, 70}, {1, 100}, 2},
    {8, 0, {0}, {0}, 0},
};

START_TEST(strided_elements_are_gathered_in_their_order)
{
    enum { SIZE = 1 << 18, BEGIN = 3 };
    unsigned char *bytes = malloc(SIZE), *out = malloc(SIZE);
    ck_assert(bytes && out);
    for (size_t i = 0; i < SIZE; i++) bytes[i] = make_torch_byte(1, i);
    for (size_t l = 0; l < COUNT(layouts); l++) {
        uint64_t room[10], count = 1;
        struct ken_strided strided;
        uint32_t element = layouts[l].element, rank = layouts[l].rank;
        for (uint32_t i = 0; i < rank; i++) count *= layouts[l].shape[i];
        ck_assert(ken_strided_init(&strided, BEGIN, element, layouts[l].shape, layouts[l].strides, rank, room));
        ck_assert_uint_eq(strided.rank, layouts[l].left);
        struct ken_source *source = make_strict(bytes, SIZE);
        ck_assert_int_eq(ken_source_wait(source, BEGIN, strided.span, NULL), KEN_OK);
        uint64_t step = count > 200 ? 61 : 1;
        for (uint64_t first = 0; first < count; first += step)
            for (uint64_t length = 1; length <= count - first; length += step) {
                ck_assert_int_eq(ken_strided_read(&strided, source, first, length, out, NULL), KEN_OK);
                uint64_t wrong = 0;
                for (uint64_t i = 0; i < length; i++) {
                    uint64_t at = BEGIN + place_of(first + i, layouts[l].shape, layouts[l].strides, rank) * element;
                    wrong += memcmp(out + i * element, bytes + at, element) != 0;
                }
                ck_assert_msg(!wrong, "layout %zu, [%d, +%d)", l, (int)first, (int)length);
            }
        ken_source_close(&source);
    }
    free(bytes);
    free(out);
}
END_TEST

START_TEST(spans_that_overflow_are_told)
{
    static const struct {
        uint64_t begin, shape[2], strides[2];
        bool fits;
    } cases[] = {
        {0, {2, 2}, {UINT64_MAX, 1}, false},          {0, {2, 2}, {UINT64_MAX / 2, UINT64_MAX / 2}, false},
        {0, {UINT64_MAX, 2}, {UINT64_MAX, 1}, false}, {0, {1, UINT64_MAX / 4}, {1, 1}, true},
        {4, {1, UINT64_MAX / 4}, {1, 1}, false},      {0, {0, UINT64_MAX}, {UINT64_MAX, UINT64_MAX}, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ken_strided strided;
        uint64_t room[4];
        ck_assert_int_eq(ken_strided_init(&strided, cases[i].begin, 4, cases[i].shape, cases[i].strides, 2, room), cases[i].fits);
    }
}
END_TEST

/* ---- whole files */

static const struct make_torch_tensor tensors[] = {
    {"z.weight", "FloatStorage", 1, 20, 4, 2, 2, {3, 4}, {4, 1}}, {"turned", "FloatStorage", 1, 20, 4, 0, 2, {4, 5}, {1, 4}},
    {"tied", "FloatStorage", 1, 20, 4, 2, 2, {3, 4}, {4, 1}},     {"half", "HalfStorage", 2, 5, 2, 1, 1, {3}, {1}},
    {"empty", "LongStorage", 4, 0, 8, 0, 2, {0, 3}, {3, 1}},      {"scalar", "LongStorage", 3, 2, 8, 1, 0, {0}, {0}},
    {"tied too", "LongStorage", 3, 2, 8, 1, 0, {0}, {0}},
};
/* By where they begin; the storage of "empty" comes before that of "scalar". */
static const char *const in_order[] = {"turned", "z.weight", "half", "empty", "scalar"};
#define METADATA "{\"format\":\"pt\",\"tied\":\"z.weight\",\"tied too\":\"scalar\"}"

static const struct make_torch_tensor *made_of(const char *name)
{
    for (size_t i = 0; i < COUNT(tensors); i++)
        if (strcmp(tensors[i].name, name) == 0) return &tensors[i];
    ck_abort_msg("no tensor %s", name);
    return NULL;
}

/* The bytes of a tensor as they must come out of the view. */
static void expect(const struct make_torch_tensor *tensor, unsigned char *out)
{
    uint64_t shape[MAKE_TORCH_RANK], strides[MAKE_TORCH_RANK], count = 1;
    for (uint32_t i = 0; i < tensor->rank; i++) {
        shape[i] = tensor->shape[i];
        strides[i] = tensor->strides[i];
        count *= shape[i];
    }
    for (uint64_t i = 0; i < count; i++)
        for (uint32_t b = 0; b < tensor->element; b++)
            *out++ = make_torch_byte(tensor->key, (tensor->offset + place_of(i, shape, strides, tensor->rank)) * tensor->element + b);
}

START_TEST(a_torch_file_is_read_as_a_safetensors_file)
{
    struct made_file file = make_torch(tensors, COUNT(tensors));
    struct ken_checkpoint *checkpoint = NULL;
    struct ken_error error = {0};
    ck_assert_msg(open_memory(&checkpoint, file.bytes, file.length, NULL, &error) == KEN_OK, "%s", error.message);
    ck_assert_uint_eq(checkpoint->tensor_count, COUNT(in_order));
    const struct ken_checkpoint_file *opened = &checkpoint->files[0];
    ck_assert_str_eq(opened->metadata_json, METADATA);
    ck_assert_uint_eq(opened->stored->size, file.length);
    ck_assert_uint_eq(checkpoint->tie_count, 2);
    ck_assert_str_eq(checkpoint->ties[0].name, "tied");
    ck_assert_str_eq(checkpoint->ties[0].of, "z.weight");
    ck_assert_str_eq(checkpoint->ties[1].name, "tied too");
    ck_assert_str_eq(checkpoint->ties[1].of, "scalar");
    uint64_t at = opened->data_offset;
    for (size_t i = 0; i < COUNT(in_order); i++) {
        const struct ken_tensor *tensor = &checkpoint->tensors[i];
        const struct make_torch_tensor *made = made_of(in_order[i]);
        unsigned char expected[512], found[512];
        ck_assert_str_eq(tensor->name, in_order[i]);
        ck_assert_uint_eq(tensor->offset, at);
        ck_assert_uint_eq(tensor->rank, made->rank);
        expect(made, expected);
        ck_assert_int_eq(ken_source_read(opened->source, tensor->offset, found, tensor->length, NULL), KEN_OK);
        ck_assert_mem_eq(found, expected, tensor->length);
        at += tensor->length;
    }
    ck_assert_uint_eq(opened->source->size, at);
    ken_checkpoint_close(&checkpoint);
    free(file.bytes);
}
END_TEST

struct strict_opener {
    struct ken_opener opener;
    struct made_file file;
};

static int open_strict(struct ken_opener *opener, const char *name, struct ken_source **source, struct ken_error *error)
{
    const struct strict_opener *strict = (const struct strict_opener *)opener;
    (void)name;
    (void)error;
    *source = make_strict(strict->file.bytes, strict->file.length);
    return KEN_OK;
}

START_TEST(any_piece_of_the_view_is_the_same)
{
    struct strict_opener opener = {.opener.open = open_strict, .file = make_torch(tensors, COUNT(tensors))};
    struct ken_checkpoint *checkpoint = NULL;
    ck_assert_int_eq(ken_checkpoint_open(&checkpoint, &opener.opener, NULL, NULL), KEN_OK);
    struct ken_source *view = checkpoint->files[0].source;
    size_t size = view->size;
    unsigned char *whole = malloc(size), *piece = malloc(size), digest[32];
    ck_assert(whole && piece);
    ck_assert_int_eq(ken_source_wait(view, 0, size, NULL), KEN_OK);
    ck_assert_int_eq(ken_source_read(view, 0, whole, size, NULL), KEN_OK);
    ck_assert_int_eq(memcmp(whole + 8, "{\"__metadata__\":", 16), 0);
    for (size_t first = 0; first < size; first++)
        for (size_t length = 1; length <= size - first; length += 1 + length / 8) {
            struct strict_source *strict = (struct strict_source *)checkpoint->files[0].stored;
            memset(strict->waited, 0, strict->source.size);
            ck_assert_int_eq(ken_source_wait(view, first, length, NULL), KEN_OK);
            ck_assert_int_eq(ken_source_read(view, first, piece, length, NULL), KEN_OK);
            ck_assert_msg(memcmp(piece, whole + first, length) == 0, "[%zu, +%zu)", first, length);
        }
    /* All else is the file's own. */
    ck_assert(view->tells_digest && view->has_state && view->state[0] == 9);
    ck_assert_int_eq(ken_source_digest(view, digest, NULL), KEN_OK);
    ck_assert_int_eq(digest[31], 7);
    ck_assert_int_eq(ken_source_check(view, NULL), KEN_EFETCH);
    /* The view is a safetensors file of its own. */
    struct ken_checkpoint *twin = NULL;
    ck_assert_int_eq(open_memory(&twin, whole, size, NULL, NULL), KEN_OK);
    ck_assert_uint_eq(twin->tensor_count, checkpoint->tensor_count);
    ken_checkpoint_close(&twin);
    ken_checkpoint_close(&checkpoint);
    free(whole);
    free(piece);
    free(opener.file.bytes);
}
END_TEST

START_TEST(every_read_may_fail)
{
    struct made_file made = make_torch(tensors, COUNT(tensors));
    const struct memory_file file = {"x.pt", made.bytes, made.length};
    for (size_t fail_at = 1;; fail_at++) {
        struct memory_opener opener = make_opener(&file, 1, false);
        struct ken_checkpoint *checkpoint = NULL;
        struct ken_error error = {0};
        opener.fail_read_at = fail_at;
        int code = ken_checkpoint_open(&checkpoint, &opener.opener, NULL, &error);
        ken_checkpoint_close(&checkpoint);
        ck_assert_int_eq(opener.open_sources, 0);
        if (!code) {
            ck_assert_uint_ge(fail_at, 9);
            break;
        }
        ck_assert_int_eq(code, KEN_EIO);
    }
    free(made.bytes);
}
END_TEST

/* Opens and reads whatever there is of it. */
static int try(const unsigned char *bytes, size_t length, struct ken_error *error)
{
    struct ken_checkpoint *checkpoint = NULL;
    unsigned char buffer[4096];
    int code = open_memory(&checkpoint, bytes, length, NULL, error);
    for (uint64_t at = 0, size = code ? 0 : checkpoint->files[0].source->size; at < size;) {
        size_t count = size - at < sizeof buffer ? (size_t)(size - at) : sizeof buffer;
        ck_assert_int_eq(ken_source_read(checkpoint->files[0].source, at, buffer, count, NULL), KEN_OK);
        at += count;
    }
    ken_checkpoint_close(&checkpoint);
    return code;
}

static void assert_refused(int code, const struct ken_error *error)
{
    ck_assert(code == KEN_EBAD_CHECKPOINT || code == KEN_EUNSUPPORTED || code == KEN_ETOO_LARGE);
    ck_assert_str_ne(error->message, "");
}

START_TEST(no_byte_of_a_file_can_do_harm)
{
    static const unsigned char values[] = {0, 1, 0x7f, 0x80, 0xff, '(', 'R', 'Q', 't', 'u', '.', '0'};
    struct made_file file = make_torch(tensors, COUNT(tensors));
    for (size_t i = 0; i < file.length; i++) {
        struct ken_error error = {0};
        assert_refused(try(file.bytes, i, &error), &error); /* cut short */
        unsigned char was = file.bytes[i];
        for (size_t v = 0; v < COUNT(values) + 8; v++) {
            error = (struct ken_error){0};
            file.bytes[i] = values[v % COUNT(values)];
            if (v >= COUNT(values)) file.bytes[i] = (unsigned char)(was ^ (unsigned char)(1U << (v - COUNT(values))));
            int code = try(file.bytes, file.length, &error);
            if (code) assert_refused(code, &error);
        }
        file.bytes[i] = was;
    }
    free(file.bytes);
}
END_TEST

/* ---- limits */

START_TEST(limits_are_held)
{
    struct made_file file = make_torch(tensors, COUNT(tensors));
    struct ken_checkpoint *checkpoint = NULL;
    struct ken_error error = {0};
    struct ken_checkpoint_limits limits = {KEN_DEFAULT_MAX_HEADER_BYTES, COUNT(tensors) - 1, 0};
    ck_assert_int_eq(open_memory(&checkpoint, file.bytes, file.length, &limits, &error), KEN_ETOO_LARGE);
    ck_assert_str_eq(error.message, "model.safetensors: more than 6 tensors");
    limits = (struct ken_checkpoint_limits){KEN_DEFAULT_MAX_HEADER_BYTES, 100, 7};
    ck_assert_int_eq(open_memory(&checkpoint, file.bytes, file.length, &limits, &error), KEN_EBAD_CHECKPOINT);
    ck_assert_str_eq(error.message, "model.safetensors: torch file: the name of a tensor is longer than 7 bytes");
    limits.max_name_bytes = 8;
    int code = KEN_ETOO_LARGE;
    uint64_t least = 1;
    for (; code == KEN_ETOO_LARGE; least++) {
        limits.max_header_bytes = least;
        code = open_memory(&checkpoint, file.bytes, file.length, &limits, &error);
    }
    ck_assert_int_eq(code, KEN_OK);
    ck_assert_uint_ge(least, 1000);
    ken_checkpoint_close(&checkpoint);
    free(file.bytes);
}
END_TEST

static const struct {
    const char *bytes;
    size_t length;
    int code;
    const char *message;
} pickles[] = {
    {BYTES("\x80\2cos\nsystem\n."), KEN_EUNSUPPORTED,
     "x: torch file: data.pkl: byte 2: the global \"os.system\" is none that a state dict needs" ADVICE
     "; nothing of a pickle is executed"},
    {BYTES("\x80\4\x8c\2os\x8c\6system\x93."), KEN_EUNSUPPORTED,
     "x: torch file: data.pkl: byte 14: the global \"os.system\" is none that a state dict needs" ADVICE
     "; nothing of a pickle is executed"},
    {BYTES("\x80\2ctorch._utils\n_rebuild_sparse_tensor\n."), KEN_EUNSUPPORTED,
     "x: torch file: data.pkl: byte 2: the global \"torch._utils._rebuild_sparse_tensor\" is none that a state dict needs; nothing of a "
     "pickle "
     "is executed"},
    {BYTES("\x80\2(ios\nsystem\n."), KEN_EUNSUPPORTED, "x: torch file: data.pkl: byte 3: the opcode INST is none that a state dict needs"},
    {BYTES("\x80\2}q\1."), KEN_EBAD_CHECKPOINT, "x: torch file: data.pkl: byte 3: number 0 of the memo is left out"},
    {BYTES("\x80\2}\x94h\1."), KEN_EBAD_CHECKPOINT, "x: torch file: data.pkl: byte 4: the memo has no number 1"},
    {BYTES("\x80\2}}N\x8a\1\xffss."), KEN_EBAD_CHECKPOINT, "x: torch file: data.pkl: byte 9: a value is missing"},
    {BYTES("\x80\2}X\1\0\0\0a\x8a\x09\0\0\0\0\0\0\0\0\1s."), KEN_EUNSUPPORTED, "x: torch file: it holds no tensors"},
    {BYTES("\x80\2}q\0h\0h\0s."), KEN_EUNSUPPORTED, "x: torch file: the value of \"a dict\" is a dict, not a tensor" ADVICE},
    {BYTES("\x80\2(."), KEN_EBAD_CHECKPOINT, "x: torch file: data.pkl: byte 3: a value is missing"},
    {BYTES(""), KEN_EBAD_CHECKPOINT, "x: torch file: data.pkl: byte 0: the pickle is cut short"},
};

START_TEST(malformed_pickles_are_refused)
{
    for (size_t i = 0; i < COUNT(pickles); i++) {
        struct ken_pickle pickle;
        struct ken_error error = {0};
        int code = ken_pickle_read(&pickle, (const unsigned char *)pickles[i].bytes, pickles[i].length, "x", 1 << 20, 10, &error);
        ck_assert_str_eq(error.message, pickles[i].message);
        ck_assert_int_eq(code, pickles[i].code);
        ck_assert(!pickle.items && !pickle.count);
    }
}
END_TEST

/* Marks, tuples, dicts and the memo, a million deep or many: refused for what they would take, and nothing is recursive. */
START_TEST(bombs_are_refused)
{
    static const char *const units[] = {"(", ")", "}", "]", "N", "}\x94", "}NNs", "}\x85", "(t", "h\0"};
    enum { UNITS = 1000000, LIMIT = 1 << 20 };
    for (size_t i = 0; i < COUNT(units); i++) {
        size_t unit = units[i][0] == 'h' ? 2 : strlen(units[i]), at = 4;
        unsigned char *bytes = malloc(at + UNITS * unit);
        struct ken_pickle pickle;
        struct ken_error error = {0};
        ck_assert_ptr_nonnull(bytes);
        memcpy(bytes, "\x80\2}\x94", at);
        for (size_t n = 0; n < UNITS; n++, at += unit) memcpy(bytes + at, units[i], unit);
        ck_assert_int_eq(ken_pickle_read(&pickle, bytes, at, "x", LIMIT, 10, &error), KEN_ETOO_LARGE);
        ck_assert_ptr_nonnull(strstr(error.message, ": its objects take more than the limit of 1048576 bytes"));
        free(bytes);
    }
}
END_TEST

UNIT_MAIN("torch", strided_elements_are_gathered_in_their_order, spans_that_overflow_are_told, a_torch_file_is_read_as_a_safetensors_file,
          any_piece_of_the_view_is_the_same, every_read_may_fail, no_byte_of_a_file_can_do_harm, limits_are_held,
          malformed_pickles_are_refused, bombs_are_refused)
