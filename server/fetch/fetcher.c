/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/fetcher.h"

#include "condition.h"
#include "fetch/curl_memory.h"
#include "fetch/entry.h"

#include <stdlib.h>
#include <string.h>

enum { CHECK_MS = 100 };

/* A copy, NULL for "". */
static bool copy_text(char **copy, const char *text)
{
    *copy = text && *text ? strdup(text) : NULL;
    return *copy || !text || !*text;
}

static int add_root(struct kend_fetcher *fetcher, const char *text, size_t length, struct ken_error *error)
{
    char *path = strndup(text, length), *resolved = path ? realpath(path, NULL) : NULL;
    char **roots = resolved ? realloc(fetcher->roots, (fetcher->root_count + 1) * sizeof *roots) : NULL;
    int code = 0;
    if (roots) {
        roots[fetcher->root_count++] = resolved;
        fetcher->roots = roots;
    } else {
        code = path && !resolved ? ken_fail(error, KEN_EINVALID, "fetch.file_roots: \"%s\": %m", path)
                                 : ken_fail(error, KEN_ENOMEM, "out of memory");
        free(resolved);
    }
    free(path);
    return code;
}

static int add_roots(struct kend_fetcher *fetcher, const char *list, struct ken_error *error)
{
    for (const char *at = list; *at;) {
        at += strspn(at, " ,");
        size_t length = strcspn(at, ",");
        while (length && at[length - 1] == ' ') length--;
        int code = length ? add_root(fetcher, at, length, error) : 0;
        if (code) return code;
        at += length + strspn(at + length, " ,");
    }
    return 0;
}

static int check_schemes(const char *list, struct ken_error *error)
{
    static const char *const known[] = {"https", "http", "file"};
    for (const char *at = list; *at;) {
        at += strspn(at, " \t,");
        size_t length = strcspn(at, " \t,"), i = 0;
        char shown[40];
        if (!length) break;
        while (i < sizeof known / sizeof *known && (strlen(known[i]) != length || memcmp(at, known[i], length) != 0)) i++;
        if (i == sizeof known / sizeof *known)
            return ken_fail(error, KEN_EINVALID, "fetch.allow_schemes: \"%s\" is none of https, http, file",
                            ken_printable(shown, sizeof shown, at, length));
        at += length;
    }
    return 0;
}

/* All that touches nothing. */
static int take_options(struct kend_fetcher *fetcher, const struct kend_fetch_options *options, struct ken_error *error)
{
    struct kend_connection_settings *settings = &fetcher->settings.connection;
    struct ken_error reason;
    int code = check_schemes(options->allow_schemes, error);
    if (code) return code;
    code = kend_networks_parse(&settings->policy.networks, options->allow_networks, &reason);
    if (code) return ken_fail(error, code, "fetch.allow_networks: %s", reason.message);
    code = kend_ports_parse(&settings->policy.ports, options->allow_ports, &reason);
    if (code) return ken_fail(error, code, "fetch.allow_ports: %s", reason.message);
    settings->policy.schemes = strdup(options->allow_schemes);
    if (!settings->policy.schemes || !copy_text(&settings->ca_file, options->ca_file) || !copy_text(&settings->proxy, options->proxy))
        return ken_fail(error, KEN_ENOMEM, "out of memory");
    settings->connect_seconds = (long)options->connect_timeout_seconds;
    settings->stall_seconds = (long)options->stall_timeout_seconds;
    settings->least_rate = (long)options->least_rate;
    fetcher->max_bytes = options->max_bytes;
    fetcher->connections = options->connections < 1                  ? 1
                           : options->connections >= KEND_MAX_PIECES ? KEND_MAX_PIECES - 1
                                                                     : options->connections;
    fetcher->retries = options->retries;
    return add_roots(fetcher, options->file_roots, error);
}

static int set_up(struct kend_fetcher *fetcher, const struct kend_fetch_options *options, struct ken_error *error)
{
    int code = take_options(fetcher, options, error);
    if (!code) code = kend_cache_create(&fetcher->cache, options->cache_dir, options->cache_max_bytes, options->reserve_bytes, error);
    if (!code) code = kend_loop_create(&fetcher->loop, error);
    return code;
}

static void drop_options(struct kend_fetcher *fetcher)
{
    for (size_t i = 0; i < fetcher->root_count; i++) free(fetcher->roots[i]);
    free(fetcher->roots);
    struct kend_connection_settings *settings = &fetcher->settings.connection;
    kend_networks_clear(&settings->policy.networks);
    kend_ports_clear(&settings->policy.ports);
    free(settings->policy.schemes);
    free(settings->ca_file);
    free(settings->proxy);
}

int kend_fetcher_check(const struct kend_fetch_options *options, struct ken_error *error)
{
    struct kend_fetcher *fetcher = calloc(1, sizeof *fetcher);
    if (!fetcher) return ken_fail(error, KEN_ENOMEM, "out of memory");
    int code = take_options(fetcher, options, error);
    drop_options(fetcher);
    free(fetcher);
    return code;
}

int kend_fetcher_create(struct kend_fetcher **result, const struct kend_fetch_options *options, struct ken_error *error)
{
    *result = NULL;
    if (kend_curl_memory_begin()) return ken_fail(error, KEN_ENOMEM, "libcurl could not be initialised");
    struct kend_fetcher *fetcher = calloc(1, sizeof *fetcher);
    if (!fetcher) {
        curl_global_cleanup();
        return ken_fail(error, KEN_ENOMEM, "out of memory");
    }
    pthread_mutex_init(&fetcher->mutex, NULL);
    ken_condition_init(&fetcher->changed);
    *result = fetcher;
    int code = set_up(fetcher, options, error);
    if (code) kend_fetcher_destroy(result);
    return code;
}

void kend_fetcher_destroy(struct kend_fetcher **own)
{
    struct kend_fetcher *fetcher = *own;
    if (!fetcher) return;
    pthread_mutex_lock(&fetcher->mutex);
    while (fetcher->entries) ken_condition_wait_ms(&fetcher->changed, &fetcher->mutex, CHECK_MS);
    pthread_mutex_unlock(&fetcher->mutex);
    kend_loop_destroy(&fetcher->loop);
    kend_cache_destroy(&fetcher->cache);
    drop_options(fetcher);
    pthread_cond_destroy(&fetcher->changed);
    pthread_mutex_destroy(&fetcher->mutex);
    free(fetcher);
    curl_global_cleanup();
    *own = NULL;
}

uint64_t kend_fetcher_cache_bytes(struct kend_fetcher *fetcher)
{
    return kend_cache_bytes(fetcher->cache);
}

void kend_fetcher_room(struct kend_fetcher *fetcher, struct kend_cache_room *room)
{
    kend_cache_room(fetcher->cache, room);
}

void kend_fetcher_share_disk(struct kend_fetcher *fetcher, uint64_t (*promised)(void *opaque), void *opaque)
{
    kend_cache_share_disk(fetcher->cache, promised, opaque);
}

void kend_fetcher_make_room(struct kend_fetcher *fetcher, uint64_t bytes)
{
    kend_cache_make_room(fetcher->cache, bytes);
}

uint64_t kend_fetcher_received(struct kend_fetcher *fetcher, const char *source)
{
    return strcmp(source, "file") == 0 ? atomic_load(&fetcher->file_bytes) : atomic_load(&fetcher->settings.received);
}
