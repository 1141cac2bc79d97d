/* SPDX-License-Identifier: Apache-2.0 */
#include "http/event_text.h"

#include <inttypes.h>
#include <string.h>

void kend_event_text(FILE *out, const char *type, int64_t id, const char *data)
{
    if (id) fprintf(out, "id: %" PRId64 "\n", id);
    fprintf(out, "event: %s\n", type);
    do {
        const size_t length = strcspn(data, "\r\n");
        fprintf(out, "data: %.*s\n", (int)length, data);
        data += length;
        if (strncmp(data, "\r\n", 2) == 0) data++;
        if (*data) data++;
    } while (*data);
    fputc('\n', out);
}

void kend_event_retry(FILE *out, unsigned milliseconds)
{
    fprintf(out, "retry: %u\n\n", milliseconds);
}

void kend_event_ping(FILE *out)
{
    fputs(": ping\n\n", out);
}
