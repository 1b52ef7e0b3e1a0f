/* Vectors of floats, and names that all kernels share. Pictures are float32, channels last.

   What is written once for all widths of a vector is in *.inc, included with VEC defined as `four`, `eight` and
   `sixteen`; NAMED(f) is then f_four, f_eight, f_sixteen. */

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline, unused))

#define VECTOR(NAME, LANES)                                                                                           \
    typedef float NAME __attribute__((vector_size(4 * LANES), aligned(4), may_alias));                                \
    typedef int NAME##_bits __attribute__((vector_size(4 * LANES), aligned(4), may_alias))

VECTOR(four, 4);
VECTOR(eight, 8);
VECTOR(sixteen, 16);

#define JOINED(NAME, OTHER) NAME##_##OTHER
#define JOIN(NAME, OTHER) JOINED(NAME, OTHER)
#define NAMED(NAME) JOIN(NAME, VEC)
#define BITS JOIN(VEC, bits)
#define LANES ((int)(sizeof(VEC) / sizeof(float)))
#define AT(POINTER) (*(const VEC *)(POINTER))
#define PUT(POINTER) (*(VEC *)(POINTER))

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
