/* SPDX-License-Identifier: Apache-2.0 */
/* Who can do what at an installation on this machine: tokens, secrets, limits of owners, certificates. */
#include "certificate.h"
#include "doctor.h"
#include "files.h"
#include "id.h"
#include "installation.h"
#include "print.h"
#include "token_file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct access {
    const json_t *settings;
    struct kenctl_findings *findings;
    char *tokens; /* the tokens file, or NULL: there are none */
};

static bool is_on(const struct access *access, const char *option)
{
    return strcmp(kenctl_setting(access->settings, option), "true") == 0;
}

static bool is_loopback(const struct access *access)
{
    static const char *const own[] = {"127.", "localhost:", "[::1]:"};
    const char *listen = kenctl_setting(access->settings, "http.listen");
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strncmp(listen, own[i], strlen(own[i])) == 0) return true;
    return false;
}

static void check_access(const struct access *access)
{
    const char *listen = kenctl_setting(access->settings, "http.listen"), *url = kenctl_setting(access->settings, "http.public_url");
    const bool anonymous = is_on(access, "auth.allow_anonymous");
    if (anonymous && !is_loopback(access))
        kenctl_find(access->findings, KENCTL_CHECK_ACCESS, KENCTL_WARN,
                    "set auth.allow_anonymous = false, unless everybody who can reach it is trusted",
                    "whoever reaches %s may submit jobs, without a token", listen);
    else if ((anonymous || !access->tokens) && *url)
        kenctl_find(access->findings, KENCTL_CHECK_ACCESS, KENCTL_WARN, "set auth.tokens_file: the proxy in front of kend lets others in",
                    "whoever reaches %s may submit jobs, without a token", url);
    else if (!access->tokens || anonymous)
        kenctl_find(access->findings, KENCTL_CHECK_ACCESS, KENCTL_OK, NULL, "%s is for users of this machine alone", listen);
    else
        kenctl_find(access->findings, KENCTL_CHECK_ACCESS, KENCTL_OK, NULL, "tokens are required");
}

/* ---- files that others must not read, or change */

/* Adds a finding if others can get at the file; whether it is private. */
static bool is_private(const struct access *access, const char *path, uid_t kend)
{
    struct stat status;
    if (stat(path, &status) != 0) return true; /* `files` tells */
    if (status.st_mode & 027)
        kenctl_find(access->findings, KENCTL_CHECK_SECRETS, KENCTL_WARN,
                    "chmod 600, or 640 with a group of its own: whoever reads a key or changes the tokens is in",
                    "%s is open to other users (mode %03o)", path, status.st_mode & 0777);
    else if (status.st_uid != 0 && status.st_uid != kend)
        kenctl_find(access->findings, KENCTL_CHECK_SECRETS, KENCTL_WARN, "chown it to root, or to the user that kend runs as",
                    "%s belongs to user %u, who may change it", path, (unsigned)status.st_uid);
    else
        return true;
    return false;
}

static void check_secrets(const struct access *access)
{
    const char *data = kenctl_setting(access->settings, "data"), *key = kenctl_setting(access->settings, "http.tls_key");
    char *admin = kenctl_join(data, "admin.token");
    struct stat status;
    if (!admin) {
        access->findings->failed = true;
        return;
    }
    const uid_t kend = stat(data, &status) == 0 ? status.st_uid : geteuid();
    const char *const files[] = {access->tokens, key};
    unsigned good = 0, bad = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i] && *files[i]) ++*(is_private(access, files[i], kend) ? &good : &bad);
    if (stat(admin, &status) == 0) {
        bad++;
        kenctl_find(access->findings, KENCTL_CHECK_SECRETS, KENCTL_WARN, "keep the token where your secrets are, and take the file away",
                    "%s is still there", admin);
    }
    if (!bad)
        kenctl_find(access->findings, KENCTL_CHECK_SECRETS, KENCTL_OK, NULL, good ? "tokens and keys are private (%u)" : "none", good);
    free(admin);
}

/* ---- owners */

/* A good token of somebody who submits jobs. Admins look after those of others. */
static bool submits(const struct proto_token *token, int64_t now)
{
    return (token->scopes & (PROTO_SCOPE_SUBMIT | PROTO_SCOPE_ADMIN)) == PROTO_SCOPE_SUBMIT && !proto_token_is_over(token, now);
}

static unsigned count_owners(const struct proto_token_list *tokens)
{
    const int64_t now = proto_now_ms();
    unsigned count = 0;
    for (size_t i = 0; i < tokens->count; i++) {
        bool counts = submits(&tokens->item[i], now);
        for (size_t j = 0; counts && j < i; j++)
            counts = !submits(&tokens->item[j], now) || strcmp(tokens->item[j].owner, tokens->item[i].owner) != 0;
        count += counts;
    }
    return count;
}

/* Those that are off, comma-separated. */
static void missing_limits(const json_t *settings, char *text, size_t size)
{
    static const char *const options[] = {"jobs.max_running_per_owner", "jobs.max_queued_per_owner", "jobs.max_bytes_per_owner",
                                          "jobs.max_seconds"};
    size_t length = 0;
    *text = '\0';
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (kenctl_setting_number(settings, options[i])) continue;
        length += (size_t)snprintf(text + length, size - length, "%s%s", length ? ", " : "", options[i]);
    }
}

static void check_owners(const struct access *access)
{
    struct proto_token_list tokens = {0};
    struct ken_error error = {0};
    char missing[256];
    if (access->tokens && proto_token_list_read(&tokens, access->tokens, &error) && error.code != KEN_ENOT_FOUND) {
        kenctl_find(access->findings, KENCTL_CHECK_OWNERS, KENCTL_FAIL, "correct the file, or make it readable to kend's user", "%s",
                    error.message);
        return;
    }
    const unsigned owners = count_owners(&tokens);
    proto_token_list_clear(&tokens);
    missing_limits(access->settings, missing, sizeof missing);
    if (owners > 1 && *missing)
        kenctl_find(access->findings, KENCTL_CHECK_OWNERS, KENCTL_WARN,
                    "set them, so that no owner keeps the others waiting (docs/operations.md, Many owners)", "%u owners, and no %s", owners,
                    missing);
    else
        kenctl_find(access->findings, KENCTL_CHECK_OWNERS, KENCTL_OK, NULL,
                    owners > 1 ? "%u, with limits of their own" : "not more than one", owners);
}

/* ---- TLS */

void kenctl_find_validity(struct kenctl_findings *findings, enum kenctl_check check, const char *name,
                          const struct kenctl_validity *validity)
{
    const time_t now = time(NULL);
    const double days = difftime(validity->until, now) / 86400;
    struct tm parts;
    char until[32] = "";
    if (gmtime_r(&validity->until, &parts)) strftime(until, sizeof until, "%Y-%m-%d", &parts);
    if (days < 0)
        kenctl_find(findings, check, KENCTL_FAIL, "renew it, and send kend a SIGHUP", "%s is over since %s", name, until);
    else if (difftime(validity->from, now) > 0)
        kenctl_find(findings, check, KENCTL_FAIL, "is the clock right? else wait, or take another one", "%s does not hold yet", name);
    else if (kenctl_validity_is_short(validity, now))
        kenctl_find(findings, check, KENCTL_WARN, "renew it, and send kend a SIGHUP", "%s is good for %.0f more day%s, until %s", name,
                    days, kenctl_plural((uint64_t)(days + 0.5)), until);
    else
        kenctl_find(findings, check, KENCTL_OK, NULL, "good until %s", until);
}

static void check_certificate(const struct access *access)
{
    const char *path = kenctl_setting(access->settings, "http.tls_cert"), *url = kenctl_setting(access->settings, "http.public_url");
    struct kenctl_validity validity;
    struct ken_error error = {0};
    if (!*path && !is_loopback(access) && strncmp(url, "https:", 6) != 0)
        kenctl_find(access->findings, KENCTL_CHECK_CERTIFICATE, KENCTL_WARN,
                    "set http.tls_cert and http.tls_key, or http.public_url where a proxy speaks https",
                    access->tokens ? "tokens come over plain http, and can be overheard"
                                   : "all that is asked and answered goes over plain http, and can be overheard");
    else if (!*path)
        kenctl_find(access->findings, KENCTL_CHECK_CERTIFICATE, KENCTL_OK, NULL, "kend speaks plain http, as it should here");
    else if (kenctl_certificate_read(&validity, path, &error))
        kenctl_find(access->findings, KENCTL_CHECK_CERTIFICATE, KENCTL_FAIL, "name a file with a chain of certificates in http.tls_cert",
                    "%s", error.message);
    else
        kenctl_find_validity(access->findings, KENCTL_CHECK_CERTIFICATE, path, &validity);
}

void kenctl_doctor_access(const json_t *settings, struct kenctl_findings *findings)
{
    static void (*const checks[])(const struct access *) = {check_access, check_secrets, check_owners, check_certificate};
    struct access access = {.settings = settings, .findings = findings};
    const char *named = kenctl_setting(settings, "auth.tokens_file");
    const bool own = !*named && !is_loopback(&access) && !is_on(&access, "auth.allow_anonymous"); /* kend makes it by itself */
    if (*named || own) access.tokens = own ? kenctl_join(kenctl_setting(settings, "data"), "tokens") : strdup(named);
    findings->failed |= !access.tokens && (*named || own);
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) checks[i](&access);
    free(access.tokens);
}
