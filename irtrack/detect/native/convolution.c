/* 3x3 convolutions, dilated or not, by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, "Fast Algorithms for
   Convolutional Neural Networks", CVPR 2016): four by four results from 36 products for each pair of channels, not 144.

   With X the 6x6 pixels that a tile of results sees, W a kernel, the results are A' ((G W G') * (B' X B)) A; the products of
   all channels, *, are 36 matrix products over the tiles. Pixels `shift` apart form lattices of their own; a tile is four
   by four results of one lattice. */

#include "product.h"
#include "shares.h"

enum { MADE = 4, SEEN = 6, PLACES = SEEN * SEEN, TILES = 8 /* at a time, a multiple of ABREAST */ };

/* The places at which the polynomials are multiplied are 0, -+ NEAR, -+ FAR and infinity. The largest error is a fifth of
   that at the usual -+ 1 and -+ 2. */
#define NEAR 0.707106781f
#define FAR 1.414213562f

/* Where a tile's results go: the first one's place, how many there are within the picture. */
struct results {
    long place;
    int high, wide;
};

/* What is convolved: pixels (height, width, c), how it goes on outside, and a line of zeros. */
struct source {
    const pixel *pixels;
    long c, height, width, shift;
    int reflect;
    const pixel *zeros;
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

/* Columns that a stretch of TILES tiles sees, at most. */
INLINE long columns_seen(long shift) { return MADE * TILES + 8 * shift; }

#define TEMPLATE "convolution.inc"
#include "lanes.h"

/* Pixels (height, width, c) and (height, width, d), the second where d > 0, to out (rows, width, o), rows `top` and on;
   numbers of channels are multiples of 4. u: (36, c + d, o), G W G', by words. Outside, the picture is reflected or zero.
   bias (o) and `onto`, shaped as out, are added if not NULL. Results below zero are multiplied by slope. Returns 1 where
   memory is short, else 0. */
int convolve(const pixel *x, long c, const pixel *x2, long d, long height, long width, long top, long rows, int reflect,
             long shift, const pixel *u, const float *bias, long o, const pixel *onto, float slope, pixel *out)
{
    const long across = tiles_along(width, shift), count = tiles_along(rows, shift) * across, all = c + d;
    const long v_size = PLACES * TILES * all, m_size = PLACES * TILES * o, e_size = columns_seen(shift) * SEEN * WIDEST;
    const long zeros = v_size + width * (c > d ? c : d), size = room_size(zeros) + m_size + e_size;
    float *room = room_for_threads(size);
    if (!room)
        return 1;
    SHARES(shares);
#pragma omp parallel
    {
        /* Zeros, as a last group of tiles is not full, and for lines outside. */
        float *own = own_room(room, size, zeros), *m = own + room_size(zeros), *e = m + m_size;
        pixel *v = (pixel *)own;
        const struct source first = {x, c, height, width, shift, reflect, (pixel *)(own + v_size)};
        const struct source second = {x2, d, height, width, shift, reflect, first.zeros};
        const long share = (count + omp_get_num_threads() - 1) / omp_get_num_threads();
        const long group = share < TILES ? share : TILES;
        EACH_PIECE(n, shares, (count + group - 1) / group)
        {
            const long start = n * group, tiles = start + group < count ? group : count - start;
            for (long t = 0, run; t < tiles; t += run) {
                const long y = top + first_line((start + t) / across, shift), left = (start + t) % across;
                run = across - left < tiles - t ? across - left : tiles - t;
                CHOOSE(c, spread, &first, y, left, run, e, v + t * all, all);
                if (d)
                    CHOOSE(d, spread, &second, y, left, run, e, v + t * all + c, all);
            }
            CHOOSE(o, products, v, u, all, o, tiles, m);
            for (long t = 0; t < tiles; t++) {
                const long y = first_line((start + t) / across, shift), left = first_line((start + t) % across, shift);
                const struct results to = {(y * width + left) * o, count_within(y, rows, shift),
                                           count_within(left, width, shift)};
                CHOOSE(o, gather, m + t * o, TILES * o, o, bias, onto, slope, &to, shift * width * o, shift * o, out);
            }
        }
    }
    free(room);
    return 0;
}
