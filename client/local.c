/* SPDX-License-Identifier: Apache-2.0 */
#include "local.h"

#include "files.h"
#include "url.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_THREADS = 1024 };

static void on_progress(void *opaque, uint64_t done, uint64_t total)
{
    struct kenctl_work *work = opaque;
    struct kenctl_progress_state state = {.stage = work->stage, .done = done, .total = total, .unit = KENCTL_BYTES, .eta_seconds = -1};
    kenctl_progress_show(&work->progress, &state);
}

int kenctl_threads(const struct kenctl *kenctl, unsigned *threads)
{
    const char *text = kenctl_option(kenctl, KENCTL_OPT_THREADS);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned long long count = processors > 0 ? (unsigned long long)processors : 1;
    if (text) {
        char *end;
        errno = 0;
        count = strtoull(text, &end, 10);
        if (*text < '0' || *text > '9' || *end || errno || !count || count > MOST_THREADS)
            return kenctl_usage(kenctl, "--threads is a number from 1 to %d, not '%s'", MOST_THREADS, text);
    }
    *threads = (unsigned)(count > MOST_THREADS ? MOST_THREADS : count);
    return KENCTL_SUCCESS;
}

void kenctl_work_begin(struct kenctl_work *work, const struct kenctl *kenctl, const char *stage, struct ken_inject_options *options)
{
    kenctl_watch_signals();
    kenctl_progress_begin(&work->progress, kenctl->quiet);
    work->stage = stage;
    *options = (struct ken_inject_options){.cancelled = kenctl_interrupted, .progress = on_progress, .opaque = work};
}

int kenctl_executor_begin(const struct kenctl *kenctl, struct ken_inject_options *options)
{
    struct ken_error error = {0};
    unsigned threads;
    int status = kenctl_threads(kenctl, &threads);
    if (status != KENCTL_SUCCESS) return status;
    options->budget = ken_budget_create(KENCTL_MEMORY);
    int code = options->budget ? KEN_OK : ken_fail(&error, KEN_ENOMEM, "out of memory");
    if (!code) code = ken_threads_create(&options->executor, threads, &error);
    return code ? kenctl_fail_error(&error) : KENCTL_SUCCESS;
}

void kenctl_executor_end(struct ken_inject_options *options)
{
    ken_threads_destroy(&options->executor);
    ken_budget_destroy(&options->budget);
}

int kenctl_open_checkpoint(const struct kenctl *kenctl, enum kenctl_option option, const char *name, struct ken_checkpoint **checkpoint)
{
    struct ken_error error = {0};
    const char *path = kenctl_option(kenctl, option);
    if (!path) return kenctl_usage(kenctl, "'%s' needs %s", kenctl->command->name, name);
    return ken_checkpoint_open_path(checkpoint, path, NULL, &error) ? kenctl_fail_error(&error) : KENCTL_SUCCESS;
}

int kenctl_check_free(const struct kenctl *kenctl, const char *output)
{
    struct stat state;
    if (kenctl_option(kenctl, KENCTL_OPT_FORCE) || lstat(output, &state) != 0) return KENCTL_SUCCESS;
    if (S_ISDIR(state.st_mode) && !kenctl_folder_is_filled(output)) return KENCTL_SUCCESS;
    return kenctl_fail(KENCTL_FAILURE, "%s is there already; --force replaces it", output);
}

char *kenctl_input_path(const char *input)
{
    struct proto_url url;
    if (!proto_url_has_scheme(input) || proto_url_parse(&url, input)) return strdup(input);
    char *path = strndup(url.path, url.path_length);
    bool decoded = path && proto_percent_decode(path, false);
    KEN_ASSERT(decoded || !path); /* the parser has looked at the escapes */
    return path;
}

char *kenctl_shape_text(const uint64_t *shape, uint32_t rank)
{
    enum { DIGITS = 21 };
    char *text = malloc((size_t)rank * DIGITS + 3), *end = text;
    if (!text) return NULL;
    *end++ = '[';
    for (uint32_t i = 0; i < rank; i++) end += sprintf(end, "%s%" PRIu64, i ? "," : "", shape[i]);
    memcpy(end, "]", sizeof "]");
    return text;
}
