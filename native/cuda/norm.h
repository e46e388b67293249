// Residual addition and layer norm on a GPU, each in one pass over memory; the CPU's are in kernels/norm.h. Compiled by nvcc
// where the CUDA toolkit is installed. Pointers are device memory, rows are contiguous but for those of x, and work is queued on
// `stream`.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace sherd::cuda {

// Wider rows do not fit into the memory that a block shares.
constexpr int64_t kMostWidth = 3072;

// The type of `delta`, `y` and their gradients. Sums, weights and statistics are float32.
enum class Element { float32, bfloat16 };

struct AddNorm {
  int64_t rows, width;
  const float* x;  // runs of `run` rows (which divides `rows`), each `stride` numbers behind the last
  int64_t run, stride;
  const void* delta;  // may be null
  const float* weight;
  const float* bias;
  float epsilon;
  float* sum;  // null when there is no delta: the sum is x
  void* y;
  float* statistics;  // [rows, 2]: mean, 1 / √(var + ε)
};

struct AddNormGradient {
  int64_t rows, width;
  const float* sum;
  const float* statistics;
  const float* weight;
  const void* y;         // gradient of y
  const float* through;  // gradient of the sum from elsewhere; may be null
  float* x;
  void* delta;     // a copy of x's gradient in the element type; may be null
  float* partial;  // [normParts(rows, width), 2, width], to work in
  float* sums;     // [2, width]: gradients of the weight and the bias
};

// It depends on the sizes alone, so that the order of addition does.
int64_t normParts(int64_t rows, int64_t width);

cudaError_t addNorm(const AddNorm& a, Element element, cudaStream_t stream);
cudaError_t addNormGradient(const AddNormGradient& a, Element element, cudaStream_t stream);

}  // namespace sherd::cuda
