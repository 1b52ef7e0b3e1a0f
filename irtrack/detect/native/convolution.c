/* 3x3 convolutions, dilated or not, by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, "Fast Algorithms for
   Convolutional Neural Networks", CVPR 2016): four by four results from 36 products for each pair of channels, not 144.

   With X the 6x6 pixels that a tile of results sees, W a kernel, the results are A' ((G W G') * (B' X B)) A; the products of
   all channels, *, are 36 matrix products over the tiles. Pixels `shift` apart form lattices of their own; a tile is four
   by four results of one lattice. */

#include "product.h"
#include "shares.h"

enum { MADE = 4, SEEN = 6, PLACES = SEEN * SEEN, TILES = 12 /* at a time, a multiple of ABREAST */ };

/* The places at which the polynomials are multiplied are 0, -+ NEAR, -+ FAR and infinity. The largest error is a fifth of
   that at the usual -+ 1 and -+ 2. */
#define NEAR 0.707106781f
#define FAR 1.414213562f

/* Where a tile's results go: the first one's place, how many there are within the picture. */
struct results {
    long place;
    int high, wide;
};

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

/* How many of a tile's lines, `shift` apart from `first` on, are within `length`. */
INLINE int count_within(long first, long length, long shift)
{
    const long count = first < length ? (length - first + shift - 1) / shift : 0;
    return count < MADE ? count : MADE;
}

/* The first of the lines of tile `n`: lines come in stretches of 4 shift, of which the first shift begin tiles. */
INLINE long first_line(long n, long shift) { return n / shift * MADE * shift + n % shift; }

/* How many tiles there are along a side. */
INLINE long tiles_along(long length, long shift) { return (length + MADE * shift - 1) / (MADE * shift) * shift; }

#define TEMPLATE "convolution.inc"
#include "lanes.h"

/* Pixels (height, width, c) and (height, width, d), the second where d > 0, to out (rows, width, o), rows `top` and on;
   numbers of channels are multiples of 4. u: (36, c + d, o), G W G'. Outside, the picture is reflected or zero. bias (o) and
   `onto`, shaped as out, are added if not NULL. Results below zero are multiplied by slope. Returns 1 where memory is
   short, else 0. */
int convolve(const float *x, long c, const float *x2, long d, long height, long width, long top, long rows, int reflect,
             long shift, const float *u, const float *bias, long o, const float *onto, float slope, float *out)
{
    const long across = tiles_along(width, shift), count = tiles_along(rows, shift) * across, all = c + d;
    const long size = PLACES * (TILES * (all + o) + all); /* v, m and patch */
    float *room = room_for_threads(size);
    if (!room)
        return 1;
    SHARES(shares);
#pragma omp parallel
    {
        float *v = own_room(room, size, PLACES * TILES * all); /* zeros, as a last group of tiles is not full */
        float *m = v + PLACES * TILES * all, *patch = m + PLACES * TILES * o;
        const long share = (count + omp_get_num_threads() - 1) / omp_get_num_threads();
        const long group = share < TILES ? share : TILES;
        EACH_PIECE(n, shares, (count + group - 1) / group)
        {
            const long start = n * group;
            const long tiles = start + group < count ? group : count - start;
            struct results to[TILES];
            for (long t = 0; t < tiles; t++) {
                const long y = first_line((start + t) / across, shift), left = first_line((start + t) % across, shift);
                const float *line[SEEN], *line2[SEEN];
                int within = left >= shift && left + MADE * shift < width;
                for (int i = 0; i < SEEN; i++) {
                    const long k = inside(top + y + (i - 1) * shift, height, reflect);
                    line[i] = k < 0 ? NULL : x + k * width * c;
                    line2[i] = k < 0 ? NULL : x2 + k * width * d;
                    within &= k >= 0;
                }
                float *place = v + t * all;
                CHOOSE(c, tile, line, left, width, shift, reflect, within, c, patch, place, TILES * all);
                if (d)
                    CHOOSE(d, tile, line2, left, width, shift, reflect, within, d, patch, place + c, TILES * all);
                to[t].place = (y * width + left) * o;
                to[t].high = count_within(y, rows, shift);
                to[t].wide = count_within(left, width, shift);
            }
            CHOOSE(o, products, v, u, all, o, tiles, m);
            for (long t = 0; t < tiles; t++)
                CHOOSE(o, gather, m + t * o, TILES * o, o, bias, onto, slope, to + t, shift * width * o, shift * o, out);
        }
    }
    free(room);
    return 0;
}
