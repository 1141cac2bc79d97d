/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static bool read_memory(struct kend_process *process)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t whole, resident;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return false;
    bool good = fscanf(file, "%" SCNu64 " %" SCNu64, &whole, &resident) == 2;
    fclose(file);
    if (!good) return false;
    process->virtual_bytes = whole * page;
    process->resident_bytes = resident * page;
    return true;
}

static bool read_files(struct kend_process *process)
{
    struct rlimit limit;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder) return false;
    process->open_files = 0;
    for (const struct dirent *entry; (entry = readdir(folder));) process->open_files += entry->d_name[0] != '.';
    closedir(folder);
    process->open_files--; /* the folder itself */
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return false;
    process->max_files = limit.rlim_cur;
    return true;
}

bool kend_process_read(struct kend_process *process)
{
    struct timespec used;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) < 0) return false;
    process->cpu_seconds = (double)used.tv_sec + (double)used.tv_nsec / 1e9;
    return read_memory(process) && read_files(process);
}
