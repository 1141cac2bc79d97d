/* SPDX-License-Identifier: Apache-2.0 */
#include "http/disk.h"

#include "bytes.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

static const char *const disk_names[] = {
#define X(symbol, name) name,
    KEND_DISK_MAP(X)
#undef X
};

const char *kend_disk_name(enum kend_disk disk)
{
    return disk_names[disk];
}

/* Bytes that are free there, and on which file system (st_dev) that is. */
static bool find_free(const struct kend_http_parts *parts, enum kend_disk disk, const struct kend_cache_room *cache, uint64_t *bytes,
                      uint64_t *device)
{
    struct statvfs system;
    struct stat status;
    if (disk == KEND_DISK_ARTIFACTS) return parts->artifacts->ops->free_bytes(parts->artifacts, bytes, device, NULL) == KEN_OK;
    if (disk == KEND_DISK_CACHE) {
        *bytes = cache->free;
        *device = cache->device;
        return true;
    }
    if (statvfs(parts->conf->data, &system) || stat(parts->conf->data, &status)) return false;
    *bytes = (uint64_t)system.f_bavail * system.f_frsize;
    *device = (uint64_t)status.st_dev;
    return true;
}

bool kend_disk_room(const struct kend_http_parts *parts, enum kend_disk disk, struct kend_disk_room *room)
{
    const uint64_t reserve = parts->conf->disk_reserve_bytes;
    struct kend_cache_room cache;
    uint64_t device;
    kend_fetcher_room(parts->fetcher, &cache);
    if (!find_free(parts, disk, &cache, &room->free, &device)) return false;
    room->available = ken_bytes_add(room->free, device == cache.device ? cache.evictable : 0);
    room->full = room->available < reserve;
    room->available -= reserve < room->available ? reserve : room->available;
    return true;
}

bool kend_disk_is_full(const struct kend_http_parts *parts)
{
    struct kend_disk_room room;
    for (int disk = KEND_DISK_DATA; disk <= KEND_DISK_ARTIFACTS; disk++)
        if (kend_disk_room(parts, (enum kend_disk)disk, &room) && room.full) return true;
    return false;
}
