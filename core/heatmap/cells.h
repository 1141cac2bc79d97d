/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sidecar of a delta: what there is in every cell of its pruned tensors, and where their values lie, so that matrices can be drawn
 * without reading them. docs/design/heatmaps.md tells the format. A file may come from anywhere: nothing in it is believed unchecked.
 */
#ifndef KEN_HEATMAP_CELLS_H
#define KEN_HEATMAP_CELLS_H

#include "delta/delta.h"
#include "digest.h"
#include "error.h"

#include <stdbool.h>
#include <stdint.h>

enum { KEN_CELL = 32 }; /* rows and columns of a cell, but where rows are long */

/* How a matrix of rows [rows, n] is divided into cells. The last ones of a row or column may be smaller. */
struct ken_cells_shape {
    uint64_t rows, n;
    uint64_t width, height;  /* of a cell; a band is a row of cells */
    uint64_t columns, bands; /* cells in a band, bands */
    uint64_t band_bytes;     /* in the file */
};
void ken_cells_measure(struct ken_cells_shape *shape, uint64_t rows, uint64_t n);

/* ---- the file, as it is on disk */

#define KEN_CELLS_MAGIC "kencell1"
enum { KEN_CELLS_VALUES, KEN_CELLS_DIFFERENCES, KEN_CELLS_SCALES };

struct ken_cells_head {
    char magic[8];
    uint64_t tensors, directory;      /* how many there are, and where their entries lie */
    uint64_t delta_bytes;             /* size of the delta that it belongs to */
    double largest[KEN_CELLS_SCALES]; /* what most cells' mean magnitudes stay below: of kept values, of differences */
    unsigned char unused[16];
};

/* A tensor that was pruned; they are sorted by `name`. Offsets are in the sidecar, or in the delta where it is said. */
struct ken_cells_tensor {
    unsigned char name[KEN_SHA256_SIZE]; /* SHA-256 of its name */
    char dtype[8];                       /* its name, with zeros behind */
    uint64_t rows, n, stored;
    uint64_t bands;          /* offset */
    uint64_t values, places; /* offsets in the delta: of the values (encoding packed: of the blocks' index), of mask or gaps */
    uint64_t values_length;  /* bytes */
    uint64_t mask;           /* form whole: offset of what would be its mask */
    uint32_t form;           /* enum ken_form */
    uint32_t packed;         /* 1: encoding packed */
    uint32_t gap;            /* bytes of a gap */
    uint32_t unused;
};

/* In front of the cells of each band. */
struct ken_cells_band {
    uint64_t values; /* stored elements of the tensor before it */
    uint64_t next;   /* behind the last of those; 0: there is none */
};

struct ken_cells_record {
    uint32_t selected, changed, stored, pairs; /* as in struct ken_cell */
    float difference, value, size;
};

/* ---- reading */

struct ken_cells {
    int file;
    uint64_t size;
    struct ken_cells_head head;
};

/* A tensor, checked: all that it tells lies within sidecar and delta. */
struct ken_cells_found {
    struct ken_cells_tensor on_disk;
    struct ken_cells_shape shape;
    enum ken_dtype dtype;
    size_t size; /* bytes of an element */
};

/* Reads the head of a sidecar [size], which stays the caller's, for a delta of that many bytes: KEN_EBAD_DELTA if it is none of that. */
int ken_cells_open(struct ken_cells *cells, int file, uint64_t size, uint64_t delta_bytes, struct ken_error *error);
/* Finds a tensor by its name. KEN_ENOT_FOUND: it is none that was pruned. */
int ken_cells_find(const struct ken_cells *cells, const char *name, struct ken_cells_found *found, struct ken_error *error);
int ken_cells_read(const struct ken_cells *cells, uint64_t offset, void *bytes, uint64_t length, struct ken_error *error);

#endif
