/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include "artifacts/artifacts.h"
#include "auth/sessions.h"
#include "budget.h"
#include "fetch/fetch.h"
#include "data_folder.h"
#include "http/server.h"
#include "jobs/engine.h"
#include "jobs/store.h"
#include "log.h"
#include "prune/pool.h"
#include "selection/kernel.h"
#include "shutdown.h"
#include "token_file.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct daemon {
    const struct kend_conf *conf;
    struct kend_data_folder folder;
    struct kend_http *http;
    struct kend_store *store;
    struct kend_artifacts *artifacts;
    struct kend_fetcher *fetcher;
    struct kend_pool *pool;
    struct ken_budget *budget;
    struct kend_waits *waits;
    struct kend_engine *engine;
    struct kend_tokens *tokens; /* or NULL */
    struct kend_sessions *sessions;
};

/* What a file that is named in the configuration must be, before anything is touched. */
static int check_tokens(const struct kend_conf *conf, struct ken_error *error)
{
    struct proto_token_list list;
    const char *path = conf->auth_tokens_file;
    if (!*path) return KEN_OK;
    int rc = proto_token_list_read(&list, path, error);
    proto_token_list_clear(&list);
    if (rc == KEN_ENOT_FOUND)
        return ken_fail(error, rc, "auth.tokens_file: %s does not exist; kenctl token create --file %s --owner NAME --scope admin makes it",
                        path, path);
    return rc;
}

static int check_tls(const struct kend_conf *conf, struct ken_error *error)
{
    struct kend_tls *tls;
    int rc = kend_tls_create(&tls, conf, error);
    kend_tls_destroy(&tls);
    return rc;
}

static struct kend_fetch_options fetch_options(const struct kend_conf *conf)
{
    return (struct kend_fetch_options){
        .cache_dir = conf->cache_dir,
        .cache_max_bytes = conf->cache_max_bytes,
        .reserve_bytes = conf->disk_reserve_bytes,
        .allow_schemes = conf->fetch_allow_schemes,
        .allow_networks = conf->fetch_allow_networks,
        .allow_ports = conf->fetch_allow_ports,
        .file_roots = conf->fetch_file_roots,
        .max_bytes = conf->fetch_max_bytes,
        .connections = (unsigned)conf->fetch_connections,
        .ca_file = conf->fetch_ca_file,
        .proxy = conf->fetch_proxy,
        .connect_timeout_seconds = (unsigned)conf->fetch_connect_seconds,
        .stall_timeout_seconds = (unsigned)conf->fetch_stall_seconds,
        .least_rate = (unsigned)conf->fetch_least_rate,
        .retries = (unsigned)conf->fetch_retries,
    };
}

static int check_address(const struct kend_conf *conf, struct ken_error *error)
{
    struct kend_address address;
    return kend_address_parse(&address, conf->http_listen, error);
}

static int check_fetching(const struct kend_conf *conf, struct ken_error *error)
{
    const struct kend_fetch_options fetch = fetch_options(conf);
    return kend_fetcher_check(&fetch, error);
}

static int check_kernel(const struct kend_conf *conf, struct ken_error *error)
{
    return ken_kernel_find(conf->prune_kernel, error) ? KEN_OK : KEN_EINVALID;
}

bool kend_daemon_check(const struct kend_conf *conf, void (*tell)(const char *fault))
{
    static int (*const checks[])(const struct kend_conf *, struct ken_error *) = {check_address, check_tokens, check_tls, check_fetching,
                                                                                  check_kernel};
    bool good = true;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        struct ken_error error = {0};
        if (!checks[i](conf, &error)) continue;
        tell(error.message);
        good = false;
    }
    return good;
}

bool kend_daemon_check_store(const struct kend_conf *conf, void (*tell)(const char *fault))
{
    char message[256], *fault = NULL;
    if (kend_store_examine(conf->store_url, message) == KEND_STORE_OK) return true;
    tell(asprintf(&fault, "store.url: %s", message) < 0 ? message : fault);
    free(fault);
    return false;
}

/* Every connection, cached file and artifact takes a descriptor: as many as the system lets us have. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) kend_log(KEND_LOG_WARN, "the limit of open files cannot be raised");
}

static int open_store(struct daemon *daemon, struct ken_error *error)
{
    char message[256];
    if (kend_store_open(&daemon->store, daemon->conf->store_url, message) != KEND_STORE_OK)
        return ken_fail(error, KEN_EIO, "store.url: %s", message);
    daemon->store->keep_ms = (int64_t)daemon->conf->jobs_keep_days * 86400000;
    daemon->store->max_running_per_owner = (int64_t)daemon->conf->jobs_max_running_per_owner;
    return KEN_OK;
}

static int create_fetcher(struct daemon *daemon, struct ken_error *error)
{
    const struct kend_fetch_options options = fetch_options(daemon->conf);
    return kend_fetcher_create(&daemon->fetcher, &options, error);
}

static int create_budget(struct daemon *daemon, struct ken_error *error)
{
    daemon->budget = ken_budget_create(daemon->conf->prune_memory);
    return daemon->budget ? KEN_OK : ken_fail(error, KEN_ENOMEM, "out of memory");
}

static int create_engine(struct daemon *daemon, struct ken_error *error)
{
    const struct kend_parts parts = {
        .conf = daemon->conf,
        .store = daemon->store,
        .artifacts = daemon->artifacts,
        .fetcher = daemon->fetcher,
        .pool = daemon->pool,
        .budget = daemon->budget,
        .holder = daemon->folder.instance,
        .changed = kend_waits_changed,
        .removed = kend_waits_removed,
        .opaque = daemon->waits,
    };
    return kend_engine_create(&daemon->engine, &parts, error);
}

/*
 * The tokens file that is configured; without one, none where only this machine can ask or anybody may, else one in the data folder, which
 * is made with a first token.
 */
static int open_tokens(struct daemon *daemon, struct ken_error *error)
{
    const struct kend_conf *conf = daemon->conf;
    struct kend_address address;
    char *path = NULL, *admin_path = NULL;
    int rc = kend_address_parse(&address, conf->http_listen, error);
    if (rc) return rc;
    if (*conf->auth_tokens_file) return kend_tokens_open(&daemon->tokens, conf->auth_tokens_file, error);
    if (kend_address_is_loopback(&address) || conf->auth_allow_anonymous) return KEN_OK;
    if (asprintf(&path, "%s/tokens", conf->data) < 0) path = NULL;
    if (asprintf(&admin_path, "%s/admin.token", conf->data) < 0) admin_path = NULL;
    rc = path && admin_path ? kend_tokens_begin(path, admin_path, error) : ken_fail(error, KEN_ENOMEM, "out of memory");
    if (!rc) rc = kend_tokens_open(&daemon->tokens, path, error);
    free(path);
    free(admin_path);
    return rc;
}

static int start_http(struct daemon *daemon, struct ken_error *error)
{
    const struct kend_http_parts parts = {
        .conf = daemon->conf,
        .store = daemon->store,
        .artifacts = daemon->artifacts,
        .fetcher = daemon->fetcher,
        .engine = daemon->engine,
        .waits = daemon->waits,
        .tokens = daemon->tokens,
        .sessions = daemon->sessions,
    };
    return kend_http_start(daemon->http, &parts, error);
}

/* A quarter of the connections is left for those that do not wait: /livez is answered whoever waits. */
static int create_waits(struct daemon *daemon, struct ken_error *error)
{
    const struct kend_conf *conf = daemon->conf;
    const struct kend_wait_places most = {
        .streams = (uint32_t)conf->http_max_streams,
        .others = (uint32_t)conf->http_max_waiting,
        .all = (uint32_t)(conf->http_max_connections - conf->http_max_connections / 4),
    };
    return kend_waits_create(&daemon->waits, &most, error);
}

/* Builds everything, runs until a signal, takes everything down: a ladder, so that a failure on any rung undoes the rungs below. */
static int daemon_live(struct daemon *daemon, struct ken_error *error)
{
    const struct kend_conf *conf = daemon->conf;
    struct kend_shutdown *shutdown;
    int rc = kend_shutdown_create(&shutdown, error);
    if (rc) return rc;
    rc = kend_data_folder_open(&daemon->folder, conf->data, error);
    if (rc) goto no_folder;
    rc = open_tokens(daemon, error);
    if (rc) goto no_tokens;
    rc = kend_sessions_create(&daemon->sessions, (int64_t)conf->auth_session_idle_seconds * 1000,
                              (int64_t)conf->auth_session_seconds * 1000, error);
    if (rc) goto no_sessions;
    rc = kend_http_create(&daemon->http, conf, error);
    if (rc) goto no_http;
    rc = open_store(daemon, error);
    if (rc) goto no_store;
    rc = kend_artifacts_open(&daemon->artifacts, conf->artifacts_url, error);
    if (rc) goto no_artifacts;
    kend_pool_set_threads((unsigned)conf->prune_threads);
    rc = kend_pool_create(&daemon->pool, (unsigned)conf->prune_threads, error);
    if (rc) goto no_pool;
    rc = create_fetcher(daemon, error);
    if (rc) goto no_fetcher;
    rc = create_budget(daemon, error);
    if (rc) goto no_budget;
    rc = create_waits(daemon, error);
    if (rc) goto no_waits;
    rc = create_engine(daemon, error);
    if (rc) goto no_engine;
    rc = start_http(daemon, error);
    if (rc) goto no_start;

    kend_shutdown_wait(shutdown, daemon->engine, daemon->http, (unsigned)conf->jobs_drain_seconds);
    kend_http_destroy(&daemon->http);

no_start:
    kend_engine_destroy(&daemon->engine);
no_engine:
    kend_waits_destroy(&daemon->waits);
no_waits:
    ken_budget_destroy(&daemon->budget);
no_budget:
    kend_fetcher_destroy(&daemon->fetcher);
no_fetcher:
    kend_pool_destroy(&daemon->pool);
no_pool:
    kend_artifacts_close(&daemon->artifacts);
no_artifacts:
    kend_store_close(&daemon->store);
no_store:
    kend_http_destroy(&daemon->http);
no_http:
    kend_sessions_destroy(&daemon->sessions);
no_sessions:
    kend_tokens_close(&daemon->tokens);
no_tokens:
    kend_data_folder_close(&daemon->folder);
no_folder:
    kend_shutdown_destroy(&shutdown);
    return rc;
}

int kend_daemon_run(const struct kend_conf *conf)
{
    struct daemon daemon = {.conf = conf};
    struct ken_error error = {0};
    kend_log_setup(kend_log_level_of(conf->log_level), kend_log_format_of(conf->log_format));
    int rc = ken_kernel_choose(conf->prune_kernel, &error);
    kend_log(KEND_LOG_INFO, "kend starts", KEND_S("version", PACKAGE_VERSION), KEND_S("data", conf->data),
             KEND_S("kernel", ken_kernel()->name));
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors();
    if (rc == KEN_OK) rc = daemon_live(&daemon, &error);
    if (rc == KEN_OK) {
        kend_log(KEND_LOG_INFO, "kend ends");
        return EXIT_SUCCESS;
    }
    kend_log(KEND_LOG_ERROR, "kend cannot run", KEND_S("error", error.message));
    return EXIT_FAILURE;
}
