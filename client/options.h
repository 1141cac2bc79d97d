/* SPDX-License-Identifier: Apache-2.0 */
/* The options of all commands in one table, and the reading of a command line by it. */
#ifndef KENCTL_OPTIONS_H
#define KENCTL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* symbol, name, short name or 0, name of its value or NULL for a flag, help. A command accepts those that it lists, and the global ones. */
#define KENCTL_OPTION_MAP(X)                                                                                                         \
    X(SERVER, "server", 0, "URL", "the kend to talk to (KENCTL_SERVER; default " KENCTL_DEFAULT_SERVER ")")                          \
    X(TOKEN_FILE, "token-file", 0, "FILE", "a file with the token (KENCTL_TOKEN_FILE); KENCTL_TOKEN holds the token itself")         \
    X(CA_FILE, "ca-file", 0, "FILE", "certificates to trust instead of the system's (KENCTL_CA_FILE)")                               \
    X(CERT, "cert", 0, "FILE", "a client certificate, where the server wants one (KENCTL_CERT)")                                     \
    X(KEY, "key", 0, "FILE", "its private key (KENCTL_KEY)")                                                                         \
    X(JSON, "json", 0, NULL, "print JSON")                                                                                           \
    X(QUIET, "quiet", 'q', NULL, "no progress, no notes; warnings stay")                                                             \
    X(HELP, "help", 'h', NULL, "print this help")                                                                                    \
    X(VERSION, "version", 'V', NULL, "print the version")                                                                            \
    X(FORMAT, "output", 'o', "FORMAT", "text or json")                                                                               \
    X(FOLDER, "output", 'o', "DIR", "the folder that is made")                                                                       \
    X(OUTPUT, "output", 'o', "OUT", "the file that is made, or a folder: where there is one, or the model is sharded")               \
    X(FILE, "output", 'o', "FILE", "the file that is made")                                                                          \
    X(TARGET, "output", 'o', "DIR", "where the files go (default: here)")                                                            \
    X(FORCE, "force", 'f', NULL, "replace files that are there already")                                                             \
    X(JOB, "job", 0, "FILE", "the job document, - for standard input")                                                               \
    X(MODEL, "model", 0, "MODEL", "the fine-tuned checkpoint")                                                                       \
    X(PRUNED, "model", 0, "MODEL", "the pruned model")                                                                               \
    X(MODEL_SHA256, "model-sha256", 0, "HEX", "what the model's file must hash to")                                                  \
    X(BASE, "base", 0, "BASE", "the pre-trained checkpoint")                                                                         \
    X(BASE_SHA256, "base-sha256", 0, "HEX", "what the base's file must hash to")                                                     \
    X(KIND, "kind", 0, "KIND", "prune (default) or inject, which makes the model of --base and --delta")                             \
    X(DELTA, "delta", 0, "DELTA", "the delta")                                                                                       \
    X(DELTA_SHA256, "delta-sha256", 0, "HEX", "what the delta must hash to")                                                         \
    X(K, "k", 'k', "N", "columns that a row keeps")                                                                                  \
    X(KEEP, "keep", 0, "SHARE", "share of a row's columns that is kept, above 0 and below 1")                                        \
    X(METHOD, "method", 0, "METHOD", "ken (default), density, magnitude or random")                                                  \
    X(RESCALE, "rescale", 0, "HOW", "none (default) or l1, which keeps quality where little is kept")                                \
    X(DUPLICATES, "duplicates", 0, "HOW", "exact (default) or all, as the published implementation")                                 \
    X(NON_FINITE, "non-finite", 0, "HOW", "fail (default) or keep rows with NaN or infinity")                                        \
    X(SEED, "seed", 0, "N", "of method random (default 0)")                                                                          \
    X(RULES_LAYERS, "rules-layers", 0, NULL, "prune tensors with a digit in their name only")                                        \
    X(RULE, "rule", 0, "GLOB=ACTION", "prune, prune:K, prune:SHARE, keep or reset what matches; may be repeated, the first decides") \
    X(NAMES, "names", 0, "GLOB=PATTERN", "what matches has this name in the base, * for *; may be repeated, the first decides")      \
    X(UNMATCHED, "unmatched", 0, "HOW", "add (default) or fail at a tensor that the base has not")                                   \
    X(OUTPUTS, "outputs", 0, "LIST", "of delta,model,report (default: all)")                                                         \
    X(ENCODING, "delta-encoding", 0, "HOW", "plain (default) or packed: the same, smaller")                                          \
    X(NAME, "name", 0, "TEXT", "a name for people")                                                                                  \
    X(METADATA, "metadata", 0, "KEY=VALUE", "metadata; may be repeated")                                                             \
    X(TIMEOUT, "timeout", 0, "SECONDS", "end the job as failed after that long")                                                     \
    X(THREADS, "threads", 0, "N", "threads that work (default: one for each CPU)")                                                   \
    X(MEMORY, "memory", 0, "SIZE", "of buffers, as 96MiB (default)")                                                                 \
    X(KERNEL, "kernel", 0, "NAME", "instruction set: auto (default), scalar, avx2, avx512 or neon; the bytes are the same")          \
    X(WAIT, "wait", 'w', NULL, "wait for the job's end; the exit status tells it")                                                   \
    X(DRY_RUN, "dry-run", 'n', NULL, "check only: what would be done, and what it needs")                                            \
    X(IDEMPOTENCY_KEY, "idempotency-key", 0, "KEY", "the same key and document give the same job")                                   \
    X(STATUS, "status", 0, "STATUS", "queued, running, succeeded, failed or cancelled")                                              \
    X(LIMIT, "limit", 0, "N", "at most so many, 1 to 200 (default 50)")                                                              \
    X(CONFIG, "config", 0, "FILE", "kend's configuration on this machine")                                                           \
    X(DATA, "data", 0, "DIR", "kend's data folder on this machine (default: as kend's)")                                             \
    X(ALL, "all", 'a', NULL, "all of them, page by page")                                                                            \
    X(LAYOUT, "format", 0, "FORMAT", "trl: the sparse weight updates of TRL, for vLLM")                                              \
    X(SAME, "all", 'a', NULL, "show the tensors that are the same, too")                                                             \
    X(VARIANT, "variant", 0, "NAME", "one of the job's variants")                                                                    \
    X(VIEW, "view", 0, "VIEW", "mask, neighbors, density (default), delta or row")                                                   \
    X(ROW, "row", 0, "N", "of view row: which")                                                                                      \
    X(AT, "at", 0, "ROW,COLUMN", "where the value is, both from 0")                                                                  \
    X(REGION_VALUES, "region", 0, "X,Y,W,H", "first column and row, columns and rows: 4096 values at most")                          \
    X(REGION, "region", 0, "X,Y,W,H", "first column and row, columns and rows (default: all)")                                       \
    X(WIDTH, "width", 0, "N", "pixels, 16 to 4096 (default: as the matrix, 1024 at most on its longer side)")                        \
    X(ROLE, "role", 0, "GLOB", "all tensors of a role in one picture: their names with * for numbers, as 'layer.*.mlp.weight'")      \
    X(LAYERS, "layers", 0, NULL, "all tensors in one picture whose names are TENSOR's but for their numbers")                        \
    X(LEGEND, "legend", 0, NULL, "rows and columns around the picture, and what its colours mean")                                   \
    X(SCALE_END, "max", 0, "X", "where the scale of colours ends (default: the same for all tensors of a delta)")                    \
    X(TOKENS, "file", 0, "FILE", "the tokens file (auth.tokens_file of the server)")                                                 \
    X(OWNER, "owner", 0, "NAME", "whose jobs the token is about")                                                                    \
    X(WHOSE, "owner", 0, "NAME", "only jobs of this owner, \"\" for the nameless one; needs an admin's token")                       \
    X(OWNED, "owner", 0, "NAME", "all jobs of this owner, \"\" for the nameless one, instead of one; needs an admin's token")        \
    X(SCOPE, "scope", 0, "LIST", "of read, submit and admin; submit includes read, admin both")                                      \
    X(EXPIRES, "expires", 0, "DAYS", "when the token ends by itself (default: never)")

#define KENCTL_DEFAULT_SERVER "http://127.0.0.1:8377"

#define X(symbol, name, letter, value, help) KENCTL_OPT_##symbol,
enum kenctl_option { KENCTL_OPTION_MAP(X) KENCTL_OPTION_COUNT };
#undef X

struct kenctl_command;

struct kenctl_value {
    enum kenctl_option option;
    const char *text; /* "" for a flag; borrowed from the command line */
};

struct kenctl_arguments {
    struct kenctl_value *values; /* [value_count], in the order given */
    size_t value_count;
    const char **operands; /* [operand_count], what is no option */
    size_t operand_count;
};

/*
 * Reads words [count]. command NULL: the global options in front of the command's name; reading stops there, *used tells how many words
 * were read. Otherwise all words are the command's. A fault is printed with a hint and false is returned. Free in both cases.
 */
bool kenctl_arguments_read(struct kenctl_arguments *arguments, const struct kenctl_command *command, char *const *words, size_t count,
                           size_t *used);
void kenctl_arguments_free(struct kenctl_arguments *arguments);
/* The last value of an option, or NULL if it was not given. */
const char *kenctl_argument(const struct kenctl_arguments *arguments, enum kenctl_option option);
/* Prints the options of a command (NULL: the global ones), aligned. */
void kenctl_options_help(FILE *out, const struct kenctl_command *command);
#endif
