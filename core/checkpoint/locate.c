/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/locate.h"
#include "checkpoint/model_header.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    LENGTH_SIZE = 8, /* of the header's length, which a safetensors file begins with */
    TAR_MAGIC = 257,
};

/* First byte that is no white space, behind a byte order mark; NUL if there is none, or if there is a NUL byte where text has none. */
static char first_of_text(const unsigned char *head, size_t length)
{
    size_t at = length >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    if (memchr(head, '\0', length < LENGTH_SIZE ? length : LENGTH_SIZE)) return '\0';
    while (at < length && (head[at] == ' ' || head[at] == '\n' || head[at] == '\r' || head[at] == '\t')) at++;
    return at < length ? (char)head[at] : '\0';
}

enum ken_content ken_content_of(const unsigned char *head, size_t length)
{
    static const char lfs_pointer[] = "version https://git-lfs.github.com/spec/";
    /* The length of a header below 2^56 has a NUL byte, text has none, so the two cannot be taken for each other. */
    char first = first_of_text(head, length);
    if (first == '{') return KEN_CONTENT_JSON;
    if (first == '<') return KEN_CONTENT_HTML;
    if (length >= strlen(lfs_pointer) && memcmp(head, lfs_pointer, strlen(lfs_pointer)) == 0) return KEN_CONTENT_LFS_POINTER;
    if (length > LENGTH_SIZE && head[LENGTH_SIZE] == '{') return KEN_CONTENT_SAFETENSORS;
    if (length >= 4 && memcmp(head, "PK\3\4", 4) == 0) return KEN_CONTENT_TORCH_ZIP;
    if (length >= 3 && head[0] == 0x80 && head[1] >= 1 && head[1] <= 5 && head[2]) return KEN_CONTENT_TORCH_PICKLE;
    if (length >= TAR_MAGIC + 5 && memcmp(head + TAR_MAGIC, "ustar", 5) == 0) return KEN_CONTENT_TORCH_TAR;
    return KEN_CONTENT_UNKNOWN;
}

int ken_content_detect(struct ken_source *source, const char *label, enum ken_content *content, struct ken_error *error)
{
    unsigned char head[KEN_CONTENT_HEAD];
    size_t length = source->size < sizeof head ? (size_t)source->size : sizeof head;
    if (!length) return ken_fail(error, KEN_EBAD_CHECKPOINT, "%s: the file is empty", label);
    int code = ken_source_wait(source, 0, length, error);
    if (!code) code = ken_source_read(source, 0, head, length, error);
    if (code) return code;
    *content = ken_content_of(head, length);
    switch (*content) {
    case KEN_CONTENT_SAFETENSORS:
    case KEN_CONTENT_JSON:
    case KEN_CONTENT_TORCH_ZIP: return KEN_OK;
    case KEN_CONTENT_TORCH_PICKLE:
    case KEN_CONTENT_TORCH_TAR:
        return ken_fail(error, KEN_EUNSUPPORTED, "%s: a torch file in the %s format of before PyTorch 1.6: save it again with a newer one",
                        label, *content == KEN_CONTENT_TORCH_PICKLE ? "pickle" : "tar");
    case KEN_CONTENT_HTML: return ken_fail(error, KEN_EBAD_CHECKPOINT, "%s: this is an HTML page, not a checkpoint", label);
    case KEN_CONTENT_LFS_POINTER:
        return ken_fail(error, KEN_EBAD_CHECKPOINT, "%s: this is a Git LFS pointer, not the file it stands for", label);
    case KEN_CONTENT_UNKNOWN: break;
    }
    char shown[64];
    size_t few = length < 9 ? length : 9;
    if (length < 9) return ken_fail(error, KEN_EBAD_CHECKPOINT, "%s: %zu bytes are too few for a safetensors file", label, length);
    return ken_fail(error, KEN_EBAD_CHECKPOINT,
                    "%s: neither a safetensors file, a torch file nor an index: it begins with \"%s\", and byte 8 is not '{'", label,
                    ken_printable(shown, sizeof shown, (const char *)head, few));
}

static const char *const probes[] = {KEN_MODEL_FILE_NAME, KEN_MODEL_INDEX_NAME, "pytorch_model.bin", "pytorch_model.bin.index.json"};

/* A file's name behind that of the folder, where it has one, which is cut if there is no room for both. */
static void label_in_folder(char label[KEN_LABEL_SIZE], const struct ken_opener *opener, const char *name)
{
    size_t length = opener->label ? strlen(opener->label) : 0, used = 0;
    if (length) {
        ken_printable(label, KEN_LABEL_SIZE - strlen(name) - 1, opener->label, length);
        used = strlen(label);
        if (label[used - 1] != '/') label[used++] = '/';
    }
    snprintf(label + used, KEN_LABEL_SIZE - used, "%s", name);
}

static int no_checkpoint(const struct ken_opener *opener, struct ken_error *error)
{
    char shown[KEN_LABEL_SIZE] = "here";
    if (opener->label) ken_printable(shown, sizeof shown, opener->label, strlen(opener->label));
    if (opener->only) return ken_fail(error, KEN_ENOT_FOUND, "no %s %s%s", opener->only, opener->label ? "in " : "", shown);
    return ken_fail(error, KEN_ENOT_FOUND, "no checkpoint %s%s: neither %s nor %s, %s or %s", opener->label ? "in " : "", shown, probes[0],
                    probes[1], probes[2], probes[3]);
}

static int locate_in_folder(struct ken_opener *opener, struct ken_source **source, enum ken_content *content, char label[KEN_LABEL_SIZE],
                            struct ken_error *error)
{
    const char *const *names = opener->only ? &opener->only : probes;
    const size_t count = opener->only ? 1 : sizeof probes / sizeof *probes;
    for (size_t i = 0; i < count; i++) {
        int code = opener->open(opener, names[i], source, error);
        if (code == KEN_ENOT_FOUND) continue;
        if (code) return code;
        label_in_folder(label, opener, names[i]);
        code = ken_content_detect(*source, label, content, error);
        if (code) ken_source_close(source);
        return code;
    }
    return no_checkpoint(opener, error);
}

int ken_locate(struct ken_opener *opener, struct ken_source **source, enum ken_content *content, char label[KEN_LABEL_SIZE],
               struct ken_error *error)
{
    *source = NULL;
    if (opener->is_folder) return locate_in_folder(opener, source, content, label, error);
    int code = opener->open(opener, NULL, source, error);
    if (code) return code;
    *content = KEN_CONTENT_UNKNOWN;
    const char *name = opener->label ? opener->label : KEN_MODEL_FILE_NAME;
    ken_printable(label, KEN_LABEL_SIZE, name, strlen(name));
    code = ken_content_detect(*source, label, content, error);
    if (!opener->label && *content == KEN_CONTENT_JSON) snprintf(label, KEN_LABEL_SIZE, "%s", KEN_MODEL_INDEX_NAME);
    if (code) ken_source_close(source);
    return code;
}
