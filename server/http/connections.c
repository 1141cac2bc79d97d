/* SPDX-License-Identifier: Apache-2.0 */
#include "http/connections.h"

#include "clock.h"
#include "http/hash.h"
#include "http/raw.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CONNECTION_MAGIC = 0x6b636f6e,
    CONNECTION_LOOK_MS = 250,
    /* How long one that got a 408 stays: closing a socket on unread bytes would destroy the answer on its way. */
    CONNECTION_PARTING_MS = 1000,
    /* A new connection that has not sent a header for so long, or a body that is not whole by then, may be given up for another one. */
    CONNECTION_PATIENCE_MS = 1000,
    CONNECTION_RESERVE = 8,           /* one in so many is kept free while others can be given up */
    CONNECTION_SEND_BYTES = 64 << 10, /* of an answer, in http.send_seconds */
};

#define CONNECTION_NOT_LOOKED UINT64_MAX

TAILQ_HEAD(phase, kend_connection);

struct kend_connections {
    const struct kend_conf *conf;
    struct kend_http_metrics *metrics;
    char *timeout; /* body of a 408 */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool ending;
    uint32_t open, cut;                         /* cut: those of `open` that libmicrohttpd is yet to close */
    struct phase phase[KEND_CONNECTION_PHASES]; /* each with the earliest deadline first, since all of a phase last the same time */
    struct kend_clients clients;
};

/* ---- phases, with the lock held */

static int64_t phase_ms(const struct kend_conf *conf, enum kend_connection_phase phase)
{
    const int64_t header = (int64_t)conf->http_header_seconds * 1000;
    switch (phase) {
    case KEND_CONNECTION_FRESH: return header;
    case KEND_CONNECTION_IDLE: return (int64_t)conf->http_idle_seconds * 1000 + header;
    case KEND_CONNECTION_BODY: return (int64_t)conf->http_body_seconds * 1000;
    case KEND_CONNECTION_SENDS: return (int64_t)conf->http_send_seconds * 1000;
    default: return CONNECTION_PARTING_MS;
    }
}

static void phase_enter(struct kend_connections *connections, struct kend_connection *connection, enum kend_connection_phase phase)
{
    connection->phase = phase;
    connection->deadline = kend_monotonic_ms() + phase_ms(connections->conf, phase);
    TAILQ_INSERT_TAIL(&connections->phase[phase], connection, order);
}

static void phase_change(struct kend_connections *connections, struct kend_connection *connection, enum kend_connection_phase phase)
{
    TAILQ_REMOVE(&connections->phase[connection->phase], connection, order);
    phase_enter(connections, connection, phase);
}

/* Has libmicrohttpd find the connection closed by its client: only the thread that it belongs to may close it. */
static void cut(struct kend_connections *connections, struct kend_connection *connection)
{
    shutdown(connection->socket, SHUT_RDWR);
    phase_change(connections, connection, KEND_CONNECTION_CUT);
    connections->cut++;
}

static void refuse(struct kend_connections *connections, struct kend_connection *connection, enum kend_refusal reason)
{
    kend_http_metrics_refused(connections->metrics, reason);
    cut(connections, connection);
}

/*
 * Answers 408. libmicrohttpd takes no answer before the body's end; but until then it sends nothing itself, so this comes between no two
 * bytes of its own. Under TLS, nobody else can send anything.
 */
static void part(struct kend_connections *connections, struct kend_connection *connection)
{
    char answer[KEND_RAW_SIZE];
    if (connection->encrypted) {
        refuse(connections, connection, KEND_REFUSED_BODY);
        return;
    }
    kend_http_metrics_refused(connections->metrics, KEND_REFUSED_BODY);
    const size_t length = kend_raw_answer(answer, PROTO_REQUEST_TIMEOUT, connection->request, connections->timeout);
    ssize_t sent = send(connection->socket, answer, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == (ssize_t)length) connection->parted_bytes = strlen(connections->timeout); /* else its client does not read */
    shutdown(connection->socket, SHUT_WR);
    connection->parted = true;
    phase_change(connections, connection, KEND_CONNECTION_PARTED);
}

/*
 * Whether its client has taken enough since this was asked last: what its machine has acknowledged, since libmicrohttpd tells nobody how
 * far it is. The first time only looks.
 */
static bool takes_enough(struct kend_connection *connection)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    const uint64_t before = connection->taken;
    if (getsockopt(connection->socket, IPPROTO_TCP, TCP_INFO, &info, &size) < 0) return true;
    connection->taken = info.tcpi_bytes_acked;
    return before == CONNECTION_NOT_LOOKED || connection->taken - before >= CONNECTION_SEND_BYTES;
}

static void expire_sending(struct kend_connections *connections, struct kend_connection *connection)
{
    if (takes_enough(connection))
        phase_change(connections, connection, KEND_CONNECTION_SENDS);
    else
        refuse(connections, connection, KEND_REFUSED_SEND);
}

static void expire(struct kend_connections *connections, struct kend_connection *connection)
{
    switch (connection->phase) {
    case KEND_CONNECTION_BODY: part(connections, connection); break;
    case KEND_CONNECTION_SENDS: expire_sending(connections, connection); break;
    case KEND_CONNECTION_PARTED: cut(connections, connection); break;
    default: refuse(connections, connection, KEND_REFUSED_HEADER); break;
    }
}

/* So many may be taken; the rest is kept free. */
static uint32_t plenty(const struct kend_connections *connections)
{
    const uint32_t most = (uint32_t)connections->conf->http_max_connections;
    return most - (most / CONNECTION_RESERVE ? most / CONNECTION_RESERVE : 1);
}

static bool is_scarce(const struct kend_connections *connections)
{
    return connections->open - connections->cut > plenty(connections);
}

/* Whether one more of this address is not even told that it is one too many: that takes a connection, too, and others shall find one. */
static bool is_beyond(const struct kend_connections *connections, const struct kend_client_state *address)
{
    const uint64_t most = connections->conf->http_max_connections_per_address, all = plenty(connections);
    const uint64_t answered = 2 * most < all ? 2 * most : all;
    return most && address->connections > (answered > most ? answered : most);
}

/* Of the bodies that have been coming for a while, the oldest of the address that has the most connections. */
static struct kend_connection *slow_body(struct kend_connections *connections)
{
    const int64_t late = kend_monotonic_ms() - CONNECTION_PATIENCE_MS + phase_ms(connections->conf, KEND_CONNECTION_BODY);
    struct kend_connection *slow = NULL, *connection;
    TAILQ_FOREACH(connection, &connections->phase[KEND_CONNECTION_BODY], order)
    {
        if (connection->deadline > late) break;
        if (!slow || connection->address->connections > slow->address->connections) slow = connection;
    }
    return slow;
}

/*
 * Gives up connections so that others are let in, since at the limit libmicrohttpd accepts none: those that nothing is asked on, the oldest
 * first, and then those that are slow to say what they ask.
 */
static void make_room(struct kend_connections *connections)
{
    while (is_scarce(connections)) {
        struct kend_connection *spare = TAILQ_FIRST(&connections->phase[KEND_CONNECTION_IDLE]);
        struct kend_connection *fresh = TAILQ_FIRST(&connections->phase[KEND_CONNECTION_FRESH]);
        const int64_t header = phase_ms(connections->conf, KEND_CONNECTION_FRESH);
        if (!spare && fresh && kend_monotonic_ms() >= fresh->deadline - header + CONNECTION_PATIENCE_MS) spare = fresh;
        if (!spare) spare = slow_body(connections);
        if (!spare) return;
        refuse(connections, spare, KEND_REFUSED_CONNECTIONS);
    }
}

/* ---- the thread */

static void look(struct kend_connections *connections)
{
    const int64_t now = kend_monotonic_ms();
    for (enum kend_connection_phase phase = 0; phase < KEND_CONNECTION_BUSY; phase++)
        for (struct kend_connection *first; (first = TAILQ_FIRST(&connections->phase[phase])) && first->deadline <= now;)
            expire(connections, first);
    make_room(connections);
}

static void *connections_thread(void *opaque)
{
    struct kend_connections *connections = opaque;
    pthread_mutex_lock(&connections->lock);
    while (!connections->ending) {
        look(connections);
        const int64_t next = kend_monotonic_ms() + CONNECTION_LOOK_MS;
        const struct timespec when = {.tv_sec = next / 1000, .tv_nsec = next % 1000 * 1000000};
        if (connections->open)
            pthread_cond_timedwait(&connections->wake, &connections->lock, &when);
        else
            pthread_cond_wait(&connections->wake, &connections->lock);
    }
    pthread_mutex_unlock(&connections->lock);
    return NULL;
}

/* ---- for others */

static char *timeout_text(const struct kend_conf *conf)
{
    char detail[128];
    snprintf(detail, sizeof detail, "the body did not come whole within http.body_seconds (%llu)",
             (unsigned long long)conf->http_body_seconds);
    return kend_raw_body(PROTO_REQUEST_TIMEOUT, detail);
}

int kend_connections_create(struct kend_connections **out, const struct kend_conf *conf, struct kend_http_metrics *metrics,
                            struct ken_error *error)
{
    pthread_condattr_t monotonic;
    struct kend_connections *connections = calloc(1, sizeof *connections);
    *out = NULL;
    if (connections) connections->timeout = timeout_text(conf);
    if (!connections || !connections->timeout) {
        free(connections);
        return ken_fail(error, KEN_ENOMEM, "out of memory");
    }
    connections->conf = conf;
    connections->metrics = metrics;
    connections->clients.seed = kend_hash_seed();
    for (int i = 0; i < KEND_CONNECTION_PHASES; i++) TAILQ_INIT(&connections->phase[i]);
    pthread_mutex_init(&connections->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&connections->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int failure = pthread_create(&connections->thread, NULL, connections_thread, connections);
    if (!failure) {
        *out = connections;
        return KEN_OK;
    }
    pthread_cond_destroy(&connections->wake);
    pthread_mutex_destroy(&connections->lock);
    free(connections->timeout);
    free(connections);
    return ken_fail_errno(error, failure, "starting the thread of connections");
}

void kend_connections_destroy(struct kend_connections **out)
{
    struct kend_connections *connections = *out;
    if (!connections) return;
    *out = NULL;
    pthread_mutex_lock(&connections->lock);
    KEN_ASSERT(!connections->open);
    connections->ending = true;
    pthread_cond_signal(&connections->wake);
    pthread_mutex_unlock(&connections->lock);
    pthread_join(connections->thread, NULL);
    pthread_cond_destroy(&connections->wake);
    pthread_mutex_destroy(&connections->lock);
    free(connections->timeout);
    free(connections);
}

struct kend_connection *kend_connections_open(struct kend_connections *connections, struct MHD_Connection *library, int socket,
                                              const struct sockaddr *address, bool encrypted)
{
    const uint64_t most = connections->conf->http_max_connections_per_address;
    struct kend_connection *connection = calloc(1, sizeof *connection);
    if (!connection) {
        shutdown(socket, SHUT_RDWR);
        return NULL;
    }
    connection->magic = CONNECTION_MAGIC;
    connection->library = library;
    connection->thread = pthread_self();
    connection->socket = socket;
    connection->encrypted = encrypted;
    kend_client_of(&connection->client, address);
    pthread_mutex_lock(&connections->lock);
    connection->address = kend_clients_enter(&connections->clients, &connection->client);
    if (!connection->address) {
        pthread_mutex_unlock(&connections->lock);
        shutdown(socket, SHUT_RDWR);
        free(connection);
        return NULL;
    }
    if (!connections->open++) pthread_cond_signal(&connections->wake);
    phase_enter(connections, connection, KEND_CONNECTION_FRESH);
    connection->surplus = most && connection->address->connections > most;
    if (is_beyond(connections, connection->address)) refuse(connections, connection, KEND_REFUSED_ADDRESS);
    make_room(connections);
    pthread_mutex_unlock(&connections->lock);
    return connection;
}

void kend_connections_close(struct kend_connections *connections, struct kend_connection *connection)
{
    KEN_ASSERT(connection->magic == CONNECTION_MAGIC);
    pthread_mutex_lock(&connections->lock);
    TAILQ_REMOVE(&connections->phase[connection->phase], connection, order);
    connections->open--;
    if (connection->phase == KEND_CONNECTION_CUT) connections->cut--;
    kend_clients_leave(&connections->clients, connection->address);
    pthread_mutex_unlock(&connections->lock);
    connection->magic = 0;
    free(connection);
}

/* Into another phase, unless it has been given up. */
static bool go_on(struct kend_connections *connections, struct kend_connection *connection, enum kend_connection_phase phase,
                  const char *request)
{
    KEN_ASSERT(connection->magic == CONNECTION_MAGIC);
    pthread_mutex_lock(&connections->lock);
    bool alive = connection->phase != KEND_CONNECTION_PARTED && connection->phase != KEND_CONNECTION_CUT;
    connection->request = request;
    if (alive && connection->phase != phase) phase_change(connections, connection, phase);
    if (alive && phase == KEND_CONNECTION_IDLE) make_room(connections);
    pthread_mutex_unlock(&connections->lock);
    return alive;
}

bool kend_connection_reads(struct kend_connections *connections, struct kend_connection *connection, const char *request)
{
    return go_on(connections, connection, KEND_CONNECTION_BODY, request);
}

bool kend_connection_answers(struct kend_connections *connections, struct kend_connection *connection)
{
    return go_on(connections, connection, KEND_CONNECTION_BUSY, NULL);
}

void kend_connection_sends(struct kend_connections *connections, struct kend_connection *connection)
{
    if (!connections->conf->http_send_seconds) return;
    connection->taken = CONNECTION_NOT_LOOKED;
    go_on(connections, connection, KEND_CONNECTION_SENDS, NULL);
}

bool kend_connection_rests(struct kend_connections *connections, struct kend_connection *connection)
{
    return !go_on(connections, connection, KEND_CONNECTION_IDLE, NULL) && connection->parted;
}

uint64_t kend_connection_parted_bytes(const struct kend_connection *connection)
{
    return connection->parted_bytes;
}

/* Whether this thread's library has read the connection's head to its end, or stopped reading it, and has queued no answer: its own to
 * another one may still be on its way. */
static bool is_given_up(const struct kend_connection *connection)
{
    return pthread_equal(connection->thread, pthread_self()) &&
           MHD_get_connection_info(connection->library, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE) &&
           !MHD_get_connection_info(connection->library, MHD_CONNECTION_INFO_HTTP_STATUS);
}

struct kend_connection *kend_connections_given_up(struct kend_connections *connections)
{
    struct kend_connection *connection, *found = NULL;
    pthread_mutex_lock(&connections->lock);
    for (enum kend_connection_phase phase = KEND_CONNECTION_FRESH; phase <= KEND_CONNECTION_IDLE && !found; phase++)
        TAILQ_FOREACH(connection, &connections->phase[phase], order)
        {
            if (is_given_up(connection)) found = connection;
        }
    pthread_mutex_unlock(&connections->lock);
    return found;
}

void kend_connection_end(struct kend_connections *connections, struct kend_connection *connection)
{
    KEN_ASSERT(connection->magic == CONNECTION_MAGIC);
    pthread_mutex_lock(&connections->lock);
    if (connection->phase != KEND_CONNECTION_CUT) cut(connections, connection);
    pthread_mutex_unlock(&connections->lock);
}

bool kend_connection_hold(struct kend_connections *connections, struct kend_connection *connection, size_t bytes)
{
    const struct kend_conf *conf = connections->conf;
    struct kend_client_state *address = connection->address;
    pthread_mutex_lock(&connections->lock);
    const bool fits = !conf->http_max_connections_per_address || address->held == connection->held ||
                      address->held + bytes <= conf->http_max_memory / KEND_MEMORY_SHARE;
    if (fits) {
        address->held += bytes;
        connection->held += bytes;
    }
    pthread_mutex_unlock(&connections->lock);
    return fits;
}

void kend_connection_let_go(struct kend_connections *connections, struct kend_connection *connection, size_t bytes)
{
    pthread_mutex_lock(&connections->lock);
    connection->address->held -= bytes;
    connection->held -= bytes;
    pthread_mutex_unlock(&connections->lock);
}

bool kend_connections_are_scarce(struct kend_connections *connections)
{
    pthread_mutex_lock(&connections->lock);
    bool scarce = is_scarce(connections);
    pthread_mutex_unlock(&connections->lock);
    return scarce;
}

uint32_t kend_connections_count(struct kend_connections *connections)
{
    pthread_mutex_lock(&connections->lock);
    uint32_t open = connections->open;
    pthread_mutex_unlock(&connections->lock);
    return open;
}
