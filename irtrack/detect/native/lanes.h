/* Includes TEMPLATE once for each width of a vector. */

#define VEC four
#include TEMPLATE
#undef VEC
#define VEC eight
#include TEMPLATE
#undef VEC
#define VEC sixteen
#include TEMPLATE
#undef VEC
#undef TEMPLATE
