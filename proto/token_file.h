/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens file: one line for each token, empty lines, and comments from # on. Read by kend, changed by kenctl. */
#ifndef PROTO_TOKEN_FILE_H
#define PROTO_TOKEN_FILE_H

#include "token.h"

enum { PROTO_TOKEN_FILE_MAX = 1 << 20 };

/* Zeroed: empty. */
struct proto_token_list {
    struct proto_token *item; /* [count], by id */
    size_t count;
    bool exposed; /* other users of the machine may read or write the file */
};

/*
 * Reads all of a file. KEN_ENOT_FOUND; KEN_EINVALID for a line that is no token ("FILE:LINE: ..."), an id that is there twice, more than
 * PROTO_TOKEN_FILE_MAX bytes; KEN_EIO, KEN_ENOMEM. The list is empty after a failure.
 */
int proto_token_list_read(struct proto_token_list *list, const char *path, struct ken_error *error);
void proto_token_list_clear(struct proto_token_list *list);
/* The token with this id, or NULL. */
const struct proto_token *proto_token_list_find(const struct proto_token_list *list, const char *id);

/* Adds a token's line to the file, which is made if it is not there. Everything else in it stays. Errors as of reading, and of
   ken_file_replace; KEN_EBUSY if another process keeps a lock on the folder. */
int proto_token_file_add(const char *path, const struct proto_token *token, struct ken_error *error);
/* Takes a token's line out. KEN_ENOT_FOUND also if there is no token with this id. */
int proto_token_file_remove(const char *path, const char *id, struct ken_error *error);

#endif
