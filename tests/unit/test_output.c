/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are written front to back, hashed by their writer or by a follower. */
#include "output.h"
#include "unit.h"
#include "unit_folder.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LENGTH = 40 << 20 };

static struct unit_folder folder;
static int directory;
static unsigned char *content, expected[KEN_SHA256_SIZE];

static void setup(void)
{
    unit_folder_make(&folder);
    directory = open(folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    content = malloc(LENGTH);
    for (size_t i = 0; i < LENGTH; i++) content[i] = (unsigned char)(i * 2654435761U >> 13);
    ck_assert_int_eq(ken_sha256(content, LENGTH, expected, NULL), 0);
}

static void teardown(void)
{
    free(content);
    close(directory);
    unit_folder_remove(&folder);
}

/* In pieces below and above the size of the buffer. */
static void write_content(struct ken_output_file *output)
{
    size_t done = 0;
    for (size_t i = 0; done < LENGTH; i++) {
        size_t length = (i * 7919 * 31) % (3 * (size_t)KEN_OUTPUT_BUFFER);
        if (length > LENGTH - done) length = LENGTH - done;
        ck_assert_int_eq(ken_output_write(output, content + done, length, NULL), 0);
        done += length;
    }
    ck_assert_uint_eq(output->size, LENGTH);
}

static void check_content(void)
{
    unsigned char sha256[KEN_SHA256_SIZE];
    int file;
    ck_assert_int_eq(ken_file_open(&file, directory, "file", false, NULL), 0);
    ck_assert_int_eq(ken_file_digest(file, LENGTH, "file", NULL, NULL, sha256, NULL), 0);
    ck_assert_int_eq(lseek(file, 0, SEEK_END), LENGTH);
    ck_assert_mem_eq(sha256, expected, sizeof sha256);
    close(file);
}

START_TEST(the_writer_hashes)
{
    struct ken_output_file output;
    unsigned char sha256[KEN_SHA256_SIZE];
    setup();
    ck_assert_int_eq(ken_output_create(&output, directory, "file", NULL, NULL), 0);
    write_content(&output);
    ck_assert_int_eq(ken_output_close(&output, true, sha256, NULL), 0);
    ck_assert_mem_eq(sha256, expected, sizeof sha256);
    check_content();
    teardown();
}
END_TEST

/* ---- followers */

struct follower {
    struct ken_follow follow;
    atomic_bool cancelled;
    unsigned char sha256[KEN_SHA256_SIZE];
    int code;
    pthread_t thread;
};

static bool is_cancelled(void *opaque)
{
    return ((struct follower *)opaque)->cancelled;
}

static void *follow(void *opaque)
{
    struct follower *follower = opaque;
    follower->code = ken_follow_digest(&follower->follow, directory, "file", is_cancelled, follower, follower->sha256, NULL);
    return NULL;
}

static void begin(struct follower *follower)
{
    *follower = (struct follower){.code = -1};
    ken_follow_init(&follower->follow);
    ck_assert_int_eq(pthread_create(&follower->thread, NULL, follow, follower), 0);
}

static void end(struct follower *follower)
{
    pthread_join(follower->thread, NULL);
    ken_follow_destroy(&follower->follow);
}

START_TEST(a_follower_hashes)
{
    struct follower follower;
    struct ken_output_file output;
    setup();
    begin(&follower);
    ck_assert_int_eq(ken_output_create(&output, directory, "file", &follower.follow, NULL), 0);
    write_content(&output);
    ck_assert_int_eq(ken_output_close(&output, false, NULL, NULL), 0);
    ken_follow_end(&follower.follow);
    end(&follower);
    ck_assert_int_eq(follower.code, 0);
    ck_assert_mem_eq(follower.sha256, expected, sizeof expected);
    check_content();
    teardown();
}
END_TEST

START_TEST(a_follower_of_nothing_ends)
{
    struct follower follower;
    setup();
    begin(&follower);
    ken_follow_end(&follower.follow);
    end(&follower);
    ck_assert_int_eq(follower.code, 0);
    teardown();
}
END_TEST

START_TEST(a_follower_is_cancelled)
{
    struct follower follower;
    struct ken_output_file output;
    setup();
    begin(&follower);
    ck_assert_int_eq(ken_output_create(&output, directory, "file", &follower.follow, NULL), 0);
    write_content(&output);
    atomic_store(&follower.cancelled, true);
    end(&follower);
    ck_assert_int_eq(follower.code, KEN_ECANCELLED);
    ken_output_abandon(&output);
    teardown();
}
END_TEST

START_TEST(a_follower_tells_that_the_file_is_gone)
{
    struct follower follower = {.code = -1};
    setup();
    ken_follow_init(&follower.follow);
    follower.follow.written = 5;
    follow(&follower);
    ck_assert_int_eq(follower.code, KEN_ENOT_FOUND);
    ken_follow_destroy(&follower.follow);
    teardown();
}
END_TEST

UNIT_MAIN("output", the_writer_hashes, a_follower_hashes, a_follower_of_nothing_ends, a_follower_is_cancelled,
          a_follower_tells_that_the_file_is_gone)
