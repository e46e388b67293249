// One warp a row. Rows whose width is a multiple of four are read four numbers at a time and stay in registers; any other
// width goes through memory three times, where the cache holds it.
#include <cuda_bf16.h>

#include <algorithm>

#include "four.h"
#include "norm.h"

namespace sherd::cuda {
namespace {

constexpr int kLanes = 32;
constexpr int kWarps = 8;          // of a block
constexpr int64_t kBlocks = 1056;  // eight for each of the 132 multiprocessors of an H100
constexpr int64_t kParts = 264;

__device__ float warpSum(float x) {
  for (int step = kLanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}

__device__ float toFloat(float x) { return x; }
__device__ float toFloat(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ void set(float* p, float x) { *p = x; }
__device__ void set(__nv_bfloat16* p, float x) { *p = __float2bfloat16_rn(x); }

// kFours: groups of four numbers that a lane holds; 0 for widths that are no multiple of four.
template <class T, int kFours>
__global__ void addNormKernel(AddNorm a) {
  const int lane = threadIdx.x % kLanes, D = static_cast<int>(a.width);
  const T* delta = static_cast<const T*>(a.delta);
  T* y = static_cast<T*>(a.y);
  const int64_t warps = static_cast<int64_t>(gridDim.x) * kWarps;
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kLanes; row < a.rows; row += warps) {
    const int64_t at = row * D;
    if constexpr (kFours > 0) {
      Four held[kFours];
      float total = 0;
#pragma unroll
      for (int k = 0; k < kFours; k++) {
        const int i = (k * kLanes + lane) * 4;
        held[k] = {};
        if (i >= D) continue;
        held[k] = load4(a.x + at + i);
        if (delta) {
          const Four change = load4(delta + at + i);
#pragma unroll
          for (int j = 0; j < 4; j++) held[k].v[j] += change.v[j];
          store4(a.sum + at + i, held[k]);
        }
#pragma unroll
        for (int j = 0; j < 4; j++) total += held[k].v[j];
      }
      const float mean = warpSum(total) / D;
      float squares = 0;
#pragma unroll
      for (int k = 0; k < kFours; k++)
        if ((k * kLanes + lane) * 4 < D)
#pragma unroll
          for (int j = 0; j < 4; j++) squares += (held[k].v[j] - mean) * (held[k].v[j] - mean);
      const float scale = 1.0f / sqrtf(warpSum(squares) / D + a.epsilon);
      if (lane == 0) *reinterpret_cast<float2*>(a.statistics + 2 * row) = make_float2(mean, scale);
#pragma unroll
      for (int k = 0; k < kFours; k++) {
        const int i = (k * kLanes + lane) * 4;
        if (i >= D) continue;
        const Four w = load4(a.weight + i), b = load4(a.bias + i);
        Four out;
#pragma unroll
        for (int j = 0; j < 4; j++) out.v[j] = (held[k].v[j] - mean) * scale * w.v[j] + b.v[j];
        store4(y + at + i, out);
      }
    } else {
      const float* s = delta ? a.sum : a.x;
      float total = 0;
      for (int i = lane; i < D; i += kLanes) {
        float v = a.x[at + i];
        if (delta) {
          v += toFloat(delta[at + i]);
          a.sum[at + i] = v;
        }
        total += v;
      }
      const float mean = warpSum(total) / D;
      float squares = 0;
      for (int i = lane; i < D; i += kLanes) squares += (s[at + i] - mean) * (s[at + i] - mean);
      const float scale = 1.0f / sqrtf(warpSum(squares) / D + a.epsilon);
      if (lane == 0) {
        a.statistics[2 * row] = mean;
        a.statistics[2 * row + 1] = scale;
      }
      for (int i = lane; i < D; i += kLanes) set(y + at + i, (s[at + i] - mean) * scale * a.weight[i] + a.bias[i]);
    }
  }
}

// Each block takes a run of rows and leaves one partial sum for the weight and one for the bias. In shared memory:
// [kWarps, 2, width], what each warp has added up.
template <class T, int kFours>
__global__ void addNormGradientKernel(AddNormGradient a) {
  extern __shared__ float sums[];
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes, D = static_cast<int>(a.width);
  const T* g = static_cast<const T*>(a.y);
  T* delta = static_cast<T*>(a.delta);
  const int64_t begin = a.rows * blockIdx.x / gridDim.x, end = a.rows * (blockIdx.x + 1) / gridDim.x;
  float* mine = sums + static_cast<int64_t>(warp) * 2 * D;
  constexpr int kHeld = kFours > 0 ? kFours : 1;
  Four weightSum[kHeld], biasSum[kHeld];
#pragma unroll
  for (int k = 0; k < kHeld; k++) weightSum[k] = biasSum[k] = {};
  if constexpr (kFours == 0)
    for (int i = lane; i < 2 * D; i += kLanes) mine[i] = 0;

  for (int64_t row = begin + warp; row < end; row += kWarps) {
    const int64_t at = row * D;
    const float mean = a.statistics[2 * row], scale = a.statistics[2 * row + 1];
    float total = 0, along = 0;
    if constexpr (kFours > 0) {
      Four hat[kFours], weighted[kFours];
#pragma unroll
      for (int k = 0; k < kFours; k++) {
        const int i = (k * kLanes + lane) * 4;
        hat[k] = weighted[k] = {};
        if (i >= D) continue;
        const Four s = load4(a.sum + at + i), dy = load4(g + at + i), w = load4(a.weight + i);
#pragma unroll
        for (int j = 0; j < 4; j++) {
          hat[k].v[j] = (s.v[j] - mean) * scale;
          weighted[k].v[j] = dy.v[j] * w.v[j];
          total += weighted[k].v[j];
          along += weighted[k].v[j] * hat[k].v[j];
          weightSum[k].v[j] += dy.v[j] * hat[k].v[j];
          biasSum[k].v[j] += dy.v[j];
        }
      }
      const float c1 = warpSum(total) / D, c2 = warpSum(along) / D;
#pragma unroll
      for (int k = 0; k < kFours; k++) {
        const int i = (k * kLanes + lane) * 4;
        if (i >= D) continue;
        Four dx;
#pragma unroll
        for (int j = 0; j < 4; j++) dx.v[j] = (weighted[k].v[j] - c1 - hat[k].v[j] * c2) * scale;
        if (a.through) {
          const Four more = load4(a.through + at + i);
#pragma unroll
          for (int j = 0; j < 4; j++) dx.v[j] += more.v[j];
        }
        store4(a.x + at + i, dx);
        if (delta) store4(delta + at + i, dx);
      }
    } else {
      for (int i = lane; i < D; i += kLanes) {
        const float hat = (a.sum[at + i] - mean) * scale, dy = toFloat(g[at + i]), weighted = dy * a.weight[i];
        total += weighted;
        along += weighted * hat;
        mine[i] += dy * hat;
        mine[D + i] += dy;
      }
      const float c1 = warpSum(total) / D, c2 = warpSum(along) / D;
      for (int i = lane; i < D; i += kLanes) {
        const float hat = (a.sum[at + i] - mean) * scale;
        float dx = (toFloat(g[at + i]) * a.weight[i] - c1 - hat * c2) * scale;
        if (a.through) dx += a.through[at + i];
        a.x[at + i] = dx;
        if (delta) set(delta + at + i, dx);
      }
    }
  }
  if constexpr (kFours > 0) {
#pragma unroll
    for (int k = 0; k < kFours; k++) {
      const int i = (k * kLanes + lane) * 4;
      if (i >= D) continue;
#pragma unroll
      for (int j = 0; j < 4; j++) {
        mine[i + j] = weightSum[k].v[j];
        mine[D + i + j] = biasSum[k].v[j];
      }
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < 2 * D; i += blockDim.x) {
    float total = 0;
    for (int w = 0; w < kWarps; w++) total += sums[static_cast<int64_t>(w) * 2 * D + i];
    a.partial[static_cast<int64_t>(blockIdx.x) * 2 * D + i] = total;
  }
}

// body(std::integral_constant<int, kFours>) for rows of `width` numbers.
template <int kFours>
struct Held {
  static constexpr int value = kFours;
};
template <class Body>
void withFours(int64_t width, Body&& body) {
  const int64_t fours = width % 4 == 0 ? (width / 4 + kLanes - 1) / kLanes : 0;
  if (fours == 0) return body(Held<0>());
  if (fours <= 1) return body(Held<1>());
  if (fours <= 2) return body(Held<2>());
  if (fours <= 3) return body(Held<3>());
  if (fours <= 4) return body(Held<4>());
  if (fours <= 6) return body(Held<6>());
  if (fours <= 8) return body(Held<8>());
  if (fours <= 10) return body(Held<10>());
  body(Held<0>());
}

template <class T>
void launch(const AddNorm& a, cudaStream_t stream) {
  const int64_t blocks = std::min(kBlocks, (a.rows + kWarps - 1) / kWarps);
  withFours(a.width, [&](auto held) {
    addNormKernel<T, decltype(held)::value><<<blocks, kWarps * kLanes, 0, stream>>>(a);
  });
}

template <class T>
void launch(const AddNormGradient& a, cudaStream_t stream) {
  const size_t shared = kWarps * 2 * a.width * sizeof(float);
  withFours(a.width, [&](auto held) {
    const auto kernel = addNormGradientKernel<T, decltype(held)::value>;
    if (shared > 48 << 10)  // which a kernel must ask for
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    kernel<<<gradientParts(a.rows), kWarps * kLanes, shared, stream>>>(a);
  });
}

}  // namespace

int64_t gradientParts(int64_t rows) { return std::max<int64_t>(1, std::min(kParts, rows / kWarps)); }

cudaError_t addNorm(const AddNorm& a, Element element, cudaStream_t stream) {
  element == Element::float32 ? launch<float>(a, stream) : launch<__nv_bfloat16>(a, stream);
  return cudaGetLastError();
}

cudaError_t addNormGradient(const AddNormGradient& a, Element element, cudaStream_t stream) {
  element == Element::float32 ? launch<float>(a, stream) : launch<__nv_bfloat16>(a, stream);
  return cudaGetLastError();
}

}  // namespace sherd::cuda
