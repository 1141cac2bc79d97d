/* SPDX-License-Identifier: Apache-2.0 */
#include "file_system.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Numbers from statfs(2) and linux/magic.h; not all of these are in the header of every system. */
static const struct {
    uint32_t type;
    struct kenctl_file_system system;
} known[] = {
    {0x6969, {"NFS", KENCTL_NETWORK}},         {0x517b, {"SMB", KENCTL_NETWORK}},      {0xff534d42, {"CIFS", KENCTL_NETWORK}},
    {0xfe534d42, {"SMB 2", KENCTL_NETWORK}},   {0x00c36400, {"Ceph", KENCTL_NETWORK}}, {0x5346414f, {"AFS", KENCTL_NETWORK}},
    {0x6b414653, {"AFS", KENCTL_NETWORK}},     {0x73757245, {"Coda", KENCTL_NETWORK}}, {0x01021997, {"9P", KENCTL_NETWORK}},
    {0x0bd00bd0, {"Lustre", KENCTL_NETWORK}},  {0x47504653, {"GPFS", KENCTL_NETWORK}}, {0x19830326, {"BeeGFS", KENCTL_NETWORK}},
    {0x7461636f, {"OCFS2", KENCTL_NETWORK}},   {0x01161970, {"GFS2", KENCTL_NETWORK}}, {0x01021994, {"tmpfs", KENCTL_VOLATILE}},
    {0x858458f6, {"ramfs", KENCTL_VOLATILE}},  {0x65735546, {"FUSE", KENCTL_FUSE}},    {0xef53, {"ext4", KENCTL_LOCAL}},
    {0x58465342, {"XFS", KENCTL_LOCAL}},       {0x9123683e, {"Btrfs", KENCTL_LOCAL}},  {0x2fc12fc1, {"ZFS", KENCTL_LOCAL}},
    {0x794c7630, {"overlayfs", KENCTL_LOCAL}}, {0xf2f52010, {"F2FS", KENCTL_LOCAL}},
};

const struct kenctl_file_system *kenctl_file_system_of(long type)
{
    static const struct kenctl_file_system other = {"a local file system", KENCTL_LOCAL};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].type == (uint32_t)type) return &known[i].system; /* f_type is signed on some machines */
    return &other;
}

void kenctl_nearest(const char *path, char found[PATH_MAX])
{
    snprintf(found, PATH_MAX, "%s", path);
    while (access(found, F_OK) != 0) {
        char *slash = strrchr(found, '/');
        if (!slash || slash == found) {
            memcpy(found, slash ? "/" : ".", 2);
            return;
        }
        *slash = '\0';
    }
}
