/* SPDX-License-Identifier: Apache-2.0 */
#include "conf_value.h"

#include "url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

const struct kend_conf_option kend_conf_options[KEND_CONF_OPTIONS] = {
#define X(section_, key_, kind_, preset_, least_, most_, sentence_) \
    {.section = #section_,                                          \
     .key = #key_,                                                  \
     .name = #section_ "." #key_,                                   \
     .kind = KEND_CONF_KIND_##kind_,                                \
     .preset = preset_,                                             \
     .least = least_,                                               \
     .most = most_,                                                 \
     .sentence = sentence_,                                         \
     .offset = offsetof(struct kend_conf, section_##_##key_)},
    KEND_OPTION_MAP(X)
#undef X
};

static const char *const allowed_texts[] = {
#define X(kind, type, allowed) [KEND_CONF_KIND_##kind] = allowed,
    KEND_KIND_MAP(X)
#undef X
};

static const struct {
    const char *suffix;
    uint64_t bytes;
} size_units[] = {{"TiB", (uint64_t)1 << 40}, {"TB", 1000000000000}, {"GiB", 1 << 30}, {"GB", 1000000000},
                  {"MiB", 1 << 20},           {"MB", 1000000},       {"KiB", 1 << 10}, {"kB", 1000}};

/* A number of the option as text that is parsed as the same: sizes in the largest unit that divides them. */
static const char *number_text(const struct kend_conf_option *option, uint64_t number, char buffer[KEND_CONF_SIZE_TEXT])
{
    const char *suffix = "";
    if (option->kind == KEND_CONF_KIND_SIZE && number) {
        for (size_t i = 0; !*suffix && i < sizeof size_units / sizeof *size_units; i++) {
            if (number % size_units[i].bytes) continue;
            suffix = size_units[i].suffix;
            number /= size_units[i].bytes;
        }
    }
    snprintf(buffer, KEND_CONF_SIZE_TEXT, "%" PRIu64 "%s", number, suffix);
    return buffer;
}

void kend_conf_allowed(const struct kend_conf_option *option, char reason[KEND_CONF_REASON])
{
    const char *text = allowed_texts[option->kind];
    char least[KEND_CONF_SIZE_TEXT], most[KEND_CONF_SIZE_TEXT];
    number_text(option, option->least, least);
    number_text(option, option->most, most);
    if (option->most)
        snprintf(reason, KEND_CONF_REASON, "must be %s from %s to %s", text, least, most);
    else if (option->least)
        snprintf(reason, KEND_CONF_REASON, "must be %s, at least %s", text, least);
    else
        snprintf(reason, KEND_CONF_REASON, "must be %s", text);
}

/* ---- numbers */

static bool parse_number(const char *text, const char **end, uint64_t *number)
{
    *number = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(*number, 10U, number) || __builtin_add_overflow(*number, (unsigned)(*at - '0'), number)) return false;
    }
    *end = at;
    return at > text;
}

static bool parse_size(const char *text, uint64_t *bytes)
{
    const char *end;
    if (!parse_number(text, &end, bytes)) return false;
    while (*end == ' ') end++;
    if (!*end) return true;
    for (size_t i = 0; i < sizeof size_units / sizeof *size_units; i++)
        if (strcmp(end, size_units[i].suffix) == 0) return !__builtin_mul_overflow(*bytes, size_units[i].bytes, bytes);
    return false;
}

static bool parse_count(const char *text, uint64_t *number)
{
    const char *end;
    if (strcmp(text, "@CPUS") == 0) {
        long processors = sysconf(_SC_NPROCESSORS_ONLN);
        *number = processors > 0 ? (uint64_t)processors : 1;
        return true;
    }
    return parse_number(text, &end, number) && !*end;
}

/* ---- texts */

static bool is_word(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0) return true;
    return false;
}

static bool is_address(const char *text)
{
    unsigned char binary[sizeof(struct in6_addr)];
    char host[INET6_ADDRSTRLEN];
    const char *colon = strrchr(text, ':'), *end;
    uint64_t port;
    if (!colon || !parse_number(colon + 1, &end, &port) || *end || port > UINT16_MAX) return false;
    bool v6 = *text == '[' && colon[-1] == ']';
    size_t length = (size_t)(colon - text) - (v6 ? 2 : 0);
    if (length >= sizeof host) return false;
    memcpy(host, text + v6, length);
    host[length] = '\0';
    if (strcmp(host, "localhost") == 0) return !v6;
    return inet_pton(v6 ? AF_INET6 : AF_INET, host, binary) == 1;
}

static bool is_origin(const char *text)
{
    struct proto_url url;
    if (!*text) return true;
    return !proto_url_parse(&url, text) && !url.query && (strcmp(url.scheme, "http") == 0 || strcmp(url.scheme, "https") == 0);
}

static bool is_proxy(const char *text)
{
    struct proto_url url;
    if (!*text) return true;
    return !proto_url_parse(&url, text) && strcmp(url.scheme, "http") == 0 && url.port && url.path_length <= 1 && !url.query;
}

static bool has_path(const char *text, const char *scheme)
{
    size_t length = strlen(scheme);
    return strncmp(text, scheme, length) == 0 && text[length];
}

/* A host as a URL has it, with or without a port. */
static bool is_host(const char *text)
{
    struct proto_url url;
    char whole[300];
    int length = snprintf(whole, sizeof whole, "http://%s", text);
    return (size_t)length < sizeof whole && !proto_url_parse(&url, whole) && !url.path_length && !url.query;
}

static bool is_scheme(const char *text)
{
    static const char *const schemes[] = {"https", "http", "file", NULL};
    return is_word(text, schemes);
}

#define X(symbol, name) name,
static const char *const areas[] = {KEND_AREA_MAP(X) NULL};
#undef X

static bool is_area(const char *text)
{
    return is_word(text, areas);
}

bool kend_area_is_public(const struct kend_conf *conf, enum kend_area area)
{
    if (area == KEND_AREA_PRIVATE || area == KEND_AREA_PAGE) return area == KEND_AREA_PAGE;
    const char *name = areas[area - 1], *list = conf->auth_public;
    for (size_t length = strcspn(list, ","); *list; list += length + (list[length] == ','), length = strcspn(list, ","))
        if (strlen(name) == length && memcmp(name, list, length) == 0) return true;
    return false;
}

static bool is_network(const char *text)
{
    unsigned char binary[sizeof(struct in6_addr)];
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/'), *end;
    uint64_t bits;
    if (!slash || (size_t)(slash - text) >= sizeof address || !parse_number(slash + 1, &end, &bits) || *end) return false;
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = '\0';
    bool v6 = strchr(address, ':') != NULL;
    if (inet_pton(v6 ? AF_INET6 : AF_INET, address, binary) != 1) return false;
    unsigned width = v6 ? 128 : 32;
    if (bits > width) return false;
    for (unsigned bit = (unsigned)bits; bit < width; bit++)
        if (binary[bit / 8] >> (7 - bit % 8) & 1) return false;
    return true;
}

static bool is_port(const char *text)
{
    const char *end;
    uint64_t port;
    return parse_number(text, &end, &port) && !*end && port >= 1 && port <= UINT16_MAX;
}

static bool is_folder(const char *text)
{
    return *text == '/';
}

/* ---- lists */

static const struct list_kind {
    bool (*is_item)(const char *text);
    enum kend_conf_kind kind;
    bool lower_case, may_be_empty;
} list_kinds[] = {{is_host, KEND_CONF_KIND_HOSTS, true, true},       {is_scheme, KEND_CONF_KIND_SCHEMES, true, false},
                  {is_network, KEND_CONF_KIND_NETWORKS, true, true}, {is_port, KEND_CONF_KIND_PORTS, false, true},
                  {is_area, KEND_CONF_KIND_AREAS, true, true},       {is_folder, KEND_CONF_KIND_FOLDERS, false, true}};

static const struct list_kind *find_list_kind(enum kend_conf_kind kind)
{
    for (size_t i = 0; i < sizeof list_kinds / sizeof *list_kinds; i++)
        if (list_kinds[i].kind == kind) return &list_kinds[i];
    return NULL;
}

bool kend_conf_is_list(enum kend_conf_kind kind)
{
    return find_list_kind(kind) != NULL;
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text)) text++;
    for (size_t length = strlen(text); length && isspace((unsigned char)text[length - 1]);) text[--length] = '\0';
    return text;
}

/* Rewrites the list in its stored form; false if an item is not allowed. */
static bool tidy_list(char *list, const struct list_kind *kind)
{
    char *copy = strdup(list), *rest = copy, *to = list, *item;
    bool valid = copy != NULL;
    *to = '\0';
    while (valid && (item = strsep(&rest, ","))) {
        item = trim(item);
        if (!*item) continue;
        for (char *at = item; kind->lower_case && *at; at++) *at = (char)tolower((unsigned char)*at);
        valid = kind->is_item(item);
        if (to > list) *to++ = ',';
        to = stpcpy(to, item);
    }
    free(copy);
    return valid && (*list || kind->may_be_empty);
}

/* ---- any value */

static bool is_valid(char *text, enum kend_conf_kind kind)
{
    static const char *const kernels[] = {"auto", "scalar", "avx2", "avx512", "neon", NULL},
                             *const levels[] = {"error", "warn", "info", "debug", NULL}, *const formats[] = {"logfmt", "json", NULL};
    const struct list_kind *list = find_list_kind(kind);
    if (list) return tidy_list(text, list);
    switch (kind) {
    case KEND_CONF_KIND_ADDRESS: return is_address(text);
    case KEND_CONF_KIND_ORIGIN: return is_origin(text);
    case KEND_CONF_KIND_PATH: return *text;
    case KEND_CONF_KIND_STORE: return has_path(text, "sqlite:");
    case KEND_CONF_KIND_ARTIFACTS: return has_path(text, "file:");
    case KEND_CONF_KIND_PROXY: return is_proxy(text);
    case KEND_CONF_KIND_KERNEL: return is_word(text, kernels);
    case KEND_CONF_KIND_LEVEL: return is_word(text, levels);
    case KEND_CONF_KIND_FORMAT: return is_word(text, formats);
    default: return true;
    }
}

/* What a configuration file cannot say: control characters, and what its reader takes for a comment. */
static bool is_sayable(const char *text)
{
    for (const char *at = text; *at; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f) return false;
        if (*at == ';' && (at == text || at[-1] == ' ')) return false;
    }
    return true;
}

/* A copy with the first @DATA replaced by the data folder, trimmed. NULL if out of memory. */
static char *expand(const char *text, const char *data)
{
    static const char mark[] = "@DATA";
    const char *at = strstr(text, mark);
    char *expanded = NULL;
    int length = at ? asprintf(&expanded, "%.*s%s%s", (int)(at - text), text, data, at + sizeof mark - 1) : asprintf(&expanded, "%s", text);
    if (length < 0) return NULL;
    char *trimmed = trim(expanded);
    memmove(expanded, trimmed, strlen(trimmed) + 1);
    return expanded;
}

static int set_number(uint64_t *field, const struct kend_conf_option *option, const char *text)
{
    uint64_t number;
    bool valid = option->kind == KEND_CONF_KIND_SIZE ? parse_size(text, &number) : parse_count(text, &number);
    /* A machine may have more processors than the option allows. */
    if (valid && *text == '@' && number > option->most) number = option->most;
    if (!valid || number < option->least || (option->most && number > option->most)) return KEN_EINVALID;
    *field = number;
    return 0;
}

static int set_bool(bool *field, const char *text)
{
    bool truth = strcmp(text, "true") == 0;
    if (!truth && strcmp(text, "false") != 0) return KEN_EINVALID;
    *field = truth;
    return 0;
}

static int set_text(char **field, const struct kend_conf_option *option, char **text)
{
    if (!is_valid(*text, option->kind)) return KEN_EINVALID;
    free(*field);
    *field = *text;
    *text = NULL;
    return 0;
}

int kend_conf_set(struct kend_conf *conf, const struct kend_conf_option *option, const char *text, char reason[KEND_CONF_REASON])
{
    void *field = (char *)conf + option->offset;
    char *value = expand(text, conf->data);
    if (!value) {
        snprintf(reason, KEND_CONF_REASON, "%s", ken_error_text(KEN_ENOMEM));
        return KEN_ENOMEM;
    }
    int code;
    if (!is_sayable(value)) {
        snprintf(reason, KEND_CONF_REASON, "must not hold control characters or \" ;\", which begins a comment");
        free(value);
        return KEN_EINVALID;
    }
    switch (option->kind) {
    case KEND_CONF_KIND_NUMBER:
    case KEND_CONF_KIND_SIZE: code = set_number(field, option, value); break;
    case KEND_CONF_KIND_BOOL: code = set_bool(field, value); break;
    default: code = set_text(field, option, &value);
    }
    free(value);
    if (code) kend_conf_allowed(option, reason);
    return code;
}

const char *kend_conf_get(const struct kend_conf *conf, const struct kend_conf_option *option, char buffer[KEND_CONF_SIZE_TEXT])
{
    const void *field = (const char *)conf + option->offset;
    switch (option->kind) {
    case KEND_CONF_KIND_BOOL: return *(const bool *)field ? "true" : "false";
    case KEND_CONF_KIND_NUMBER:
    case KEND_CONF_KIND_SIZE: break;
    default: return *(char *const *)field;
    }
    return number_text(option, *(const uint64_t *)field, buffer);
}
