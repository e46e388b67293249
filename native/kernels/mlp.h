// A linear map, and the two of a transformer's MLP with the GELU between them.
#pragma once

#include "gelu.h"
#include "gemm.h"

namespace sherd {

// y [M, N] = x [M, K] wᵀ + b
template <class T>
void linear(int64_t M, int64_t N, int64_t K, const T* x, int64_t xStride, const float* w, const float* b, T* y) {
  const auto ahead = [=](int64_t m, int64_t n) { fetch(y + m * N + n, kPanel); };
  multiply<T>(M, N, K, x, xStride, Along<float>{w, K}, ahead, [=](int64_t m, int64_t n, Two v, auto count) {
    store(y + m * N + n, b ? v + loadTwo(b + n, count) : v, count);
  });
}

// The gradient of x [M, K] from that of y [M, N].
template <class T>
void linearInput(int64_t M, int64_t N, int64_t K, const T* y, int64_t yStride, const float* w, T* x) {
  const auto ahead = [=](int64_t m, int64_t k) { fetch(x + m * K + k, kPanel); };
  multiply<T>(M, K, N, y, yStride, Across<float>{w, K}, ahead,
              [=](int64_t m, int64_t k, Two v, auto count) { store(x + m * K + k, v, count); });
}

// Rows of H numbers between the two maps lie this far apart: not a multiple of 2 KiB, because those fall into the same few
// sets of a cache.
template <class T>
int64_t hiddenStride(int64_t H) {
  return H * sizeof(T) % 2048 == 0 ? H + 64 / sizeof(T) : H;
}

// hidden [M, H] = gelu(x wᵀ + b), and its slope there, which may be null. Both are hiddenStride apart.
template <class T>
void linearGelu(int64_t M, int64_t H, int64_t K, const T* x, const float* w, const float* b, T* slope, T* hidden) {
  const int64_t stride = hiddenStride<T>(H);
  const auto ahead = [=](int64_t m, int64_t n) {
    if (slope) fetch(slope + m * stride + n, kPanel);
    fetch(hidden + m * stride + n, kPanel);
  };
  multiply<T, true>(M, H, K, x, K, Along<float>{w, K}, ahead,
                    [=](int64_t m, int R, int64_t n, const float* results, auto count) {
                      const Gelu<T> gelu;
                      const Two bias = loadTwo(b + n, count);
                      for (int r = 0; r < R; r++) {
                        const Two u = loadTwo(results + r * kPanel, Whole()) + bias;
                        const GeluAt left = gelu(u.left), right = gelu(u.right);
                        const int64_t at = (m + r) * stride + n;
                        if (slope) store(slope + at, Two{left.slope, right.slope}, count);
                        store(hidden + at, Two{left.value, right.value}, count);
                      }
                    });
}

// Turns the slope [M, H] into the gradient of what the GELU got, from the gradient of y [M, N] = hidden wᵀ + b.
template <class T>
void linearGeluGradient(int64_t M, int64_t N, int64_t H, const T* y, const float* w, T* slope) {
  const int64_t stride = hiddenStride<T>(H);
  const auto ahead = [=](int64_t m, int64_t n) { fetch(slope + m * stride + n, kPanel); };
  multiply<T>(M, H, N, y, N, Across<float>{w, H}, ahead, [=](int64_t m, int64_t n, Two v, auto count) {
    T* at = slope + m * stride + n;
    store(at, v * loadTwo(at, count), count);
  });
}

}  // namespace sherd
