/* SPDX-License-Identifier: Apache-2.0 */
#include "token_file.h"

#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* No line of a token is shorter: so many bytes hold no more tokens than that. */
enum { LEAST_LINE = PROTO_TOKEN_ID + 1 + 1 + 1 + 4 + 1 + 5 + 1 + 2 * PROTO_TOKEN_SALT + 1 + 2 * PROTO_TOKEN_HASH };

static const char heading[] =
    "# Tokens of kend: ID OWNER SCOPES EXPIRES SALT HASH. Made by kenctl token create; SIGHUP has kend read it anew.\n";

/* The whole file as malloc'ed text [*length], a NUL after it. */
static int text_read(char **text, size_t *length, bool *exposed, const char *path, struct ken_error *error)
{
    struct stat state;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0 && errno == ENOENT) return ken_fail(error, KEN_ENOT_FOUND, "%s does not exist", path);
    if (file < 0) return ken_fail_errno(error, errno, "opening %s", path);
    int code = KEN_OK;
    char *all = NULL;
    if (fstat(file, &state) != 0)
        code = ken_fail_errno(error, errno, "%s", path);
    else if (!S_ISREG(state.st_mode))
        code = ken_fail(error, KEN_EINVALID, "%s is not a file", path);
    else if (!(all = malloc(PROTO_TOKEN_FILE_MAX + 2)))
        code = ken_fail(error, KEN_ENOMEM, "out of memory for reading %s", path);
    ssize_t got = code ? 0 : ken_pread(file, all, PROTO_TOKEN_FILE_MAX + 1, 0);
    if (got < 0) code = ken_fail_errno(error, errno, "reading %s", path);
    if (got > PROTO_TOKEN_FILE_MAX) code = ken_fail(error, KEN_EINVALID, "%s is larger than %d bytes", path, PROTO_TOKEN_FILE_MAX);
    close(file);
    if (code) {
        free(all);
        return code;
    }
    all[got] = '\0';
    *text = all;
    *length = (size_t)got;
    *exposed = (state.st_mode & 0006) != 0;
    return KEN_OK;
}

/* A line from *at on, ended by a NUL in the place of its newline; *at goes behind it. */
static char *next_line(char **at, const char *end, size_t *length)
{
    char *line = *at, *newline = memchr(line, '\n', (size_t)(end - line));
    *length = newline ? (size_t)(newline - line) : (size_t)(end - line);
    line[*length] = '\0';
    *at = newline ? newline + 1 : line + *length;
    return line;
}

static bool is_comment(const char *line)
{
    line += strspn(line, " \t");
    return !*line || *line == '#';
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp(((const struct proto_token *)a)->id, ((const struct proto_token *)b)->id);
}

/* One line into the list, which has room for it. */
static int line_take(struct proto_token_list *list, char *line, size_t length, struct ken_error *error)
{
    if (strlen(line) != length) return ken_fail(error, KEN_EINVALID, "a NUL byte");
    if (is_comment(line)) return KEN_OK;
    if (length >= PROTO_TOKEN_LINE) return ken_fail(error, KEN_EINVALID, "the line is too long");
    int code = proto_token_parse(&list->item[list->count], line, error);
    if (!code) list->count++;
    return code;
}

static int list_parse(struct proto_token_list *list, char *text, size_t length, const char *path, struct ken_error *error)
{
    struct ken_error reason = {0};
    list->item = calloc(length / LEAST_LINE + 1, sizeof *list->item);
    if (!list->item) return ken_fail(error, KEN_ENOMEM, "out of memory for reading %s", path);
    char *at = text;
    for (unsigned number = 1; at < text + length; number++) {
        size_t used;
        char *line = next_line(&at, text + length, &used);
        if (line_take(list, line, used, &reason)) return ken_fail(error, KEN_EINVALID, "%s:%u: %s", path, number, reason.message);
    }
    qsort(list->item, list->count, sizeof *list->item, compare_ids);
    for (size_t i = 1; i < list->count; i++)
        if (compare_ids(&list->item[i - 1], &list->item[i]) == 0)
            return ken_fail(error, KEN_EINVALID, "%s: the id %s is there twice", path, list->item[i].id);
    return KEN_OK;
}

int proto_token_list_read(struct proto_token_list *list, const char *path, struct ken_error *error)
{
    char *text;
    size_t length;
    *list = (struct proto_token_list){0};
    int code = text_read(&text, &length, &list->exposed, path, error);
    if (code) return code;
    code = list_parse(list, text, length, path, error);
    free(text);
    if (code) proto_token_list_clear(list);
    return code;
}

void proto_token_list_clear(struct proto_token_list *list)
{
    free(list->item);
    *list = (struct proto_token_list){0};
}

const struct proto_token *proto_token_list_find(const struct proto_token_list *list, const char *id)
{
    struct proto_token key = {.id = ""};
    if (!list->count || strlen(id) != PROTO_TOKEN_ID) return NULL;
    strcpy(key.id, id);
    return bsearch(&key, list->item, list->count, sizeof key, compare_ids);
}

/* ---- changing */

/* Locks the folder that the file lies in, so that two who change it do not lose each other's tokens. *lock is a descriptor, or -1.
   KEN_EBUSY if another process keeps it: whoever may read the folder can. */
static int folder_lock(int *lock, const char *path, struct ken_error *error)
{
    char *folder = ken_parent(path);
    *lock = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int failure = *lock < 0 ? errno : ken_file_lock(*lock);
    free(folder);
    if (!failure) return KEN_OK;
    if (failure == EWOULDBLOCK)
        return ken_fail(error, KEN_EBUSY, "the folder of %s is locked by another process (lslocks tells which): nothing was changed", path);
    return ken_fail_errno(error, failure, "locking the folder of %s", path);
}

/* The text and what is in it, locked; *lock is closed by the caller, also after a failure. */
static int begin_change(int *lock, char **text, size_t *length, struct proto_token_list *list, const char *path, struct ken_error *error)
{
    bool exposed;
    *text = NULL;
    int code = folder_lock(lock, path, error);
    if (!code) code = proto_token_list_read(list, path, error);
    return code ? code : text_read(text, length, &exposed, path, error);
}

static void end_change(int lock, char *text, struct proto_token_list *list)
{
    if (lock >= 0) close(lock);
    free(text);
    proto_token_list_clear(list);
}

int proto_token_file_add(const char *path, const struct proto_token *token, struct ken_error *error)
{
    struct proto_token_list list = {0};
    char *text, *longer = NULL, line[PROTO_TOKEN_LINE];
    size_t length = 0;
    int lock, code = begin_change(&lock, &text, &length, &list, path, error);
    if (code == KEN_ENOT_FOUND) code = KEN_OK;
    if (!code) code = proto_token_format(line, token, error);
    if (code) goto out;
    const char *newline = length && text[length - 1] != '\n' ? "\n" : "";
    int size = asprintf(&longer, "%s%s%s", text ? text : heading, newline, line);
    if (size < 0) {
        longer = NULL;
        code = ken_fail(error, KEN_ENOMEM, "out of memory");
    } else if (size > PROTO_TOKEN_FILE_MAX)
        code = ken_fail(error, KEN_EINVALID, "%s is full: more than %d bytes", path, PROTO_TOKEN_FILE_MAX);
    else
        code = ken_file_replace(path, longer, (size_t)size, error);
out:
    free(longer);
    end_change(lock, text, &list);
    return code;
}

int proto_token_file_remove(const char *path, const char *id, struct ken_error *error)
{
    struct proto_token_list list = {0};
    char *text;
    size_t length = 0;
    int lock, code = begin_change(&lock, &text, &length, &list, path, error);
    if (!code && !proto_token_list_find(&list, id)) code = ken_fail(error, KEN_ENOT_FOUND, "there is no token %s in %s", id, path);
    if (code) goto out;
    size_t kept = 0;
    for (const char *at = text, *end = text + length; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t size = newline ? (size_t)(newline + 1 - at) : (size_t)(end - at), blanks = strspn(at, " \t");
        bool is_it = strncmp(at + blanks, id, PROTO_TOKEN_ID) == 0; /* an id is found at the beginning of its own line alone */
        if (!is_it) memmove(text + kept, at, size);
        if (!is_it) kept += size;
        at += size;
    }
    code = ken_file_replace(path, text, kept, error);
out:
    end_change(lock, text, &list);
    return code;
}
