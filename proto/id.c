/* SPDX-License-Identifier: Apache-2.0 */
#include "id.h"

#include "error.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char prefix[] = "job_";
static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* The last id made by this process, so that the next one sorts higher. */
static pthread_mutex_t last_lock = PTHREAD_MUTEX_INITIALIZER;
static struct proto_ulid last_made;

/* True if it wrapped round to zero. */
static bool count_up(unsigned char random[PROTO_ULID_RANDOM])
{
    for (int i = PROTO_ULID_RANDOM - 1; i >= 0; i--)
        if (++random[i]) return false;
    return true;
}

void proto_ulid_next(struct proto_ulid *last, uint64_t now, const unsigned char random[PROTO_ULID_RANDOM])
{
    if (now > PROTO_ULID_MAX_TIME) now = PROTO_ULID_MAX_TIME;
    if (now > last->time) {
        last->time = now;
    } else {
        if (!count_up(last->random)) return;
        KEN_ASSERT(last->time < PROTO_ULID_MAX_TIME);
        last->time++;
    }
    memcpy(last->random, random, PROTO_ULID_RANDOM);
}

void proto_ulid_format(char text[PROTO_ULID_TEXT + 1], const struct proto_ulid *ulid)
{
    unsigned char bytes[16];
    for (int i = 0; i < 6; i++) bytes[i] = (unsigned char)(ulid->time >> (40 - 8 * i));
    memcpy(bytes + 6, ulid->random, PROTO_ULID_RANDOM);
    /* 128 bits are 26 digits of 5 bits with two zero bits in front. */
    for (int digit = 0; digit < PROTO_ULID_TEXT; digit++) {
        unsigned value = 0;
        for (int bit = digit * 5 - 2; bit < digit * 5 + 3; bit++)
            value = value << 1 | (bit < 0 ? 0U : (unsigned)bytes[bit / 8] >> (7 - bit % 8) & 1U);
        text[digit] = alphabet[value];
    }
    text[PROTO_ULID_TEXT] = '\0';
}

void proto_id_make(char id[PROTO_ID_SIZE], int64_t now_ms)
{
    unsigned char random[PROTO_ULID_RANDOM];
    /* getentropy of so few bytes fails only where the kernel has no random numbers at all. */
    int failed = getentropy(random, sizeof random);
    KEN_ASSERT(!failed);
    pthread_mutex_lock(&last_lock);
    proto_ulid_next(&last_made, now_ms > 0 ? (uint64_t)now_ms : 0, random);
    struct proto_ulid made = last_made;
    pthread_mutex_unlock(&last_lock);
    memcpy(id, prefix, sizeof prefix - 1);
    proto_ulid_format(id + sizeof prefix - 1, &made);
}

bool proto_id_is(const char *text)
{
    if (strncmp(text, prefix, sizeof prefix - 1) != 0) return false;
    const char *ulid = text + sizeof prefix - 1;
    size_t length = strspn(ulid, alphabet);
    /* 26 digits hold 130 bits: a first digit over 7 is more than 128. */
    return length == PROTO_ULID_TEXT && !ulid[length] && ulid[0] <= '7';
}

int64_t proto_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void proto_time_format(char text[PROTO_TIME_SIZE], int64_t ms)
{
    static const int64_t most = 253402300799999; /* the end of 9999: RFC 3339 has four digits for the year */
    if (ms < 0) ms = 0;
    if (ms > most) ms = most;
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    size_t length = strftime(text, PROTO_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + length, PROTO_TIME_SIZE - length, ".%03uZ", (unsigned)(ms % 1000) % 1000U);
}
