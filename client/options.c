/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include "kenctl.h"
#include "nearest.h"

#include <stdlib.h>
#include <string.h>

struct option_info {
    const char *name;
    char letter;
    const char *value;
    const char *help;
};

#define X(symbol, name, letter, value, help) {name, letter, value, help},
static const struct option_info infos[] = {KENCTL_OPTION_MAP(X)};
#undef X

/* The first only in front of a command: behind it -o may be where the command's output goes. The last ones are of no use without a server.
 */
static const unsigned char global_options[] = {KENCTL_OPT_FORMAT,  KENCTL_OPT_JSON,   KENCTL_OPT_QUIET,      KENCTL_OPT_HELP,
                                               KENCTL_OPT_VERSION, KENCTL_OPT_SERVER, KENCTL_OPT_TOKEN_FILE, KENCTL_OPT_CA_FILE,
                                               KENCTL_OPT_CERT,    KENCTL_OPT_KEY};
enum { GLOBAL_COUNT = sizeof global_options, SERVER_COUNT = 5, NO_OPTION = -1 };

/* The i-th option that a command accepts: its own, then the global ones; NO_OPTION behind the last. */
static int accepted(const struct kenctl_command *command, size_t i)
{
    size_t own = command ? command->option_count : 0, first = command ? 1 : 0;
    size_t end = command && command->local ? GLOBAL_COUNT - SERVER_COUNT : GLOBAL_COUNT;
    if (i < own) return command->options[i];
    return i - own + first < end ? global_options[i - own + first] : NO_OPTION;
}

static int find_name(const struct kenctl_command *command, const char *name, size_t length)
{
    int option;
    for (size_t i = 0; (option = accepted(command, i)) != NO_OPTION; i++)
        if (strlen(infos[option].name) == length && memcmp(infos[option].name, name, length) == 0) return option;
    return NO_OPTION;
}

static int find_letter(const struct kenctl_command *command, char letter)
{
    int option;
    for (size_t i = 0; (option = accepted(command, i)) != NO_OPTION; i++)
        if (infos[option].letter == letter) return option;
    return NO_OPTION;
}

enum { LONGEST_WORD = 32 };

static bool unknown(const struct kenctl_command *command, const char *word, size_t length)
{
    const char *names[KENCTL_OPTION_COUNT];
    char typed[LONGEST_WORD + 1] = "";
    size_t count = 0;
    int option;
    for (size_t i = 0; (option = accepted(command, i)) != NO_OPTION; i++) names[count++] = infos[option].name;
    if (length > 2 && length - 2 < sizeof typed) memcpy(typed, word + 2, length - 2);
    const char *nearest = *typed ? proto_nearest(typed, names, count) : NULL;
    kenctl_fail(KENCTL_USAGE, "unknown option '%.*s'", (int)length, word);
    if (nearest) fprintf(stderr, "Did you mean '--%s'? ", nearest);
    fprintf(stderr, "See: kenctl%s%s --help\n", command ? " " : "", command ? command->name : "");
    return false;
}

static void add_value(struct kenctl_arguments *arguments, int option, const char *text)
{
    arguments->values[arguments->value_count++] = (struct kenctl_value){(enum kenctl_option)option, text};
}

/* Takes an option that was found: its value is what stands behind it (or NULL), else, where it needs one, the next word. */
static bool take_option(struct kenctl_arguments *arguments, int option, const char *shown, const char *value, char *const *words,
                        size_t count, size_t *at)
{
    if (infos[option].value && !value) {
        if (*at + 1 == count) {
            kenctl_fail(KENCTL_USAGE, "option '%s' needs a value: %s %s", shown, shown, infos[option].value);
            return false;
        }
        value = words[++*at];
    }
    add_value(arguments, option, value ? value : "");
    return true;
}

static bool read_long(struct kenctl_arguments *arguments, const struct kenctl_command *command, char *const *words, size_t count,
                      size_t *at)
{
    const char *word = words[*at], *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    int option = find_name(command, word + 2, length - 2);
    if (option == NO_OPTION) return unknown(command, word, length);
    if (!infos[option].value && equals) {
        kenctl_fail(KENCTL_USAGE, "option '%.*s' takes no value", (int)length, word);
        return false;
    }
    return take_option(arguments, option, word, equals ? equals + 1 : NULL, words, count, at);
}

/* Reads letters in a row, as getopt does: the first one with a value has the rest of the word as its value, or the next word. */
static bool read_letters(struct kenctl_arguments *arguments, const struct kenctl_command *command, char *const *words, size_t count,
                         size_t *at)
{
    for (const char *letter = words[*at] + 1; *letter; letter++) {
        const char shown[] = {'-', *letter, '\0'};
        int option = find_letter(command, *letter);
        if (option == NO_OPTION) return unknown(command, shown, strlen(shown));
        bool valued = infos[option].value;
        if (!take_option(arguments, option, shown, valued && letter[1] ? letter + 1 : NULL, words, count, at)) return false;
        if (valued) break;
    }
    return true;
}

bool kenctl_arguments_read(struct kenctl_arguments *arguments, const struct kenctl_command *command, char *const *words, size_t count,
                           size_t *used)
{
    bool ended = false; /* "--" was there: no options from here on */
    size_t i = 0, most = 1;
    for (size_t j = 0; j < count; j++) most += strlen(words[j]); /* each letter may be an option */
    *arguments = (struct kenctl_arguments){.values = calloc(most, sizeof *arguments->values),
                                           .operands = calloc(count + 1, sizeof *arguments->operands)};
    if (!arguments->values || !arguments->operands) {
        kenctl_fail(KENCTL_FAILURE, "out of memory");
        return false;
    }
    for (; i < count; i++) {
        if (!ended && strcmp(words[i], "--") == 0)
            ended = true;
        else if (!ended && words[i][0] == '-' && words[i][1]) {
            if (!(words[i][1] == '-' ? read_long : read_letters)(arguments, command, words, count, &i)) return false;
        } else if (command)
            arguments->operands[arguments->operand_count++] = words[i];
        else
            break;
    }
    if (used) *used = i;
    return true;
}

void kenctl_arguments_free(struct kenctl_arguments *arguments)
{
    free(arguments->values);
    free(arguments->operands);
    *arguments = (struct kenctl_arguments){0};
}

const char *kenctl_argument(const struct kenctl_arguments *arguments, enum kenctl_option option)
{
    for (size_t i = arguments->value_count; i > 0; i--)
        if (arguments->values[i - 1].option == option) return arguments->values[i - 1].text;
    return NULL;
}

void kenctl_options_help(FILE *out, const struct kenctl_command *command)
{
    int option;
    for (size_t i = 0; (option = accepted(command, i)) != NO_OPTION; i++) {
        const struct option_info *info = &infos[option];
        char left[64], letter[] = {'-', info->letter, ',', ' ', '\0'};
        snprintf(left, sizeof left, "%s--%s%s%s", info->letter ? letter : "    ", info->name, info->value ? " " : "",
                 info->value ? info->value : "");
        fprintf(out, "  %-28s %s\n", left, info->help);
    }
}
