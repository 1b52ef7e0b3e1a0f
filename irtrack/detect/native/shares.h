/* Work shared out among threads: pieces 0 .. count - 1, in the order of the picture's rows.

   Each thread takes the pieces of its own stretch, the same part of the picture in each layer, which its cache still holds
   from the layer before; then what the others have not begun, since cores are not equally fast or free. (With pieces to
   whoever comes first, frames at times took half as long again, it seems when the two cores shared no cache.) */

#include <omp.h>
#include <stdatomic.h>

/* How many pieces of a thread's stretch are begun; a cache line to itself. */
struct stretch {
    _Alignas(64) atomic_long begun;
};

static inline void begin_shares(struct stretch *shares)
{
    for (int n = 0; n < omp_get_max_threads(); n++)
        atomic_init(&shares[n].begun, 0);
}

/* Stretches of all threads for one loop in a parallel region. */
#define SHARES(NAME)                                                                                                  \
    struct stretch NAME[omp_get_max_threads()];                                                                       \
    begin_shares(NAME)

/* The next piece for the thread that asks, or -1 when all have been begun. turn: zero at first, kept between calls. */
static inline long next_piece(struct stretch *shares, long count, long *turn)
{
    const int threads = omp_get_num_threads();
    for (; *turn < threads; ++*turn) {
        const int whose = (omp_get_thread_num() + *turn) % threads;
        const long first = count * whose / threads, behind = count * (whose + 1) / threads;
        const long piece = first + atomic_fetch_add_explicit(&shares[whose].begun, 1, memory_order_relaxed);
        if (piece < behind)
            return piece;
    }
    return -1;
}

/* `for` over the pieces, each by one thread; in a parallel region. */
#define EACH_PIECE(N, SHARES, COUNT)                                                                                  \
    for (long N, N##_turn = 0; (N = next_piece(SHARES, COUNT, &N##_turn)) >= 0;)
