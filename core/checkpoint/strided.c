/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint/strided.h"

#include "checkpoint/shape.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE_BYTES = 65536 };

bool ken_strided_init(struct ken_strided *strided, uint64_t begin, uint32_t element, const uint64_t *shape, const uint64_t *strides,
                      uint32_t rank, uint64_t *room)
{
    uint64_t last = 0, product;
    bool empty = false, overflow = false;
    uint64_t *own_shape = room, *own_strides = room + rank;
    uint32_t own = 0;
    for (uint32_t i = 0; i < rank; i++) empty |= !shape[i];
    for (uint32_t i = 0; i < rank && !empty; i++) {
        if (shape[i] == 1) continue;
        overflow |= __builtin_mul_overflow(shape[i] - 1, strides[i], &product) || __builtin_add_overflow(last, product, &last);
        bool joins = own && !__builtin_mul_overflow(strides[i], shape[i], &product) && own_strides[own - 1] == product;
        if (joins && !__builtin_mul_overflow(own_shape[own - 1], shape[i], &product)) {
            own_shape[own - 1] = product;
            own_strides[own - 1] = strides[i];
            continue;
        }
        own_shape[own] = shape[i];
        own_strides[own++] = strides[i];
    }
    *strided = (struct ken_strided){.begin = begin, .element = element, .rank = own, .shape = own_shape, .strides = own_strides};
    if (empty) return true;
    overflow |= __builtin_add_overflow(last, 1, &last) || __builtin_mul_overflow(last, element, &strided->span) ||
                __builtin_add_overflow(begin, strided->span, &product);
    return !overflow;
}

bool ken_strided_is_plain(const struct ken_strided *strided)
{
    return !strided->rank || (strided->rank == 1 && strided->strides[0] == 1);
}

/* ---- reading */

struct gathering {
    const struct ken_strided *strided;
    struct ken_source *source;
    unsigned char *piece; /* [PIECE_BYTES] */
    struct ken_error *error;
};

/* A part of the elements with as many along each dimension: what is read in the order that suits the file. */
struct box {
    uint32_t first;               /* dimensions first .. rank */
    uint64_t size[KEN_RANK_MAX];  /* of each of these */
    uint64_t place;               /* of its first element in the span, in elements */
    uint64_t steps[KEN_RANK_MAX]; /* from one element to the next along each, in the output */
};

/* Copies `count` elements from every `stride`-th place to every `step`-th one. */
static void scatter(const unsigned char *from, size_t stride, unsigned char *to, size_t step, size_t count, size_t element)
{
    for (size_t i = 0; i < count; i++) memcpy(to + i * step * element, from + i * stride * element, element);
}

/* Reads a run of elements, `stride` apart in the file and `step` in the output. */
static int read_run(const struct gathering *gathering, uint64_t place, uint64_t stride, uint64_t count, unsigned char *out, uint64_t step)
{
    const struct ken_strided *strided = gathering->strided;
    uint64_t element = strided->element, at_once = PIECE_BYTES / element;
    if (stride == 1 && step == 1)
        return ken_source_read(gathering->source, strided->begin + place * element, out, count * element, gathering->error);
    /* Elements that are far from each other are read one by one. */
    at_once = !stride ? count : stride >= at_once ? 1 : (at_once - 1) / stride + 1;
    while (count) {
        uint64_t now = count < at_once ? count : at_once;
        size_t bytes = stride ? ((now - 1) * stride + 1) * element : element;
        int code = ken_source_read(gathering->source, strided->begin + place * element, gathering->piece, bytes, gathering->error);
        if (code) return code;
        scatter(gathering->piece, stride, out, step, now, element);
        place += now * stride;
        out += now * step * element;
        count -= now;
    }
    return KEN_OK;
}

/* The dimension along which the elements of a box lie closest. */
static uint32_t closest(const struct ken_strided *strided, const struct box *box)
{
    uint32_t best = strided->rank - 1;
    for (uint32_t i = box->first; i < strided->rank; i++) {
        uint64_t stride = strided->strides[i];
        if (box->size[i] > 1 && stride && (box->size[best] <= 1 || !strided->strides[best] || stride < strided->strides[best])) best = i;
    }
    return best;
}

static int read_box(const struct gathering *gathering, const struct box *box, unsigned char *out)
{
    const struct ken_strided *strided = gathering->strided;
    uint64_t index[KEN_RANK_MAX] = {0}, place = box->place, to = 0;
    uint32_t run = closest(strided, box);
    for (;;) {
        int code = read_run(gathering, place, strided->strides[run], box->size[run], out + to * strided->element, box->steps[run]);
        if (code) return code;
        uint32_t i = strided->rank;
        while (i-- > box->first) { /* the next one of all other dimensions */
            if (i == run) continue;
            place += strided->strides[i];
            to += box->steps[i];
            if (++index[i] < box->size[i]) break;
            place -= index[i] * strided->strides[i];
            to -= index[i] * box->steps[i];
            index[i] = 0;
        }
        if (i + 1 == box->first) return KEN_OK;
    }
}

/* Reads elements [first, first + count) of dimensions [from, rank) at `place`: a row that is begun, whole rows, a row that is not ended. */
static int read_part(const struct gathering *gathering, uint32_t from, uint64_t place, uint64_t first, uint64_t count, unsigned char *out)
{
    const struct ken_strided *strided = gathering->strided;
    struct box box = {.first = from};
    uint64_t row = 1;
    for (uint32_t i = strided->rank; i-- > from;) {
        box.size[i] = strided->shape[i];
        box.steps[i] = row;
        if (i > from) row *= strided->shape[i];
    }
    uint64_t stride = strided->strides[from], head = first % row ? row - first % row : 0, rows;
    if (head > count) head = count;
    int code = head ? read_part(gathering, from + 1, place + first / row * stride, first % row, head, out) : KEN_OK;
    first += head;
    out += head * strided->element;
    rows = (count - head) / row;
    box.place = place + first / row * stride;
    box.size[from] = rows;
    if (!code && rows) code = read_box(gathering, &box, out);
    first += rows * row;
    out += rows * row * strided->element;
    count -= head + rows * row;
    return code || !count ? code : read_part(gathering, from + 1, place + first / row * stride, 0, count, out);
}

int ken_strided_read(const struct ken_strided *strided, struct ken_source *source, uint64_t first, uint64_t count, unsigned char *out,
                     struct ken_error *error)
{
    uint64_t element = strided->element;
    if (!count) return KEN_OK;
    if (ken_strided_is_plain(strided)) return ken_source_read(source, strided->begin + first * element, out, count * element, error);
    struct gathering gathering = {.strided = strided, .source = source, .piece = malloc(PIECE_BYTES), .error = error};
    if (!gathering.piece) return ken_fail(error, KEN_ENOMEM, "out of memory for a strided tensor");
    int code = read_part(&gathering, 0, 0, first, count, out);
    free(gathering.piece);
    return code;
}
