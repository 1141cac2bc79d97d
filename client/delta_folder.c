/* SPDX-License-Identifier: Apache-2.0 */
#include "delta_folder.h"

#include "files.h"
#include "print.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_folder(const char *path)
{
    struct stat state;
    return stat(path, &state) == 0 && S_ISDIR(state.st_mode);
}

bool kenctl_folder_has(const char *folder, const char *name)
{
    struct stat state;
    char *path = kenctl_join(folder, name);
    bool there = path && stat(path, &state) == 0;
    free(path);
    return there;
}

/* ---- variants */

static bool has_delta(const char *folder, const char *name)
{
    char *path = kenctl_join(folder, name);
    bool there = path && kenctl_folder_has(path, KEN_DELTA_FILE_NAME);
    free(path);
    return there;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int kenctl_find_variants(const char *folder, char *names[KEN_MAX_VARIANTS])
{
    int count = 0;
    DIR *open = opendir(folder);
    if (!open) return -1;
    for (const struct dirent *entry; count < KEN_MAX_VARIANTS && (entry = readdir(open));)
        if (*entry->d_name != '.' && has_delta(folder, entry->d_name) && (names[count] = strdup(entry->d_name))) count++;
    closedir(open);
    qsort(names, (size_t)count, sizeof *names, by_name);
    return count;
}

/* Fails: the folder has no delta; names the variants that have one. */
static int no_delta(const char *folder, struct ken_error *error)
{
    char *names[KEN_MAX_VARIANTS], list[KEN_MESSAGE_MAX] = "";
    int count = kenctl_find_variants(folder, names);
    for (int i = 0; i < count; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
        free(names[i]);
    }
    if (count > 0) return ken_fail(error, KEN_EINVALID, "%s has several variants, of which one must be named: %s", folder, list);
    return ken_fail(error, KEN_ENOT_FOUND, "%s: no " KEN_DELTA_FILE_NAME " is in this folder", folder);
}

/* ---- deltas */

int kenctl_delta_path(char **path, const char *given, struct ken_error *error)
{
    bool folder = is_folder(given);
    *path = NULL;
    if (folder && !kenctl_folder_has(given, KEN_DELTA_FILE_NAME)) return no_delta(given, error);
    *path = folder ? kenctl_join(given, KEN_DELTA_FILE_NAME) : strdup(given);
    return *path ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory");
}

int kenctl_delta_open(struct ken_delta **delta, char **path, const char *given, struct ken_error *error)
{
    *delta = NULL;
    int code = kenctl_delta_path(path, given, error);
    return code ? code : ken_delta_open_path(delta, *path, error);
}

/* ---- either */

/* The checkpoint that is there, or the delta of a folder without one. */
static int open_checkpoint(struct ken_checkpoint **checkpoint, const char *path, struct ken_error *error)
{
    char *found;
    int code = ken_checkpoint_open_path(checkpoint, path, &ken_delta_limits, error);
    if (code != KEN_ENOT_FOUND || !is_folder(path)) return code;
    struct ken_error inner = {0};
    int other = kenctl_delta_path(&found, path, &inner);
    if (other == KEN_ENOT_FOUND) return code; /* nothing is there: the first message names all that was looked for */
    code = other ? ken_fail(error, other, "%s", inner.message) : ken_checkpoint_open_path(checkpoint, found, &ken_delta_limits, error);
    free(found);
    return code;
}

static void tell_of_delta(const char *path)
{
    char *delta = kenctl_join(path, KEN_DELTA_FILE_NAME);
    fputs("note: ", stderr);
    kenctl_print_text(stderr, path);
    fputs(" is taken for the model in it; its delta is ", stderr);
    kenctl_print_text(stderr, delta ? delta : KEN_DELTA_FILE_NAME);
    fputc('\n', stderr);
    free(delta);
}

int kenctl_thing_open(struct kenctl_thing *thing, const char *path, bool quiet, struct ken_error *error)
{
    *thing = (struct kenctl_thing){0};
    int code = open_checkpoint(&thing->checkpoint, path, error);
    if (code) return code;
    if (!ken_delta_is(thing->checkpoint)) {
        if (!quiet && is_folder(path) && kenctl_folder_has(path, KEN_DELTA_FILE_NAME)) tell_of_delta(path);
        return KEN_OK;
    }
    struct ken_checkpoint *checkpoint = thing->checkpoint;
    thing->checkpoint = NULL;
    thing->size = checkpoint->files[0].stored->size;
    return ken_delta_adopt(&thing->delta, checkpoint, path, error);
}

void kenctl_thing_close(struct kenctl_thing *thing)
{
    ken_checkpoint_close(&thing->checkpoint);
    ken_delta_close(&thing->delta);
}
