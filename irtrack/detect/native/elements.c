/* What happens to every pixel by itself or with its neighbours, in one pass instead of several. */

#include "product.h"
#include "shares.h"

enum { RUN = 32 * ABREAST /* pixels of a piece */ };

/* The second of the two columns that column `x` of a picture of twice the width lies between; the nearer one is x / 2. */
INLINE long beside(long x, long width)
{
    const long near = x / 2, next = x % 2 ? near + 1 : near - 1;
    return next < 0 || next >= width ? near : next;
}

/* The two rows that row `y` of a picture of twice the height lies between, and the weight of the upper one. */
struct between {
    long upper, lower;
    float far;
};

INLINE struct between rows_between(long y, long height)
{
    const long above = (y + 1) / 2 - 1;
    return (struct between){above < 0 ? 0 : above, above + 1 < height ? above + 1 : above, y % 2 ? 0.75f : 0.25f};
}

#define TEMPLATE "elements.inc"
#include "lanes.h"

/* x (height, width, c), float32, less mean (c), reflected: out (height + 2 shift, width + 2 shift, c), words. */
void pad(const float *x, long height, long width, long c, const float *mean, long shift, float *out)
{
    SHARES(shares);
#pragma omp parallel
    EACH_PIECE(n, shares, height + 2 * shift)
    {
        CHOOSE(c, pad_line, x + reflected(n - shift, height) * width * c, width, c, mean, shift, out + n * (width + 2 * shift) * c);
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
            const struct between rows = rows_between(y, height);
            CHOOSE(c, lift_line, x + rows.upper * width * c, x + rows.lower * width * c, rows.far, width, c,
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

/* Pictures: out (2 height, 2 width, 2 c), of skip (2 height, 2 width, c) and of x (height, width, c), bilinear at twice the
   size, times the sigmoid of gate (2 height, 2 width, c). Returns 1 where memory is short, else 0. */
int join(const pixel *skip, const pixel *x, const pixel *gate, long pictures, long height, long width, long c, pixel *out)
{
    float *room = room_for_threads(width * c);
    if (!room)
        return 1;
    SHARES(shares);
#pragma omp parallel
    EACH_PIECE(n, shares, 2 * pictures * height)
    {
        const struct between rows = rows_between(n % (2 * height), height);
        const pixel *picture = x + n / (2 * height) * height * width * c;
        const long at = n * 2 * width * c;
        CHOOSE(c, join_line, picture + rows.upper * width * c, picture + rows.lower * width * c, rows.far, width, c, skip + at,
               gate + at, own_room(room, width * c, 0), out + 2 * at);
    }
    free(room);
    return 0;
}

/* Gradients of `join`, from that of its result: of skip to aside, of x to out, of gate to of_gate. Returns 1 where memory is
   short, else 0. */
int join_back(const pixel *x, const pixel *gate, const pixel *given, long pictures, long height, long width, long c,
              pixel *aside, pixel *out, pixel *of_gate)
{
    const long line = width * c;
    float *room = room_for_threads(line), *narrow = calloc(2 * pictures * height * line, sizeof(float));
    if (!room || !narrow) {
        free(room);
        free(narrow);
        return 1;
    }
    SHARES(shares);
#pragma omp parallel
    EACH_PIECE(n, shares, 2 * pictures * height)
    {
        const struct between rows = rows_between(n % (2 * height), height);
        const pixel *picture = x + n / (2 * height) * height * line;
        const long at = n * 2 * line;
        CHOOSE(c, join_back_line, picture + rows.upper * line, picture + rows.lower * line, rows.far, width, c, gate + at,
               given + 2 * at, own_room(room, line, 0), narrow + n * line, aside + at, of_gate + at);
    }
    SHARES(again);
#pragma omp parallel
    EACH_PIECE(n, again, pictures * height)
    {
        const long y = n % height, first = n / height * 2 * height;
        const float *from[4];
        float weight[4];
        int count = 0;
        for (long row = y ? 2 * y - 1 : 0; row <= 2 * y + 2 && row < 2 * height; row++) {
            const struct between rows = rows_between(row, height);
            from[count] = narrow + (first + row) * line;
            weight[count++] = (rows.upper == y ? rows.far : 0) + (rows.lower == y ? 1 - rows.far : 0);
        }
        CHOOSE(c, weigh_lines, from, weight, count, line, out + n * line);
    }
    free(room);
    free(narrow);
    return 0;
}
