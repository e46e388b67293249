// Vectors of float32 as wide as the CPU's registers, and the functions on them that ATen's headers do not export.
// Plain GCC/Clang vector arithmetic, so the same source makes AVX-512, AVX2 and NEON code; intrinsics only where the
// bfloat16 product needs them. Compiled for the CPU that it runs on.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace sherd {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Vector __attribute__((vector_size(kLanes * 4)));
typedef int32_t IntVector __attribute__((vector_size(kLanes * 4)));

// A bfloat16 is the upper half of a float32.
struct BFloat16 {
  uint16_t bits;
};

inline float toFloat(float x) { return x; }
inline float toFloat(BFloat16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

// Rounds to nearest, ties to even; a NaN stays one.
inline uint16_t roundToBFloat16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>(bits >> 16) | 0x40;
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
template <class T>
inline T fromFloat(float x);
template <>
inline float fromFloat<float>(float x) {
  return x;
}
template <>
inline BFloat16 fromFloat<BFloat16>(float x) {
  return {roundToBFloat16(x)};
}

inline Vector all(float x) { return x - Vector{}; }

inline Vector load(const float* from) {
  Vector x;
  std::memcpy(&x, from, sizeof(x));
  return x;
}
inline void store(float* to, Vector x) { std::memcpy(to, &x, sizeof(x)); }

inline Vector load(const BFloat16* from) {
#if defined(__AVX512F__)
  return (Vector)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)from)), 16);
#else
  Vector x;
  for (int i = 0; i < kLanes; i++) x[i] = toFloat(from[i]);
  return x;
#endif
}
inline void store(BFloat16* to, Vector x) {
#if defined(__AVX512BF16__)
  _mm256_storeu_si256((__m256i*)to, (__m256i)_mm512_cvtneps_pbh((__m512)x));
#else
  for (int i = 0; i < kLanes; i++) to[i] = fromFloat<BFloat16>(x[i]);
#endif
}

// The first `count` lanes only; the rest are zero, or are left alone.
template <class T>
inline Vector load(const T* from, int64_t count) {
  if (count >= kLanes) return load(from);
  T some[kLanes] = {};
  std::memcpy(some, from, count * sizeof(T));
  return load(some);
}
template <class T>
inline void store(T* to, Vector x, int64_t count) {
  if (count >= kLanes) return store(to, x);
  T some[kLanes];
  store(some, x);
  std::memcpy(to, some, count * sizeof(T));
}

// What x is after it was stored as T.
template <class T>
inline Vector rounded(Vector x) {
  T some[kLanes];
  store(some, x);
  return load(some);
}
template <>
inline Vector rounded<float>(Vector x) {
  return x;
}

inline float sum(Vector x) {
  float total = 0;
  for (int i = 0; i < kLanes; i++) total += x[i];
  return total;
}
inline Vector larger(Vector a, Vector b) { return a > b ? a : b; }
inline Vector smaller(Vector a, Vector b) { return a < b ? a : b; }
inline Vector absolute(Vector x) { return (Vector)((IntVector)x & 0x7fffffff); }

// eˣ to about one unit in the last place: x = n ln 2 + r, then a polynomial in r (Cephes, expf).
inline Vector exponential(Vector x) {
  x = smaller(larger(x, all(-87.3f)), all(88.3f));
  const Vector magic = all(12582912.0f);  // 1.5 · 2²³: adding it rounds to an integer
  const Vector n = (x * 1.44269504f + magic) - magic;
  const Vector r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vector p = all(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const IntVector power = ((IntVector)(n + magic) << 23) + 0x3f800000;  // the integer lies in the low bits
  return p * (Vector)power;
}

struct Normal {
  Vector distribution;  // Φ(x)
  Vector density;       // φ(x)
};

// The standard normal distribution and its density. Abramowitz & Stegun 7.1.26 for the tail, absolute error 7.5e-8;
// the tail itself carries its sign, so that small values keep their digits.
inline Normal normal(Vector x) {
  const Vector size = absolute(x);
  const Vector e = exponential(x * x * -0.5f);
  const Vector t = 1.0f / (1.0f + 0.3275911f * 0.70710678f * size);
  Vector p = all(0.5f * 1.061405429f);
  p = p * t - 0.5f * 1.453152027f;
  p = p * t + 0.5f * 1.421413741f;
  p = p * t - 0.5f * 0.284496736f;
  p = p * t + 0.5f * 0.254829592f;
  const Vector tail = p * t * e;
  return {x > 0.0f ? 1.0f - tail : tail, e * 0.39894228f};
}

}  // namespace sherd
