/* SPDX-License-Identifier: Apache-2.0 */
#include "glob.h"

#include "error.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = KEN_MAX_GLOB / 64 + 1, SHORT = 8 /* bytes of a piece that are compared sooner than an automaton is made */ };

/* A set of states. State i: the first i bytes of the piece were matched. */
struct states {
    uint64_t word[WORDS];
};

/*
 * A piece of a glob without stars as an automaton that finds it anywhere, and is in all its states at once, a bit for each (Baeza-Yates,
 * Gonnet, "A new approach to text searching", 1992). It goes on by bytes: the continuation bytes of a character that a '?' has taken change
 * nothing.
 */
struct automaton {
    size_t length;                           /* of the piece: the state that accepts */
    size_t words;                            /* of the sets that are in use */
    struct states any, after_any;            /* before, and behind, a '?' */
    uint16_t place[256];                     /* of a byte in `literal`, 0 for those that the piece has not */
    struct states literal[KEN_MAX_GLOB + 1]; /* before that byte */
};

static bool is_continuation(char byte)
{
    return (byte & 0xc0) == 0x80;
}

static void add(struct states *states, size_t state)
{
    states->word[state / 64] |= UINT64_C(1) << (state % 64);
}

static void compile(struct automaton *automaton, const char *piece, size_t length)
{
    uint16_t places = 0;
    KEN_ASSERT(length <= KEN_MAX_GLOB);
    memset(automaton, 0, offsetof(struct automaton, literal) + sizeof *automaton->literal);
    automaton->length = length;
    automaton->words = length / 64 + 1;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)piece[i];
        if (byte == '?') {
            add(&automaton->any, i);
            add(&automaton->after_any, i + 1);
        } else {
            if (!automaton->place[byte]) automaton->literal[automaton->place[byte] = ++places] = (struct states){0};
            add(&automaton->literal[automaton->place[byte]], i);
        }
    }
}

/* Takes one byte; whether the piece ends with it. */
static bool step(const struct automaton *automaton, struct states *at, char byte)
{
    const struct states *literal = &automaton->literal[automaton->place[(unsigned char)byte]];
    bool continues = is_continuation(byte);
    uint64_t carry = 1; /* the piece may begin anywhere */
    for (size_t w = 0; w < automaton->words; w++) {
        uint64_t state = at->word[w], stays = continues ? automaton->after_any.word[w] : 0;
        uint64_t goes = state & (literal->word[w] | (continues ? 0 : automaton->any.word[w]));
        at->word[w] = (state & stays) | goes << 1 | carry;
        carry = goes >> 63;
    }
    return at->word[automaton->length / 64] >> (automaton->length % 64) & 1;
}

/* ---- pieces */

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

/* Goes back so many characters from `end`, to `begin` at most. */
static const char *go_back(const char *begin, const char *end, size_t characters)
{
    for (; characters && end > begin; characters--) {
        end--;
        while (end > begin && is_continuation(*end)) end--;
    }
    return end;
}

static size_t count_characters(const char *piece, size_t length)
{
    size_t characters = 0;
    for (size_t i = 0; i < length; i++) characters += !is_continuation(piece[i]);
    return characters;
}

/* Where the text that begins at `from` and that a piece matches ends; NULL if it does not match. Notes what its '?' took, if asked to. */
static const char *follow(const char *piece, size_t length, const char *from, const char *end, struct taken *taken)
{
    for (size_t i = 0; i < length; i++) {
        const char *begin = from;
        if (from == end || (piece[i] != '?' && piece[i] != *from)) return NULL;
        from++;
        if (piece[i] != '?') continue;
        while (from < end && is_continuation(*from)) from++;
        if (taken) taken->marks[taken->mark_count++] = (struct span){begin, (size_t)(from - begin)};
    }
    return from;
}

/* Where the first text that a piece matches begins, at or behind `from`; NULL if none ends at `end` or before. */
static const char *find(const char *piece, size_t length, const char *from, const char *end)
{
    if (!memchr(piece, '?', length)) return memmem(from, (size_t)(end - from), piece, length);
    if (length <= SHORT) {
        for (; from < end; from++)
            if (!is_continuation(*from) && follow(piece, length, from, end, NULL)) return from;
        return NULL;
    }
    struct automaton automaton;
    struct states at = {{1}};
    compile(&automaton, piece, length);
    for (const char *text = from; text < end;)
        if (step(&automaton, &at, *text++) && (text == end || !is_continuation(*text)))
            return go_back(from, text, count_characters(piece, length));
    return NULL;
}

static void note_star(struct taken *taken, const char *begin, const char *end)
{
    if (taken) taken->stars[taken->star_count++] = (struct span){begin, (size_t)(end - begin)};
}

/*
 * Whether the glob matches, and what its wildcards took (taken may be NULL). The first piece begins the name and the last ends it: most
 * names fail there already. Those between are found from left to right, each as early as it can be.
 */
static bool match(const char *glob, const char *name, struct taken *taken)
{
    const char *end = name + strlen(name), *star = strchrnul(glob, '*'), *at = follow(glob, (size_t)(star - glob), name, end, taken);
    if (!at || !*star) return at == end;
    const char *last = strrchr(star, '*') + 1;
    size_t last_length = strlen(last);
    const char *tail = go_back(at, end, count_characters(last, last_length));
    if (follow(last, last_length, tail, end, NULL) != end) return false;
    while (star + 1 < last) {
        const char *piece = star + 1;
        star = strchrnul(piece, '*');
        const char *found = find(piece, (size_t)(star - piece), at, tail);
        if (!found) return false;
        note_star(taken, at, found);
        at = follow(piece, (size_t)(star - piece), found, tail, taken);
        if (!at) return false;
    }
    note_star(taken, at, tail);
    follow(last, last_length, tail, end, taken);
    return true;
}

bool ken_glob_match(const char *glob, const char *name)
{
    return match(glob, name, NULL);
}

/* ---- replacing */

size_t ken_glob_count(const char *glob, char wildcard)
{
    size_t count = 0;
    for (; *glob; glob++) count += *glob == wildcard;
    return count;
}

char *ken_glob_replace(const char *glob, const char *pattern, const char *name)
{
    struct taken taken;
    size_t star = 0, mark = 0, length = 0;
    char *text = malloc(strlen(pattern) + strlen(name) + 1);
    if (!text) return NULL;
    taken.star_count = taken.mark_count = 0;
    match(glob, name, &taken);
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
