/* SPDX-License-Identifier: Apache-2.0 */
#include "print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

bool kenctl_is_terminal(FILE *out)
{
    return isatty(fileno(out)) == 1;
}

bool kenctl_colour(FILE *out)
{
    const char *no = getenv("NO_COLOR");
    return !(no && *no) && kenctl_is_terminal(out);
}

void kenctl_print_text(FILE *out, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        bool second_control = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0; /* U+0080 to U+009F in UTF-8 */
        if (second_control) c++;
        fputc(second_control || (*c < 0x20 && *c != '\n') || *c == 0x7f ? '?' : *c, out);
    }
}

void kenctl_print_fault(const char *pointer, const char *detail)
{
    fputs("  ", stderr);
    kenctl_print_text(stderr, pointer && *pointer ? pointer : "(document)");
    fputs(": ", stderr);
    kenctl_print_text(stderr, detail ? detail : "");
    fputc('\n', stderr);
}

const char *kenctl_human_size(char *buffer, size_t size, uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1000;
        unit++;
    }
    snprintf(buffer, size, unit && value < 99.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return buffer;
}

const char *kenctl_size(char *buffer, size_t size, FILE *out, uint64_t bytes)
{
    if (kenctl_is_terminal(out)) return kenctl_human_size(buffer, size, bytes);
    snprintf(buffer, size, "%" PRIu64, bytes);
    return buffer;
}

const char *kenctl_duration(char *buffer, size_t size, double seconds)
{
    uint64_t whole = seconds > 0 ? (uint64_t)(seconds + 0.5) : 0;
    if (whole >= 3600)
        snprintf(buffer, size, "%" PRIu64 ":%02u:%02u", whole / 3600, (unsigned)(whole / 60 % 60), (unsigned)(whole % 60));
    else if (whole >= 60)
        snprintf(buffer, size, "%u:%02u", (unsigned)(whole / 60), (unsigned)(whole % 60));
    else
        snprintf(buffer, size, seconds < 9.95 ? "%.1f s" : "%.0f s", seconds > 0 ? seconds : 0);
    return buffer;
}
