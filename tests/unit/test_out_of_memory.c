/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fails the first allocation of libken, then the second, and so on until the operation succeeds: each must end in KEN_ENOMEM and leave
 * nothing behind.
 */
#include "checkpoint.h"
#include "failing_alloc.h"
#include "unit_folder.h"
#include "json_writer.h"
#include "make_checkpoint.h"
#include "unit.h"

#include <string.h>

/* Runs the operation with its n-th allocation failing, for n = 1, 2, ... until it succeeds; returns how many there were. */
static size_t sweep(int (*operation)(void *opaque, struct ken_error *error), void *opaque)
{
    unsigned survived = 0;
    for (size_t n = 1;; n++) {
        struct ken_error error = {0};
        long before = held;
        countdown = n;
        int code = operation(opaque, &error);
        bool reached = countdown == 0;
        countdown = 0;
        ck_assert_msg(held == before, "allocation %zu: %ld left", n, held - before);
        if (!reached) {
            ck_assert_int_eq(code, KEN_OK);
            return n - 1;
        }
        if (!code && ++survived == 1) continue; /* giving back what an array has too much of may fail */
        ck_assert_msg(code == KEN_ENOMEM, "allocation %zu: %d %s", n, code, error.message);
        ck_assert_int_eq(error.code, KEN_ENOMEM);
        ck_assert_str_ne(error.message, "");
    }
}

static int open_and_close(void *path, struct ken_error *error)
{
    struct ken_checkpoint *checkpoint = NULL;
    int code = ken_checkpoint_open_path(&checkpoint, path, NULL, error);
    if (code && checkpoint) code = KEN_EINTERNAL; /* no assertions in here: Check allocates too */
    ken_checkpoint_close(&checkpoint);
    return code;
}

START_TEST(opening_checkpoints)
{
    static const struct make_tensor first[] = {{"a", "F32", "[2,3]", NULL, 24}, {"b", "F32", "[3]", NULL, 12}};
    static const struct make_tensor second[] = {{"c", "U8", "[1]", NULL, 1}};
    static const char index[] = "{\"weight_map\":{\"a\":\"1\",\"b\":\"1\",\"c\":\"2\"}}";
    struct unit_folder folder;
    char path[PATH_MAX];
    unit_folder_make(&folder);
    write_safetensors(folder.path, "1", "{\"k\":\"v\"}", first, 2);
    write_safetensors(folder.path, "2", NULL, second, 1);
    write_file(folder.path, "index", index, strlen(index));
    unit_path(path, &folder, "1");
    ck_assert_uint_ge(sweep(open_and_close, path), 12);
    unit_path(path, &folder, "index");
    ck_assert_uint_ge(sweep(open_and_close, path), 25);
    unit_folder_remove(&folder);
}
END_TEST

static int write_json(void *opaque, struct ken_error *error)
{
    struct ken_json_writer writer;
    (void)opaque;
    ken_json_writer_init(&writer);
    ken_json_begin_array(&writer);
    for (unsigned i = 0; i < 5000; i++) ken_json_uint(&writer, i);
    ken_json_end_array(&writer);
    int code = ken_json_writer_finish(&writer, NULL, NULL);
    ken_json_writer_free(&writer);
    return code ? ken_fail(error, code, "%s", ken_error_text(code)) : KEN_OK;
}

START_TEST(writing_json)
{
    ck_assert_uint_ge(sweep(write_json, NULL), 3);
}
END_TEST

UNIT_MAIN("out_of_memory", opening_checkpoints, writing_json)
