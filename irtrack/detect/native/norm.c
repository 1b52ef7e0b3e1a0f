/* Batch normalisation with what is added to it and the rectifier behind it, in two passes each way: sums over all pixels,
   then values. Sums are those of stretches, added in order, so that they are the same with any number of threads. */

#include "shares.h"
#include "vectors.h"

#include <math.h>

enum { AT_ONCE = 8192 /* values: what stays in a core's nearest cache */, WORTH = 4 /* stretches: more threads */ };

#define TEMPLATE "norm.inc"
#include "lanes.h"

/* Maps as they are gone through: pixels side by side so that they fill the widest vectors. */
struct maps {
    long pixels, c, beside, stretch;
};

static struct maps maps_of(long pixels, long c)
{
    long beside = c % WIDEST == 0 ? 1 : c % (WIDEST / 2) == 0 ? 2 : 4;
    beside = pixels % beside ? 1 : beside;
    const long all = c * beside, stretch = AT_ONCE / all;
    return (struct maps){pixels / beside, all, beside, stretch ? stretch : 1};
}

INLINE long stretches(const struct maps *of) { return (of->pixels + of->stretch - 1) / of->stretch; }

INLINE long length(const struct maps *of, long n)
{
    const long first = n * of->stretch;
    return first + of->stretch < of->pixels ? of->stretch : of->pixels - first;
}

/* Sums of stretches, (2, c) each, by channels: out (2, c). */
static void add_stretches(const float *part, const struct maps *of, double *out)
{
    const long channels = of->c / of->beside;
    memset(out, 0, 2 * channels * sizeof(double));
    for (long n = 0; n < stretches(of); n++, part += 2 * of->c)
        for (long k = 0; k < of->c; k++) {
            out[k % channels] += part[k];
            out[channels + k % channels] += part[of->c + k];
        }
}

/* The same number for each of the pixels side by side. */
INLINE void repeat(const struct maps *of, long channel, float value, float *out)
{
    for (long k = channel; k < of->c; k += of->c / of->beside)
        out[k] = value;
}

/* y (pixels, c) = x normalised over all pixels, times weight (c), plus bias (c), plus `onto` if it is not NULL, negative values
   times slope. moments: (2, c), mean and variance of x. Returns 1 where memory is short, else 0. */
int normalise(const pixel *x, long pixels, long c, const float *weight, const float *bias, float eps, const pixel *onto,
              float slope, double *moments, pixel *y)
{
    const struct maps of = maps_of(pixels, c);
    float *about = malloc(sizeof(float) * of.c * (3 + 2 * stretches(&of)));
    if (!about)
        return 1;
    float *scale = about + of.c, *offset = scale + of.c, *part = offset + of.c;
    for (long k = 0; k < of.c; k++) { /* sums of what is near zero lose no digits */
#ifdef HALF
        const unsigned bits = (unsigned)x[k % c] << 16;
        memcpy(about + k, &bits, sizeof bits);
#else
        about[k] = x[k % c];
#endif
    }
    SHARES(shares);
#pragma omp parallel if (stretches(&of) >= WORTH)
    EACH_PIECE(n, shares, stretches(&of))
    CHOOSE(of.c, moments_some, x + n * of.stretch * of.c, length(&of, n), of.c, about, part + n * 2 * of.c);
    add_stretches(part, &of, moments);
    for (long k = 0; k < c; k++) {
        const double mean = moments[k] / pixels, variance = moments[c + k] / pixels - mean * mean;
        moments[k] = mean + about[k];
        moments[c + k] = variance > 0 ? variance : variance < 0 ? 0 : variance; /* what is no number stays none */
        const double times = weight[k] / sqrt(moments[c + k] + eps);
        repeat(&of, k, times, scale);
        repeat(&of, k, bias[k] - moments[k] * times, offset);
    }
    SHARES(again);
#pragma omp parallel if (stretches(&of) >= WORTH)
    EACH_PIECE(n, again, stretches(&of))
    {
        const long at = n * of.stretch * of.c;
        CHOOSE(of.c, scale_some, x + at, length(&of, n), of.c, scale, offset, onto ? onto + at : NULL, slope, y + at);
    }
    free(about);
    return 0;
}

/* Gradients of `normalise`: of x to out, of `onto` to aside if that is not NULL, of weight and bias to sums (2, c), bias first.
   Returns 1 where memory is short, else 0. */
int normalise_back(const pixel *gradient, const pixel *y, const pixel *x, long pixels, long c, const float *weight, float eps,
                   float slope, const double *moments, double *sums, pixel *aside, pixel *out)
{
    const struct maps of = maps_of(pixels, c);
    float *about = malloc(sizeof(float) * of.c * (4 + 2 * stretches(&of)));
    if (!about)
        return 1;
    float *factors = about + of.c, *part = factors + 3 * of.c;
    for (long k = 0; k < c; k++)
        repeat(&of, k, moments[k], about);
    SHARES(shares);
#pragma omp parallel if (stretches(&of) >= WORTH)
    EACH_PIECE(n, shares, stretches(&of))
    {
        const long at = n * of.stretch * of.c;
        CHOOSE(of.c, unscale_sums, gradient + at, y + at, x + at, length(&of, n), of.c, about, slope, part + n * 2 * of.c);
    }
    add_stretches(part, &of, sums);
    for (long k = 0; k < c; k++) {
        const double inverse = 1 / sqrt(moments[c + k] + eps), own = weight[k] * inverse;
        sums[c + k] *= inverse;
        const double times = -own * inverse * sums[c + k] / pixels;
        repeat(&of, k, own, factors);
        repeat(&of, k, times, factors + of.c);
        repeat(&of, k, -own * sums[k] / pixels - times * about[k], factors + 2 * of.c);
    }
    SHARES(again);
#pragma omp parallel if (stretches(&of) >= WORTH)
    EACH_PIECE(n, again, stretches(&of))
    {
        const long at = n * of.stretch * of.c;
        CHOOSE(of.c, unscale_some, gradient + at, y + at, x + at, length(&of, n), of.c, factors, slope,
               aside ? aside + at : NULL, out + at);
    }
    free(about);
    return 0;
}
