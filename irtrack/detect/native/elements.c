/* What happens to every pixel by itself or with its neighbours, in one pass instead of several. */

#include "product.h"
#include "shares.h"

enum { RUN = 32 * ABREAST /* pixels of a piece */ };

#define TEMPLATE "elements.inc"
#include "lanes.h"

/* x (height, width, c), float32, less mean (c), reflected: out (height + 2 shift, width + 2 shift, c), words. */
void pad(const float *x, long height, long width, long c, const float *mean, long shift, float *out)
{
    SHARES(shares);
#pragma omp parallel
    EACH_PIECE(n, shares, height + 2 * shift)
    {
        const long y = n - shift, row = y < 0 ? -y : y < height ? y : 2 * (height - 1) - y;
        CHOOSE(c, pad_line, x + row * width * c, width, c, mean, shift, out + n * (width + 2 * shift) * c);
    }
}

/* Maxima of blocks of 2 x 2 of x (height, width, c): out (height / 2, width / 2, c). */
void halve(const pixel *x, long height, long width, long c, pixel *out)
{
    SHARES(shares);
#pragma omp parallel
    EACH_PIECE(y, shares, height / 2)
    {
        const pixel *upper = x + 2 * y * width * c;
        CHOOSE(c, halve_lines, upper, upper + width * c, width / 2, c, out + y * (width / 2) * c);
    }
}

/* grey (height, width): out (height, width, c), its 3x3 convolution by weights (9, c) plus bias, negative values times
   slope; scaled (height, width, c), grey times scale (c). */
void begin(const float *grey, long height, long width, long c, const float *weights, const float *bias, const float *scale,
           float slope, pixel *out, pixel *scaled)
{
    SHARES(shares);
#pragma omp parallel
    EACH_PIECE(y, shares, height)
    {
        const float *const line[3] = {y ? grey + (y - 1) * width : NULL, grey + y * width,
                                      y + 1 < height ? grey + (y + 1) * width : NULL};
        const long at = y * width * c;
        CHOOSE(c, begin_line, line, width, c, weights, bias, scale, slope, out + at, scaled + at);
    }
}

/* x (height, width, c), bilinear at twice the size, times the sigmoid of weights (c, c) of encoded (2 height, 2 width, c)
   plus bias: out (2 height, 2 width, c). Returns 1 where memory is short, else 0. */
int lift(const pixel *x, long height, long width, long c, const pixel *encoded, const pixel *weights, const float *bias,
         pixel *out)
{
    const long size = c * (width + 2 * ABREAST);
    float *room = room_for_threads(size);
    if (!room)
        return 1;
    SHARES(shares);
#pragma omp parallel
    {
        float *part = own_room(room, size, ABREAST * c), *gate = part + ABREAST * c, *blend = gate + ABREAST * c;
        EACH_PIECE(y, shares, 2 * height)
        {
            const long above = (y + 1) / 2 - 1, upper = above < 0 ? 0 : above, lower = above + 1 < height ? above + 1 : above;
            CHOOSE(c, lift_line, x + upper * width * c, x + lower * width * c, y % 2 ? 0.75f : 0.25f, width, c,
                   encoded + y * 2 * width * c, weights, bias, blend, gate, (pixel *)part, out + y * 2 * width * c);
        }
    }
    free(room);
    return 0;
}

/* A 1x1 convolution: x (pixels, c) weights (c, o) + bias (o), negative values times slope: out (pixels, o). Returns 1 where
   memory is short, else 0. */
int mix(const pixel *x, long pixels, long c, const pixel *weights, const float *bias, long o, float slope, pixel *out)
{
    const long size = ABREAST * (c + o);
    float *room = room_for_threads(size);
    if (!room)
        return 1;
    SHARES(shares);
#pragma omp parallel
    {
        float *part = own_room(room, size, ABREAST * c), *made = part + ABREAST * c;
        EACH_PIECE(n, shares, (pixels + RUN - 1) / RUN)
        for (long first = n * RUN; first < pixels && first < (n + 1) * RUN; first += ABREAST) {
            const long count = first + ABREAST < pixels ? ABREAST : pixels - first;
            CHOOSE(o, mix_some, x + first * c, count, c, weights, bias, o, slope, (pixel *)part, made, out + first * o);
        }
    }
    free(room);
    return 0;
}
