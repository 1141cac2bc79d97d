/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite on a disk, and with memory, that fail at the n-th use. */
#ifndef KEND_TESTS_FAULTY_VFS_H
#define KEND_TESTS_FAULTY_VFS_H

#include <stdbool.h>

enum faulty_kind {
    FAULTY_FULL,   /* half of the bytes are written, then the disk is full */
    FAULTY_IO,     /* an input or output error, on syncing and truncating, too */
    FAULTY_MEMORY, /* an allocation of SQLite fails */
};

/* Makes it what SQLite uses by default. Before anything else of SQLite is used; again: nothing. */
void faulty_install(void);
/* The n-th use from now fails (1: the next), and all later ones if `lasting`; 0: none does. */
void faulty_arm(enum faulty_kind kind, unsigned n, bool lasting);
/* Ends that; whether anything has failed. */
bool faulty_disarm(void);

#endif
