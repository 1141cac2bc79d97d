/* SPDX-License-Identifier: Apache-2.0 */
/* The pickle of a torch file: interpreted alone, then as data.pkl of a well-formed zip with storages "0" to "3". */
#include "checkpoint/pickle.h"
#include "checkpoint/shape.h"
#include "fuzz.h"
#include "make_torch.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 1 << 16, MAX_ITEMS = 64 };

static const struct make_torch_tensor storages[] = {
    {.key = 0, .count = 64, .element = 4},
    {.key = 1, .count = 40, .element = 2},
    {.key = 2, .count = 9, .element = 8},
    {.key = 3, .count = 0, .element = 4},
};

static bool is_within(const uint8_t *data, size_t size, const char *text, size_t length)
{
    uintptr_t begin = (uintptr_t)data, at = (uintptr_t)text;
    return at >= begin && at - begin <= size && length <= size - (at - begin);
}

static void check_items(const struct ken_pickle *pickle, const uint8_t *data, size_t size)
{
    KEN_ASSERT(pickle->count && pickle->count <= MAX_ITEMS && pickle->arena.used <= MAX_BYTES);
    for (size_t i = 0; i < pickle->count; i++) {
        const struct ken_pickle_item *item = &pickle->items[i];
        const struct ken_pickle_tensor *tensor = item->tensor;
        KEN_ASSERT(is_within(data, size, item->name, item->name_length));
        KEN_ASSERT(ken_utf8_valid(item->name, item->name_length) == item->name_length);
        KEN_ASSERT(is_within(data, size, tensor->storage->key, tensor->storage->key_length));
        KEN_ASSERT(tensor->dtype < KEN_DTYPE_COUNT && tensor->rank <= KEN_RANK_MAX);
        for (uint32_t j = 0; j < tensor->rank; j++) KEN_ASSERT(tensor->shape[j] <= INT64_MAX && tensor->strides[j] <= INT64_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ken_pickle pickle;
    struct ken_error error = {0};
    int code = ken_pickle_read(&pickle, data, size, "fuzz", MAX_BYTES, MAX_ITEMS, &error);
    if (code) {
        fuzz_accepted = false;
        fuzz_check_error(code, &error);
        return 0;
    }
    check_items(&pickle, data, size);
    ken_pickle_free(&pickle);
    struct made_file file = make_torch_raw(data, size, storages, sizeof storages / sizeof *storages);
    struct ken_checkpoint *checkpoint = fuzz_open(file.bytes, file.length);
    ken_checkpoint_close(&checkpoint);
    free(file.bytes);
    return 0;
}
