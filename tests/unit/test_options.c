/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

START_TEST(globs_match_the_whole_name)
{
    static const struct {
        const char *glob, *name;
        bool matches;
    } table[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "a.b.c", true},
        {"a", "a", true},
        {"a", "ab", false},
        {"ab", "a", false},
        {"a*", "a", true},
        {"*a", "ba", true},
        {"*a", "ab", false},
        {"?", "", false},
        {"?", "a", true},
        {"?", "ab", false},
        {"?", "\xc3\xa9", true}, /* one character of two bytes */
        {"??", "\xc3\xa9", false},
        {"a?c",
         "a\xe2\x82\xac"
         "c",
         true},
        {"*?", "\xf0\x9f\x98\x80", true},
        {"*??", "\xf0\x9f\x98\x80", false},
        {"*.LayerNorm.*", "encoder.layer.0.LayerNorm.weight", true},
        {"*.LayerNorm.*", "LayerNorm.weight", false},
        {"encoder.*", "encoder.layer.0.weight", true},
        {"encoder.*", "my.encoder.layer", false},
        {"*.weight", "a.weight.weight", true},
        {"*ab*ab*", "abab", true},
        {"*ab*ab*", "aba", false},
        {"a*b*c", "aXbXbXc", true},
        {"a*b*c", "aXbXcX", false},
        {"**a**", "xxaxx", true},
        {"ab*ba", "aba", false}, /* the ends do not overlap */
        {"a*b*b", "ab", false},
        {"*a?*?", "a\xc3\xa9", false},
        {"*a?*?", "xaa\xc3\xa9", true},
        {"?*\xc3\xa9*?", "\xc3\xa8\xc3\xa9\xc3\xa8", true},
        {"[a]", "a", false}, /* no classes, no escapes */
        {"[a]", "[a]", true},
        {"\\*", "\\xyz", true},
        {"layer.?.x", "layer.1.x", true},
        {"layer.?.x", "layer.11.x", false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        ck_assert_msg(ken_glob_match(table[i].glob, table[i].name) == table[i].matches, "%s on %s", table[i].glob, table[i].name);
}
END_TEST

/* By the definition, in exponential time. */
static bool naive_match(const char *glob, const char *name)
{
    if (!*glob) return !*name;
    if (*glob == '*') return naive_match(glob + 1, name) || (*name && naive_match(glob, name + 1));
    if (!*name) return false;
    if (*glob != '?') return *glob == *name && naive_match(glob + 1, name + 1);
    if ((*name & 0xc0) == 0x80) return false; /* a star before has taken a part of a character */
    do name++;
    while ((*name & 0xc0) == 0x80);
    return naive_match(glob + 1, name);
}

static void append_character(char *text, const char *const *characters, size_t count, unsigned *seed)
{
    strcat(text, characters[(size_t)rand_r(seed) % count]);
}

START_TEST(globs_match_by_definition)
{
    static const char *const of_globs[] = {"a", "b", "\xc3\xa9", "?", "*"}, *const of_names[] = {"a", "b", "\xc3\xa9", "\xc3\xa8"};
    unsigned seed = 1, matching = 0;
    for (size_t i = 0; i < 20000; i++) {
        char glob[32] = "", name[32] = "";
        for (int length = rand_r(&seed) % 7; length > 0; length--) append_character(glob, of_globs, 5, &seed);
        for (int length = rand_r(&seed) % 7; length > 0; length--) append_character(name, of_names, 4, &seed);
        bool matches = naive_match(glob, name);
        matching += matches;
        ck_assert_msg(ken_glob_match(glob, name) == matches, "%s on %s", glob, name);
    }
    ck_assert_uint_gt(matching, 1000);
    for (size_t length = 1; length <= KEN_MAX_GLOB; length++) { /* across all words of the sets */
        char glob[KEN_MAX_GLOB + 1] = "", name[KEN_MAX_GLOB + 2] = "";
        memset(glob, '?', length);
        memset(name, 'x', length);
        glob[length / 2] = 'x';
        ck_assert(ken_glob_match(glob, name));
        name[length] = 'x';
        ck_assert(!ken_glob_match(glob, name));
        name[length] = '\0';
        name[length / 2] = 'y';
        ck_assert(!ken_glob_match(glob, name));
    }
}
END_TEST

static double seconds_to_miss(const char *glob, const char *name, int times)
{
    bool matches = false;
    clock_t start = clock();
    for (int i = 0; i < times; i++) matches = ken_glob_match(glob, name) || matches;
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    ck_assert(!matches);
    return seconds;
}

/* A glob as long as can be: `begin`, then `item` over and over, then `end`. */
static void fill_glob(char glob[KEN_MAX_GLOB + 1], const char *begin, const char *item, const char *end)
{
    size_t used = strlen(begin), count = (KEN_MAX_GLOB - used - strlen(end)) / strlen(item);
    strcpy(glob, begin);
    for (; count; count--, used += strlen(item)) strcpy(glob + used, item);
    strcpy(glob + used, end);
}

/* Each restart of a greedy search costs as much as the glob is long. */
START_TEST(hostile_globs_take_linear_time)
{
    enum { NAME = 1 << 21 };
    static const char *const hostile[][3] = {
        {"*", "a*", "b*"}, {"*", "a", "b*"}, {"*b", "a", "*"}, {"*", "a", "?b*"}, {"*?b", "a", "*"}, {"*", "?", "b*"}, {"*", "a?*", "b*"},
    };
    char glob[KEN_MAX_GLOB + 1], *name = malloc(NAME + 1);
    memset(name, 'a', NAME);
    name[NAME] = '\0';
    double least = seconds_to_miss("*?b*", name, 1);
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        fill_glob(glob, hostile[i][0], hostile[i][1], hostile[i][2]);
        double seconds = seconds_to_miss(glob, name, 1);
        ck_assert_msg(seconds < 40 * least, "%s: %f s, not some times %f s", glob, seconds, least);
    }
    free(name);
}
END_TEST

/* A job may bring 256 globs for 100,000 names: those that differ at an end must cost next to nothing, whatever is between. */
START_TEST(globs_that_differ_at_an_end_are_cheap)
{
    enum { TIMES = 20000, NAME = 240 };
    char glob[KEN_MAX_GLOB + 1], name[NAME + 1];
    memset(name, 'a', NAME);
    name[NAME] = '\0';
    fill_glob(glob, "*", "a?*", "b*");
    double dear = seconds_to_miss(glob, name, TIMES);
    fill_glob(glob, "*", "a?*", "b");
    ck_assert_double_lt(seconds_to_miss(glob, name, TIMES), dear / 4);
    fill_glob(glob, "b*", "a?*", "");
    ck_assert_double_lt(seconds_to_miss(glob, name, TIMES), dear / 4);
}
END_TEST

static void check_replaced(const char *glob, const char *pattern, const char *name, const char *wanted)
{
    ck_assert_msg(ken_glob_match(glob, name), "%s on %s", glob, name);
    char *text = ken_glob_replace(glob, pattern, name);
    ck_assert_msg(strcmp(text, wanted) == 0, "%s of %s on %s is %s", pattern, glob, name, text);
    free(text);
}

START_TEST(patterns_are_filled_with_what_was_taken)
{
    static const struct {
        const char *glob, *pattern, *name, *wanted;
    } table[] = {
        {"a", "b", "a", "b"},
        {"*", "*", "", ""},
        {"encoder.*", "bert.encoder.*", "encoder.layer.0.w", "bert.encoder.layer.0.w"},
        {"bert.*", "*", "bert.a.w", "a.w"},
        {"*.gamma", "*.weight", "a.gamma.gamma", "a.gamma.weight"},
        {"*.*", "*/*", "a.b.c", "a/b.c"}, /* the first takes as little as it can */
        {"*.*.*", "*", "a.b.c.d", "a"},
        {"**", "[*][*]", "ab", "[][ab]"},
        {"*a*", "*-*", "bab", "b-b"},
        {"*ab*ab", "*-*", "abab", "-"},
        {"*ab*ab", "*-*", "xabyabab", "x-yab"},
        {"l.?.?", "h??", "l.1.2", "h12"},
        {"l.?*.?", "?/*/?", "l.12.3", "1/2/3"},
        {"?*", "*?", "\xc3\xa9t\xc3\xa9", "t\xc3\xa9\xc3\xa9"},
        {"*?", "*|?", "a\xc3\xa9", "a|\xc3\xa9"},
        {"*?b*", "*|?|*",
         "xx\xc3\xa9"
         "bb",
         "xx|\xc3\xa9|b"},
        {"a*", "b", "axyz", "b"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        check_replaced(table[i].glob, table[i].pattern, table[i].name, table[i].wanted);
    ck_assert_uint_eq(ken_glob_count("*a?*", '*'), 2);
    ck_assert_uint_eq(ken_glob_count("*a?*", '?'), 1);
}
END_TEST

/* By the definition: writes what the first stars and marks take, each star as little as it can. NULL if the glob does not match. */
static char *naive_fill(const char *glob, const char *name, char *stars, char *marks)
{
    if (!*glob) return *name ? NULL : stars;
    if (*glob == '*') {
        for (size_t length = 0; length <= strlen(name); length++) {
            if ((name[length] & 0xc0) == 0x80) continue;
            sprintf(stars, "%.*s|", (int)length, name);
            if (naive_fill(glob + 1, name + length, stars + length + 1, marks)) return stars;
        }
        return NULL;
    }
    size_t length = 1;
    if (!*name) return NULL;
    if (*glob != '?') return *glob == *name && naive_fill(glob + 1, name + 1, stars, marks) ? stars : NULL;
    while ((name[length] & 0xc0) == 0x80) length++;
    sprintf(marks, "%.*s|", (int)length, name);
    return naive_fill(glob + 1, name + length, stars, marks + length + 1);
}

START_TEST(patterns_are_filled_by_definition)
{
    static const char *const of_globs[] = {"a", "b", "\xc3\xa9", "?", "*"}, *const of_names[] = {"a", "b", "\xc3\xa9", "\xc3\xa8"};
    unsigned seed = 2, filled = 0;
    for (size_t i = 0; i < 20000; i++) {
        char glob[32] = "", name[32] = "", pattern[64] = "", stars[64] = "", marks[64] = "";
        for (int length = rand_r(&seed) % 8; length > 0; length--) append_character(glob, of_globs, 5, &seed);
        for (int length = rand_r(&seed) % 8; length > 0; length--) append_character(name, of_names, 4, &seed);
        if (!naive_fill(glob, name, stars, marks)) continue;
        for (const char *wildcard = "*?"; *wildcard; wildcard++)
            for (size_t count = ken_glob_count(glob, *wildcard); count; count--) strcat(pattern, *wildcard == '*' ? "*|" : "?|");
        if (!strchr(glob, '*')) *stars = '\0';
        if (!strchr(glob, '?')) *marks = '\0';
        check_replaced(glob, pattern, name, strcat(stars, marks));
        filled++;
    }
    ck_assert_uint_gt(filled, 1000);
}
END_TEST

START_TEST(hostile_patterns_take_linear_time)
{
    enum { NAME = 1 << 21 };
    char glob[KEN_MAX_GLOB + 1], *name = malloc(NAME + 1);
    memset(name, 'a', NAME);
    name[NAME] = '\0';
    name[NAME - 2] = 'b';
    double least = 0;
    for (int hostile = 0; hostile < 2; hostile++) {
        size_t length = hostile ? KEN_MAX_GLOB - 1 : 2;
        memset(glob, 'a', length);
        glob[0] = '*';
        glob[length - 1] = 'b';
        strcpy(glob + length, "*");
        clock_t start = clock();
        char *text = ken_glob_replace(glob, "*", name);
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        ck_assert_uint_eq(strlen(text), NAME - length);
        free(text);
        if (hostile)
            ck_assert_double_lt(seconds, 40 * least);
        else
            least = seconds;
    }
    free(name);
}
END_TEST

START_TEST(k_comes_from_keep_with_halves_to_even)
{
    static const struct {
        double keep;
        uint64_t n, k;
    } table[] = {{0.5, 1, 1},
                 {0.5, 3, 2},
                 {0.5, 5, 2},
                 {0.5, 7, 4},
                 {0.25, 10, 2},
                 {0.25, 14, 4},
                 {0.75, 192, 144},
                 {0.1, 768, 77},
                 {1e-9, 4096, 1},
                 {0.999, 10, 10},
                 {0.3, 5, 2} /* 0.3 * 5 = 1.5 exactly, in float64 */,
                 {0.5, 4294967297, 2147483648}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        ck_assert_uint_eq(ken_amount_k(&(struct ken_amount){.keep = table[i].keep}, table[i].n), table[i].k);
    ck_assert_uint_eq(ken_amount_k(&(struct ken_amount){.k = 7}, 3), 7);
}
END_TEST

START_TEST(the_first_rule_that_matches_decides)
{
    struct ken_rule rules[] = {
        {.match = "*.bias", .action = KEN_ACTION_KEEP},       {.match = "encoder.*", .action = KEN_ACTION_PRUNE, .amount = {.keep = 0.5}},
        {.match = "encoder.0.*", .action = KEN_ACTION_RESET}, {.match = "pooler.*", .action = KEN_ACTION_RESET},
        {.match = "head", .action = KEN_ACTION_PRUNE},
    };
    struct ken_options options = {.rules = rules, .rule_count = sizeof rules / sizeof *rules};
    const struct ken_amount *amount;
    bool used[5] = {false};
    ck_assert_int_eq(ken_options_action(&options, "encoder.0.bias", &amount, used), KEN_ACTION_KEEP);
    ck_assert(used[0] && used[1] && used[2] && !used[3]);
    ck_assert_ptr_null(amount);
    ck_assert_int_eq(ken_options_action(&options, "encoder.0.weight", &amount, used), KEN_ACTION_PRUNE);
    ck_assert_ptr_eq(amount, &rules[1].amount);
    ck_assert_int_eq(ken_options_action(&options, "pooler.weight", &amount, used), KEN_ACTION_RESET);
    ck_assert_ptr_null(amount);
    ck_assert_int_eq(ken_options_action(&options, "head", &amount, used), KEN_ACTION_PRUNE);
    ck_assert_ptr_null(amount);
    ck_assert_int_eq(ken_options_action(&options, "other", &amount, used), KEN_ACTION_PRUNE);
    ck_assert_ptr_null(amount);
}
END_TEST

START_TEST(the_preset_layers_prunes_names_with_a_digit)
{
    struct ken_options options = {.rules_layers = true};
    const struct ken_amount *amount;
    ck_assert_int_eq(ken_options_action(&options, "encoder.layer.3.weight", &amount, NULL), KEN_ACTION_PRUNE);
    ck_assert_ptr_null(amount);
    ck_assert_int_eq(ken_options_action(&options, "embeddings.weight", &amount, NULL), KEN_ACTION_KEEP);
}
END_TEST

START_TEST(words_have_names)
{
#define X(symbol, name) ck_assert_str_eq(ken_method_name(symbol), name);
    KEN_METHOD_MAP(X)
#undef X
#define X(symbol, name) ck_assert_str_eq(ken_rescale_name(symbol), name);
    KEN_RESCALE_MAP(X)
#undef X
#define X(symbol, name) ck_assert_str_eq(ken_duplicates_name(symbol), name);
    KEN_DUPLICATES_MAP(X)
#undef X
#define X(symbol, name) ck_assert_str_eq(ken_action_name(symbol), name);
    KEN_ACTION_MAP(X)
#undef X
#define X(symbol, name) ck_assert_str_eq(ken_encoding_name(symbol), name);
    KEN_ENCODING_MAP(X)
#undef X
    ck_assert_ptr_null(ken_method_name(KEN_METHOD_COUNT));
    ck_assert_ptr_null(ken_rescale_name(KEN_RESCALE_COUNT));
    ck_assert_ptr_null(ken_duplicates_name(KEN_DUPLICATES_COUNT));
    ck_assert_ptr_null(ken_action_name(KEN_ACTION_COUNT));
    ck_assert_ptr_null(ken_encoding_name(KEN_ENCODING_COUNT));
}
END_TEST

UNIT_MAIN("options", globs_match_the_whole_name, globs_match_by_definition, hostile_globs_take_linear_time,
          globs_that_differ_at_an_end_are_cheap, patterns_are_filled_with_what_was_taken, patterns_are_filled_by_definition,
          hostile_patterns_take_linear_time, k_comes_from_keep_with_halves_to_even, the_first_rule_that_matches_decides,
          the_preset_layers_prunes_names_with_a_digit, words_have_names)
