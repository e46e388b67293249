// Flash attention (Dao 2023) cuts long sequences into blocks of 64 to 128 tokens. The sequences of a masked autoencoder are shorter:
// 17, 50, 65 or 197 tokens, so most of a block is padding, and its backward pass is several kernels and copies. Here one block of
// threads has a whole head of a sample in shared memory, in tiles of 16 tokens, and reads and writes qkv where it lies. Scores and
// probabilities stay in registers: forward a warp has tiles of queries and goes through the keys; backward it has tiles of keys, goes
// through the queries, and finds their probabilities by the logarithm that the forward pass kept of each. Products are taken in
// bfloat16 and added up in float32 by the tensor cores; the softmax is float32. What limits these kernels is waiting for memory, so
// a block asks for all of its rows at once, and several blocks share a multiprocessor.
#include <algorithm>

#include "attention.h"
#include "tensor-core.h"

namespace sherd::cuda {
namespace {

using Number = __nv_bfloat16;

constexpr int kTile = 16;
constexpr int kLanes = 32;
constexpr int kMostTiles = 16;
constexpr float kLog2e = 1.4426950408889634f;

template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};

// A head of kParts · 16 numbers in shared memory: rows of q, k, v and of dS, each 8 numbers longer than what they hold, so that tiles
// do not hit the same banks.
template <int kParts>
struct Layout {
  static constexpr int kWidth = kParts * kTile;
  static constexpr int kStride = kWidth + 8;
  static constexpr int kPieces = kWidth / 8;  // of 16 bytes in a row
  static constexpr int kAcross = kPieces % 8 == 0 ? 8 : kPieces % 4 == 0 ? 4 : 2;  // lanes that copy a row
  static constexpr int kEach = kPieces / kAcross;
  int tokens, tiles;
  __host__ __device__ explicit Layout(int64_t tokens)
      : tokens(static_cast<int>(tokens)), tiles(static_cast<int>((tokens + kTile - 1) / kTile)) {}
  __host__ __device__ int rows() const { return tiles * kTile; }
  __host__ __device__ int matrix() const { return rows() * kStride; }  // numbers of one of q, k, v
  __host__ __device__ int scoreStride() const { return rows() + 8; }
};

// Where a lane is in a warp, and which rows of a tile it gives to loadTiles.
struct Lane {
  int lane, g, t;
  int down, across;  // tiles one below the other first: a left factor, or a right factor by its transpose
  int side, below;   // tiles side by side first: a right factor by its rows, or a left factor by its transpose
  __device__ explicit Lane(int lane)
      : lane(lane),
        g(lane / 4),
        t(lane % 4),
        down(lane % 16),
        across(lane / 16 * 8),
        side(lane / 8 % 2 * 8),
        below(lane % 8 + lane / 16 * 8) {}
};

// A tile [16, 16] of a matrix in shared memory, `from` pointing at its corner.
__device__ inline Left leftOf(const Lane& l, const Number* from, int stride) {
  Left a;
  loadTiles<false>(a.x, from + l.down * stride + l.across);
  return a;
}
__device__ inline Left leftOfTransposed(const Lane& l, const Number* from, int stride) {
  Left a;
  loadTiles<true>(a.x, from + l.below * stride + l.side);
  return a;
}
__device__ inline Right rightOf(const Lane& l, const Number* from, int stride) {
  Right b;
  loadTiles<true>(b.x, from + l.down * stride + l.across);
  return b;
}
__device__ inline Right rightOfTransposed(const Lane& l, const Number* from, int stride) {
  Right b;
  loadTiles<false>(b.x, from + l.below * stride + l.side);
  return b;
}
__device__ inline void multiply(Sum& sum, const Left& a, const Right& b) {
  multiplyTile(sum.x[0], a.x, b.x[0], b.x[1]);
  multiplyTile(sum.x[1], a.x, b.x[2], b.x[3]);
}

__device__ inline uint32_t pair(float low, float high) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&both);
}
// Sums as a left factor, without leaving the registers.
__device__ inline Left asLeft(const Sum& s) {
  return {{pair(s.x[0][0], s.x[0][1]), pair(s.x[0][2], s.x[0][3]), pair(s.x[1][0], s.x[1][1]), pair(s.x[1][2], s.x[1][3])}};
}
// A left factor into shared memory.
__device__ inline void keep(const Lane& l, const Left& a, Number* to, int stride) {
#pragma unroll
  for (int i = 0; i < 4; i++)
    *reinterpret_cast<uint32_t*>(to + (l.g + i % 2 * 8) * stride + i / 2 * 8 + 2 * l.t) = a.x[i];
}

// 2ˣ, with results below 2⁻¹²⁶ as 0.
__device__ inline float power(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// The four lanes that have a row.
__device__ inline float rowMax(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
__device__ inline float rowSum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

// Rows first ≤ row < end of a tile of results to memory, whole rows at a time; `desk` is 16 rows of shared memory that only this warp
// uses, `to` points at row 0.
template <int kParts>
__device__ inline void write(const Lane& l, const Sum (&sums)[kParts], Number* desk, Number* to, int64_t stride, int first, int end) {
  using L = Layout<kParts>;
  __syncwarp();
#pragma unroll
  for (int c = 0; c < kParts; c++) keep(l, asLeft(sums[c]), desk + c * kTile, L::kStride);
  __syncwarp();
#pragma unroll
  for (int i = 0; i < kParts; i++) {
    const int at = i * kLanes + l.lane, row = at / L::kPieces, column = at % L::kPieces * 8;
    if (row >= first && row < end)
      *reinterpret_cast<uint4*>(to + row * stride + column) = *reinterpret_cast<const uint4*>(desk + row * L::kStride + column);
  }
}

// kQueries: tiles of queries that a warp has at a time. kKeys: tiles of keys between two corrections of the sums; kIsAll: exactly
// these. kBlocks: blocks of kThreads threads that a multiprocessor is to have room for.
template <int kParts, int kQueries, int kKeys, bool kIsAll, int kThreads, int kBlocks>
__global__ void __launch_bounds__(kThreads, kBlocks) attentionKernel(Attention a) {
  using L = Layout<kParts>;
  extern __shared__ __align__(128) unsigned char memory[];
  const L l(a.tokens);
  const Lane lane(threadIdx.x % kLanes);
  const int warp = threadIdx.x / kLanes, warps = blockDim.x / kLanes, from = static_cast<int>(a.from), begin = from / kTile;
  const int64_t b = blockIdx.x / a.heads, h = blockIdx.x % a.heads, D = a.heads * L::kWidth, stride = 3 * D;
  Number* q = reinterpret_cast<Number*>(memory);
  Number *k = q + l.matrix(), *v = k + l.matrix();
  {
    const Number* in = static_cast<const Number*>(a.qkv) + b * a.tokens * stride + h * L::kWidth;
    const int column = threadIdx.x % L::kAcross * 8;
    for (int row = threadIdx.x / L::kAcross; row < l.rows(); row += blockDim.x / L::kAcross) {
      const bool isThere = row < l.tokens;
      const Number* given = isThere ? in + row * stride + column : in;
      const int at = row * L::kStride + column;
#pragma unroll
      for (int i = 0; i < L::kEach * L::kAcross * 8; i += L::kAcross * 8) {
        if (row >= begin * kTile) startCopy(q + at + i, given + i, isThere);
        startCopy(k + at + i, given + D + i, isThere);
        startCopy(v + at + i, given + 2 * D + i, isThere);
      }
    }
  }
  waitForCopies();
  __syncthreads();
  const float scale = rsqrtf(static_cast<float>(L::kWidth)) * kLog2e;
  const int64_t results = a.tokens - from;
  Number* out = static_cast<Number*>(a.out) + b * results * D + h * L::kWidth;
  float* logarithms = a.logarithms + static_cast<int64_t>(blockIdx.x) * results;
  for (int start = begin + warp * kQueries; start < l.tiles; start += warps * kQueries) {
    Left queries[kQueries][kParts];
    Sum sums[kQueries][kParts];
    float most[kQueries][2], total[kQueries][2];  // of the rows g and g + 8; a lane has its own share of the total
#pragma unroll
    for (int m = 0; m < kQueries; m++) {
      const int tile = min(start + m, l.tiles - 1);
#pragma unroll
      for (int c = 0; c < kParts; c++) {
        queries[m][c] = leftOf(lane, q + tile * kTile * L::kStride + c * kTile, L::kStride);
        sums[m][c] = {};
      }
      most[m][0] = most[m][1] = -INFINITY;
      total[m][0] = total[m][1] = 0;
    }
    const auto take = [&](auto count, int t0) {
      constexpr int kCount = decltype(count)::value;
      Sum scores[kQueries][kCount];
#pragma unroll
      for (int t = 0; t < kCount; t++) {
#pragma unroll
        for (int m = 0; m < kQueries; m++) scores[m][t] = {};
#pragma unroll
        for (int c = 0; c < kParts; c++) {
          const Right keys = rightOfTransposed(lane, k + (t0 + t) * kTile * L::kStride + c * kTile, L::kStride);
#pragma unroll
          for (int m = 0; m < kQueries; m++) multiply(scores[m][t], queries[m][c], keys);
        }
      }
      if (kIsAll || t0 + kCount == l.tiles) {
#pragma unroll
        for (int m = 0; m < kQueries; m++)
#pragma unroll
          for (int i = 0; i < 8; i++)
            if ((t0 + kCount - 1) * kTile + i / 4 * 8 + 2 * lane.t + i % 2 >= l.tokens)
              scores[m][kCount - 1].x[i / 4][i % 4] = -INFINITY;
      }
      float offset[kQueries][2];
#pragma unroll
      for (int m = 0; m < kQueries; m++)
#pragma unroll
        for (int upper = 0; upper < 2; upper++) {
          float top = most[m][upper];
#pragma unroll
          for (int t = 0; t < kCount; t++)
#pragma unroll
            for (int i = 0; i < 4; i++) top = fmaxf(top, scores[m][t].x[i / 2][i % 2 + 2 * upper]);
          top = rowMax(top);
          offset[m][upper] = -top * scale;
          if constexpr (!kIsAll) {
            const float factor = power(fmaf(most[m][upper], scale, offset[m][upper]));
            total[m][upper] *= factor;
#pragma unroll
            for (int c = 0; c < kParts; c++)
#pragma unroll
              for (int i = 0; i < 4; i++) sums[m][c].x[i / 2][i % 2 + 2 * upper] *= factor;
          }
          most[m][upper] = top;
        }
#pragma unroll
      for (int t = 0; t < kCount; t++) {
        Left shares[kQueries];
#pragma unroll
        for (int m = 0; m < kQueries; m++) {
#pragma unroll
          for (int i = 0; i < 8; i++) {
            float& x = scores[m][t].x[i / 4][i % 4];
            x = power(fmaf(x, scale, offset[m][i % 4 / 2]));
            total[m][i % 4 / 2] += x;
          }
          shares[m] = asLeft(scores[m][t]);
        }
#pragma unroll
        for (int c = 0; c < kParts; c++) {
          const Right values = rightOf(lane, v + (t0 + t) * kTile * L::kStride + c * kTile, L::kStride);
#pragma unroll
          for (int m = 0; m < kQueries; m++) multiply(sums[m][c], shares[m], values);
        }
      }
    };
    if constexpr (kIsAll) {
      take(Constant<kKeys>(), 0);
    } else {
      int t = 0;
      for (; t + kKeys <= l.tiles; t += kKeys) take(Constant<kKeys>(), t);
      if constexpr (kKeys > 1)
        for (; t < l.tiles; t++) take(Constant<1>(), t);
    }
#pragma unroll
    for (int m = 0; m < kQueries; m++) {
      const int row = (start + m) * kTile;
      if (row >= l.tokens) break;
      const int first = max(from - row, 0), end = min(l.tokens - row, kTile);
#pragma unroll
      for (int upper = 0; upper < 2; upper++) {
        const float all = rowSum(total[m][upper]), factor = __fdividef(1.0f, all);
#pragma unroll
        for (int c = 0; c < kParts; c++)
#pragma unroll
          for (int i = 0; i < 4; i++) sums[m][c].x[i / 2][i % 2 + 2 * upper] *= factor;
        const int mine = lane.g + 8 * upper;
        if (lane.t == 0 && mine >= first && mine < end) logarithms[row + mine - from] = most[m][upper] * scale + __log2f(all);
      }
      write<kParts>(lane, sums[m], q + row * L::kStride, out + static_cast<int64_t>(row - from) * D, D, first, end);
    }
  }
}

// All that the backward pass reads, and of each query the product of its result and that one's gradient.
template <int kParts>
__device__ inline void load(const AttentionGradient& a, const Layout<kParts>& l, Number* q, Number* g, float* logarithms,
                            float* products) {
  using L = Layout<kParts>;
  Number *k = q + l.matrix(), *v = k + l.matrix();
  const int from = static_cast<int>(a.from), begin = from / kTile;
  const int64_t b = blockIdx.x / a.heads, h = blockIdx.x % a.heads, D = a.heads * L::kWidth, stride = 3 * D;
  const int64_t results = a.tokens - from;
  const Number* in = static_cast<const Number*>(a.qkv) + b * a.tokens * stride + h * L::kWidth;
  const int64_t results0 = b * results * D + h * L::kWidth;
  const Number* given = static_cast<const Number*>(a.gradientOut) + results0;
  const Number* out = static_cast<const Number*>(a.out) + results0;
  const int column = threadIdx.x % L::kAcross * 8, step = blockDim.x / L::kAcross;
  for (int row = threadIdx.x / L::kAcross; row < l.rows(); row += step) {
    const bool isThere = row < l.tokens;
    const Number* mine = isThere ? in + row * stride + column : in;
    const int at = row * L::kStride + column;
#pragma unroll
    for (int i = 0; i < L::kEach * L::kAcross * 8; i += L::kAcross * 8) {
      if (row >= begin * kTile) startCopy(q + at + i, mine + i, isThere);
      startCopy(k + at + i, mine + D + i, isThere);
      startCopy(v + at + i, mine + 2 * D + i, isThere);
    }
  }
  constexpr int kRows = L::kEach > 1 ? 1 : 4;  // that a lane reads before it waits for them
  for (int start = begin * kTile + threadIdx.x / L::kAcross; start < l.rows(); start += kRows * step) {
    uint4 x[kRows][L::kEach], y[kRows][L::kEach];
    float logarithm[kRows];
#pragma unroll
    for (int n = 0; n < kRows; n++) {
      const int row = start + n * step;
      // Queries whose results nobody asked for have no share of anything.
      const bool isAsked = row >= from && row < l.tokens;
#pragma unroll
      for (int i = 0; i < L::kEach; i++) {
        const int64_t at = (row - from) * D + column + i * L::kAcross * 8;
        x[n][i] = isAsked ? __ldg(reinterpret_cast<const uint4*>(out + at)) : make_uint4(0, 0, 0, 0);
        y[n][i] = isAsked ? __ldg(reinterpret_cast<const uint4*>(given + at)) : make_uint4(0, 0, 0, 0);
      }
      logarithm[n] = isAsked ? __ldg(a.logarithms + static_cast<int64_t>(blockIdx.x) * results + row - from) : INFINITY;
    }
#pragma unroll
    for (int n = 0; n < kRows; n++) {
      const int row = start + n * step;
      float product = 0;
#pragma unroll
      for (int i = 0; i < L::kEach; i++) {
        const uint32_t xs[4] = {x[n][i].x, x[n][i].y, x[n][i].z, x[n][i].w}, ys[4] = {y[n][i].x, y[n][i].y, y[n][i].z, y[n][i].w};
#pragma unroll
        for (int j = 0; j < 4; j++)  // a bfloat16 is the upper half of a float32
          product += __uint_as_float(xs[j] << 16) * __uint_as_float(ys[j] << 16) +
                     __uint_as_float(xs[j] & 0xffff0000u) * __uint_as_float(ys[j] & 0xffff0000u);
        if (row < l.rows()) *reinterpret_cast<uint4*>(g + row * L::kStride + column + i * L::kAcross * 8) = y[n][i];
      }
#pragma unroll
      for (int i = 1; i < L::kAcross; i *= 2) product += __shfl_xor_sync(0xffffffffu, product, i);
      if (column == 0 && row < l.rows()) {
        logarithms[row] = logarithm[n];
        products[row] = product;
      }
    }
  }
  waitForCopies();
  __syncthreads();
}

// A warp has kKeys tiles of keys at a time. dSᵀ goes through shared memory to the warps that add up the gradients of the queries.
template <int kParts, int kKeys, int kThreads, int kBlocks>
__global__ void __launch_bounds__(kThreads, kBlocks) attentionGradientKernel(AttentionGradient a) {
  using L = Layout<kParts>;
  extern __shared__ __align__(128) unsigned char memory[];
  const L l(a.tokens);
  const Lane lane(threadIdx.x % kLanes);
  const int warp = threadIdx.x / kLanes, warps = blockDim.x / kLanes, from = static_cast<int>(a.from), begin = from / kTile;
  const int64_t b = blockIdx.x / a.heads, h = blockIdx.x % a.heads, D = a.heads * L::kWidth, stride = 3 * D;
  Number* q = reinterpret_cast<Number*>(memory);
  Number *k = q + l.matrix(), *v = k + l.matrix(), *g = v + l.matrix();
  Number* scoreGradients = g + l.matrix();  // [keys, queries]
  float* logarithms = reinterpret_cast<float*>(scoreGradients + l.rows() * l.scoreStride());
  float* products = logarithms + l.rows();  // of each query's result and its gradient
  Number* to = static_cast<Number*>(a.gradient) + b * a.tokens * stride + h * L::kWidth;
  load<kParts>(a, l, q, g, logarithms, products);
  const float root = rsqrtf(static_cast<float>(L::kWidth)), scale = root * kLog2e;
  for (int start = warp * kKeys; start < l.tiles; start += warps * kKeys) {
    Left keys[kKeys][kParts], values[kKeys][kParts];
    Sum dk[kKeys][kParts], dv[kKeys][kParts];
    bool isPadding[kKeys][2];  // of the keys g and g + 8
#pragma unroll
    for (int m = 0; m < kKeys; m++) {
      isPadding[m][0] = (start + m) * kTile + lane.g >= l.tokens;
      isPadding[m][1] = (start + m) * kTile + lane.g + 8 >= l.tokens;
      const int at = min(start + m, l.tiles - 1) * kTile * L::kStride;
#pragma unroll
      for (int c = 0; c < kParts; c++) {
        keys[m][c] = leftOf(lane, k + at + c * kTile, L::kStride);
        values[m][c] = leftOf(lane, v + at + c * kTile, L::kStride);
        dk[m][c] = {};
        dv[m][c] = {};
      }
    }
    for (int tile = begin; tile < l.tiles; tile++) {
      const Number *qTile = q + tile * kTile * L::kStride, *gTile = g + tile * kTile * L::kStride;
      Sum shares[kKeys], gradients[kKeys];  // [16 keys, 16 queries]
#pragma unroll
      for (int m = 0; m < kKeys; m++) shares[m] = gradients[m] = {};
#pragma unroll
      for (int c = 0; c < kParts; c++) {
        const Right queries = rightOfTransposed(lane, qTile + c * kTile, L::kStride);
        const Right given = rightOfTransposed(lane, gTile + c * kTile, L::kStride);
#pragma unroll
        for (int m = 0; m < kKeys; m++) {
          multiply(shares[m], keys[m][c], queries);
          multiply(gradients[m], values[m][c], given);
        }
      }
      Left left[kKeys], leftGradients[kKeys];
      float2 logs[2], sums[2];
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int query = tile * kTile + half * 8 + 2 * lane.t;
        logs[half] = *reinterpret_cast<const float2*>(logarithms + query);
        sums[half] = *reinterpret_cast<const float2*>(products + query);
      }
#pragma unroll
      for (int m = 0; m < kKeys; m++) {
#pragma unroll
        for (int i = 0; i < 8; i++) {
          float &p = shares[m].x[i / 4][i % 4], &ds = gradients[m].x[i / 4][i % 4];
          p = power(fmaf(p, scale, -(i % 2 ? logs[i / 4].y : logs[i / 4].x)));
          if (isPadding[m][i % 4 / 2]) p = 0;
          ds = p * (ds - (i % 2 ? sums[i / 4].y : sums[i / 4].x));
        }
        left[m] = asLeft(shares[m]);
        leftGradients[m] = asLeft(gradients[m]);
        if (start + m < l.tiles)
          keep(lane, leftGradients[m], scoreGradients + (start + m) * kTile * l.scoreStride() + tile * kTile, l.scoreStride());
      }
#pragma unroll
      for (int c = 0; c < kParts; c++) {
        const Right given = rightOf(lane, gTile + c * kTile, L::kStride);
        const Right queries = rightOf(lane, qTile + c * kTile, L::kStride);
#pragma unroll
        for (int m = 0; m < kKeys; m++) {
          multiply(dv[m][c], left[m], given);
          multiply(dk[m][c], leftGradients[m], queries);
        }
      }
    }
#pragma unroll
    for (int m = 0; m < kKeys; m++) {
      const int row = (start + m) * kTile;
      if (row >= l.tokens) break;
      const int end = min(l.tokens - row, kTile);
      Number* desk = v + row * L::kStride;  // which no other warp reads
#pragma unroll
      for (int c = 0; c < kParts; c++)
#pragma unroll
        for (int i = 0; i < 8; i++) dk[m][c].x[i / 4][i % 4] *= root;
      write<kParts>(lane, dk[m], desk, to + D + row * stride, stride, 0, end);
      write<kParts>(lane, dv[m], desk, to + 2 * D + row * stride, stride, 0, end);
    }
  }
  __syncthreads();
  // Now this warp's tokens are queries.
  for (int start = warp * kKeys; start < l.tiles; start += warps * kKeys) {
    Sum dq[kKeys][kParts];
#pragma unroll
    for (int m = 0; m < kKeys; m++)
#pragma unroll
      for (int c = 0; c < kParts; c++) dq[m][c] = {};
    if (start + kKeys > begin)
#pragma unroll 2
      for (int t = 0; t < l.tiles; t++) {
        Left left[kKeys];
#pragma unroll
        for (int m = 0; m < kKeys; m++)
          left[m] = leftOfTransposed(lane, scoreGradients + t * kTile * l.scoreStride() + min(start + m, l.tiles - 1) * kTile,
                                     l.scoreStride());
#pragma unroll
        for (int c = 0; c < kParts; c++) {
          const Right keys = rightOf(lane, k + t * kTile * L::kStride + c * kTile, L::kStride);
#pragma unroll
          for (int m = 0; m < kKeys; m++) multiply(dq[m][c], left[m], keys);
        }
      }
#pragma unroll
    for (int m = 0; m < kKeys; m++) {
      const int row = (start + m) * kTile;
      if (row >= l.tokens) break;
      const float factor = start + m < begin ? 0.0f : root;
#pragma unroll
      for (int c = 0; c < kParts; c++)
#pragma unroll
        for (int i = 0; i < 8; i++) {
          float& x = dq[m][c].x[i / 4][i % 4];
          x = start + m < begin ? 0.0f : x * factor;
        }
      write<kParts>(lane, dq[m], v + row * L::kStride, to + row * stride, stride, 0, min(l.tokens - row, kTile));
    }
  }
}

template <int kParts>
size_t forwardBytes(const Layout<kParts>& l) {
  return 3 * l.matrix() * sizeof(Number);
}
template <int kParts>
size_t gradientBytes(const Layout<kParts>& l) {
  return (4 * l.matrix() + l.rows() * l.scoreStride()) * sizeof(Number) + 2 * l.rows() * sizeof(float);
}

template <class Arguments>
cudaError_t launch(void (*kernel)(Arguments), const Arguments& a, int warps, size_t bytes, cudaStream_t stream) {
  if (bytes > 48 << 10) {  // which a kernel must ask for
    const cudaError_t status =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
    if (status != cudaSuccess) return status;
  }
  kernel<<<static_cast<unsigned>(a.samples * a.heads), warps * kLanes, bytes, stream>>>(a);
  return cudaGetLastError();
}

// body(parts) for heads of 16 · parts numbers.
template <class Body>
cudaError_t withParts(int64_t width, Body&& body) {
  switch (width / kTile) {
    case 1: return body(Constant<1>());
    case 2: return body(Constant<2>());
    case 4: return body(Constant<4>());
    case 5: return body(Constant<5>());
    default: return cudaErrorInvalidValue;
  }
}

int mostSharedBytes() {
  int device = 0, bytes = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return 0;
  cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  return bytes;
}

template <int kParts, int kQueries, int kKeys, bool kIsAll, int kWarps, int kBlocks>
cudaError_t launchForward(const Attention& a, cudaStream_t stream) {
  const Layout<kParts> l(a.tokens);
  const int tiles = l.tiles - static_cast<int>(a.from) / kTile;
  return launch(attentionKernel<kParts, kQueries, kKeys, kIsAll, kWarps * kLanes, kBlocks>, a,
                std::min((tiles + kQueries - 1) / kQueries, kWarps), forwardBytes(l), stream);
}

}  // namespace

bool attentionFits(int64_t tokens, int64_t width) {
  if (tokens > kMostTiles * kTile) return false;
  size_t bytes = 0;
  const cudaError_t status = withParts(width, [&](auto parts) {
    bytes = gradientBytes(Layout<decltype(parts)::value>(tokens));
    return cudaSuccess;
  });
  return width % kTile == 0 && status == cudaSuccess && bytes <= static_cast<size_t>(mostSharedBytes());
}

// The fastest of several on an H200. Few tokens: all scores of a tile of queries at once; blocks with fewer warps than tiles leave
// room for other blocks, which read meanwhile. Many: narrow heads have registers for two tiles of queries, which halves what is read
// from shared memory.
cudaError_t attention(const Attention& a, cudaStream_t stream) {
  return withParts(a.width, [&](auto parts) {
    constexpr int kParts = decltype(parts)::value;
    if constexpr (kParts == 4) {
      switch ((a.tokens + kTile - 1) / kTile) {
        case 2: return launchForward<kParts, 1, 2, true, 2, 12>(a, stream);
        case 4: return launchForward<kParts, 1, 4, true, 2, 1>(a, stream);
        case 5: return launchForward<kParts, 1, 5, true, 3, 1>(a, stream);
      }
    }
    if constexpr (kParts <= 2) return launchForward<kParts, 2, 2, false, 4, 4>(a, stream);
    return launchForward<kParts, 1, 4, false, kMostTiles, 1>(a, stream);
  });
}

cudaError_t attentionGradient(const AttentionGradient& a, cudaStream_t stream) {
  return withParts(a.width, [&](auto parts) {
    constexpr int kParts = decltype(parts)::value;
    const Layout<kParts> l(a.tokens);
    return launch(attentionGradientKernel<kParts, 1, kMostTiles * kLanes, 1>, a, l.tiles, gradientBytes(l), stream);
  });
}

}  // namespace sherd::cuda
