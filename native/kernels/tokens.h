// What goes into a transformer and what comes out of it: tokens with their positions, and the loss on hidden patches.
#pragma once

#include <cmath>

#include "parallel.h"
#include "vector.h"

namespace sherd {

// The sequence [B, 1 + K + M, D]: cls, the K kept tokens x with the positions `kept`, M mask tokens with the positions
// `hidden`. Without `cls`, x has K + 1 rows and its first one is the cls token.
template <class T>
struct Tokens {
  int64_t samples, kept, hidden, width;
  const T* x;
  const float* positions;  // [N, D]
  const int64_t* where;    // [B, K]: the kept patches
  const int64_t* missing;  // [B, M]: the hidden ones
  const float* cls;        // [D], may be null
  const float* mask;       // [D]
  int64_t whereStride, missingStride;  // from sample to sample
};

template <class T>
void makeTokens(const Tokens<T>& a, float* out) {
  const int64_t D = a.width, length = 1 + a.kept + a.hidden, inX = a.kept + (a.cls ? 0 : 1);
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
      for (int64_t m = 0; m < a.hidden; m++) {
        const float* position = a.positions + a.missing[b * a.missingStride + m] * D;
        for (int64_t i = 0; i < D; i += kLanes)
          store(to + (1 + a.kept + m) * D + i, load(a.mask + i, D - i) + load(position + i, D - i), D - i);
      }
    }
  });
}

// From the gradient [B, 1 + K + M, D] of the sequence: those of x, cls and the mask token. The last two may be null.
template <class T>
void tokensGradient(int64_t samples, int64_t kept, int64_t hidden, int64_t width, const float* gradient, T* x, float* cls,
                    float* mask) {
  const int64_t D = width, length = 1 + kept + hidden, inX = kept + (cls ? 0 : 1);
  parallelShares(samples, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; b++) {
      const float* from = gradient + (b * length + (cls ? 1 : 0)) * D;
      for (int64_t i = 0; i < inX * D; i += kLanes) store(x + b * inX * D + i, load(from + i, inX * D - i), inX * D - i);
    }
  });
  parallelShares((D + kLanes - 1) / kLanes, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * kLanes; i < std::min(D, end * kLanes); i += kLanes) {
      Vector ofCls{}, ofMask{};
      for (int64_t b = 0; b < samples; b++) {
        const float* from = gradient + b * length * D + i;
        if (cls) ofCls += load(from, D - i);
        if (mask)
          for (int64_t m = 0; m < hidden; m++) ofMask += load(from + (1 + kept + m) * D, D - i);
      }
      if (cls) store(cls + i, ofCls, D - i);
      if (mask) store(mask + i, ofMask, D - i);
    }
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
