// Products of 16 × 16 tiles by the tensor cores, for bfloat16 (PTX ISA, "mma.m16n8k16", "ldmatrix" and "cp.async"). For nvcc alone.
// Lane l of a warp has the row g = l / 4 and the columns 2t and 2t + 1, t = l % 4, of each 8 × 8 tile.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

namespace sherd::cuda {

// 16 × 16 numbers as a left factor: the tiles (rows 0–7, columns 0–7), (8–15, 0–7), (0–7, 8–15), (8–15, 8–15).
struct Left {
  uint32_t x[4];
};
// 16 × 16 numbers as a right factor: two of 16 × 8, side by side.
struct Right {
  uint32_t x[4];
};
// 16 × 16 float32 sums: two of 16 × 8, of which a lane has (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
struct Sum {
  float x[2][4];
};

// Four 8 × 8 tiles, whose rows are at the addresses that lanes 0–7, 8–15, 16–23 and 24–31 give; transposed on request.
template <bool kTransposed>
__device__ inline void loadTiles(uint32_t (&x)[4], const __nv_bfloat16* row) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (kTransposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                 : "r"(address));
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                 : "r"(address));
}

__device__ inline void multiplyTile(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// 16 bytes to shared memory, or zeros instead, without waiting for them.
__device__ inline void startCopy(void* to, const void* from, bool isThere) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(isThere ? 16 : 0) : "memory");
}
// Until this thread's copies are there.
__device__ inline void waitForCopies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

}  // namespace sherd::cuda
