/* Sums over a frame's pixels of products between the taps of a dilated 3x3 stencil.

   A key is a sum over the nine taps t of w(t) P(p + shift t), so whatever is summed over pixels of products of keys, or of
   keys and pixels, is made of

       between(t, t') = sum over p of P(p + shift t) P(p + shift t')',    t, t' in {-1, 0, 1}^2,

   a C x C matrix for each pair of taps. Pairs of one lag t' - t = (i, j) sum the same products P(u) P(u + shift (i, j))'
   over windows of the picture that differ at its border alone: they are summed in pieces, five a side, the middle one
   common to all windows, and each window adds up its nine pieces. 13 lags suffice: between(t', t) is the transpose. */

#include "vectors.h"

enum { PIECES = 5, LAGS = 13, LONGEST = 4096 /* pixels to a sum in single precision */ };

/* Rows and columns, in shifts, between the two taps of a pair. */
static const int LAG[LAGS][2] = {{0, 0}, {0, 1},  {0, 2},  {1, -2}, {1, -1}, {1, 0}, {1, 1},
                                 {1, 2}, {2, -2}, {2, -1}, {2, 0},  {2, 1},  {2, 2}};

/* A tile of the sum over pixels of a b', added to `out` (channel of b, channel of a): `wide` vectors of channels of a by
   `tall` channels of b, all of it in registers. */
#define TILE(NAME, VEC)                                                                                               \
    INLINE void NAME(const float *a, const float *b, long rows, long step, long pixels, long c, int wide, int tall,   \
                     float *out)                                                                                      \
    {                                                                                                                 \
        const int lanes = sizeof(VEC) / sizeof(float);                                                                \
        VEC sum[2][16];                                                                                               \
        for (int k = 0; k < wide; k++)                                                                                \
            for (int m = 0; m < tall; m++)                                                                            \
                sum[k][m] = (VEC){0};                                                                                 \
        for (long y = 0; y < rows; y++) {                                                                             \
            const float *p = a + y * step, *q = b + y * step;                                                         \
            for (long x = 0; x < pixels; x++, p += c, q += c) {                                                       \
                const VEC first = *(const VEC *)p, second = wide > 1 ? *(const VEC *)(p + lanes) : first;             \
                _Pragma("GCC unroll 16") for (int m = 0; m < tall; m++)                                               \
                {                                                                                                     \
                    sum[0][m] += first * q[m];                                                                        \
                    if (wide > 1)                                                                                     \
                        sum[1][m] += second * q[m];                                                                   \
                }                                                                                                     \
            }                                                                                                         \
        }                                                                                                             \
        for (int k = 0; k < wide; k++)                                                                                \
            for (int m = 0; m < tall; m++)                                                                            \
                *(VEC *)(out + m * c + k * lanes) += sum[k][m];                                                       \
    }

TILE(tile_four, four)
TILE(tile_eight, eight)
TILE(tile_sixteen, sixteen)

#define OUTER(TILED, LANES, WIDE, TALL)                                                                               \
    for (long k = 0; k < c; k += (LANES) * (WIDE))                                                                    \
        for (long m = 0; m < c; m += (TALL))                                                                          \
            TILED(a + k, b + m, rows, step, pixels, c, WIDE, TALL, out + m * c + k);

/* The sum over pixels of a b', all C x C of it, added to `out`. */
static void outer(const float *a, const float *b, long rows, long step, long pixels, long c, float *out)
{
#if defined(__AVX512F__)
    if (c % 32 == 0) {
        OUTER(tile_sixteen, 16, 2, 8)
        return;
    }
    if (c % 16 == 0) {
        OUTER(tile_sixteen, 16, 1, 16)
        return;
    }
#endif
#if defined(__AVX__)
    if (c % 16 == 0) {
        OUTER(tile_eight, 8, 2, 4)
        return;
    }
    if (c % 8 == 0) {
        OUTER(tile_eight, 8, 1, 8)
        return;
    }
#endif
    if (MANY_REGISTERS && c % 8 == 0) {
        OUTER(tile_four, 4, 2, 8)
        return;
    }
    OUTER(tile_four, 4, 1, 4)
}

/* Where the pieces of a side of `length` pixels with a border of `shift` begin and end. */
static void cut(long length, long shift, long edge[PIECES + 1])
{
    const long edges[PIECES + 1] = {0, shift, 2 * shift, length, length + shift, length + 2 * shift};
    memcpy(edge, edges, sizeof edges);
}

/* The sums of rows piece `r`, (LAGS, PIECES, C, C), added to those of the windows that it is in. */
static void fold(const float *part, int r, long c, float *pairs, float *centre)
{
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

/* padded: (height + 2 shift, width + 2 shift, C); height and width are at least 2 shift, C is a multiple of 4. The outputs
   begin as zeros. pairs: (9 C, 9 C), row (t', channel), column (t, channel): between(t, t') for t' = t, twice that for t'
   after t, nothing before, which is what a quadratic form needs. centre: (9 C, C), row (t', channel), column the channel of
   the centre tap. Returns 1 where memory is short, else 0. */
int pair_sums(const float *padded, long height, long width, long c, long shift, float *pairs, float *centre)
{
    const long step = (width + 2 * shift) * c, size = sizeof(float) * LAGS * PIECES * c * c;
    long rows[PIECES + 1], columns[PIECES + 1];
    int failed = 0;
    cut(height, shift, rows);
    cut(width, shift, columns);
#pragma omp parallel
    {
        float *part = malloc(size);
        if (!part)
#pragma omp atomic write
            failed = 1;
#pragma omp barrier
        for (int r = 0; r < PIECES && !failed; r++) {
            const long share = (rows[r + 1] - rows[r]) / (4 * omp_get_num_threads());
            long band = LONGEST / width < share ? LONGEST / width : share;
            band = band > 1 ? band : 1;
            int used = 0;
#pragma omp for schedule(dynamic, 1) nowait
            for (long top = rows[r]; top < rows[r + 1]; top += band) {
                if (!used++)
                    memset(part, 0, size);
                const long count = top + band < rows[r + 1] ? band : rows[r + 1] - top;
                for (int l = 0; l < LAGS; l++)
                    for (int k = 0; k < PIECES; k++) {
                        const int i = LAG[l][0], j = LAG[l][1];
                        if (r + i >= PIECES || k + j < 0 || k + j >= PIECES) /* in no window with its partner */
                            continue;
                        const float *a = padded + top * step + columns[k] * c;
                        outer(a, a + i * shift * step + j * shift * c, count, step, columns[k + 1] - columns[k], c,
                              part + (l * PIECES + k) * c * c);
                    }
            }
            if (used)
#pragma omp critical
                fold(part, r, c, pairs, centre);
        }
        free(part);
    }
    return failed;
}
