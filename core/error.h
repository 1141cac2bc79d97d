/* SPDX-License-Identifier: Apache-2.0 */
/* What can go wrong in libken: negative codes, one short text each, and a message that names the thing and the place. */
#ifndef KEN_ERROR_H
#define KEN_ERROR_H

#include <stdarg.h>
#include <stddef.h>

/* code, number, text. Numbers are stable within a build only; names are what other parts refer to. */
#define KEN_ERROR_MAP(X)                                          \
    X(KEN_ENOMEM, -1, "out of memory")                            \
    X(KEN_EIO, -2, "input or output failed")                      \
    X(KEN_ENO_SPACE, -3, "no space left")                         \
    X(KEN_ECANCELLED, -4, "cancelled")                            \
    X(KEN_EINVALID, -5, "invalid option")                         \
    X(KEN_ENOT_FOUND, -6, "not found")                            \
    X(KEN_EBAD_CHECKPOINT, -7, "malformed checkpoint")            \
    X(KEN_EUNSUPPORTED, -8, "unsupported checkpoint")             \
    X(KEN_EMISMATCH, -9, "tensors do not match")                  \
    X(KEN_ENON_FINITE, -10, "NaN or infinity in a pruned tensor") \
    X(KEN_ETOO_LARGE, -11, "over a limit")                        \
    X(KEN_EDIGEST, -12, "digest mismatch")                        \
    X(KEN_EFETCH, -13, "fetching failed")                         \
    X(KEN_EADDRESS, -14, "address forbidden")                     \
    X(KEN_EBAD_DELTA, -15, "malformed delta")                     \
    X(KEN_ETIMED_OUT, -16, "timed out")                           \
    X(KEN_EINTERNAL, -17, "internal error")                       \
    X(KEN_EBUSY, -18, "in use by others for now")

enum ken_code {
    KEN_OK = 0,
#define X(name, number, text) name = (number),
    KEN_ERROR_MAP(X)
#undef X
};

enum { KEN_MESSAGE_MAX = 512 };

/* Filled by the function that fails, read by whoever reports it. A zeroed struct is "no error". */
struct ken_error {
    int code; /* enum ken_code */
    char message[KEN_MESSAGE_MAX];
};

/* The code's short text; "unknown error" for anything else. Never NULL. */
const char *ken_error_text(int code);

/* Sets *error (if not NULL) and returns `code`, so that a caller writes `return ken_fail(error, KEN_EIO, ...)`. Longer messages are cut. */
int ken_fail(struct ken_error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* As ken_fail, for an errno value: ENOSPC and EDQUOT give KEN_ENO_SPACE, ENOMEM KEN_ENOMEM, all others KEN_EIO; the errno's text is
 * appended. */
int ken_fail_errno(struct ken_error *error, int errnum, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Fails for want of memory while `what`, e.g. a file by its label, is read. Inline, so that an analyser sees that it is a failure. */
static inline int ken_fail_no_memory(struct ken_error *error, const char *what)
{
    ken_fail(error, KEN_ENOMEM, "out of memory for reading %s", what);
    return KEN_ENOMEM;
}

/*
 * Makes text from outside printable in a message: control characters (of the direction of text, too), quotes and bytes that are not UTF-8
 * as \xNN, cut with "..." where it does not fit. Writes to buffer[size] and returns it. `length` bytes are read, NUL bytes among them.
 */
const char *ken_printable(char *buffer, size_t size, const char *text, size_t length);

/* Impossible states only, always on; never for bytes from outside. */
#define KEN_ASSERT(condition)                                                \
    do {                                                                     \
        if (!(condition)) ken_assert_failed(#condition, __FILE__, __LINE__); \
    } while (0)
void ken_assert_failed(const char *condition, const char *file, int line) __attribute__((noreturn));

#endif
