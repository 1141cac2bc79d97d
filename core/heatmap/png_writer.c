/* SPDX-License-Identifier: Apache-2.0 */
#include "heatmap/png_writer.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>

/* Colours that are numbers do not get smaller by filtering; beyond this level, time grows faster than size falls. Of many pixels even that
 * would take too long. */
enum { LEVEL = 3, MANY_PIXELS = 1 << 20, LEVEL_OF_MANY = 1 };

struct writer {
    png_structp png;
    png_infop info;
    unsigned char *bytes; /* [room], [used] of them */
    size_t used, room;
    unsigned width, height;
    unsigned char *line; /* [width] */
    ken_png_line *next;
    void *opaque;
    int code;
    struct ken_error *error;
};

size_t ken_png_most_bytes(size_t pixels)
{
    /* One byte a pixel, one a line of 16 pixels at least, what zlib adds to what it cannot pack, the palette; and room doubles. */
    return 2 * (pixels + pixels / 8 + (64 << 10));
}

static void append(png_structp png, png_bytep bytes, size_t length)
{
    struct writer *writer = png_get_io_ptr(png);
    if (length > writer->room - writer->used) {
        const size_t room = 2 * (writer->room + length);
        unsigned char *grown = realloc(writer->bytes, room);
        if (!grown) png_error(png, "out of memory");
        writer->bytes = grown;
        writer->room = room;
    }
    memcpy(writer->bytes + writer->used, bytes, length);
    writer->used += length;
}

static void flush(png_structp png)
{
    (void)png;
}

/* Memory is all that libpng can want for here. */
static void on_error(png_structp png, png_const_charp reason)
{
    struct writer *writer = png_get_error_ptr(png);
    writer->code = ken_fail(writer->error, KEN_ENOMEM, "out of memory for a picture: %s", reason);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp reason)
{
    (void)png, (void)reason;
}

static void write_head(struct writer *writer, const unsigned char palette[KEN_PALETTE][3])
{
    png_color colours[KEN_PALETTE];
    const png_byte transparent = 0;
    for (size_t i = 0; i < KEN_PALETTE; i++) colours[i] = (png_color){palette[i][0], palette[i][1], palette[i][2]};
    png_set_write_fn(writer->png, writer, append, flush);
    png_set_compression_level(writer->png, writer->height > MANY_PIXELS / writer->width ? LEVEL_OF_MANY : LEVEL);
    png_set_filter(writer->png, PNG_FILTER_TYPE_BASE, PNG_FILTER_NONE);
    png_set_IHDR(writer->png, writer->info, writer->width, writer->height, 8, PNG_COLOR_TYPE_PALETTE, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_PLTE(writer->png, writer->info, colours, KEN_PALETTE);
    png_set_tRNS(writer->png, writer->info, &transparent, 1, NULL);
    png_write_info(writer->png, writer->info);
}

/* Nothing in here outlives a jump but what the writer holds. */
static void write_all(struct writer *writer, const unsigned char palette[KEN_PALETTE][3])
{
    if (setjmp(png_jmpbuf(writer->png))) return;
    write_head(writer, palette);
    for (unsigned y = 0; y < writer->height; y++) {
        writer->code = writer->next(writer->opaque, writer->line, writer->error);
        if (writer->code) return;
        png_write_row(writer->png, writer->line);
    }
    png_write_end(writer->png, NULL);
}

int ken_png_write(unsigned char **png, size_t *length, unsigned width, unsigned height, const unsigned char palette[KEN_PALETTE][3],
                  ken_png_line *next, void *opaque, struct ken_error *error)
{
    struct writer writer = {.width = width, .height = height, .next = next, .opaque = opaque, .error = error};
    *png = NULL;
    writer.line = malloc(width);
    writer.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &writer, on_error, on_warning);
    if (writer.png) writer.info = png_create_info_struct(writer.png);
    if (writer.line && writer.info)
        write_all(&writer, palette);
    else
        writer.code = ken_fail(error, KEN_ENOMEM, "out of memory for a picture");
    if (writer.png) png_destroy_write_struct(&writer.png, &writer.info);
    free(writer.line);
    if (writer.code) {
        free(writer.bytes);
        return writer.code;
    }
    *png = writer.bytes;
    *length = writer.used;
    return KEN_OK;
}
