// AVX2 and FMA.
#include "networks.hpp"

const Kernels avx2 = KERNELS;
