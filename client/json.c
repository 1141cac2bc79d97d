/* SPDX-License-Identifier: Apache-2.0 */
/* JSON for programs, laid out so that people can read it. */
#include "json.h"

#include "json_writer.h"
#include "kenctl.h"

#include <string.h>

enum { INDENT = 2 };

static void break_line(FILE *out, unsigned depth)
{
    fprintf(out, "\n%*s", (int)(INDENT * depth), "");
}

/* Length of the string that text begins with, quotes and all. */
static size_t string_length(const char *text)
{
    size_t length = 1;
    while (text[length] != '"') length += text[length] == '\\' ? 2 : 1;
    return length + 1;
}

/* Breaks compact JSON into lines: all its values stay as they are, to the digit. */
static void lay_out(FILE *out, const char *text)
{
    unsigned depth = 0;
    while (*text) {
        size_t length = *text == '"' ? string_length(text) : 1;
        bool opens = *text == '{' || *text == '[', closes = *text == '}' || *text == ']';
        if (opens && text[1] == *text + 2) length = 2; /* empty; in ASCII the brackets of both kinds are two apart */
        if (closes) break_line(out, --depth);
        fwrite(text, 1, length, out);
        if (opens && length == 1) depth++;
        if ((opens && length == 1) || *text == ',') break_line(out, depth);
        if (*text == ':') fputc(' ', out);
        text += length;
    }
    fputc('\n', out);
}

static void put_line(FILE *out, const char *text)
{
    fprintf(out, "%s\n", text);
    fflush(out); /* a failure is told at the end */
}

static int print_with(void (*print)(FILE *out, const char *text), const json_t *json)
{
    struct ken_json_writer writer;
    const char *text;
    size_t length;
    if (!json) return kenctl_fail(KENCTL_FAILURE, "out of memory");
    ken_json_writer_init(&writer);
    proto_json_write(&writer, json);
    int code = ken_json_writer_finish(&writer, &text, &length);
    if (!code) print(stdout, text);
    ken_json_writer_free(&writer);
    return code ? kenctl_fail(KENCTL_FAILURE, "out of memory") : KENCTL_SUCCESS;
}

int kenctl_print_json(const json_t *json)
{
    return print_with(lay_out, json);
}

int kenctl_print_json_line(const json_t *json)
{
    return print_with(put_line, json);
}

int kenctl_print_new_json(json_t *json)
{
    int status = kenctl_print_json(json);
    json_decref(json);
    return status;
}
