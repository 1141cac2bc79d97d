/* SPDX-License-Identifier: Apache-2.0 */
#include "pruning/journal.h"

#include "folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A journal is read by the very program that wrote it, or by a later one, which must change the magic with the entry. */
static const char magic[8] = "kendjrn1";

struct head {
    char magic[8];
    uint64_t entry_size;
    unsigned char fingerprint[32];
};

struct entry {
    struct ken_progress progress;
    unsigned char sha256[KEN_SHA256_SIZE]; /* of progress */
};

struct ken_journal {
    int file;
    uint64_t end;
};

static struct head make_head(const unsigned char fingerprint[32])
{
    struct head head = {.entry_size = sizeof(struct entry)};
    memcpy(head.magic, magic, sizeof magic);
    memcpy(head.fingerprint, fingerprint, sizeof head.fingerprint);
    return head;
}

static bool is_whole(const struct entry *entry)
{
    unsigned char sha256[KEN_SHA256_SIZE];
    return !ken_sha256(&entry->progress, sizeof entry->progress, sha256, NULL) && !memcmp(sha256, entry->sha256, sizeof sha256);
}

/* Reads up to the last whole entry; returns where it ends, which is behind the head if there is none, or 0 for another plan's journal. */
static uint64_t read_entries(int file, const unsigned char fingerprint[32], struct ken_progress *progress)
{
    struct head head, expected = make_head(fingerprint);
    struct entry entry;
    uint64_t at = sizeof head;
    if (ken_file_read(file, 0, &head, sizeof head, KEN_JOURNAL_NAME, NULL) || memcmp(&head, &expected, sizeof head) != 0) return 0;
    for (; !ken_file_read(file, at, &entry, sizeof entry, KEN_JOURNAL_NAME, NULL) && is_whole(&entry); at += sizeof entry)
        *progress = entry.progress;
    return at;
}

bool ken_journal_read(int directory, const unsigned char fingerprint[32], struct ken_progress *progress)
{
    int file;
    if (ken_file_open(&file, directory, KEN_JOURNAL_NAME, false, NULL)) return false;
    bool found = read_entries(file, fingerprint, progress) > sizeof(struct head);
    close(file);
    return found;
}

int ken_journal_open(struct ken_journal **journal, int directory, const unsigned char fingerprint[32], bool keep, struct ken_error *error)
{
    struct ken_progress progress;
    struct head head = make_head(fingerprint);
    struct ken_journal *opened = calloc(1, sizeof *opened);
    *journal = NULL;
    if (!opened) return ken_fail(error, KEN_ENOMEM, "out of memory for the journal");
    int code = ken_file_open(&opened->file, directory, KEN_JOURNAL_NAME, !keep, error);
    if (code) {
        free(opened);
        return code;
    }
    opened->end = keep ? read_entries(opened->file, fingerprint, &progress) : sizeof head;
    if (!opened->end) code = ken_fail(error, KEN_ENOT_FOUND, "the journal is of another plan");
    if (!code && !keep) code = ken_file_write(opened->file, 0, &head, sizeof head, KEN_JOURNAL_NAME, error);
    if (!code && fdatasync(opened->file)) code = ken_fail_errno(error, errno, "syncing the journal");
    if (!code) code = ken_folder_sync(directory, ".", error);
    *journal = opened;
    if (code) ken_journal_close(journal);
    return code;
}

int ken_journal_append(struct ken_journal *journal, const struct ken_progress *progress, struct ken_error *error)
{
    struct entry entry = {.progress = *progress};
    int code = ken_sha256(&entry.progress, sizeof entry.progress, entry.sha256, error);
    if (!code) code = ken_file_write(journal->file, journal->end, &entry, sizeof entry, KEN_JOURNAL_NAME, error);
    if (!code && fdatasync(journal->file)) code = ken_fail_errno(error, errno, "syncing the journal");
    if (!code) journal->end += sizeof entry;
    return code;
}

void ken_journal_close(struct ken_journal **journal)
{
    if (!*journal) return;
    close((*journal)->file);
    free(*journal);
    *journal = NULL;
}
