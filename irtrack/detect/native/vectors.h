/* Vectors of floats, and names that all kernels share. Pictures are channels last, of float32 or, where HALF is defined, of
   bfloat16; sums are float32 in both.

   What is written once for all widths of a vector is in *.inc, included by lanes.h with VEC defined as `four`, `eight` and
   `sixteen`; NAMED(f) is then f_four, f_eight, f_sixteen. */

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline, unused))

#define VECTOR(NAME, LANES)                                                                                           \
    typedef float NAME __attribute__((vector_size(4 * LANES), aligned(4), may_alias));                                \
    typedef int NAME##_bits __attribute__((vector_size(4 * LANES), aligned(4), may_alias));                           \
    typedef unsigned NAME##_words __attribute__((vector_size(4 * LANES)));                                            \
    typedef unsigned short NAME##_halves __attribute__((vector_size(2 * LANES), aligned(2), may_alias))

VECTOR(four, 4);
VECTOR(eight, 8);
VECTOR(sixteen, 16);
enum { WIDEST = 16 };

#define JOINED(NAME, OTHER) NAME##_##OTHER
#define JOIN(NAME, OTHER) JOINED(NAME, OTHER)
#define NAMED(NAME) JOIN(NAME, VEC)
#define BITS JOIN(VEC, bits)
#define WORDS JOIN(VEC, words)
#define HALVES JOIN(VEC, halves)
#define LANES ((int)(sizeof(VEC) / sizeof(float)))
#define AT(POINTER) (*(const VEC *)(POINTER))
#define PUT(POINTER) (*(VEC *)(POINTER))

/* A pixel's value for one channel, and a vector of those, read and written. */
#ifdef HALF
typedef unsigned short pixel;
#define LOAD(POINTER) NAMED(widened)(*(const HALVES *)(POINTER))
#define STORE(POINTER, VECTOR) (*(HALVES *)(POINTER) = NAMED(rounded)(VECTOR))
#else
typedef float pixel;
#define LOAD AT
#define STORE(POINTER, VECTOR) (PUT(POINTER) = (VECTOR))
#endif

/* What products of matrices take at a time: values of so many channels in four bytes. */
#ifdef HALF
typedef int __attribute__((may_alias)) word;
#define ONES 0x3f803f80 /* 1 for both */
#else
typedef float word;
#define ONES 1
#endif
enum { IN_WORD = sizeof(word) / sizeof(pixel) };

#if defined(__AVX512F__) || defined(__aarch64__)
enum { REGISTERS = 32 };
#else
enum { REGISTERS = 16 };
#endif

/* The widest vectors of this machine that `channels` are a multiple of. */
INLINE int lanes_of(long channels)
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

/* FUNCTION of the vectors for so many channels. */
#define CHOOSE(CHANNELS, FUNCTION, ...)                                                                               \
    do {                                                                                                              \
        const int lanes_chosen = lanes_of(CHANNELS);                                                                  \
        if (lanes_chosen == 16)                                                                                       \
            FUNCTION##_sixteen(__VA_ARGS__);                                                                          \
        else if (lanes_chosen == 8)                                                                                   \
            FUNCTION##_eight(__VA_ARGS__);                                                                            \
        else                                                                                                          \
            FUNCTION##_four(__VA_ARGS__);                                                                             \
    } while (0)

/* Which of `length` places is seen at place `at`, reflected outside. */
INLINE long reflected(long at, long length) { return at < 0 ? -at : at < length ? at : 2 * (length - 1) - at; }

/* Floats of a thread's room: a whole number of the widest vectors, so that each room begins at one. */
INLINE long room_size(long floats) { return (floats + WIDEST - 1) / WIDEST * WIDEST; }

/* Room of so many floats for each thread, to be freed; NULL where memory is short. */
INLINE float *room_for_threads(long floats)
{
    return aligned_alloc(sizeof(sixteen), sizeof(float) * room_size(floats) * omp_get_max_threads());
}

/* What of it belongs to the thread that asks, its first `zeros` floats set to zero. */
INLINE float *own_room(float *room, long floats, long zeros)
{
    return memset(room + omp_get_thread_num() * room_size(floats), 0, sizeof(float) * zeros);
}

#ifdef __AVX512F__
#include <immintrin.h>
#endif
#if defined(__AVX512BF16__) && defined(__AVX512VL__)
#define OWN_BFLOAT16(NAME, VECTOR, PAIRS, INTRINSIC)                                                                  \
    INLINE NAME##_halves rounded_##NAME(NAME x) { return (NAME##_halves)INTRINSIC##_cvtneps_pbh((VECTOR)x); }         \
    INLINE NAME dot_##NAME(NAME sum, NAME##_bits u, NAME##_bits v)                                                    \
    {                                                                                                                 \
        return (NAME)INTRINSIC##_dpbf16_ps((VECTOR)sum, (PAIRS)u, (PAIRS)v);                                          \
    }
OWN_BFLOAT16(eight, __m256, __m256bh, _mm256)
OWN_BFLOAT16(sixteen, __m512, __m512bh, _mm512)
INLINE four_halves rounded_four(four x)
{
    const long long low = ((__v2di)_mm_cvtneps_pbh((__m128)x))[0];
    four_halves out;
    memcpy(&out, &low, sizeof out);
    return out;
}
INLINE four dot_four(four sum, four_bits u, four_bits v)
{
    return (four)_mm_dpbf16_ps((__m128)sum, (__m128bh)u, (__m128bh)v);
}
#else
#define EMULATED
#endif

/* bfloat16 is the upper half of a float. */
INLINE four widened_four(four_halves x) { return (four)(__builtin_convertvector(x, four_words) << 16); }
INLINE eight widened_eight(eight_halves x) { return (eight)(__builtin_convertvector(x, eight_words) << 16); }
INLINE sixteen widened_sixteen(sixteen_halves x)
{
#ifdef __AVX512BW__ /* in one step; gcc 12 makes seven of it */
    static const short place[32] = {0, 0, 0, 1, 0, 2,  0, 3,  0, 4,  0, 5,  0, 6,  0, 7,
                                    0, 8, 0, 9, 0, 10, 0, 11, 0, 12, 0, 13, 0, 14, 0, 15};
    const __m512i low = _mm512_castsi256_si512((__m256i)x);
    return (sixteen)_mm512_maskz_permutexvar_epi16(0xaaaaaaaa, *(const __m512i_u *)place, low);
#else
    return (sixteen)(__builtin_convertvector(x, sixteen_words) << 16);
#endif
}

#define TEMPLATE "vectors.inc"
#include "lanes.h"
