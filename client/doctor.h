/* SPDX-License-Identifier: Apache-2.0 */
/* What `kenctl doctor` looks at, and what it found. */
#ifndef KENCTL_DOCTOR_H
#define KENCTL_DOCTOR_H

#include "certificate.h"
#include "kenctl.h"

/* symbol, name, what is right where it finds nothing; in the order in which they are made. */
#define KENCTL_CHECK_MAP(X)                                                                                           \
    X(KENCTL_CHECK_CONFIG, "config", "kend accepts the configuration")                                                \
    X(KENCTL_CHECK_DATA, "data_folder", "the data folder is there, its owner's alone, and this user may write to it") \
    X(KENCTL_CHECK_FOLDERS, "folders", "folders of artifacts and cache, and kend's files, are what they should be")   \
    X(KENCTL_CHECK_STORE, "store", "the job store is whole, and of this kend or an earlier one")                      \
    X(KENCTL_CHECK_FILE_SYSTEM, "file_system", "the job store lies on a disk of this machine")                        \
    X(KENCTL_CHECK_DISK, "disk", "more is free than disk.reserve_bytes, with room for jobs")                          \
    X(KENCTL_CHECK_LIMITS, "limits", "cache.max_bytes, artifacts.max_bytes and the reserve fit on the disk together") \
    X(KENCTL_CHECK_MEMORY, "memory", "prune.memory fits into the machine's memory")                                   \
    X(KENCTL_CHECK_THREADS, "threads", "there is a processor for each of prune.threads")                              \
    X(KENCTL_CHECK_OPEN_FILES, "open_files", "as many files may be open as connections and jobs can need")            \
    X(KENCTL_CHECK_KERNEL, "kernel", "the fastest kernel that the processor has is used")                             \
    X(KENCTL_CHECK_PROXY, "proxy", "no proxy is set in the environment, where kend does not look")                    \
    X(KENCTL_CHECK_FILES, "files", "files and folders that the configuration names are there and can be read")        \
    X(KENCTL_CHECK_ACCESS, "access", "who can reach kend needs a token, or is a user of this machine")                \
    X(KENCTL_CHECK_SECRETS, "secrets", "tokens file and key are private, and no admin.token is left")                 \
    X(KENCTL_CHECK_OWNERS, "owners", "where several owners submit, each has its limits")                              \
    X(KENCTL_CHECK_CERTIFICATE, "certificate", "kend speaks https where others reach it, and not just for days")      \
    X(KENCTL_CHECK_WORK, "work", "no job waits half done for a kend that does not run")                               \
    X(KENCTL_CHECK_SERVER, "server", "a kend answers at the URL")                                                     \
    X(KENCTL_CHECK_SERVER_TLS, "server_tls", "its certificate is good for more than two weeks")                       \
    X(KENCTL_CHECK_CLOCK, "clock", "its clock and this machine's differ by less than half a minute")                  \
    X(KENCTL_CHECK_VERSION, "version", "it is of the version of this kenctl")                                         \
    X(KENCTL_CHECK_READY, "ready", "it takes jobs: /readyz answers 200")                                              \
    X(KENCTL_CHECK_TOKEN, "token", "it lets this user see jobs")                                                      \
    X(KENCTL_CHECK_METRICS, "metrics", "it shows its metrics, which the checks below need")                           \
    X(KENCTL_CHECK_QUEUE, "queue", "no job has waited for more than an hour")                                         \
    X(KENCTL_CHECK_FAILURES, "failures", "fewer than three jobs in its store have failed, or at most a quarter")      \
    X(KENCTL_CHECK_SERVER_DISK, "server_disk", "jobs can take 10 GB and more in each of its folders")                 \
    X(KENCTL_CHECK_SERVER_FILES, "server_files", "it has at most four fifths of the files open that it may have")
#define X(symbol, name, right) symbol,
enum kenctl_check { KENCTL_CHECK_MAP(X) KENCTL_CHECK_COUNT };
#undef X

/* symbol, word, colour */
#define KENCTL_VERDICT_MAP(X)    \
    X(KENCTL_OK, "ok", "32")     \
    X(KENCTL_WARN, "warn", "33") \
    X(KENCTL_FAIL, "fail", "31")
#define X(symbol, word, colour) symbol,
enum kenctl_verdict { KENCTL_VERDICT_MAP(X) };
#undef X

struct kenctl_finding {
    enum kenctl_check check;
    enum kenctl_verdict verdict;
    char *found;        /* what there is; owned */
    const char *advice; /* what to do next; static; NULL if all is well */
};
/* A zeroed struct is empty. */
struct kenctl_findings {
    struct kenctl_finding *item; /* [count] */
    size_t count, capacity;
    bool failed; /* out of memory: something is missing */
};

void kenctl_find(struct kenctl_findings *findings, enum kenctl_check check, enum kenctl_verdict verdict, const char *advice,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Prints them and frees them. KENCTL_FAILURE if any is a failure, or out of memory. */
int kenctl_findings_finish(struct kenctl_findings *findings, const struct kenctl *kenctl);

/* The installation on this machine that --config and --data name: the checks up to `work`. */
void kenctl_doctor_machine(const struct kenctl *kenctl, struct kenctl_findings *findings);
/* Its checks `folders` and `store`. settings: as of kenctl_installation_read. */
void kenctl_doctor_folders(const json_t *settings, struct kenctl_findings *findings);
/* Its checks from `access` to `certificate`. settings: as of kenctl_installation_read. */
void kenctl_doctor_access(const json_t *settings, struct kenctl_findings *findings);
/* Judges how long a certificate, which is told as `name`, is good. */
void kenctl_find_validity(struct kenctl_findings *findings, enum kenctl_check check, const char *name,
                          const struct kenctl_validity *validity);
/* The kend at kenctl->server: the checks from `server` on. */
void kenctl_doctor_server(const struct kenctl *kenctl, struct kenctl_findings *findings);

#endif
