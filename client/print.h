/* SPDX-License-Identifier: Apache-2.0 */
/* Words and tables for people, which stay parseable in a pipe. */
#ifndef KENCTL_PRINT_H
#define KENCTL_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Whether a stream is a terminal. */
bool kenctl_is_terminal(FILE *out);
/* Columns of that terminal. */
unsigned kenctl_terminal_width(FILE *out);
/* Whether colours are wanted there: a terminal, and NO_COLOR is not set. */
bool kenctl_colour(FILE *out);
/* Prints text from anywhere on one line: what could steer a terminal or is no text (ken_utf8_is_plain) as \xNN. Returns how many characters
 * that are, which are columns for nearly all names; out may be NULL. */
size_t kenctl_print_text(FILE *out, const char *text);
/* One fault of a document to standard error: its pointer ("" or NULL: the document), and what is wrong there (may be NULL). */
void kenctl_print_fault(const char *pointer, const char *detail);
/* A size in bytes: "1.5 MB" on a terminal, the exact number in a pipe. Returns buffer[size]. */
const char *kenctl_size(char *buffer, size_t size, FILE *out, uint64_t bytes);
/* A size in bytes for people: "1.5 MB". Returns buffer[size]. */
const char *kenctl_human_size(char *buffer, size_t size, uint64_t bytes);
/* What follows a noun that is counted: "" of one, else "s". */
const char *kenctl_plural(uint64_t count);
/* A time in seconds for people: "1:02:03", "2:03", "3 s". Returns buffer[size]. */
const char *kenctl_duration(char *buffer, size_t size, double seconds);

/* A table whose columns are aligned when it is printed. */
struct kenctl_table;

/* align: one letter for each column, 'l' or 'r'. heads [strlen(align)], NULL: no line of heads. NULL if out of memory. */
struct kenctl_table *kenctl_table_create(const char *align, const char *const *heads);
/* Adds one cell, row by row; empty or NULL text is shown as "-". Out of memory is told by kenctl_table_print. */
void kenctl_table_add(struct kenctl_table *table, const char *text);
void kenctl_table_add_format(struct kenctl_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void kenctl_table_add_size(struct kenctl_table *table, FILE *out, uint64_t bytes);
/*
 * Prints to standard output, with two spaces between the columns, and frees the table, which may be NULL. The exit status; being out of
 * memory was told. Whether all of standard output could be written, is judged once, at the end.
 */
int kenctl_table_finish(struct kenctl_table **table);

#endif
