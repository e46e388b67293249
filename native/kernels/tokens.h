// What goes into a transformer and what comes out of it: tokens with their positions, and the loss on hidden patches.
#pragma once

#include <cmath>
#include <cstring>
#include <vector>

#include "parallel.h"
#include "vector.h"

namespace sherd {

// The sequence [B, 1 + K, D]: cls, and the kept tokens x with the positions `where`. Without `cls`, x has K + 1 rows and its
// first one is the cls token.
template <class T>
struct Tokens {
  int64_t samples, kept, width;
  const T* x;
  const float* positions;  // [N, D]
  const int64_t* where;    // [B, K]: the kept patches
  const float* cls;        // [D], may be null
  int64_t whereStride;     // from sample to sample
};

template <class T>
void makeTokens(const Tokens<T>& a, float* out) {
  const int64_t D = a.width, length = 1 + a.kept, inX = a.kept + (a.cls ? 0 : 1);
  parallelShares(a.samples, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; b++) {
      const T* x = a.x + b * inX * D;
      float* to = out + b * length * D;
      for (int64_t i = 0; i < D; i += kLanes) store(to + i, a.cls ? load(a.cls + i, D - i) : load(x + i, D - i), D - i);
      if (!a.cls) x += D;
      for (int64_t k = 0; k < a.kept; k++) {
        const float* position = a.positions + a.where[b * a.whereStride + k] * D;
        for (int64_t i = 0; i < D; i += kLanes)
          store(to + (1 + k) * D + i, load(x + k * D + i, D - i) + load(position + i, D - i), D - i);
      }
    }
  });
}

// From the gradient [B, 1 + K, D] of the sequence: those of x and of cls, which may be null.
template <class T>
void tokensGradient(int64_t samples, int64_t kept, int64_t width, const float* gradient, T* x, float* cls) {
  const int64_t D = width, length = 1 + kept, inX = kept + (cls ? 0 : 1);
  parallelShares(samples, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; b++) {
      const float* from = gradient + (b * length + (cls ? 1 : 0)) * D;
      for (int64_t i = 0; i < inX * D; i += kLanes) store(x + b * inX * D + i, load(from + i, inX * D - i), inX * D - i);
    }
  });
  if (!cls) return;
  for (int64_t i = 0; i < D; i += kLanes) {
    Vector total{};
    for (int64_t b = 0; b < samples; b++) total += load(gradient + b * length * D + i, D - i);
    store(cls + i, total, D - i);
  }
}

// out [B, K + M, D]: x [B, K, D], and behind it in each sample the rows `which` [B, M] of a table [S, D].
struct AppendRows {
  int64_t samples, own, appended, table, width;
  const int64_t* which;
  int64_t whichStride;
};

template <class T>
void appendRows(const AppendRows& a, const T* x, const T* table, T* out) {
  const int64_t D = a.width;
  parallelShares(a.samples, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; b++) {
      T* to = out + b * (a.own + a.appended) * D;
      std::memcpy(to, x + b * a.own * D, a.own * D * sizeof(T));
      for (int64_t m = 0; m < a.appended; m++)
        std::memcpy(to + (a.own + m) * D, table + a.which[b * a.whichStride + m] * D, D * sizeof(T));
    }
  });
}

// The gradients of x and of the table, each of whose rows adds up what arrives wherever it was used, in float32.
template <class T>
void appendRowsGradient(const AppendRows& a, const T* gradient, T* x, T* table) {
  const int64_t D = a.width, length = a.own + a.appended;
  parallelShares(a.samples, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; b++)
      std::memcpy(x + b * a.own * D, gradient + b * length * D, a.own * D * sizeof(T));
  });
  const int64_t vectors = (D + kLanes - 1) / kLanes;
  std::vector<float> sums(a.table * vectors * kLanes);
  parallelShares(vectors, [&](int64_t begin, int64_t end) {
    for (int64_t b = 0; b < a.samples; b++)
      for (int64_t m = 0; m < a.appended; m++) {
        const T* from = gradient + (b * length + a.own + m) * D;
        float* to = sums.data() + a.which[b * a.whichStride + m] * vectors * kLanes;
        for (int64_t i = begin * kLanes; i < end * kLanes; i += kLanes) store(to + i, load(to + i) + load(from + i, D - i));
      }
    for (int64_t s = 0; s < a.table; s++)
      for (int64_t i = begin * kLanes; i < end * kLanes; i += kLanes)
        store(table + s * D + i, load(sums.data() + s * vectors * kLanes + i), D - i);
  });
}

// The mean squared difference between a prediction [B, M, P] and the patches `hidden` of [B, N, P], which are normalised
// by their own mean and (unbiased) variance when `normalize` is set (He et al. 2021, section 3).
template <class T>
struct PatchLoss {
  int64_t samples, hidden, patches, width;
  const T* prediction;
  const float* image;     // [B, N, P]
  const int64_t* where;   // [B, M]
  int64_t whereStride;
  bool normalize;
};

// visit(prediction's offset, target − prediction, count) for every vector of a patch.
template <class T, class Visit>
inline void visitPatch(const PatchLoss<T>& a, int64_t b, int64_t m, Visit&& visit) {
  const int64_t P = a.width;
  const float* patch = a.image + (b * a.patches + a.where[b * a.whereStride + m]) * P;
  float mean = 0, scale = 1;
  if (a.normalize) {
    Vector total{}, squares{};
    for (int64_t i = 0; i < P; i += kLanes) total += load(patch + i, P - i);
    mean = sum(total) / P;
    for (int64_t i = 0; i < P; i += kLanes) {
      const Vector v = firstLanes(load(patch + i, P - i) - mean, P - i, 0.0f);
      squares += v * v;
    }
    scale = 1.0f / std::sqrt(sum(squares) / (P - 1) + 1e-6f);
  }
  const int64_t at = (b * a.hidden + m) * P;
  for (int64_t i = 0; i < P; i += kLanes) {
    const Vector target = (load(patch + i, P - i) - mean) * scale;
    visit(at + i, firstLanes(target - load(a.prediction + at + i, P - i), P - i, 0.0f), P - i);
  }
}

template <class T>
float patchLoss(const PatchLoss<T>& a) {
  std::vector<double> parts(a.samples);  // summed in the order of samples, whatever the number of threads
  parallelShares(a.samples, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; b++) {
      Vector squares{};
      for (int64_t m = 0; m < a.hidden; m++)
        visitPatch(a, b, m, [&](int64_t, Vector difference, int64_t) { squares += difference * difference; });
      parts[b] = sum(squares);
    }
  });
  double total = 0;
  for (const double part : parts) total += part;
  return static_cast<float>(total / (static_cast<double>(a.samples) * a.hidden * a.width));
}

template <class T>
void patchLossGradient(const PatchLoss<T>& a, float gradient, T* prediction) {
  const float scale = -2.0f * gradient / (static_cast<float>(a.samples) * a.hidden * a.width);
  parallelShares(a.samples, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; b++)
      for (int64_t m = 0; m < a.hidden; m++)
        visitPatch(a, b, m, [&](int64_t at, Vector difference, int64_t count) {
          store(prediction + at, difference * scale, count);
        });
  });
}

}  // namespace sherd
