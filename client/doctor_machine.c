/* SPDX-License-Identifier: Apache-2.0 */
/* What can be wrong with an installation on this machine, whether its kend runs or not. */
#include "bytes.h"
#include "doctor.h"
#include "file_system.h"
#include "files.h"
#include "installation.h"
#include "print.h"
#include "selection/kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { SIZE_TEXT = 32, OTHER_FILES = 64, FILES_OF_A_JOB = 16 };
#define ROOM_FOR_JOBS (UINT64_C(1) << 30)

struct machine {
    const json_t *settings;
    struct kenctl_findings *findings;
};

/* ---- folders and disks */

static void check_data(const struct machine *machine)
{
    const char *path = kenctl_setting(machine->settings, "data");
    struct kenctl_findings *findings = machine->findings;
    char above[PATH_MAX];
    struct stat status;
    kenctl_nearest(path, above);
    if (strcmp(above, path) != 0 && access(above, W_OK | X_OK) == 0)
        kenctl_find(findings, KENCTL_CHECK_DATA, KENCTL_WARN, "is it the right one? kend makes it at its first start", "%s is not there",
                    path);
    else if (strcmp(above, path) != 0)
        kenctl_find(findings, KENCTL_CHECK_DATA, KENCTL_FAIL, "make it, and give it to the user that kend runs as",
                    "%s is not there, and this user cannot make it", path);
    else if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))
        kenctl_find(findings, KENCTL_CHECK_DATA, KENCTL_FAIL, "name another one with --data", "%s is not a folder", path);
    else if (access(path, R_OK | W_OK | X_OK) != 0)
        kenctl_find(findings, KENCTL_CHECK_DATA, KENCTL_FAIL, "run kend, and this, as the folder's owner", "this user may not write to %s",
                    path);
    else if (status.st_mode & 077)
        kenctl_find(findings, KENCTL_CHECK_DATA, KENCTL_WARN, "chmod 700: URLs in the job store may hold secrets",
                    "%s is open to other users (mode %03o)", path, status.st_mode & 0777);
    else
        kenctl_find(findings, KENCTL_CHECK_DATA, KENCTL_OK, NULL, "%s", path);
}

static void check_file_system(const struct machine *machine)
{
    const char *path = kenctl_setting_path(machine->settings, "store.url");
    char folder[PATH_MAX];
    struct statfs status;
    kenctl_nearest(path, folder);
    if (statfs(folder, &status) != 0) {
        kenctl_find(machine->findings, KENCTL_CHECK_FILE_SYSTEM, KENCTL_FAIL, "look at the system's log", "%s: %s", folder,
                    strerrordesc_np(errno));
        return;
    }
    const struct kenctl_file_system *system = kenctl_file_system_of((long)status.f_type);
    switch (system->kind) {
    case KENCTL_NETWORK:
        kenctl_find(machine->findings, KENCTL_CHECK_FILE_SYSTEM, KENCTL_FAIL, "put store.url on a disk of this machine",
                    "%s lies on %s, where SQLite's write-ahead log does not work", path, system->name);
        break;
    case KENCTL_FUSE:
        kenctl_find(machine->findings, KENCTL_CHECK_FILE_SYSTEM, KENCTL_WARN,
                    "put store.url on a disk of this machine, unless that is what FUSE serves", "%s lies on %s", path, system->name);
        break;
    case KENCTL_VOLATILE:
        kenctl_find(machine->findings, KENCTL_CHECK_FILE_SYSTEM, KENCTL_WARN, "put store.url on a disk, unless jobs may be lost",
                    "%s lies on %s, which does not outlive a restart of the machine", path, system->name);
        break;
    case KENCTL_LOCAL: kenctl_find(machine->findings, KENCTL_CHECK_FILE_SYSTEM, KENCTL_OK, NULL, "%s", system->name); break;
    }
}

static const char *const disk_settings[] = {"data", "artifacts.url", "cache.dir"};
enum { DISKS = sizeof disk_settings / sizeof *disk_settings };

/* The folder with the least room is told. */
static void check_disk(const struct machine *machine)
{
    const uint64_t reserve = kenctl_setting_number(machine->settings, "disk.reserve_bytes");
    uint64_t least = UINT64_MAX;
    char folder[PATH_MAX], fullest[PATH_MAX] = "/", free_text[SIZE_TEXT], reserve_text[SIZE_TEXT];
    for (int i = 0; i < DISKS; i++) {
        struct statvfs status;
        kenctl_nearest(kenctl_setting_path(machine->settings, disk_settings[i]), folder);
        if (statvfs(folder, &status) != 0) continue;
        const uint64_t there = (uint64_t)status.f_bavail * status.f_frsize;
        if (there >= least) continue;
        least = there;
        memcpy(fullest, folder, sizeof fullest);
    }
    if (least == UINT64_MAX) return; /* no file system tells: that was found before */
    kenctl_human_size(free_text, sizeof free_text, least);
    kenctl_human_size(reserve_text, sizeof reserve_text, reserve);
    if (least < reserve)
        kenctl_find(machine->findings, KENCTL_CHECK_DISK, KENCTL_FAIL, "make room: kend takes no jobs",
                    "%s are free at %s, less than disk.reserve_bytes (%s)", free_text, fullest, reserve_text);
    else if (least - reserve < ROOM_FOR_JOBS)
        kenctl_find(machine->findings, KENCTL_CHECK_DISK, KENCTL_WARN, "make room, or set cache.max_bytes if the cache has taken it",
                    "%s are free at %s, hardly more than disk.reserve_bytes (%s)", free_text, fullest, reserve_text);
    else
        kenctl_find(machine->findings, KENCTL_CHECK_DISK, KENCTL_OK, NULL, "%s are free at %s", free_text, fullest);
}

/* Whether what cache and artifacts may take fits on the disk of the cache, as far as the artifacts lie there, too. */
static void check_limits(const struct machine *machine)
{
    const json_t *settings = machine->settings;
    uint64_t wanted =
        ken_bytes_add(kenctl_setting_number(settings, "disk.reserve_bytes"), kenctl_setting_number(settings, "cache.max_bytes"));
    char cache[PATH_MAX], artifacts[PATH_MAX], wanted_text[SIZE_TEXT], size_text[SIZE_TEXT];
    struct stat of_cache, of_artifacts;
    struct statvfs status;
    kenctl_nearest(kenctl_setting_path(settings, "cache.dir"), cache);
    kenctl_nearest(kenctl_setting_path(settings, "artifacts.url"), artifacts);
    if (statvfs(cache, &status) != 0 || stat(cache, &of_cache) != 0 || stat(artifacts, &of_artifacts) != 0) return;
    if (of_cache.st_dev == of_artifacts.st_dev) wanted = ken_bytes_add(wanted, kenctl_setting_number(settings, "artifacts.max_bytes"));
    const uint64_t size = (uint64_t)status.f_blocks * status.f_frsize;
    kenctl_human_size(wanted_text, sizeof wanted_text, wanted);
    kenctl_human_size(size_text, sizeof size_text, size);
    const bool cache_ends = kenctl_setting_number(settings, "cache.max_bytes"),
               artifacts_end = kenctl_setting_number(settings, "artifacts.max_bytes");
    if (wanted > size)
        kenctl_find(machine->findings, KENCTL_CHECK_LIMITS, KENCTL_WARN, "lower cache.max_bytes or artifacts.max_bytes",
                    "cache, artifacts and reserve may take %s, but the disk of %s has %s", wanted_text, cache, size_text);
    else if (cache_ends && artifacts_end)
        kenctl_find(machine->findings, KENCTL_CHECK_LIMITS, KENCTL_OK, NULL, "at most %s of %s", wanted_text, size_text);
    else
        kenctl_find(machine->findings, KENCTL_CHECK_LIMITS, KENCTL_OK, NULL,
                    "%s may fill the disk of %s up to the reserve: no limit is set",
                    cache_ends      ? "artifacts"
                    : artifacts_end ? "the cache"
                                    : "cache and artifacts",
                    size_text);
}

/* ---- what the machine has */

static void check_memory(const struct machine *machine)
{
    const uint64_t wanted = kenctl_setting_number(machine->settings, "prune.memory");
    const uint64_t there = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    char wanted_text[SIZE_TEXT], there_text[SIZE_TEXT];
    kenctl_human_size(wanted_text, sizeof wanted_text, wanted);
    kenctl_human_size(there_text, sizeof there_text, there);
    if (wanted > there)
        kenctl_find(machine->findings, KENCTL_CHECK_MEMORY, KENCTL_FAIL, "lower prune.memory", "prune.memory is %s, the machine has %s",
                    wanted_text, there_text);
    else
        kenctl_find(machine->findings, KENCTL_CHECK_MEMORY, KENCTL_OK, NULL, "prune.memory is %s of %s", wanted_text, there_text);
}

static void check_threads(const struct machine *machine)
{
    const uint64_t wanted = kenctl_setting_number(machine->settings, "prune.threads");
    const uint64_t there = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    if (wanted > there)
        kenctl_find(machine->findings, KENCTL_CHECK_THREADS, KENCTL_WARN, "lower prune.threads: more only wait for each other",
                    "prune.threads is %" PRIu64 ", the machine has %" PRIu64 " processor%s", wanted, there, kenctl_plural(there));
    else
        kenctl_find(machine->findings, KENCTL_CHECK_THREADS, KENCTL_OK, NULL, "%" PRIu64 " of %" PRIu64 " processor%s", wanted, there,
                    kenctl_plural(there));
}

/* kend raises its limit as far as the system lets it; a service may have another one than this process. */
static void check_open_files(const struct machine *machine)
{
    const json_t *settings = machine->settings;
    const uint64_t of_a_job = FILES_OF_A_JOB + 2 * kenctl_setting_number(settings, "fetch.connections");
    const uint64_t wanted = OTHER_FILES + kenctl_setting_number(settings, "http.max_connections") +
                            kenctl_setting_number(settings, "jobs.max_running") * of_a_job;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    if (limit.rlim_max < wanted)
        kenctl_find(machine->findings, KENCTL_CHECK_OPEN_FILES, KENCTL_WARN,
                    "raise the limit (ulimit -Hn; LimitNOFILE= of a unit), or lower http.max_connections",
                    "a process may have %" PRIu64 " files open, kend can need %" PRIu64, (uint64_t)limit.rlim_max, wanted);
    else
        kenctl_find(machine->findings, KENCTL_CHECK_OPEN_FILES, KENCTL_OK, NULL, "kend can need %" PRIu64, wanted);
}

static void check_kernel(const struct machine *machine)
{
    const char *chosen = kenctl_setting(machine->settings, "prune.kernel");
    const struct ken_kernel *fastest = ken_kernel_find("auto", NULL);
    if (strcmp(chosen, "auto") != 0 && strcmp(chosen, fastest->name) != 0)
        kenctl_find(machine->findings, KENCTL_CHECK_KERNEL, KENCTL_WARN, "set prune.kernel = auto: the bytes are the same",
                    "prune.kernel is %s, the processor has %s", chosen, fastest->name);
    else
        kenctl_find(machine->findings, KENCTL_CHECK_KERNEL, KENCTL_OK, NULL, "%s", fastest->name);
}

static void check_proxy(const struct machine *machine)
{
    static const char *const variables[] = {"https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"};
    const char *proxy = kenctl_setting(machine->settings, "fetch.proxy");
    for (size_t i = 0; !*proxy && i < sizeof variables / sizeof *variables; i++) {
        const char *value = getenv(variables[i]);
        if (!value || !*value) continue;
        kenctl_find(machine->findings, KENCTL_CHECK_PROXY, KENCTL_WARN, "set fetch.proxy if kend has to fetch through a proxy",
                    "%s is set, which kend does not look at", variables[i]);
        return;
    }
    kenctl_find(machine->findings, KENCTL_CHECK_PROXY, KENCTL_OK, NULL, "%s", *proxy ? proxy : "none");
}

/* ---- what the configuration names */

/* Adds a finding if the path cannot be used; whether it can. */
static bool is_readable(const struct machine *machine, const char *option, const char *path, int how)
{
    if (access(path, how) == 0) return true;
    kenctl_find(machine->findings, KENCTL_CHECK_FILES, KENCTL_FAIL, "correct the option, or make the file readable to kend's user",
                "%s: %s: %s", option, path, strerrordesc_np(errno));
    return false;
}

static void check_files(const struct machine *machine)
{
    static const char *const options[] = {"fetch.ca_file", "http.tls_cert", "http.tls_key", "http.tls_client_ca", "auth.tokens_file"};
    unsigned good = 0, bad = 0;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        const char *path = kenctl_setting(machine->settings, options[i]);
        if (*path) ++*(is_readable(machine, options[i], path, R_OK) ? &good : &bad);
    }
    char *roots = strdup(kenctl_setting(machine->settings, "fetch.file_roots")), *rest = roots;
    if (!roots) {
        machine->findings->failed = true;
        return;
    }
    for (char *root; (root = strsep(&rest, ","));)
        if (*root) ++*(is_readable(machine, "fetch.file_roots", root, R_OK | X_OK) ? &good : &bad);
    free(roots);
    if (!bad) kenctl_find(machine->findings, KENCTL_CHECK_FILES, KENCTL_OK, NULL, good ? "all %u can be read" : "none is named", good);
}

static void check_folders(const struct machine *machine)
{
    kenctl_doctor_folders(machine->settings, machine->findings);
}

static void check_access(const struct machine *machine)
{
    kenctl_doctor_access(machine->settings, machine->findings);
}

/* Whether a kend has the data folder: it holds a lock on a file there. False if that cannot be told. */
static bool is_running(const char *data)
{
    char *path = kenctl_join(data, "lock");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    bool running = file >= 0 && flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (file >= 0) close(file);
    free(path);
    return running;
}

static unsigned count_entries(const char *path)
{
    unsigned count = 0;
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder && (entry = readdir(folder));) count += entry->d_name[0] != '.';
    if (folder) closedir(folder);
    return count;
}

static void check_work(const struct machine *machine)
{
    char *path = kenctl_join(kenctl_setting_path(machine->settings, "artifacts.url"), ".work");
    if (!path) {
        machine->findings->failed = true;
        return;
    }
    const unsigned jobs = count_entries(path);
    const char *data = kenctl_setting(machine->settings, "data");
    if (is_running(data))
        kenctl_find(machine->findings, KENCTL_CHECK_WORK, KENCTL_OK, NULL, "a kend runs here; %u jobs have working folders", jobs);
    else if (jobs)
        kenctl_find(machine->findings, KENCTL_CHECK_WORK, KENCTL_WARN, "start kend: they go on where they were",
                    "no kend runs here, and %u jobs are half done in %s", jobs, path);
    else
        kenctl_find(machine->findings, KENCTL_CHECK_WORK, KENCTL_OK, NULL, "none is left");
    free(path);
}

/* ---- all */

static const char correct_it[] = "correct it; kend --check-config tells the same";

/* What kend said of the configuration, line by line. */
static void check_config(const struct machine *machine, const char *config)
{
    static const char warning[] = "warning: ";
    char *said = strdup(kenctl_setting(machine->settings, "said")), *rest = said;
    if (!said) {
        machine->findings->failed = true;
        return;
    }
    if (!*said) kenctl_find(machine->findings, KENCTL_CHECK_CONFIG, KENCTL_OK, NULL, "%s", config ? config : "defaults and environment");
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (!*line) continue;
        const bool warns = strncmp(line, warning, sizeof warning - 1) == 0;
        kenctl_find(machine->findings, KENCTL_CHECK_CONFIG, warns ? KENCTL_WARN : KENCTL_FAIL,
                    warns ? "rename the variable, or take it away" : correct_it, "%s", line);
    }
    free(said);
}

void kenctl_doctor_machine(const struct kenctl *kenctl, struct kenctl_findings *findings)
{
    static void (*const checks[])(const struct machine *) = {check_data,   check_folders, check_file_system, check_disk,   check_limits,
                                                             check_memory, check_threads, check_open_files,  check_kernel, check_proxy,
                                                             check_files,  check_access,  check_work};
    const char *config = kenctl_option(kenctl, KENCTL_OPT_CONFIG);
    json_t *settings;
    struct ken_error error = {0};
    if (kenctl_installation_read(&settings, config, kenctl_option(kenctl, KENCTL_OPT_DATA), &error)) {
        kenctl_find(findings, KENCTL_CHECK_CONFIG, KENCTL_FAIL,
                    error.code == KEN_EINVALID ? correct_it : "install kend, or run this where it is", "%s", error.message);
        return;
    }
    const struct machine machine = {.settings = settings, .findings = findings};
    check_config(&machine, config);
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) checks[i](&machine);
    json_decref(settings);
}
