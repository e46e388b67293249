// What goes into a transformer and what comes out of it, on a GPU; the CPU's are in kernels/tokens.h. Compiled by nvcc. Pointers are
// device memory, rows are contiguous, and work is queued on `stream`. Indices stay on the GPU, so nobody can refuse those out of range:
// they give NaN, or nothing.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "norm.h"

namespace sherd::cuda {

// Indices [samples, count] of rows.
struct Which {
  const int64_t* at;
  int64_t count, stride;  // stride: from sample to sample
};

// out [samples, own + which.count, row]: x [samples, own, row], and behind it in each sample the rows `which` of a table [tableRows, row],
// one for all samples or one for each. Rows of any type are so many bytes.
struct CopyRows {
  int64_t samples, own, tableRows, rowBytes;
  const void* x;
  const void* table;
  bool shared;  // one table for all
  Which which;
  void* out;
};
cudaError_t copyRows(const CopyRows& a, cudaStream_t stream);

// x [samples, before + count, row]: zeros, and behind them in each sample the rows of [samples, count, row].
cudaError_t behindZeros(const void* from, void* x, int64_t samples, int64_t before, int64_t count, int64_t rowBytes, cudaStream_t stream);

// The gradients of x and of a shared table, each of whose rows adds up what arrives wherever it was used.
struct CopyRowsGradient {
  int64_t samples, own, tableRows, width;
  const void* gradient;  // [samples, own + which.count, width]
  Which which;
  void* x;
  float* partial;  // [tableParts(samples, tableRows, width), tableRows, width], to work in
  float* table;
};
int64_t tableParts(int64_t samples, int64_t tableRows, int64_t width);
cudaError_t copyRowsGradient(const CopyRowsGradient& a, Element element, cudaStream_t stream);

// The sequence [samples, 1 + kept, width]: cls, and the kept tokens x with their positions. Without `cls`, x has kept + 1 rows and its
// first one is the cls token.
struct MakeTokens {
  int64_t samples, patches, width;
  const void* x;
  const float* positions;  // [patches, width]
  Which kept;
  const float* cls;  // [width], may be null
  float* out;
};
cudaError_t makeTokens(const MakeTokens& a, Element element, cudaStream_t stream);

// From the gradient [samples, length, width] of the sequence: those of x, and of cls, which may be null.
struct TokensGradient {
  int64_t samples, length, width;
  const float* gradient;
  void* x;
  float* partial;  // [clsParts(samples), width], to work in
  float* cls;
};
int64_t clsParts(int64_t samples);
cudaError_t tokensGradient(const TokensGradient& a, Element element, cudaStream_t stream);

// The mean squared difference between a prediction [samples, hidden.count, width] and the patches `hidden` of an image
// [samples, patches, width], which are normalised by their own mean and (unbiased) variance when `normalize` is set (He et al. 2021,
// section 3).
struct PatchLoss {
  int64_t samples, patches, width;
  const void* prediction;
  const float* image;
  Which hidden;
  bool normalize;
};
int64_t lossParts(int64_t samples, int64_t hidden);
// partial: [lossParts(…)], to work in.
cudaError_t patchLoss(const PatchLoss& a, float* partial, float* loss, Element element, cudaStream_t stream);
// gradient: of the loss, one number on the GPU.
cudaError_t patchLossGradient(const PatchLoss& a, const float* gradient, void* prediction, Element element, cudaStream_t stream);

}  // namespace sherd::cuda
