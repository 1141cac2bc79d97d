/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a test and the swept kend share, in a file that the environment variable KEND_SWEEP names: which use of which kind of call fails.
 * tests/e2e/sweep.py has the same layout.
 */
#ifndef KEND_TESTS_SWEEP_H
#define KEND_TESTS_SWEEP_H

#include <stdatomic.h>
#include <stdint.h>

enum sweep_kind {
    SWEEP_NONE,
    SWEEP_MEMORY,  /* allocations of kend itself, and what other libraries allocate for it at once */
    SWEEP_JANSSON, /* allocations within jansson */
    SWEEP_SQLITE,  /* within SQLite */
    SWEEP_CURL,    /* within libcurl */
    SWEEP_OPEN,    /* opening a file or a folder */
    SWEEP_READ,    /* reading regular files and what the system knows of files and disks */
    SWEEP_WRITE,   /* writing regular files; not the log, which tells the test */
    SWEEP_ROOM,    /* reserving and cutting */
    SWEEP_SYNC,    /* making durable */
    SWEEP_NAME,    /* making, renaming and removing names */
    SWEEP_SQL,     /* calls of SQLite */
    SWEEP_FETCH,   /* calls of libcurl */
    SWEEP_ANSWER,  /* calls of libmicrohttpd */
    SWEEP_THREAD,  /* threads, loops and what wakes them */
};

enum { SWEEP_PLACES = 6 };

struct sweep {
    atomic_uint kind;    /* enum sweep_kind */
    atomic_uint first;   /* the use that fails, counted from 1 */
    atomic_uint lasting; /* 1: all later ones fail, too */
    atomic_uint error;   /* the errno, or the code of SQLite */
    atomic_uint count;   /* uses so far */
    atomic_uint failed;  /* of which so many failed */
    atomic_uint holds;   /* 1: none fails; the one that would takes until nothing is to fail any more */
    _Atomic uint64_t
        place[SWEEP_PLACES]; /* where in the program the first was called that failed, the innermost place first, as addr2line takes them */
};

#endif
