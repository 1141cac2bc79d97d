/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP side of kend: libmicrohttpd, its threads, and what their requests share. */
#ifndef KEND_HTTP_SERVER_H
#define KEND_HTTP_SERVER_H

#include "artifacts/artifacts.h"
#include "auth/sessions.h"
#include "conf.h"
#include "fetch/fetch.h"
#include "http/connections.h"
#include "http/host.h"
#include "http/metrics.h"
#include "http/rates.h"
#include "http/shares.h"
#include "http/tls.h"
#include "http/wait.h"
#include "jobs/engine.h"
#include "jobs/store.h"

#include <microhttpd.h>
#include <stdatomic.h>

/* Borrowed until kend_http_destroy. */
struct kend_http_parts {
    const struct kend_conf *conf;
    struct kend_store *store;
    struct kend_artifacts *artifacts;
    struct kend_fetcher *fetcher;
    struct kend_engine *engine;
    struct kend_waits *waits;
    struct kend_tokens *tokens; /* NULL: no request needs one */
    struct kend_sessions *sessions;
};

/* symbol, name: what SIGHUP has read anew. */
#define KEND_RELOAD_MAP(X)          \
    X(KEND_RELOAD_TOKENS, "tokens") \
    X(KEND_RELOAD_CERTIFICATE, "certificate")
#define X(symbol, name) symbol,
enum kend_reload { KEND_RELOAD_MAP(X) KEND_RELOAD_COUNT };
#undef X

/* Seen by the files of http/ alone. */
struct kend_http {
    struct kend_http_parts parts;
    struct MHD_Daemon *daemon;
    int socket;
    struct kend_hosts hosts;
    struct kend_tls *tls; /* or NULL */
    struct kend_connections *connections;
    struct kend_rates *rates;          /* or NULL: as often as they like */
    struct kend_shares *shares;        /* or NULL: as many may wait as there is room for */
    struct kend_shares *stream_shares; /* the same of streams */
    struct kend_shares *memory_shares; /* bytes of held_bytes */
    struct kend_tasks *tasks;
    struct kend_comparisons *comparisons;
    char *base_url;                               /* what absolute URLs begin with, without a final '/' */
    bool secure;                                  /* browsers come over https */
    bool hsts;                                    /* ... and may be told to stay there: nothing else has that name */
    atomic_bool reload_failed[KEND_RELOAD_COUNT]; /* the last time */
    atomic_bool draining;
    atomic_bool ending;       /* each connection ends with its next answer */
    atomic_bool no_space;     /* it has been logged that there is none */
    atomic_llong store_asked; /* monotonic ms of when store_state was told; 0: never */
    atomic_int store_state;   /* enum kend_store_result */
    atomic_size_t held_bytes; /* bodies and large answers in memory */
    atomic_uint requests;     /* begun and not yet closed */
    struct kend_http_metrics metrics;
    int64_t started; /* ms since 1970 */
};

/* Binds http.listen; connections are accepted by the kernel from here on and answered after kend_http_start. KEN_EINVAL for an option,
 * KEN_EIO for an address that cannot be had. */
int kend_http_create(struct kend_http **http, const struct kend_conf *conf, struct ken_error *error);
/* Starts to answer, and logs that kend is ready. */
int kend_http_start(struct kend_http *http, const struct kend_http_parts *parts, struct ken_error *error);
/* Has tokens and certificates read anew (SIGHUP). */
void kend_http_reload(struct kend_http *http);
/* From now on no new jobs and not ready; everything else is still answered. */
void kend_http_drain(struct kend_http *http);
/* Lets what is being answered end within KEND_HTTP_GRACE_MS (waiting requests are answered now), then ends connections and threads. */
enum { KEND_HTTP_GRACE_MS = 2000 };
void kend_http_destroy(struct kend_http **http);

#endif
