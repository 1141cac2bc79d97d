/* SPDX-License-Identifier: Apache-2.0 */
/* Letters of 5 x 7 pixels, for what pictures say: the characters of ASCII that can be seen. */
#ifndef KEN_HEATMAP_FONT_H
#define KEN_HEATMAP_FONT_H

enum { KEN_FONT_FIRST = ' ', KEN_FONT_LAST = '~', KEN_FONT_WIDTH = 5, KEN_FONT_HEIGHT = 7 };

/* Of each, its lines from the top; the leftmost pixel is the bit of most weight of KEN_FONT_WIDTH. */
extern const unsigned char ken_font[KEN_FONT_LAST - KEN_FONT_FIRST + 1][KEN_FONT_HEIGHT];

#endif
