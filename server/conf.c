/* SPDX-License-Identifier: Apache-2.0 */
#include "conf.h"

#include "conf_value.h"
#include "nearest.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* inih cuts longer lines without a word; its buffer holds 200 bytes, the newline and the NUL among them. */
enum { LINE_BYTES = 198, NAME_MAX_BYTES = 64, SHOWN_BYTES = 128 };

static const struct kend_conf_option *find_option(const char *name)
{
    for (size_t i = 0; i < KEND_CONF_OPTIONS; i++)
        if (strcmp(kend_conf_options[i].name, name) == 0) return &kend_conf_options[i];
    return NULL;
}

static bool is_section(const char *name)
{
    for (size_t i = 0; i < KEND_CONF_OPTIONS; i++)
        if (strcmp(kend_conf_options[i].section, name) == 0) return true;
    return false;
}

/* KEN_EINVALID with the nearest of words [count]. where: "FILE:LINE", a variable's or a flag's name. */
static int fail_unknown(struct ken_error *error, const char *where, const char *what, const char *word, const char *const *words,
                        size_t count)
{
    char shown[SHOWN_BYTES];
    const char *nearest = proto_nearest(word, words, count);
    ken_printable(shown, sizeof shown, word, strlen(word));
    return ken_fail(error, KEN_EINVALID, "%s: unknown %s \"%s\"%s%s%s", where, what, shown, nearest ? "; did you mean \"" : "",
                    nearest ? nearest : "", nearest ? "\"?" : "");
}

static int fail_unknown_option(struct ken_error *error, const char *where, const char *name)
{
    const char *names[KEND_CONF_OPTIONS];
    for (size_t i = 0; i < KEND_CONF_OPTIONS; i++) names[i] = kend_conf_options[i].name;
    return fail_unknown(error, where, "option", name, names, KEND_CONF_OPTIONS);
}

static int fail_unknown_section(struct ken_error *error, const char *where, const char *section)
{
    const char *names[KEND_CONF_OPTIONS];
    for (size_t i = 0; i < KEND_CONF_OPTIONS; i++) names[i] = kend_conf_options[i].section;
    return fail_unknown(error, where, "section", section, names, KEND_CONF_OPTIONS);
}

static int set_option(struct kend_conf *conf, const struct kend_conf_option *option, const char *value, const char *where,
                      struct ken_error *error)
{
    char reason[KEND_CONF_REASON], shown[SHOWN_BYTES];
    int code = kend_conf_set(conf, option, value, reason);
    if (!code) return 0;
    ken_printable(shown, sizeof shown, value, strlen(value));
    return ken_fail(error, code, "%s: %s = \"%s\": %s", where, option->name, shown, reason);
}

/* ---- the file */

struct file_reader {
    struct kend_conf *conf;
    const char *name;
    FILE *file;
    int line;
    bool given[KEND_CONF_OPTIONS];
    struct ken_error *error;
    int code; /* the first error's */
    int code_line;
};

static void file_failed(struct file_reader *reader, int code)
{
    if (reader->code) return;
    reader->code = code;
    reader->code_line = reader->line;
}

static int file_fail(struct file_reader *reader, const char *text)
{
    return ken_fail(reader->error, KEN_EINVALID, "%s:%d: %s", reader->name, reader->line, text);
}

/* As fgets for inih; a line that it could not take whole, or not as text, ends the reading with an error. */
static char *read_line(char *line, int size, void *stream)
{
    struct file_reader *reader = stream;
    int used = 0, c;
    reader->line++;
    while ((c = getc_unlocked(reader->file)) != EOF && c) {
        if ((used == LINE_BYTES && c != '\n') || used == size - 1) {
            file_failed(reader, file_fail(reader, "the line is too long (at most 198 bytes); a list may go on in indented lines"));
            return NULL;
        }
        line[used++] = (char)c;
        if (c == '\n') break;
    }
    if (!c) {
        file_failed(reader, file_fail(reader, "the file holds a NUL byte"));
        return NULL;
    }
    line[used] = '\0';
    return used ? line : NULL;
}

/* A list goes on in a further, indented line, which inih hands over as the same key again. */
static int append_list(struct kend_conf *conf, const struct kend_conf_option *option, const char *more, const char *where,
                       struct ken_error *error)
{
    char buffer[KEND_CONF_SIZE_TEXT], *whole;
    if (asprintf(&whole, "%s,%s", kend_conf_get(conf, option, buffer), more) < 0) return ken_fail(error, KEN_ENOMEM, "%s", where);
    int code = set_option(conf, option, whole, where, error);
    free(whole);
    return code;
}

static int take_key(struct file_reader *reader, const char *section, const char *key, const char *value)
{
    char where[256], name[2 * NAME_MAX_BYTES];
    snprintf(where, sizeof where, "%s:%d", reader->name, reader->line);
    if (!*section) return file_fail(reader, "a key stands before the first [section]");
    if (!is_section(section)) return fail_unknown_section(reader->error, where, section);
    snprintf(name, sizeof name, "%s.%s", section, key);
    const struct kend_conf_option *option = find_option(name);
    if (!option) return fail_unknown_option(reader->error, where, name);
    bool *given = &reader->given[option - kend_conf_options];
    if (*given && kend_conf_is_list(option->kind)) return append_list(reader->conf, option, value, where, reader->error);
    if (*given) return ken_fail(reader->error, KEN_EINVALID, "%s: %s is given twice", where, name);
    *given = true;
    return set_option(reader->conf, option, value, where, reader->error);
}

static int on_key(void *opaque, const char *section, const char *key, const char *value)
{
    struct file_reader *reader = opaque;
    if (!reader->code) file_failed(reader, take_key(reader, section, key, value));
    return !reader->code;
}

static int load_file(struct kend_conf *conf, const char *name, struct ken_error *error)
{
    struct file_reader reader = {.conf = conf, .name = name, .file = fopen(name, "re"), .error = error};
    if (!reader.file) return ken_fail(error, KEN_EINVALID, "%s: %s", name, strerror(errno));
    int line = ini_parse_stream(read_line, &reader, on_key, &reader);
    bool broken = ferror(reader.file);
    fclose(reader.file);
    if (broken) return ken_fail(error, KEN_EINVALID, "%s: cannot be read", name);
    if (line > 0 && (!reader.code || line < reader.code_line))
        return ken_fail(error, KEN_EINVALID, "%s:%d: expected [section] or key = value", name, line);
    return reader.code;
}

/* ---- the environment */

/* "KEND_SECTION_KEY" of "section.key". */
static void variable_of(char variable[NAME_MAX_BYTES], const char *name)
{
    snprintf(variable, NAME_MAX_BYTES, "KEND_%s", name);
    for (char *at = variable; *at; at++) *at = *at == '.' ? '_' : (char)toupper((unsigned char)*at);
}

static bool begins_with_section(const char *variable)
{
    char prefix[NAME_MAX_BYTES];
    for (size_t i = 0; i < KEND_CONF_OPTIONS; i++) {
        variable_of(prefix, kend_conf_options[i].section);
        size_t length = strlen(prefix);
        if (strncmp(variable, prefix, length) == 0 && variable[length] == '_') return true;
    }
    return false;
}

static int fail_unknown_variable(struct ken_error *error, const char *variable)
{
    char variables[KEND_CONF_OPTIONS][NAME_MAX_BYTES];
    const char *names[KEND_CONF_OPTIONS];
    for (size_t i = 0; i < KEND_CONF_OPTIONS; i++) {
        variable_of(variables[i], kend_conf_options[i].name);
        names[i] = variables[i];
    }
    return fail_unknown(error, "environment", "option", variable, names, KEND_CONF_OPTIONS);
}

/* Without a section's name it may be somebody else's: Kubernetes sets KEND_PORT and others for a service that is called kend. */
static void warn_unknown_variable(const char *variable)
{
    struct ken_error error;
    fail_unknown_variable(&error, variable);
    fprintf(stderr, "kend: warning: %s; ignored\n", error.message);
}

static int load_variable(struct kend_conf *conf, const char *variable, const char *value, struct ken_error *error)
{
    char own[NAME_MAX_BYTES];
    for (size_t i = 0; i < KEND_CONF_OPTIONS; i++) {
        variable_of(own, kend_conf_options[i].name);
        if (strcmp(own, variable) == 0) return set_option(conf, &kend_conf_options[i], value, variable, error);
    }
    if (begins_with_section(variable)) return fail_unknown_variable(error, variable);
    if (strcmp(variable, "KEND_DATA") != 0) warn_unknown_variable(variable);
    return 0;
}

static int load_environment(struct kend_conf *conf, struct ken_error *error)
{
    for (char **entry = environ; entry && *entry; entry++) {
        const char *equals = strchr(*entry, '=');
        char variable[NAME_MAX_BYTES];
        if (strncmp(*entry, "KEND_", 5) != 0 || !equals || (size_t)(equals - *entry) >= sizeof variable) continue;
        snprintf(variable, sizeof variable, "%.*s", (int)(equals - *entry), *entry);
        int code = load_variable(conf, variable, equals + 1, error);
        if (code) return code;
    }
    return 0;
}

/* ---- flags */

static int load_set(struct kend_conf *conf, const char *assignment, struct ken_error *error)
{
    const char *equals = strchr(assignment, '=');
    char name[SHOWN_BYTES];
    if (!equals) return ken_fail(error, KEN_EINVALID, "--set %s: expected section.key=value", assignment);
    snprintf(name, sizeof name, "%.*s", (int)(equals - assignment), assignment);
    const struct kend_conf_option *option = find_option(name);
    return option ? set_option(conf, option, equals + 1, "--set", error) : fail_unknown_option(error, "--set", name);
}

static int load_flags(struct kend_conf *conf, const struct kend_conf_flags *flags, struct ken_error *error)
{
    for (int i = 0; i < flags->set_count; i++) {
        int code = load_set(conf, flags->set[i], error);
        if (code) return code;
    }
    return flags->listen ? set_option(conf, find_option("http.listen"), flags->listen, "--listen", error) : 0;
}

/* ---- all together */

/* The data folder as an absolute path; it need not exist. */
static int load_data(struct kend_conf *conf, const char *flag, struct ken_error *error)
{
    const char *variable = getenv("KEND_DATA");
    const char *given = flag ? flag : variable && *variable ? variable : "kend-data";
    while (strncmp(given, "./", 2) == 0) given += 2;
    if (!*given) return ken_fail(error, KEN_EINVALID, "--data: must be a folder");
    char *here = *given == '/' ? NULL : getcwd(NULL, 0);
    if (*given != '/' && !here) return ken_fail_errno(error, errno, "the current folder");
    int length = asprintf(&conf->data, "%s%s%s", here ? here : "", here ? "/" : "", given);
    free(here);
    if (length < 0) {
        conf->data = NULL;
        return ken_fail(error, KEN_ENOMEM, "the configuration");
    }
    while (length > 1 && conf->data[length - 1] == '/') conf->data[--length] = '\0';
    return 0;
}

static int load_defaults(struct kend_conf *conf, struct ken_error *error)
{
    for (size_t i = 0; i < KEND_CONF_OPTIONS; i++) {
        int code = set_option(conf, &kend_conf_options[i], kend_conf_options[i].preset, "default", error);
        if (code) return code;
    }
    return 0;
}

int kend_conf_load(struct kend_conf **conf, const struct kend_conf_flags *flags, struct ken_error *error)
{
    struct kend_conf *made = *conf = NULL;
    made = calloc(1, sizeof *made);
    if (!made) return ken_fail(error, KEN_ENOMEM, "the configuration");
    int code = load_data(made, flags->data, error);
    if (!code) code = load_defaults(made, error);
    if (!code && flags->config_file) code = load_file(made, flags->config_file, error);
    if (!code) code = load_environment(made, error);
    if (!code) code = load_flags(made, flags, error);
    if (code) {
        kend_conf_free(&made);
        return code;
    }
    *conf = made;
    return 0;
}

static void free_value(struct kend_conf *conf, const struct kend_conf_option *option)
{
    void *field = (char *)conf + option->offset;
    switch (option->kind) {
    case KEND_CONF_KIND_NUMBER:
    case KEND_CONF_KIND_SIZE:
    case KEND_CONF_KIND_BOOL: break;
    default: free(*(char **)field);
    }
}

void kend_conf_free(struct kend_conf **conf)
{
    if (!*conf) return;
    for (size_t i = 0; i < KEND_CONF_OPTIONS; i++) free_value(*conf, &kend_conf_options[i]);
    free((*conf)->data);
    free(*conf);
    *conf = NULL;
}
