/* The network's last stencils, all channels to one logit. */

#include "vectors.h"

enum { REACH = 5, TAPS = 25, ABREAST = 4 };

/* Places of the head's taps (row, column): a square of 3, the rest of a row of 11 and of a column of 11. */
static const int TAP[TAPS][2] = {{-1, -1}, {-1, 0}, {-1, 1}, {0, -1}, {0, 0},  {0, 1},  {1, -1}, {1, 0}, {1, 1},
                                 {0, -5},  {0, -4}, {0, -3}, {0, -2}, {0, 2},  {0, 3},  {0, 4},  {0, 5}, {-5, 0},
                                 {-4, 0},  {-3, 0}, {-2, 0}, {2, 0},  {3, 0},  {4, 0},  {5, 0}};

/* Pixels x .. x + count of row y of `out`; `check` where taps may lie outside. */
#define LOGITS(NAME, VEC)                                                                                             \
    INLINE void NAME(const float *picture, long height, long width, long c, const float *weights, float bias, long y, \
                     long x, int count, int check, float *out)                                                        \
    {                                                                                                                 \
        const int lanes = sizeof(VEC) / sizeof(float);                                                                \
        VEC sum[ABREAST];                                                                                             \
        for (int m = 0; m < count; m++)                                                                               \
            sum[m] = (VEC){0};                                                                                        \
        for (int t = 0; t < TAPS; t++) {                                                                              \
            const long row = y + TAP[t][0], column = x + TAP[t][1];                                                   \
            if (check && (row < 0 || row >= height || column < 0 || column >= width))                                 \
                continue;                                                                                             \
            const float *p = picture + (row * width + column) * c;                                                    \
            for (long k = 0; k < c; k += lanes)                                                                       \
                for (int m = 0; m < count; m++)                                                                       \
                    sum[m] += *(const VEC *)(weights + t * c + k) * *(const VEC *)(p + m * c + k);                    \
        }                                                                                                             \
        for (int m = 0; m < count; m++) {                                                                             \
            float total = bias;                                                                                       \
            for (int k = 0; k < lanes; k++)                                                                           \
                total += sum[m][k];                                                                                   \
            out[y * width + x + m] = total;                                                                           \
        }                                                                                                             \
    }

LOGITS(logits_four, four)
LOGITS(logits_eight, eight)

#define ROW(LOGITS_OF)                                                                                                \
    for (; x < first; x++)                                                                                            \
        LOGITS_OF(picture, height, width, c, weights, bias, y, x, 1, 1, out);                                         \
    for (; x + ABREAST <= last; x += ABREAST)                                                                         \
        LOGITS_OF(picture, height, width, c, weights, bias, y, x, ABREAST, 0, out);                                   \
    for (; x < width; x++)                                                                                            \
        LOGITS_OF(picture, height, width, c, weights, bias, y, x, 1, 1, out);

/* picture: (height, width, C), C a multiple of 4; weights: (TAPS, C); out: (height, width). */
void head(const float *picture, long height, long width, long c, const float *weights, float bias, float *out)
{
#pragma omp parallel for schedule(static)
    for (long y = 0; y < height; y++) {
        const int inside = y >= REACH && y < height - REACH && width >= 2 * REACH;
        const long first = inside ? REACH : width, last = inside ? width - REACH : 0;
        long x = 0;
        if (c % 8 == 0) {
            ROW(logits_eight)
        } else {
            ROW(logits_four)
        }
    }
}
