/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/curl_memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_uint failures;

static void *watch(void *memory)
{
    if (!memory) atomic_fetch_add(&failures, 1);
    return memory;
}

static void *watched_malloc(size_t size)
{
    return watch(malloc(size ? size : 1));
}

static void *watched_realloc(void *memory, size_t size)
{
    return watch(realloc(memory, size ? size : 1));
}

static void *watched_calloc(size_t count, size_t size)
{
    return watch(calloc(count ? count : 1, size ? size : 1));
}

static char *watched_strdup(const char *text)
{
    return watch(strdup(text));
}

CURLcode kend_curl_memory_begin(void)
{
    return curl_global_init_mem(CURL_GLOBAL_DEFAULT, watched_malloc, free, watched_realloc, watched_strdup, watched_calloc);
}

unsigned kend_curl_memory_failures(void)
{
    return atomic_load(&failures);
}
