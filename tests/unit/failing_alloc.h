/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocations that fail on demand, for one file of a test program, which is linked with --wrap for malloc, calloc, realloc, strdup and
 * free: calls from the program's own objects come here, those within shared libraries do not.
 */
#ifndef KEN_TESTS_FAILING_ALLOC_H
#define KEN_TESTS_FAILING_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

static size_t countdown; /* the allocation that fails, counted from 1; 0: none */
static long held;        /* allocations made while armed, less those freed: only counts where balanced */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *memory);

static bool fails(void)
{
    return countdown && --countdown == 0;
}

/* Counts what is held; NULL stays NULL. */
static void *hold(void *memory)
{
    held += memory != NULL;
    return memory;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : hold(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : hold(__real_calloc(count, size));
}

void *__wrap_realloc(void *memory, size_t size)
{
    if (fails()) return NULL;
    void *grown = __real_realloc(memory, size);
    held += !memory && grown;
    return grown;
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : hold(__real_strdup(text));
}

void __wrap_free(void *memory)
{
    held -= memory != NULL;
    __real_free(memory);
}

#endif
