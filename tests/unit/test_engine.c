/* SPDX-License-Identifier: Apache-2.0 */
/* The engine over a real store, folder and fetcher, with a store that can be told to fail in single operations. */
#include "conf.h"
#include "id.h"
#include "jobs/engine.h"
#include "made_pair.h"
#include "unit.h"
#include "unit_folder.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>

enum { WAIT_MS = 20000, LEASE_MS = 3000 };

/* The operations of the real store, and what is answered in place of calling them. KEND_STORE_OK: nothing is. */
static const struct kend_store_ops *real;
static atomic_int finish_fails, renew_fails, hand_back_fails, get_fails;
static atomic_int finish_calls, remove_ms;

static enum kend_store_result finish(struct kend_store *store, const char *id, const char *token, const struct kend_outcome *outcome)
{
    atomic_fetch_add(&finish_calls, 1);
    enum kend_store_result fails = (enum kend_store_result)atomic_load(&finish_fails);
    return fails ? fails : real->finish(store, id, token, outcome);
}

static enum kend_store_result renew(struct kend_store *store, const char *id, const char *token, int64_t now, int64_t lease_ms,
                                    bool *cancel)
{
    enum kend_store_result fails = (enum kend_store_result)atomic_load(&renew_fails);
    return fails ? fails : real->renew(store, id, token, now, lease_ms, cancel);
}

static enum kend_store_result hand_back(struct kend_store *store, const char *id, const char *token, int64_t now, const double *timings)
{
    enum kend_store_result fails = (enum kend_store_result)atomic_load(&hand_back_fails);
    return fails ? fails : real->hand_back(store, id, token, now, timings);
}

static enum kend_store_result get(struct kend_store *store, const char *id, const char *owner, struct kend_job **job)
{
    enum kend_store_result fails = (enum kend_store_result)atomic_load(&get_fails);
    return fails ? fails : real->get(store, id, owner, job);
}

static void pause_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static enum kend_store_result remove_slowly(struct kend_store *store, const char *id, const char *owner)
{
    pause_ms(atomic_load(&remove_ms));
    return real->remove(store, id, owner);
}

struct rig {
    struct unit_folder folder;
    struct made_pair pair;
    struct kend_conf *conf;
    struct kend_store_ops ops;
    struct kend_parts parts;
    struct kend_engine *engine;
    int silent; /* a socket that is connected to and never answers */
    char stalled[64];
    atomic_uint changes;
};

static void changed(void *opaque, const char *job, const char *owner)
{
    struct rig *rig = opaque;
    ck_assert(proto_id_is(job) && owner);
    atomic_fetch_add(&rig->changes, 1);
}

static void load_conf(struct rig *rig)
{
    char roots[128];
    snprintf(roots, sizeof roots, "fetch.file_roots=%s", rig->folder.path);
    char *set[] = {(char *)"jobs.lease_seconds=3",
                   (char *)"jobs.max_running=1",
                   (char *)"disk.reserve_bytes=0",
                   (char *)"fetch.allow_schemes=http,file",
                   (char *)"fetch.allow_networks=127.0.0.0/8",
                   roots,
                   (char *)"prune.threads=2"};
    const struct kend_conf_flags flags = {.data = rig->folder.path, .set = set, .set_count = sizeof set / sizeof *set};
    struct ken_error error;
    ck_assert_msg(kend_conf_load(&rig->conf, &flags, &error) == 0, "%s", error.message);
}

static void open_silent(struct rig *rig)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    rig->silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(rig->silent, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(rig->silent, 64), 0);
    ck_assert_int_eq(getsockname(rig->silent, (struct sockaddr *)&address, &length), 0);
    snprintf(rig->stalled, sizeof rig->stalled, "http://127.0.0.1:%u/m.safetensors", ntohs(address.sin_port));
}

static void open_parts(struct rig *rig)
{
    char message[256] = "";
    struct ken_error error = {0};
    const struct kend_conf *conf = rig->conf;
    const struct kend_fetch_options options = {.cache_dir = conf->cache_dir,
                                               .allow_schemes = conf->fetch_allow_schemes,
                                               .allow_networks = conf->fetch_allow_networks,
                                               .allow_ports = "",
                                               .file_roots = conf->fetch_file_roots,
                                               .connections = 1,
                                               .ca_file = "",
                                               .proxy = "",
                                               .connect_timeout_seconds = 60,
                                               .stall_timeout_seconds = 60,
                                               .least_rate = 1};
    rig->parts = (struct kend_parts){.conf = conf, .holder = "here", .changed = changed, .opaque = rig};
    ck_assert_msg(kend_store_open(&rig->parts.store, conf->store_url, message) == KEND_STORE_OK, "%s", message);
    real = rig->parts.store->ops;
    rig->ops = *real;
    rig->ops.finish = finish;
    rig->ops.renew = renew;
    rig->ops.hand_back = hand_back;
    rig->ops.get = get;
    rig->ops.remove = remove_slowly;
    rig->parts.store->ops = &rig->ops;
    ck_assert_msg(kend_artifacts_open(&rig->parts.artifacts, conf->artifacts_url, &error) == 0, "%s", error.message);
    kend_pool_set_threads(2);
    ck_assert_msg(kend_fetcher_create(&rig->parts.fetcher, &options, &error) == 0, "%s", error.message);
    ck_assert_msg(kend_pool_create(&rig->parts.pool, 2, &error) == 0, "%s", error.message);
    rig->parts.budget = ken_budget_create(conf->prune_memory);
}

static void start(struct rig *rig)
{
    struct ken_error error = {0};
    ck_assert_msg(kend_engine_create(&rig->engine, &rig->parts, &error) == 0, "%s", error.message);
}

static void begin(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    atomic_int *const counters[] = {&finish_fails, &renew_fails, &hand_back_fails, &get_fails, &finish_calls, &remove_ms};
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) atomic_store(counters[i], 0); /* an earlier test may have used them */
    unit_folder_make(&rig->folder);
    made_pair_write(&rig->pair, rig->folder.path);
    load_conf(rig);
    open_silent(rig);
    open_parts(rig);
}

static void end(struct rig *rig)
{
    kend_engine_destroy(&rig->engine);
    ken_budget_destroy(&rig->parts.budget);
    kend_fetcher_destroy(&rig->parts.fetcher);
    kend_pool_destroy(&rig->parts.pool);
    kend_artifacts_close(&rig->parts.artifacts);
    kend_store_close(&rig->parts.store);
    close(rig->silent);
    kend_conf_free(&rig->conf);
    made_pair_free(&rig->pair);
    unit_folder_remove(&rig->folder);
}

/* ---- jobs */

static void submit(struct rig *rig, char id[PROTO_ID_SIZE], const char *model, const char *base)
{
    char spec[512];
    snprintf(spec, sizeof spec, "{\"model\":\"%s\",\"base\":\"%s\",\"k\":3}", model, base);
    struct kend_new_job job = {.id = id, .owner = "", .spec = spec, .now = proto_now_ms()};
    proto_id_make(id, job.now);
    ck_assert_int_eq(rig->parts.store->ops->create(rig->parts.store, &job, NULL), KEND_STORE_OK);
    if (rig->engine) kend_engine_poke(rig->engine);
}

static void submit_stalled(struct rig *rig, char id[PROTO_ID_SIZE])
{
    submit(rig, id, rig->stalled, rig->stalled);
}

static void submit_pair(struct rig *rig, char id[PROTO_ID_SIZE])
{
    char model[160], base[160];
    snprintf(model, sizeof model, "file://%s/", rig->pair.model);
    snprintf(base, sizeof base, "file://%s/", rig->pair.base);
    submit(rig, id, model, base);
}

static struct kend_job *job_of(struct rig *rig, const char *id)
{
    struct kend_job *job;
    ck_assert_int_eq(real->get(rig->parts.store, id, NULL, &job), KEND_STORE_OK);
    return job;
}

/* Milliseconds until the job was in that status. */
static int64_t until(struct rig *rig, const char *id, enum proto_status status)
{
    const int64_t begin_ms = proto_now_ms();
    for (;;) {
        struct kend_job *job = job_of(rig, id);
        enum proto_status now = job->status;
        kend_job_free(&job);
        if (now == status) return proto_now_ms() - begin_ms;
        ck_assert_msg(proto_now_ms() - begin_ms < WAIT_MS, "%s, not %s", proto_status_name(now), proto_status_name(status));
        pause_ms(5);
    }
}

static void expect(struct rig *rig, const char *id, enum proto_status status, int64_t attempt, int64_t deaths)
{
    struct kend_job *job = job_of(rig, id);
    ck_assert_str_eq(proto_status_name(job->status), proto_status_name(status));
    ck_assert_int_eq(job->attempt, attempt);
    ck_assert_int_eq(job->deaths, deaths);
    kend_job_free(&job);
}

static uint64_t ended(struct rig *rig, enum proto_status status)
{
    struct kend_engine_metrics metrics;
    kend_engine_metrics(rig->engine, &metrics);
    return metrics.jobs_total[status];
}

/* Whether there is artifacts/PLACEid. */
static bool has_files(const struct rig *rig, const char *place, const char *id)
{
    char name[128], path[PATH_MAX];
    struct stat status;
    snprintf(name, sizeof name, "artifacts/%s%s", place, id);
    return lstat(unit_path(path, &rig->folder, name), &status) == 0;
}

/* ---- documents: the linker has what reads them go through here */

static atomic_bool parse_fails; /* once, for want of memory */
int __real_proto_job_parse(struct proto_job **job, const json_t *document, const struct proto_policy *policy, struct proto_faults *faults);
int __wrap_proto_job_parse(struct proto_job **job, const json_t *document, const struct proto_policy *policy, struct proto_faults *faults);

int __wrap_proto_job_parse(struct proto_job **job, const json_t *document, const struct proto_policy *policy, struct proto_faults *faults)
{
    if (!atomic_exchange(&parse_fails, false)) return __real_proto_job_parse(job, document, policy, faults);
    *job = NULL;
    return -1;
}

/* ---- tests */

START_TEST(a_job_that_cannot_be_read_for_want_of_memory_is_handed_back)
{
    struct rig rig;
    char id[PROTO_ID_SIZE];
    begin(&rig);
    atomic_store(&parse_fails, true);
    start(&rig);
    submit_pair(&rig, id);
    until(&rig, id, PROTO_SUCCEEDED);
    ck_assert(!atomic_load(&parse_fails));
    expect(&rig, id, PROTO_SUCCEEDED, 2, 0);
    end(&rig);
}
END_TEST

START_TEST(an_outcome_is_told_until_the_store_has_it)
{
    struct rig rig;
    char id[PROTO_ID_SIZE];
    begin(&rig);
    atomic_store(&finish_fails, KEND_STORE_NO_SPACE);
    start(&rig);
    submit_pair(&rig, id);
    while (atomic_load(&finish_calls) < 2) pause_ms(5);
    expect(&rig, id, PROTO_RUNNING, 1, 0);
    ck_assert_uint_eq(ended(&rig, PROTO_SUCCEEDED), 0);
    /* longer than a lease: nobody takes it from a runner that lives */
    pause_ms(LEASE_MS + 500);
    expect(&rig, id, PROTO_RUNNING, 1, 0);
    atomic_store(&finish_fails, KEND_STORE_OK);
    until(&rig, id, PROTO_SUCCEEDED);
    expect(&rig, id, PROTO_SUCCEEDED, 1, 0);
    struct kend_artifact_list list;
    ck_assert_int_eq(real->artifacts(rig.parts.store, id, &list), KEND_STORE_OK);
    ck_assert_uint_ge(list.count, 3);
    kend_artifact_list_clear(&list);
    end(&rig);
}
END_TEST

START_TEST(a_drain_does_not_wait_for_a_store_that_is_gone)
{
    struct rig rig;
    char id[PROTO_ID_SIZE];
    begin(&rig);
    atomic_store(&finish_fails, KEND_STORE_UNAVAILABLE);
    start(&rig);
    submit_pair(&rig, id);
    while (atomic_load(&finish_calls) < 1) pause_ms(5);
    const int64_t since = proto_now_ms();
    kend_engine_drain(rig.engine, 0);
    ck_assert_int_lt(proto_now_ms() - since, 2000);
    kend_engine_destroy(&rig.engine);
    expect(&rig, id, PROTO_RUNNING, 1, 0);
    /* The next process finds what was published, and prunes nothing. */
    atomic_store(&finish_fails, KEND_STORE_OK);
    start(&rig);
    until(&rig, id, PROTO_SUCCEEDED);
    expect(&rig, id, PROTO_SUCCEEDED, 2, 1);
    struct kend_engine_metrics metrics;
    kend_engine_metrics(rig.engine, &metrics);
    ck_assert_uint_eq(metrics.pruned_parameters[KEN_METHOD_KEN], 0);
    ck_assert_uint_eq(metrics.stage[PROTO_PUBLISHING].count, 1);
    ck_assert_uint_eq(metrics.stage[PROTO_PRUNING].count, 0);
    end(&rig);
}
END_TEST

START_TEST(a_lost_lease_stops_the_work_and_changes_nothing)
{
    struct rig rig;
    char id[PROTO_ID_SIZE], next[PROTO_ID_SIZE];
    begin(&rig);
    start(&rig);
    submit_stalled(&rig, id);
    until(&rig, id, PROTO_RUNNING);
    atomic_store(&renew_fails, KEND_STORE_LOST);
    atomic_store(&hand_back_fails, KEND_STORE_LOST);
    submit_pair(&rig, next); /* the only runner is free again */
    until(&rig, next, PROTO_SUCCEEDED);
    expect(&rig, id, PROTO_RUNNING, 1, 0);
    ck_assert_uint_eq(ended(&rig, PROTO_FAILED) + ended(&rig, PROTO_CANCELLED), 0);
    end(&rig);
}
END_TEST

START_TEST(a_lease_that_cannot_be_renewed_is_given_back_before_it_ends)
{
    struct rig rig;
    char id[PROTO_ID_SIZE];
    begin(&rig);
    start(&rig);
    submit_stalled(&rig, id);
    until(&rig, id, PROTO_RUNNING);
    atomic_store(&renew_fails, KEND_STORE_UNAVAILABLE);
    const int64_t since = proto_now_ms();
    for (int64_t attempt = 1; attempt == 1; pause_ms(5)) { /* a runner takes it at once: this one, as nobody else is there */
        struct kend_job *job = job_of(&rig, id);
        attempt = job->attempt;
        kend_job_free(&job);
        ck_assert_int_lt(proto_now_ms() - since, LEASE_MS);
    }
    expect(&rig, id, PROTO_RUNNING, 2, 0);
    end(&rig);
}
END_TEST

START_TEST(a_cancel_that_only_the_store_knows_is_found)
{
    struct rig rig;
    char id[PROTO_ID_SIZE];
    begin(&rig);
    start(&rig);
    submit_stalled(&rig, id);
    until(&rig, id, PROTO_RUNNING);
    unsigned before = atomic_load(&rig.changes);
    ck_assert_int_eq(real->cancel(rig.parts.store, id, NULL, proto_now_ms(), NULL), KEND_STORE_OK);
    ck_assert_int_lt(until(&rig, id, PROTO_CANCELLED), LEASE_MS);
    while (atomic_load(&rig.changes) == before) pause_ms(5);
    while (ended(&rig, PROTO_CANCELLED) != 1) pause_ms(5);
    end(&rig);
}
END_TEST

START_TEST(a_drain_hands_back_what_does_not_end)
{
    struct rig rig;
    char id[PROTO_ID_SIZE];
    begin(&rig);
    start(&rig);
    submit_stalled(&rig, id);
    until(&rig, id, PROTO_RUNNING);
    const int64_t since = proto_now_ms();
    kend_engine_drain(rig.engine, 1);
    ck_assert_int_ge(proto_now_ms() - since, 1000);
    ck_assert_int_lt(proto_now_ms() - since, 3000);
    expect(&rig, id, PROTO_QUEUED, 1, 0);
    submit_stalled(&rig, id);
    pause_ms(200);
    expect(&rig, id, PROTO_QUEUED, 0, 0); /* nothing is begun any more */
    end(&rig);
}
END_TEST

static void *hurry_soon(void *engine)
{
    pause_ms(300);
    kend_engine_hurry(engine);
    return NULL;
}

START_TEST(a_drain_can_be_cut_short)
{
    struct rig rig;
    char id[PROTO_ID_SIZE];
    pthread_t thread;
    begin(&rig);
    start(&rig);
    submit_stalled(&rig, id);
    until(&rig, id, PROTO_RUNNING);
    const int64_t since = proto_now_ms();
    ck_assert_int_eq(pthread_create(&thread, NULL, hurry_soon, rig.engine), 0);
    kend_engine_drain(rig.engine, 3600);
    ck_assert_int_lt(proto_now_ms() - since, 2500);
    pthread_join(thread, NULL);
    expect(&rig, id, PROTO_QUEUED, 1, 0);
    end(&rig);
}
END_TEST

START_TEST(nothing_is_swept_that_the_store_cannot_speak_of)
{
    struct rig rig;
    char id[PROTO_ID_SIZE];
    int work;
    begin(&rig);
    start(&rig);
    submit_pair(&rig, id);
    until(&rig, id, PROTO_SUCCEEDED);
    kend_engine_destroy(&rig.engine);
    ck_assert(has_files(&rig, "", id));
    ck_assert_int_eq(rig.parts.artifacts->ops->work(rig.parts.artifacts, id, &work, NULL), 0);
    close(work);
    atomic_store(&get_fails, KEND_STORE_UNAVAILABLE);
    start(&rig);
    kend_engine_destroy(&rig.engine);
    ck_assert(has_files(&rig, "", id) && has_files(&rig, ".work/", id));
    atomic_store(&get_fails, KEND_STORE_OK);
    start(&rig);
    ck_assert(has_files(&rig, "", id) && !has_files(&rig, ".work/", id));
    end(&rig);
}
END_TEST

START_TEST(a_slow_removal_holds_up_no_lease)
{
    struct rig rig;
    char expired[PROTO_ID_SIZE], id[PROTO_ID_SIZE], token[KEND_TOKEN_SIZE];
    struct kend_job *job;
    begin(&rig);
    rig.parts.store->keep_ms = 1;
    submit_pair(&rig, expired);
    ck_assert_int_eq(real->cancel(rig.parts.store, expired, NULL, proto_now_ms() - 1, NULL), KEND_STORE_OK);
    atomic_store(&remove_ms, LEASE_MS + 2000);
    start(&rig);
    submit_stalled(&rig, id);
    until(&rig, id, PROTO_RUNNING);
    pause_ms(LEASE_MS + 500);
    ck_assert_int_eq(real->claim(rig.parts.store, "other", proto_now_ms(), LEASE_MS, &job, token), KEND_STORE_NONE);
    expect(&rig, id, PROTO_RUNNING, 1, 0);
    ck_assert_int_eq(real->get(rig.parts.store, expired, NULL, &job), KEND_STORE_OK); /* still being removed */
    kend_job_free(&job);
    end(&rig);
}
END_TEST

/* ---- dry runs */

struct answers {
    atomic_uint count;
    atomic_int code;
};

static void answered(void *opaque, int code, const char *pointer, const char *message, const json_t *plan)
{
    struct answers *answers = opaque;
    ck_assert(pointer);
    ck_assert(code ? !plan && *message : json_is_object(plan));
    atomic_store(&answers->code, code);
    atomic_fetch_add(&answers->count, 1);
}

static bool dry_run(struct rig *rig, const char *owner, const char *url, struct answers *answers)
{
    static const struct proto_policy policy = {.schemes = "http,file"};
    struct proto_faults faults = {0};
    struct proto_job *job = NULL;
    json_t *document = json_pack("{s:s, s:s, s:i}", "model", url, "base", url, "k", 3);
    ck_assert_int_eq(proto_job_parse(&job, document, &policy, &faults), 0);
    json_decref(document);
    return kend_engine_dry_run(rig->engine, job, owner, answered, answers);
}

START_TEST(dry_runs_are_bounded_and_end_with_a_drain)
{
    struct rig rig;
    struct answers answers = {0};
    char url[160];
    begin(&rig);
    start(&rig);
    snprintf(url, sizeof url, "file://%s/", rig.pair.model);
    ck_assert(dry_run(&rig, "", url, &answers));
    while (atomic_load(&answers.count) < 1) pause_ms(5);
    ck_assert_int_eq(atomic_load(&answers.code), 0);
    unsigned running = 0;
    while (dry_run(&rig, "", rig.stalled, &answers)) ck_assert_uint_le(++running, KEND_DRY_RUNS);
    ck_assert_uint_ge(running, KEND_DRY_RUNS - 1); /* the first may still be ending */
    ck_assert_uint_eq(atomic_load(&answers.count), 1);
    kend_engine_drain(rig.engine, 0);
    ck_assert_uint_eq(atomic_load(&answers.count), 1 + running);
    ck_assert_int_eq(atomic_load(&answers.code), KEN_ECANCELLED);
    ck_assert(!dry_run(&rig, "", url, &answers));
    end(&rig);
}
END_TEST

START_TEST(an_owner_leaves_dry_runs_to_others)
{
    struct rig rig;
    struct answers answers = {0};
    begin(&rig);
    start(&rig);
    for (int i = 0; i < KEND_DRY_RUNS_OF_OWNER; i++) ck_assert(dry_run(&rig, "one", rig.stalled, &answers));
    ck_assert(!dry_run(&rig, "one", rig.stalled, &answers));
    ck_assert(dry_run(&rig, "other", rig.stalled, &answers));
    kend_engine_drain(rig.engine, 0);
    ck_assert_uint_eq(atomic_load(&answers.count), KEND_DRY_RUNS_OF_OWNER + 1);
    end(&rig);
}
END_TEST

UNIT_MAIN("engine", a_job_that_cannot_be_read_for_want_of_memory_is_handed_back, an_outcome_is_told_until_the_store_has_it,
          a_drain_does_not_wait_for_a_store_that_is_gone, a_lost_lease_stops_the_work_and_changes_nothing,
          a_lease_that_cannot_be_renewed_is_given_back_before_it_ends, a_cancel_that_only_the_store_knows_is_found,
          a_drain_hands_back_what_does_not_end, a_drain_can_be_cut_short, nothing_is_swept_that_the_store_cannot_speak_of,
          a_slow_removal_holds_up_no_lease, dry_runs_are_bounded_and_end_with_a_drain, an_owner_leaves_dry_runs_to_others)
