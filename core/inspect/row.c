/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect/row.h"

#include "bits.h"
#include "heatmap/kept.h"
#include "pruning/block.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* Of a block of one row: two sides and the output in up to 8 bytes a value, its widened values, the selection's scratch, masks. */
enum { BLOCK_BYTES = 3 * 8 + 4 + 17 + 1, BLOCK_SMALL = 4 << 20 };

uint64_t ken_row_bytes(uint64_t n)
{
    return n * (BLOCK_BYTES + sizeof(float) + 1) + ken_curve_scratch(n) + BLOCK_SMALL;
}

/* ---- reading */

static int find(const struct ken_pair *pair, const char *name, uint64_t row, struct ken_pair_tensor *tensor, struct ken_error *error)
{
    int code = ken_pair_find(pair, name, tensor, error);
    if (code) return code;
    const struct ken_cells_shape *shape = &tensor->found.shape;
    if (row >= shape->rows)
        return ken_fail(error, KEN_EINVALID, "\"row\" must be from 0 to %" PRIu64 ": the matrix has %" PRIu64 " rows", shape->rows - 1,
                        shape->rows);
    if (shape->n <= KEN_ROW_MOST) return KEN_OK;
    return ken_fail(error, KEN_EINVALID, "\"row\" is of a matrix of %" PRIu64 " columns: rows of at most %d are looked at", shape->n,
                    KEN_ROW_MOST);
}

/* The row's values as pruning sees them, piece by piece. */
static int read_values(const struct ken_pair *pair, const struct ken_pair_tensor *tensor, uint64_t row, float *x, struct ken_error *error)
{
    enum { PIECE = 4096 };
    unsigned char piece[PIECE * sizeof(double)];
    const uint64_t n = tensor->found.shape.n;
    for (uint64_t done = 0; done < n; done += PIECE) {
        const uint64_t count = n - done < PIECE ? n - done : PIECE;
        int code = ken_pair_read(pair->model, tensor->model, tensor->found.dtype, row * n + done, count, piece, error);
        if (code) return code;
        ken_widen(tensor->found.dtype, piece, x + done, count);
    }
    return KEN_OK;
}

static int read_bits(const struct ken_pair *pair, const struct ken_pair_tensor *tensor, uint64_t row, unsigned char *bits,
                     struct ken_error *error)
{
    struct ken_kept *kept;
    int code = ken_kept_create(&kept, &tensor->cells, &tensor->found, pair->delta, error);
    if (!code) code = ken_kept_seek(kept, row, error);
    if (!code) code = ken_kept_take(kept, tensor->found.shape.n, bits, NULL, error);
    ken_kept_free(&kept);
    return code;
}

/* ---- counting */

/* Moves what is finite to the front, values and bits. */
static void take_finite(struct ken_row_view *view)
{
    for (uint64_t i = 0; i < view->n; i++) {
        const bool kept = ken_bits_has(view->bits, i);
        view->kept += kept;
        if (!isfinite(view->x[i])) continue;
        const uint64_t to = view->finite++;
        const unsigned char bit = (unsigned char)(1U << to % 8);
        view->x[to] = view->x[i];
        view->bits[to / 8] = (unsigned char)(kept ? view->bits[to / 8] | bit : view->bits[to / 8] & ~bit);
    }
    view->non_finite = view->n - view->finite;
}

int ken_row_view_read(struct ken_row_view *view, const struct ken_pair *pair, const char *tensor, uint64_t row, struct ken_error *error)
{
    struct ken_pair_tensor found;
    *view = (struct ken_row_view){.row = row};
    int code = find(pair, tensor, row, &found, error);
    if (code) return code;
    view->n = found.found.shape.n;
    view->k = pair->plan ? ken_plan_k(pair->plan, found.number, 0) : 0;
    view->x = malloc(view->n * sizeof *view->x);
    view->bits = calloc(1, view->n / 8 + 1 + KEN_BITS_SLACK);
    if (!view->x || !view->bits) return ken_fail(error, KEN_ENOMEM, "out of memory for a row");
    code = read_values(pair, &found, row, view->x, error);
    if (!code) code = read_bits(pair, &found, row, view->bits, error);
    if (code) return code;
    take_finite(view);
    code = ken_curve_make(&view->curve, view->x, view->finite, error);
    for (uint64_t i = 0; !code && i < view->finite; i++)
        if (ken_bits_has(view->bits, i)) view->stored[ken_curve_bin(&view->curve, view->x[i])]++;
    return code;
}

void ken_row_view_free(struct ken_row_view *view)
{
    free(view->x);
    free(view->bits);
    view->x = NULL;
    view->bits = NULL;
}

/* ---- selecting */

int ken_row_select(const struct ken_pair *pair, const char *tensor, uint64_t row, uint64_t *selected, struct ken_error *error)
{
    struct ken_pair_tensor found;
    int code = find(pair, tensor, row, &found, error);
    if (code) return code;
    const struct ken_range range = {.tensor = found.number, .first = row, .units = 1};
    struct ken_block *block = ken_block_create(pair->plan, &range);
    if (!block) return ken_fail(error, KEN_ENOMEM, "out of memory for a row");
    ken_block_run(block);
    code = block->code;
    if (code)
        ken_fail(error, code, "%s", block->error.message);
    else
        *selected = ken_block_part(block, 0)->selected;
    ken_block_destroy(&block);
    return code;
}
