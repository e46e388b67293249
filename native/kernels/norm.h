// Residual addition and layer norm (Ba et al. 2016) in one pass: sum = x + delta, y = (sum − mean) / √(var + ε) · w + b.
// Statistics are float32 whatever T is.
#pragma once

#include <cmath>

#include "parallel.h"
#include "vector.h"

namespace sherd {

// y may be of another type than delta.
template <class T, class Y = T>
struct AddNorm {
  int64_t rows, width;
  const float* x;
  const T* delta;  // may be null
  const float* weight;
  const float* bias;
  float epsilon;
  float* sum;         // null when there is no delta: the sum is x
  Y* y;
  float* statistics;  // [rows, 2]: mean, 1 / √(var + ε)
};

template <class T, class Y>
void addNorm(const AddNorm<T, Y>& a) {
  const int64_t D = a.width;
  parallelShares(a.rows, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const float* s = a.x + row * D;
      Vector total{};
      if (a.delta) {
        float* to = a.sum + row * D;
        for (int64_t i = 0; i < D; i += kLanes) {
          const Vector v = load(s + i, D - i) + load(a.delta + row * D + i, D - i);
          store(to + i, v, D - i);
          total += v;
        }
        s = to;
      } else {
        for (int64_t i = 0; i < D; i += kLanes) total += load(s + i, D - i);
      }
      const float mean = sum(total) / D;
      Vector squares{};
      for (int64_t i = 0; i < D; i += kLanes) {
        const Vector v = firstLanes(load(s + i, D - i) - mean, D - i, 0.0f);
        squares += v * v;
      }
      const float scale = 1.0f / std::sqrt(sum(squares) / D + a.epsilon);
      a.statistics[2 * row] = mean;
      a.statistics[2 * row + 1] = scale;
      for (int64_t i = 0; i < D; i += kLanes)
        store(a.y + row * D + i,
              (load(s + i, D - i) - mean) * scale * load(a.weight + i, D - i) + load(a.bias + i, D - i), D - i);
    }
  });
}

template <class T>
struct AddNormGradient {
  int64_t rows, width;
  const float* sum;
  const float* statistics;
  const float* weight;
  const T* y;            // gradient of y
  const float* through;  // gradient of the sum from elsewhere; may be null
  float* x;              // gradients of x …
  T* delta;              // … and of delta, the same numbers; may be null
  float* weightGradient;
  float* biasGradient;
};

template <class T>
void addNormGradient(const AddNormGradient<T>& a) {
  const int64_t D = a.width, padded = (D + kLanes - 1) / kLanes * kLanes;
  const int64_t shares = std::max<int64_t>(1, std::min(threadCount(), a.rows));
  std::vector<float> partial(shares * 2 * padded, 0.0f);
  parallel(shares, [&](int64_t share) {
    float* dw = partial.data() + share * 2 * padded;
    float* db = dw + padded;
    for (int64_t row = a.rows * share / shares; row < a.rows * (share + 1) / shares; row++) {
      const float* s = a.sum + row * D;
      const T* g = a.y + row * D;
      const float mean = a.statistics[2 * row], scale = a.statistics[2 * row + 1];
      Vector plain{}, weighed{};
      for (int64_t i = 0; i < D; i += kLanes) {
        const Vector dy = load(g + i, D - i);  // zero past the end, and so is all that follows from it
        const Vector hat = (load(s + i, D - i) - mean) * scale;
        store(dw + i, load(dw + i) + dy * hat);
        store(db + i, load(db + i) + dy);
        const Vector gw = dy * load(a.weight + i, D - i);
        plain += gw;
        weighed += gw * hat;
      }
      const float c1 = sum(plain) / D, c2 = sum(weighed) / D;
      for (int64_t i = 0; i < D; i += kLanes) {
        const Vector hat = (load(s + i, D - i) - mean) * scale;
        Vector dx = (load(g + i, D - i) * load(a.weight + i, D - i) - c1 - hat * c2) * scale;
        if (a.through) dx += load(a.through + row * D + i, D - i);
        store(a.x + row * D + i, dx, D - i);
        if (a.delta) store(a.delta + row * D + i, dx, D - i);
      }
    }
  });
  for (int64_t i = 0; i < D; i++) {
    float dw = 0, db = 0;
    for (int64_t share = 0; share < shares; share++) {
      dw += partial[share * 2 * padded + i];
      db += partial[share * 2 * padded + padded + i];
    }
    a.weightGradient[i] = dw;
    a.biasGradient[i] = db;
  }
}

}  // namespace sherd
