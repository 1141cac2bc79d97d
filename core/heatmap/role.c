/* SPDX-License-Identifier: Apache-2.0 */
#include "heatmap/role.h"

#include <string.h>

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

char *ken_role_of(char *role, const char *name)
{
    char *end = role;
    while (*name) {
        const size_t number = digits(name);
        *end++ = number ? '*' : *name;
        name += number ? number : 1;
    }
    *end = '\0';
    return role;
}

bool ken_role_is(const char *role, const char *name)
{
    while (*name) {
        const size_t number = digits(name);
        if (*role++ != (number ? '*' : *name)) return false;
        name += number ? number : 1;
    }
    return !*role;
}

bool ken_role_same(const char *a, const char *b)
{
    while (*a && *b) {
        const size_t number_a = digits(a), number_b = digits(b);
        if (!number_a != !number_b || (!number_a && *a != *b)) return false;
        a += number_a ? number_a : 1;
        b += number_b ? number_b : 1;
    }
    return !*a && !*b;
}

static uint64_t number_of(const char *text, size_t length)
{
    uint64_t number = 0;
    for (size_t i = 0; i < length && number <= KEN_ROLE_LARGEST; i++) number = 10 * number + (uint64_t)(text[i] - '0');
    return number <= KEN_ROLE_LARGEST ? number : KEN_ROLE_LARGEST;
}

size_t ken_role_numbers(const char *name, uint64_t *numbers, size_t most)
{
    size_t count = 0;
    while (*name) {
        const size_t length = digits(name);
        if (length && count < most) numbers[count] = number_of(name, length);
        count += length != 0;
        name += length ? length : 1;
    }
    return count;
}

/* Two runs of digits as numbers of any length. */
static int compare_numbers(const char *a, size_t length_a, const char *b, size_t length_b)
{
    for (; length_a && *a == '0'; a++) length_a--;
    for (; length_b && *b == '0'; b++) length_b--;
    if (length_a != length_b) return length_a < length_b ? -1 : 1;
    return memcmp(a, b, length_a);
}

int ken_role_compare(const char *a, const char *b)
{
    const char *const names[] = {a, b};
    int order = 0;
    while (*a && *b) {
        const size_t length_a = digits(a), length_b = digits(b);
        const unsigned char in_a = length_a ? '*' : (unsigned char)*a, in_b = length_b ? '*' : (unsigned char)*b;
        if (in_a != in_b) return in_a < in_b ? -1 : 1;
        if (!order && length_a && length_b) order = compare_numbers(a, length_a, b, length_b);
        a += length_a ? length_a : 1;
        b += length_b ? length_b : 1;
    }
    if (*a || *b) return *a ? 1 : -1;
    return order ? order : strcmp(names[0], names[1]);
}
