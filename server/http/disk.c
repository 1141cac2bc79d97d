/* SPDX-License-Identifier: Apache-2.0 */
#include "http/disk.h"

#include <sys/statvfs.h>

bool kend_disk_is_full(const struct kend_http_parts *parts)
{
    uint64_t reserve = parts->conf->disk_reserve_bytes, bytes, device;
    struct ken_error error = {0};
    struct statvfs data;
    if (parts->artifacts->ops->free_bytes(parts->artifacts, &bytes, &device, &error) == KEN_OK && bytes < reserve) return true;
    return statvfs(parts->conf->data, &data) == 0 && (uint64_t)data.f_bavail * data.f_frsize < reserve;
}
