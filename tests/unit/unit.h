/* SPDX-License-Identifier: Apache-2.0 */
/* The main function of a Check program: UNIT_MAIN("suite", test_a, test_b, ...) runs each test in a process of its own. */
#ifndef KEN_TESTS_UNIT_H
#define KEN_TESTS_UNIT_H

#include <check.h>
#include <stdlib.h>

enum { UNIT_TIMEOUT_SECONDS = 120 };

static inline int unit_main(const char *suite_name, const TTest *const *tests, size_t count)
{
    Suite *suite = suite_create(suite_name);
    TCase *cases = tcase_create(suite_name);
    tcase_set_timeout(cases, UNIT_TIMEOUT_SECONDS);
    for (size_t i = 0; i < count; i++) tcase_add_test(cases, tests[i]);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define UNIT_MAIN(name, ...)                                           \
    int main(void)                                                     \
    {                                                                  \
        const TTest *const tests[] = {__VA_ARGS__};                    \
        return unit_main(name, tests, sizeof tests / sizeof tests[0]); \
    }

#endif
