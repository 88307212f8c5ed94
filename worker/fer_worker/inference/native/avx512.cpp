// AVX-512 F, BW, DQ and VL.
#include "networks.hpp"

const Kernels avx512 = KERNELS;
