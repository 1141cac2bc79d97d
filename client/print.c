/* SPDX-License-Identifier: Apache-2.0 */
#include "print.h"

#include "utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool kenctl_is_terminal(FILE *out)
{
    return isatty(fileno(out)) == 1;
}

unsigned kenctl_terminal_width(FILE *out)
{
    enum { USUAL_WIDTH = 80 };
    struct winsize size;
    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : USUAL_WIDTH;
}

bool kenctl_colour(FILE *out)
{
    const char *no = getenv("NO_COLOR");
    return !(no && *no) && kenctl_is_terminal(out);
}

size_t kenctl_print_text(FILE *out, const char *text)
{
    size_t columns = 0, length = strlen(text);
    for (size_t i = 0; i < length;) {
        uint32_t code = 0;
        size_t sequence = ken_utf8_sequence(text + i, length - i, &code);
        if (sequence && ken_utf8_is_plain(code)) {
            if (out) fwrite(text + i, 1, sequence, out);
            columns++;
        } else { /* its bytes; the second and later ones of a sequence come here again, as no sequence begins with them */
            sequence = 1;
            if (out) fprintf(out, "\\x%02x", (unsigned char)text[i]);
            columns += sizeof "\\xNN" - 1;
        }
        i += sequence;
    }
    return columns;
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

const char *kenctl_plural(uint64_t count)
{
    return count == 1 ? "" : "s";
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
