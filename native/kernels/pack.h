// Factors of matrix products in the order in which a product reads them. A word is what one multiply-add of the CPU takes
// from a factor: one float32, or two bfloat16 that are neighbours along the summed dimension.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#include "vector.h"

namespace sherd {

constexpr int kPanel = 2 * kLanes;
// Rows of a tile: as many as leave registers for two vectors of the panel and one broadcast.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kRows = 14;
#else
constexpr int kRows = 6;
#endif
constexpr int kAhead = 8;  // steps between the request for a row and its use, when rows lie far apart

inline int64_t ceilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T>
constexpr int kPerWord = 4 / sizeof(T);

// Memory of a thread that lasts from product to product.
class Scratch {
 public:
  uint32_t* words(int64_t count) {
    if (count > size_) {
      memory_.reset(static_cast<uint32_t*>(std::aligned_alloc(64, ceilDivide(count * 4, 64) * 64)));
      if (!memory_) throw std::bad_alloc();
      size_ = count;
    }
    return memory_.get();
  }
  template <class T>
  T* of(int64_t count) {
    return reinterpret_cast<T*>(words(ceilDivide(count * sizeof(T), 4)));
  }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<uint32_t, Free> memory_;
  int64_t size_ = 0;
};

template <int purpose>
inline Scratch& scratch() {
  static thread_local Scratch mine;
  return mine;
}

// Words of two neighbours in a row (`along`), or of one column in two rows (`across`); zero past the end.
template <class T, class S>
inline uint32_t pairOf(const S* first, const S* second) {
  if constexpr (sizeof(T) == 4) {
    const float x = first ? toFloat(*first) : 0.0f;
    uint32_t word;
    std::memcpy(&word, &x, 4);
    return word;
  } else {
    const auto bits = [](const S* x) -> uint32_t { return x ? fromFloat<BFloat16>(toFloat(*x)).bits : 0; };
    return bits(first) | bits(second) << 16;
  }
}

#if defined(__AVX512F__)
// 16 words along a row.
template <class T, class S>
inline __m512i wordsAlong(const S* from) {
  if constexpr (sizeof(T) == 2 && sizeof(S) == 4)
    return (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + 16), _mm512_loadu_ps(from));
  else
    return _mm512_loadu_si512(from);
}
#if defined(__AVX512BF16__)
// 32 bfloat16 whose halves are 16 of `first` and 16 of `second`.
inline __m512i bothHalves(const float* first, const float* second) {
  return (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(second), _mm512_loadu_ps(first));
}
inline __m512i bothHalves(const BFloat16* first, const BFloat16* second) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const __m256i*)first)),
                            _mm256_loadu_si256((const __m256i*)second), 1);
}
// Makes pairs of them: 16 words.
inline __m512i interleaved(__m512i halves) {
  alignas(64) static constexpr auto order = [] {
    std::array<uint16_t, 32> each{};
    for (uint16_t i = 0; i < 32; i++) each[i] = i / 2 + i % 2 * 16;
    return each;
  }();
  return _mm512_permutexvar_epi16(_mm512_load_si512(order.data()), halves);
}
#endif
// 16 words of two rows, or of the first alone.
template <class T, class S>
inline __m512i wordsAcross(const S* first, const S* second) {
  if constexpr (sizeof(T) == 4)
    return _mm512_loadu_si512(first);
  else
    return interleaved(bothHalves(first, second));
}
inline void transpose16(__m512i* r) {
  __m512i t[16];
  for (int i = 0; i < 8; i++) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 8; i++) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
  }
}
#endif

// A right factor, seen through how it lies. `along`: column n is row n of `data`, as the weight [out, in] of a linear map;
// `across`: column n is column n of `data`, and the sum runs over its rows.
template <class S>
struct Along {
  const S* data;
  int64_t stride;
};
template <class S>
struct Across {
  const S* data;
  int64_t stride;
};

// Packs `columns` ≤ kPanel columns from `first` on, `depth` summands, into [⌈depth / perWord⌉][kPanel] words.
template <class T, class S>
inline void pack(Along<S> from, int64_t first, int64_t columns, int64_t depth, uint32_t* panel) {
  const int64_t steps = ceilDivide(depth, kPerWord<T>);
  int64_t s = 0;
#if defined(__AVX512F__)
  for (; (s + 16) * kPerWord<T> <= depth; s += 16)
    for (int half = 0; half < kPanel; half += 16) {
      __m512i rows[16];
      for (int i = 0; i < 16; i++)
        rows[i] = half + i < columns
                      ? wordsAlong<T>(from.data + (first + half + i) * from.stride + s * kPerWord<T>)
                      : _mm512_setzero_si512();
      transpose16(rows);
      for (int i = 0; i < 16; i++) _mm512_storeu_si512(panel + (s + i) * kPanel + half, rows[i]);
    }
#endif
  for (; s < steps; s++)
    for (int64_t n = 0; n < kPanel; n++) {
      const S* x = from.data + (first + n) * from.stride + s * kPerWord<T>;
      const bool second = kPerWord<T> == 2 && s * 2 + 1 < depth;
      panel[s * kPanel + n] = n < columns ? pairOf<T, S>(x, second ? x + 1 : nullptr) : 0;
    }
}
template <class T, class S>
inline void pack(Across<S> from, int64_t first, int64_t columns, int64_t depth, uint32_t* panel) {
  const int64_t steps = ceilDivide(depth, kPerWord<T>);
  int64_t s = 0;
#if defined(__AVX512F__)
  for (; columns == kPanel && (s + 1) * kPerWord<T> <= depth; s++) {
    const S* x = from.data + s * kPerWord<T> * from.stride + first;
    for (int i = 0; i < kPerWord<T>; i++)  // rows are too far apart for the CPU to guess the next
      for (int byte = 0; byte < kPanel * (int)sizeof(S); byte += 64)
        __builtin_prefetch(reinterpret_cast<const char*>(x + (kAhead * kPerWord<T> + i) * from.stride) + byte);
    _mm512_storeu_si512(panel + s * kPanel, (wordsAcross<T, S>(x, x + from.stride)));
    _mm512_storeu_si512(panel + s * kPanel + 16, (wordsAcross<T, S>(x + 16, x + from.stride + 16)));
  }
#endif
  for (; s < steps; s++)
    for (int64_t n = 0; n < kPanel; n++) {
      const S* x = from.data + s * kPerWord<T> * from.stride + first + n;
      const bool second = kPerWord<T> == 2 && s * 2 + 1 < depth;
      panel[s * kPanel + n] = n < columns ? pairOf<T, S>(x, second ? x + from.stride : nullptr) : 0;
    }
}

// Packs `columns` ≤ kRows columns of a left factor whose sum runs over rows, into [steps][kRows] words, and adds each
// column up on the way.
template <class T>
inline void packTransposed(const T* from, int64_t stride, int64_t columns, int64_t depth, uint32_t* to, float* sums) {
  const int64_t steps = ceilDivide(depth, kPerWord<T>);
  int64_t s = 0;
#if defined(__AVX512F__)
  Vector total{};
  const __mmask16 valid = static_cast<__mmask16>((1u << columns) - 1);
  for (; (s + 1) * kPerWord<T> <= depth; s++) {
    const T* x = from + s * kPerWord<T> * stride;
    for (int i = 0; i < kPerWord<T>; i++) __builtin_prefetch(x + (kAhead * kPerWord<T> + i) * stride + kRows);
    __m512i words;
    if constexpr (sizeof(T) == 4) {
      words = _mm512_maskz_loadu_epi32(valid, x);
      total += (Vector)words;
    }
#if defined(__AVX512BF16__)
    else {
      words = interleaved(_mm512_inserti64x4(_mm512_castsi256_si512(_mm256_maskz_loadu_epi16(valid, x)),
                                             _mm256_maskz_loadu_epi16(valid, x + stride), 1));
      total = (Vector)_mm512_dpbf16_ps((__m512)total, (__m512bh)words, (__m512bh)_mm512_set1_epi32(0x3f803f80));
    }
#endif
    _mm512_storeu_si512(to + s * kRows, words);  // the next step, or the strip's spare room, takes the two last
  }
  for (int64_t n = 0; n < columns; n++) sums[n] += total[n];
#endif
  for (; s < steps; s++)
    for (int64_t n = 0; n < kRows; n++) {
      const T* x = from + s * kPerWord<T> * stride + n;
      const bool second = kPerWord<T> == 2 && s * 2 + 1 < depth;
      to[s * kRows + n] = n < columns ? pairOf<T, T>(x, second ? x + stride : nullptr) : 0;
      if (n < columns) sums[n] += toFloat(*x) + (second ? toFloat(x[stride]) : 0.0f);
    }
}

}  // namespace sherd
