// The GELU (Hendrycks & Gimpel 2016, the exact form) and its slope.
#pragma once

#include <cmath>

#include "vector.h"

namespace sherd {

// x Φ(x) and its derivative Φ(x) + x φ(x), for the standard normal distribution Φ with density φ.
struct GeluAt {
  Vector value, slope;
};

// In float32 Φ is Abramowitz & Stegun 7.1.26, absolute error 7.5e-8; the tail carries its sign, so that small values keep
// their digits.
template <class T>
struct Gelu {
  GeluAt operator()(Vector x) const {
    const Vector e = exponential<float>(x * x * -0.5f);
    const Vector t = reciprocal(1.0f + 0.3275911f * 0.70710678f * absolute(x));
    const Vector tail =
        ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t * (0.5f * e);
    const Vector distribution = x > 0.0f ? 1.0f - tail : tail;
    return {x * distribution, distribution + x * e * 0.39894228f};
  }
};

#if defined(__AVX512BF16__)
// A function of |x| in 32 quadratic pieces, through both ends and the middle of each. The last one goes on for ever.
struct Pieces {
  static constexpr int kCount = 32;
  static constexpr float kWidth = 5.0f / kCount;
  alignas(64) float c[3][kCount];

  template <class F>
  Pieces(F&& f, float end0, float end1) {
    for (int i = 0; i < kCount - 1; i++) {
      const double x = i * kWidth, h = kWidth / 2, y0 = f(x), y1 = f(x + h), y2 = f(x + 2 * h);
      const double second = (y2 - 2 * y1 + y0) / (2 * h * h), first = (y1 - y0) / h - second * (2 * x + h);
      c[2][i] = second;
      c[1][i] = first;
      c[0][i] = y0 - x * (first + x * second);
    }
    c[0][kCount - 1] = end0;
    c[1][kCount - 1] = end1;
    c[2][kCount - 1] = 0;
  }
};
inline double aboveHalf(double x) { return 0.5 * std::erf(x * 0.7071067811865476); }  // Φ(x) − ½
inline const Pieces geluEven([](double x) { return x * aboveHalf(x); }, 0, 0.5f);     // x Φ(x) = x / 2 + this
inline const Pieces slopeOdd(  // the derivative is ½ + this, with the sign of x
    [](double x) { return aboveHalf(x) + x * std::exp(-0.5 * x * x) * 0.3989422804014327; }, 0.5f, 0);

// Numbers that become a bfloat16 come from pieces, absolute error 5e-5. The pieces stay in registers, so make one for a loop.
template <>
struct Gelu<BFloat16> {
  __m512 even[3][2], odd[3][2];
  Gelu() {
    for (int i = 0; i < 3; i++)
      for (int half = 0; half < 2; half++) {
        even[i][half] = _mm512_load_ps(geluEven.c[i] + 16 * half);
        odd[i][half] = _mm512_load_ps(slopeOdd.c[i] + 16 * half);
      }
  }
  static Vector at(const __m512 (&c)[3][2], Vector size, __m512i piece) {
    const auto pick = [&](int i) { return (Vector)_mm512_permutex2var_ps(c[i][0], piece, c[i][1]); };
    return (pick(2) * size + pick(1)) * size + pick(0);
  }
  GeluAt operator()(Vector x) const {
    const Vector size = absolute(x);
    const __m512i piece = _mm512_cvttps_epi32(
        _mm512_min_ps((__m512)(size * (1 / Pieces::kWidth)), _mm512_set1_ps(Pieces::kCount - 1)));
    const IntVector sign = (IntVector)x & (IntVector)(IntVector{} + (int32_t)0x80000000);
    return {x * 0.5f + at(even, size, piece), (Vector)((IntVector)at(odd, size, piece) ^ sign) + 0.5f};
  }
};
#endif

}  // namespace sherd
