/* SPDX-License-Identifier: Apache-2.0 */
/* What a kend that runs tells of itself. */
#include "doctor.h"
#include "http.h"
#include "print.h"

#include <curl/curl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CLOCK_SECONDS = 30, QUEUE_SECONDS = 3600, FAILED_JOBS = 3 };
static const double failed_share = 0.25, files_share = 0.8, room_bytes = 10e9;

struct server {
    const struct kenctl *kenctl;
    struct kenctl_findings *findings;
    struct kenctl_http *http;
};

/* GETs a path once: to be busy is an answer here. */
static int ask(const struct server *server, const char *path, struct kenctl_response *response, struct ken_error *error)
{
    const struct kenctl_request request = {.method = "GET", .path = path, .once = true};
    return kenctl_http_call(server->http, &request, response, error);
}

static const char *text_of(const struct kenctl_response *response, const char *key)
{
    const char *text = json_string_value(json_object_get(response->json, key));
    return text ? text : "";
}

static void check_clock(const struct server *server, const struct kenctl_response *response)
{
    const time_t there = *response->date ? curl_getdate(response->date, NULL) : -1;
    if (there == -1) return; /* it does not say */
    const double ahead = difftime(there, time(NULL));
    if (fabs(ahead) > CLOCK_SECONDS)
        kenctl_find(server->findings, KENCTL_CHECK_CLOCK, KENCTL_WARN, "set both clocks by the network (timedatectl)",
                    "the server's clock is %.0f s %s this machine's", fabs(ahead), ahead > 0 ? "ahead of" : "behind");
    else
        kenctl_find(server->findings, KENCTL_CHECK_CLOCK, KENCTL_OK, NULL, "within %d s", CLOCK_SECONDS);
}

/* Right after the first answer: later ones may come over the same connection, without a handshake. */
static void check_tls(const struct server *server)
{
    struct kenctl_validity validity;
    if (kenctl_http_validity(server->http, &validity))
        kenctl_find_validity(server->findings, KENCTL_CHECK_SERVER_TLS, "its certificate", &validity);
    else
        kenctl_find(server->findings, KENCTL_CHECK_SERVER_TLS, KENCTL_OK, NULL, "none: it speaks plain http");
}

/* Whether there is a kend; if there is none, all else is idle. */
static bool check_server(const struct server *server)
{
    const char *url = server->kenctl->server;
    struct kenctl_response response = {0};
    struct ken_error error = {0};
    bool good = false;
    if (ask(server, "/livez", &response, &error))
        kenctl_find(server->findings, KENCTL_CHECK_SERVER, KENCTL_FAIL,
                    "start kend there, or name its URL with --server; --ca-file names certificates that the system does not know", "%s",
                    error.message);
    else if (strcmp(text_of(&response, "code"), "forbidden") == 0)
        kenctl_find(server->findings, KENCTL_CHECK_SERVER, KENCTL_FAIL, "add the name to http.allowed_hosts of the server, or use another",
                    "%s: %s", url, text_of(&response, "detail"));
    else if (response.status != 200 || strcmp(text_of(&response, "status"), "ok") != 0)
        kenctl_find(server->findings, KENCTL_CHECK_SERVER, KENCTL_FAIL, "name the URL of a kend with --server",
                    "%s answers with status %ld, and not as a kend does", url, response.status);
    else
        good = true;
    if (good) kenctl_find(server->findings, KENCTL_CHECK_SERVER, KENCTL_OK, NULL, "%s", url);
    if (good) check_tls(server);
    if (good) check_clock(server, &response);
    kenctl_response_clear(&response);
    return good;
}

static void check_version(const struct server *server, const struct kenctl_response *response)
{
    const char *version = text_of(response, "version");
    if (response->status == 200 && strcmp(version, PACKAGE_VERSION) != 0)
        kenctl_find(server->findings, KENCTL_CHECK_VERSION, KENCTL_WARN, "use the kenctl that came with the server's kend",
                    "the server is kend %s, this is kenctl %s", version, PACKAGE_VERSION);
    else if (response->status == 200)
        kenctl_find(server->findings, KENCTL_CHECK_VERSION, KENCTL_OK, NULL, "%s", version);
}

/* code of a problem of /readyz, what to do next */
static const struct {
    const char *code, *advice;
} unready[] = {
    {"draining", "it is ending: start it again if nothing else does"},
    {"store_unavailable", "look at its log (\"store failed\") and at the disk of its data folder"},
    {"no_space", "make room on its disk: delete jobs, set cache.max_bytes, or give it a larger one"},
};

static void check_ready(const struct server *server, const struct kenctl_response *response)
{
    const char *code = text_of(response, "code"), *advice = "look at the server's log";
    if (response->status == 200) {
        kenctl_find(server->findings, KENCTL_CHECK_READY, KENCTL_OK, NULL, "it takes jobs");
        return;
    }
    for (size_t i = 0; i < sizeof unready / sizeof *unready; i++)
        if (strcmp(unready[i].code, code) == 0) advice = unready[i].advice;
    kenctl_find(server->findings, KENCTL_CHECK_READY, KENCTL_FAIL, advice, "%ld %s: %s", response->status, code,
                text_of(response, "detail"));
}

static void check_token(const struct server *server, const struct kenctl_response *response)
{
    const bool given = server->kenctl->token != NULL;
    if (response->status == 200)
        kenctl_find(server->findings, KENCTL_CHECK_TOKEN, KENCTL_OK, NULL, given ? "accepted" : "not needed");
    else if (response->status == 401)
        kenctl_find(server->findings, KENCTL_CHECK_TOKEN, KENCTL_FAIL, "give one with --token-file or KENCTL_TOKEN, or ask for a new one",
                    given ? "the server does not accept the token" : "the server wants a token");
    else
        kenctl_find(server->findings, KENCTL_CHECK_TOKEN, KENCTL_FAIL, "ask whoever runs the server",
                    "jobs cannot be listed: status %ld %s: %s", response->status, text_of(response, "code"), text_of(response, "detail"));
}

/* ---- metrics */

/* The series whose text begins a line; false if there is none. */
static bool metric(const char *text, const char *series, double *value)
{
    const size_t length = strlen(series);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, series, length) != 0 || line[length] != ' ') continue;
        *value = strtod(line + length, NULL);
        return true;
    }
    return false;
}

static void check_queue(const struct server *server, const char *text)
{
    double seconds;
    char duration[32];
    if (!metric(text, "kend_queue_oldest_seconds", &seconds)) return;
    kenctl_duration(duration, sizeof duration, seconds);
    if (seconds > QUEUE_SECONDS)
        kenctl_find(server->findings, KENCTL_CHECK_QUEUE, KENCTL_WARN,
                    "raise jobs.max_running, or look at what runs: kenctl list --status running", "a job has been queued for %s", duration);
    else
        kenctl_find(server->findings, KENCTL_CHECK_QUEUE, KENCTL_OK, NULL, seconds > 0 ? "the oldest job has been queued for %s" : "empty",
                    duration);
}

static void check_failures(const struct server *server, const char *text)
{
    double failed, succeeded;
    if (!metric(text, "kend_jobs{status=\"failed\"}", &failed) || !metric(text, "kend_jobs{status=\"succeeded\"}", &succeeded)) return;
    if (failed >= FAILED_JOBS && failed > failed_share * (failed + succeeded))
        kenctl_find(server->findings, KENCTL_CHECK_FAILURES, KENCTL_WARN, "kenctl list --status failed, and kenctl show ID, tell why",
                    "%.0f of %.0f jobs have failed", failed, failed + succeeded);
    else
        kenctl_find(server->findings, KENCTL_CHECK_FAILURES, KENCTL_OK, NULL, "%.0f of %.0f jobs", failed, failed + succeeded);
}

/* folder, its series */
static const struct {
    const char *name, *series;
} folders[] = {
    {"data", "kend_disk_available_bytes{folder=\"data\"}"},
    {"artifacts", "kend_disk_available_bytes{folder=\"artifacts\"}"},
    {"cache", "kend_disk_available_bytes{folder=\"cache\"}"},
};

static void check_disk(const struct server *server, const char *text)
{
    const char *fullest = NULL;
    double least = INFINITY, bytes;
    char size[32];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (!metric(text, folders[i].series, &bytes) || bytes >= least) continue;
        least = bytes;
        fullest = folders[i].name;
    }
    if (!fullest) return;
    kenctl_human_size(size, sizeof size, least > 0 && least < 1e19 ? (uint64_t)least : 0);
    if (least < room_bytes)
        kenctl_find(server->findings, KENCTL_CHECK_SERVER_DISK, KENCTL_WARN, "delete jobs, lower jobs.keep_days, or give it a larger disk",
                    "jobs can take %s more in the folder %s", size, fullest);
    else
        kenctl_find(server->findings, KENCTL_CHECK_SERVER_DISK, KENCTL_OK, NULL, "jobs can take %s in the folder %s", size, fullest);
}

static void check_files(const struct server *server, const char *text)
{
    double open, most;
    if (!metric(text, "process_open_fds", &open) || !metric(text, "process_max_fds", &most)) return;
    if (open > files_share * most)
        kenctl_find(server->findings, KENCTL_CHECK_SERVER_FILES, KENCTL_WARN,
                    "raise its limit (LimitNOFILE= of a unit), or lower http.max_connections", "%.0f of %.0f files are open", open, most);
    else
        kenctl_find(server->findings, KENCTL_CHECK_SERVER_FILES, KENCTL_OK, NULL, "%.0f of %.0f", open, most);
}

static void check_metrics(const struct server *server, const struct kenctl_response *response)
{
    static void (*const checks[])(const struct server *, const char *) = {check_queue, check_failures, check_disk, check_files};
    if (response->status != 200 || !response->text) {
        kenctl_find(server->findings, KENCTL_CHECK_METRICS, KENCTL_WARN, "give a token that may read them",
                    "/metrics answers with status %ld: queue, failures, disk and files were not looked at", response->status);
        return;
    }
    kenctl_find(server->findings, KENCTL_CHECK_METRICS, KENCTL_OK, NULL, "shown");
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) checks[i](server, response->text);
}

/* ---- all */

/* check, what is asked for it, what looks at the answer */
static const struct {
    enum kenctl_check check;
    const char *path;
    void (*look)(const struct server *server, const struct kenctl_response *response);
} questions[] = {
    {KENCTL_CHECK_VERSION, "/version", check_version},
    {KENCTL_CHECK_READY, "/readyz", check_ready},
    {KENCTL_CHECK_TOKEN, "/v1/jobs?limit=1", check_token},
    {KENCTL_CHECK_METRICS, "/metrics", check_metrics},
};

void kenctl_doctor_server(const struct kenctl *kenctl, struct kenctl_findings *findings)
{
    struct server server = {.kenctl = kenctl, .findings = findings, .http = kenctl_http_open(kenctl)};
    if (!server.http) {
        kenctl_find(findings, KENCTL_CHECK_SERVER, KENCTL_FAIL, "name its URL with --server", "\"%s\" is not the URL of a server",
                    kenctl->server);
        return;
    }
    bool there = check_server(&server);
    for (size_t i = 0; there && i < sizeof questions / sizeof *questions; i++) {
        struct kenctl_response response = {0};
        struct ken_error error = {0};
        if (ask(&server, questions[i].path, &response, &error))
            kenctl_find(findings, questions[i].check, KENCTL_FAIL, "try again: the server has just answered", "%s", error.message);
        else
            questions[i].look(&server, &response);
        kenctl_response_clear(&response);
    }
    kenctl_http_close(&server.http);
}
