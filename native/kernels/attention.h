// Self-attention softmax(q kᵀ / √d) v (Vaswani et al. 2017) over qkv [B, N, 3, A, d] as a linear map leaves it, one head of
// one sample at a time: the scores of a block of queries stay in the cache and are never a tensor. The backward pass makes
// them again from qkv, so qkv is all that is kept.
#pragma once

#include <cmath>

#include "gemm.h"

namespace sherd {

constexpr int64_t kQueries = 126;  // queries whose scores are in the cache at a time; a multiple of kRows

// Queries and keys may be of another type S than values.
template <class T, class S = T>
struct Attention {
  int64_t samples, tokens, heads, width;  // width of one head
  int64_t from;                           // the first token whose result is wanted
  const S* q;
  const S* k;
  int64_t stride;  // from token to token, of q and k …
  const T* v;
  int64_t valueStride;  // … and of v
  T* out;               // [B, N − from, A, d]
};

template <class T>
struct AttentionGradient {
  int64_t samples, tokens, heads, width, from;
  const T* qkv;
  const T* out;  // gradient of the result
  T* gradient;   // of qkv
};

// The words of a matrix [rows, columns] as panels of a right factor.
template <class T, class View>
const uint32_t* packAll(Scratch& where, View from, int64_t columns, int64_t depth) {
  const int64_t steps = ceilDivide(depth, kPerWord<T>), panels = ceilDivide(columns, kPanel);
  uint32_t* words = where.words(panels * steps * kPanel);
  for (int64_t p = 0; p < panels; p++)
    pack<T>(from, p * kPanel, std::min<int64_t>(kPanel, columns - p * kPanel), depth, words + p * steps * kPanel);
  return words;
}

// out(row, column, results, count) of `rows` rows of a left factor, whose words are read in place, and packed panels.
template <class T, class Out>
void multiplyPacked(int64_t rows, int64_t columns, int64_t depth, const T* a, int64_t stride, const uint32_t* packed,
                    Out&& out) {
  const int64_t steps = ceilDivide(depth, kPerWord<T>);
  for (int64_t n = 0; n < columns; n += kPanel)
    tiles<T>(reinterpret_cast<const uint32_t*>(a), stride / kPerWord<T>, 1, rows, packed + n * steps, steps, [](int64_t) {},
             [&](int64_t m, Two x) {
               out(m, n, x.left, columns - n);
               if (columns - n > kLanes) out(m, n + kLanes, x.right, columns - n - kLanes);
             });
}

// to [columns of a, columns of b] += aᵀ b, where b is packed across.
template <class T>
void addTransposed(int64_t depth, int64_t columnsA, int64_t columnsB, const T* a, int64_t stride, const uint32_t* packed,
                   float* to, int64_t toStride) {
  const int64_t steps = ceilDivide(depth, kPerWord<T>);
  uint32_t* strip = scratch<2>().words(steps * kRows + kLanes);
  for (int64_t s = 0; s < columnsA; s += kRows) {
    const int64_t rows = std::min<int64_t>(kRows, columnsA - s);
    float unused[kRows] = {};
    packTransposed<T>(a + s, stride, rows, depth, strip, unused);
    for (int64_t n = 0; n < columnsB; n += kPanel)
      tile<T, kRows>(strip, 1, kRows, packed + n * steps, steps, [](int) {}, [&](int i, Two x) {
        if (i >= rows) return;
        float* row = to + (s + i) * toStride + n;  // toStride is a multiple of kPanel
        store(row, loadTwo(row, Whole()) + x, Whole());
      });
  }
}

// Rows of scores become rows of probabilities, zero from `count` to `stride`. Overwrites the scores.
template <class T>
void softmaxRows(int64_t rows, int64_t count, float* scores, int64_t stride, T* to) {
  for (int64_t r = 0; r < rows; r++) {
    float* s = scores + r * stride;
    Vector top = all(-INFINITY), total{};
    for (int64_t i = 0; i < count; i += kLanes) top = larger(top, firstLanes(load(s + i), count - i, -INFINITY));
    const float most = largest(top);
    for (int64_t i = 0; i < stride; i += kLanes) {
      const Vector v = firstLanes(exponential<T>(load(s + i) - most), count - i, 0.0f);
      store(s + i, v);
      total += v;
    }
    const float scale = 1.0f / sum(total);
    for (int64_t i = 0; i < stride; i += kLanes) store(to + r * stride + i, load(s + i) * scale);
  }
}

template <class T, class S>
void attention(const Attention<T, S>& a) {
  const int64_t N = a.tokens, d = a.width, D = a.heads * d;
  const int64_t padded = ceilDivide(N, kPanel) * kPanel;
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  parallelTasks(a.samples * a.heads, [&](const auto& next) {
    float* scores = scratch<0>().of<float>(kQueries * padded);
    T* share = scratch<1>().of<T>(kQueries * padded);
    for (int64_t each = next(); each >= 0; each = next()) {
      const int64_t sample = each / a.heads, head = each % a.heads * d;
      const S* q = a.q + sample * N * a.stride + head;
      T* out = a.out + sample * (N - a.from) * D + head - a.from * D;  // as if all were there
      const S* k = a.k + sample * N * a.stride + head;
      const T* v = a.v + sample * N * a.valueStride + head;
      const uint32_t* keys = packAll<S>(scratch<3>(), Along<S>{k, a.stride}, N, d);
      const uint32_t* values = packAll<T>(scratch<4>(), Across<T>{v, a.valueStride}, d, N);
      for (int64_t first = a.from; first < N; first += kQueries) {
        const int64_t rows = std::min(kQueries, N - first);
        multiplyPacked<S>(rows, padded, d, q + first * a.stride, a.stride, keys,
                          [&](int64_t m, int64_t n, Vector x, int64_t) { store(scores + m * padded + n, x * scale); });
        softmaxRows<T>(rows, N, scores, padded, share);
        multiplyPacked<T>(rows, d, N, share, padded, values, [&](int64_t m, int64_t n, Vector x, int64_t count) {
          store(out + (first + m) * D + n, x, count);
        });
      }
    }
  });
}

template <class T>
void attentionGradient(const AttentionGradient<T>& a) {
  const int64_t N = a.tokens, d = a.width, D = a.heads * d, stride = 3 * D;
  const int64_t padded = ceilDivide(N, kPanel) * kPanel, dPadded = ceilDivide(d, kPanel) * kPanel;
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  parallelTasks(a.samples * a.heads, [&](const auto& next) {
    float* scores = scratch<0>().of<float>(2 * kQueries * padded);
    float* gradients = scores + kQueries * padded;
    T* share = scratch<1>().of<T>(2 * kQueries * padded);
    T* shareGradient = share + kQueries * padded;
    float* dk = scratch<9>().of<float>(2 * N * dPadded);
    float* dv = dk + N * dPadded;
    for (int64_t each = next(); each >= 0; each = next()) {
      const int64_t offset = each / a.heads * N * stride + each % a.heads * d;
      const T* q = a.qkv + offset;
      const T* out = a.out + each / a.heads * (N - a.from) * D + each % a.heads * d - a.from * D;
      T* dq = a.gradient + offset;
      const uint32_t* keysAlong = packAll<T>(scratch<3>(), Along<T>{q + D, stride}, N, d);
      const uint32_t* keysAcross = packAll<T>(scratch<4>(), Across<T>{q + D, stride}, d, N);
      const uint32_t* valuesAlong = packAll<T>(scratch<5>(), Along<T>{q + 2 * D, stride}, N, d);
      std::memset(dk, 0, 2 * N * dPadded * sizeof(float));
      for (int64_t m = 0; m < a.from; m++) std::memset(dq + m * stride, 0, d * sizeof(T));
      for (int64_t first = a.from; first < N; first += kQueries) {
        const int64_t rows = std::min(kQueries, N - first);
        multiplyPacked<T>(rows, padded, d, q + first * stride, stride, keysAlong,
                          [&](int64_t m, int64_t n, Vector x, int64_t) { store(scores + m * padded + n, x * scale); });
        softmaxRows<T>(rows, N, scores, padded, share);
        multiplyPacked<T>(rows, padded, d, out + first * D, D, valuesAlong,
                          [&](int64_t m, int64_t n, Vector x, int64_t) { store(gradients + m * padded + n, x); });
        for (int64_t m = 0; m < rows; m++) {  // the gradient of softmax
          Vector total{};
          for (int64_t i = 0; i < padded; i += kLanes)
            total += load(share + m * padded + i) * load(gradients + m * padded + i);
          const float mean = sum(total);
          for (int64_t i = 0; i < padded; i += kLanes)
            store(shareGradient + m * padded + i,
                  load(share + m * padded + i) * (load(gradients + m * padded + i) - mean) * scale);
        }
        multiplyPacked<T>(rows, d, N, shareGradient, padded, keysAcross,
                          [&](int64_t m, int64_t n, Vector x, int64_t count) {
                            store(dq + (first + m) * stride + n, x, count);
                          });
        const uint32_t* queries = packAll<T>(scratch<6>(), Across<T>{q + first * stride, stride}, d, rows);
        addTransposed<T>(rows, N, d, shareGradient, padded, queries, dk, dPadded);
        const uint32_t* outs = packAll<T>(scratch<7>(), Across<T>{out + first * D, D}, d, rows);
        addTransposed<T>(rows, N, d, share, padded, outs, dv, dPadded);
      }
      for (int64_t m = 0; m < N; m++)
        for (int64_t i = 0; i < d; i += kLanes) {
          store(dq + m * stride + D + i, load(dk + m * dPadded + i), d - i);
          store(dq + m * stride + 2 * D + i, load(dv + m * dPadded + i), d - i);
        }
    }
  });
}

}  // namespace sherd
