/* Vectors of floats, and names that all kernels share. Pictures are float32, channels last.

   What is written once for all widths of a vector is in *.inc, included by lanes.h with VEC defined as `four`, `eight` and
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

/* Floats of a thread's room: a whole number of the widest vectors, so that each room begins at one. */
INLINE long room_size(long floats) { return (floats + 15) / 16 * 16; }

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
