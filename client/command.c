/* SPDX-License-Identifier: Apache-2.0 */
/* From the command line to a command. */
#include "kenctl.h"
#include "nearest.h"
#include "print.h"
#include "problem.h"

#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define X(name) &kenctl_command_##name,
static const struct kenctl_command *const commands[] = {KENCTL_COMMAND_MAP(X)};
#undef X
#define X(name) +1
enum { COMMAND_COUNT = 0 KENCTL_COMMAND_MAP(X), MAX_TOKEN = 4096 };
#undef X

static atomic_bool signal_came; /* lock-free, hence fit for a handler; asked from every thread that works */

static void on_signal(int number)
{
    (void)number;
    atomic_store(&signal_came, true);
}

void kenctl_watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool kenctl_interrupted(void *unused)
{
    (void)unused;
    return atomic_load(&signal_came);
}

const char *kenctl_option(const struct kenctl *kenctl, enum kenctl_option option)
{
    return kenctl_argument(&kenctl->arguments, option);
}

static bool tells_json; /* standard output is for a program, which is told of errors in its language, too */

static void complain(const char *format, va_list arguments)
{
    char text[4096];
    bool colour = kenctl_colour(stderr);
    vsnprintf(text, sizeof text, format, arguments);
    fprintf(stderr, "%skenctl:%s ", colour ? "\033[31m" : "", colour ? "\033[0m" : "");
    kenctl_print_text(stderr, text);
    fputc('\n', stderr);
}

int kenctl_fail(int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(format, arguments);
    va_end(arguments);
    return status;
}

int kenctl_usage(const struct kenctl *kenctl, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(format, arguments);
    va_end(arguments);
    fprintf(stderr, "See: kenctl %s --help\n", kenctl->command->name);
    return KENCTL_USAGE;
}

/* As a job's `error`, on one line. False if that cannot be told in JSON. */
static bool tell_json(const char *code, const char *message)
{
    json_t *error = json_pack("{s:s, s:s}", "code", code, "message", message);
    bool told = error && json_dumpf(error, stderr, JSON_COMPACT) == 0;
    if (told) fputc('\n', stderr);
    json_decref(error);
    return told;
}

int kenctl_fail_error(const struct ken_error *error)
{
    if (error->code == KEN_ECANCELLED) return kenctl_fail(KENCTL_INTERRUPTED, "interrupted");
    const char *message = *error->message ? error->message : ken_error_text(error->code);
    if (error->code == KEN_EINVALID) return kenctl_fail(KENCTL_USAGE, "%s", message);
    if (tells_json && tell_json(proto_job_error_code(proto_job_error_of(error->code)), message)) return KENCTL_FAILURE;
    return kenctl_fail(KENCTL_FAILURE, "%s", message);
}

static int print_help(void)
{
    printf("kenctl prunes language models with KEN: on this machine, or as jobs of a kend.\n\n"
           "Usage: kenctl [OPTION]... COMMAND [ARGUMENT]...\n\nCommands:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
    printf("\nOptions of all commands:\n");
    kenctl_options_help(stdout, NULL);
    printf("\nExit status:\n");
#define X(symbol, number, meaning) printf("  %-4d %s\n", number, meaning);
    KENCTL_EXIT_MAP(X)
#undef X
    printf("\nExamples:\n"
           "  kenctl prune --model tuned/ --base bert/ --keep 0.25 --rescale l1 -o pruned/\n"
           "  kenctl submit --wait --model https://models.example/tuned/ --base https://models.example/bert/ --k 384\n"
           "\n`kenctl help COMMAND` or `kenctl COMMAND --help` tells more of each command.\n");
    return KENCTL_SUCCESS;
}

static int print_command_help(const struct kenctl_command *command)
{
    printf("Usage: kenctl %s [OPTION]...%s%s\n\n%s.\n\n%s\nOptions:\n", command->name, *command->operands ? " " : "", command->operands,
           command->summary, command->text);
    kenctl_options_help(stdout, command);
    return KENCTL_SUCCESS;
}

static const struct kenctl_command *find_command(const char *name)
{
    const char *names[COMMAND_COUNT];
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
        names[i] = commands[i]->name;
    }
    const char *nearest = proto_nearest(name, names, COMMAND_COUNT);
    kenctl_fail(KENCTL_USAGE, "unknown command '%s'", name);
    if (nearest) fprintf(stderr, "Did you mean '%s'? ", nearest);
    fprintf(stderr, "See: kenctl --help\n");
    return NULL;
}

/* "help" and what stands behind it. */
static int run_help(const char *name)
{
    const struct kenctl_command *command = name ? find_command(name) : NULL;
    if (name && !command) return KENCTL_USAGE;
    return command ? print_command_help(command) : print_help();
}

/* The first line of the token file; NULL (and told) if there is none that can be a token. */
static char *read_token(const char *path)
{
    char line[MAX_TOKEN + 2];
    FILE *file = fopen(path, "re");
    if (!file) {
        kenctl_fail(KENCTL_FAILURE, "cannot read the token file %s: %s", path, strerror(errno));
        return NULL;
    }
    bool there = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    if (there) line[strcspn(line, "\r\n")] = '\0';
    char *token = there && *line ? strdup(line) : NULL;
    if (!token) kenctl_fail(KENCTL_FAILURE, "the token file %s is empty", path);
    explicit_bzero(line, sizeof line);
    return token;
}

/* Puts the options in front of the command before its own: there is one place to ask, and the last one given counts. */
static bool adopt(struct kenctl *kenctl, const struct kenctl_arguments *front)
{
    struct kenctl_arguments *own = &kenctl->arguments;
    size_t count = front->value_count + own->value_count;
    struct kenctl_value *values = calloc(count + 1, sizeof *values);
    if (!values) return false;
    memcpy(values, front->values, front->value_count * sizeof *values);
    memcpy(values + front->value_count, own->values, own->value_count * sizeof *values);
    free(own->values);
    own->values = values;
    own->value_count = count;
    return true;
}

static int settle_format(struct kenctl *kenctl)
{
    const char *format = kenctl_option(kenctl, KENCTL_OPT_FORMAT);
    kenctl->json = kenctl_option(kenctl, KENCTL_OPT_JSON) || (format && strcmp(format, "json") == 0);
    kenctl->quiet = kenctl_option(kenctl, KENCTL_OPT_QUIET) != NULL;
    tells_json = kenctl->json;
    if (format && !kenctl->json && strcmp(format, "text") != 0) return kenctl_usage(kenctl, "-o is text or json, not '%s'", format);
    return KENCTL_SUCCESS;
}

static int settle_server(struct kenctl *kenctl)
{
    const char *server = kenctl_option(kenctl, KENCTL_OPT_SERVER), *file = kenctl_option(kenctl, KENCTL_OPT_TOKEN_FILE);
    const char *token = getenv("KENCTL_TOKEN");
    if (!server) server = getenv("KENCTL_SERVER");
    kenctl->server = server && *server ? server : KENCTL_DEFAULT_SERVER;
    if (!file && !(token && *token)) file = getenv("KENCTL_TOKEN_FILE");
    if (file && *file) {
        kenctl->token = read_token(file);
        if (!kenctl->token) return KENCTL_FAILURE;
    } else if (token && *token) {
        kenctl->token = strdup(token);
        if (!kenctl->token) return kenctl_fail(KENCTL_FAILURE, "out of memory");
    }
    for (const char *c = kenctl->token; c && *c; c++)
        if (*c <= ' ' || *c > '~') return kenctl_fail(KENCTL_FAILURE, "the token has characters that a token cannot have");
    return KENCTL_SUCCESS;
}

/* Options in front of a command that it has no use for. */
static int check_local(const struct kenctl *kenctl)
{
    static const struct {
        enum kenctl_option option;
        const char *name;
    } remote[] = {{KENCTL_OPT_SERVER, "--server"},
                  {KENCTL_OPT_TOKEN_FILE, "--token-file"},
                  {KENCTL_OPT_CA_FILE, "--ca-file"},
                  {KENCTL_OPT_CERT, "--cert"},
                  {KENCTL_OPT_KEY, "--key"}};
    for (size_t i = 0; kenctl->command->local && i < sizeof remote / sizeof *remote; i++)
        if (kenctl_option(kenctl, remote[i].option))
            return kenctl_usage(kenctl, "'%s' works on this machine: it takes no %s", kenctl->command->name, remote[i].name);
    return KENCTL_SUCCESS;
}

static int run_command(struct kenctl *kenctl)
{
    const struct kenctl_command *command = kenctl->command;
    if (kenctl_option(kenctl, KENCTL_OPT_HELP)) return print_command_help(command);
    if (kenctl->arguments.operand_count > command->most)
        return kenctl_usage(kenctl, "unexpected argument '%s'", kenctl->arguments.operands[command->most]);
    if (kenctl->arguments.operand_count < command->least) return kenctl_usage(kenctl, "'%s' needs %s", command->name, command->operands);
    int status = check_local(kenctl);
    if (status == KENCTL_SUCCESS) status = settle_format(kenctl);
    if (status == KENCTL_SUCCESS && !command->local) status = settle_server(kenctl);
    if (status == KENCTL_SUCCESS) status = command->run(kenctl);
    if ((fflush(stdout) != 0 || ferror(stdout)) && (status == KENCTL_SUCCESS || command->compares))
        status = kenctl_fail(command->compares ? KENCTL_TROUBLE : KENCTL_FAILURE, "cannot write: %s", strerror(errno));
    return status;
}

int kenctl_run(int argc, char *const *argv)
{
    struct kenctl kenctl = {0};
    struct kenctl_arguments front = {0};
    size_t used = 0, count = argc > 0 ? (size_t)argc - 1 : 0;
    int status = KENCTL_USAGE;
    setlocale(LC_CTYPE, "");
    if (!kenctl_arguments_read(&front, NULL, argv + 1, count, &used)) goto out;
    if (kenctl_argument(&front, KENCTL_OPT_VERSION)) {
        status = printf("kenctl %s\n", PACKAGE_VERSION) > 0 ? KENCTL_SUCCESS : KENCTL_FAILURE;
        goto out;
    }
    if (used == count) {
        bool asked = kenctl_argument(&front, KENCTL_OPT_HELP) != NULL;
        if (asked)
            print_help();
        else
            fprintf(stderr, "kenctl: which command? See: kenctl --help\n");
        status = asked ? KENCTL_SUCCESS : KENCTL_USAGE;
        goto out;
    }
    if (strcmp(argv[1 + used], "help") == 0) {
        status = run_help(used + 1 < count ? argv[2 + used] : NULL);
        goto out;
    }
    kenctl.command = find_command(argv[1 + used]);
    if (!kenctl.command) goto out;
    if (!kenctl_arguments_read(&kenctl.arguments, kenctl.command, argv + 2 + used, count - used - 1, NULL)) goto out;
    if (!adopt(&kenctl, &front)) {
        status = kenctl_fail(KENCTL_FAILURE, "out of memory");
        goto out;
    }
    status = run_command(&kenctl);
out:
    if (kenctl.token) explicit_bzero(kenctl.token, strlen(kenctl.token));
    free(kenctl.token);
    kenctl_arguments_free(&kenctl.arguments);
    kenctl_arguments_free(&front);
    return status;
}
