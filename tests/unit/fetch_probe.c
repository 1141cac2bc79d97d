/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetches URLs as a job would and prints what happened as JSON, one object per URL: for tests/e2e/fetching.py.
 * fetch_probe --cache DIR [--OPTION VALUE]... URL...   URLs are fetched at once, each by a thread of its own.
 */
#include "clock.h"
#include "digest.h"
#include "fetch/fetch.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_URLS = 16, MAX_READS = 16, MAX_NOTES = 64, BUFFER = 1 << 20 };

static struct {
    struct kend_fetch_options fetch;
    const char *owner, *name, *out;
    bool has_sha256, headers_only, keep_open;
    unsigned char sha256[32];
    uint64_t cancel_after_ms, note_ms; /* note_ms: how long whoever takes a note needs for it */
    struct {
        uint64_t offset, length;
    } reads[MAX_READS];
    size_t read_count;
} options = {.fetch = {.cache_dir = "",
                       .allow_schemes = "http,https,file",
                       .allow_networks = "127.0.0.0/8",
                       .allow_ports = "",
                       .file_roots = "",
                       .connections = 4,
                       .ca_file = "",
                       .proxy = "",
                       .connect_timeout_seconds = 5,
                       .stall_timeout_seconds = 5,
                       .least_rate = 1,
                       .retries = 2},
             .owner = "probe"};

struct probe {
    const char *url;
    struct kend_fetcher *fetcher;
    pthread_t thread;
    pthread_mutex_t mutex; /* notes */
    json_t *notes, *reads, *result;
    int64_t started_ms, cancelled_ms;
    struct kend_turn turn;
};

static const char *name_of(int code)
{
    switch (code) {
#define X(name, number, text) \
    case name: return #name;
        KEN_ERROR_MAP(X)
#undef X
    default: return "KEN_OK";
    }
}

static bool is_cancelled(void *opaque)
{
    struct probe *probe = opaque;
    int64_t now = kend_monotonic_ms();
    return options.cancel_after_ms && now - probe->started_ms >= (int64_t)options.cancel_after_ms;
}

static void take_note(void *opaque, const char *text)
{
    struct probe *probe = opaque;
    usleep((useconds_t)options.note_ms * 1000);
    pthread_mutex_lock(&probe->mutex);
    json_array_append_new(probe->notes, json_string(text));
    pthread_mutex_unlock(&probe->mutex);
}

static int hash_range(struct ken_source *source, uint64_t offset, uint64_t length, char *hex, FILE *out, struct ken_error *error)
{
    struct ken_digest digest;
    unsigned char sha256[32];
    char *buffer = malloc(BUFFER);
    int code = ken_digest_init(&digest, error);
    for (uint64_t at = offset; !code && at < offset + length;) {
        uint64_t left = offset + length - at;
        size_t piece = left < BUFFER ? (size_t)left : BUFFER;
        code = ken_source_wait(source, at, piece, error);
        if (!code) code = ken_source_read(source, at, buffer, piece, error);
        if (!code) ken_digest_update(&digest, buffer, piece);
        if (!code && out) fwrite(buffer, 1, piece, out);
        at += piece;
    }
    if (!code) code = ken_digest_final(&digest, sha256, error);
    ken_digest_free(&digest);
    free(buffer);
    if (!code) ken_hex_encode(hex, sha256, sizeof sha256);
    return code;
}

static int read_some(struct probe *probe, struct ken_source *source, struct ken_error *error)
{
    char hex[KEN_SHA256_HEX_SIZE];
    int code = 0;
    for (size_t i = 0; !code && i < options.read_count; i++) {
        uint64_t offset = options.reads[i].offset, length = options.reads[i].length;
        if (offset > source->size || length > source->size - offset) return ken_fail(error, KEN_EINVALID, "a read beyond the end");
        code = hash_range(source, offset, length, hex, NULL, error);
        if (!code) json_array_append_new(probe->reads, json_string(hex));
    }
    return code;
}

static int read_all(struct probe *probe, struct kend_location *location, struct ken_source *source, char *told, char *seen,
                    struct ken_error *error)
{
    unsigned char sha256[32];
    int code = kend_fetcher_reserve(probe->fetcher, &probe->turn, &location, 1, error);
    if (code) return code;
    kend_location_fetch(location);
    FILE *out = options.out ? fopen(options.out, "wb") : NULL;
    code = hash_range(source, 0, source->size, seen, out, error);
    if (out) fclose(out);
    if (!code) code = kend_location_wait(location, error);
    if (!code) code = ken_source_check(source, error);
    if (!code && ken_source_digest(source, sha256, NULL) == 0) ken_hex_encode(told, sha256, sizeof sha256);
    return code;
}

/* What came of one URL. */
struct fetched {
    uint64_t size;
    bool folder;
    struct kend_location_state state;
    char told[KEN_SHA256_HEX_SIZE], seen[KEN_SHA256_HEX_SIZE];
    int64_t ended_ms;
};

static int fetch(struct probe *probe, struct fetched *fetched, struct ken_error *error)
{
    struct kend_location *location = NULL;
    struct ken_source *source = NULL;
    const struct kend_location_request request = {.url = probe->url,
                                                  .owner = options.owner,
                                                  .sha256 = options.has_sha256 ? options.sha256 : NULL,
                                                  .cancelled = is_cancelled,
                                                  .note = take_note,
                                                  .opaque = probe};
    int code = kend_location_open(&location, probe->fetcher, &request, error);
    *fetched = (struct fetched){0};
    if (!code) {
        struct ken_opener *opener = kend_location_opener(location);
        fetched->folder = opener->is_folder;
        code = opener->open(opener, options.name, &source, error);
    }
    fetched->size = source ? source->size : 0;
    if (source) code = read_some(probe, source, error);
    if (source && !code && !options.headers_only) code = read_all(probe, location, source, fetched->told, fetched->seen, error);
    if (location) kend_location_state(location, &fetched->state);
    fetched->ended_ms = kend_monotonic_ms();
    kend_location_close(&location);
    if (options.keep_open) usleep(300000);
    ken_source_close(&source);
    return code;
}

static void *run(void *opaque)
{
    struct probe *probe = opaque;
    struct ken_error error = {0};
    struct fetched fetched;
    probe->started_ms = kend_monotonic_ms();
    int code = fetch(probe, &fetched, &error);
    if (code == KEN_EBUSY) json_array_append_new(probe->notes, json_sprintf("waiting for room: %s", error.message));
    while (code == KEN_EBUSY) {
        code = kend_turn_wait(probe->fetcher, &probe->turn, is_cancelled, probe, &error);
        if (!code) code = fetch(probe, &fetched, &error);
    }
    kend_turn_leave(probe->fetcher, &probe->turn);
    const struct kend_location_state *state = &fetched.state;
    probe->result =
        json_pack("{s:s, s:s, s:s, s:I, s:b, s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:b, s:I}", "url", probe->url, "code", name_of(code),
                  "message", code ? error.message : "", "size", (json_int_t)fetched.size, "folder", fetched.folder, "sha256", fetched.told,
                  "seen", fetched.seen, "notes", probe->notes, "reads", probe->reads, "total", (json_int_t)state->bytes_total, "there",
                  (json_int_t)state->bytes_there, "durable", (json_int_t)state->bytes_durable, "resumed", (json_int_t)state->bytes_resumed,
                  "complete", state->complete, "ms", (json_int_t)(fetched.ended_ms - probe->started_ms));
    return NULL;
}

static bool set_number(const char *name, const char *value)
{
    uint64_t number = strtoull(value, NULL, 10);
    if (strcmp(name, "--cache-max") == 0)
        options.fetch.cache_max_bytes = number;
    else if (strcmp(name, "--reserve") == 0)
        options.fetch.reserve_bytes = number;
    else if (strcmp(name, "--max-bytes") == 0)
        options.fetch.max_bytes = number;
    else if (strcmp(name, "--connections") == 0)
        options.fetch.connections = (unsigned)number;
    else if (strcmp(name, "--connect") == 0)
        options.fetch.connect_timeout_seconds = (unsigned)number;
    else if (strcmp(name, "--stall") == 0)
        options.fetch.stall_timeout_seconds = (unsigned)number;
    else if (strcmp(name, "--least-rate") == 0)
        options.fetch.least_rate = (unsigned)number;
    else if (strcmp(name, "--retries") == 0)
        options.fetch.retries = (unsigned)number;
    else if (strcmp(name, "--cancel-after") == 0)
        options.cancel_after_ms = number;
    else if (strcmp(name, "--note-ms") == 0)
        options.note_ms = number;
    else if (strcmp(name, "--headers-only") == 0)
        options.headers_only = number;
    else if (strcmp(name, "--keep-open") == 0)
        options.keep_open = number;
    else
        return false;
    return true;
}

static bool set_text(const char *name, const char *value)
{
    const struct {
        const char *name, **text;
    } texts[] = {{"--cache", &options.fetch.cache_dir},
                 {"--schemes", &options.fetch.allow_schemes},
                 {"--networks", &options.fetch.allow_networks},
                 {"--ports", &options.fetch.allow_ports},
                 {"--roots", &options.fetch.file_roots},
                 {"--ca", &options.fetch.ca_file},
                 {"--proxy", &options.fetch.proxy},
                 {"--owner", &options.owner},
                 {"--name", &options.name},
                 {"--out", &options.out}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(texts[i].name, name) == 0) {
            *texts[i].text = value;
            return true;
        }
    if (strcmp(name, "--sha256") == 0) return options.has_sha256 = ken_hex_decode(options.sha256, sizeof options.sha256, value);
    if (strcmp(name, "--read") == 0 && options.read_count < MAX_READS) {
        char *colon;
        options.reads[options.read_count].offset = strtoull(value, &colon, 10);
        options.reads[options.read_count++].length = strtoull(colon + 1, NULL, 10);
        return true;
    }
    return false;
}

static void run_all(struct probe *probes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pthread_mutex_init(&probes[i].mutex, NULL);
        probes[i].notes = json_array();
        probes[i].reads = json_array();
        if (pthread_create(&probes[i].thread, NULL, run, &probes[i])) abort();
    }
    for (size_t i = 0; i < count; i++) {
        pthread_join(probes[i].thread, NULL);
        pthread_mutex_destroy(&probes[i].mutex);
    }
}

int main(int argc, char **argv)
{
    struct probe probes[MAX_URLS] = {0};
    struct ken_error error;
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0) {
            if (count < MAX_URLS) probes[count++].url = argv[i];
        } else if (i + 1 == argc || (!set_number(argv[i], argv[i + 1]) && !set_text(argv[i], argv[i + 1]))) {
            fprintf(stderr, "fetch_probe: what is %s?\n", argv[i]);
            return 2;
        } else {
            i++;
        }
    }
    struct kend_fetcher *fetcher;
    json_t *results = json_array();
    int code = kend_fetcher_create(&fetcher, &options.fetch, &error);
    if (code) {
        json_array_append_new(results, json_pack("{s:s, s:s}", "code", name_of(code), "message", error.message));
    } else {
        for (size_t i = 0; i < count; i++) probes[i].fetcher = fetcher;
        run_all(probes, count);
        for (size_t i = 0; i < count; i++) {
            json_object_set_new(probes[i].result, "received", json_integer((json_int_t)kend_fetcher_received(fetcher, "http")));
            json_object_set_new(probes[i].result, "read_in_place", json_integer((json_int_t)kend_fetcher_received(fetcher, "file")));
            json_array_append_new(results, probes[i].result);
        }
        kend_fetcher_destroy(&fetcher);
    }
    json_dumpf(results, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(results);
    return 0;
}
