// AMX, on top of AVX-512 BF16: tiles of bfloat16 guess.
#include "networks.hpp"

const Kernels amx_bf16 = KERNELS;
