/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include "kenctl.h"
#include "json_load.h"

#include <curl/curl.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    CONNECT_SECONDS = 10,
    CALL_SECONDS = 60,
    STALL_SECONDS = 60,
    SILENCE_SECONDS = 45, /* of a stream: a kend tells every 15 s that it is still there */
    TRIES_AT_FIRST = 3,
    TRIES = 12,
    FIRST_PAUSE_MS = 500,
    LONGEST_PAUSE_MS = 8000,
    MAX_BODY = 64 << 20, /* of an answer that is kept in memory */
};

struct kenctl_http {
    CURL *curl;
    char *server; /* without a slash at the end */
    char *authorization;
    bool has_cert; /* of a client */
    bool answered; /* ever */
    char message[CURL_ERROR_SIZE];
};

/* One transfer: where its answer goes. */
struct transfer {
    CURL *curl;
    struct kenctl_response *response;
    size_t length; /* of response->text */
    const struct kenctl_sink *sink;
    bool began;
    bool stream;  /* ends when it is silent for long */
    time_t heard; /* monotonic */
};

void kenctl_response_clear(struct kenctl_response *response)
{
    free(response->text);
    json_decref(response->json);
    *response = (struct kenctl_response){0};
}

/* An option, else what the environment says. NULL: neither. */
static const char *setting(const struct kenctl *kenctl, enum kenctl_option option, const char *variable)
{
    const char *text = kenctl_option(kenctl, option);
    if (!text) text = getenv(variable);
    return text && *text ? text : NULL;
}

struct kenctl_http *kenctl_http_open(const struct kenctl *kenctl)
{
    const char *server = kenctl->server, *ca_file = setting(kenctl, KENCTL_OPT_CA_FILE, "KENCTL_CA_FILE");
    const char *cert = setting(kenctl, KENCTL_OPT_CERT, "KENCTL_CERT"), *key = setting(kenctl, KENCTL_OPT_KEY, "KENCTL_KEY");
    if (strncasecmp(server, "http://", 7) != 0 && strncasecmp(server, "https://", 8) != 0) {
        kenctl_fail(KENCTL_USAGE, "the server must be a URL as %s, not '%s'", KENCTL_DEFAULT_SERVER, server);
        return NULL;
    }
    struct kenctl_http *http = calloc(1, sizeof *http);
    if (!http || !(http->server = strdup(server))) goto fail;
    for (size_t length = strlen(server); length && http->server[length - 1] == '/'; length--) http->server[length - 1] = '\0';
    if (kenctl->token && asprintf(&http->authorization, "Authorization: Bearer %s", kenctl->token) < 0) {
        http->authorization = NULL;
        goto fail;
    }
    http->curl = curl_easy_init();
    if (!http->curl) goto fail;
    curl_easy_setopt(http->curl, CURLOPT_ERRORBUFFER, http->message);
    curl_easy_setopt(http->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(http->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(http->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(http->curl, CURLOPT_USERAGENT, "kenctl/" PACKAGE_VERSION);
    curl_easy_setopt(http->curl, CURLOPT_CERTINFO, 1L);
    if (ca_file) curl_easy_setopt(http->curl, CURLOPT_CAINFO, ca_file);
    http->has_cert = cert != NULL;
    if (cert) curl_easy_setopt(http->curl, CURLOPT_SSLCERT, cert);
    if (key) curl_easy_setopt(http->curl, CURLOPT_SSLKEY, key);
    return http;
fail:
    kenctl_fail(KENCTL_FAILURE, "out of memory");
    kenctl_http_close(&http);
    return NULL;
}

void kenctl_http_close(struct kenctl_http **http)
{
    if (!*http) return;
    curl_easy_cleanup((*http)->curl);
    free((*http)->server);
    if ((*http)->authorization) explicit_bzero((*http)->authorization, strlen((*http)->authorization));
    free((*http)->authorization);
    free(*http);
    *http = NULL;
}

/* Copies the value of the header line [length] into value [size], if it has that name and fits. name: with its colon. */
static void take_header(const char *line, size_t length, const char *name, char *value, size_t size)
{
    size_t from = strlen(name), to = length;
    if (length <= from || strncasecmp(line, name, from) != 0) return;
    while (from < to && (line[from] == ' ' || line[from] == '\t')) from++;
    while (to > from && strchr(" \t\r\n", line[to - 1])) to--;
    if (to - from >= size) return;
    memcpy(value, line + from, to - from);
    value[to - from] = '\0';
}

static size_t on_header(char *line, size_t size, size_t count, void *opaque)
{
    struct kenctl_response *response = ((struct transfer *)opaque)->response;
    take_header(line, size * count, "etag:", response->etag, sizeof response->etag);
    take_header(line, size * count, "date:", response->date, sizeof response->date);
    return size * count;
}

static bool to_memory(struct transfer *transfer, const char *bytes, size_t length)
{
    struct kenctl_response *response = transfer->response;
    if (length > MAX_BODY - transfer->length) return false;
    char *text = realloc(response->text, transfer->length + length + 1);
    if (!text) return false;
    memcpy(text + transfer->length, bytes, length);
    transfer->length += length;
    text[transfer->length] = '\0';
    response->text = text;
    return true;
}

static time_t now_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *opaque)
{
    struct transfer *transfer = opaque;
    size_t length = size * count;
    long status = 0;
    transfer->heard = now_seconds();
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
    bool good = transfer->sink && (status == 200 || status == 206);
    if (good && !transfer->began) {
        transfer->began = true;
        if (!transfer->sink->begin(transfer->sink->opaque, status)) return 0;
    }
    bool taken = good ? transfer->sink->bytes(transfer->sink->opaque, bytes, length) : to_memory(transfer, bytes, length);
    return taken ? length : 0;
}

static int on_progress(void *opaque, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct transfer *transfer = opaque;
    (void)a, (void)b, (void)c, (void)d;
    return kenctl_interrupted(NULL) || (transfer->stream && now_seconds() - transfer->heard > SILENCE_SECONDS);
}

static bool add_header(struct curl_slist **headers, const char *name, const char *value)
{
    char *line = NULL;
    struct curl_slist *longer = NULL;
    if (asprintf(&line, "%s%s", name, value) >= 0) {
        longer = curl_slist_append(*headers, line);
        free(line);
    }
    if (longer) *headers = longer;
    return longer != NULL;
}

/* Sets the URL, the headers and the call-backs that all transfers have. */
static bool prepare(struct kenctl_http *http, const char *path, struct transfer *transfer, struct curl_slist **headers)
{
    char *url = NULL;
    if (asprintf(&url, "%s%s", http->server, path) < 0) return false;
    CURLcode set = curl_easy_setopt(http->curl, CURLOPT_URL, url);
    free(url);
    if (set != CURLE_OK) return false;
    if (http->authorization && !add_header(headers, http->authorization, "")) return false;
    if (!add_header(headers, "Expect:", "")) return false;
    transfer->curl = http->curl;
    transfer->heard = now_seconds();
    http->message[0] = '\0';
    curl_easy_setopt(http->curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(http->curl, CURLOPT_CUSTOMREQUEST, NULL);
    curl_easy_setopt(http->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(http->curl, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(http->curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(http->curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(http->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(http->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(http->curl, CURLOPT_XFERINFODATA, transfer);
    return true;
}

/* Errors of OpenSSL's verification that mean that an authority is not known. */
static bool is_unknown_authority(long result)
{
    return result == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT || result == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
           result == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE || result == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
           result == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN;
}

/* Whether what came was no TLS at all, as OpenSSL says it. */
static bool is_no_tls(const char *message)
{
    return strstr(message, "wrong version number") || strstr(message, "packet length too long");
}

/* What else to give after a failure that TLS may explain; "" if that says nothing. A server that wants a certificate just hangs up. */
static const char *hint(const struct kenctl_http *http, CURLcode code)
{
    const bool secure = strncasecmp(http->server, "https:", 6) == 0;
    long result = 0;
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
        curl_easy_getinfo(http->curl, CURLINFO_SSL_VERIFYRESULT, &result);
        return is_unknown_authority(result) ? "; --ca-file FILE names the authority to trust" : "";
    case CURLE_SSL_CERTPROBLEM: return "; --cert and --key name PEM files that belong together";
    case CURLE_GOT_NOTHING:
        if (!secure) return "; does it speak https?";
        /* fall through */
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        if (!secure || http->answered) return "";
        if (is_no_tls(http->message)) return "; does it speak http, without TLS?";
        return http->has_cert ? "; does the server know the authority of --cert?"
                              : "; where the server wants a client certificate, --cert FILE and --key FILE give it";
    default: return "";
    }
}

static int perform(struct kenctl_http *http, struct transfer *transfer, struct ken_error *error)
{
    CURLcode code = curl_easy_perform(http->curl);
    struct kenctl_response *response = transfer->response;
    if (kenctl_interrupted(NULL)) return ken_fail(error, KEN_ECANCELLED, "interrupted");
    if (code != CURLE_OK)
        return ken_fail(error, KEN_EFETCH, "%s: %s%s", http->server, *http->message ? http->message : curl_easy_strerror(code),
                        hint(http, code));
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &response->status);
    http->answered = true;
    if (response->text) response->json = json_loadb(response->text, transfer->length, JSON_REJECT_DUPLICATES, NULL);
    return KEN_OK;
}

/* Lets the headers of a transfer go that ended with this code, which is returned. */
static int finish(struct kenctl_http *http, struct curl_slist *headers, int code, struct ken_error *error)
{
    if (code == KEN_ENOMEM) ken_fail(error, code, "out of memory");
    curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    return code;
}

static int call_once(struct kenctl_http *http, const struct kenctl_request *request, const char *body, struct kenctl_response *response,
                     struct ken_error *error)
{
    struct transfer transfer = {.response = response};
    struct curl_slist *headers = NULL;
    int code = KEN_ENOMEM;
    kenctl_response_clear(response);
    if (!prepare(http, request->path, &transfer, &headers)) goto out;
    if (!add_header(&headers, "Accept: ", "application/json, application/problem+json")) goto out;
    if (body && !add_header(&headers, "Content-Type: ", "application/json")) goto out;
    if (request->if_none_match && !add_header(&headers, "If-None-Match: ", request->if_none_match)) goto out;
    if (request->idempotency_key && !add_header(&headers, "Idempotency-Key: ", request->idempotency_key)) goto out;
    if (strcmp(request->method, "POST") == 0) {
        curl_easy_setopt(http->curl, CURLOPT_POST, 1L);
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS, body ? body : "");
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDSIZE, body ? (long)strlen(body) : 0L);
    } else if (strcmp(request->method, "GET") != 0)
        curl_easy_setopt(http->curl, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(http->curl, CURLOPT_TIMEOUT, (long)CALL_SECONDS + (long)request->wait_seconds);
    curl_easy_setopt(http->curl, CURLOPT_LOW_SPEED_LIMIT, 0L);
    code = perform(http, &transfer, error);
out:
    return finish(http, headers, code, error);
}

/* The value of one of libcurl's lines about a certificate, "Name:value", as a time; false if it is not that, or no time. */
static bool read_time(time_t *time, const char *line, const char *name)
{
    const size_t length = strlen(name);
    if (strncmp(line, name, length) != 0) return false;
    *time = curl_getdate(line + length, NULL);
    return *time != -1;
}

bool kenctl_http_validity(const struct kenctl_http *http, struct kenctl_validity *validity)
{
    struct curl_certinfo *chain = NULL;
    bool from = false, until = false;
    if (curl_easy_getinfo(http->curl, CURLINFO_CERTINFO, &chain) != CURLE_OK || !chain || chain->num_of_certs < 1) return false;
    for (const struct curl_slist *line = chain->certinfo[0]; line; line = line->next) {
        from = from || read_time(&validity->from, line->data, "Start date:");
        until = until || read_time(&validity->until, line->data, "Expire date:");
    }
    return from && until;
}

bool kenctl_back_off(const struct kenctl_http *http, unsigned attempt)
{
    if (attempt + 1 >= (http->answered ? TRIES : TRIES_AT_FIRST)) return false;
    long ms = FIRST_PAUSE_MS;
    for (unsigned i = 0; i < attempt && ms < LONGEST_PAUSE_MS; i++) ms *= 2;
    if (ms > LONGEST_PAUSE_MS) ms = LONGEST_PAUSE_MS;
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    return nanosleep(&pause, NULL) == 0 && !kenctl_interrupted(NULL);
}

bool kenctl_is_busy(long status)
{
    return status == 429 || status == 502 || status == 503 || status == 504;
}

int kenctl_http_call(struct kenctl_http *http, const struct kenctl_request *request, struct kenctl_response *response,
                     struct ken_error *error)
{
    bool reads = strcmp(request->method, "GET") == 0, repeatable = reads || request->idempotency_key;
    char *body = request->body ? proto_json_dump(request->body, JSON_COMPACT) : NULL;
    if (request->body && !body) return ken_fail(error, KEN_ENOMEM, "out of memory");
    int code;
    for (unsigned attempt = 0;; attempt++) {
        code = call_once(http, request, body, response, error);
        bool again = code == KEN_EFETCH || (code == KEN_OK && reads && kenctl_is_busy(response->status));
        if (!again || !repeatable || request->once || !kenctl_back_off(http, attempt)) break;
    }
    free(body);
    if (code == KEN_OK && kenctl_interrupted(NULL)) code = ken_fail(error, KEN_ECANCELLED, "interrupted");
    return code;
}

int kenctl_http_download(struct kenctl_http *http, const char *path, uint64_t offset, const char *etag, const struct kenctl_sink *sink,
                         struct kenctl_response *response, struct ken_error *error)
{
    struct transfer transfer = {.response = response, .sink = sink};
    struct curl_slist *headers = NULL;
    char range[48];
    int code = KEN_ENOMEM;
    kenctl_response_clear(response);
    if (!prepare(http, path, &transfer, &headers)) goto out;
    if (offset) {
        /* A header of our own: with libcurl's range option an answer of 200 would end the transfer as an error. */
        snprintf(range, sizeof range, "bytes=%llu-", (unsigned long long)offset);
        if (!add_header(&headers, "Range: ", range) || !add_header(&headers, "If-Range: ", etag)) goto out;
    }
    curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(http->curl, CURLOPT_TIMEOUT, 0L);
    curl_easy_setopt(http->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(http->curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
    code = perform(http, &transfer, error);
    if (code == KEN_OK && (response->status == 200 || response->status == 206) && !transfer.began &&
        !sink->begin(sink->opaque, response->status))
        code = ken_fail(error, KEN_EIO, "cannot begin");
out:
    return finish(http, headers, code, error);
}

int kenctl_http_stream(struct kenctl_http *http, const char *path, const char *last_id, const struct kenctl_sink *sink,
                       struct kenctl_response *response, struct ken_error *error)
{
    struct transfer transfer = {.response = response, .sink = sink, .stream = true};
    struct curl_slist *headers = NULL;
    int code = KEN_ENOMEM;
    kenctl_response_clear(response);
    if (!prepare(http, path, &transfer, &headers)) goto out;
    if (!add_header(&headers, "Accept: ", "text/event-stream")) goto out;
    if (*last_id && !add_header(&headers, "Last-Event-ID: ", last_id)) goto out;
    curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(http->curl, CURLOPT_TIMEOUT, 0L);
    curl_easy_setopt(http->curl, CURLOPT_LOW_SPEED_LIMIT, 0L);
    code = perform(http, &transfer, error);
out:
    return finish(http, headers, code, error);
}
