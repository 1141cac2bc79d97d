/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands of kenctl share: the table of commands, the context of a call, exit statuses, words to the user. */
#ifndef KENCTL_H
#define KENCTL_H

#include "error.h"
#include "options.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* symbol, number, meaning */
#define KENCTL_EXIT_MAP(X)                                                   \
    X(KENCTL_SUCCESS, 0, "success; a job that was waited for succeeded")     \
    X(KENCTL_FAILURE, 1, "failure, or the job failed; of diff: differences") \
    X(KENCTL_USAGE, 2, "the command line is wrong; of diff: any failure")    \
    X(KENCTL_CANCELLED, 3, "the job was cancelled")                          \
    X(KENCTL_INTERRUPTED, 130, "interrupted; nothing half done is left")

#define X(symbol, number, meaning) symbol = number,
enum kenctl_exit { KENCTL_EXIT_MAP(X) };
#undef X

/* Of a command that compares, as of diff(1): the statuses above that mean these. */
enum { KENCTL_DIFFERENT = KENCTL_FAILURE, KENCTL_TROUBLE = KENCTL_USAGE };

/* clang-format off */
#define KENCTL_COMMAND_MAP(X) \
    X(submit) X(list) X(show) X(watch) X(cancel) X(delete) X(download) \
    X(prune) X(inject) X(verify) X(inspect) X(diff) X(export) X(heatmap) X(values) X(doctor) X(token)
/* clang-format on */

struct kenctl; /* the context of a call */

struct kenctl_command {
    const char *name;
    const char *summary;          /* one line, for the list of commands */
    const char *operands;         /* for the usage line, e.g. "ID [NAME...]" */
    const char *text;             /* details and examples */
    const unsigned char *options; /* [option_count] of enum kenctl_option, beyond the global ones */
    size_t option_count;
    size_t least, most;                /* operands */
    bool local;                        /* needs no server */
    bool compares;                     /* KENCTL_DIFFERENT is a result: failures of the call end with KENCTL_TROUBLE */
    int (*run)(struct kenctl *kenctl); /* returns the exit status */
};

#define X(name) extern const struct kenctl_command kenctl_command_##name;
KENCTL_COMMAND_MAP(X)
#undef X

struct kenctl {
    const struct kenctl_command *command;
    struct kenctl_arguments arguments;
    const char *server;
    char *token; /* or NULL */
    bool json, quiet;
};

/* The program: reads the command line, runs the command, returns the exit status. */
int kenctl_run(int argc, char *const *argv);

/* The last value of an option, or NULL. */
const char *kenctl_option(const struct kenctl *kenctl, enum kenctl_option option);
/* Prints "kenctl: ..." to standard error and returns the exit status it was given, so that a caller writes `return kenctl_fail(...)`. */
int kenctl_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As kenctl_fail with KENCTL_USAGE, and names the command's --help. */
int kenctl_usage(const struct kenctl *kenctl, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints a core error, as JSON with the code of a job's error where JSON is printed; the exit status of its code. */
int kenctl_fail_error(const struct ken_error *error);
/* Prints JSON for a program: indented by two, a newline at the end, numbers with the fewest digits, as a kend writes them. KENCTL_SUCCESS
 * or KENCTL_FAILURE. */
int kenctl_print_json(const json_t *json);
/* The same on one line, at once: for what goes on. */
int kenctl_print_json_line(const json_t *json);
/* As kenctl_print_json, and gives up the reference. */
int kenctl_print_new_json(json_t *json);

/* From now on SIGINT and SIGTERM are noticed by kenctl_interrupted; a second one ends the process. */
void kenctl_watch_signals(void);
/* Whether a signal came; fits the `cancelled` callbacks of the core. */
bool kenctl_interrupted(void *unused);

#endif
