/* SPDX-License-Identifier: Apache-2.0 */
#include "file_system.h"
#include "unit.h"

#include <linux/magic.h>

START_TEST(file_systems_are_told_apart)
{
    static const struct {
        long type;
        enum kenctl_file_system_kind kind;
    } cases[] = {
        {NFS_SUPER_MAGIC, KENCTL_NETWORK},
        {SMB_SUPER_MAGIC, KENCTL_NETWORK},
        {V9FS_MAGIC, KENCTL_NETWORK},
        {AFS_SUPER_MAGIC, KENCTL_NETWORK},
        {CODA_SUPER_MAGIC, KENCTL_NETWORK},
        {(long)0xff534d42, KENCTL_NETWORK},
        {(int)0xff534d42, KENCTL_NETWORK}, /* where f_type is signed */
        {TMPFS_MAGIC, KENCTL_VOLATILE},
        {RAMFS_MAGIC, KENCTL_VOLATILE},
        {0x65735546, KENCTL_FUSE},
        {EXT4_SUPER_MAGIC, KENCTL_LOCAL},
        {XFS_SUPER_MAGIC, KENCTL_LOCAL},
        {(long)BTRFS_SUPER_MAGIC, KENCTL_LOCAL},
        {OVERLAYFS_SUPER_MAGIC, KENCTL_LOCAL},
        {12345, KENCTL_LOCAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct kenctl_file_system *system = kenctl_file_system_of(cases[i].type);
        ck_assert_msg(system->kind == cases[i].kind, "%lx is %s", (unsigned long)cases[i].type, system->name);
    }
    ck_assert_str_eq(kenctl_file_system_of(NFS_SUPER_MAGIC)->name, "NFS");
}
END_TEST

UNIT_MAIN("file_system", file_systems_are_told_apart)
