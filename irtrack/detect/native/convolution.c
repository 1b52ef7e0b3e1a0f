/* 3x3 convolutions, dilated or not, by Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray, "Fast Algorithms for
   Convolutional Neural Networks", CVPR 2016): two by two results from 16 products for each pair of channels, not 36.

   With X the 4x4 pixels that a tile of results sees, W a kernel, the results are A' ((G W G') * (B' X B)) A; the products of
   all channels, *, are 16 matrix products over the tiles. Pixels `shift` apart form lattices of their own; a tile is two
   by two results of one lattice. */

#include "product.h"

enum { PLACES = 16, TILES = 24 /* at a time, a multiple of ABREAST */ };

/* Row or column `k` of `length`, reflected at the borders, or -1 outside. */
INLINE long inside(long k, long length, int reflect)
{
    if (k >= 0 && k < length)
        return k;
    if (!reflect)
        return -1;
    k = k < 0 ? -k : 2 * (length - 1) - k;
    return k >= 0 && k < length ? k : -1; /* beyond the reflected border: results that nobody sees */
}

#define TEMPLATE "convolution.inc"
#include "lanes.h"

/* The first of the two lines of tile `n`: lines come in stretches of 2 shift, of which the first shift begin tiles. */
INLINE long first_line(long n, long shift) { return n / shift * 2 * shift + n % shift; }

/* Pixels (height, width, c) and (height, width, d), the second where d > 0, to out (rows, width, o), rows `top` and on;
   numbers of channels are multiples of 4. u: (16, c + d, o), G W G'. Outside, the picture is reflected or zero. bias (o) and
   `onto`, shaped as out, are added if not NULL. Results below zero are multiplied by slope. Returns 1 where memory is
   short, else 0. */
int convolve(const float *x, long c, const float *x2, long d, long height, long width, long top, long rows, int reflect,
             long shift, const float *u, const float *bias, long o, const float *onto, float slope, float *out)
{
    const long down = (rows + 2 * shift - 1) / (2 * shift) * shift, across = (width + 2 * shift - 1) / (2 * shift) * shift;
    const long all = c + d;
    const long size = PLACES * (TILES * (all + o) + all); /* v, m and patch */
    float *room = room_for_threads(size);
    if (!room)
        return 1;
#pragma omp parallel
    {
        float *v = own_room(room, size, PLACES * TILES * all); /* zeros, as a last group of tiles is not full */
        float *m = v + PLACES * TILES * all, *patch = m + PLACES * TILES * o;
#pragma omp for schedule(dynamic, 1)
        for (long n = 0; n < down; n++) {
            const long y = first_line(n, shift);
            const float *line[4], *line2[4];
            int whole = 1;
            for (int i = 0; i < 4; i++) {
                const long k = inside(top + y + (i - 1) * shift, height, reflect);
                line[i] = k < 0 ? NULL : x + k * width * c;
                line2[i] = k < 0 ? NULL : x2 + k * width * d;
                whole &= k >= 0;
            }
            for (long start = 0; y < rows && start < across; start += TILES) {
                const long tiles = start + TILES < across ? TILES : across - start;
                long result[TILES][4];
                long left = first_line(start, shift), until_next = shift - start % shift;
                for (long t = 0; t < tiles; t++) {
                    const int within = whole && left >= shift && left + 2 * shift < width;
                    float *place = v + t * all;
                    CHOOSE(c, tile, line, left, width, shift, reflect, within, c, patch, place, TILES * all);
                    if (d)
                        CHOOSE(d, tile, line2, left, width, shift, reflect, within, d, patch, place + c, TILES * all);
                    for (int i = 0; i < 4; i++) {
                        const long row = y + i / 2 * shift, column = left + i % 2 * shift;
                        result[t][i] = row < rows && column < width ? (row * width + column) * o : -1;
                    }
                    left += --until_next ? 1 : shift + 1; /* to the next stretch's first line */
                    until_next = until_next ? until_next : shift;
                }
                CHOOSE(o, products, v, u, all, o, tiles, m);
                for (long t = 0; t < tiles; t++)
                    CHOOSE(o, gather, m + t * o, TILES * o, o, bias, onto, slope, result[t], out);
            }
        }
    }
    free(room);
    return 0;
}
