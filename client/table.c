/* SPDX-License-Identifier: Apache-2.0 */
#include "array.h"
#include "kenctl.h"
#include "print.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct kenctl_table {
    const char *align;
    const char *const *heads;
    size_t columns;
    char **cells; /* [count], row by row */
    size_t count, capacity;
    bool failed;
};

struct kenctl_table *kenctl_table_create(const char *align, const char *const *heads)
{
    struct kenctl_table *table = calloc(1, sizeof *table);
    if (!table) return NULL;
    table->align = align;
    table->heads = heads;
    table->columns = strlen(align);
    return table;
}

void kenctl_table_add(struct kenctl_table *table, const char *text)
{
    if (!table || table->failed) return;
    char **cells = ken_array_grow(table->cells, table->count, &table->capacity, sizeof *cells);
    if (!cells) goto fail;
    table->cells = cells;
    table->cells[table->count] = strdup(text && *text ? text : "-");
    if (!table->cells[table->count]) goto fail;
    table->count++;
    return;
fail:
    table->failed = true;
}

void kenctl_table_add_format(struct kenctl_table *table, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length >= 0)
        kenctl_table_add(table, text);
    else if (table)
        table->failed = true;
    if (length >= 0) free(text);
}

void kenctl_table_add_size(struct kenctl_table *table, FILE *out, uint64_t bytes)
{
    char text[32];
    kenctl_table_add(table, kenctl_size(text, sizeof text, out, bytes));
}

static void print_row(const struct kenctl_table *table, FILE *out, const char *const *cells, const size_t *widths)
{
    for (size_t i = 0; i < table->columns; i++) {
        int padding = (int)(widths[i] - kenctl_print_text(NULL, cells[i]));
        bool last = i + 1 == table->columns;
        if (table->align[i] == 'r') fprintf(out, "%*s", padding, "");
        kenctl_print_text(out, cells[i]);
        if (table->align[i] != 'r' && !last) fprintf(out, "%*s", padding, "");
        fputs(last ? "\n" : "  ", out);
    }
}

/* False if out of memory. */
static bool print_table(const struct kenctl_table *table, FILE *out)
{
    if (!table || table->failed) return false;
    size_t *widths = calloc(table->columns, sizeof *widths);
    if (!widths) return false;
    for (size_t i = 0; i < table->columns && table->heads; i++) widths[i] = kenctl_print_text(NULL, table->heads[i]);
    for (size_t i = 0; i < table->count; i++) {
        size_t width = kenctl_print_text(NULL, table->cells[i]), *widest = &widths[i % table->columns];
        if (width > *widest) *widest = width;
    }
    if (table->heads) print_row(table, out, table->heads, widths);
    for (size_t i = 0; i + table->columns <= table->count; i += table->columns)
        print_row(table, out, (const char *const *)table->cells + i, widths);
    free(widths);
    return true;
}

static void free_table(struct kenctl_table *table)
{
    if (!table) return;
    for (size_t i = 0; i < table->count; i++) free(table->cells[i]);
    free(table->cells);
    free(table);
}

int kenctl_table_finish(struct kenctl_table **table)
{
    bool printed = print_table(*table, stdout);
    free_table(*table);
    *table = NULL;
    return printed ? KENCTL_SUCCESS : kenctl_fail(KENCTL_FAILURE, "out of memory");
}
