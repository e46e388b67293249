// Matrix products for tensors that lie as they lie. The left factor is read in place, word by word (pack.h); the right one
// is first packed into panels of kPanel columns, [steps][kPanel] words. Weights stay float32 and are rounded while they are
// packed: no copy of them in bfloat16 is ever kept. Sums are float32. What is done with a result (bias, GELU, rounding) is
// a function that gets it in registers.
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "pack.h"
#include "parallel.h"
#include "vector.h"

namespace sherd {

constexpr int64_t kDeep = 1536;  // rows that a transposed product sums before it adds to the result
// What it costs to bring in a strip of the left or a panel of the right factor, in tiles of the product. Measured.
constexpr double kReadLeft = 0.3, kPackLeft = 0.7, kPackRight = 2;
constexpr int64_t kCacheBytes = 256 << 10;  // a quarter of a usual second-level cache, for each factor

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
  return sum;  // never reached: withType (operators.cc) refuses bfloat16 without the instruction
#endif
}

// `R` rows of the product; `out(row, results)` gets each. `ahead(row)` is called when there is still time to fetch what
// `out` will touch. `staged` puts the results into memory first, and calls `out(R, results)` once, for an `out` that needs
// the registers itself.
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
    out(R, static_cast<const float*>(results));
  } else {
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) out(r, Two{left[r], right[r]});
  }
}

// `rows` rows of the product with one panel.
template <class T, bool staged = false, class Ahead, class Out>
inline void tiles(const uint32_t* a, ptrdiff_t row, ptrdiff_t step, int64_t rows, const uint32_t* panel, int64_t steps,
                  Ahead&& ahead, Out&& out) {
  int64_t m = 0;
  const auto some = [&](auto count) {
    for (; m + count.value <= rows; m += count.value)
      if constexpr (staged)
        tile<T, count.value, true>(a + m * row, row, step, panel, steps, [&](int r) { ahead(m + r); },
                                   [&](int rows, const float* results) { out(m, rows, results); });
      else
        tile<T, count.value>(a + m * row, row, step, panel, steps, [&](int r) { ahead(m + r); },
                             [&](int r, Two x) { out(m + r, x); });
  };
  some(std::integral_constant<int, kRows>());
  some(std::integral_constant<int, kRows / 2>());
  some(std::integral_constant<int, 3>());
  some(std::integral_constant<int, 1>());
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

// out(row, column, results, count): a row of a panel of A [M, K] · B [K, N], `Whole` or its first `count` numbers. `stride`
// is A's, in elements. ahead(row, column) comes earlier, for the same row and column.
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
          const uint32_t* panel = packed + (p - p0) * steps * kPanel;
          const auto soon = [&](int64_t m) {
            ahead(m0 + m, n);
            if (m < fetched) fetch<0>(a + (m0 + m + 2 * kRows) * stride, K);
          };
          const auto rowsOf = [&](auto count) {
            return [=, &out](int64_t m, int R, const float* results) {
              if constexpr (staged)
                out(m0 + m, R, n, results, count);
              else
                for (int r = 0; r < R; r++) out(m0 + m + r, n, loadTwo(results + r * kPanel, Whole()), count);
            };
          };
          if (N - n < kPanel)
            tiles<T, true>(left, row, 1, rows, panel, steps, soon, rowsOf(N - n));
          else if constexpr (staged)
            tiles<T, true>(left, row, 1, rows, panel, steps, soon, rowsOf(Whole()));
          else
            tiles<T>(left, row, 1, rows, panel, steps, soon, [&](int64_t m, Two x) { out(m0 + m, n, x, Whole()); });
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
                           [&](int i, Two x) {
                             if (i >= rows) return;
                             float* row = to + i * K;
                             const auto add = [&](auto count) { store(row, m0 == 0 ? x : loadTwo(row, count) + x, count); };
                             K - k >= kPanel ? add(Whole()) : add(K - k);
                           });
          }
      }
    }
  });
}

}  // namespace sherd
