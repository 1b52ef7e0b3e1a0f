/* Products of small matrices, rows by channels. */

#include "vectors.h"

enum { ABREAST = REGISTERS == 32 ? 8 : 6 /* rows at a time */ };

#define TEMPLATE "product.inc"
#include "lanes.h"
