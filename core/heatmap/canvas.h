/* SPDX-License-Identifier: Apache-2.0 */
/* A picture that is put together in memory: parts of matrices, and what is said about them. */
#ifndef KEN_HEATMAP_CANVAS_H
#define KEN_HEATMAP_CANVAS_H

#include "error.h"
#include "heatmap/views.h"

#include <stddef.h>

/* Numbers of the palette that are not a view's here: its last colours share one. */
enum { KEN_CANVAS_LAST = KEN_PALETTE - 3, KEN_CANVAS_INK, KEN_CANVAS_PAPER };
/* What a letter takes, with what is beside and below it. */
enum { KEN_LETTER_WIDTH = 6, KEN_LETTER_HEIGHT = 9 };

struct ken_canvas {
    unsigned width, height;
    unsigned char *pixels; /* [height, width] numbers of the palette */
};

/* Makes an empty one. KEN_ENOMEM. */
int ken_canvas_create(struct ken_canvas *canvas, unsigned width, unsigned height, struct ken_error *error);
void ken_canvas_free(struct ken_canvas *canvas);
/* Fills a block; what lies outside is left out, of all that is drawn. */
void ken_canvas_block(struct ken_canvas *canvas, unsigned x, unsigned y, unsigned width, unsigned height, unsigned char colour);
/* Puts a view's line of pixels [width]; nothing, which is transparent elsewhere, is paper here. */
void ken_canvas_line(struct ken_canvas *canvas, unsigned x, unsigned y, const unsigned char *line, unsigned width);
/* Writes text with its upper left corner there, as far as `most` pixels go; what the font has not is '?'. */
void ken_canvas_text(struct ken_canvas *canvas, unsigned x, unsigned y, unsigned most, const char *text);
unsigned ken_canvas_text_width(const char *text);
/* The picture, in the palette of its view, which gets ink and paper. As ken_png_write. */
int ken_canvas_write(const struct ken_canvas *canvas, unsigned char palette[KEN_PALETTE][3], unsigned char **png, size_t *length,
                     struct ken_error *error);

/* Memory that a canvas of so many pixels and its PNG take at most. */
size_t ken_canvas_most_bytes(size_t pixels);

#endif
