/* SPDX-License-Identifier: Apache-2.0 */
/* Into which list of a table a key belongs. */
#ifndef KEND_HTTP_HASH_H
#define KEND_HTTP_HASH_H

#include <stddef.h>
#include <stdint.h>

/* FNV-1a, folded so that a table of any power of two sees all bits. seed: of the table, or 0 where no stranger chooses the keys. */
uint32_t kend_hash(uint32_t seed, const void *key, size_t length);
/* A seed that nobody else can tell, so that nobody can find keys of one list; 0 where the system has no random bytes yet. */
uint32_t kend_hash_seed(void);

#endif
