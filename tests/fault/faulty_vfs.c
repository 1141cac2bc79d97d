/* SPDX-License-Identifier: Apache-2.0 */
#include "faulty_vfs.h"

#include "error.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stddef.h>

static struct {
    enum faulty_kind kind;
    bool lasting;
    atomic_uint left; /* uses until one fails; 0: not armed */
    atomic_bool failed;
} plan;

/* Counts one use of a kind; whether it fails. */
static bool hit(enum faulty_kind kind)
{
    unsigned left = atomic_load(&plan.left);
    if (plan.kind != kind || !left) return false;
    if (left > 1) {
        atomic_store(&plan.left, left - 1);
        return false;
    }
    if (!plan.lasting) atomic_store(&plan.left, 0);
    atomic_store(&plan.failed, true);
    return true;
}

void faulty_arm(enum faulty_kind kind, unsigned n, bool lasting)
{
    plan.kind = kind;
    plan.lasting = lasting;
    atomic_store(&plan.failed, false);
    atomic_store(&plan.left, n);
}

bool faulty_disarm(void)
{
    atomic_store(&plan.left, 0);
    return atomic_load(&plan.failed);
}

/* ---- files: a wrapper with the real file behind it */

struct file {
    sqlite3_file base;
    sqlite3_file *real; /* in the same allocation */
};

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct file *)file)->real;
}
#define REAL(method, ...) real_of(file)->pMethods->method(real_of(file) __VA_OPT__(, ) __VA_ARGS__)

static int file_close(sqlite3_file *file)
{
    return REAL(xClose);
}
static int file_read(sqlite3_file *file, void *bytes, int count, sqlite3_int64 offset)
{
    return REAL(xRead, bytes, count, offset);
}
static int file_write(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 offset)
{
    if (hit(FAULTY_IO)) return SQLITE_IOERR_WRITE;
    if (!hit(FAULTY_FULL)) return REAL(xWrite, bytes, count, offset);
    REAL(xWrite, bytes, count / 2, offset);
    return SQLITE_FULL;
}
static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return hit(FAULTY_IO) ? SQLITE_IOERR_TRUNCATE : REAL(xTruncate, size);
}
static int file_sync(sqlite3_file *file, int flags)
{
    return hit(FAULTY_IO) ? SQLITE_IOERR_FSYNC : REAL(xSync, flags);
}
static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return REAL(xFileSize, size);
}
static int file_lock(sqlite3_file *file, int level)
{
    return REAL(xLock, level);
}
static int file_unlock(sqlite3_file *file, int level)
{
    return REAL(xUnlock, level);
}
static int file_reserved(sqlite3_file *file, int *reserved)
{
    return REAL(xCheckReservedLock, reserved);
}
static int file_control(sqlite3_file *file, int operation, void *argument)
{
    return REAL(xFileControl, operation, argument);
}
static int file_sector(sqlite3_file *file)
{
    return REAL(xSectorSize);
}
static int file_characteristics(sqlite3_file *file)
{
    return REAL(xDeviceCharacteristics);
}
static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **map)
{
    if (extend && hit(FAULTY_FULL)) return SQLITE_FULL;
    return extend && hit(FAULTY_IO) ? SQLITE_IOERR_SHMMAP : REAL(xShmMap, page, size, extend, map);
}
static int file_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return REAL(xShmLock, offset, n, flags);
}
static void file_shm_barrier(sqlite3_file *file)
{
    REAL(xShmBarrier);
}
static int file_shm_unmap(sqlite3_file *file, int delete)
{
    return REAL(xShmUnmap, delete);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

static sqlite3_vfs *real_vfs;

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
    (void)vfs;
    struct file *wrapper = (struct file *)file;
    wrapper->real = (sqlite3_file *)(wrapper + 1);
    int rc = hit(FAULTY_IO) ? SQLITE_CANTOPEN : real_vfs->xOpen(real_vfs, name, wrapper->real, flags, out_flags);
    wrapper->base.pMethods = rc == SQLITE_OK ? &methods : NULL;
    return rc;
}

/* ---- memory */

static sqlite3_mem_methods real_memory;

static void *allocate(int size)
{
    return hit(FAULTY_MEMORY) ? NULL : real_memory.xMalloc(size);
}

static void *reallocate(void *memory, int size)
{
    return hit(FAULTY_MEMORY) ? NULL : real_memory.xRealloc(memory, size);
}

void faulty_install(void)
{
    if (real_vfs) return;
    KEN_ASSERT(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory) == SQLITE_OK);
    sqlite3_mem_methods memory = real_memory;
    memory.xMalloc = allocate;
    memory.xRealloc = reallocate;
    KEN_ASSERT(sqlite3_config(SQLITE_CONFIG_MALLOC, &memory) == SQLITE_OK);
    KEN_ASSERT(sqlite3_initialize() == SQLITE_OK);

    static sqlite3_vfs vfs;
    real_vfs = sqlite3_vfs_find(NULL);
    vfs = *real_vfs; /* all but opening stays as it is */
    vfs.szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile;
    vfs.zName = "faulty";
    vfs.xOpen = open_file;
    vfs.pNext = NULL;
    KEN_ASSERT(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
}
