// AVX-512 BF16: guesses in bfloat16, which float32 settles.
#include "networks.hpp"

const Kernels avx512_bf16 = KERNELS;
