// Any CPU: SSE2 on x86-64, NEON on aarch64.
#include "networks.hpp"

const Kernels baseline = KERNELS;
