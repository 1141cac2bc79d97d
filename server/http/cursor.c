/* SPDX-License-Identifier: Apache-2.0 */
#include "http/cursor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void kend_cursor_format(char cursor[KEND_CURSOR_SIZE], uint64_t position)
{
    snprintf(cursor, KEND_CURSOR_SIZE, "%" PRIu64, position);
}

bool kend_cursor_parse(const char *cursor, uint64_t *position)
{
    size_t digits = strspn(cursor, "0123456789");
    if (!digits || digits > 18 || cursor[digits]) return false;
    *position = strtoull(cursor, NULL, 10);
    return true;
}
