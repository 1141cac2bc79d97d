/* SPDX-License-Identifier: Apache-2.0 */
/* The report of a pair that is small enough to be reckoned by hand, word by word. */
#include "digest.h"
#include "make_checkpoint.h"
#include "prune_pair.h"
#include "unit.h"
#include "unit_folder.h"

#include <string.h>

static struct unit_folder folder;

static void write_pair(void)
{
    static const float model[] = {1, 2, 3, 5, 5, 6, 7, 8}, base[] = {1, 2, 2, 3, 5, 6, 7, 8}, head[] = {1, 2, 3};
    static const int64_t ids[] = {4, 5}, old_ids[] = {4, 6};
    const struct make_tensor tensors[] = {
        {.name = "w", .dtype = "F32", .shape = "[2,4]", .data = model, .length = sizeof model},
        {.name = "head", .dtype = "F32", .shape = "[3]", .data = head, .length = sizeof head},
        {.name = "ids", .dtype = "I64", .shape = "[2]", .data = ids, .length = sizeof ids},
    };
    const struct make_tensor old[] = {
        {.name = "w", .dtype = "F32", .shape = "[2,4]", .data = base, .length = sizeof base},
        {.name = "ids", .dtype = "I64", .shape = "[2]", .data = old_ids, .length = sizeof old_ids},
        {.name = "gone", .dtype = "U8", .shape = "[1]", .data = "x", .length = 1},
        {.name = "head", .dtype = "F32", .shape = "[1,3]", .data = head, .length = sizeof head},
    };
    write_safetensors(folder.path, "tuned", NULL, tensors, 3);
    write_safetensors(folder.path, "base", NULL, old, 4);
}

/* "SIZE","sha256":"HEX" of a file, as the report has it. */
static const char *told_of(char text[128], const char *name)
{
    struct made_file file = read_file(folder.path, name);
    unsigned char sha256[32];
    char hex[65];
    ck_assert_int_eq(ken_sha256(file.bytes, file.length, sha256, NULL), 0);
    snprintf(text, 128, "%zu,\"sha256\":\"%s\"", file.length, ken_hex_encode(hex, sha256, 32));
    free(file.bytes);
    return text;
}

static const char tensors[] =
    "{\"name\":\"w\",\"base_name\":\"w\",\"dtype\":\"F32\",\"base_dtype\":\"F32\",\"shape\":[2,4],\"rows\":2,\"n\":4,\"k\":1,"
    "\"action\":\"prune\",\"method\":\"magnitude\",\"selected\":1,\"unchanged\":6,\"kept\":1,\"reset\":1,\"non_finite_rows\":0,"
    "\"relative_l2\":0.4472135954999579}\n"
    "{\"name\":\"head\",\"base_name\":null,\"dtype\":\"F32\",\"base_dtype\":null,\"shape\":[3],\"rows\":1,\"n\":3,\"k\":null,"
    "\"action\":\"keep\",\"method\":null,\"selected\":0,\"unchanged\":0,\"kept\":3,\"reset\":0,\"non_finite_rows\":0,\"relative_l2\":0}\n"
    "{\"name\":\"ids\",\"base_name\":\"ids\",\"dtype\":\"I64\",\"base_dtype\":\"I64\",\"shape\":[2],\"rows\":1,\"n\":2,\"k\":null,"
    "\"action\":\"keep\",\"method\":null,\"selected\":0,\"unchanged\":1,\"kept\":1,\"reset\":0,\"non_finite_rows\":0,\"relative_l2\":0}\n";

static void check_text(const char *path, const char *expected)
{
    char work[PATH_MAX];
    struct made_file file = read_file(unit_path(work, &folder, "work"), path);
    ck_assert_msg(file.length == strlen(expected) && !memcmp(file.bytes, expected, file.length), "%s is\n%.*s\nnot\n%s", path,
                  (int)file.length, (const char *)file.bytes, expected);
    free(file.bytes);
}

START_TEST(every_word)
{
    struct ken_options options = pair_options(1, 0);
    char tuned[PATH_MAX], base[PATH_MAX], work[PATH_MAX], expected[8192], of_tuned[128], of_base[128];
    options.variants[0].method = KEN_METHOD_MAGNITUDE;
    unit_folder_make(&folder);
    write_pair();
    struct prune_pair pair = {.model = unit_path(tuned, &folder, "tuned"), .base = unit_path(base, &folder, "base")};
    pair.folder = unit_path(work, &folder, "work");
    ck_assert_int_eq(mkdir(work, 0777), 0);
    ck_assert_msg(!prune_pair(&pair, &options), "%s", pair.error.message);
    check_text("out/.kend/tensors.jsonl", tensors);

    char listed[sizeof tensors];
    size_t length = strlen(tensors) - 1; /* the same behind commas */
    memcpy(listed, tensors, length);
    listed[length] = '\0';
    for (char *at = listed; (at = strchr(at, '\n'));) *at = ',';
    uint64_t delta = json_number(pair.totals[0], "delta_bytes"), model = json_number(pair.totals[0], "model_bytes");
    snprintf(expected, sizeof expected,
             "{\"inputs\":{\"model\":{\"files\":[{\"name\":\"model.safetensors\",\"size\":%s}]},"
             "\"base\":{\"files\":[{\"name\":\"model.safetensors\",\"size\":%s}]}},"
             "\"variant\":null,\"method\":\"magnitude\",\"k\":1,\"rescale\":\"none\",\"duplicates\":\"exact\",\"seed\":0,"
             "\"warnings\":[\"tensor \\\"head\\\" is [3], but [1,3] in the base; it is stored whole\"],\"dropped\":[\"gone\"],"
             "\"totals\":{\"parameters\":13,\"rows\":2,\"selected\":1,\"unchanged\":6,\"kept\":1,\"reset\":1,\"whole\":2,\"added\":3,"
             "\"non_finite_rows\":0,\"kept_percent\":7.6923076923076925,\"reset_percent\":7.6923076923076925,\"delta_bytes\":%llu,"
             "\"model_bytes\":%llu,\"relative_l2\":0.4472135954999579},\"tensors\":[%s]}\n",
             told_of(of_tuned, "tuned"), told_of(of_base, "base"), (unsigned long long)delta, (unsigned long long)model, listed);
    check_text("out/report.json", expected);
    prune_pair_free(&pair);
    unit_folder_remove(&folder);
}
END_TEST

UNIT_MAIN("report", every_word)
