/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main function of a target where libFuzzer brings none: runs it over files and folders, or without any over its own corpus, TARGET of
 * $KEND_SOURCE/tests/fuzz/corpus. Fails where there is nothing to run. A file whose name begins with "valid-" must be accepted, one that
 * begins with "malformed-" must not.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long failures;

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* All of a file, or NULL; in memory of just its size, so that a read beyond it is seen by sanitizers. */
static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = NULL;
    if (!file) return NULL;
    long length = fseek(file, 0, SEEK_END) ? -1 : ftell(file);
    rewind(file);
    if (length >= 0) bytes = malloc(length ? (size_t)length : 1);
    *size = (size_t)length;
    if (bytes && fread(bytes, 1, *size, file) != *size) {
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    return bytes;
}

/* Runs one file; if it crashes, its name is the last thing that was printed. named: on the command line, to be told what came of it. */
static void run_file(const char *path, bool named)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *fault = NULL;
    size_t size;
    printf("%s", path);
    fflush(stdout);
    uint8_t *bytes = read_file(path, &size);
    if (bytes) {
        LLVMFuzzerTestOneInput(bytes, size);
        if (named) printf(": %s", fuzz_accepted ? "accepted" : "refused");
        if (begins_with(name, "valid-") && !fuzz_accepted) fault = "was not accepted";
        if (begins_with(name, "malformed-") && fuzz_accepted) fault = "was accepted";
    } else {
        fault = "cannot be read";
    }
    free(bytes);
    putchar('\n');
    if (!fault) return;
    fprintf(stderr, "%s %s\n", path, fault);
    failures++;
}

/* Runs all files of a folder, or the file; returns how many there were. */
static unsigned long run_path(const char *path, bool named)
{
    struct dirent **entries;
    unsigned long files = 0;
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0) {
        run_file(path, named);
        return 1;
    }
    for (int i = 0; i < count; i++) {
        char *inner;
        if (*entries[i]->d_name != '.') {
            KEN_ASSERT(asprintf(&inner, "%s/%s", path, entries[i]->d_name) > 0);
            files += run_path(inner, false);
            free(inner);
        }
        free(entries[i]);
    }
    free(entries);
    return files;
}

static unsigned long run_corpus(const char *program)
{
    const char *source = getenv("KEND_SOURCE"), *name = strstr(program, "fuzz_");
    char *path;
    for (const char *next = name; next; next = strstr(next + 1, "fuzz_")) name = next;
    KEN_ASSERT(asprintf(&path, "%s/tests/fuzz/corpus/%s", source ? source : ".", name ? name + strlen("fuzz_") : program) > 0);
    unsigned long files = run_path(path, false);
    free(path);
    return files;
}

int main(int count, char **arguments)
{
    unsigned long files = 0;
    for (int i = 1; i < count; i++) files += run_path(arguments[i], true);
    if (count < 2) files = run_corpus(arguments[0]);
    printf("%lu input%s\n", files, files == 1 ? "" : "s");
    if (!files) fprintf(stderr, "there is nothing to replay\n");
    return failures || !files ? EXIT_FAILURE : EXIT_SUCCESS;
}
