/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: one table of options; file, environment, flags, docs and --check-config all come from it. */
#ifndef KEND_CONF_H
#define KEND_CONF_H

#include "error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * section, key, kind, default (as text; "@DATA" stands for the data folder, "@CPUS" for the number of processors), least, most (numbers; 0,
 * 0: any), one sentence. Kinds: STRING, NUMBER (decimal), SIZE (bytes, with an optional suffix KiB MiB GiB TiB or kB MB GB TB), BOOL (true,
 * false), WORD (choices in the sentence's table).
 */
#define KEND_OPTION_MAP(X)                                                                                                                 \
    X(http, listen, STRING, "127.0.0.1:8377", 0, 0, "Address and port; port 0 takes a free one.")                                          \
    X(http, public_url, STRING, "", 0, 0, "What absolute URLs in answers begin with; empty: http:// and the address listened on.")         \
    X(http, allowed_hosts, STRING, "", 0, 0, "Names that a Host header may carry beside address literals and localhost, comma-separated.") \
    X(http, tls_cert, STRING, "", 0, 0, "PEM file with the certificate chain; with tls_key, kend speaks HTTPS.")                           \
    X(http, tls_key, STRING, "", 0, 0, "PEM file with the private key.")                                                                   \
    X(http, max_connections, NUMBER, "512", 4, 65536, "Connections at once; more wait in the kernel's queue.")                             \
    X(http, max_body_bytes, SIZE, "1MiB", 1024, 67108864, "Largest request body.")                                                         \
    X(http, threads, NUMBER, "4", 1, 64, "Threads that answer requests.")                                                                  \
    X(http, idle_seconds, NUMBER, "60", 1, 3600, "A connection without traffic is closed after this many seconds.")                        \
    X(auth, tokens_file, STRING, "", 0, 0, "File of bearer tokens.")                                                                       \
    X(auth, allow_anonymous, BOOL, "false", 0, 0, "Answer requests without a token on any address.")                                       \
    X(store, url, STRING, "sqlite:@DATA/kend.db", 0, 0, "Where jobs live.")                                                                \
    X(artifacts, url, STRING, "file:@DATA/artifacts", 0, 0, "Where artifacts live.")                                                       \
    X(artifacts, max_bytes, SIZE, "0", 0, 0, "Disk that artifacts may take in all; 0: no limit.")                                          \
    X(cache, dir, STRING, "@DATA/cache", 0, 0, "Where fetched checkpoints are cached.")                                                    \
    X(cache, max_bytes, SIZE, "0", 0, 0, "Disk that the cache may take; least recently used entries go first. 0: no limit.")               \
    X(fetch, allow_schemes, STRING, "https", 0, 0, "URL schemes that jobs may name: https, http, file, comma-separated.")                  \
    X(fetch, allow_networks, STRING, "", 0, 0,                                                                                             \
      "Networks beyond the global addresses that may be connected to, as CIDRs, comma-separated.")                                         \
    X(fetch, file_roots, STRING, "", 0, 0, "Folders below which file: URLs may lie, comma-separated.")                                     \
    X(fetch, max_bytes, SIZE, "0", 0, 0, "Largest file that is fetched; 0: no limit.")                                                     \
    X(fetch, max_header_bytes, SIZE, "25MB", 1024, 1000000000, "Largest safetensors header or index.")                                     \
    X(fetch, max_tensors, NUMBER, "100000", 1, 10000000, "Most tensors in a checkpoint.")                                                  \
    X(fetch, connections, NUMBER, "4", 1, 32, "Ranges of one file that are fetched at once.")                                              \
    X(fetch, ca_file, STRING, "", 0, 0, "PEM file of the authorities to trust; empty: the system's.")                                      \
    X(fetch, proxy, STRING, "", 0, 0, "HTTP proxy for fetching; never taken from the environment.")                                        \
    X(fetch, connect_seconds, NUMBER, "20", 1, 600, "Time to connect, TLS included.")                                                      \
    X(fetch, stall_seconds, NUMBER, "60", 1, 3600, "A transfer without a byte for this long is broken off and tried again.")               \
    X(fetch, retries, NUMBER, "5", 0, 100, "How often a request that may pass is tried again, with growing pauses.")                       \
    X(prune, threads, NUMBER, "@CPUS", 1, 1024, "Threads that prune.")                                                                     \
    X(prune, memory, SIZE, "96MiB", 8388608, 0, "Buffers of all prunings together; the largest row that can be pruned follows from it.")   \
    X(prune, kernel, WORD, "auto", 0, 0, "Instruction set of the selection kernels: auto or scalar.")                                      \
    X(jobs, max_queued, NUMBER, "100000", 1, 100000000, "Queued jobs; more are refused with 429.")                                         \
    X(jobs, max_running, NUMBER, "2", 1, 64, "Jobs that run at once.")                                                                     \
    X(jobs, keep_days, NUMBER, "30", 0, 36500, "Ended jobs and their artifacts are removed after this many days; 0: never.")               \
    X(jobs, drain_seconds, NUMBER, "25", 0, 86400, "How long a SIGTERM lets running jobs go on before they are handed back.")              \
    X(jobs, lease_seconds, NUMBER, "60", 3, 3600, "A runner that does not renew its lease for this long has lost its job.")                \
    X(disk, reserve_bytes, SIZE, "256MiB", 0, 0, "Free disk that is never used.")                                                          \
    X(log, level, WORD, "info", 0, 0, "error, warn, info or debug.")                                                                       \
    X(log, format, WORD, "logfmt", 0, 0, "logfmt or json.")

#define KEND_CONF_TYPE_STRING char *
#define KEND_CONF_TYPE_WORD char *
#define KEND_CONF_TYPE_NUMBER uint64_t
#define KEND_CONF_TYPE_SIZE uint64_t
#define KEND_CONF_TYPE_BOOL bool

struct kend_conf {
    char *data; /* the data folder, absolute */
#define X(section, key, kind, preset, least, most, sentence) KEND_CONF_TYPE_##kind section##_##key;
    KEND_OPTION_MAP(X)
#undef X
};

/* How a program was started. */
struct kend_conf_flags {
    const char *config_file; /* or NULL */
    const char *data;        /* or NULL: KEND_DATA, else ./kend-data */
    const char *listen;      /* or NULL */
    char *const *set;        /* [set_count] "section.key=value" */
    int set_count;
};

/* Defaults, then the file, then the environment (KEND_SECTION_KEY), then flags. KEN_EINVAL with file, line (or variable, or flag) and the
 * allowed range. */
int kend_conf_load(struct kend_conf **conf, const struct kend_conf_flags *flags, struct ken_error *error);
void kend_conf_free(struct kend_conf **conf);
/* The effective configuration as a file that gives the same again. */
void kend_conf_print(const struct kend_conf *conf, FILE *out);
/* All options with defaults and sentences, as conf/kend.conf. */
void kend_conf_print_sample(FILE *out);

#endif
