/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/result.h"
#include "unit.h"
#include "unit_folder.h"

#include <fcntl.h>

static struct kend_job_artifact items[] = {
    {.name = (char *)"half/delta.safetensors", .variant = (char *)"half", .size = (uint64_t)1 << 41, .sha256 = {1, 2, [31] = 0xff}},
    {.name = (char *)"report.json", .variant = (char *)"", .size = 0},
};
static const struct kend_result written = {{items, 2}, (char *)"{\"variants\":{\"half\":{\"rows\":3,\"relative_l2\":0.5}}}"};

/* A working folder as a finished pruning leaves it. */
static int make_work(struct unit_folder *folder)
{
    char path[PATH_MAX];
    unit_folder_make(folder);
    ck_assert_int_eq(mkdir(unit_path(path, folder, "out"), 0700), 0);
    ck_assert_int_eq(mkdir(unit_path(path, folder, "out/.kend"), 0700), 0);
    int work = open(folder->path, O_RDONLY | O_DIRECTORY);
    ck_assert_int_ge(work, 0);
    return work;
}

/* Reads out/.kend/result.json as a published job's. */
static int read_back(const struct unit_folder *folder, struct kend_result *result, struct ken_error *error)
{
    char path[PATH_MAX];
    struct stat status;
    int file = open(unit_path(path, folder, "out/" KEND_RESULT_NAME), O_RDONLY);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(fstat(file, &status), 0);
    int code = kend_result_read(result, file, (uint64_t)status.st_size, error);
    close(file);
    return code;
}

START_TEST(what_was_written_is_read)
{
    struct unit_folder folder;
    struct kend_result result;
    struct ken_error error = {0};
    int work = make_work(&folder);
    for (int attempt = 0; attempt < 2; attempt++) { /* a second attempt writes over the first one's */
        ck_assert_msg(kend_result_write(&written, work, &error) == 0, "%s", error.message);
        ck_assert_msg(read_back(&folder, &result, &error) == 0, "%s", error.message);
        ck_assert_uint_eq(result.artifacts.count, 2);
        for (size_t i = 0; i < 2; i++) {
            ck_assert_str_eq(result.artifacts.item[i].name, items[i].name);
            ck_assert_str_eq(result.artifacts.item[i].variant, items[i].variant);
            ck_assert_uint_eq(result.artifacts.item[i].size, items[i].size);
            ck_assert_mem_eq(result.artifacts.item[i].sha256, items[i].sha256, sizeof items[i].sha256);
        }
        ck_assert_str_eq(result.summary, written.summary);
        kend_result_clear(&result);
        ck_assert(!result.summary && !result.artifacts.item);
    }
    close(work);
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(what_cannot_be_written_is_told)
{
    struct unit_folder folder;
    struct ken_error error = {0};
    int work = make_work(&folder);
    ck_assert_int_eq(unlinkat(work, "out/.kend", AT_REMOVEDIR), 0);
    ck_assert_int_ne(kend_result_write(&written, work, &error), 0);
    ck_assert_ptr_nonnull(strstr(error.message, "out/" KEND_RESULT_NAME));
    close(work);
    unit_folder_remove(&folder);
}
END_TEST

#define HEX "0102000000000000000000000000000000000000000000000000000000000000"
#define ONE(fields) "{\"artifacts\":[{" fields "}],\"summary\":{}}"

START_TEST(a_broken_file_is_no_result)
{
    static const char *const broken[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"artifacts\":[]}",
        "{\"summary\":{}}",
        "{\"artifacts\":{},\"summary\":{}}",
        "{\"artifacts\":[],\"summary\":[]}",
        "{\"artifacts\":[1],\"summary\":{}}",
        ONE("\"variant\":\"\",\"size\":1,\"sha256\":\"" HEX "\""),
        ONE("\"name\":\"a\",\"size\":1,\"sha256\":\"" HEX "\""),
        ONE("\"name\":\"a\",\"variant\":\"\",\"sha256\":\"" HEX "\""),
        ONE("\"name\":\"a\",\"variant\":\"\",\"size\":-1,\"sha256\":\"" HEX "\""),
        ONE("\"name\":\"a\",\"variant\":\"\",\"size\":\"1\",\"sha256\":\"" HEX "\""),
        ONE("\"name\":\"a\",\"variant\":\"\",\"size\":1,\"sha256\":\"" HEX "00\""),
        ONE("\"name\":\"a\",\"variant\":\"\",\"size\":1,\"sha256\":\"zz\""),
        ONE("\"name\":\"a\",\"variant\":\"\",\"size\":1"),
        ONE("\"name\":\"a\",\"variant\":\"\",\"size\":1,\"sha256\":\"" HEX "\"") "x",
    };
    struct unit_folder folder;
    char path[PATH_MAX];
    close(make_work(&folder));
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct kend_result result;
        struct ken_error error = {0};
        unit_write(unit_path(path, &folder, "out/" KEND_RESULT_NAME), broken[i]);
        ck_assert_msg(read_back(&folder, &result, &error) == KEN_EINTERNAL, "%s", broken[i]);
        ck_assert_str_eq(error.message, KEND_RESULT_NAME " is not whole");
        ck_assert(!result.summary && !result.artifacts.item);
    }
    unit_folder_remove(&folder);
}
END_TEST

START_TEST(a_file_of_any_size_is_not_read)
{
    struct unit_folder folder;
    struct kend_result result;
    struct ken_error error = {0};
    char path[PATH_MAX];
    unit_folder_make(&folder);
    unit_write(unit_path(path, &folder, "huge"), "{}");
    int file = open(path, O_RDONLY);
    ck_assert_int_eq(kend_result_read(&result, file, (uint64_t)1 << 40, &error), KEN_EINTERNAL);
    ck_assert_int_eq(kend_result_read(&result, file, 3, &error), KEN_EINTERNAL); /* shorter than it was said to be */
    close(file);
    unit_folder_remove(&folder);
}
END_TEST

UNIT_MAIN("result", what_was_written_is_read, what_cannot_be_written_is_told, a_broken_file_is_no_result, a_file_of_any_size_is_not_read)
