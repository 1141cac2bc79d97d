/* SPDX-License-Identifier: Apache-2.0 */
/* The little of Check that tests/unit/test_kernels.c needs, for machines that Check is not installed for. The first failure ends the
 * program. */
#ifndef KEN_TESTS_NEON_CHECK_H
#define KEN_TESTS_NEON_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct test {
    void (*run)(void);
} TTest;
typedef struct suite {
    int failed;
} Suite, TCase, SRunner;
enum { CK_NORMAL };

#define START_TEST(name)                                                       \
    static void name##_run(void);                                              \
    static const TTest name##_test = {name##_run}, *const name = &name##_test; \
    static void name##_run(void)
#define END_TEST
#define suite_create(name) ((void)(name), &(Suite){0})
#define tcase_create(name) ((void)(name), &(TCase){0})
#define tcase_set_timeout(cases, seconds) ((void)(cases))
#define tcase_add_test(cases, test) ((test)->run())
#define suite_add_tcase(suite, cases) ((void)(suite))
#define srunner_create(suite) (suite)
#define srunner_run_all(runner, how) ((void)(runner))
#define srunner_ntests_failed(runner) ((runner)->failed)
#define srunner_free(runner) ((void)(runner))

#define ck_assert_msg(condition, ...)                       \
    do {                                                    \
        if (!(condition)) {                                 \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
            fprintf(stderr, __VA_ARGS__);                   \
            fputc('\n', stderr);                            \
            exit(EXIT_FAILURE);                             \
        }                                                   \
    } while (0)
#define ck_assert(condition) ck_assert_msg(condition, "%s", #condition)
#define ck_assert_int_eq(a, b) ck_assert_msg((a) == (b), "%s, %s", #a, #b)
#define ck_assert_uint_eq(a, b) ck_assert_msg((a) == (b), "%s, %s", #a, #b)
#define ck_assert_ptr_eq(a, b) ck_assert_msg((a) == (b), "%s, %s", #a, #b)
#define ck_assert_str_eq(a, b) ck_assert_msg(strcmp(a, b) == 0, "%s, %s", a, b)
#define ck_assert_mem_eq(a, b, size) ck_assert_msg(memcmp(a, b, size) == 0, "%s, %s", #a, #b)

#endif
