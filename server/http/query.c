/* SPDX-License-Identifier: Apache-2.0 */
#include "http/query.h"

#include "error.h"
#include "url.h"
#include "utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool kend_percent_decode(char *text, bool plus)
{
    return proto_percent_decode(text, plus) && ken_utf8_valid(text, strlen(text)) == strlen(text);
}

static const char *shown(char *buffer, size_t size, const char *text)
{
    return ken_printable(buffer, size, text, strlen(text));
}

bool kend_query_parse(struct kend_query *query, char *text, char *detail, size_t size)
{
    char name_shown[80], *rest = text, *part;
    query->count = 0;
    while ((part = strsep(&rest, "&"))) {
        if (!*part) continue;
        char *value = strchr(part, '=');
        if (value) *value++ = '\0';
        if (!kend_percent_decode(part, true) || (value && !kend_percent_decode(value, true))) {
            snprintf(detail, size, "the query string has a malformed escape or is not UTF-8");
            return false;
        }
        if (query->count == KEND_MAX_PARAMETERS) {
            snprintf(detail, size, "more than %d query parameters", KEND_MAX_PARAMETERS);
            return false;
        }
        if (kend_query_get(query, part)) {
            snprintf(detail, size, "query parameter \"%s\" is given twice", shown(name_shown, sizeof name_shown, part));
            return false;
        }
        query->parameter[query->count++] = (struct kend_parameter){part, value ? value : ""};
    }
    return true;
}

static bool is_among(const char *name, const char *allowed)
{
    while (*allowed) {
        size_t length = strcspn(allowed, " ");
        bool family = length > 2 && memcmp(allowed + length - 2, ".*", 2) == 0;
        if (family && strncmp(name, allowed, length - 1) == 0 && name[length - 1]) return true;
        if (!family && strlen(name) == length && memcmp(name, allowed, length) == 0) return true;
        allowed += length;
        allowed += strspn(allowed, " ");
    }
    return false;
}

bool kend_query_only(const struct kend_query *query, const char *allowed, char *detail, size_t size)
{
    char name_shown[80];
    for (size_t i = 0; i < query->count; i++) {
        if (is_among(query->parameter[i].name, allowed)) continue;
        snprintf(detail, size, "unknown query parameter \"%s\"", shown(name_shown, sizeof name_shown, query->parameter[i].name));
        return false;
    }
    return true;
}

const char *kend_query_get(const struct kend_query *query, const char *name)
{
    for (size_t i = 0; i < query->count; i++)
        if (strcmp(query->parameter[i].name, name) == 0) return query->parameter[i].value;
    return NULL;
}

bool kend_query_number(const struct kend_query *query, const char *name, uint64_t least, uint64_t most, uint64_t *number, char *detail,
                       size_t size)
{
    const char *text = kend_query_get(query, name);
    if (!text) return true;
    size_t digits = strspn(text, "0123456789");
    const bool valid = digits && !text[digits];
    uint64_t value = digits <= 18 ? strtoull(text, NULL, 10) : UINT64_MAX;
    if (!valid || value < least || (most && value > most)) {
        int used = snprintf(detail, size, "query parameter \"%s\" must be a whole number ", name);
        if (used < 0 || (size_t)used >= size) return false;
        if (most)
            snprintf(detail + used, size - (size_t)used, "from %llu to %llu", (unsigned long long)least, (unsigned long long)most);
        else
            snprintf(detail + used, size - (size_t)used, "of at least %llu", (unsigned long long)least);
        return false;
    }
    *number = value;
    return true;
}

bool kend_query_flag(const struct kend_query *query, const char *name, bool *flag, char *detail, size_t size)
{
    const char *text = kend_query_get(query, name);
    if (!text) return true;
    *flag = strcmp(text, "true") == 0;
    if (*flag || strcmp(text, "false") == 0) return true;
    snprintf(detail, size, "query parameter \"%s\" must be true or false", name);
    return false;
}
