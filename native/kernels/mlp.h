// A linear map, and the two of a transformer's MLP with the GELU (Hendrycks & Gimpel 2016, the exact form) between them.
#pragma once

#include "gemm.h"

namespace sherd {

// y [M, N] = x [M, K] wᵀ + b
template <class T>
void linear(int64_t M, int64_t N, int64_t K, const T* x, const float* w, const float* b, T* y) {
  const auto ahead = [=](int64_t m, int64_t n) { fetch(y + m * N + n, kPanel); };
  multiply<T>(M, N, K, x, K, Along<float>{w, K}, ahead, [=](int64_t m, int64_t n, Vector v, int64_t count) {
    store(y + m * N + n, b ? v + load(b + n, count) : v, count);
  });
}

// The gradient of x [M, K] from that of y [M, N].
template <class T>
void linearInput(int64_t M, int64_t N, int64_t K, const T* y, const float* w, T* x) {
  const auto ahead = [=](int64_t m, int64_t k) { fetch(x + m * K + k, kPanel); };
  multiply<T>(M, K, N, y, N, Across<float>{w, K}, ahead,
              [=](int64_t m, int64_t k, Vector v, int64_t count) { store(x + m * K + k, v, count); });
}

// hidden [M, H] = gelu(before), before = x wᵀ + b. `before` may be null.
template <class T>
void linearGelu(int64_t M, int64_t H, int64_t K, const T* x, const float* w, const float* b, T* before, T* hidden) {
  const auto ahead = [=](int64_t m, int64_t n) {
    if (before) fetch(before + m * H + n, kPanel);
    fetch(hidden + m * H + n, kPanel);
  };
  multiply<T, true>(M, H, K, x, K, Along<float>{w, K}, ahead, [=](int64_t m, int64_t n, Vector v, int64_t count) {
    const Vector u = rounded<T>(v + load(b + n, count));
    if (before) store(before + m * H + n, u, count);
    store(hidden + m * H + n, u * normal<T>(u).distribution, count);
  });
}

// From the gradient of y [M, N] = gelu(before) wᵀ + b: that of `before` [M, H], and gelu(before) once more.
template <class T>
void linearGeluGradient(int64_t M, int64_t N, int64_t H, const T* y, const float* w, const T* before, T* gradient, T* hidden) {
  const auto ahead = [=](int64_t m, int64_t n) {
    fetch<0>(before + m * H + n, kPanel);
    fetch(gradient + m * H + n, kPanel);
    fetch(hidden + m * H + n, kPanel);
  };
  multiply<T, true>(M, H, N, y, N, Across<float>{w, H}, ahead, [=](int64_t m, int64_t n, Vector v, int64_t count) {
    const Vector u = load(before + m * H + n, count);
    const Normal at = normal<T>(u);
    store(hidden + m * H + n, u * at.distribution, count);
    store(gradient + m * H + n, v * (at.distribution + u * at.density), count);
  });
}

}  // namespace sherd
