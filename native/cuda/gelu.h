// The exact GELU, and what a linear map's backward pass does on a GPU beside its products, for bfloat16: the gradient of a bias, and that
// of a GELU with it, each in one pass over memory. Compiled by nvcc.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace sherd::cuda {

// y = x Φ(x) of `count` numbers.
cudaError_t gelu(const void* x, void* y, int64_t count, cudaStream_t stream);

struct ColumnSums {
  int64_t rows, width;
  const void* x;
  const void* before;  // what a GELU got: `x`, the gradient of what it gave, is multiplied by its slope there; may be null
  void* product;       // that product; may be x itself
  float* partial;      // [columnParts(rows, width), width], to work in
  float* sums;         // [width]
};

// It depends on the sizes alone, so that the order of addition does.
int64_t columnParts(int64_t rows, int64_t width);

cudaError_t columnSums(const ColumnSums& a, cudaStream_t stream);

}  // namespace sherd::cuda
