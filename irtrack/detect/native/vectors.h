/* Vectors of floats of this machine, and names that all kernels share. Pictures are float32, channels last. */

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define VECTOR(NAME, LANES)                                                                                           \
    typedef float NAME __attribute__((vector_size(4 * LANES), aligned(4), may_alias));                                \
    typedef int NAME##_bits __attribute__((vector_size(4 * LANES), aligned(4), may_alias))

VECTOR(four, 4);
VECTOR(eight, 8);
VECTOR(sixteen, 16);

#if defined(__AVX512F__) || defined(__aarch64__)
#define MANY_REGISTERS 1 /* 32, else 16 */
#else
#define MANY_REGISTERS 0
#endif
