/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/header_store.h"

#include "array.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int ken_header_store_grow(struct ken_header_store *store, const char *label, struct ken_error *error)
{
    if (store->count == store->limits.max_tensors)
        return ken_fail(error, KEN_ETOO_LARGE, "%s: more than %" PRIu64 " tensors", label, store->limits.max_tensors);
    struct ken_tensor *tensors = ken_array_grow(store->tensors, store->count, &store->capacity, sizeof *tensors);
    if (!tensors) return ken_fail_no_memory(error, label);
    store->tensors = tensors;
    return KEN_OK;
}

int ken_header_store_grow_ties(struct ken_header_store *store, const char *label, struct ken_error *error)
{
    struct ken_tie *ties = ken_array_grow(store->ties, store->tie_count, &store->tie_capacity, sizeof *ties);
    if (!ties) return ken_fail_no_memory(error, label);
    store->ties = ties;
    return KEN_OK;
}

int ken_header_store_check(const struct ken_header_store *store, const char *label, struct ken_error *error)
{
    uint64_t limit = store->limits.max_header_bytes;
    if (store->arena.used <= limit && store->metadata_bytes <= limit - store->arena.used) return KEN_OK;
    return ken_fail(error, KEN_ETOO_LARGE, "%s: names, shapes and metadata take more than the limit of %" PRIu64 " bytes", label, limit);
}

const char *ken_header_store_refuses(const struct ken_header_store *store, const char *name, size_t length, char *buffer, size_t size)
{
    const uint64_t own = store->limits.max_name_bytes, most = own ? own : KEN_TENSOR_NAME_MAX;
    if (!length) return "the name of a tensor is empty";
    if (length > most) {
        /* The entries of a delta have longer names than those of any model, which whoever looks at a file need not care about. */
        snprintf(buffer, size, "the name of a tensor is longer than %" PRIu64 " bytes",
                 most < KEN_TENSOR_NAME_MAX ? most : KEN_TENSOR_NAME_MAX);
        return buffer;
    }
    return memchr(name, '\0', length) ? "the name of a tensor has a NUL character" : NULL;
}

int ken_header_bad_tensor(const char *label, struct ken_error *error, const char *name, const char *format, ...)
{
    enum { SHOWN = 160 };
    char shown[SHOWN], reason[SHOWN];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return ken_fail(error, KEN_EBAD_CHECKPOINT, "%s: tensor \"%s\": %s", label, ken_printable(shown, sizeof shown, name, strlen(name)),
                    reason);
}
