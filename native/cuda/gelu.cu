// Each thread has eight neighbouring columns, which are one request to memory, and goes down a run of rows.
#include <algorithm>

#include "four.h"
#include "gelu.h"
#include "parts.h"

namespace sherd::cuda {
namespace {

constexpr int kGeluThreads = 256;
constexpr int kMostColumns = 128;  // threads of a block that are side by side; the others are below them

// Φ(−|x|) = e^(−x² / 2) P(t), t = 1 / (1 + 0.308 |x|): a fit of ours with a relative error of 4e-6 as far as float32 holds the result
// (|x| ≤ 13). Beside it the exponential and the reciprocal of the GPU are exact (2e-7).
struct Tail {
  float value, density;  // Φ(−|x|), and e^(−x² / 2) / √2π
};
__device__ Tail tailOf(float x) {
  float e, t;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(e) : "f"(x * x * -0.72134752f));
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(t) : "f"(fmaf(fabsf(x), 0.308f, 1.0f)));
  const float p = t * (0.123126168f + t * (0.118842491f + t * (0.136695107f + t * (0.00695697368f + t * (0.189909754f - t * 0.0755323999f)))));
  return {e * p, e * 0.39894228f};
}

__device__ float geluAt(float x) {
  const float tail = tailOf(x).value;
  return x * (x > 0 ? 1.0f - tail : tail);
}

// Φ(x) + x φ(x), the derivative.
__device__ float slopeAt(float x) {
  const Tail tail = tailOf(x);
  return fmaf(x, tail.density, x > 0 ? 1.0f - tail.value : tail.value);
}

__global__ void __launch_bounds__(kGeluThreads) geluKernel(const __nv_bfloat16* x, __nv_bfloat16* y, int64_t count) {
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * kGeluThreads + threadIdx.x) * 8;
  if (at >= count) return;
  Eight v = load8(x + at);
#pragma unroll
  for (int j = 0; j < 8; j++) v.v[j] = geluAt(v.v[j]);
  store8(y + at, v);
}

__global__ void geluAnyKernel(const __nv_bfloat16* x, __nv_bfloat16* y, int64_t count) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kGeluThreads + threadIdx.x;
  if (at < count) y[at] = __float2bfloat16_rn(geluAt(__bfloat162float(x[at])));
}

// kRows: rows that a thread asks memory for at a time. In shared memory: [blockDim.y, blockDim.x · 8], what the threads have added up.
template <bool kGelu, int kRows>
__global__ void __launch_bounds__(kGeluThreads, 4) columnSumsKernel(ColumnSums a) {
  __shared__ __align__(16) float sums[kGeluThreads * 8];
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * 8;
  const bool has = column < a.width;
  const auto* x = static_cast<const __nv_bfloat16*>(a.x) + column;
  const auto* before = static_cast<const __nv_bfloat16*>(a.before) + column;
  auto* product = static_cast<__nv_bfloat16*>(a.product) + column;
  const int64_t begin = a.rows * blockIdx.y / gridDim.y, end = a.rows * (blockIdx.y + 1) / gridDim.y;
  Eight total = {};
  for (int64_t first = begin + threadIdx.y; has && first < end; first += kRows * blockDim.y) {
    uint4 g[kRows], u[kRows];
#pragma unroll
    for (int r = 0; r < kRows; r++) {
      const int64_t row = first + r * blockDim.y;
      g[r] = {};
      if (row < end) g[r] = *reinterpret_cast<const uint4*>(x + row * a.width);
      if constexpr (kGelu) {
        u[r] = {};
        if (row < end) u[r] = *reinterpret_cast<const uint4*>(before + row * a.width);
      }
    }
#pragma unroll
    for (int r = 0; r < kRows; r++) {
      Eight v = unpack(g[r]);
      if constexpr (kGelu) {
        const int64_t row = first + r * blockDim.y;
        const Eight at = unpack(u[r]);
#pragma unroll
        for (int j = 0; j < 8; j++) v.v[j] *= slopeAt(at.v[j]);
        if (row < end) store8(product + row * a.width, v);
      }
#pragma unroll
      for (int j = 0; j < 8; j++) total.v[j] += v.v[j];
    }
  }
  const int across = blockDim.x * 8, thread = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
  for (int j = 0; j < 8; j++) sums[threadIdx.y * across + threadIdx.x * 8 + j] = total.v[j];
  __syncthreads();
  for (int i = thread; i < across; i += blockDim.x * blockDim.y) {
    float all = 0;
    for (int y = 0; y < blockDim.y; y++) all += sums[y * across + i];
    const int64_t to = static_cast<int64_t>(blockIdx.x) * across + i;
    if (to < a.width) a.partial[blockIdx.y * a.width + to] = all;
  }
}

// Of any width, one number at a time: a warp has 32 neighbouring columns.
template <bool kGelu>
__global__ void columnSumsAnyKernel(ColumnSums a) {
  __shared__ float sums[8][32];
  const int64_t column = static_cast<int64_t>(blockIdx.x) * 32 + threadIdx.x;
  const auto* x = static_cast<const __nv_bfloat16*>(a.x);
  const int64_t begin = a.rows * blockIdx.y / gridDim.y, end = a.rows * (blockIdx.y + 1) / gridDim.y;
  float total = 0;
  if (column < a.width) {
    for (int64_t row = begin + threadIdx.y; row < end; row += 8) {
      const int64_t at = row * a.width + column;
      float g = __bfloat162float(x[at]);
      if constexpr (kGelu) {
        g *= slopeAt(__bfloat162float(static_cast<const __nv_bfloat16*>(a.before)[at]));
        static_cast<__nv_bfloat16*>(a.product)[at] = __float2bfloat16_rn(g);
      }
      total += g;
    }
  }
  sums[threadIdx.y][threadIdx.x] = total;
  __syncthreads();
  if (threadIdx.y > 0 || column >= a.width) return;
  for (int y = 1; y < 8; y++) total += sums[y][threadIdx.x];
  a.partial[blockIdx.y * a.width + column] = total;
}

// How the threads of a block share columns.
struct Sharing {
  int64_t across, down, blocks;  // threads side by side and below each other; blocks side by side
};
Sharing sharing(int64_t width) {
  const int64_t eights = (width + 7) / 8, blocks = (eights + kMostColumns - 1) / kMostColumns, across = (eights + blocks - 1) / blocks;
  return {across, kGeluThreads / across, blocks};
}

}  // namespace

cudaError_t gelu(const void* x, void* y, int64_t count, cudaStream_t stream) {
  const bool inEights = count % 8 == 0 && aligned(16, x, y);
  const int64_t threads = inEights ? count / 8 : count;
  if (threads == 0) return cudaSuccess;
  (inEights ? geluKernel : geluAnyKernel)<<<static_cast<unsigned>((threads + kGeluThreads - 1) / kGeluThreads), kGeluThreads, 0, stream>>>(
      static_cast<const __nv_bfloat16*>(x), static_cast<__nv_bfloat16*>(y), count);
  return cudaGetLastError();
}

int64_t columnParts(int64_t rows, int64_t width) {
  const auto [across, down, blocks] = sharing(width);
  return std::max<int64_t>(1, std::min(4 * kMultiprocessors / blocks, rows / (4 * down)));
}

cudaError_t columnSums(const ColumnSums& a, cudaStream_t stream) {
  const auto [across, down, beside] = sharing(a.width);
  const auto parts = static_cast<unsigned>(columnParts(a.rows, a.width));
  if (a.width % 8 == 0 && aligned(16, a.x, a.before, a.product)) {
    const dim3 blocks(static_cast<unsigned>(beside), parts), threads(static_cast<unsigned>(across), static_cast<unsigned>(down));
    // Measured: how many rows at a time depends on how many of them a block has beside each other in memory.
    const auto kernel = !a.before ? columnSumsKernel<false, 4> : beside == 1 ? columnSumsKernel<true, 2> : columnSumsKernel<true, 1>;
    kernel<<<blocks, threads, 0, stream>>>(a);
  } else {
    const auto kernel = a.before ? columnSumsAnyKernel<true> : columnSumsAnyKernel<false>;
    kernel<<<dim3(static_cast<unsigned>((a.width + 31) / 32), parts), dim3(32, 8), 0, stream>>>(a);
  }
  sumParts(a.partial, a.sums, parts, a.width, stream);
  return cudaGetLastError();
}

}  // namespace sherd::cuda
