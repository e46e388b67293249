// Sums of many rows: blocks leave one partial sum each, and a second kernel adds these up in order, so that a result is the same every
// time. For nvcc alone.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace sherd::cuda {

// The multiprocessors of an H100. Numbers of parts follow from it and not from the GPU at hand, as results do from them.
constexpr int64_t kMultiprocessors = 132;

namespace {

constexpr int kPartLanes = 32, kPartRows = 32;

// sums[i] = scale Σ partial[p, i] of [parts, count]
__global__ void sumPartsKernel(const float* partial, float* sums, int64_t parts, int64_t count, float scale) {
  __shared__ float found[kPartRows][kPartLanes];
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kPartLanes + threadIdx.x;
  float total = 0;
  if (i < count) {
#pragma unroll 8
    for (int64_t p = threadIdx.y; p < parts; p += kPartRows) total += partial[p * count + i];
  }
  found[threadIdx.y][threadIdx.x] = total;
  __syncthreads();
  if (threadIdx.y > 0 || i >= count) return;
  for (int row = 1; row < kPartRows; row++) total += found[row][threadIdx.x];
  sums[i] = total * scale;
}

void sumParts(const float* partial, float* sums, int64_t parts, int64_t count, cudaStream_t stream, float scale = 1) {
  sumPartsKernel<<<static_cast<unsigned>((count + kPartLanes - 1) / kPartLanes), dim3(kPartLanes, kPartRows), 0, stream>>>(
      partial, sums, parts, count, scale);
}

}  // namespace
}  // namespace sherd::cuda
