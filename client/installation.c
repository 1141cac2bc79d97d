/* SPDX-License-Identifier: Apache-2.0 */
#include "installation.h"

#include "document.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_OUTPUT = 1 << 20, NOT_EXECUTED = 127 };

/* The kend that belongs to this kenctl, as a path or a name to look for in PATH. */
static const char *find_kend(char path[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(path, '/');
    if (slash && (size_t)(slash - path) + sizeof "/kend" <= PATH_MAX) {
        memcpy(slash, "/kend", sizeof "/kend");
        if (access(path, X_OK) == 0) return path;
    }
    return "kend";
}

/* Runs the program with its output going to the two files; its exit status, or -1. */
static int run(char *const *words, int out, int err)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        if (dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0) execvp(words[0], words);
        _exit(NOT_EXECUTED);
    }
    if (child < 0) return -1;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What was written into the file, malloc'ed; NULL if out of memory. */
static char *read_output(int file)
{
    char *text = calloc(1, MOST_OUTPUT + 1);
    ssize_t length = text ? pread(file, text, MOST_OUTPUT, 0) : -1;
    if (length >= 0) return text;
    free(text);
    return NULL;
}

static bool put(json_t *settings, const char *section, const char *key, const char *value)
{
    char name[128];
    snprintf(name, sizeof name, "%s%s%s", section, *section ? "." : "", key);
    return json_object_set_new(settings, name, json_stringn_nocheck(value, strlen(value))) == 0; /* paths may hold any bytes */
}

/* A list goes on in an indented line. */
static bool append(json_t *settings, const char *section, const char *key, const char *more)
{
    char name[128], *longer = NULL;
    snprintf(name, sizeof name, "%s.%s", section, key);
    if (asprintf(&longer, "%s%s", kenctl_setting(settings, name), more) < 0) return false;
    bool good = put(settings, section, key, longer);
    free(longer);
    return good;
}

/* Reads what `kend --check-installation` prints. NULL if out of memory. */
static json_t *parse(char *text)
{
    static const char data[] = "# data folder: ";
    json_t *settings = json_object();
    const char *section = "", *key = "";
    bool good = settings != NULL;
    for (char *line; good && (line = strsep(&text, "\n"));) {
        char *equals = strstr(line, " =");
        if (strncmp(line, data, sizeof data - 1) == 0) {
            good = put(settings, "", "data", line + sizeof data - 1);
        } else if (*line == '[') {
            section = line + 1;
            line[strcspn(line, "]")] = '\0';
        } else if (*line == ' ') {
            good = append(settings, section, key, line + strspn(line, " "));
        } else if (*line != '#' && equals) {
            *equals = '\0';
            key = line;
            equals += 2;
            good = put(settings, section, key, equals + (*equals == ' '));
        }
    }
    if (good) return settings;
    json_decref(settings);
    return NULL;
}

static const char own_name[] = "kend: ";

/* The first line that kend said to standard error, without its name. */
static const char *first_line(char *said)
{
    said[strcspn(said, "\n")] = '\0';
    return strncmp(said, own_name, sizeof own_name - 1) == 0 ? said + sizeof own_name - 1 : said;
}

/* Takes the lines that kend said in its name: of the store, and all others. */
static bool put_said(json_t *settings, char *said)
{
    static const char store[] = "store.url: ";
    char *kept = calloc(1, strlen(said) + 1), *end = kept;
    bool good = kept && put(settings, "", "store_fault", "");
    for (char *line; good && (line = strsep(&said, "\n"));) {
        if (strncmp(line, own_name, sizeof own_name - 1) != 0) continue;
        line += sizeof own_name - 1;
        if (strncmp(line, store, sizeof store - 1) == 0)
            good = put(settings, "", "store_fault", line + sizeof store - 1);
        else
            end = stpcpy(stpcpy(end, *kept ? "\n" : ""), line);
    }
    good = good && put(settings, "", "said", kept);
    free(kept);
    return good;
}

int kenctl_installation_read(json_t **settings, const char *config, const char *data, struct ken_error *error)
{
    char path[PATH_MAX], *words[8], *out = NULL, *err = NULL;
    size_t count = 0;
    const char *const given[] = {find_kend(path), "--check-installation", config ? "--config" : NULL, config, data ? "--data" : NULL, data};
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        if (given[i]) words[count++] = (char *)(uintptr_t)given[i]; /* exec does not write to them */
    words[count] = NULL;
    *settings = NULL;
    int files[2] = {memfd_create("out", MFD_CLOEXEC), memfd_create("err", MFD_CLOEXEC)};
    int status = files[0] >= 0 && files[1] >= 0 ? run(words, files[0], files[1]) : -1;
    int code = status < 0 ? ken_fail_errno(error, errno, "running %s", words[0]) : KEN_OK;
    if (!code) {
        out = read_output(files[0]);
        err = read_output(files[1]);
        if (!out || !err) code = ken_fail(error, KEN_ENOMEM, "out of memory");
    }
    if (!code && status == NOT_EXECUTED) code = ken_fail(error, KEN_ENOT_FOUND, "there is no kend beside this kenctl, nor in PATH");
    if (!code && status && !*out) code = ken_fail(error, KEN_EINVALID, "%s", first_line(err));
    if (!code && (!(*settings = parse(out)) || !put_said(*settings, err))) code = ken_fail(error, KEN_ENOMEM, "out of memory");
    if (code) {
        json_decref(*settings);
        *settings = NULL;
    }
    for (int i = 0; i < 2; i++)
        if (files[i] >= 0) close(files[i]);
    free(out);
    free(err);
    return code;
}

const char *kenctl_setting(const json_t *settings, const char *name)
{
    const char *text = json_string_value(json_object_get(settings, name));
    return text ? text : "";
}

uint64_t kenctl_setting_number(const json_t *settings, const char *name)
{
    uint64_t number = 0;
    return kenctl_parse_size(kenctl_setting(settings, name), &number) ? number : 0;
}

const char *kenctl_setting_path(const json_t *settings, const char *name)
{
    const char *text = kenctl_setting(settings, name), *colon = strchr(text, ':');
    return *text != '/' && colon ? colon + 1 : text;
}
