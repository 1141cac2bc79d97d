/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of a pruning: how far its outputs are durable. An entry that was not written whole is as if it was not written. */
#ifndef KEN_JOURNAL_H
#define KEN_JOURNAL_H

#include "error.h"
#include "pruning/progress.h"

#include <stdbool.h>

#define KEN_JOURNAL_NAME "journal"

struct ken_journal;

/*
 * Reads the last whole entry of a journal of the very same plan, told by its fingerprint. False if there is none: no file, another plan,
 * no entry.
 */
bool ken_journal_read(int directory, const unsigned char fingerprint[32], struct ken_progress *progress);
/* Opens the journal for appending: behind its last whole entry if `keep` (KEN_ENOT_FOUND if it is of another plan), else beginning anew. */
int ken_journal_open(struct ken_journal **journal, int directory, const unsigned char fingerprint[32], bool keep, struct ken_error *error);
/* Appends an entry durably. All that it tells of must be durable before. */
int ken_journal_append(struct ken_journal *journal, const struct ken_progress *progress, struct ken_error *error);
void ken_journal_close(struct ken_journal **journal);

#endif
