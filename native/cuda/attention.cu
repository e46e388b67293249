// Flash attention (Dao 2023) cuts long sequences into blocks of 64 to 128 tokens. The sequences of a masked autoencoder are shorter:
// 17, 50, 65 or 197 tokens, so most of a block is padding, and its backward pass is several kernels and copies. Here one block of
// threads has a whole head of a sample in shared memory, in tiles of 16 tokens, and reads and writes qkv where it lies. The backward
// pass computes the probabilities again, so qkv is all that is kept. Products are taken in bfloat16 and added up in float32 by the
// tensor cores; the softmax is float32.
#include <cuda_bf16.h>
#include <mma.h>

#include <algorithm>

#include "attention.h"

namespace sherd::cuda {
namespace {

using Number = __nv_bfloat16;
namespace wmma = nvcuda::wmma;

constexpr int kTile = 16;
constexpr int kLanes = 32;
constexpr int kMostTiles = 16;
constexpr int kMostWarps = 8;

template <class Layout>
using Left = wmma::fragment<wmma::matrix_a, kTile, kTile, kTile, Number, Layout>;
template <class Layout>
using Right = wmma::fragment<wmma::matrix_b, kTile, kTile, kTile, Number, Layout>;
using Sum = wmma::fragment<wmma::accumulator, kTile, kTile, kTile, float>;

// Sizes of a head in shared memory. Rows are a little longer than what they hold, so that tiles do not hit the same banks.
struct Layout {
  int tokens, tiles, width, stride;  // stride of rows of q, k, v
  int strip;                         // stride of rows of scores, in float32
  __host__ __device__ Layout(int64_t tokens, int64_t width)
      : tokens(static_cast<int>(tokens)),
        tiles(static_cast<int>((tokens + kTile - 1) / kTile)),
        width(static_cast<int>(width)),
        stride(static_cast<int>(width) + 8),
        strip((tiles * kTile > width ? tiles * kTile : static_cast<int>(width)) + 4) {}
  __host__ __device__ int matrix() const { return tiles * kTile * stride; }  // numbers of one of q, k, v
};

__device__ float warpSum(float x) {
  for (int step = kLanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}
__device__ float warpMax(float x) {
  for (int step = kLanes / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
  return x;
}

// Rows [first, tokens) of a matrix in memory, `from` pointing at row `first`; all others of the tiles are zeros.
__device__ void loadRows(const Layout& l, Number* to, const Number* from, int64_t stride, int first) {
  const int chunks = l.width / 8;
  for (int i = threadIdx.x; i < l.tiles * kTile * chunks; i += blockDim.x) {
    const int row = i / chunks, column = i % chunks * 8;
    uint4 x = make_uint4(0, 0, 0, 0);
    if (row >= first && row < l.tokens) x = *reinterpret_cast<const uint4*>(from + (row - first) * stride + column);
    *reinterpret_cast<uint4*>(to + row * l.stride + column) = x;
  }
}

// `rows` rows of `columns` float32 numbers as rows of bfloat16; thread `thread` of `threads`.
__device__ void storeRows(Number* to, int64_t toStride, const float* from, int fromStride, int rows, int columns, int thread,
                          int threads) {
  const int pairs = columns / 2;
  for (int i = thread; i < rows * pairs; i += threads) {
    const int row = i / pairs, column = i % pairs * 2;
    const float* x = from + row * fromStride + column;
    *reinterpret_cast<__nv_bfloat162*>(to + row * toStride + column) = __floats2bfloat162_rn(x[0], x[1]);
  }
}

// out [16, 16] of a strip = rows `a` times the transpose of rows `b`, both in shared memory.
template <int kParts>
__device__ void scoreTile(const Layout& l, const Number* a, const Number* b, float* out) {
  Sum sum;
  wmma::fill_fragment(sum, 0.0f);
#pragma unroll
  for (int k = 0; k < kParts; k++) {
    Left<wmma::row_major> left;
    Right<wmma::col_major> right;
    wmma::load_matrix_sync(left, a + k * kTile, l.stride);
    wmma::load_matrix_sync(right, b + k * kTile, l.stride);
    wmma::mma_sync(sum, left, right, sum);
  }
  wmma::store_matrix_sync(out, sum, l.strip, wmma::mem_row_major);
}

// The softmax of a row of scores, by one warp: lane i holds the kEach numbers i, i + 32, …, zero behind the last token.
template <int kEach>
__device__ void softmaxRow(const Layout& l, const float* scores, float scale, int lane, float (&p)[kEach]) {
  float most = -INFINITY;
#pragma unroll
  for (int k = 0; k < kEach; k++) {
    const int i = k * kLanes + lane;
    p[k] = i < l.tokens ? scores[i] : -INFINITY;
    most = fmaxf(most, p[k]);
  }
  most = warpMax(most);
  float total = 0;
#pragma unroll
  for (int k = 0; k < kEach; k++) {
    p[k] = exp2f((p[k] - most) * scale);
    total += p[k];
  }
  const float share = 1.0f / warpSum(total);
#pragma unroll
  for (int k = 0; k < kEach; k++) p[k] *= share;
}

// Writes the lane's numbers of a row as bfloat16. The row of scores may be the same memory, for it has been read.
template <int kEach>
__device__ void storeLanes(const Layout& l, const float (&p)[kEach], Number* to, int lane) {
#pragma unroll
  for (int k = 0; k < kEach; k++) {
    const int i = k * kLanes + lane;
    if (i < l.tiles * kTile) to[i] = __float2bfloat16_rn(p[k]);
  }
}

constexpr float kLog2e = 1.4426950408889634f;

// Each warp takes tiles of 16 queries, which it needs no other warp for.
template <int kParts, int kEach>
__global__ void __launch_bounds__(kMostWarps* kLanes) attentionKernel(Attention a) {
  extern __shared__ __align__(128) unsigned char memory[];
  const Layout l(a.tokens, a.width);
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes, warps = blockDim.x / kLanes;
  const int from = static_cast<int>(a.from);
  const int64_t b = blockIdx.x / a.heads, h = blockIdx.x % a.heads, D = a.heads * a.width, stride = 3 * D;
  Number* q = reinterpret_cast<Number*>(memory);
  Number *k = q + l.matrix(), *v = k + l.matrix();
  float* scores = reinterpret_cast<float*>(v + l.matrix()) + warp * kTile * l.strip;
  Number* shares = reinterpret_cast<Number*>(scores);  // the softmax in the place of the scores
  const Number* in = static_cast<const Number*>(a.qkv) + b * a.tokens * stride + h * a.width;
  loadRows(l, q, in, stride, 0);
  loadRows(l, k, in + D, stride, 0);
  loadRows(l, v, in + 2 * D, stride, 0);
  __syncthreads();
  const float scale = rsqrtf(static_cast<float>(l.width)) * kLog2e;
  Number* out = static_cast<Number*>(a.out) + b * (a.tokens - from) * D + h * a.width;
  for (int tile = from / kTile + warp; tile < l.tiles; tile += warps) {
    for (int t = 0; t < l.tiles; t++)
      scoreTile<kParts>(l, q + tile * kTile * l.stride, k + t * kTile * l.stride, scores + t * kTile);
    __syncwarp();
    for (int row = 0; row < kTile; row++) {
      float p[kEach];
      softmaxRow(l, scores + row * l.strip, scale, lane, p);
      __syncwarp();
      storeLanes(l, p, shares + row * 2 * l.strip, lane);
    }
    __syncwarp();
    Sum sums[kParts];
#pragma unroll
    for (int c = 0; c < kParts; c++) wmma::fill_fragment(sums[c], 0.0f);
    for (int t = 0; t < l.tiles; t++) {
      Left<wmma::row_major> left;
      wmma::load_matrix_sync(left, shares + t * kTile, 2 * l.strip);
#pragma unroll
      for (int c = 0; c < kParts; c++) {
        Right<wmma::row_major> right;
        wmma::load_matrix_sync(right, v + t * kTile * l.stride + c * kTile, l.stride);
        wmma::mma_sync(sums[c], left, right, sums[c]);
      }
    }
    __syncwarp();
#pragma unroll
    for (int c = 0; c < kParts; c++) wmma::store_matrix_sync(scores + c * kTile, sums[c], l.strip, wmma::mem_row_major);
    __syncwarp();
    const int first = max(from - tile * kTile, 0), end = min(l.tokens - tile * kTile, kTile);
    if (first < end)
      storeRows(out + static_cast<int64_t>(tile * kTile + first - from) * D, D, scores + first * l.strip, l.strip, end - first,
                l.width, lane, kLanes);
    __syncwarp();
  }
}

// All warps work on one tile of queries after another. A warp keeps the gradients of kKeys tiles of keys and values in registers.
template <int kParts, int kKeys, int kEach>
__global__ void __launch_bounds__(kMostWarps* kLanes) attentionGradientKernel(AttentionGradient a) {
  extern __shared__ __align__(128) unsigned char memory[];
  const Layout l(a.tokens, a.width);
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes, warps = blockDim.x / kLanes;
  const int from = static_cast<int>(a.from);
  const int64_t b = blockIdx.x / a.heads, h = blockIdx.x % a.heads, D = a.heads * a.width, stride = 3 * D;
  Number* q = reinterpret_cast<Number*>(memory);
  Number *k = q + l.matrix(), *v = k + l.matrix(), *g = v + l.matrix();
  float* scores = reinterpret_cast<float*>(g + l.matrix());  // [16, tokens]
  float* along = scores + kTile * l.strip;                   // gradients of the probabilities
  float* queries = along + kTile * l.strip;                  // [16, width] gradients of the queries
  Number* shares = reinterpret_cast<Number*>(scores);
  Number* shareGradients = reinterpret_cast<Number*>(along);
  const int64_t offset = b * a.tokens * stride + h * a.width;
  const Number* in = static_cast<const Number*>(a.qkv) + offset;
  Number* to = static_cast<Number*>(a.gradient) + offset;
  loadRows(l, q, in, stride, 0);
  loadRows(l, k, in + D, stride, 0);
  loadRows(l, v, in + 2 * D, stride, 0);
  loadRows(l, g, static_cast<const Number*>(a.out) + b * (a.tokens - from) * D + h * a.width, D, from);
  const int pairs = l.width / 2;
  for (int i = threadIdx.x; i < from * pairs; i += blockDim.x)  // queries whose results nobody asked for
    *reinterpret_cast<__nv_bfloat162*>(to + (i / pairs) * stride + i % pairs * 2) = __floats2bfloat162_rn(0.0f, 0.0f);
  Sum dk[kKeys][kParts], dv[kKeys][kParts];
#pragma unroll
  for (int j = 0; j < kKeys; j++)
#pragma unroll
    for (int c = 0; c < kParts; c++) {
      wmma::fill_fragment(dk[j][c], 0.0f);
      wmma::fill_fragment(dv[j][c], 0.0f);
    }
  __syncthreads();
  const float root = rsqrtf(static_cast<float>(l.width));
  for (int tile = from / kTile; tile < l.tiles; tile++) {
    const Number *qTile = q + tile * kTile * l.stride, *gTile = g + tile * kTile * l.stride;
    for (int t = warp; t < l.tiles; t += warps) {
      scoreTile<kParts>(l, qTile, k + t * kTile * l.stride, scores + t * kTile);
      scoreTile<kParts>(l, gTile, v + t * kTile * l.stride, along + t * kTile);
    }
    __syncthreads();
    for (int row = warp; row < kTile; row += warps) {
      const int token = tile * kTile + row;
      float p[kEach], dp[kEach];
      softmaxRow(l, scores + row * l.strip, root * kLog2e, lane, p);
      float mean = 0;
#pragma unroll
      for (int i = 0; i < kEach; i++) {
        dp[i] = i * kLanes + lane < l.tokens ? along[row * l.strip + i * kLanes + lane] : 0.0f;
        mean += p[i] * dp[i];
      }
      mean = warpSum(mean);
      const bool asked = token >= from && token < l.tokens;
#pragma unroll
      for (int i = 0; i < kEach; i++) {
        dp[i] = asked ? p[i] * (dp[i] - mean) * root : 0.0f;
        p[i] = asked ? p[i] : 0.0f;
      }
      __syncwarp();
      storeLanes(l, p, shares + row * 2 * l.strip, lane);
      storeLanes(l, dp, shareGradients + row * 2 * l.strip, lane);
    }
    __syncthreads();
#pragma unroll
    for (int j = 0; j < kKeys; j++) {
      const int t = warp + j * warps;
      if (t >= l.tiles) continue;
      Left<wmma::col_major> p, dp;  // transposed
      wmma::load_matrix_sync(p, shares + t * kTile, 2 * l.strip);
      wmma::load_matrix_sync(dp, shareGradients + t * kTile, 2 * l.strip);
#pragma unroll
      for (int c = 0; c < kParts; c++) {
        Right<wmma::row_major> right;
        wmma::load_matrix_sync(right, gTile + c * kTile, l.stride);
        wmma::mma_sync(dv[j][c], p, right, dv[j][c]);
        wmma::load_matrix_sync(right, qTile + c * kTile, l.stride);
        wmma::mma_sync(dk[j][c], dp, right, dk[j][c]);
      }
    }
    for (int c = warp; c < kParts; c += warps) {
      Sum sum;
      wmma::fill_fragment(sum, 0.0f);
      for (int t = 0; t < l.tiles; t++) {
        Left<wmma::row_major> left;
        Right<wmma::row_major> right;
        wmma::load_matrix_sync(left, shareGradients + t * kTile, 2 * l.strip);
        wmma::load_matrix_sync(right, k + t * kTile * l.stride + c * kTile, l.stride);
        wmma::mma_sync(sum, left, right, sum);
      }
      wmma::store_matrix_sync(queries + c * kTile, sum, l.width + 4, wmma::mem_row_major);
    }
    __syncthreads();
    const int first = max(from - tile * kTile, 0), end = min(l.tokens - tile * kTile, kTile);
    if (first < end)
      storeRows(to + static_cast<int64_t>(tile * kTile + first) * stride, stride, queries + first * (l.width + 4), l.width + 4,
                end - first, l.width, threadIdx.x, blockDim.x);
  }
  // The strips are free now: each warp has a tile of its own there. Their rows hold at least 16 numbers for each tile of keys.
  float* mine = scores + warp * kTile * kTile;
#pragma unroll
  for (int j = 0; j < kKeys; j++) {
    const int t = warp + j * warps;
    if (t >= l.tiles) continue;
    const int rows = min(l.tokens - t * kTile, kTile);
    Number* keys = to + D + static_cast<int64_t>(t) * kTile * stride;
#pragma unroll
    for (int c = 0; c < kParts; c++) {
      wmma::store_matrix_sync(mine, dk[j][c], kTile, wmma::mem_row_major);
      __syncwarp();
      storeRows(keys + c * kTile, stride, mine, kTile, rows, kTile, lane, kLanes);
      __syncwarp();
      wmma::store_matrix_sync(mine, dv[j][c], kTile, wmma::mem_row_major);
      __syncwarp();
      storeRows(keys + D + c * kTile, stride, mine, kTile, rows, kTile, lane, kLanes);
      __syncwarp();
    }
  }
}

size_t forwardBytes(const Layout& l, int warps) {
  return 3 * l.matrix() * sizeof(Number) + static_cast<size_t>(warps) * kTile * l.strip * sizeof(float);
}
size_t gradientBytes(const Layout& l) {
  return 4 * l.matrix() * sizeof(Number) + (2 * kTile * l.strip + kTile * (l.width + 4)) * sizeof(float);
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

// body(parts, each) for heads of 16 · parts numbers, and rows of scores of which a lane holds `each`.
template <class Body>
cudaError_t withSizes(int64_t tokens, int64_t width, Body&& body) {
  const auto withEach = [&](auto parts) {
    if (tokens <= kLanes) return body(parts, Constant<1>());
    if (tokens <= 2 * kLanes) return body(parts, Constant<2>());
    if (tokens <= 4 * kLanes) return body(parts, Constant<4>());
    return body(parts, Constant<8>());
  };
  switch (width / kTile) {
    case 1: return withEach(Constant<1>());
    case 2: return withEach(Constant<2>());
    case 4: return withEach(Constant<4>());
    case 5: return withEach(Constant<5>());
    default: return cudaErrorInvalidValue;
  }
}

// Long sequences leave memory for the strips of few warps.
int forwardWarps(const Layout& l, int tiles) { return std::min(tiles, l.tiles > kMostWarps ? 4 : kMostWarps); }

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
  const Layout l(tokens, width);
  return std::max(forwardBytes(l, forwardWarps(l, l.tiles)), gradientBytes(l)) <= static_cast<size_t>(mostSharedBytes());
}

cudaError_t attention(const Attention& a, cudaStream_t stream) {
  const Layout l(a.tokens, a.width);
  const int warps = forwardWarps(l, l.tiles - static_cast<int>(a.from) / kTile);
  return withSizes(a.tokens, a.width, [&](auto parts, auto each) {
    return launch(attentionKernel<decltype(parts)::value, decltype(each)::value>, a, warps, forwardBytes(l, warps), stream);
  });
}

cudaError_t attentionGradient(const AttentionGradient& a, cudaStream_t stream) {
  const Layout l(a.tokens, a.width);
  return withSizes(a.tokens, a.width, [&](auto parts, auto each) {
    constexpr int kKeys = decltype(each)::value == 8 ? 2 : 1;  // tiles of keys a warp
    return launch(attentionGradientKernel<decltype(parts)::value, kKeys, decltype(each)::value>, a, (l.tiles + kKeys - 1) / kKeys,
                  gradientBytes(l), stream);
  });
}

}  // namespace sherd::cuda
