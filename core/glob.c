/* SPDX-License-Identifier: Apache-2.0 */
#include "glob.h"

#include "error.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { WORDS = KEN_MAX_GLOB / 64 + 1 };

/* A set of states. State i: what comes before the i-th character of the glob, stars not counted, was matched. */
struct states {
    uint64_t word[WORDS];
};

/*
 * The glob as an automaton that is in all its states at once, a bit for each (Baeza-Yates, Gonnet, "A new approach to text searching",
 * 1992). It goes on by bytes: the continuation bytes of a character that a '?' has taken change nothing.
 */
struct automaton {
    size_t length;                           /* of the glob without stars: the state that accepts */
    size_t words;                            /* of the sets that are in use */
    struct states starred;                   /* a star stands here: any byte keeps the state */
    struct states any, after_any;            /* before, and behind, a '?' */
    uint16_t place[256];                     /* of a byte in `literal`, 0 for those that the glob has not */
    struct states literal[KEN_MAX_GLOB + 1]; /* before that byte */
};

static void add(struct states *states, size_t state)
{
    states->word[state / 64] |= UINT64_C(1) << (state % 64);
}

static void compile(struct automaton *automaton, const char *glob)
{
    uint16_t places = 0;
    memset(automaton, 0, offsetof(struct automaton, literal) + sizeof *automaton->literal);
    for (; *glob; glob++) {
        unsigned char byte = (unsigned char)*glob;
        if (byte == '*') {
            add(&automaton->starred, automaton->length);
            continue;
        }
        KEN_ASSERT(automaton->length < KEN_MAX_GLOB);
        if (byte == '?') {
            add(&automaton->any, automaton->length);
            add(&automaton->after_any, automaton->length + 1);
        } else {
            if (!automaton->place[byte]) automaton->literal[automaton->place[byte] = ++places] = (struct states){0};
            add(&automaton->literal[automaton->place[byte]], automaton->length);
        }
        automaton->length++;
    }
    automaton->words = automaton->length / 64 + 1;
}

/* Takes one byte; false if no state is left. */
static bool step(const struct automaton *automaton, struct states *at, unsigned char byte)
{
    const struct states *literal = &automaton->literal[automaton->place[byte]];
    bool continues = (byte & 0xc0) == 0x80;
    uint64_t carry = 0, left = 0;
    for (size_t w = 0; w < automaton->words; w++) {
        uint64_t state = at->word[w], stays = automaton->starred.word[w] | (continues ? automaton->after_any.word[w] : 0);
        uint64_t goes = state & (literal->word[w] | (continues ? 0 : automaton->any.word[w]));
        at->word[w] = (state & stays) | goes << 1 | carry;
        carry = goes >> 63;
        left |= at->word[w];
    }
    return left != 0;
}

bool ken_glob_match(const char *glob, const char *name)
{
    struct automaton automaton;
    struct states at = {{1}};
    compile(&automaton, glob);
    for (; *name; name++)
        if (!step(&automaton, &at, (unsigned char)*name)) return false;
    return at.word[automaton.length / 64] >> (automaton.length % 64) & 1;
}
