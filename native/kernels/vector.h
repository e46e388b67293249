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

// Two neighbouring vectors: a row of a panel. `count` is how many of its numbers exist; `Whole` says all of them.
struct Two {
  Vector left, right;
};
struct Whole {};
inline Two operator+(Two a, Two b) { return {a.left + b.left, a.right + b.right}; }
inline Two operator*(Two a, Two b) { return {a.left * b.left, a.right * b.right}; }

template <class T>
inline Two loadTwo(const T* from, Whole) {
  return {load(from), load(from + kLanes)};
}
template <class T>
inline Two loadTwo(const T* from, int64_t count) {
  return {load(from, count), count > kLanes ? load(from + kLanes, count - kLanes) : Vector{}};
}
inline void store(float* to, Two x, Whole) {
  store(to, x.left);
  store(to + kLanes, x.right);
}
inline void store(BFloat16* to, Two x, Whole) {
#if defined(__AVX512BF16__)
  _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh((__m512)x.right, (__m512)x.left));
#else
  store(to, x.left);
  store(to + kLanes, x.right);
#endif
}
template <class T>
inline void store(T* to, Two x, int64_t count) {
  store(to, x.left, count);
  if (count > kLanes) store(to + kLanes, x.right, count - kLanes);
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
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)x);
#else
  float total = 0;
  for (int i = 0; i < kLanes; i++) total += x[i];
  return total;
#endif
}
inline float largest(Vector x) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps((__m512)x);
#else
  float top = x[0];
  for (int i = 1; i < kLanes; i++) top = x[i] > top ? x[i] : top;
  return top;
#endif
}
inline Vector larger(Vector a, Vector b) { return a > b ? a : b; }
inline Vector absolute(Vector x) { return (Vector)((IntVector)x & 0x7fffffff); }

// The first `count` lanes of x; the others are `otherwise`.
inline Vector firstLanes(Vector x, int64_t count, float otherwise) {
  if (count >= kLanes) return x;
#if defined(__AVX512F__)
  return (Vector)_mm512_mask_mov_ps(_mm512_set1_ps(otherwise), static_cast<__mmask16>(count > 0 ? (1u << count) - 1 : 0),
                                    (__m512)x);
#else
  for (int64_t i = count > 0 ? count : 0; i < kLanes; i++) x[i] = otherwise;
  return x;
#endif
}

// 1 / x to about one unit in the last place.
inline Vector reciprocal(Vector x) {
#if defined(__AVX512F__)
  const Vector r = (Vector)_mm512_rcp14_ps((__m512)x);
  return r * (2.0f - x * r);
#else
  return 1.0f / x;
#endif
}

// eˣ for x ≤ 88: x = n ln 2 + r, then a polynomial in r (Cephes, expf). To about one unit in the last place, or of a
// bfloat16 when the result becomes one.
template <class T>
inline Vector exponential(Vector x) {
#if defined(__AVX512F__)
  const Vector n = (Vector)_mm512_roundscale_ps((__m512)(x * 1.44269504f), 0);
#else
  x = larger(x, all(-87.3f));
  const Vector magic = all(12582912.0f);  // 1.5 · 2²³: adding it rounds to an integer, which then lies in the low bits
  const Vector n = (x * 1.44269504f + magic) - magic;
#endif
  const Vector r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vector p = all(4.1665795894e-2f);
  if constexpr (sizeof(T) == 4) p = ((1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r + p;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
#if defined(__AVX512F__)
  return (Vector)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  return p * (Vector)(((IntVector)(n + magic) << 23) + 0x3f800000);
#endif
}

}  // namespace sherd
