// Matrix products for tensors that lie as they lie. A word is what one multiply-add of the CPU takes from a factor: one
// float32, or two bfloat16 that are neighbours along the summed dimension. The left factor is read in place, word by
// word; the right one is first packed into panels of kPanel columns, [steps][kPanel] words. Weights stay float32 and are
// rounded while they are packed: no copy of them in bfloat16 is ever kept. Sums are float32. What is done with a result
// (bias, GELU, rounding) is a function that gets it in registers.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <type_traits>

#include "parallel.h"
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
constexpr int64_t kDeep = 1024;  // rows that a transposed product sums before it adds to the result
// What it costs to bring in a strip of the left or a panel of the right factor, in tiles of the product. Measured.
constexpr double kReadLeft = 0.3, kPackLeft = 0.7, kPackRight = 2;
constexpr int64_t kCacheBytes = 256 << 10;  // a quarter of a usual second-level cache, for each factor

inline int64_t ceilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T>
constexpr int kPerWord = 4 / sizeof(T);

template <class T>
inline Vector multiplyAdd(Vector sum, const uint32_t* a, const uint32_t* b);
template <>
inline Vector multiplyAdd<float>(Vector sum, const uint32_t* a, const uint32_t* b) {
  float x;
  std::memcpy(&x, a, 4);
  return sum + x * load(reinterpret_cast<const float*>(b));
}
template <>
inline Vector multiplyAdd<BFloat16>(Vector sum, const uint32_t* a, const uint32_t* b) {
#if defined(__AVX512BF16__)
  int32_t pair;
  std::memcpy(&pair, a, 4);
  return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(pair), (__m512bh)_mm512_loadu_si512(b));
#else
  (void)a, (void)b;
  return sum;  // never reached: kernelsFor refuses bfloat16 without the instruction
#endif
}

// `R` rows of the product; `out(row, left half, right half)` gets each. `ahead(row)` is called when there is still time to
// fetch what `out` will touch. `staged` takes the results out of the registers first, for an `out` that needs them itself.
template <class T, int R, bool staged = false, class Ahead, class Out>
inline __attribute__((always_inline)) void tile(const uint32_t* a, ptrdiff_t row, ptrdiff_t step, const uint32_t* panel,
                                                int64_t steps, Ahead&& ahead, Out&& out) {
#pragma GCC unroll 16
  for (int r = 0; r < R; r++) ahead(r);
  Vector left[R], right[R];
#pragma GCC unroll 16
  for (int r = 0; r < R; r++) left[r] = right[r] = Vector{};
  for (int64_t s = 0; s < steps; s++, a += step, panel += kPanel) {
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      left[r] = multiplyAdd<T>(left[r], a + r * row, panel);
      right[r] = multiplyAdd<T>(right[r], a + r * row, panel + kLanes);
    }
  }
  if constexpr (staged) {
    alignas(64) float results[R * kPanel];
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      store(results + r * kPanel, left[r]);
      store(results + r * kPanel + kLanes, right[r]);
    }
#pragma GCC unroll 1
    for (int r = 0; r < R; r++) out(r, load(results + r * kPanel), load(results + r * kPanel + kLanes));
  } else {
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) out(r, left[r], right[r]);
  }
}

// `rows` rows of the product with one panel.
template <class T, bool staged = false, class Ahead, class Out>
inline void tiles(const uint32_t* a, ptrdiff_t row, ptrdiff_t step, int64_t rows, const uint32_t* panel, int64_t steps,
                  Ahead&& ahead, Out&& out) {
  int64_t m = 0;
  const auto some = [&](auto count) {
    for (; m + count.value <= rows; m += count.value)
      tile<T, count.value, staged>(a + m * row, row, step, panel, steps, [&](int r) { ahead(m + r); },
                           [&](int r, Vector x, Vector y) { out(m + r, x, y); });
  };
  some(std::integral_constant<int, kRows>());
  some(std::integral_constant<int, kRows / 2>());
  some(std::integral_constant<int, 3>());
  some(std::integral_constant<int, 1>());
}

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

#if defined(__AVX512BF16__)
// 16 words along a row.
template <class T, class S>
inline __m512i wordsAlong(const S* from) {
  if constexpr (sizeof(T) == 2 && sizeof(S) == 4)
    return (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + 16), _mm512_loadu_ps(from));
  else
    return _mm512_loadu_si512(from);
}
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
#if defined(__AVX512BF16__)
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
#if defined(__AVX512BF16__)
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
#if defined(__AVX512BF16__)
  Vector total{};
  const __mmask16 valid = static_cast<__mmask16>((1u << columns) - 1);
  for (; (s + 1) * kPerWord<T> <= depth; s++) {
    const T* x = from + s * kPerWord<T> * stride;
    for (int i = 0; i < kPerWord<T>; i++) __builtin_prefetch(x + (kAhead * kPerWord<T> + i) * stride + kRows);
    __m512i words;
    if constexpr (sizeof(T) == 4)
      words = _mm512_maskz_loadu_epi32(valid, x);
    else
      words = interleaved(_mm512_inserti64x4(_mm512_castsi256_si512(_mm256_maskz_loadu_epi16(valid, x)),
                                             _mm256_maskz_loadu_epi16(valid, x + stride), 1));
    _mm512_storeu_si512(to + s * kRows, words);  // the next step, or the strip's spare room, takes the two last
    if constexpr (sizeof(T) == 4)
      total += (Vector)words;
    else
      total = (Vector)_mm512_dpbf16_ps((__m512)total, (__m512bh)words, (__m512bh)_mm512_set1_epi32(0x3f803f80));
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

// Asks for `count` elements that will soon be read, or written.
template <int written = 1, class T>
inline void fetch(const T* from, int64_t count) {
  for (size_t byte = 0; byte < count * sizeof(T); byte += 64)
    __builtin_prefetch(reinterpret_cast<const char*>(from) + byte, written);
}

// How `threads` share a product of `rows` × `columns` tiles. Each part reads its rows and its columns, `rowCost` and
// `columnCost` for a tile of them: the least reading, among the splits that keep every thread about equally busy.
struct Split {
  int64_t rows, columns;
};
inline Split split(int64_t rows, double rowCost, int64_t columns, double columnCost, int64_t threads) {
  Split best = {1, threads};
  double least = INFINITY;
  for (int64_t r = 1; r <= threads; r++) {
    if (threads % r != 0) continue;
    const double y = ceilDivide(rows, r), x = ceilDivide(columns, threads / r);
    const double cost = y * x + y * rowCost + x * columnCost;
    if (cost < least) {
      least = cost;
      best = {r, threads / r};
    }
  }
  return best;
}

// How a product of `strips` × `panels` tiles is cut into tasks. Either the threads share the rows and each packs every
// panel, or they share the groups of panels and each reads every row: whichever brings in less.
struct Tasks {
  int64_t group;  // panels of a task
  int64_t chunk;  // strips of a task
};
inline Tasks cut(int64_t strips, int64_t panels, int64_t mostPanels, int64_t threads) {
  if (threads == 1) return {std::min(mostPanels, panels), strips};
  const int64_t finest = 4 * threads;  // tasks that suffice for nobody to wait long at the end
  const double groups = ceilDivide(panels, mostPanels);
  const double byRows = threads * panels * kPackRight + groups * strips * kReadLeft;
  const int64_t narrow = std::max<int64_t>(1, std::min(mostPanels, panels / finest));
  const double byGroups = panels * kPackRight + ceilDivide(panels, narrow) * strips * kReadLeft;
  if (byGroups < byRows && panels >= finest) return {narrow, strips};
  return {std::min(mostPanels, panels), std::max<int64_t>(1, ceilDivide(strips, finest))};
}

// out(row, column, results, count): `count` ≤ kLanes results of A [M, K] · B [K, N]. `stride` is A's, in elements.
// ahead(row, column) comes earlier, for the same row and the first column of a panel.
template <class T, bool staged = false, class B, class Ahead, class Out>
void multiply(int64_t M, int64_t N, int64_t K, const T* a, int64_t stride, B b, Ahead&& ahead, Out&& out) {
  const int64_t steps = ceilDivide(K, kPerWord<T>);
  const int64_t panels = ceilDivide(N, kPanel);
  const int64_t block = std::max<int64_t>(kRows, kCacheBytes / (steps * 4) / kRows * kRows);
  // Rows that lie a multiple of 2 KiB apart fall into the same few cache sets, and a last half word has no neighbour.
  const bool copies = stride * sizeof(T) % 2048 == 0 || K % kPerWord<T> != 0 || stride % kPerWord<T> != 0;
  const int64_t copyStride = steps + 16;
  const int64_t most = std::max<int64_t>(1, kCacheBytes / (steps * kPanel * 4));
  const auto [group, chunk] = cut(ceilDivide(M, kRows), panels, most, threadCount());
  const int64_t groups = ceilDivide(panels, group), chunks = ceilDivide(M, chunk * kRows);
  parallelTasks(groups * chunks, [&](const auto& next) {
    uint32_t* packed = scratch<0>().words(group * steps * kPanel);
    int64_t inHand = -1;
    for (int64_t task = next(); task >= 0; task = next()) {
      const int64_t p0 = task / chunks * group, p1 = std::min(p0 + group, panels);
      const int64_t rowEnd = std::min(M, (task % chunks + 1) * chunk * kRows);
      if (inHand != p0)
        for (int64_t p = p0; p < p1; p++)
          pack<T>(b, p * kPanel, std::min<int64_t>(kPanel, N - p * kPanel), K, packed + (p - p0) * steps * kPanel);
      inHand = p0;
      for (int64_t m0 = task % chunks * chunk * kRows; m0 < rowEnd; m0 += block) {
        const int64_t rows = std::min(block, rowEnd - m0);
        const uint32_t* left = reinterpret_cast<const uint32_t*>(a + m0 * stride);
        ptrdiff_t row = stride / kPerWord<T>;
        if (copies) {
          uint32_t* copy = scratch<1>().words(block * copyStride);
          for (int64_t m = 0; m < rows; m++) {
            copy[m * copyStride + steps - 1] = 0;
            std::memcpy(copy + m * copyStride, a + (m0 + m) * stride, K * sizeof(T));
          }
          left = copy;
          row = copyStride;
        }
        for (int64_t p = p0; p < p1; p++) {
          const int64_t n = p * kPanel;
          // The first panel finds its rows in memory, and so asks for those of the next strips.
          const int64_t fetched = p == p0 && !copies ? rows - 2 * kRows : 0;
          tiles<T, staged>(left, row, 1, rows, packed + (p - p0) * steps * kPanel, steps,
                           [&](int64_t m) {
                             ahead(m0 + m, n);
                             if (m < fetched) fetch<0>(a + (m0 + m + 2 * kRows) * stride, K);
                           },
                           [&](int64_t m, Vector x, Vector y) {
                             out(m0 + m, n, x, std::min<int64_t>(kLanes, N - n));
                             if (N - n > kLanes) out(m0 + m, n + kLanes, y, std::min<int64_t>(kLanes, N - n - kLanes));
                           });
        }
      }
    }
  });
}

// C [N, K] = Gᵀ X for G [M, N] and X [M, K], and the sums of G's columns: the gradients of a linear map's weight and bias.
template <class T>
void multiplyTransposed(int64_t M, int64_t N, int64_t K, const T* g, int64_t gStride, const T* x, int64_t xStride, float* c,
                        float* columnSums) {
  // Rows of G and X that are worked on at a time, in equal parts.
  const int64_t deep = ceilDivide(ceilDivide(M, ceilDivide(M, kDeep)), 2) * 2;
  const int64_t maxSteps = ceilDivide(deep, kPerWord<T>);
  const int64_t panels = ceilDivide(K, kPanel), strips = ceilDivide(N, kRows);
  const int64_t group = std::max<int64_t>(1, kCacheBytes / (maxSteps * kPanel * 4));
  const Split parts = split(strips, kPackLeft, panels, kPackRight, threadCount());
  parallel(parts.rows * parts.columns, [&](int64_t part) {
    const int64_t r = part / parts.columns, column = part % parts.columns;
    const int64_t strip0 = strips * r / parts.rows, strip1 = strips * (r + 1) / parts.rows;
    const int64_t panel0 = panels * column / parts.columns, panel1 = panels * (column + 1) / parts.columns;
    uint32_t* left = scratch<0>().words((strip1 - strip0) * maxSteps * kRows + kLanes);
    uint32_t* right = scratch<1>().words(group * maxSteps * kPanel);
    for (int64_t m0 = 0; m0 < M; m0 += deep) {
      const int64_t depth = std::min(deep, M - m0), steps = ceilDivide(depth, kPerWord<T>);
      for (int64_t s = strip0; s < strip1; s++) {
        const int64_t count = std::min<int64_t>(kRows, N - s * kRows);
        float sums[kRows] = {};
        packTransposed<T>(g + m0 * gStride + s * kRows, gStride, count, depth, left + (s - strip0) * steps * kRows, sums);
        if (columnSums && column == 0)
          for (int64_t n = 0; n < count; n++) {
            float& total = columnSums[s * kRows + n];
            total = sums[n] + (m0 == 0 ? 0.0f : total);
          }
      }
      for (int64_t p0 = panel0; p0 < panel1; p0 += group) {
        const int64_t p1 = std::min(p0 + group, panel1);
        for (int64_t p = p0; p < p1; p++)
          pack<T>(Across<T>{x + m0 * xStride, xStride}, p * kPanel, std::min<int64_t>(kPanel, K - p * kPanel), depth,
                  right + (p - p0) * steps * kPanel);
        for (int64_t s = strip0; s < strip1; s++)
          for (int64_t p = p0; p < p1; p++) {
            const int64_t rows = std::min<int64_t>(kRows, N - s * kRows), k = p * kPanel;
            float* to = c + s * kRows * K + k;
            tile<T, kRows>(left + (s - strip0) * steps * kRows, 1, kRows, right + (p - p0) * steps * kPanel, steps,
                           [&](int i) { fetch(to + i * K, kPanel); },
                           [&](int i, Vector x0, Vector x1) {
                             if (i >= rows) return;
                             const int64_t count = K - k;
                             float* row = to + i * K;
                             store(row, m0 == 0 ? x0 : load(row, count) + x0, count);
                             if (count <= kLanes) return;
                             row += kLanes;
                             store(row, m0 == 0 ? x1 : load(row, count - kLanes) + x1, count - kLanes);
                           });
          }
      }
    }
  });
}

}  // namespace sherd
