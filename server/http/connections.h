/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every connection, by what it does now: so many of one address, so long for a header and for a body, and some always free for those that
 * come. libmicrohttpd itself ends only connections on which nothing moves at all.
 */
#ifndef KEND_HTTP_CONNECTIONS_H
#define KEND_HTTP_CONNECTIONS_H

#include "conf.h"
#include "http/clients.h"
#include "http/metrics.h"

#include <pthread.h>
#include <sys/queue.h>
#include <sys/socket.h>

/* What a connection does; those before KEND_CONNECTION_BUSY have a deadline. */
enum kend_connection_phase {
    KEND_CONNECTION_FRESH,  /* has not sent a whole header yet */
    KEND_CONNECTION_IDLE,   /* rests between two requests; or sends the next one's header, which nobody tells */
    KEND_CONNECTION_BODY,   /* sends a body */
    KEND_CONNECTION_PARTED, /* was answered with 408; takes that with it */
    KEND_CONNECTION_SENDS,  /* sends an answer, as fast as its client takes it */
    KEND_CONNECTION_BUSY,   /* is answered, or waits: others look after it */
    KEND_CONNECTION_CUT,    /* libmicrohttpd will close it, as one whose client has gone */
    KEND_CONNECTION_PHASES
};

/* Holds a request's head and the buffers around it; larger heads are answered by libmicrohttpd itself with 431 or 414. */
enum { KEND_CONNECTION_MEMORY = 128 << 10 };
/* Of http.max_memory, those of one address, or of one owner, hold one in so many. */
enum { KEND_MEMORY_SHARE = 8 };

struct kend_connections;

/* One connection. Fields belong to connections.c, but for `tls` and those that are constant. */
struct kend_connection {
    unsigned magic;
    struct kend_client client;      /* constant */
    struct MHD_Connection *library; /* the same, as libmicrohttpd knows it; constant */
    pthread_t thread;               /* whose it is there; constant */
    void *tls;                      /* what tls.c keeps */
    int socket;
    bool encrypted;
    bool surplus;          /* more of its client than http.max_connections_per_address; constant */
    bool parted;           /* its last request was answered with 408 */
    uint64_t parted_bytes; /* of the body of that answer that were sent: all or none */
    enum kend_connection_phase phase;
    int64_t deadline; /* monotonic ms */
    uint64_t taken;   /* of what it sends: acknowledged by the begin of this time */
    const char *request;
    size_t held; /* bytes of its request */
    struct kend_client_state *address;
    TAILQ_ENTRY(kend_connection) order;
};

/* Starts the thread that looks at deadlines. conf and metrics are borrowed. KEN_ENOMEM, KEN_EIO. */
int kend_connections_create(struct kend_connections **connections, const struct kend_conf *conf, struct kend_http_metrics *metrics,
                            struct ken_error *error);
/* None may be open. */
void kend_connections_destroy(struct kend_connections **connections);

/* A connection was accepted by this thread. NULL if out of memory: its socket has been shut down then. */
struct kend_connection *kend_connections_open(struct kend_connections *connections, struct MHD_Connection *library, int socket,
                                              const struct sockaddr *address, bool encrypted);
/* It is about to be closed: from here on its socket is not touched. */
void kend_connections_close(struct kend_connections *connections, struct kend_connection *connection);

/*
 * A request's header is there, its body is awaited; `request` is its id, borrowed until one of the next two is called. False: it took too
 * long, and the connection is being closed.
 */
bool kend_connection_reads(struct kend_connections *connections, struct kend_connection *connection, const char *request);
/* The request is about to be answered. False: nothing more may be sent, it was answered with 408 or is being closed. */
bool kend_connection_answers(struct kend_connections *connections, struct kend_connection *connection);
/* Its answer is on its way: from now on 64 KiB of it have to be taken in each http.send_seconds, or it is closed. */
void kend_connection_sends(struct kend_connections *connections, struct kend_connection *connection);
/* The request has ended. True if it was answered with 408. */
bool kend_connection_rests(struct kend_connections *connections, struct kend_connection *connection);
/* The connection of this thread whose head libmicrohttpd refuses, as long as kend has not been told of a request; NULL if there is none. */
struct kend_connection *kend_connections_given_up(struct kend_connections *connections);
/* Has it closed; what was sent before arrives. Its own thread. */
void kend_connection_end(struct kend_connections *connections, struct kend_connection *connection);
/* Of the body of that 408, how many bytes were sent: all or none. */
uint64_t kend_connection_parted_bytes(const struct kend_connection *connection);

/*
 * Counts bytes that the connection's request is about to hold. False: all of its address would hold more than their share of
 * http.max_memory, and others than this one hold some. Without a limit of connections of an address, there is none of this.
 */
bool kend_connection_hold(struct kend_connections *connections, struct kend_connection *connection, size_t bytes);
void kend_connection_let_go(struct kend_connections *connections, struct kend_connection *connection, size_t bytes);

/* Whether so many are open that this one had better end with its answer. */
bool kend_connections_are_scarce(struct kend_connections *connections);
/* How many are open. */
uint32_t kend_connections_count(struct kend_connections *connections);

#endif
