/* 3x3 convolutions, dilated or not, by Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray, "Fast Algorithms for
   Convolutional Neural Networks", CVPR 2016): two by two results from 16 products for each pair of channels, not 36.

   With X the 4x4 pixels that a tile of results sees, W a kernel, the results are A' ((G W G') * (B' X B)) A; the products
   * of all channels are 16 matrix products over the tiles. Pixels `shift` apart form lattices of their own; a tile is two
   by two results of one lattice. */

#include "vectors.h"

enum { TILES = 24, ABREAST = MANY_REGISTERS ? 12 : 6, PLACES = 16 };

#define KERNELS(VEC)                                                                                                  \
    /* B' X B of a tile, its 16 pixels of c channels, to the places of v, `far` floats apart. */                      \
    INLINE void spread_##VEC(const float *const pixel[PLACES], long c, float *v, long far)                            \
    {                                                                                                                 \
        const int lanes = sizeof(VEC) / sizeof(float);                                                                \
        for (long k = 0; k < c; k += lanes) {                                                                         \
            VEC d[4][4], e[4][4];                                                                                     \
            for (int i = 0; i < 4; i++)                                                                               \
                for (int j = 0; j < 4; j++)                                                                           \
                    d[i][j] = *(const VEC *)(pixel[4 * i + j] + k);                                                   \
            for (int j = 0; j < 4; j++) {                                                                             \
                e[0][j] = d[0][j] - d[2][j];                                                                          \
                e[1][j] = d[1][j] + d[2][j];                                                                          \
                e[2][j] = d[2][j] - d[1][j];                                                                          \
                e[3][j] = d[1][j] - d[3][j];                                                                          \
            }                                                                                                         \
            for (int i = 0; i < 4; i++) {                                                                             \
                float *row = v + 4 * i * far + k;                                                                     \
                *(VEC *)row = e[i][0] - e[i][2];                                                                      \
                *(VEC *)(row + far) = e[i][1] + e[i][2];                                                              \
                *(VEC *)(row + 2 * far) = e[i][2] - e[i][1];                                                          \
                *(VEC *)(row + 3 * far) = e[i][1] - e[i][3];                                                          \
            }                                                                                                         \
        }                                                                                                             \
    }                                                                                                                 \
                                                                                                                      \
    /* m (ABREAST, o) = v (ABREAST, c) u (c, o), `wide` vectors of its columns. */                                    \
    INLINE void multiply_##VEC(const float *v, const float *u, long c, long o, int wide, float *m)                    \
    {                                                                                                                 \
        const int lanes = sizeof(VEC) / sizeof(float);                                                                \
        VEC sum[ABREAST][2];                                                                                          \
        for (int t = 0; t < ABREAST; t++)                                                                             \
            for (int k = 0; k < wide; k++)                                                                            \
                sum[t][k] = (VEC){0};                                                                                 \
        for (long i = 0; i < c; i++, u += o) {                                                                        \
            const VEC first = *(const VEC *)u, second = wide > 1 ? *(const VEC *)(u + lanes) : first;                 \
            _Pragma("GCC unroll 12") for (int t = 0; t < ABREAST; t++)                                                \
            {                                                                                                         \
                sum[t][0] += first * v[t * c + i];                                                                    \
                if (wide > 1)                                                                                         \
                    sum[t][1] += second * v[t * c + i];                                                               \
            }                                                                                                         \
        }                                                                                                             \
        for (int t = 0; t < ABREAST; t++)                                                                             \
            for (int k = 0; k < wide; k++)                                                                            \
                *(VEC *)(m + t * o + k * lanes) = sum[t][k];                                                          \
    }                                                                                                                 \
                                                                                                                      \
    /* A' m A of a tile plus bias, plus what lies there with `onto`, rectified; where a result lies outside, none. */ \
    INLINE void gather_##VEC(const float *m, long far, long o, const float *bias, int onto, float slope,              \
                             float *const result[4])                                                                  \
    {                                                                                                                 \
        const int lanes = sizeof(VEC) / sizeof(float);                                                                \
        for (long k = 0; k < o; k += lanes) {                                                                         \
            VEC s[2][4], y[4];                                                                                        \
            for (int j = 0; j < 4; j++) {                                                                             \
                const float *column = m + j * far + k;                                                                \
                const VEC a = *(const VEC *)column, b = *(const VEC *)(column + 4 * far);                             \
                const VEC d = *(const VEC *)(column + 8 * far), e = *(const VEC *)(column + 12 * far);                \
                s[0][j] = a + b + d;                                                                                  \
                s[1][j] = b - d - e;                                                                                  \
            }                                                                                                         \
            for (int i = 0; i < 2; i++) {                                                                             \
                y[2 * i] = s[i][0] + s[i][1] + s[i][2] + *(const VEC *)(bias + k);                                    \
                y[2 * i + 1] = s[i][1] - s[i][2] - s[i][3] + *(const VEC *)(bias + k);                                \
            }                                                                                                         \
            for (int i = 0; i < 4; i++)                                                                               \
                if (result[i]) {                                                                                      \
                    float *out = result[i] + k;                                                                       \
                    VEC z = y[i];                                                                                     \
                    if (onto)                                                                                         \
                        z += *(const VEC *)out;                                                                       \
                    const VEC low = z * slope;                                                                        \
                    const VEC##_bits up = z > low;                                                                    \
                    *(VEC##_bits *)out = (up & (VEC##_bits)z) | (~up & (VEC##_bits)low);                              \
                }                                                                                                     \
        }                                                                                                             \
    }                                                                                                                 \
                                                                                                                      \
    static void multiply_all_##VEC(const float *v, const float *u, long c, long o, long tiles, float *m)              \
    {                                                                                                                 \
        const long lanes = sizeof(VEC) / sizeof(float);                                                               \
        for (int p = 0; p < PLACES; p++, v += TILES * c, u += c * o, m += TILES * o)                                  \
            for (long t = 0; t < tiles; t += ABREAST) {                                                               \
                long k = 0;                                                                                           \
                for (; k + 2 * lanes <= o; k += 2 * lanes)                                                            \
                    multiply_##VEC(v + t * c, u + k, c, o, 2, m + t * o + k);                                         \
                if (k < o)                                                                                            \
                    multiply_##VEC(v + t * c, u + k, c, o, 1, m + t * o + k);                                         \
            }                                                                                                         \
    }

KERNELS(four)
KERNELS(eight)
KERNELS(sixteen)

/* The widest vectors that `channels` are a multiple of. */
static int lanes_of(long channels)
{
    (void)channels;
#if defined(__AVX512F__)
    if (channels % 16 == 0)
        return 16;
#endif
#if defined(__AVX__)
    if (channels % 8 == 0)
        return 8;
#endif
    return 4;
}

#define CHOOSE(CHANNELS, CALL)                                                                                        \
    switch (lanes_of(CHANNELS)) {                                                                                     \
    case 16:                                                                                                          \
        CALL(sixteen);                                                                                                \
        break;                                                                                                        \
    case 8:                                                                                                           \
        CALL(eight);                                                                                                  \
        break;                                                                                                        \
    default:                                                                                                          \
        CALL(four);                                                                                                   \
    }

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

/* The first of the two lines of tile `n`: lines come in stretches of 2 shift, of which the first shift begin tiles. */
INLINE long first_line(long n, long shift) { return n / shift * 2 * shift + n % shift; }

/* Pixels (height, width, c) and (height, width, d), the second where d > 0, to out (rows, width, o), rows `top` and on;
   numbers of channels are multiples of 4. u: (16, c + d, o), G W G'. Outside, the picture is reflected or zero. `onto`: out
   holds what is added. Results below zero are multiplied by slope. Returns 1 where memory is short, else 0. */
int convolve(const float *x, long c, const float *x2, long d, long height, long width, long top, long rows, int reflect,
             long shift, const float *u, const float *bias, long o, int onto, float slope, float *out)
{
    const long down = (rows + 2 * shift - 1) / (2 * shift) * shift, across = (width + 2 * shift - 1) / (2 * shift) * shift;
    const long all = c + d;
    int failed = 0;
    float *nothing = calloc(c > d ? c : d, sizeof(float));
    if (!nothing)
        return 1;
#pragma omp parallel
    {
        float *v = aligned_alloc(64, PLACES * TILES * (all + o) * sizeof(float)), *m = v + PLACES * TILES * all;
        if (!v)
#pragma omp atomic write
            failed = 1;
        else
            memset(v, 0, PLACES * TILES * all * sizeof(float)); /* a last group of tiles is not full */
#pragma omp barrier
#pragma omp for schedule(dynamic, 1)
        for (long n = 0; n < (failed ? 0 : down); n++) {
            const long y = first_line(n, shift);
            long line[4];
            for (int i = 0; i < 4; i++)
                line[i] = inside(top + y + (i - 1) * shift, height, reflect);
            for (long start = 0; y < rows && start < across; start += TILES) {
                const long tiles = start + TILES < across ? TILES : across - start;
                float *result[TILES][4];
                for (long t = 0; t < tiles; t++) {
                    const long left = first_line(start + t, shift);
                    const float *pixel[PLACES], *pixel2[PLACES];
                    for (int j = 0; j < 4; j++) {
                        const long column = inside(left + (j - 1) * shift, width, reflect);
                        for (int i = 0; i < 4; i++) {
                            const long at = line[i] * width + column;
                            const int there = line[i] >= 0 && column >= 0;
                            pixel[4 * i + j] = there ? x + at * c : nothing;
                            if (d)
                                pixel2[4 * i + j] = there ? x2 + at * d : nothing;
                        }
                    }
                    for (int i = 0; i < 4; i++) {
                        const long row = y + i / 2 * shift, column = left + i % 2 * shift;
                        result[t][i] = row < rows && column < width ? out + (row * width + column) * o : 0;
                    }
#define SPREAD(VEC) spread_##VEC(pixel, c, v + t * all, TILES * all)
#define SPREAD2(VEC) spread_##VEC(pixel2, d, v + t * all + c, TILES * all)
                    CHOOSE(c, SPREAD)
                    if (d)
                        CHOOSE(d, SPREAD2)
                }
#define MULTIPLY(VEC) multiply_all_##VEC(v, u, all, o, tiles, m)
                CHOOSE(o, MULTIPLY)
                for (long t = 0; t < tiles; t++) {
#define GATHER(VEC) gather_##VEC(m + t * o, TILES * o, o, bias, onto, slope, result[t])
                    CHOOSE(o, GATHER)
                }
            }
        }
        free(v);
    }
    free(nothing);
    return failed;
}
