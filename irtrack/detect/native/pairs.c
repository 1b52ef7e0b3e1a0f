/* Sums over a frame's pixels of products between the taps of a dilated 3x3 stencil.

   A key is a sum over the nine taps t of w(t) P(p + shift t), so whatever is summed over pixels of products of keys, or of
   keys and pixels, is made of

       between(t, t') = sum over p of P(p + shift t) P(p + shift t')',    t, t' in {-1, 0, 1}^2,

   a C x C matrix for each pair of taps. Pairs of one lag t' - t = (i, j) sum the same products P(u) P(u + shift (i, j))'
   over windows of the picture that differ at its border alone: they are summed in pieces, five a side, the middle one
   common to all windows, and each window adds up its nine pieces. 13 lags suffice: between(t', t) is the transpose.

   In half precision a word holds a pixel's value for a channel and that of the pixel behind it: every second word is used,
   for two products each. */

#include "shares.h"
#include "vectors.h"

enum { PIECES = 5, LAGS = 13, LONGEST = 4096 /* pixels to a sum in single precision */, SHORT = 256 };

/* Rows and columns, in shifts, between the two taps of a pair. */
static const int LAG[LAGS][2] = {{0, 0}, {0, 1},  {0, 2},  {1, -2}, {1, -1}, {1, 0}, {1, 1},
                                 {1, 2}, {2, -2}, {2, -1}, {2, 0},  {2, 1},  {2, 2}};

#define TEMPLATE "pairs.inc"
#include "lanes.h"

/* Where the pieces of a side of `length` pixels with a border of `shift` begin and end. */
static void cut(long length, long shift, long edge[PIECES + 1])
{
    const long edges[PIECES + 1] = {0, shift, 2 * shift, length, length + shift, length + 2 * shift};
    memcpy(edge, edges, sizeof edges);
}

/* The sums of rows piece `r`, (LAGS, PIECES, C, C) and (PIECES, C), added to those of the windows that it is in. */
static void fold(const float *part, const float *lone, int r, long c, float *pairs, float *centre, float *taps)
{
    for (int t = 0; t < 9; t++)
        for (int k = t % 3; k < t % 3 + 3; k++)
            for (long a = 0; a < c && r >= t / 3 && r <= t / 3 + 2; a++)
                taps[t * c + a] += lone[k * c + a];
    for (int l = 0; l < LAGS; l++)
        for (int t = 0; t < 9; t++) {
            const int u = t / 3, v = t % 3, i = LAG[l][0], j = LAG[l][1];
            if (r < u || r > u + 2 || u + i > 2 || v + j < 0 || v + j > 2)
                continue;
            const int other = t + 3 * i + j;
            const float twice = l ? 2 : 1;
            for (int k = v; k < v + 3; k++)
                for (long b = 0; b < c; b++) {
                    const float *in = part + ((l * PIECES + k) * c + b) * c;
                    float *out = pairs + (other * c + b) * 9 * c + t * c;
                    for (long a = 0; a < c; a++)
                        out[a] += twice * in[a];
                    if (t == 4)
                        for (long a = 0; a < c; a++)
                            centre[(other * c + b) * c + a] += in[a];
                    else if (other == 4)
                        for (long a = 0; a < c; a++)
                            centre[(t * c + a) * c + b] += in[a];
                }
        }
}

/* padded: (height + 2 shift, width + 2 shift, C) words, as `pad` makes them; height and width are at least 2 shift, C is a multiple of 4. The outputs
   begin as zeros. pairs: (9 C, 9 C), row (t', channel), column (t, channel): between(t, t') for t' = t, twice that for t'
   after t, nothing before, which is what a quadratic form needs. centre: (9 C, C), row (t', channel), column the channel of
   the centre tap; taps: (9 C), the sums of P(p + shift t) themselves. Returns 1 where memory is short, else 0. */
int pair_sums(const float *padded, long height, long width, long c, long shift, float *pairs, float *centre, float *taps)
{
    const long step = width + 2 * shift, size = PIECES * (LAGS * c * c + c);
    const long threads = omp_get_max_threads();
    long rows[PIECES + 1], columns[PIECES + 1], band[PIECES], before[PIECES + 1] = {0};
    float *room = room_for_threads(size);
    if (!room)
        return 1;
    cut(height, shift, rows);
    cut(width, shift, columns);
    for (int r = 0; r < PIECES; r++) {
        const long most = LONGEST / width, share = (rows[r + 1] - rows[r]) / (4 * threads);
        band[r] = most < share ? most : share;
        band[r] = band[r] > 1 ? band[r] : 1;
        before[r + 1] = before[r] + (rows[r + 1] - rows[r] + band[r] - 1) / band[r];
    }
    SHARES(shares);
#pragma omp parallel
    {
        float *part = own_room(room, size, 0), *lone = part + LAGS * PIECES * c * c;
        int summed = -1; /* the piece of rows that `part` belongs to */
        EACH_PIECE(n, shares, before[PIECES])
        {
            int r = 0;
            while (n >= before[r + 1])
                r++;
            if (r != summed) {
                if (summed >= 0)
#pragma omp critical
                    fold(part, lone, summed, c, pairs, centre, taps);
                memset(part, 0, sizeof(float) * size);
                summed = r;
            }
            const long top = rows[r] + (n - before[r]) * band[r];
            const long count = top + band[r] < rows[r + 1] ? band[r] : rows[r + 1] - top;
            for (int k = 0; k < PIECES; k++)
                CHOOSE(c, add_up, padded + (top * step + columns[k]) * c, count, step, columns[k + 1] - columns[k], c,
                       lone + k * c);
            for (int l = 0; l < LAGS; l++)
                for (int k = 0; k < PIECES; k++) {
                    const int i = LAG[l][0], j = LAG[l][1];
                    if (r + i >= PIECES || k + j < 0 || k + j >= PIECES) /* in no window with its partner */
                        continue;
                    const float *a = padded + (top * step + columns[k]) * c;
                    CHOOSE(c, outer, a, step, a + (i * step + j) * shift * c, step, count, columns[k + 1] - columns[k], c, c,
                           part + (l * PIECES + k) * c * c);
                }
        }
        if (summed >= 0)
#pragma omp critical
            fold(part, lone, summed, c, pairs, centre, taps);
    }
    free(room);
    return 0;
}

#ifndef HALF
/* Sums over pixels of a b' and of b b, without crossing channels in the second: a (pixels, c), b (pixels, d), channels
   multiples of 4; product (d, c) and square (d) begin as zeros; square may be NULL. Returns 1 where memory is short. */
int cross_sums(const float *a, const float *b, long pixels, long c, long d, float *product, float *square)
{
    const long bands = (pixels + SHORT - 1) / SHORT, size = d * (c + 1);
    float *room = room_for_threads(size);
    if (!room)
        return 1;
    SHARES(shares);
#pragma omp parallel
    {
        float *part = own_room(room, size, size), *own = part + d * c;
        EACH_PIECE(n, shares, bands)
        {
            const long first = n * SHORT, count = first + SHORT < pixels ? SHORT : pixels - first;
            CHOOSE(c, outer, a + first * c, 0, b + first * d, 0, 1, count, c, d, part);
            for (long x = first; square && x < first + count; x++)
                for (long k = 0; k < d; k++)
                    own[k] += b[x * d + k] * b[x * d + k];
        }
#pragma omp critical
        {
            for (long n = 0; n < d * c; n++)
                product[n] += part[n];
            for (long k = 0; square && k < d; k++)
                square[k] += own[k];
        }
    }
    free(room);
    return 0;
}
#endif
