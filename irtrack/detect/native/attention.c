/* What training needs of a DATrans block: attention times values as one dilated 3x3 convolution for each picture, and the
   gradients of that convolution and of the sums of `pairs.c`.

   Both are sums over the pixels p of the frame of something that is made of what the nine taps t see there, P(p + shift t) of
   the padded picture P. So the gradient at a place of P is a sum over those taps by which some pixel of the frame sees it: in
   the middle all nine, at the border fewer. By the taps that remain, rows and columns are each in one of five zones, as in
   `pairs.c`. The gradient of P is folded back where the border was reflected.

   Each result is made by one thread in a fixed order, so that a training goes on exactly as it would have. */

#include "shares.h"
#include "vectors.h"

enum { ZONES = 5, REACH = 2, SPAN = 2 * REACH + 1, MOST_TAPS = SPAN * SPAN, STRETCH = 4096 /* pixels to a sum */ };
enum { ACROSS = REGISTERS == 32 ? 16 : 8 /* pixels at a time */ };

/* Pixels that are multiplied by `weights` (c, o), as words. */
struct tap {
    const pixel *pixels, *weights;
};

#define TEMPLATE "attention.inc"
#include "lanes.h"

#define TEMPLATE "pairs.inc"
#include "lanes.h"

/* Pictures (height, width, c) less their means (c), reflected: out (height + 2 shift, width + 2 shift, c) each. */
void centre(const pixel *x, long pictures, long height, long width, long c, const float *mean, long shift, pixel *out)
{
    const long high = height + 2 * shift, wide = width + 2 * shift;
    SHARES(shares);
#pragma omp parallel
    EACH_PIECE(n, shares, pictures * high)
    {
        const long picture = n / high, row = reflected(n % high - shift, height);
        CHOOSE(c, centre_line, x + (picture * height + row) * width * c, width, c, mean + picture * c, shift,
               out + n * wide * c);
    }
}

#ifdef HALF
/* Lines (count, width, c) as words: of a pixel and the one behind it, as sums over pixels take them. */
void paired(const pixel *x, long count, long width, long c, word *out)
{
    SHARES(shares);
#pragma omp parallel
    EACH_PIECE(n, shares, count)
    {
        const pixel *line = x + n * width * c;
        word *to = out + n * width * c;
        for (long k = 0; k < (width - 1) * c; k++)
            to[k] = (int)(line[k] | (unsigned)line[k + c] << 16);
        for (long k = (width - 1) * c; k < width * c; k++)
            to[k] = line[k];
    }
}
#endif

/* `pair_sums` of pictures, one after the other in each thread. */
int pair_sums(const float *padded, long height, long width, long c, long shift, float *pairs, float *centre, float *taps);
int pair_sums_of(const float *padded, long pictures, long height, long width, long c, long shift, float *pairs,
                 float *centre, float *taps)
{
    int short_of = 0;
#pragma omp parallel for reduction(| : short_of) schedule(static)
    for (long n = 0; n < pictures; n++)
        short_of |= pair_sums(padded + n * (height + 2 * shift) * (width + 2 * shift) * c, height, width, c, shift,
                              pairs + n * 81 * c * c, centre + n * 9 * c * c, taps + n * 9 * c);
    return short_of;
}

/* Pictures padded by `shift` convolved with a kernel (9, c, o) each: out (height, width, o); the convolutions of `count`
   shifts are added up. Returns 1 where memory is short, else 0. */
int attend(long count, const pixel *const *padded, const long *shifts, const pixel *const *kernels, long pictures,
           long height, long width, long c, long o, pixel *out)
{
    float *room = room_for_threads(width * o);
    if (!room)
        return 1;
    SHARES(shares);
#pragma omp parallel
    EACH_PIECE(n, shares, pictures * height)
    {
        const long picture = n / height, y = n % height;
        float *line = own_room(room, width * o, width * o);
        for (long s = 0; s < count; s++) {
            const long shift = shifts[s], wide = width + 2 * shift;
            const pixel *first = padded[s] + (picture * (height + 2 * shift) + y) * wide * c;
            struct tap taps[9];
            for (int t = 0; t < 9; t++)
                taps[t] = (struct tap){first + (t / 3 * wide + t % 3) * shift * c, kernels[s] + (picture * 9 + t) * c * o};
            CHOOSE(o, add_taps, taps, 9, width, c, o, line);
        }
        CHOOSE(o, store_line, line, width * o, out + n * width * o);
    }
    free(room);
    return 0;
}

/* Gradients of the kernels of `attend` for one shift, (9, o, c) a picture, which begin as zeros: padded and given (height,
   width, o) as `paired` makes them. */
void attend_kernels(const float *padded, const float *given, long pictures, long height, long width, long c, long o,
                    long shift, float *out)
{
    const long wide = width + 2 * shift, most = STRETCH / width, band = most > 1 ? most : 1;
#pragma omp parallel for schedule(static)
    for (long n = 0; n < 3 * pictures; n++) {
        const long picture = n / 3, row = n % 3;
        const float *first = padded + (picture * (height + 2 * shift) + row * shift) * wide * c;
        for (long y = 0; y < height; y += band)
            for (int column = 0; column < 3; column++)
                CHOOSE(c, outer, first + (y * wide + column * shift) * c, wide, given + (picture * height + y) * width * o, width,
                       y + band < height ? band : height - y, width, c, o, out + (3 * n + column) * o * c);
    }
}

/* The padded picture's zones along a side of `length` pixels: where each begins. */
static void zones_of(long length, long shift, long edge[ZONES + 1])
{
    const long edges[ZONES + 1] = {0, shift, 2 * shift, length, length + shift, length + 2 * shift};
    memcpy(edge, edges, sizeof edges);
}

/* The lines of the padded picture that are line `k` of `length`, itself and its reflections; returns how many. */
static int reflections(long k, long length, long shift, long lines[3])
{
    int count = 0;
    lines[count++] = k + shift;
    if (k >= 1 && k <= shift)
        lines[count++] = shift - k;
    if (k >= length - 1 - shift && k <= length - 2)
        lines[count++] = 2 * (length - 1) - k + shift;
    return count;
}

/* What `spread_back` is told, but for what it adds to. */
struct spread {
    const pixel *padded, *lags, *given, *turned;
    const float *lone;
    long height, width, c, o, shift;
};

/* The taps of a gradient at line y and from column x of padded picture `picture`, in these zones: by lags of the picture. */
static int lags_at(const struct spread *of, long picture, long y, int row, long x, int column, struct tap taps[MOST_TAPS])
{
    const long high = of->height + 2 * of->shift, wide = of->width + 2 * of->shift;
    const pixel *here = of->padded + ((picture * high + y) * wide + x) * of->c;
    int count = 0;
    /* In zone 0 a place is seen by the taps of one side alone, in zone 1 by those and the middle ones. */
    for (int i = row < REACH ? -row : -REACH; i <= (row > REACH ? 2 * REACH - row : REACH); i++)
        for (int j = column < REACH ? -column : -REACH; j <= (column > REACH ? 2 * REACH - column : REACH); j++)
        {
            const long kernel = (((picture * ZONES + row) * SPAN + i + REACH) * ZONES + column) * SPAN + j + REACH;
            taps[count++] =
                (struct tap){here + (i * wide + j) * of->shift * of->c, of->lags + kernel * of->c * of->c};
        }
    return count;
}

/* The same by the results of `attend` that see these `run` places. */
static int given_at(const struct spread *of, long picture, long y, long x, long run, struct tap taps[MOST_TAPS])
{
    int count = 0;
    for (int t = 0; t < 9; t++) {
        const long row = y - t / 3 * of->shift, column = x - t % 3 * of->shift;
        if (row >= 0 && row < of->height && column >= 0 && column + run <= of->width)
            taps[count++] = (struct tap){of->given + ((picture * of->height + row) * of->width + column) * of->o,
                                         of->turned + (picture * 9 + t) * of->o * of->c};
    }
    return count;
}

/* Gradients of pictures by one shift, added to out (height, width, c), floats.

   By sums over pixels, where `lags` is given: padded times lags (ZONES, SPAN, ZONES, SPAN, c, c), by the zone of rows and the
   rows between, then by columns, plus lone (ZONES, ZONES, c). By `attend`, where given (height, width, o) is: times turned
   (9, o, c), by the tap that saw the place. Returns 1 where memory is short, else 0. */
int spread_back(const pixel *padded, const pixel *lags, const float *lone, const pixel *given, const pixel *turned,
                long pictures, long height, long width, long c, long o, long shift, float *out)
{
    const struct spread of = {padded, lags, given, turned, lone, height, width, c, o, shift};
    const long wide = width + 2 * shift;
    long rows[ZONES + 1], columns[ZONES + 1];
    float *room = room_for_threads(wide * c);
    if (!room)
        return 1;
    zones_of(height, shift, rows);
    zones_of(width, shift, columns);
    SHARES(shares);
#pragma omp parallel
    EACH_PIECE(n, shares, pictures * height)
    {
        const long picture = n / height;
        float *to = out + n * width * c;
        long lines[3];
        const int found = reflections(n % height, height, shift, lines);
        for (int f = 0; f < found; f++) {
            float *line = own_room(room, wide * c, wide * c);
            int row = 0;
            while (lines[f] >= rows[row + 1])
                row++;
            for (int column = 0; column < ZONES; column++) {
                const long x = columns[column], run = columns[column + 1] - x;
                struct tap taps[MOST_TAPS];
                if (lags) {
                    const float *own = lone + ((picture * ZONES + row) * ZONES + column) * c;
                    for (long p = 0; p < run; p++)
                        memcpy(line + (x + p) * c, own, sizeof(float) * c);
                    const int count = lags_at(&of, picture, lines[f], row, x, column, taps);
                    CHOOSE(c, add_taps, taps, count, run, c, c, line + x * c);
                }
                if (given) {
                    const int count = given_at(&of, picture, lines[f], x, run, taps);
                    CHOOSE(c, add_taps, taps, count, run, o, c, line + x * c);
                }
            }
            for (long k = 0; k < width * c; k++)
                to[k] += line[shift * c + k];
            for (long x = 1; x <= shift; x++)
                for (long k = 0; k < c; k++) {
                    to[x * c + k] += line[(shift - x) * c + k];
                    to[(width - 1 - x) * c + k] += line[(width - 1 + shift + x) * c + k];
                }
        }
    }
    free(room);
    return 0;
}
