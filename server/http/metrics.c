/* SPDX-License-Identifier: Apache-2.0 */
#include "http/metrics.h"

#include "http/disk.h"
#include "http/ready.h"
#include "http/respond.h"
#include "process.h"
#include "selection/kernel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int statuses[KEND_STATUS_COUNT] = {
#define X(code) code,
    KEND_STATUS_MAP(X)
#undef X
};
static const uint64_t request_buckets[KEND_REQUEST_BUCKET_COUNT] = KEND_REQUEST_BUCKETS;
static const double stage_buckets[KEND_STAGE_BUCKET_COUNT] = KEND_STAGE_BUCKETS;

/* symbol, name, type, help: every family of /metrics. */
#define METRIC_MAP(X)                                                                                                                   \
    X(JOBS_TOTAL, "kend_jobs_total", "counter", "Jobs that ended since start, by status.")                                              \
    X(JOB_ERRORS, "kend_job_errors_total", "counter", "Jobs that failed since start, by the code of their error.")                      \
    X(JOBS, "kend_jobs", "gauge", "Jobs in the store, by status.")                                                                      \
    X(QUEUE_OLDEST, "kend_queue_oldest_seconds", "gauge", "Age of the oldest queued job; 0 if none is.")                                \
    X(QUEUE_OWNERS, "kend_queue_owners", "gauge", "Owners that have queued jobs.")                                                      \
    X(STAGE_SECONDS, "kend_job_stage_seconds", "histogram", "Time that jobs spent in a stage.")                                         \
    X(FETCH_BYTES, "kend_fetch_bytes_total", "counter", "Bytes of inputs received since start.")                                        \
    X(CACHE_BYTES, "kend_cache_bytes", "gauge", "Bytes that the cache of inputs holds.")                                                \
    X(ARTIFACT_BYTES, "kend_artifact_bytes", "gauge", "Bytes of the artifacts of all jobs in the store.")                               \
    X(STORE_BYTES, "kend_store_bytes", "gauge", "Disk of the job store: used, and left by removed jobs.")                               \
    X(EVICTED, "kend_artifact_evicted_bytes_total", "counter", "Disk that artifacts gave up to make room since start.")                 \
    X(DISK_FREE, "kend_disk_free_bytes", "gauge", "Free bytes of the file system that a folder lies on.")                               \
    X(DISK_AVAILABLE, "kend_disk_available_bytes", "gauge",                                                                             \
      "Bytes that jobs can take there: free beside the reserve, or given up by the cache.")                                             \
    X(DISK_RESERVE, "kend_disk_reserve_bytes", "gauge", "disk.reserve_bytes: free bytes that are never used.")                          \
    X(PRUNED, "kend_pruned_parameters_total", "counter", "Parameters pruned since start, by method.")                                   \
    X(REQUESTS, "kend_http_requests_total", "counter", "HTTP requests answered since start.")                                           \
    X(REQUEST_SECONDS, "kend_http_request_seconds", "histogram", "Time to answer, without ?wait= and alike.")                           \
    X(REFUSED, "kend_http_refused_total", "counter", "What a limit refused since start, by the limit.")                                 \
    X(CONNECTIONS, "kend_http_connections", "gauge", "Open connections.")                                                               \
    X(WAITING, "kend_http_waiting", "gauge", "Requests that wait: ?wait= and dry runs.")                                                \
    X(STREAMS, "kend_http_streams", "gauge", "Open streams of events.")                                                                 \
    X(TLS_END, "kend_tls_certificate_expiration_timestamp_seconds", "gauge", "Until when the certificate is good, seconds since 1970.") \
    X(RELOADED, "kend_last_reload_successful", "gauge", "1 if this was read at the last SIGHUP; 0: what was read before still holds.")  \
    X(READY, "kend_ready", "gauge", "1 if /readyz answers 200, else 0.")                                                                \
    X(UNREADY, "kend_not_ready", "gauge", "1 if this is a reason for /readyz not to answer 200, else 0.")                               \
    X(BUILD_INFO, "kend_build_info", "gauge", "Always 1.")                                                                              \
    X(CPU, "process_cpu_seconds_total", "counter", "User and system processor time.")                                                   \
    X(STARTED, "process_start_time_seconds", "gauge", "When the process started, seconds since 1970.")                                  \
    X(RESIDENT, "process_resident_memory_bytes", "gauge", "Resident memory.")                                                           \
    X(VIRTUAL, "process_virtual_memory_bytes", "gauge", "Virtual memory.")                                                              \
    X(OPEN_FILES, "process_open_fds", "gauge", "Open file descriptors.")                                                                \
    X(MAX_FILES, "process_max_fds", "gauge", "Most file descriptors that may be open.")
#define X(symbol, name, type, help) METRIC_##symbol,
enum metric { METRIC_MAP(X) METRIC_COUNT };
#undef X
static const struct {
    const char *name, *type, *help;
} metrics_families[METRIC_COUNT] = {
#define X(symbol, name, type, help) {name, type, help},
    METRIC_MAP(X)
#undef X
};

void kend_http_metrics_count(struct kend_http_metrics *metrics, enum kend_route_index route, enum kend_method method, int status,
                             uint64_t microseconds)
{
    size_t code = 0, bucket = 0;
    while (code < KEND_STATUS_COUNT && statuses[code] != status) code++;
    KEN_ASSERT(code < KEND_STATUS_COUNT);
    while (bucket < KEND_REQUEST_BUCKET_COUNT && microseconds > request_buckets[bucket]) bucket++;
    atomic_fetch_add_explicit(&metrics->requests[route][method][code], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&metrics->bucket[route][bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&metrics->microseconds[route], microseconds, memory_order_relaxed);
}

void kend_http_metrics_refused(struct kend_http_metrics *metrics, enum kend_refusal reason)
{
    atomic_fetch_add_explicit(&metrics->refused[reason], 1, memory_order_relaxed);
}

static const char *metric(enum metric metric_, FILE *out)
{
    const char *name = metrics_families[metric_].name;
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, metrics_families[metric_].help, name, metrics_families[metric_].type);
    return name;
}

/* A family of one series. */
static void print_number(enum metric metric_, uint64_t number, FILE *out)
{
    fprintf(out, "%s %" PRIu64 "\n", metric(metric_, out), number);
}

static const char *route_name(size_t route)
{
    return route == KEND_ROUTE_COUNT ? "other" : kend_routes[route].pattern;
}

static void print_requests(struct kend_http_metrics *metrics, FILE *out)
{
    const char *name = metric(METRIC_REQUESTS, out);
    for (size_t route = 0; route <= KEND_ROUTE_COUNT; route++)
        for (size_t method = 0; method < KEND_METHOD_COUNT; method++)
            for (size_t code = 0; code < KEND_STATUS_COUNT; code++) {
                unsigned long long count = atomic_load_explicit(&metrics->requests[route][method][code], memory_order_relaxed);
                if (count)
                    fprintf(out, "%s{route=\"%s\",method=\"%s\",code=\"%d\"} %llu\n", name, route_name(route),
                            kend_method_name((enum kend_method)method), statuses[code], count);
            }
}

/* Routes that share a path share its series: they are added up into the first of them. */
static bool is_first_of_path(size_t route)
{
    for (size_t i = 0; i < route; i++)
        if (strcmp(route_name(i), route_name(route)) == 0) return false;
    return true;
}

static void print_request_seconds(struct kend_http_metrics *metrics, FILE *out)
{
    const char *name = metric(METRIC_REQUEST_SECONDS, out);
    for (size_t route = 0; route <= KEND_ROUTE_COUNT; route++) {
        unsigned long long bucket[KEND_REQUEST_BUCKET_COUNT + 1] = {0}, sum = 0, count = 0;
        if (!is_first_of_path(route)) continue;
        for (size_t same = route; same <= KEND_ROUTE_COUNT; same++) {
            if (strcmp(route_name(same), route_name(route)) != 0) continue;
            for (size_t i = 0; i <= KEND_REQUEST_BUCKET_COUNT; i++)
                bucket[i] += atomic_load_explicit(&metrics->bucket[same][i], memory_order_relaxed);
            sum += atomic_load_explicit(&metrics->microseconds[same], memory_order_relaxed);
        }
        for (size_t i = 0; i < KEND_REQUEST_BUCKET_COUNT; i++) {
            count += bucket[i];
            fprintf(out, "%s_bucket{route=\"%s\",le=\"%g\"} %llu\n", name, route_name(route), (double)request_buckets[i] / 1e6, count);
        }
        count += bucket[KEND_REQUEST_BUCKET_COUNT];
        fprintf(out, "%s_bucket{route=\"%s\",le=\"+Inf\"} %llu\n", name, route_name(route), count);
        fprintf(out, "%s_sum{route=\"%s\"} %.6f\n", name, route_name(route), (double)sum / 1e6);
        fprintf(out, "%s_count{route=\"%s\"} %llu\n", name, route_name(route), count);
    }
}

static void print_limits(struct kend_http *http, FILE *out)
{
    static const char *const reasons[] = {
#define X(symbol, text) text,
        KEND_REFUSAL_MAP(X)
#undef X
    };
    const char *name = metric(METRIC_REFUSED, out);
    for (size_t i = 0; i < KEND_REFUSAL_COUNT; i++)
        fprintf(out, "%s{reason=\"%s\"} %llu\n", name, reasons[i], atomic_load_explicit(&http->metrics.refused[i], memory_order_relaxed));
    print_number(METRIC_CONNECTIONS, kend_connections_count(http->connections), out);
    print_number(METRIC_WAITING, kend_waits_count(http->parts.waits), out);
    print_number(METRIC_STREAMS, kend_waits_streams(http->parts.waits), out);
}

/* Without the store these families are left out; the others still tell what goes on. */
static void print_store(struct kend_store *store, FILE *out)
{
    struct kend_store_counts counts;
    if (store->ops->counts(store, &counts) != KEND_STORE_OK) return;
    const char *name = metric(METRIC_JOBS, out);
    for (size_t i = 0; i < PROTO_STATUS_COUNT; i++)
        fprintf(out, "%s{status=\"%s\"} %" PRIu64 "\n", name, proto_status_name((enum proto_status)i), counts.by_status[i]);
    int64_t age = counts.oldest_queued_at ? proto_now_ms() - counts.oldest_queued_at : 0;
    name = metric(METRIC_QUEUE_OLDEST, out);
    fprintf(out, "%s %.3f\n", name, age > 0 ? (double)age / 1000 : 0.0);
    print_number(METRIC_QUEUE_OWNERS, counts.owners_queued, out);
    print_number(METRIC_ARTIFACT_BYTES, counts.artifact_bytes, out);
    name = metric(METRIC_STORE_BYTES, out);
    fprintf(out, "%s{state=\"used\"} %" PRIu64 "\n%s{state=\"free\"} %" PRIu64 "\n", name, counts.store_bytes - counts.store_free, name,
            counts.store_free);
}

static void print_stages(const struct kend_engine_metrics *metrics, FILE *out)
{
    const char *name = metric(METRIC_STAGE_SECONDS, out);
    for (size_t stage = PROTO_CHECKING; stage < PROTO_STAGE_COUNT; stage++) {
        const char *label = proto_stage_name((enum proto_stage)stage);
        for (size_t i = 0; i < KEND_STAGE_BUCKET_COUNT; i++)
            fprintf(out, "%s_bucket{stage=\"%s\",le=\"%g\"} %" PRIu64 "\n", name, label, stage_buckets[i], metrics->stage[stage].bucket[i]);
        fprintf(out, "%s_bucket{stage=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, label, metrics->stage[stage].count);
        fprintf(out, "%s_sum{stage=\"%s\"} %.6f\n", name, label, metrics->stage[stage].sum);
        fprintf(out, "%s_count{stage=\"%s\"} %" PRIu64 "\n", name, label, metrics->stage[stage].count);
    }
}

static void print_engine(struct kend_engine *engine, FILE *out)
{
    struct kend_engine_metrics metrics;
    kend_engine_metrics(engine, &metrics);
    const char *name = metric(METRIC_JOBS_TOTAL, out);
    for (size_t i = 0; i < PROTO_STATUS_COUNT; i++)
        if (proto_status_is_terminal((enum proto_status)i))
            fprintf(out, "%s{status=\"%s\"} %" PRIu64 "\n", name, proto_status_name((enum proto_status)i), metrics.jobs_total[i]);
    name = metric(METRIC_JOB_ERRORS, out);
    for (size_t i = 0; i < PROTO_JOB_ERROR_COUNT; i++)
        fprintf(out, "%s{error=\"%s\"} %" PRIu64 "\n", name, proto_job_error_code((enum proto_job_error)i), metrics.errors_total[i]);
    print_stages(&metrics, out);
    name = metric(METRIC_PRUNED, out);
    for (size_t i = 0; i < KEN_METHOD_COUNT; i++)
        fprintf(out, "%s{method=\"%s\"} %" PRIu64 "\n", name, ken_method_name((enum ken_method)i), metrics.pruned_parameters[i]);
    print_number(METRIC_EVICTED, metrics.evicted_bytes, out);
}

static void print_fetcher(struct kend_fetcher *fetcher, FILE *out)
{
    static const char *const sources[] = {"http", "file"};
    const char *name = metric(METRIC_FETCH_BYTES, out);
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        fprintf(out, "%s{source=\"%s\"} %" PRIu64 "\n", name, sources[i], kend_fetcher_received(fetcher, sources[i]));
    print_number(METRIC_CACHE_BYTES, kend_fetcher_cache_bytes(fetcher), out);
}

/* A folder whose file system does not tell is left out. */
static void print_disks(const struct kend_http_parts *parts, FILE *out)
{
    struct kend_disk_room rooms[KEND_DISK_COUNT];
    bool known[KEND_DISK_COUNT];
    const char *name = metric(METRIC_DISK_FREE, out);
    for (int i = 0; i < KEND_DISK_COUNT; i++) {
        known[i] = kend_disk_room(parts, (enum kend_disk)i, &rooms[i]);
        if (known[i]) fprintf(out, "%s{folder=\"%s\"} %" PRIu64 "\n", name, kend_disk_name((enum kend_disk)i), rooms[i].free);
    }
    name = metric(METRIC_DISK_AVAILABLE, out);
    for (int i = 0; i < KEND_DISK_COUNT; i++)
        if (known[i]) fprintf(out, "%s{folder=\"%s\"} %" PRIu64 "\n", name, kend_disk_name((enum kend_disk)i), rooms[i].available);
    print_number(METRIC_DISK_RESERVE, parts->conf->disk_reserve_bytes, out);
}

static void print_readiness(struct kend_http *http, FILE *out)
{
    bool reasons[KEND_UNREADY_COUNT];
    print_number(METRIC_READY, kend_is_ready(http, reasons), out);
    const char *name = metric(METRIC_UNREADY, out);
    for (int i = 0; i < KEND_UNREADY_COUNT; i++)
        fprintf(out, "%s{reason=\"%s\"} %d\n", name, proto_problem_code(kend_unready_reasons[i].problem), reasons[i]);
}

/* Only of what there is to read anew. */
static void print_reloads(struct kend_http *http, FILE *out)
{
    static const char *const names[] = {
#define X(symbol, text) text,
        KEND_RELOAD_MAP(X)
#undef X
    };
    const bool there[] = {[KEND_RELOAD_TOKENS] = http->parts.tokens, [KEND_RELOAD_CERTIFICATE] = http->tls};
    const int64_t end = http->tls ? kend_tls_end(http->tls) : 0;
    const char *name = metric(METRIC_RELOADED, out);
    for (int i = 0; i < KEND_RELOAD_COUNT; i++)
        if (there[i]) fprintf(out, "%s{what=\"%s\"} %d\n", name, names[i], !atomic_load(&http->reload_failed[i]));
    name = metric(METRIC_TLS_END, out);
    if (end) fprintf(out, "%s %" PRId64 "\n", name, end / 1000);
}

static void print_process(const struct kend_http *http, FILE *out)
{
    struct kend_process process;
    fprintf(out, "%s %.3f\n", metric(METRIC_STARTED, out), (double)http->started / 1000);
    if (!kend_process_read(&process)) return;
    fprintf(out, "%s %.3f\n", metric(METRIC_CPU, out), process.cpu_seconds);
    print_number(METRIC_RESIDENT, process.resident_bytes, out);
    print_number(METRIC_VIRTUAL, process.virtual_bytes, out);
    print_number(METRIC_OPEN_FILES, process.open_files, out);
    print_number(METRIC_MAX_FILES, process.max_files, out);
}

enum MHD_Result kend_route_metrics(struct kend_request *request)
{
    const struct kend_http_parts *parts = &request->http->parts;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out) return MHD_NO;
    print_engine(parts->engine, out);
    print_store(parts->store, out);
    print_fetcher(parts->fetcher, out);
    print_disks(parts, out);
    print_readiness(request->http, out);
    print_reloads(request->http, out);
    print_process(request->http, out);
    print_requests(&request->http->metrics, out);
    print_request_seconds(&request->http->metrics, out);
    print_limits(request->http, out);
    fprintf(out, "%s{version=\"%s\",kernel=\"%s\"} 1\n", metric(METRIC_BUILD_INFO, out), PACKAGE_VERSION, ken_kernel()->name);
    bool whole = fclose(out) == 0;
    struct MHD_Response *response = whole ? kend_response_text(request, text, length, "text/plain; version=0.0.4; charset=utf-8") : NULL;
    free(text);
    return kend_send(request, 200, response);
}
