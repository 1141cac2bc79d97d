/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a delta: injecting it into its base, verifying it, looking into it. The format: DESIGN.md "The delta", proto/delta-format.md. */
#ifndef KEN_DELTA_H
#define KEN_DELTA_H

#include "budget.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/model_header.h"
#include "error.h"
#include "executor.h"

#include <stdbool.h>
#include <stdint.h>

struct ken_delta;

#define KEN_DELTA_FORMAT "ken-delta"
#define KEN_DELTA_VERSION "1"
/* What a delta is called in a folder of artifacts. */
#define KEN_DELTA_FILE_NAME "delta.safetensors"
/* Forms of a tensor in encoding plain, in the order in which ties are broken. */
#define KEN_FORM_MAP(X) X(KEN_FORM_SAME, "same") X(KEN_FORM_WHOLE, "whole") X(KEN_FORM_MASK, "mask") X(KEN_FORM_GAPS, "gaps")
#define X(symbol, name) symbol,
enum ken_form { KEN_FORM_MAP(X) KEN_FORM_COUNT };
#undef X
/* The form's name in the delta's metadata. */
const char *ken_form_name(enum ken_form form);

struct ken_delta_tensor {
    const char *name;
    enum ken_dtype dtype;
    uint32_t rank;
    const uint64_t *shape;
    bool has_base;
    const char *base_name; /* NULL without base */
    enum ken_dtype base_dtype;
    unsigned char base_sha256[32]; /* of the base tensor's raw bytes */
    enum ken_form form;
    uint64_t stored; /* values stored */
};

/* What the header of a delta is held to. */
extern const struct ken_checkpoint_limits ken_delta_limits;
/* True if the checkpoint's metadata say it is a delta. */
bool ken_delta_is(const struct ken_checkpoint *checkpoint);
/* Opens and checks a delta wholly but for its values: KEN_EBAD_DELTA with the reason, KEN_EUNSUPPORTED for another version or encoding. The
 * opener may go. */
int ken_delta_open(struct ken_delta **delta, struct ken_opener *opener, struct ken_error *error);
int ken_delta_open_path(struct ken_delta **delta, const char *path, struct ken_error *error);
/* As above, of a checkpoint that was opened already, which the delta takes over, also on failure; messages call it by the label. */
int ken_delta_adopt(struct ken_delta **delta, struct ken_checkpoint *checkpoint, const char *label, struct ken_error *error);
void ken_delta_close(struct ken_delta **delta);
size_t ken_delta_tensor_count(const struct ken_delta *delta);
const struct ken_delta_tensor *ken_delta_tensor(const struct ken_delta *delta, size_t index);
const char *ken_delta_encoding(const struct ken_delta *delta);
size_t ken_delta_file_count(const struct ken_delta *delta); /* files of the model it makes */
bool ken_delta_has_index(const struct ken_delta *delta);    /* the model is sharded */
uint64_t ken_delta_rows(const struct ken_delta *delta);     /* of all tensors of the model */
/* The text of a sharded model's index, *text [*length] to be freed. KEN_ENOMEM. */
int ken_delta_index(const struct ken_delta *delta, char **text, size_t *length, struct ken_error *error);

/* Whether the base has the tensors that the delta was made from, as far as headers tell: KEN_EMISMATCH names the first that it has not. */
int ken_delta_check_base(const struct ken_delta *delta, const struct ken_checkpoint *base, struct ken_error *error);

/* ---- the whole model */

/* What reading a delta needs from its surroundings. Zeroed: one thread, the caller's, and as much memory as that needs. */
struct ken_inject_options {
    struct ken_executor *executor; /* that decodes; the bytes do not depend on its threads */
    struct ken_budget *budget;     /* of at least KEN_INJECT_BYTES, for each block in flight */
    /* From the thread of the call, many times a second. */
    bool (*cancelled)(void *opaque);
    void (*progress)(void *opaque, uint64_t bytes_done, uint64_t bytes_total);
    void *opaque;
};
enum { KEN_INJECT_BYTES = 6 << 20 }; /* that a block takes at most */

/* One file of the model. */
struct ken_inject_file {
    char name[KEN_MODEL_NAME_SIZE];
    uint64_t size;
    unsigned char sha256[32];
};
/* How many there are, the index included. */
size_t ken_inject_file_count(const struct ken_delta *delta);
/*
 * Writes the pruned model, bit for bit: to the file `output` if it is one file, to the folder `output` (made if missing, else what else is
 * in it stays) with its index if sharded. Streams in bounded memory, writes aside and renames at the end. KEN_EDIGEST names the tensor
 * whose base is another one; nothing is left behind then. files [ken_inject_file_count] are told of, unless NULL. options: NULL is as a
 * zeroed one.
 */
int ken_inject(const struct ken_delta *delta, const struct ken_checkpoint *base, const char *output, struct ken_inject_file *files,
               const struct ken_inject_options *options, struct ken_error *error);

/* Bytes that the model's files will have in all, and its index; 0 if it is one file. KEN_ENOMEM. */
int ken_inject_bytes(const struct ken_delta *delta, uint64_t *model, uint64_t *index, struct ken_error *error);
/*
 * As ken_inject, but writes into the folder `path` below directory, durably, and tells of each of the files [ken_inject_file_count]. It is
 * the caller's to put them in sight, or to remove them where this fails.
 */
int ken_inject_into(const struct ken_delta *delta, const struct ken_checkpoint *base, int directory, const char *path,
                    struct ken_inject_file *files, const struct ken_inject_options *options, struct ken_error *error);

/* As inject, but compares with the files of `model` (may be NULL: then only the base's digests and the delta's own values are checked)
 * instead of writing. KEN_EDIGEST names the first difference. Of the index only the meaning is known here: ken_delta_index has its text. */
int ken_delta_verify(const struct ken_delta *delta, const struct ken_checkpoint *base, const struct ken_checkpoint *model,
                     const struct ken_inject_options *options, struct ken_error *error);

#endif
