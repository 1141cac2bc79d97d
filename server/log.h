/* SPDX-License-Identifier: Apache-2.0 */
/* Structured logs on stderr: logfmt or JSON, one line each, thread-safe. */
#ifndef KEND_LOG_H
#define KEND_LOG_H

#include <stdint.h>

/* ALWAYS: info that no level leaves out, for what other programs wait for. */
enum kend_log_level { KEND_LOG_ERROR, KEND_LOG_WARN, KEND_LOG_INFO, KEND_LOG_DEBUG, KEND_LOG_ALWAYS };
enum kend_log_format { KEND_LOG_LOGFMT, KEND_LOG_JSON };

/* By the words of the configuration; unknown ones are info and logfmt. Before other threads are started. */
enum kend_log_level kend_log_level_of(const char *name);
enum kend_log_format kend_log_format_of(const char *name);
void kend_log_setup(enum kend_log_level level, enum kend_log_format format);

enum kend_log_kind { KEND_LOG_TEXT, KEND_LOG_NUMBER, KEND_LOG_SECONDS };
/* One key and value; make them with KEND_S, KEND_I and KEND_SECONDS. Values are escaped; NULL strings are left out. */
struct kend_log_field {
    const char *key;
    enum kend_log_kind kind; /* which of these holds */
    const char *text;
    int64_t number;
    double seconds;
};
#define KEND_S(k, v) ((struct kend_log_field){.key = (k), .text = (v)})
#define KEND_I(k, v) ((struct kend_log_field){.key = (k), .kind = KEND_LOG_NUMBER, .number = (int64_t)(v)})
/* Every duration is in seconds, and called so. */
#define KEND_SECONDS(k, v) ((struct kend_log_field){.key = (k), .kind = KEND_LOG_SECONDS, .seconds = (v)})
/* kend_log(KEND_LOG_INFO, "job claimed", KEND_S("job", id), KEND_I("attempt", n)); */
#define kend_log(level, message, ...) \
    kend_log_fields((level), (message), (const struct kend_log_field[]){__VA_ARGS__ __VA_OPT__(, ){.key = 0}})
void kend_log_fields(enum kend_log_level level, const char *message, const struct kend_log_field *fields);

#endif
