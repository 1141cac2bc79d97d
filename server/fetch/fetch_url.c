/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/fetch_url.h"

#include "fetch/vet.h"
#include "url.h"

#include <curl/curl.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_REDIRECT_URL = 16384 };

static bool is_listed(const char *list, const char *scheme)
{
    size_t length = strlen(scheme);
    for (const char *at = list; *at;) {
        at += strspn(at, " \t,");
        size_t one = strcspn(at, " \t,");
        if (one == length && strncmp(at, scheme, one) == 0) return true;
        at += one;
    }
    return false;
}

static int vet_host(const struct kend_url *url, const struct kend_policy *policy, struct ken_error *error)
{
    struct kend_ip address;
    struct ken_error reason;
    int code = kend_vet_port((unsigned)strtoul(url->port, NULL, 10), &policy->ports, &reason); /* a socket has that of the proxy */
    /* The addresses of a name are vetted when they are connected to. */
    if (!code && kend_ip_parse(&address, url->host)) code = kend_vet_address(&address, &policy->networks, &reason);
    return code ? ken_fail(error, code, "%.200s: %s", url->shown, reason.message) : 0;
}

static int vet(const struct kend_url *url, const struct kend_url *base, const struct kend_policy *policy, struct ken_error *error)
{
    if (base && strcmp(base->scheme, "https") == 0 && strcmp(url->scheme, "https") != 0)
        return ken_fail(error, KEN_EADDRESS, "%.200s redirects from https to %s, which is refused", base->shown, url->scheme);
    if (base && kend_url_is_file(url))
        return ken_fail(error, KEN_EADDRESS, "%.200s redirects to a file: URL, which is refused", base->shown);
    if (!is_listed(policy->schemes, url->scheme))
        return ken_fail(error, KEN_EADDRESS, "%.200s: fetch.allow_schemes does not list %s", url->shown, url->scheme);
    return kend_url_is_file(url) ? 0 : vet_host(url, policy, error);
}

/* Only what is printable ASCII without spaces: what two parsers could read differently does not get any further. */
static bool is_plain(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f || *text == '\\') return false;
    return true;
}

static char *part(CURLU *parts, CURLUPart what, unsigned flags)
{
    char *text = NULL, *copy = NULL;
    if (curl_url_get(parts, what, &text, flags) == CURLUE_OK) copy = strdup(text);
    curl_free(text);
    return copy;
}

static void lower(char *text)
{
    for (; *text; text++) *text = (char)tolower((unsigned char)*text);
}

/* Without the brackets of an IPv6 address. */
static void strip_brackets(char *host)
{
    size_t length = strlen(host);
    if (length < 2 || host[0] != '[' || host[length - 1] != ']') return;
    memmove(host, host + 1, length - 2);
    host[length - 2] = '\0';
}

/* Fills *url from curl's parse; on failure KEN_ENOMEM or KEN_EFETCH, *url is none. */
static int take(struct kend_url *url, CURLU *parts, struct ken_error *error)
{
    url->scheme = part(parts, CURLUPART_SCHEME, 0);
    char *host = part(parts, CURLUPART_HOST, 0);
    if (host) {
        lower(host);
        (void)curl_url_set(parts, CURLUPART_HOST, host, 0);
        strip_brackets(host);
    }
    (void)curl_url_set(parts, CURLUPART_FRAGMENT, NULL, 0);
    url->host = host ? host : strdup("");
    url->port = part(parts, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    if (!url->port) url->port = strdup("");
    url->path = part(parts, CURLUPART_PATH, 0);
    url->text = part(parts, CURLUPART_URL, CURLU_NO_DEFAULT_PORT);
    url->shown = url->text ? proto_url_redact(url->text) : NULL;
    if (url->scheme && url->host && url->port && url->path && url->text && url->shown) {
        lower(url->scheme);
        return 0;
    }
    kend_url_clear(url);
    return ken_fail(error, KEN_ENOMEM, "out of memory");
}

static int set_text(CURLU *parts, const char *text, const struct kend_url *base, struct ken_error *error)
{
    char *shown = proto_url_redact(text);
    char safe[200];
    ken_printable(safe, sizeof safe, shown ? shown : "", shown ? strlen(shown) : 0);
    free(shown);
    const char *from = base ? base->shown : "", *verb = base ? " redirects to " : "";
    if (strlen(text) > MAX_REDIRECT_URL || !is_plain(text))
        return ken_fail(error, KEN_EFETCH, "%.150s%s\"%s\": spaces, control characters and more than %d bytes are refused", from, verb,
                        safe, MAX_REDIRECT_URL);
    CURLUcode code = base ? curl_url_set(parts, CURLUPART_URL, base->text, 0) : CURLUE_OK;
    if (code == CURLUE_OK) code = curl_url_set(parts, CURLUPART_URL, text, CURLU_DISALLOW_USER | CURLU_NON_SUPPORT_SCHEME);
    if (code == CURLUE_OUT_OF_MEMORY) return ken_fail(error, KEN_ENOMEM, "out of memory");
    if (code == CURLUE_USER_NOT_ALLOWED)
        return ken_fail(error, KEN_EFETCH, "%.150s%s\"%s\": a user name or password in a URL is refused", from, verb, safe);
    if (code != CURLUE_OK) return ken_fail(error, KEN_EFETCH, "%.150s%s\"%s\": %s", from, verb, safe, curl_url_strerror(code));
    return 0;
}

int kend_url_parse(struct kend_url *url, const char *text, const struct kend_url *base, const struct kend_policy *policy,
                   struct ken_error *error)
{
    struct proto_url strict;
    const char *fault = base ? NULL : proto_url_parse(&strict, text);
    if (fault) return ken_fail(error, KEN_EFETCH, "the URL %s", fault);
    CURLU *parts = curl_url();
    if (!parts) return ken_fail(error, KEN_ENOMEM, "out of memory");
    int code = set_text(parts, text, base, error);
    if (!code) code = take(url, parts, error);
    curl_url_cleanup(parts);
    if (!code) code = vet(url, base, policy, error);
    if (code) kend_url_clear(url);
    return code;
}

/* *url as base with another path. */
static int with_path(struct kend_url *url, const struct kend_url *base, const char *path, struct ken_error *error)
{
    CURLU *parts = curl_url();
    bool set = parts && curl_url_set(parts, CURLUPART_URL, base->text, 0) == CURLUE_OK &&
               curl_url_set(parts, CURLUPART_PATH, path, 0) == CURLUE_OK;
    int code = set ? take(url, parts, error) : ken_fail(error, KEN_ENOMEM, "out of memory");
    curl_url_cleanup(parts);
    return code;
}

int kend_url_beside(struct kend_url *url, const struct kend_url *base, const char *name, struct ken_error *error)
{
    const char *slash = strrchr(base->path, '/');
    int folder = slash ? (int)(slash - base->path) + 1 : 0;
    char *encoded = proto_percent_encode(name, "/"), *path = NULL;
    int length = encoded ? asprintf(&path, "%.*s%s", folder, base->path, encoded) : -1;
    int code = length < 0 ? ken_fail(error, KEN_ENOMEM, "out of memory") : with_path(url, base, path, error);
    if (length >= 0) free(path);
    free(encoded);
    return code;
}

int kend_url_into(struct kend_url *url, const struct kend_url *base, struct ken_error *error)
{
    char *path;
    if (asprintf(&path, "%s/", base->path) < 0) return ken_fail(error, KEN_ENOMEM, "out of memory");
    int code = with_path(url, base, path, error);
    free(path);
    return code;
}

int kend_url_copy(struct kend_url *url, const struct kend_url *from)
{
    *url = (struct kend_url){strdup(from->text), strdup(from->shown), strdup(from->scheme),
                             strdup(from->host), strdup(from->port),  strdup(from->path)};
    if (url->text && url->shown && url->scheme && url->host && url->port && url->path) return 0;
    kend_url_clear(url);
    return KEN_ENOMEM;
}

void kend_url_clear(struct kend_url *url)
{
    free(url->text);
    free(url->shown);
    free(url->scheme);
    free(url->host);
    free(url->port);
    free(url->path);
    *url = (struct kend_url){0};
}

bool kend_url_is_file(const struct kend_url *url)
{
    return strcmp(url->scheme, "file") == 0;
}

bool kend_url_is_folder(const struct kend_url *url)
{
    size_t length = strlen(url->path);
    return !length || url->path[length - 1] == '/';
}

char *kend_url_file_path(const struct kend_url *url)
{
    char *path = strdup(url->path);
    if (path && !proto_percent_decode(path, false)) {
        free(path);
        return NULL;
    }
    return path;
}
