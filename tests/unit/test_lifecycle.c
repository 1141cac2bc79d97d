/* SPDX-License-Identifier: Apache-2.0 */
#include "lifecycle.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

/* Names and ends of every event, from the code's table. */
static const struct {
    const char *name;
    enum proto_status from, to;
} table[] = {
#define X(event, text, before, after) {.name = text, .from = before, .to = after},
    PROTO_TRANSITION_MAP(X)
#undef X
};

START_TEST(only_the_tables_transitions_are_possible)
{
    for (unsigned event = 0; event < PROTO_EVENT_COUNT; event++) {
        ck_assert_str_eq(proto_event_name((enum proto_event)event), table[event].name);
        for (unsigned from = 0; from < PROTO_STATUS_COUNT; from++) {
            enum proto_status to = PROTO_STATUS_COUNT;
            bool possible = proto_transition((enum proto_event)event, (enum proto_status)from, &to);
            ck_assert_int_eq(possible, from == table[event].from);
            ck_assert_int_eq(to, possible ? table[event].to : PROTO_STATUS_COUNT);
            ck_assert(!possible || !proto_status_is_terminal((enum proto_status)from));
        }
    }
}
END_TEST

/* The next cell of a table's row, trimmed; *row moves behind it. */
static const char *next_cell(char **row)
{
    char *cell = strsep(row, "|");
    ck_assert_ptr_nonnull(cell);
    while (*cell == ' ') cell++;
    for (char *end = cell + strlen(cell); end > cell && end[-1] == ' ';) *--end = '\0';
    return cell;
}

START_TEST(the_documented_table_is_the_codes)
{
    char path[4096], line[1024];
    size_t rows = 0;
    const char *source = getenv("KEND_SOURCE");
    snprintf(path, sizeof path, "%s/proto/lifecycle.md", source ? source : ".");
    FILE *file = fopen(path, "r");
    ck_assert_msg(file, "%s", path);
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "| ", 2) != 0 || strncmp(line, "| event ", 8) == 0) continue;
        if (strchr(line, '+')) continue; /* a part of the diagram */
        char *row = line + 1;
        ck_assert_uint_lt(rows, PROTO_EVENT_COUNT);
        ck_assert_str_eq(next_cell(&row), table[rows].name);
        ck_assert_str_eq(next_cell(&row), proto_status_name(table[rows].from));
        ck_assert_str_eq(next_cell(&row), proto_status_name(table[rows].to));
        rows++;
    }
    fclose(file);
    ck_assert_uint_eq(rows, PROTO_EVENT_COUNT);
}
END_TEST

START_TEST(the_diagram_has_every_event)
{
    char path[4096], text[8192];
    const char *source = getenv("KEND_SOURCE");
    snprintf(path, sizeof path, "%s/proto/lifecycle.md", source ? source : ".");
    FILE *file = fopen(path, "r");
    ck_assert_msg(file, "%s", path);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    char *diagram = strstr(text, "```"), *end = strstr(diagram + 3, "```");
    ck_assert_ptr_nonnull(end);
    *end = '\0';
    for (unsigned i = 0; i < PROTO_EVENT_COUNT; i++) ck_assert_msg(strstr(diagram, table[i].name), "%s", table[i].name);
    for (unsigned i = 0; i < PROTO_STATUS_COUNT; i++) ck_assert_ptr_nonnull(strstr(diagram, proto_status_name((enum proto_status)i)));
}
END_TEST

START_TEST(names_are_parsed_back)
{
    for (unsigned i = 0; i < PROTO_STATUS_COUNT; i++) {
        enum proto_status status;
        ck_assert(proto_status_parse(proto_status_name((enum proto_status)i), &status));
        ck_assert_uint_eq(status, i);
    }
    for (unsigned i = 0; i < PROTO_STAGE_COUNT; i++) {
        enum proto_stage stage;
        ck_assert(proto_stage_parse(proto_stage_name((enum proto_stage)i), &stage));
        ck_assert_uint_eq(stage, i);
    }
    enum proto_status status = PROTO_FAILED;
    ck_assert(!proto_status_parse("Queued", &status) && !proto_status_parse("", &status) && status == PROTO_FAILED);
    enum proto_stage stage = PROTO_PRUNING;
    ck_assert(!proto_stage_parse("queued", &stage) && stage == PROTO_PRUNING);
    ck_assert(proto_status_is_terminal(PROTO_CANCELLED) && !proto_status_is_terminal(PROTO_RUNNING));
}
END_TEST

UNIT_MAIN("lifecycle", only_the_tables_transitions_are_possible, the_documented_table_is_the_codes, the_diagram_has_every_event,
          names_are_parsed_back)
