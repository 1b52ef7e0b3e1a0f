/* The network's last stencils, all channels to one logit. Pixels and weights are read as words. */

#include "shares.h"
#include "vectors.h"

enum { REACH = 5, TAPS = 25, TOGETHER = 8 /* pixels */ };

/* Places of the head's taps (row, column): a square of 3, the rest of a row of 11 and of a column of 11. */
static const int TAP[TAPS][2] = {{-1, -1}, {-1, 0}, {-1, 1}, {0, -1}, {0, 0},  {0, 1},  {1, -1}, {1, 0}, {1, 1},
                                 {0, -5},  {0, -4}, {0, -3}, {0, -2}, {0, 2},  {0, 3},  {0, 4},  {0, 5}, {-5, 0},
                                 {-4, 0},  {-3, 0}, {-2, 0}, {2, 0},  {3, 0},  {4, 0},  {5, 0}};

#define TEMPLATE "head.inc"
#include "lanes.h"

/* picture: (height, width, C), C a multiple of 4 words; weights: (TAPS, C); out: (height, width). */
void head(const pixel *picture, long height, long width, long c, const pixel *weights, float bias, float *out)
{
    SHARES(shares);
#pragma omp parallel
    EACH_PIECE(y, shares, height)
    CHOOSE(c / IN_WORD, row_of_logits, (const float *)picture, height, width, c / IN_WORD, (const float *)weights, bias, y, out);
}

/* Gradients of `head`: of pictures (height, width, c) to out, shaped alike, and of the weights (TAPS, c), of floats here, to
   `sums`, added up row by row. gradient: of its logits, each map with REACH zeros on all sides. Returns 1 where memory is
   short, else 0. */
int head_back(const pixel *x, const float *gradient, long pictures, long height, long width, long c, const float *weights,
              double *sums, pixel *out)
{
    const long far = width + 2 * REACH, size = TAPS * c, rows = pictures * height;
    float *part = calloc(rows * size, sizeof(float));
    if (!part)
        return 1;
    SHARES(shares);
#pragma omp parallel
    EACH_PIECE(n, shares, rows)
    {
        const long line = n / height * (height + 2 * REACH) + n % height + REACH;
        CHOOSE(c, head_back_row, x + n * width * c, gradient + line * far + REACH, far, width, c, weights, part + n * size,
               out + n * width * c);
    }
    memset(sums, 0, sizeof(double) * size);
    for (long n = 0; n < rows; n++)
        for (long k = 0; k < size; k++)
            sums[k] += part[n * size + k];
    free(part);
    return 0;
}
