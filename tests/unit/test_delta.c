/* SPDX-License-Identifier: Apache-2.0 */
/* Opening deltas: a good one, and more than fifty that are not. */
#include "delta/delta.h"
#include "digest.h"
#include "json_writer.h"
#include "make_checkpoint.h"
#include "unit.h"
#include "unit_folder.h"

#include <stdio.h>
#include <string.h>

/* The good delta, in pieces that each case may change. In all of them ' stands for ", and @m, @g, @s for the SHA-256 of a base tensor. */
#define MODEL "{'files':[{'name':'model.safetensors','metadata':{'format':'pt'},'tensors':['w','m','g','s']}],'index':null}"
#define TENSORS                                                                                                      \
    "{'w':{'dtype':'F32','shape':[2],'base':null,'form':'whole','stored':2},"                                        \
    "'m':{'dtype':'F32','shape':[2,5],'base':{'name':'m','dtype':'F32','sha256':'@m'},'form':'mask','stored':3},"    \
    "'g':{'dtype':'F16','shape':[40],'base':{'name':'old.g','dtype':'F16','sha256':'@g'},'form':'gaps','stored':2}," \
    "'s':{'dtype':'I64','shape':[],'base':{'name':'s','dtype':'I64','sha256':'@s'},'form':'same','stored':0}}"
#define ENTRIES                                                      \
    "'w.whole':{'dtype':'F32','shape':[2],'data_offsets':[0,8]},"    \
    "'m.values':{'dtype':'F32','shape':[3],'data_offsets':[8,20]},"  \
    "'g.values':{'dtype':'F16','shape':[2],'data_offsets':[20,24]}," \
    "'g.gaps':{'dtype':'U16','shape':[2],'data_offsets':[24,28]},"   \
    "'m.mask':{'dtype':'U8','shape':[2],'data_offsets':[28,30]}"
enum { DATA_LENGTH = 30, MASK_AT = 28, GAPS_AT = 24 };
/* mask: elements 0, 3 and 9; gaps: elements 5 and 39 */
static const unsigned char data[DATA_LENGTH] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                                16, 17, 18, 19, 20, 21, 22, 23, 24, 5,  0,  33, 0,  9,  2};
static unsigned char base_m[40], base_g[80], base_s[8];

enum part { FORMAT_TEXT, VERSION_TEXT, ENCODING_TEXT, MODEL_TEXT, TENSORS_TEXT, ENTRIES_TEXT, PART_COUNT };
static const char *const parts[PART_COUNT] = {"ken-delta", "1", "plain", MODEL, TENSORS, ENTRIES};
static const char *const keys[PART_COUNT - 1] = {"format", "version", "encoding", "model", "tensors"};

static void put_sha256(char *text, const char *mark, const unsigned char *bytes, size_t length)
{
    unsigned char sha256[KEN_SHA256_SIZE];
    char hex[KEN_SHA256_HEX_SIZE];
    ck_assert_int_eq(ken_sha256(bytes, length, sha256, NULL), KEN_OK);
    ken_hex_encode(hex, sha256, sizeof sha256);
    for (char *at = strstr(text, mark); at; at = strstr(text, mark)) {
        memmove(at + KEN_SHA256_HEX_SIZE - 1, at + strlen(mark), strlen(at + strlen(mark)) + 1);
        memcpy(at, hex, KEN_SHA256_HEX_SIZE - 1);
    }
}

/* A part with `from` replaced by `to`, quotes and digests filled in; to be freed. */
static char *make_part(enum part part, const char *from, const char *to)
{
    enum { ROOM = 4096 };
    char *text = calloc(1, ROOM);
    const char *at = from ? strstr(parts[part], from) : NULL;
    ck_assert_msg(!from || at, "nothing to replace: %s", from);
    if (from)
        snprintf(text, ROOM, "%.*s%s%s", (int)(at - parts[part]), parts[part], to, at + strlen(from));
    else
        snprintf(text, ROOM, "%s", parts[part]);
    put_sha256(text, "@m", base_m, sizeof base_m);
    put_sha256(text, "@g", base_g, sizeof base_g);
    put_sha256(text, "@s", base_s, sizeof base_s);
    for (char *quote = strchr(text, '\''); quote; quote = strchr(quote, '\'')) *quote = '"';
    return text;
}

/* The delta with one part changed. extra: another member of the metadata, or NULL. */
static struct made_file make_delta(enum part part, const char *from, const char *to, const char *extra, const unsigned char *bytes,
                                   size_t length)
{
    struct ken_json_writer json;
    const char *header;
    size_t header_length;
    ken_json_writer_init(&json);
    ken_json_begin_object(&json);
    ken_json_key(&json, "__metadata__");
    ken_json_begin_object(&json);
    for (enum part i = FORMAT_TEXT; i < ENTRIES_TEXT; i++) {
        char *text = make_part(i, i == part ? from : NULL, to);
        if (*text) { /* replaced by nothing: without that member */
            ken_json_key(&json, keys[i]);
            ken_json_string(&json, text);
        }
        free(text);
    }
    if (extra) {
        ken_json_key(&json, extra);
        ken_json_string(&json, "");
    }
    ken_json_end_object(&json);
    char *entries = make_part(ENTRIES_TEXT, part == ENTRIES_TEXT ? from : NULL, to);
    if (*entries) {
        ken_json_filler(&json, ",", 1);
        ken_json_filler(&json, entries, strlen(entries));
    }
    free(entries);
    ken_json_end_object(&json);
    ck_assert_int_eq(ken_json_writer_finish(&json, &header, &header_length), KEN_OK);
    struct made_file file = make_raw(header, header_length, bytes, length);
    ken_json_writer_free(&json);
    return file;
}

static struct made_file good_delta(void)
{
    return make_delta(PART_COUNT, NULL, NULL, NULL, data, sizeof data);
}

/* Writes the file and opens it. */
static int open_bytes(struct ken_delta **delta, const char *folder, struct made_file file, struct ken_error *error)
{
    char *path = unit_join(folder, "delta.safetensors");
    write_file(folder, "delta.safetensors", file.bytes, file.length);
    int code = ken_delta_open_path(delta, path, error);
    free(path);
    return code;
}

static struct ken_checkpoint *open_base(const char *folder)
{
    const struct make_tensor tensors[] = {{"m", "F32", "[2,5]", base_m, sizeof base_m},
                                          {"old.g", "F16", "[40]", base_g, sizeof base_g},
                                          {"s", "I64", "[]", base_s, sizeof base_s}};
    struct ken_checkpoint *base = NULL;
    char *path = unit_join(folder, "base.safetensors");
    write_safetensors(folder, "base.safetensors", NULL, tensors, 3);
    ck_assert_int_eq(ken_checkpoint_open_path(&base, path, NULL, NULL), KEN_OK);
    free(path);
    return base;
}

START_TEST(a_good_delta_tells_what_is_in_it)
{
    struct unit_folder place;
    unit_folder_make(&place);
    const char *folder = place.path;
    struct made_file file = good_delta();
    struct ken_delta *delta = NULL;
    struct ken_error error = {0};
    ck_assert_msg(open_bytes(&delta, folder, file, &error) == KEN_OK, "%s", error.message);
    ck_assert_uint_eq(ken_delta_tensor_count(delta), 4);
    ck_assert_uint_eq(ken_delta_file_count(delta), 1);
    ck_assert_str_eq(ken_delta_encoding(delta), "plain");
    const struct ken_delta_tensor *g = ken_delta_tensor(delta, 2), *w = ken_delta_tensor(delta, 0);
    ck_assert_str_eq(g->name, "g");
    ck_assert_str_eq(g->base_name, "old.g");
    ck_assert_int_eq(g->dtype, KEN_F16);
    ck_assert_int_eq(g->form, KEN_FORM_GAPS);
    ck_assert_uint_eq(g->stored, 2);
    ck_assert_uint_eq(g->rank, 1);
    ck_assert_uint_eq(g->shape[0], 40);
    ck_assert(!w->has_base);
    ck_assert_ptr_null(w->base_name);
    struct ken_checkpoint *base = open_base(folder), *checkpoint = NULL;
    ck_assert_msg(ken_delta_verify(delta, base, NULL, NULL, &error) == KEN_OK, "%s", error.message);
    ck_assert(!ken_delta_is(base));
    ck_assert_int_eq(open_memory(&checkpoint, file.bytes, file.length, NULL, &error), KEN_OK);
    ck_assert(ken_delta_is(checkpoint));
    ken_checkpoint_close(&checkpoint);
    ken_checkpoint_close(&base);
    ken_delta_close(&delta);
    free(file.bytes);
    unit_folder_remove(&place);
}
END_TEST

#define BAD KEN_EBAD_DELTA
static const struct malformed {
    enum part part;
    const char *from, *to;
    int code;
    const char *message; /* a part of it; ' stands for " */
} malformed[] = {
    {FORMAT_TEXT, "ken-delta", "", BAD, "this is no delta: its metadata do not say format 'ken-delta'"},
    {FORMAT_TEXT, "ken-delta", "ken", BAD, "this is no delta"},
    {VERSION_TEXT, "1", "", BAD, "metadata: version or encoding is missing"},
    {VERSION_TEXT, "1", "2", KEN_EUNSUPPORTED, "a delta of version '2'; this program reads version 1"},
    {VERSION_TEXT, "1", "1.0", KEN_EUNSUPPORTED, "a delta of version '1.0'"},
    {ENCODING_TEXT, "plain", "", BAD, "metadata: version or encoding is missing"},
    {ENCODING_TEXT, "plain", "zip", KEN_EUNSUPPORTED, "a delta in encoding 'zip'; this program reads 'plain'"},
    {MODEL_TEXT, MODEL, "", BAD, "metadata: model or tensors is missing"},
    {TENSORS_TEXT, TENSORS, "", BAD, "metadata: model or tensors is missing"},
    {MODEL_TEXT, MODEL, "[]", BAD, "metadata 'model': byte 0: expected an object"},
    {MODEL_TEXT, MODEL, "{", BAD, "metadata 'model': byte 1: expected a key"},
    {MODEL_TEXT, MODEL, MODEL "x", BAD, "unexpected text after the value"},
    {MODEL_TEXT, ",'index':null", "", BAD, "member 'index' is missing"},
    {MODEL_TEXT, "'index'", "'file'", BAD, "unknown member"},
    {MODEL_TEXT, "'index':null", "'index':null,'index':null", BAD, "the member appears twice"},
    {MODEL_TEXT, "'index':null", "'index':true", BAD, "index is neither null nor 'model.safetensors.index.json'"},
    {MODEL_TEXT, "'index':null", "'index':'index.json'", BAD, "index is neither null nor"},
    {MODEL_TEXT, "'index':null", "'index':'model.safetensors.index.json'", BAD,
     "file 'model.safetensors' must be called 'model-00001-of-00001.safetensors'"},
    {MODEL_TEXT, "'model.safetensors'", "'../model.safetensors'", BAD, "file '../model.safetensors' must be called 'model.safetensors'"},
    {MODEL_TEXT, "'model.safetensors'", "7", BAD, "expected the file's name"},
    {MODEL_TEXT, "{'format':'pt'}", "[]", BAD, "metadata is no object and not null"},
    {MODEL_TEXT, "{'format':'pt'}", "{'format':1}", BAD, "expected a string in __metadata__"},
    {MODEL_TEXT, "{'format':'pt'}", "{'a':'','a':''}", BAD, "key 'a' appears twice in __metadata__"},
    {MODEL_TEXT, "'metadata':{'format':'pt'},", "", BAD, "member 'metadata' is missing"},
    {MODEL_TEXT, "[{'name':'model.safetensors','metadata':{'format':'pt'},'tensors':['w','m','g','s']}]", "[]", BAD, "it has no file"},
    {MODEL_TEXT, "}],'index'", "},{'name':'b','metadata':null,'tensors':[]}],'index'", BAD, "several files, but no index"},
    {MODEL_TEXT, "}],'index'", "},7],'index'", BAD, "expected a file"},
    {MODEL_TEXT, MODEL,
     "{'files':[{'name':'model-00001-of-00002.safetensors','metadata':null,'tensors':['w','m','g','s']},"
     "{'name':'model-00002-of-00002.safetensors','metadata':null,'tensors':[]}],'index':'model.safetensors.index.json'}",
     BAD, "file 'model-00002-of-00002.safetensors' has no tensor"},
    {MODEL_TEXT, "'w','m'", "'w','w','m'", BAD, "tensor 'w': it is twice in metadata 'model'"},
    {MODEL_TEXT, "'w','m'", "'w',1,'m'", BAD, "expected a tensor's name"},
    {MODEL_TEXT, "'w','m'", "'w','','m'", BAD, "a tensor's name has 1 to 4096 bytes"},
    {MODEL_TEXT, "'w','m'", "'w','\\u0000','m'", BAD, "a name has a NUL character"},
    {MODEL_TEXT, "'w','m'", "'w','__metadata__','m'", BAD, "no tensor can have that name"},
    {MODEL_TEXT, "'w','m'", "'w','x','m'", BAD, "tensor 'x': it is missing in metadata 'tensors'"},
    {MODEL_TEXT, "'w','m'", "'m'", BAD, "the model has no tensor of that name"},
    {TENSORS_TEXT, TENSORS, "null", BAD, "metadata 'tensors': byte 0: expected an object"},
    {TENSORS_TEXT, "'w':{'dtype'", "'w':{'dtype':'F32','shape':[2],'base':null,'form':'whole','stored':2},'w':{'dtype'", BAD,
     "the tensor appears twice"},
    {TENSORS_TEXT, "'w':{'dtype'", "'w\\u0000':{'dtype'", BAD, "the model has no tensor of that name"},
    {TENSORS_TEXT, "{'w':{'dtype':'F32','shape':[2],'base':null,'form':'whole','stored':2}", "{'w':1", BAD, "expected an object"},
    {TENSORS_TEXT, "'dtype':'F32',", "", BAD, "member 'dtype' is missing"},
    {TENSORS_TEXT, "'dtype':'F32'", "'dtype':'F31'", BAD, "unknown dtype"},
    {TENSORS_TEXT, "'shape':[2]", "'shape':[-2]", BAD, "a dimension of its shape is no integer"},
    {TENSORS_TEXT, "'shape':[2]", "'shape':['2']", BAD, "a dimension of its shape is no integer"},
    {TENSORS_TEXT, "'shape':[2]", "'shape':2", BAD, "expected shape to be an array"},
    {TENSORS_TEXT, "'shape':[2]", "'shape':[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2]", BAD,
     "more than 32 dimensions"},
    {TENSORS_TEXT, "'shape':[2,5]", "'shape':[4294967296,4294967296]", BAD, "tensor 'm': the product of its shape is too large"},
    {TENSORS_TEXT, "'shape':[2]", "'shape':[3]", BAD, "tensor 'w': 2 values are stored, but whole are 3"},
    {TENSORS_TEXT, "'shape':[2]", "'shape':[2,1]", BAD, "tensor 'w': entry 'whole' has the wrong shape"},
    {TENSORS_TEXT, "'dtype':'F32','shape':[2]", "'dtype':'I32','shape':[2]", BAD, "tensor 'w': entry 'whole' has dtype F32"},
    {TENSORS_TEXT, "'shape':[2,5]", "'shape':[4,5]", BAD, "tensor 'm': entry 'mask' has the wrong shape"},
    {TENSORS_TEXT, "'base':null", "'base':7", BAD, "base is no object and not null"},
    {TENSORS_TEXT, "'base':null,'form':'whole'", "'base':null,'form':'same'", BAD, "tensor 'w': it has no base, and is not stored whole"},
    {TENSORS_TEXT, "'base':null,'form':'whole'", "'base':null,'form':'mask'", BAD, "tensor 'w': it has no base, and is not stored whole"},
    {TENSORS_TEXT, "'name':'m',", "", BAD, "member 'name' is missing"},
    {TENSORS_TEXT, "'sha256':'@m'", "'sha256':'00'", BAD, "no SHA-256 of 64 hexadecimal digits"},
    {TENSORS_TEXT, "'sha256':'@m'", "'sha256':'@m0'", BAD, "no SHA-256 of 64 hexadecimal digits"},
    {TENSORS_TEXT, "'sha256':'@m'", "'sha256':null", BAD, "expected a SHA-256"},
    {TENSORS_TEXT, "'name':'m','dtype':'F32'", "'name':'m','dtype':'I32'", BAD, "tensor 'm': a base of I32 cannot be converted to F32"},
    {TENSORS_TEXT, "'name':'s','dtype':'I64'", "'name':'s','dtype':'U64'", BAD, "tensor 's': a base of U64 cannot be converted to I64"},
    {TENSORS_TEXT, "'form':'mask'", "'form':'sparse'", BAD, "unknown form"},
    {TENSORS_TEXT, "'form':'mask'", "'form':2", BAD, "expected a form"},
    {TENSORS_TEXT, "'form':'mask'", "'form':'gaps'", BAD, "tensor 'm': entry 'gaps' is missing"},
    {TENSORS_TEXT, "'form':'mask'", "'form':'whole'", BAD, "tensor 'm': 3 values are stored, but whole are 10"},
    {TENSORS_TEXT, "'form':'mask','stored':3", "'form':'same','stored':0", BAD, "entry 'm.values' belongs to no tensor"},
    {TENSORS_TEXT, "'form':'same','stored':0", "'form':'same','stored':1", BAD, "tensor 's': form same, but 1 values are stored"},
    {TENSORS_TEXT, "'form':'same','stored':0", "'form':'whole','stored':1", BAD, "tensor 's': entry 'whole' is missing"},
    {TENSORS_TEXT, "'stored':3", "'stored':4", BAD, "tensor 'm': entry 'values' has the wrong shape"},
    {TENSORS_TEXT, "'stored':3", "'stored':0", BAD, "tensor 'm': 0 values are stored, of 10 elements"},
    {TENSORS_TEXT, "'stored':3", "'stored':11", BAD, "tensor 'm': 11 values are stored, of 10 elements"},
    {TENSORS_TEXT, "'stored':3", "'stored':-3", BAD, "stored is no integer from 0 to 2^64-1"},
    {TENSORS_TEXT, "'stored':3", "'stored':3.0", BAD, "stored is no integer from 0 to 2^64-1"},
    {TENSORS_TEXT, "'stored':3", "'stored':'3'", BAD, "expected how many are stored"},
    {ENTRIES_TEXT, "'w.whole'", "'w.hole'", BAD, "tensor 'w': entry 'whole' is missing"},
    {ENTRIES_TEXT, "'m.values'", "'m.value'", BAD, "tensor 'm': entry 'values' is missing"},
    {ENTRIES_TEXT, "'m.mask'", "'m.musk'", BAD, "tensor 'm': entry 'mask' is missing"},
    {ENTRIES_TEXT, "'m.mask':{'dtype':'U8'", "'m.mask':{'dtype':'BOOL'", BAD, "tensor 'm': entry 'mask' has dtype BOOL"},
    {ENTRIES_TEXT, "'m.mask':{'dtype':'U8','shape':[2]", "'m.mask':{'dtype':'U8','shape':[2,1]", BAD,
     "tensor 'm': entry 'mask' has the wrong shape"},
    {ENTRIES_TEXT, "'m.values':{'dtype':'F32'", "'m.values':{'dtype':'U32'", BAD, "tensor 'm': entry 'values' has dtype U32"},
    {ENTRIES_TEXT, "'g.gaps':{'dtype':'U16'", "'g.gaps':{'dtype':'I16'", BAD, "tensor 'g': entry 'gaps' has dtype I16"},
    {ENTRIES_TEXT, "'g.gaps':{'dtype':'U16','shape':[2]", "'g.gaps':{'dtype':'U8','shape':[4]", BAD,
     "tensor 'g': entry 'gaps' has dtype U8"},
    {ENTRIES_TEXT, "'g.gaps':{'dtype':'U16','shape':[2]", "'g.gaps':{'dtype':'U32','shape':[1]", BAD,
     "tensor 'g': entry 'gaps' has the wrong shape"},
    {ENTRIES_TEXT, "'w.whole'", "'x':{'dtype':'U8','shape':[0],'data_offsets':[0,0]},'w.whole'", BAD, "entry 'x' belongs to no tensor"},
    {ENTRIES_TEXT, "'w.whole'", "'s.whole':{'dtype':'I64','shape':[0],'data_offsets':[0,0]},'w.whole'", BAD,
     "entry 's.whole' belongs to no tensor"},
    {ENTRIES_TEXT, "[28,30]", "[28,31]", BAD, "data_offsets end at 31"},
};

static void check_message(const char *message, const char *part)
{
    char wanted[512];
    snprintf(wanted, sizeof wanted, "%s", part);
    for (char *quote = strchr(wanted, '\''); quote; quote = strchr(quote + 1, '\''))
        if (!(quote > wanted && quote[1] == 's' && quote[2] == ' ')) *quote = '"'; /* but not "tensor's" */
    ck_assert_msg(strstr(message, wanted) != NULL, "wanted: %s\nfound:  %s", wanted, message);
}

START_TEST(malformed_deltas_are_refused)
{
    struct unit_folder place;
    unit_folder_make(&place);
    const char *folder = place.path;
    ck_assert_uint_ge(sizeof malformed / sizeof *malformed, 50);
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        const struct malformed *one = &malformed[i];
        struct made_file file = make_delta(one->part, one->from, one->to, NULL, data, sizeof data);
        struct ken_delta *delta = NULL;
        struct ken_error error = {0};
        int code = open_bytes(&delta, folder, file, &error);
        ck_assert_msg(code == one->code, "case %zu (%s -> %s): %d, not %d: %s", i, one->from, one->to, code, one->code, error.message);
        ck_assert_int_eq(error.code, one->code);
        ck_assert_ptr_null(delta);
        check_message(error.message, one->message);
        free(file.bytes);
    }
    unit_folder_remove(&place);
}
END_TEST

START_TEST(metadata_have_nothing_else)
{
    struct unit_folder place;
    unit_folder_make(&place);
    const char *folder = place.path;
    struct made_file file = make_delta(PART_COUNT, NULL, NULL, "author", data, sizeof data);
    struct ken_delta *delta = NULL;
    struct ken_error error = {0};
    ck_assert_int_eq(open_bytes(&delta, folder, file, &error), KEN_EBAD_DELTA);
    check_message(error.message, "metadata: a key that a delta has not");
    free(file.bytes);
    unit_folder_remove(&place);
}
END_TEST

START_TEST(a_checkpoint_is_no_delta)
{
    struct unit_folder place;
    unit_folder_make(&place);
    const char *folder = place.path;
    char *path = unit_join(folder, "base.safetensors");
    struct ken_checkpoint *base = open_base(folder);
    struct ken_delta *delta = NULL;
    struct ken_error error = {0};
    ck_assert_int_eq(ken_delta_open_path(&delta, path, &error), KEN_EBAD_DELTA);
    check_message(error.message, "this is no delta: a checkpoint without metadata of one");
    ck_assert_ptr_null(delta);
    free(path);
    path = unit_join(folder, "none");
    ck_assert_int_eq(ken_delta_open_path(&delta, path, &error), KEN_ENOT_FOUND);
    free(path);
    ken_checkpoint_close(&base);
    unit_folder_remove(&place);
}
END_TEST

/* Places that only reading the values finds out: a byte of the data, and what it becomes. */
static const struct bad_data {
    size_t at;
    unsigned char byte;
    const char *message;
} bad_data[] = {
    {MASK_AT, 1, "tensor 'm': its mask has 2 bits, but 3 values are stored"},
    {MASK_AT, 0, "tensor 'm': its mask has 1 bits, but 3 values are stored"},
    {MASK_AT, 0xff, "tensor 'm': its mask has more bits than the 3 values that are stored"},
    {MASK_AT + 1, 6, "tensor 'm': its mask has bits behind its last element"},
    {MASK_AT + 1, 0x82, "tensor 'm': its mask has bits behind its last element"},
    {GAPS_AT, 40, "tensor 'g': gap 0 leads beyond its 40 elements"},
    {GAPS_AT, 6, "tensor 'g': gap 1 leads beyond its 40 elements"},
    {GAPS_AT + 2, 34, "tensor 'g': gap 1 leads beyond its 40 elements"},
    {GAPS_AT + 1, 0xff, "tensor 'g': gap 0 leads beyond its 40 elements"},
    {GAPS_AT + 3, 0xff, "tensor 'g': gap 1 leads beyond its 40 elements"},
};

START_TEST(values_that_do_not_add_up_are_refused)
{
    struct unit_folder place;
    unit_folder_make(&place);
    const char *folder = place.path;
    struct ken_checkpoint *base = open_base(folder);
    for (size_t i = 0; i < sizeof bad_data / sizeof *bad_data; i++) {
        unsigned char changed[DATA_LENGTH];
        struct ken_delta *delta = NULL;
        struct ken_error error = {0};
        memcpy(changed, data, sizeof changed);
        changed[bad_data[i].at] = bad_data[i].byte;
        struct made_file file = make_delta(PART_COUNT, NULL, NULL, NULL, changed, sizeof changed);
        ck_assert_int_eq(open_bytes(&delta, folder, file, &error), KEN_OK);
        ck_assert_int_eq(ken_delta_verify(delta, base, NULL, NULL, &error), KEN_EBAD_DELTA);
        check_message(error.message, bad_data[i].message);
        ken_delta_close(&delta);
        free(file.bytes);
    }
    ken_checkpoint_close(&base);
    unit_folder_remove(&place);
}
END_TEST

/* Every byte of a delta changed in some ways: nothing may crash, and what opens must be readable or be refused. */
START_TEST(no_mutation_does_harm)
{
    struct unit_folder place;
    unit_folder_make(&place);
    const char *folder = place.path;
    struct ken_checkpoint *base = open_base(folder);
    struct made_file file = good_delta();
    size_t opened = 0, refused = 0;
    const unsigned char changes[] = {0x01, 0x20, 0x80, 0xff};
    for (size_t i = 0; i < file.length; i++)
        for (size_t j = 0; j < sizeof changes; j++) {
            struct ken_delta *delta = NULL;
            struct ken_error error = {0};
            file.bytes[i] ^= changes[j];
            int code = open_bytes(&delta, folder, file, &error);
            ck_assert_int_eq(code, error.code);
            ck_assert((code == KEN_OK) == (delta != NULL));
            if (code == KEN_OK) {
                ken_delta_verify(delta, base, NULL, NULL, &error);
                opened++;
            } else {
                ck_assert_str_ne(error.message, "");
                refused++;
            }
            ken_delta_close(&delta);
            file.bytes[i] ^= changes[j];
        }
    ck_assert_uint_gt(opened, 0);
    ck_assert_uint_gt(refused, 0);
    for (size_t length = 0; length < file.length; length++) {
        struct ken_delta *delta = NULL;
        ck_assert_int_ne(open_bytes(&delta, folder, (struct made_file){file.bytes, length}, NULL), KEN_OK);
    }
    free(file.bytes);
    ken_checkpoint_close(&base);
    unit_folder_remove(&place);
}
END_TEST

UNIT_MAIN("delta", a_good_delta_tells_what_is_in_it, malformed_deltas_are_refused, metadata_have_nothing_else, a_checkpoint_is_no_delta,
          values_that_do_not_add_up_are_refused, no_mutation_does_harm)
