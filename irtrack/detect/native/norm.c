/* Batch normalisation with what is added to it and the rectifier behind it, in two passes each way: sums over all pixels,
   then values. Sums are those of stretches, added in order, so that they are the same with any number of threads. */

#include "shares.h"
#include "vectors.h"

enum { STRETCH = 1024 /* pixels */ };

#define TEMPLATE "norm.inc"
#include "lanes.h"

INLINE long stretches(long pixels) { return (pixels + STRETCH - 1) / STRETCH; }
INLINE long length(long n, long pixels) { return (n + 1) * STRETCH < pixels ? STRETCH : pixels - n * STRETCH; }

/* Sums of stretches (count, size) added up: out (size). */
static void add_stretches(const float *part, long count, long size, double *out)
{
    memset(out, 0, sizeof(double) * size);
    for (long n = 0; n < count; n++)
        for (long k = 0; k < size; k++)
            out[k] += part[n * size + k];
}

/* Sums over x (pixels, c) less `about` (c), and of its squares: out (2, c). Returns 1 where memory is short, else 0. */
int moments(const pixel *x, long pixels, long c, const float *about, double *out)
{
    const long count = stretches(pixels);
    float *part = malloc(sizeof(float) * count * 2 * c);
    if (!part)
        return 1;
    SHARES(shares);
#pragma omp parallel
    EACH_PIECE(n, shares, count)
    CHOOSE(c, moments_some, x + n * STRETCH * c, length(n, pixels), c, about, part + n * 2 * c);
    add_stretches(part, count, 2 * c, out);
    free(part);
    return 0;
}

/* out (pixels, c) = x scale (c) + offset (c), plus `onto` if given, negative values times slope. */
void scale(const pixel *x, long pixels, long c, const float *scale, const float *offset, const pixel *onto, float slope,
           pixel *out)
{
    SHARES(shares);
#pragma omp parallel
    EACH_PIECE(n, shares, stretches(pixels))
    {
        const long at = n * STRETCH * c;
        CHOOSE(c, scale_some, x + at, length(n, pixels), c, scale, offset, onto ? onto + at : NULL, slope, out + at);
    }
}

/* Of gradients (pixels, c) of y, which `scale` made of x: sums of those before the rectifier, and of them times x less `about`:
   out (2, c). Returns 1 where memory is short, else 0. */
int unscale_moments(const pixel *gradient, const pixel *y, const pixel *x, long pixels, long c, const float *about,
                    float slope, double *out)
{
    const long count = stretches(pixels);
    float *part = malloc(sizeof(float) * count * 2 * c);
    if (!part)
        return 1;
    SHARES(shares);
#pragma omp parallel
    EACH_PIECE(n, shares, count)
    {
        const long at = n * STRETCH * c;
        CHOOSE(c, unscale_sums, gradient + at, y + at, x + at, length(n, pixels), c, about, slope, part + n * 2 * c);
    }
    add_stretches(part, count, 2 * c, out);
    free(part);
    return 0;
}

/* out (pixels, c): the gradient before the rectifier times factors (3, c), the first, plus x times the second, plus the third;
   that gradient itself to `aside`, if not NULL. */
void unscale(const pixel *gradient, const pixel *y, const pixel *x, long pixels, long c, const float *factors, float slope,
             pixel *aside, pixel *out)
{
    SHARES(shares);
#pragma omp parallel
    EACH_PIECE(n, shares, stretches(pixels))
    {
        const long at = n * STRETCH * c;
        CHOOSE(c, unscale_some, gradient + at, y + at, x + at, length(n, pixels), c, factors, slope, aside ? aside + at : NULL,
               out + at);
    }
}
