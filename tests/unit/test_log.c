/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"
#include "error.h"
#include "unit.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 4, EACH = 500 };

static long read_to; /* what logged() has given so far */

/* stderr becomes a file, and stays one. The log is as it is at start. */
static FILE *capture(void)
{
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(dup2(fileno(file), STDERR_FILENO), 0);
    kend_log_setup(KEND_LOG_INFO, KEND_LOG_LOGFMT);
    read_to = 0;
    return file;
}

/* What was logged since the last call. */
static const char *logged(FILE *file)
{
    static char text[1 << 20];
    fseek(file, read_to, SEEK_SET);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    read_to += (long)strlen(text);
    fseek(file, 0, SEEK_END);
    return text;
}

/* The line without its time, which is checked for its form. */
static const char *behind_time(const char *line)
{
    ck_assert_int_eq(strncmp(line, "time=2", 6), 0);
    ck_assert_int_eq(line[15], 'T');
    ck_assert_int_eq(strncmp(line + 28, "Z ", 2), 0);
    return line + 30;
}

START_TEST(logfmt_is_exact)
{
    FILE *file = capture();
    kend_log(KEND_LOG_INFO, "job claimed", KEND_S("job", "job_1"), KEND_I("attempt", -2), KEND_SECONDS("seconds", 1.5),
             KEND_S("none", NULL), KEND_S("empty", ""));
    ck_assert_str_eq(behind_time(logged(file)), "level=info message=\"job claimed\" job=job_1 attempt=-2 seconds=1.500000 empty=\"\"\n");
    kend_log(KEND_LOG_ERROR, "plain");
    ck_assert_str_eq(behind_time(logged(file)), "level=error message=plain\n");
    fclose(file);
}
END_TEST

START_TEST(values_cannot_break_a_line)
{
    FILE *file = capture();
    kend_log(KEND_LOG_WARN, "x", KEND_S("a", "1\n2 \"q\" \\ \xff\x1b[0m"), KEND_S("b", "k=v"), KEND_S("c", "\xc3\xa9"));
    ck_assert_str_eq(behind_time(logged(file)), "level=warn message=x a=\"1\\x0a2 \\\"q\\\" \\\\ \\xff\\x1b[0m\" b=\"k=v\" c=\xc3\xa9\n");
    fclose(file);
}
END_TEST

START_TEST(json_is_json)
{
    FILE *file = capture();
    kend_log_setup(KEND_LOG_DEBUG, KEND_LOG_JSON);
    kend_log(KEND_LOG_DEBUG, "a \"b\" \\ \a", KEND_S("bad", "\xff\n"), KEND_I("n", INT64_MIN), KEND_S("none", NULL));
    json_t *line = json_loads(logged(file), JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(line);
    ck_assert_uint_eq(json_object_size(line), 5);
    ck_assert_str_eq(json_string_value(json_object_get(line, "level")), "debug");
    ck_assert_str_eq(json_string_value(json_object_get(line, "message")), "a \"b\" \\ \\x07");
    ck_assert_str_eq(json_string_value(json_object_get(line, "bad")), "\\xff\\x0a");
    ck_assert_int_eq(json_integer_value(json_object_get(line, "n")), INT64_MIN);
    ck_assert_uint_eq(json_string_length(json_object_get(line, "time")), 24);
    json_decref(line);
    fclose(file);
}
END_TEST

/* The value of the last field of a line, as a reader of logfmt takes it. */
static const char *read_logfmt(const char *line, const char *key)
{
    static char value[8192];
    const char *at = strstr(line, key) + strlen(key);
    char *to = value;
    if (*at != '"') {
        size_t length = strcspn(at, "\n");
        ck_assert_ptr_null(memchr(at, ' ', length));
        ck_assert_ptr_null(memchr(at, '"', length));
        memcpy(value, at, length);
        value[length] = '\0';
        return value;
    }
    for (at++; *at != '"'; at++) {
        ck_assert(*at && *at != '\n');
        if (*at == '\\' && (at[1] == '\\' || at[1] == '"')) at++;
        *to++ = *at;
    }
    ck_assert_str_eq(at, "\"\n");
    *to = '\0';
    return value;
}

START_TEST(any_bytes_can_be_read_again)
{
    enum { VALUES = 2000, LONGEST = 40 };
    static const char special[] = "\"\\\n\r\t =\x7f\x1b\x80\xc3\xa9\xe2\x80\xae\xff{}";
    FILE *file = capture();
    unsigned state = 1;
    for (int i = 0; i < VALUES; i++) {
        char value[LONGEST + 1], printable[8 * LONGEST];
        size_t length = (size_t)i % LONGEST;
        for (size_t j = 0; j < length; j++) {
            state = state * 1103515245U + 12345U;
            const unsigned byte = i < 256 ? (unsigned)i : state >> 16 & 255;
            value[j] = state >> 28 < 6 ? special[byte % (sizeof special - 1)] : byte ? (char)byte : 'a';
        }
        value[length] = '\0';
        ken_printable(printable, sizeof printable, value, length);
        /* what stands for a quote or a backslash is read as that */
        for (char *at = printable; (at = strchr(at, '\\')); at++) {
            if (strncmp(at, "\\x22", 4) != 0 && strncmp(at, "\\x5c", 4) != 0) continue;
            *at = at[2] == '2' ? '"' : '\\';
            memmove(at + 1, at + 4, strlen(at + 4) + 1);
        }
        kend_log_setup(KEND_LOG_INFO, KEND_LOG_JSON);
        kend_log(KEND_LOG_INFO, "m", KEND_S("value", value));
        json_t *line = json_loads(logged(file), JSON_REJECT_DUPLICATES, NULL);
        ck_assert_ptr_nonnull(line);
        ck_assert_str_eq(json_string_value(json_object_get(line, "value")), printable);
        json_decref(line);
        kend_log_setup(KEND_LOG_INFO, KEND_LOG_LOGFMT);
        kend_log(KEND_LOG_INFO, "m", KEND_S("value", value));
        ck_assert_str_eq(read_logfmt(logged(file), "value="), printable);
    }
    fclose(file);
}
END_TEST

START_TEST(lower_levels_are_left_out)
{
    FILE *file = capture();
    kend_log(KEND_LOG_DEBUG, "unseen");
    ck_assert_str_eq(logged(file), "");
    kend_log_setup(KEND_LOG_ERROR, KEND_LOG_LOGFMT);
    kend_log(KEND_LOG_WARN, "unseen");
    ck_assert_str_eq(logged(file), "");
    kend_log(KEND_LOG_ERROR, "seen");
    ck_assert_ptr_nonnull(strstr(logged(file), "seen"));
    kend_log(KEND_LOG_ALWAYS, "listening");
    ck_assert_str_eq(behind_time(logged(file)), "level=info message=listening\n");
    ck_assert_int_eq(kend_log_level_of("info"), KEND_LOG_INFO);
    fclose(file);
}
END_TEST

START_TEST(a_long_line_is_cut_and_stays_whole)
{
    FILE *file = capture();
    char value[3000];
    memset(value, '\a', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int format = KEND_LOG_LOGFMT; format <= KEND_LOG_JSON; format++) {
        kend_log_setup(KEND_LOG_INFO, (enum kend_log_format)format);
        kend_log(KEND_LOG_INFO, "long", KEND_S("a", value), KEND_S("b", value), KEND_S("c", value), KEND_S("d", value), KEND_S("e", value),
                 KEND_I("last", 1));
        const char *line = logged(file);
        size_t length = strlen(line);
        ck_assert_uint_le(length, 4096);
        ck_assert_uint_gt(length, 2000);
        ck_assert_ptr_eq(strchr(line, '\n'), line + length - 1);
        ck_assert_ptr_null(strstr(line, "last"));
        if (format == KEND_LOG_LOGFMT) continue;
        json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        ck_assert_ptr_nonnull(json);
        json_decref(json);
    }
    fclose(file);
}
END_TEST

static void *log_many(void *opaque)
{
    for (int i = 0; i < EACH; i++) kend_log(KEND_LOG_INFO, opaque, KEND_I("n", i));
    return NULL;
}

START_TEST(lines_of_threads_do_not_mix)
{
    static char names[THREADS][64] = {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccc", "dddd"};
    FILE *file = capture();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) ck_assert_int_eq(pthread_create(&threads[i], NULL, log_many, names[i]), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    char *text = strdup(logged(file)), *rest = text, *line;
    int next[THREADS] = {0};
    while ((line = strsep(&rest, "\n")) && *line) {
        char name[65];
        int n, who = 0;
        ck_assert_int_eq(sscanf(behind_time(line), "level=info message=%64s n=%d", name, &n), 2);
        while (who < THREADS && strcmp(names[who], name) != 0) who++;
        ck_assert_int_lt(who, THREADS);
        ck_assert_int_eq(n, next[who]++);
    }
    for (int i = 0; i < THREADS; i++) ck_assert_int_eq(next[i], EACH);
    free(text);
    fclose(file);
}
END_TEST

UNIT_MAIN("log", logfmt_is_exact, values_cannot_break_a_line, json_is_json, any_bytes_can_be_read_again, lower_levels_are_left_out,
          a_long_line_is_cut_and_stays_whole, lines_of_threads_do_not_mix)
