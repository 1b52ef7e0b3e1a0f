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
