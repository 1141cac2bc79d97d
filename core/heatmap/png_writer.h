/* SPDX-License-Identifier: Apache-2.0 */
/* A PNG of 256 colours in memory, written line by line, always with the same settings. */
#ifndef KEN_HEATMAP_PNG_WRITER_H
#define KEN_HEATMAP_PNG_WRITER_H

#include "error.h"
#include "heatmap/views.h"

#include <stddef.h>

/* Tells a line [width] of numbers of the palette, where those of the line before are still; 0 or an error code, which ends the picture. */
typedef int ken_png_line(void *opaque, unsigned char *line, struct ken_error *error);
/* Number 0 is transparent. *png [*length] is the caller's, to be freed. KEN_ENOMEM, or what `next` fails with. */
int ken_png_write(unsigned char **png, size_t *length, unsigned width, unsigned height, const unsigned char palette[KEN_PALETTE][3],
                  ken_png_line *next, void *opaque, struct ken_error *error);

/* Memory that it takes for the bytes of a picture of so many pixels: room for what comes next included. */
size_t ken_png_most_bytes(size_t pixels);

#endif
