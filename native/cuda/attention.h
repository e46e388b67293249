// Self-attention over short sequences on a GPU, for bfloat16. Compiled by nvcc.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace sherd::cuda {

// qkv [B, N, 3, A, d] as a linear map leaves it; the results of the tokens from `from` on.
struct Attention {
  int64_t samples, tokens, heads, width, from;
  const void* qkv;
  void* out;          // [B, N − from, A, d]
  float* logarithms;  // [B, A, N − from]: log₂ of what the exponentials of a query's scores add up to
};

struct AttentionGradient {
  int64_t samples, tokens, heads, width, from;
  const void* qkv;
  const void* out;
  const float* logarithms;
  const void* gradientOut;
  void* gradient;  // of qkv
};

// Whether a head of a sample fits into the memory of a multiprocessor: heads of 16, 32, 64 or 80 numbers, at most 256 tokens.
bool attentionFits(int64_t tokens, int64_t width);

cudaError_t attention(const Attention& a, cudaStream_t stream);
cudaError_t attentionGradient(const AttentionGradient& a, cudaStream_t stream);

}  // namespace sherd::cuda
