/* SPDX-License-Identifier: Apache-2.0 */
#include "http/framing.h"
#include "unit.h"

#include <string.h>

/*
 * Reads a head as libmicrohttpd 0.9 leaves it: '~' stands for the NUL bytes that it put in the place of blanks, colons and line ends, '@'
 * for one that was received. Texts go from one run of NULs to the next; of a line with '@', what follows it is passed over.
 */
static bool read_head(const char *shown, size_t extra)
{
    static char head[512];
    struct kend_framing framing;
    size_t length = strlen(shown);
    memcpy(head, shown, length);
    for (size_t i = 0; i < length; i++)
        if (head[i] == '~' || head[i] == '@') head[i] = '\0';
    const char *target = head + strlen(head) + 1, *version = target + strlen(target) + 1;
    kend_framing_begin(&framing, head, strlen(target), version);
    const char *at = shown + (version - head) + strcspn(shown + (version - head), "~");
    while (at[0] == '~') {
        at += strspn(at, "~");
        if (!*at) break;
        const char *colon = at + strcspn(at, "~"), *value = colon + 1 + strspn(colon + 1, " \t");
        kend_framing_add(&framing, head + (at - shown), head + (value - shown));
        at = value + strcspn(value, "~");
    }
    return kend_framing_end(&framing, head, length + extra);
}

START_TEST(a_whole_head)
{
    ck_assert(read_head("GET~/~HTTP/1.1~~Host~ a~~~~", 0));
    ck_assert(read_head("GET~/~HTTP/1.1~~~~", 0));
    ck_assert(read_head("GET~/a?b~HTTP/1.0~~Host~a~~X~\t b c~~Y~~~Z~ d~~~~", 0));
}
END_TEST

START_TEST(gaps)
{
    static const char *const heads[] = {
        "GET~/~HTTP/1.1~Host~ a~~~~",             /* LF alone behind the first line */
        "GET~/~HTTP/1.1~~Host~ a~X~ b~~~~",       /* ... behind a header */
        "GET~/~HTTP/1.1~~Host~ a~~~",             /* ... of the empty line */
        "GET~/~HTTP/1.1~~Host~ a@b~~~~",          /* NUL in a value */
        "GET~/~HTTP/1.1~~Host~ a@b~~X~ c~~~~",    /* ... and a header behind it */
        "GET~/@a~HTTP/1.1~~Host~ a~~~~",          /* ... in the target */
        "GET~/~HTTP/1.1@a~~Host~ a~~~~",          /* ... in the version */
        "GET~/~HTTP/1.1~~Host~ a@~X~ c~Y~ d~~~~", /* as many too many as too few */
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) ck_assert_msg(!read_head(heads[i], 0), "%s", heads[i]);
    ck_assert(!read_head("GET~/~HTTP/1.1~~Host~ a~~~~", 1)); /* a line that was passed over at the end */
}
END_TEST

START_TEST(a_header_that_is_elsewhere)
{
    /* A folded line: the name was put together in another place. */
    static char head[] = "GET\0/\0HTTP/1.1\0\0Content-Lengt\0 5\0\0 h\0\0\0", glued[] = "Content-Length";
    struct kend_framing framing;
    kend_framing_begin(&framing, head, 1, head + 6);
    ck_assert(!framing.gap);
    kend_framing_add(&framing, glued, head + 31);
    ck_assert(!kend_framing_end(&framing, head, sizeof head - 1));
}
END_TEST

UNIT_MAIN("framing", a_whole_head, gaps, a_header_that_is_elsewhere)
