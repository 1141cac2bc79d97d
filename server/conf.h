/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: one table of options; file, environment, flags, docs and --check-config all come from it. */
#ifndef KEND_CONF_H
#define KEND_CONF_H

#include "error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Kind, type in struct kend_conf, what is allowed (a sentence's end behind "must be "). Texts are stored trimmed; those of lists in lower
 * case where case does not count, without empty items, joined by ",".
 */
#define KEND_KIND_MAP(X)                                                                               \
    X(ADDRESS, char *, "ADDRESS:PORT with an IPv4 address, an IPv6 address in brackets or localhost")  \
    X(ORIGIN, char *, "empty, or an http: or https: URL without a query string")                       \
    X(HOSTS, char *, "host names, with or without a port, comma-separated")                            \
    X(SCHEMES, char *, "one or more of https, http, file, comma-separated")                            \
    X(NETWORKS, char *, "networks as ADDRESS/LENGTH, comma-separated, without bits behind the length") \
    X(PORTS, char *, "port numbers from 1 to 65535, comma-separated")                                  \
    X(FOLDERS, char *, "absolute paths, comma-separated")                                              \
    X(PATH, char *, "a path")                                                                          \
    X(FILE, char *, "empty, or the path of a file")                                                    \
    X(STORE, char *, "sqlite:PATH (other stores are not supported yet)")                               \
    X(ARTIFACTS, char *, "file:PATH (other stores are not supported yet)")                             \
    X(PROXY, char *, "empty, or http://HOST:PORT without a user name")                                 \
    X(KERNEL, char *, "auto, scalar, avx2, avx512 or neon")                                            \
    X(LEVEL, char *, "error, warn, info or debug")                                                     \
    X(FORMAT, char *, "logfmt or json")                                                                \
    X(NUMBER, uint64_t, "a whole number")                                                              \
    X(SIZE, uint64_t, "a number of bytes, with an optional KiB, MiB, GiB, TiB, kB, MB, GB or TB")      \
    X(AREAS, char *, "any of probes, metrics, version, openapi, comma-separated")                      \
    X(BOOL, bool, "true or false")

/*
 * section, key, kind, default (as text; in any path "@DATA" stands for the data folder, in a number "@CPUS" for the number of processors),
 * least, most (numbers and sizes; most 0: no limit), one sentence. A section's options stand together.
 */
#define KEND_OPTION_MAP(X)                                                                                                                \
    X(http, listen, ADDRESS, "127.0.0.1:8377", 0, 0, "Address and port; port 0 takes a free one.")                                        \
    X(http, public_url, ORIGIN, "", 0, 0, "What absolute URLs in answers begin with; empty: http:// and the address listened on.")        \
    X(http, allowed_hosts, HOSTS, "", 0, 0, "Names that a Host header may carry beside address literals and localhost, comma-separated.") \
    X(http, tls_cert, FILE, "", 0, 0, "PEM file with the certificate chain; with tls_key, kend speaks HTTPS. Read anew at SIGHUP.")       \
    X(http, tls_key, FILE, "", 0, 0, "PEM file with the private key. Read anew at SIGHUP.")                                               \
    X(http, tls_client_ca, FILE, "", 0, 0,                                                                                                \
      "PEM file of authorities: only clients with a certificate of theirs are let in. Read anew at SIGHUP.")                              \
    X(http, max_connections, NUMBER, "512", 4, 65536, "Connections at once; more wait in the kernel's queue.")                            \
    X(http, max_connections_per_address, NUMBER, "256", 0, 65536,                                                                         \
      "Connections of one address (IPv6: of one /64) at once; more are answered with 429. 0: no limit, as behind a proxy.")               \
    X(http, max_waiting, NUMBER, "384", 1, 65536,                                                                                         \
      "Requests that wait (?wait=, dry runs), with streams never more than three quarters of http.max_connections; others do not wait.")  \
    X(http, max_waiting_per_owner, NUMBER, "96", 0, 65536,                                                                                \
      "Requests of one owner that wait (?wait=), where there are tokens; its others are answered at once. 0: no limit.")                  \
    X(http, max_streams, NUMBER, "256", 1, 65536, "Streams of events at once; more are answered with 429.")                               \
    X(http, max_streams_per_owner, NUMBER, "64", 0, 65536,                                                                                \
      "Streams of events of one owner at once, where there are tokens; more are answered with 429. 0: no limit.")                         \
    X(http, max_body_bytes, SIZE, "1MiB", 1024, 67108864, "Largest request body.")                                                        \
    X(http, max_headers, NUMBER, "100", 16, 1000, "Most header fields of a request; more are answered with 431.")                         \
    X(http, max_header_bytes, SIZE, "32KiB", 1024, 65536, "Largest header section of a request; a larger one is answered with 431.")      \
    X(http, max_url_bytes, SIZE, "8KiB", 256, 8192, "Longest request target; a longer one is answered with 414.")                         \
    X(http, max_memory, SIZE, "64MiB", 1048576, 0,                                                                                        \
      "Bodies, their documents and answers of more than 16 KiB, of all together; of one address, or owner, an eighth. More get 429.")     \
    X(http, requests_per_second, NUMBER, "2000", 0, 1000000,                                                                              \
      "Requests a second of one token, or of one address without one; more are answered with 429. Probes do not count. 0: no limit.")     \
    X(http, requests_burst, NUMBER, "4000", 1, 1000000, "Requests that may come at once before http.requests_per_second holds.")          \
    X(http, threads, NUMBER, "4", 1, 64, "Threads that answer requests; at least one for each 125 of http.max_connections.")              \
    X(http, idle_seconds, NUMBER, "60", 1, 3600, "A connection without traffic is closed after this many seconds.")                       \
    X(http, header_seconds, NUMBER, "20", 1, 3600,                                                                                        \
      "A connection is closed if a request's header, the TLS handshake included, has not come whole within this many seconds.")           \
    X(http, body_seconds, NUMBER, "60", 1, 3600, "A body that has not come whole within this many seconds is answered with 408.")         \
    X(http, send_seconds, NUMBER, "60", 0, 3600,                                                                                          \
      "An answer of which less than 64 KiB is taken within this many seconds is broken off. 0: no limit.")                                \
    X(auth, tokens_file, FILE, "", 0, 0,                                                                                                  \
      "File of bearer tokens, as kenctl token makes it; read anew at SIGHUP. Empty: no tokens on loopback, @DATA/tokens elsewhere.")      \
    X(auth, allow_anonymous, BOOL, "false", 0, 0,                                                                                         \
      "Answer requests without a token on any address; where there are tokens, they share one nameless owner.")                           \
    X(auth, public, AREAS, "probes,version,openapi", 0, 0, "What needs no token: /livez and /readyz, /metrics, /version, /openapi.json.") \
    X(auth, session_idle_seconds, NUMBER, "3600", 1, 2592000, "A browser's session ends when it was not used for this long.")             \
    X(auth, session_seconds, NUMBER, "43200", 1, 2592000, "A browser's session ends after this long, used or not.")                       \
    X(store, url, STORE, "sqlite:@DATA/kend.db", 0, 0, "Where jobs live.")                                                                \
    X(artifacts, url, ARTIFACTS, "file:@DATA/artifacts", 0, 0, "Where artifacts live.")                                                   \
    X(artifacts, max_bytes, SIZE, "0", 0, 0,                                                                                              \
      "Disk that artifacts and running jobs' outputs may take in all; a job that finds no room there fails with no_space. 0: no limit.")  \
    X(artifacts, evict_hours, NUMBER, "24", 0, 876000,                                                                                    \
      "Where max_bytes leaves no room, artifacts of jobs that ended at least so many hours ago are deleted, oldest first; 0: never.")     \
    X(cache, dir, PATH, "@DATA/cache", 0, 0, "Where fetched checkpoints are cached.")                                                     \
    X(cache, max_bytes, SIZE, "0", 0, 0, "Disk that the cache may take; least recently used entries go first. 0: no limit.")              \
    X(fetch, allow_schemes, SCHEMES, "https", 0, 0, "URL schemes that jobs may name: https, http, file, comma-separated.")                \
    X(fetch, allow_networks, NETWORKS, "", 0, 0,                                                                                          \
      "Networks beyond the global addresses that may be connected to, as CIDRs, comma-separated.")                                        \
    X(fetch, allow_ports, PORTS, "", 0, 0,                                                                                                \
      "Ports that may be connected to, also by redirects; with fetch.proxy, that of the proxy among them. Empty: all.")                   \
    X(fetch, file_roots, FOLDERS, "", 0, 0, "Folders below which file: URLs may lie, comma-separated.")                                   \
    X(fetch, max_bytes, SIZE, "0", 0, 0, "Largest file that is fetched; 0: no limit.")                                                    \
    X(fetch, max_header_bytes, SIZE, "25MB", 1024, 1000000000, "Largest safetensors header, index, or data.pkl of a torch file.")         \
    X(fetch, max_tensors, NUMBER, "100000", 1, 10000000, "Most tensors in a checkpoint.")                                                 \
    X(fetch, connections, NUMBER, "4", 1, 32, "Ranges of one file that are fetched at once.")                                             \
    X(fetch, ca_file, FILE, "", 0, 0, "PEM file of the authorities to trust; empty: the system's.")                                       \
    X(fetch, proxy, PROXY, "", 0, 0,                                                                                                      \
      "HTTP proxy for all fetching; fetch.allow_networks must list one that is not global. It resolves names itself, and has to refuse "  \
      "addresses of its own network.")                                                                                                    \
    X(fetch, connect_seconds, NUMBER, "20", 1, 600, "Time to connect, TLS included.")                                                     \
    X(fetch, stall_seconds, NUMBER, "60", 1, 3600, "A transfer slower than the least rate for this long is broken off and tried again.")  \
    X(fetch, least_rate, NUMBER, "1024", 1, 1000000000, "Bytes a second below which a transfer counts as stalled.")                       \
    X(fetch, retries, NUMBER, "5", 0, 100, "How often a request that may pass is tried again, with growing pauses.")                      \
    X(prune, threads, NUMBER, "@CPUS", 1, 1000, "Threads that prune.")                                                                    \
    X(prune, memory, SIZE, "96MiB", 8388608, 0, "Buffers of all prunings together; the largest row that can be pruned follows from it.")  \
    X(prune, kernel, KERNEL, "auto", 0, 0, "Instruction set of the selection; auto takes the fastest the machine has.")                   \
    X(jobs, max_queued, NUMBER, "100000", 1, 100000000, "Queued jobs; more are refused with 429.")                                        \
    X(jobs, max_queued_per_owner, NUMBER, "0", 0, 100000000, "Queued jobs of one owner; more are refused with 429. 0: no limit.")         \
    X(jobs, max_bytes_per_owner, SIZE, "1GiB", 0, 0,                                                                                      \
      "Documents of one owner's jobs in the store, ended ones too; more are refused with 429. 0: no limit.")                              \
    X(jobs, max_running, NUMBER, "2", 1, 64, "Jobs that run at once. Owners take turns, each with its oldest job.")                       \
    X(jobs, max_running_per_owner, NUMBER, "0", 0, 64, "Jobs of one owner that run at once; more wait. 0: no limit.")                     \
    X(jobs, max_seconds, NUMBER, "0", 0, 31622400,                                                                                        \
      "A job fails with timed_out after so many seconds from its first start, whatever its timeout_seconds says. 0: no limit.")           \
    X(jobs, keep_days, NUMBER, "30", 0, 36500,                                                                                            \
      "Ended jobs and their artifacts are removed after this many days; 0: never. A change holds for what ends after it.")                \
    X(jobs, drain_seconds, NUMBER, "25", 0, 86400, "How long a SIGTERM lets running jobs go on before they are handed back.")             \
    X(jobs, lease_seconds, NUMBER, "60", 3, 3600, "A runner that does not renew its lease for this long has lost its job.")               \
    X(disk, reserve_bytes, SIZE, "256MiB", 0, 0, "Free disk that is never used.")                                                         \
    X(log, level, LEVEL, "info", 0, 0, "error, warn, info or debug.")                                                                     \
    X(log, format, FORMAT, "logfmt", 0, 0, "logfmt or json.")

/* symbol, name in auth.public: what need not want a token. */
#define KEND_AREA_MAP(X)            \
    X(KEND_AREA_PROBES, "probes")   \
    X(KEND_AREA_METRICS, "metrics") \
    X(KEND_AREA_VERSION, "version") \
    X(KEND_AREA_OPENAPI, "openapi")
#define X(symbol, name) symbol,
enum kend_area { KEND_AREA_PRIVATE, /* all else: never public */ KEND_AREA_MAP(X) KEND_AREA_PAGE /* always: how else to sign in */ };
#undef X

/* clang-format off */
#define X(kind, type, allowed) typedef type kend_conf_##kind;
KEND_KIND_MAP(X)
#undef X
/* clang-format on */

struct kend_conf {
    char *data; /* the data folder, absolute */
#define X(section, key, kind, preset, least, most, sentence) kend_conf_##kind section##_##key;
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

/*
 * Defaults, then the file, then the environment (KEND_SECTION_KEY), then flags. KEN_EINVALID: a bad value or unknown option, the message
 * has file and line (or the variable, or the flag), the value and what is allowed; a file that cannot be read; options that contradict each
 * other. An unknown variable is an error if it begins with KEND_ and a section's name, else a
 * warning on standard error. *conf is owned by the caller.
 */
int kend_conf_load(struct kend_conf **conf, const struct kend_conf_flags *flags, struct ken_error *error);
void kend_conf_free(struct kend_conf **conf);
/* Whether it wants no token: auth.public lists it, or it is the page. */
bool kend_area_is_public(const struct kend_conf *conf, enum kend_area area);
/* The effective configuration as a file that gives the same again. */
void kend_conf_print(const struct kend_conf *conf, FILE *out);
/* All options with defaults and sentences, as conf/kend.conf. */
void kend_conf_print_sample(FILE *out);
/* The same as a page for people, docs/configuration.md. */
void kend_conf_print_page(FILE *out);

#endif
