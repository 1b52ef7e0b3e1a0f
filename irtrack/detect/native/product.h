/* Maxima, and products of small matrices, rows by channels. */

#include "vectors.h"

enum { ABREAST = REGISTERS == 32 ? 12 : 6 /* rows at a time */ };

#define VEC four
#include "product.inc"
#undef VEC
#define VEC eight
#include "product.inc"
#undef VEC
#define VEC sixteen
#include "product.inc"
#undef VEC
