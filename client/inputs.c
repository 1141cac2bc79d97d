/* SPDX-License-Identifier: Apache-2.0 */
#include "inputs.h"

#include "checkpoint/model_header.h"
#include "files.h"
#include "kenctl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_at(const char *path, const struct stat *file)
{
    struct stat state;
    return path && stat(path, &state) == 0 && state.st_dev == file->st_dev && state.st_ino == file->st_ino;
}

static bool is_source(const struct ken_source *source, const struct stat *file)
{
    struct ken_source there = {0};
    ken_source_set_file_state(&there, file);
    return there.has_state && source->has_state && memcmp(there.state, source->state, sizeof there.state) == 0;
}

static bool has_file(const struct kenctl_input *input, const struct stat *file)
{
    if (is_at(input->path, file)) return true;
    if (!input->checkpoint) return false;
    for (size_t i = 0; i < input->checkpoint->file_count; i++)
        if (is_source(input->checkpoint->files[i].stored, file)) return true;
    if (!input->checkpoint->has_index) return false;
    char *index = kenctl_join(input->path, KEN_MODEL_INDEX_NAME);
    bool is_index = is_at(index, file);
    free(index);
    return is_index;
}

int kenctl_check_inputs(const char *output, const struct kenctl_input *inputs, size_t count)
{
    struct stat file;
    if (stat(output, &file) != 0 || S_ISDIR(file.st_mode)) return KENCTL_SUCCESS;
    if (!S_ISREG(file.st_mode))
        return kenctl_fail(KENCTL_FAILURE, "%s is there and no regular file: nothing replaces it; -o must be another place", output);
    for (size_t i = 0; i < count; i++)
        if (has_file(&inputs[i], &file))
            return kenctl_fail(KENCTL_FAILURE, "%s is the %s itself, which would be replaced; -o must be another place", output,
                               inputs[i].side);
    return KENCTL_SUCCESS;
}

int kenctl_check_inputs_in(const char *folder, const char *name, const struct kenctl_input *inputs, size_t count)
{
    char *path = kenctl_join(folder, name);
    int status = path ? kenctl_check_inputs(path, inputs, count) : kenctl_fail(KENCTL_FAILURE, "out of memory");
    free(path);
    return status;
}
