/* SPDX-License-Identifier: Apache-2.0 */
#include "heatmap/canvas.h"

#include "heatmap/font.h"
#include "heatmap/png_writer.h"

#include <stdlib.h>
#include <string.h>

int ken_canvas_create(struct ken_canvas *canvas, unsigned width, unsigned height, struct ken_error *error)
{
    *canvas = (struct ken_canvas){width, height, malloc((size_t)width * height)};
    if (!canvas->pixels) return ken_fail(error, KEN_ENOMEM, "out of memory for a picture");
    memset(canvas->pixels, KEN_CANVAS_PAPER, (size_t)width * height);
    return KEN_OK;
}

void ken_canvas_free(struct ken_canvas *canvas)
{
    free(canvas->pixels);
    *canvas = (struct ken_canvas){0};
}

void ken_canvas_block(struct ken_canvas *canvas, unsigned x, unsigned y, unsigned width, unsigned height, unsigned char colour)
{
    if (x >= canvas->width || y >= canvas->height) return;
    if (width > canvas->width - x) width = canvas->width - x;
    if (height > canvas->height - y) height = canvas->height - y;
    for (unsigned i = 0; i < height; i++) memset(canvas->pixels + (size_t)(y + i) * canvas->width + x, colour, width);
}

void ken_canvas_line(struct ken_canvas *canvas, unsigned x, unsigned y, const unsigned char *line, unsigned width)
{
    if (x >= canvas->width || y >= canvas->height) return;
    if (width > canvas->width - x) width = canvas->width - x;
    unsigned char *pixels = canvas->pixels + (size_t)y * canvas->width + x;
    for (unsigned i = 0; i < width; i++)
        pixels[i] = line[i] == 0 ? KEN_CANVAS_PAPER : line[i] < KEN_CANVAS_LAST ? line[i] : KEN_CANVAS_LAST;
}

static void letter(struct ken_canvas *canvas, unsigned x, unsigned y, unsigned char what)
{
    const unsigned char *lines = ken_font[(what < KEN_FONT_FIRST || what > KEN_FONT_LAST ? '?' : what) - KEN_FONT_FIRST];
    for (unsigned i = 0; i < KEN_FONT_HEIGHT; i++)
        for (unsigned j = 0; j < KEN_FONT_WIDTH; j++)
            if (lines[i] >> (KEN_FONT_WIDTH - 1 - j) & 1) ken_canvas_block(canvas, x + j, y + i, 1, 1, KEN_CANVAS_INK);
}

void ken_canvas_text(struct ken_canvas *canvas, unsigned x, unsigned y, unsigned most, const char *text)
{
    for (unsigned at = 0; *text && at + KEN_FONT_WIDTH <= most; at += KEN_LETTER_WIDTH) letter(canvas, x + at, y, (unsigned char)*text++);
}

unsigned ken_canvas_text_width(const char *text)
{
    return (unsigned)strlen(text) * KEN_LETTER_WIDTH;
}

/* ---- */

struct writing {
    const struct ken_canvas *canvas;
    unsigned line;
};

static int next_line(void *opaque, unsigned char *line, struct ken_error *error)
{
    struct writing *writing = opaque;
    (void)error;
    memcpy(line, writing->canvas->pixels + (size_t)writing->line++ * writing->canvas->width, writing->canvas->width);
    return KEN_OK;
}

int ken_canvas_write(const struct ken_canvas *canvas, unsigned char palette[KEN_PALETTE][3], unsigned char **png, size_t *length,
                     struct ken_error *error)
{
    struct writing writing = {canvas, 0};
    memset(palette[KEN_CANVAS_INK], 0, 3);
    memset(palette[KEN_CANVAS_PAPER], 255, 3);
    return ken_png_write(png, length, canvas->width, canvas->height, (const unsigned char(*)[3])palette, next_line, &writing, error);
}

size_t ken_canvas_most_bytes(size_t pixels)
{
    return pixels + ken_png_most_bytes(pixels);
}
