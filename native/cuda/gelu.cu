// Each thread has four neighbouring columns and goes down a run of rows.
#include <cuda_bf16.h>

#include <algorithm>

#include "four.h"
#include "gelu.h"

namespace sherd::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int64_t kColumns = 4 * kThreads;  // of a block
constexpr int64_t kBlocks = 1056;           // eight for each of the 132 multiprocessors of an H100

// Φ(x) + x φ(x), the derivative of the exact GELU.
__device__ float slope(float x) {
  return 0.5f * (1.0f + erff(x * 0.70710678f)) + x * 0.39894228f * expf(-0.5f * x * x);
}

template <bool kGelu>
__global__ void columnSumsKernel(ColumnSums a) {
  const int64_t column = blockIdx.x * kColumns + threadIdx.x * 4;
  if (column >= a.width) return;
  const auto* x = static_cast<const __nv_bfloat16*>(a.x);
  const auto* before = static_cast<const __nv_bfloat16*>(a.before);
  auto* product = static_cast<__nv_bfloat16*>(a.product);
  const int64_t begin = a.rows * blockIdx.y / gridDim.y, end = a.rows * (blockIdx.y + 1) / gridDim.y;
  Four total = {};
#pragma unroll 4
  for (int64_t row = begin; row < end; row++) {
    const int64_t at = row * a.width + column;
    Four g = load4(x + at);
    if constexpr (kGelu) {
      const Four u = load4(before + at);
#pragma unroll
      for (int j = 0; j < 4; j++) g.v[j] *= slope(u.v[j]);
      store4(product + at, g);
    }
#pragma unroll
    for (int j = 0; j < 4; j++) total.v[j] += g.v[j];
  }
  *reinterpret_cast<float4*>(a.partial + blockIdx.y * a.width + column) =
      make_float4(total.v[0], total.v[1], total.v[2], total.v[3]);
}

int64_t columnBlocks(int64_t width) { return (width + kColumns - 1) / kColumns; }

}  // namespace

int64_t columnParts(int64_t rows, int64_t width) {
  return std::max<int64_t>(1, std::min(kBlocks / columnBlocks(width), rows / 16));
}

cudaError_t columnSums(const ColumnSums& a, cudaStream_t stream) {
  const dim3 blocks(static_cast<unsigned>(columnBlocks(a.width)), static_cast<unsigned>(columnParts(a.rows, a.width)));
  a.before ? columnSumsKernel<true><<<blocks, kThreads, 0, stream>>>(a) : columnSumsKernel<false><<<blocks, kThreads, 0, stream>>>(a);
  return cudaGetLastError();
}

}  // namespace sherd::cuda
