// Flash attention (Dao 2023) cuts long sequences into blocks of 64 to 128 tokens. The sequences of a masked autoencoder are shorter:
// 17, 50, 65 or 197 tokens, so most of a block is padding, and its backward pass is several kernels and copies. Here one block of
// threads has a whole head of a sample in shared memory, in tiles of 16 tokens, and reads and writes qkv where it lies. Scores and
// probabilities stay in registers: forward a warp has 16 queries and all keys; backward it has 16 keys, goes through the queries, and
// finds their probabilities by the logarithm that the forward pass kept of each. Products are taken in bfloat16 and added up in
// float32 by the tensor cores; the softmax is float32.
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

// A head in shared memory: rows of q, k, v and of dS, each 8 numbers longer than what they hold, so that tiles do not hit the same
// banks.
struct Layout {
  int tokens, tiles, width, stride, scoreStride;
  __host__ __device__ Layout(int64_t tokens, int64_t width)
      : tokens(static_cast<int>(tokens)),
        tiles(static_cast<int>((tokens + kTile - 1) / kTile)),
        width(static_cast<int>(width)),
        stride(static_cast<int>(width) + 8),
        scoreStride(tiles * kTile + 8) {}
  __host__ __device__ int rows() const { return tiles * kTile; }
  __host__ __device__ int matrix() const { return rows() * stride; }  // numbers of one of q, k, v
};

// Where a lane is in a warp, and which rows of a tile it gives to loadTiles.
struct Lane {
  int g, t;
  int down, across;  // tiles one below the other first: a left factor, or a right factor by its transpose
  int side, below;   // tiles side by side first: a right factor by its rows, or a left factor by its transpose
  __device__ explicit Lane(int lane)
      : g(lane / 4), t(lane % 4), down(lane % 16), across(lane / 16 * 8), side(lane / 8 % 2 * 8), below(lane % 8 + lane / 16 * 8) {}
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

// Sums as bfloat16, of rows `first` ≤ row < `end`; `to` points at row 0.
__device__ inline void store(const Lane& l, const Sum& s, Number* to, int64_t stride, int first, int end) {
#pragma unroll
  for (int half = 0; half < 2; half++)
#pragma unroll
    for (int upper = 0; upper < 2; upper++) {
      const int row = l.g + 8 * upper;
      if (row >= first && row < end)
        *reinterpret_cast<uint32_t*>(to + row * stride + 8 * half + 2 * l.t) = pair(s.x[half][2 * upper], s.x[half][2 * upper + 1]);
    }
}

// Rows [first, tokens) of a matrix in memory, `from` pointing at row `first`; all others of the tiles are zeros.
__device__ inline void loadRows(const Layout& l, Number* to, const Number* from, int64_t stride, int first) {
  const int chunks = l.width / 8;
  for (int i = threadIdx.x; i < l.rows() * chunks; i += blockDim.x) {
    const int row = i / chunks, column = i % chunks * 8;
    uint4 x = make_uint4(0, 0, 0, 0);
    if (row >= first && row < l.tokens) x = *reinterpret_cast<const uint4*>(from + (row - first) * stride + column);
    *reinterpret_cast<uint4*>(to + row * l.stride + column) = x;
  }
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

// kParts: tiles across a head. kKeys: the most tiles of keys.
template <int kParts, int kKeys>
__global__ void attentionKernel(Attention a) {
  extern __shared__ __align__(128) unsigned char memory[];
  const Layout l(a.tokens, a.width);
  const Lane lane(threadIdx.x % kLanes);
  const int warp = threadIdx.x / kLanes, warps = blockDim.x / kLanes, from = static_cast<int>(a.from);
  const int64_t b = blockIdx.x / a.heads, h = blockIdx.x % a.heads, D = a.heads * a.width, stride = 3 * D;
  Number* q = reinterpret_cast<Number*>(memory);
  Number *k = q + l.matrix(), *v = k + l.matrix();
  const Number* in = static_cast<const Number*>(a.qkv) + b * a.tokens * stride + h * a.width;
  loadRows(l, q, in, stride, 0);
  loadRows(l, k, in + D, stride, 0);
  loadRows(l, v, in + 2 * D, stride, 0);
  __syncthreads();
  const float scale = rsqrtf(static_cast<float>(l.width)) * kLog2e;
  const int64_t results = a.tokens - from;
  Number* out = static_cast<Number*>(a.out) + b * results * D + h * a.width;
  float* logarithms = a.logarithms + static_cast<int64_t>(blockIdx.x) * results;
  for (int tile = from / kTile + warp; tile < l.tiles; tile += warps) {
    Left queries[kParts];
#pragma unroll
    for (int c = 0; c < kParts; c++) queries[c] = leftOf(lane, q + tile * kTile * l.stride + c * kTile, l.stride);
    Sum scores[kKeys];
    float most[2] = {-INFINITY, -INFINITY};  // of the rows g and g + 8
#pragma unroll
    for (int t = 0; t < kKeys; t++) {
      if (t >= l.tiles) break;
      scores[t] = {};
#pragma unroll
      for (int c = 0; c < kParts; c++)
        multiply(scores[t], queries[c], rightOfTransposed(lane, k + t * kTile * l.stride + c * kTile, l.stride));
#pragma unroll
      for (int i = 0; i < 8; i++) {
        float& x = scores[t].x[i / 4][i % 4];
        if (t * kTile + i / 4 * 8 + 2 * lane.t + i % 2 >= l.tokens) x = -INFINITY;
        most[i % 4 / 2] = fmaxf(most[i % 4 / 2], x);
      }
    }
    float total[2] = {0, 0};
    for (float& x : most) x = rowMax(x);
    Sum sums[kParts];
#pragma unroll
    for (int c = 0; c < kParts; c++) sums[c] = {};
#pragma unroll
    for (int t = 0; t < kKeys; t++) {
      if (t >= l.tiles) break;
#pragma unroll
      for (int i = 0; i < 8; i++) {
        float& x = scores[t].x[i / 4][i % 4];
        x = exp2f((x - most[i % 4 / 2]) * scale);
        total[i % 4 / 2] += x;
      }
      const Left shares = asLeft(scores[t]);
#pragma unroll
      for (int c = 0; c < kParts; c++)
        multiply(sums[c], shares, rightOf(lane, v + t * kTile * l.stride + c * kTile, l.stride));
    }
    for (float& x : total) x = rowSum(x);
    const int first = max(from - tile * kTile, 0), end = min(l.tokens - tile * kTile, kTile);
#pragma unroll
    for (int c = 0; c < kParts; c++) {
#pragma unroll
      for (int i = 0; i < 8; i++) sums[c].x[i / 4][i % 4] *= 1.0f / total[i % 4 / 2];
      store(lane, sums[c], out + static_cast<int64_t>(tile * kTile - from) * D + c * kTile, D, first, end);
    }
    if (lane.t == 0)
      for (int upper = 0; upper < 2; upper++) {
        const int row = lane.g + 8 * upper;
        if (row >= first && row < end) logarithms[tile * kTile + row - from] = most[upper] * scale + log2f(total[upper]);
      }
  }
}

// One warp for each tile of keys. dSᵀ goes through shared memory to the warps that add up the gradients of the queries.
template <int kParts>
__global__ void __launch_bounds__(kMostTiles* kLanes) attentionGradientKernel(AttentionGradient a) {
  extern __shared__ __align__(128) unsigned char memory[];
  const Layout l(a.tokens, a.width);
  const Lane lane(threadIdx.x % kLanes);
  const int warp = threadIdx.x / kLanes, from = static_cast<int>(a.from);
  const int64_t b = blockIdx.x / a.heads, h = blockIdx.x % a.heads, D = a.heads * a.width, stride = 3 * D;
  const int64_t results = a.tokens - from;
  Number* q = reinterpret_cast<Number*>(memory);
  Number *k = q + l.matrix(), *v = k + l.matrix(), *g = v + l.matrix();
  Number* scoreGradients = g + l.matrix();  // [keys, queries]
  float* logarithms = reinterpret_cast<float*>(scoreGradients + l.rows() * l.scoreStride);
  float* products = logarithms + l.rows();  // of each query's result and its gradient
  const Number* in = static_cast<const Number*>(a.qkv) + b * a.tokens * stride + h * a.width;
  Number* to = static_cast<Number*>(a.gradient) + b * a.tokens * stride + h * a.width;
  const Number* given = static_cast<const Number*>(a.gradientOut) + b * results * D + h * a.width;
  const Number* out = static_cast<const Number*>(a.out) + b * results * D + h * a.width;
  loadRows(l, q, in, stride, 0);
  loadRows(l, k, in + D, stride, 0);
  loadRows(l, v, in + 2 * D, stride, 0);
  loadRows(l, g, given, D, from);
  for (int row = threadIdx.x; row < l.rows(); row += blockDim.x) {
    // Queries whose results nobody asked for have no share of anything.
    const bool asked = row >= from && row < l.tokens;
    logarithms[row] = asked ? a.logarithms[static_cast<int64_t>(blockIdx.x) * results + row - from] : INFINITY;
    float product = 0;
    if (asked)
      for (int i = 0; i < l.width; i += 8) {
        const uint4 x = *reinterpret_cast<const uint4*>(out + (row - from) * D + i);
        const uint4 y = *reinterpret_cast<const uint4*>(given + (row - from) * D + i);
        const uint32_t xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
        for (int j = 0; j < 4; j++)  // a bfloat16 is the upper half of a float32
          product += __uint_as_float(xs[j] << 16) * __uint_as_float(ys[j] << 16) +
                     __uint_as_float(xs[j] & 0xffff0000u) * __uint_as_float(ys[j] & 0xffff0000u);
      }
    products[row] = product;
  }
  __syncthreads();
  const float root = rsqrtf(static_cast<float>(l.width)), scale = root * kLog2e;
  const int mine = warp * kTile, end = min(l.tokens - mine, kTile);
  {
    Left keys[kParts], values[kParts];
    Sum dk[kParts], dv[kParts];
#pragma unroll
    for (int c = 0; c < kParts; c++) {
      keys[c] = leftOf(lane, k + mine * l.stride + c * kTile, l.stride);
      values[c] = leftOf(lane, v + mine * l.stride + c * kTile, l.stride);
      dk[c] = {};
      dv[c] = {};
    }
    for (int tile = from / kTile; tile < l.tiles; tile++) {
      const Number *qTile = q + tile * kTile * l.stride, *gTile = g + tile * kTile * l.stride;
      Sum shares = {}, gradients = {};  // [16 keys, 16 queries]
#pragma unroll
      for (int c = 0; c < kParts; c++) {
        multiply(shares, keys[c], rightOfTransposed(lane, qTile + c * kTile, l.stride));
        multiply(gradients, values[c], rightOfTransposed(lane, gTile + c * kTile, l.stride));
      }
#pragma unroll
      for (int i = 0; i < 8; i++) {
        const int query = tile * kTile + i / 4 * 8 + 2 * lane.t + i % 2, key = lane.g + i % 4 / 2 * 8;
        float &p = shares.x[i / 4][i % 4], &ds = gradients.x[i / 4][i % 4];
        p = key < end ? exp2f(p * scale - logarithms[query]) : 0.0f;
        ds = p * (ds - products[query]) * root;
      }
      const Left left = asLeft(shares), leftGradients = asLeft(gradients);
      store(lane, gradients, scoreGradients + mine * l.scoreStride + tile * kTile, l.scoreStride, 0, kTile);
#pragma unroll
      for (int c = 0; c < kParts; c++) {
        multiply(dv[c], left, rightOf(lane, gTile + c * kTile, l.stride));
        multiply(dk[c], leftGradients, rightOf(lane, qTile + c * kTile, l.stride));
      }
    }
#pragma unroll
    for (int c = 0; c < kParts; c++) {
      store(lane, dk[c], to + D + mine * stride + c * kTile, stride, 0, end);
      store(lane, dv[c], to + 2 * D + mine * stride + c * kTile, stride, 0, end);
    }
  }
  __syncthreads();
  // Now this warp's 16 tokens are queries.
  Sum dq[kParts];
#pragma unroll
  for (int c = 0; c < kParts; c++) dq[c] = {};
  if (warp >= from / kTile)
    for (int t = 0; t < l.tiles; t++) {
      const Left left = leftOfTransposed(lane, scoreGradients + t * kTile * l.scoreStride + mine, l.scoreStride);
#pragma unroll
      for (int c = 0; c < kParts; c++)
        multiply(dq[c], left, rightOf(lane, k + t * kTile * l.stride + c * kTile, l.stride));
    }
#pragma unroll
  for (int c = 0; c < kParts; c++) store(lane, dq[c], to + mine * stride + c * kTile, stride, 0, end);
}

size_t forwardBytes(const Layout& l) { return 3 * l.matrix() * sizeof(Number); }
size_t gradientBytes(const Layout& l) {
  return (4 * l.matrix() + l.rows() * l.scoreStride) * sizeof(Number) + 2 * l.rows() * sizeof(float);
}

template <class Kernel, class Arguments>
cudaError_t launch(Kernel kernel, const Arguments& a, int warps, size_t bytes, cudaStream_t stream) {
  if (bytes > 48 << 10) {  // which a kernel must ask for
    const cudaError_t status =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
    if (status != cudaSuccess) return status;
  }
  kernel<<<static_cast<unsigned>(a.samples * a.heads), warps * kLanes, bytes, stream>>>(a);
  return cudaGetLastError();
}

template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};

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

// body(keys) for at least as many tiles.
template <class Body>
cudaError_t withKeys(int tiles, Body&& body) {
  if (tiles <= 2) return body(Constant<2>());
  if (tiles <= 5) return body(Constant<5>());
  if (tiles <= 8) return body(Constant<8>());
  if (tiles <= 13) return body(Constant<13>());
  return body(Constant<kMostTiles>());
}

int mostSharedBytes() {
  int device = 0, bytes = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return 0;
  cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  return bytes;
}

}  // namespace

bool attentionFits(int64_t tokens, int64_t width) {
  const bool isCompiled = width == 16 || width == 32 || width == 64 || width == 80;
  if (tokens > kMostTiles * kTile || !isCompiled) return false;
  return gradientBytes(Layout(tokens, width)) <= static_cast<size_t>(mostSharedBytes());
}

cudaError_t attention(const Attention& a, cudaStream_t stream) {
  const Layout l(a.tokens, a.width);
  const int warps = std::min(l.tiles - static_cast<int>(a.from) / kTile, 8);
  return withParts(a.width, [&](auto parts) {
    return withKeys(l.tiles, [&](auto keys) {
      return launch(attentionKernel<decltype(parts)::value, decltype(keys)::value>, a, warps, forwardBytes(l), stream);
    });
  });
}

cudaError_t attentionGradient(const AttentionGradient& a, cudaStream_t stream) {
  const Layout l(a.tokens, a.width);
  return withParts(a.width, [&](auto parts) {
    return launch(attentionGradientKernel<decltype(parts)::value>, a, l.tiles, gradientBytes(l), stream);
  });
}

}  // namespace sherd::cuda
