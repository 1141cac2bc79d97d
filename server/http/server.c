/* SPDX-License-Identifier: Apache-2.0 */
#include "http/server.h"

#include "clock.h"
#include "http/comparisons.h"
#include "http/early.h"
#include "http/request.h"
#include "http/task.h"
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SERVER_BACKLOG = 1024,
    SERVER_THREAD_STACK = 1 << 20, /* jansson reads nested documents by recursion */
    SERVER_GRACE_LOOK_US = 5000,
    /*
     * Connections of one thread at most. libmicrohttpd 0.9.75 asks epoll for 128 events, and if it gets just as many, waits for more
     * before it looks at one of them: with the two descriptors of its own, so many connections never have as many.
     */
    SERVER_THREAD_CONNECTIONS = 125,
};

static int server_bind(struct kend_http *http, const struct kend_address *wanted, struct ken_error *error)
{
    struct kend_address *bound = &http->hosts.listening;
    char text[KEND_ADDRESS_TEXT];
    int on = 1;
    kend_address_text(wanted, text);
    http->socket = socket(wanted->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (http->socket < 0) return ken_fail_errno(error, errno, "http.listen: %s", text);
    setsockopt(http->socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bound->length = sizeof bound->storage;
    if (bind(http->socket, (const struct sockaddr *)&wanted->storage, wanted->length) < 0 || listen(http->socket, SERVER_BACKLOG) < 0 ||
        getsockname(http->socket, (struct sockaddr *)&bound->storage, &bound->length) < 0)
        return ken_fail_errno(error, errno, "http.listen: %s", text);
    return KEN_OK;
}

static const char *server_scheme(const struct kend_http *http)
{
    return http->tls ? "https" : "http";
}

/* public_url without a final '/', or the address listened on. */
static char *server_base_url(const struct kend_http *http, const char *public_url)
{
    char text[KEND_ADDRESS_TEXT], *url = NULL;
    if (*public_url) {
        url = strdup(public_url);
        for (size_t length = url ? strlen(url) : 0; length && url[length - 1] == '/'; length--) url[length - 1] = '\0';
        return url;
    }
    kend_address_text(&http->hosts.listening, text);
    return asprintf(&url, "%s://%s", server_scheme(http), text) < 0 ? NULL : url;
}

/* A name on the port of https is this service's alone; on any other port, other services of that name may be without TLS. */
static bool server_owns_name(const char *base_url)
{
    static const char https[] = "https://";
    return strncmp(base_url, https, sizeof https - 1) == 0 && !strchr(base_url + sizeof https - 1, ':');
}

int kend_http_create(struct kend_http **out, const struct kend_conf *conf, struct ken_error *error)
{
    struct kend_address wanted;
    int rc = kend_address_parse(&wanted, conf->http_listen, error);
    *out = NULL;
    if (rc) return rc;
    struct kend_http *http = calloc(1, sizeof *http);
    if (!http) return ken_fail(error, KEN_ENOMEM, "out of memory");
    rc = server_bind(http, &wanted, error);
    if (rc) goto no_socket;
    rc = kend_tls_create(&http->tls, conf, error);
    if (rc) goto no_socket;
    rc = kend_connections_create(&http->connections, conf, &http->metrics, error);
    if (rc) goto no_connections;
    if (conf->http_requests_per_second)
        rc = kend_rates_create(&http->rates, conf->http_requests_per_second, conf->http_requests_burst, error);
    if (rc) goto no_rates;
    if (conf->http_max_waiting_per_owner) rc = kend_shares_create(&http->shares, conf->http_max_waiting_per_owner, error);
    if (!rc && conf->http_max_streams_per_owner) rc = kend_shares_create(&http->stream_shares, conf->http_max_streams_per_owner, error);
    if (!rc) rc = kend_shares_create(&http->memory_shares, conf->http_max_memory / KEND_MEMORY_SHARE, error);
    if (!rc) rc = kend_tasks_create(&http->tasks, error);
    if (!rc) rc = kend_comparisons_create(&http->comparisons, error);
    if (rc) goto no_url;
    http->hosts.tls = http->tls != NULL;
    http->started = proto_now_ms();
    http->hosts.allowed = conf->http_allowed_hosts;
    http->hosts.public_url = conf->http_public_url;
    http->base_url = server_base_url(http, conf->http_public_url);
    if (!http->base_url) {
        rc = ken_fail(error, KEN_ENOMEM, "out of memory");
        goto no_url;
    }
    http->secure = http->tls || strncmp(http->base_url, "https:", 6) == 0;
    http->hsts = server_owns_name(http->base_url);
    *out = http;
    return KEN_OK;

no_url:
    kend_shares_destroy(&http->memory_shares);
    kend_shares_destroy(&http->stream_shares);
    kend_shares_destroy(&http->shares);
    kend_comparisons_destroy(&http->comparisons);
    kend_tasks_destroy(&http->tasks);
    kend_rates_destroy(&http->rates);
no_rates:
    kend_connections_destroy(&http->connections);
no_connections:
    kend_tls_destroy(&http->tls);
no_socket:
    if (http->socket >= 0) close(http->socket);
    free(http);
    return rc;
}

/* Paths and parameters are decoded by query.c, once and strictly: here nothing. */
static size_t unescape_nothing(void *opaque, struct MHD_Connection *connection, char *text)
{
    (void)opaque, (void)connection;
    return strlen(text);
}

static void log_line(void *opaque, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));
static void log_line(void *opaque, const char *format, va_list arguments)
{
    char text[256];
    kend_early_look(opaque, format, arguments);
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = '\0';
    kend_log(KEND_LOG_DEBUG, "libmicrohttpd", KEND_S("text", text));
}

static void notify_connection(void *opaque, struct MHD_Connection *connection, void **context, enum MHD_ConnectionNotificationCode code)
{
    struct kend_http *http = opaque;
    struct kend_connection *own = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *socket = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        const union MHD_ConnectionInfo *address = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        own = *context = kend_connections_open(http->connections, connection, socket->connect_fd, address->client_addr, http->tls != NULL);
    }
    if (own && http->tls) kend_tls_connection(http->tls, connection, &own->tls, code);
    if (!own || code == MHD_CONNECTION_NOTIFY_STARTED) return;
    *context = NULL;
    kend_connections_close(http->connections, own);
}

int kend_http_start(struct kend_http *http, const struct kend_http_parts *parts, struct ken_error *error)
{
    const struct kend_conf *conf = parts->conf;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    unsigned threads = (unsigned)conf->http_threads;
    if (http->tls) flags |= MHD_USE_TLS;
    char text[KEND_ADDRESS_TEXT], line[KEND_ADDRESS_TEXT + 32];
    const unsigned least = (unsigned)((conf->http_max_connections + SERVER_THREAD_CONNECTIONS - 1) / SERVER_THREAD_CONNECTIONS);
    if (threads < least) threads = least;
    if (threads > conf->http_max_connections) threads = (unsigned)conf->http_max_connections;
    http->parts = *parts;
    http->daemon = MHD_start_daemon(flags, 0, NULL, NULL, kend_request_step, http,                      //
                                    MHD_OPTION_EXTERNAL_LOGGER, log_line, http,                         //
                                    MHD_OPTION_LISTEN_SOCKET, http->socket,                             //
                                    MHD_OPTION_THREAD_POOL_SIZE, threads,                               //
                                    MHD_OPTION_THREAD_STACK_SIZE, (size_t)SERVER_THREAD_STACK,          //
                                    MHD_OPTION_CONNECTION_LIMIT, (unsigned)conf->http_max_connections,  //
                                    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)conf->http_idle_seconds,   //
                                    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)KEND_CONNECTION_MEMORY, //
                                    MHD_OPTION_UNESCAPE_CALLBACK, unescape_nothing, NULL,               //
                                    MHD_OPTION_URI_LOG_CALLBACK, kend_request_open, http,               //
                                    MHD_OPTION_NOTIFY_COMPLETED, kend_request_closed, http,             //
                                    MHD_OPTION_NOTIFY_CONNECTION, notify_connection, http,              //
                                    /* without TLS, the list ends here */
                                    http->tls ? MHD_OPTION_HTTPS_PRIORITIES : MHD_OPTION_END, KEND_TLS_PRIORITIES, //
                                    MHD_OPTION_HTTPS_CERT_CALLBACK2, kend_tls_no_certificate, MHD_OPTION_END);
    if (!http->daemon) return ken_fail(error, KEN_EIO, "libmicrohttpd could not be started");
    http->socket = -1; /* the daemon's now */
    if (http->tls) kend_tls_log(http->tls);
    kend_address_text(&http->hosts.listening, text);
    snprintf(line, sizeof line, "listening on %s://%s", server_scheme(http), text);
    kend_log(KEND_LOG_ALWAYS, line);
    if (parts->tokens && !http->secure && !kend_address_is_loopback(&http->hosts.listening))
        kend_log(KEND_LOG_WARN, "tokens come unencrypted: set http.tls_cert, or http.public_url to the https URL of the proxy in front");
    if (kend_address_is_any(&http->hosts.listening) && !*conf->http_public_url)
        kend_log(KEND_LOG_WARN, "http.public_url is not set: URLs in answers carry the address listened on", KEND_S("url", http->base_url));
    return KEN_OK;
}

void kend_http_reload(struct kend_http *http)
{
    if (!http->tls && !http->parts.tokens) kend_log(KEND_LOG_INFO, "SIGHUP: there are no tokens and no certificate to read anew");
    if (http->parts.tokens) atomic_store(&http->reload_failed[KEND_RELOAD_TOKENS], !kend_tokens_reload(http->parts.tokens));
    if (http->tls) atomic_store(&http->reload_failed[KEND_RELOAD_CERTIFICATE], !kend_tls_reload(http->tls));
}

void kend_http_drain(struct kend_http *http)
{
    atomic_store(&http->draining, true);
}

void kend_http_destroy(struct kend_http **out)
{
    struct kend_http *http = *out;
    if (!http) return;
    *out = NULL;
    if (http->daemon) {
        /* Not MHD_quiesce_daemon(): it and a thread that wakes up just then both take the socket out of the same epoll set, and the
         * second one ends the process (libmicrohttpd 0.9.75). */
        atomic_store(&http->ending, true);
        kend_waits_close(http->parts.waits);
        kend_tasks_close(http->tasks);
        for (int64_t end = kend_monotonic_ms() + KEND_HTTP_GRACE_MS; atomic_load(&http->requests) && kend_monotonic_ms() < end;)
            usleep(SERVER_GRACE_LOOK_US);
        MHD_stop_daemon(http->daemon);
    }
    if (http->socket >= 0) close(http->socket);
    kend_shares_destroy(&http->memory_shares);
    kend_shares_destroy(&http->stream_shares);
    kend_shares_destroy(&http->shares);
    kend_tasks_destroy(&http->tasks);
    kend_comparisons_destroy(&http->comparisons);
    kend_rates_destroy(&http->rates);
    kend_connections_destroy(&http->connections);
    kend_tls_destroy(&http->tls);
    free(http->base_url);
    free(http);
}
