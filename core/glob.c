/* SPDX-License-Identifier: Apache-2.0 */
#include "glob.h"

#include "error.h"

#include <stdint.h>
#include <stdlib.h>
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

/* ---- replacing */

/* A part of a name. */
struct span {
    const char *at;
    size_t length;
};

/* What the wildcards of a glob took of a name, each kind in order. */
struct taken {
    struct span stars[KEN_MAX_GLOB], marks[KEN_MAX_GLOB];
    size_t star_count, mark_count;
};

static bool is_continuation(char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Goes back so many characters from `end`, to `begin` at most. */
static const char *go_back(const char *begin, const char *end, size_t characters)
{
    for (; characters && end > begin; characters--) {
        end--;
        while (end > begin && is_continuation(*end)) end--;
    }
    return end;
}

/* Where the first text that a piece of a glob without stars matches begins, at or behind `from`; the name has one. */
static const char *find_piece(const char *piece, size_t length, size_t characters, const char *from)
{
    struct automaton automaton;
    struct states at = {{1}};
    char glob[KEN_MAX_GLOB + 2] = "*";
    const char *end = from;
    memcpy(glob + 1, piece, length);
    compile(&automaton, glob);
    while (*end && step(&automaton, &at, (unsigned char)*end)) {
        end++;
        if (!is_continuation(*end) && at.word[automaton.length / 64] >> (automaton.length % 64) & 1) break;
    }
    return go_back(from, end, characters);
}

/* Notes what the '?' of a piece took of the text at `from`, and returns where that ends. */
static const char *take_marks(struct taken *taken, const char *piece, size_t length, const char *from)
{
    for (size_t i = 0; i < length && *from; i++) {
        const char *begin = from++;
        if (piece[i] != '?') continue;
        while (is_continuation(*from)) from++;
        taken->marks[taken->mark_count++] = (struct span){begin, (size_t)(from - begin)};
    }
    return from;
}

/* The pieces between stars are found from left to right, each as early as it can be, but for the last, which ends the name. */
static void take(struct taken *taken, const char *glob, const char *name)
{
    const char *end = name + strlen(name);
    struct span *star = NULL; /* that ends where the next piece begins */
    while (*glob) {
        if (*glob == '*') {
            star = &taken->stars[taken->star_count++];
            *star = (struct span){.at = name};
            glob++;
            continue;
        }
        size_t length = strcspn(glob, "*"), characters = 0;
        for (size_t i = 0; i < length; i++) characters += !is_continuation(glob[i]);
        const char *at = !star ? name : glob[length] ? find_piece(glob, length, characters, name) : go_back(name, end, characters);
        if (star) star->length = (size_t)(at - name);
        star = NULL;
        name = take_marks(taken, glob, length, at);
        glob += length;
    }
    if (star) star->length = (size_t)(end - name);
}

size_t ken_glob_count(const char *glob, char wildcard)
{
    size_t count = 0;
    for (; *glob; glob++) count += *glob == wildcard;
    return count;
}

char *ken_glob_replace(const char *glob, const char *pattern, const char *name)
{
    struct taken taken = {.star_count = 0};
    size_t star = 0, mark = 0, length = 0;
    char *text = malloc(strlen(pattern) + strlen(name) + 1);
    if (!text) return NULL;
    take(&taken, glob, name);
    for (; *pattern; pattern++) {
        struct span span = {pattern, 1};
        KEN_ASSERT((*pattern != '*' || star < taken.star_count) && (*pattern != '?' || mark < taken.mark_count));
        if (*pattern == '*') span = taken.stars[star++];
        if (*pattern == '?') span = taken.marks[mark++];
        memcpy(text + length, span.at, span.length);
        length += span.length;
    }
    text[length] = '\0';
    return text;
}
