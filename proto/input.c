/* SPDX-License-Identifier: Apache-2.0 */
/* An input of a job, read. */
#include "input.h"

#include "digest.h"
#include "job.h"
#include "url.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Whether the scheme is one of the policy's comma-separated ones. */
static bool is_allowed_scheme(const struct proto_policy *policy, const char *scheme)
{
    size_t length = strlen(scheme);
    for (const char *at = policy->schemes; *at;) {
        size_t item = strcspn(at, ",");
        if (item == length && memcmp(at, scheme, length) == 0) return true;
        at += item + (at[item] == ',');
    }
    return false;
}

static bool is_later_scheme(const char *text)
{
    static const char *const schemes[] = {
#define X(scheme) scheme ":",
        PROTO_LATER_SCHEME_MAP(X)
#undef X
    };
    for (size_t i = 0; i < COUNT(schemes); i++)
        if (strncasecmp(text, schemes[i], strlen(schemes[i])) == 0) return true;
    return false;
}

static bool is_known_scheme(const char *scheme)
{
    return strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0 || strcmp(scheme, "file") == 0;
}

static void refuse_scheme(struct proto_reader *reader, const struct proto_place *place, const char *scheme)
{
    const struct proto_policy *policy = reader->policy;
    if (policy->allow_paths)
        proto_reader_fault(reader, place, NULL, "must be a path, not a URL of scheme \"%s\"", scheme);
    else
        proto_reader_fault(reader, place, NULL, "scheme \"%s\" is not %s; fetch.allow_schemes is \"%s\"", scheme,
                           is_known_scheme(scheme) ? "allowed here" : "known", policy->schemes);
}

/* Whether the text may be fetched; *single_file tells whether it can be no folder and no index. */
static bool check_url(struct proto_reader *reader, const struct proto_place *place, const char *text, bool *single_file)
{
    struct proto_url url;
    if (reader->policy->allow_paths && *text && !proto_url_has_scheme(text)) {
        url = (struct proto_url){.path = text, .path_length = strlen(text)};
        *single_file = proto_url_is_single_file(&url);
        if (!proto_has_control_characters(text)) return true;
        proto_reader_fault(reader, place, NULL, "must not hold control characters");
        return false;
    }
    if (is_later_scheme(text)) {
        proto_reader_later(reader, place, NULL, "scheme \"%.*s\" is not supported by this version", (int)strcspn(text, ":"), text);
        return false;
    }
    const char *reason = proto_url_parse(&url, text);
    if (reason) {
        proto_reader_fault(reader, place, NULL, "%s", reason);
        return false;
    }
    *single_file = proto_url_is_single_file(&url);
    if (is_allowed_scheme(reader->policy, url.scheme)) return true;
    refuse_scheme(reader, place, url.scheme);
    return false;
}

static void read_url(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field)
{
    struct proto_input *input = field;
    bool single_file = false;
    if (!proto_reader_expect(reader, place, value, JSON_STRING, "a string")) return;
    if (!check_url(reader, place, json_string_value(value), &single_file)) return;
    proto_reader_set_text(reader, &input->url, json_string_value(value));
    if (input->has_sha256 && !single_file)
        proto_reader_fault(reader, place->parent, "sha256", "is for the URL of a single file; this one is of a folder or an index");
}

static void read_sha256(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field)
{
    struct proto_input *input = field;
    if (!proto_reader_expect(reader, place, value, JSON_STRING, "a string")) return;
    input->has_sha256 = ken_hex_decode(input->sha256, sizeof input->sha256, json_string_value(value));
    if (!input->has_sha256) proto_reader_fault(reader, place, NULL, "must be 64 hexadecimal digits");
}

/* sha256 comes first: what it says of the URL is checked with the URL. */
static const struct proto_field input_fields[] = {{"sha256", read_sha256, 0}, {"url", read_url, 0}};

void proto_read_input(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field)
{
    if (json_is_string(value)) {
        read_url(reader, place, value, field);
        return;
    }
    if (!proto_reader_expect(reader, place, value, JSON_OBJECT, "a URL or an object with url and sha256")) return;
    proto_read_fields(reader, place, value, input_fields, COUNT(input_fields), field);
    if (!json_object_get(value, "url")) proto_reader_fault(reader, place, "url", "is required");
}
