// What a linear map's backward pass does on a GPU beside its products, for bfloat16: the gradient of a bias, and that of a GELU with
// it, each in one pass over memory. Compiled by nvcc.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace sherd::cuda {

struct ColumnSums {
  int64_t rows, width;  // width: a multiple of 4
  const void* x;
  const void* before;  // what a GELU got: `x`, the gradient of what it gave, is multiplied by its slope there; may be null
  void* product;       // that product; may be x itself
  float* partial;      // [columnParts(rows), width]: sums over runs of rows, to be added up in order
};

// It depends on the sizes alone, so that the order of addition does.
int64_t columnParts(int64_t rows, int64_t width);

cudaError_t columnSums(const ColumnSums& a, cudaStream_t stream);

}  // namespace sherd::cuda
