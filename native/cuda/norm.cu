// A team of threads takes a row, each of them up to three groups of four neighbouring numbers. A thread asks memory for all of its
// numbers, and backward for those of its next row, before it needs the first: memory is busy only with many requests under way. Rows of
// other widths go through memory several times, one warp a row, where the cache holds them.
#include <algorithm>

#include "four.h"
#include "norm.h"
#include "parts.h"

namespace sherd::cuda {
namespace {

constexpr int kWarp = 32;
constexpr int kNormThreads = 256;  // of a block
constexpr int kNormWarps = kNormThreads / kWarp;
constexpr int kNormBlocks = 2;  // of a multiprocessor, backward

__device__ float2 operator+(float2 a, float2 b) { return {a.x + b.x, a.y + b.y}; }

__device__ float2 warpSum(float2 v, int lanes = kWarp) {
  for (int step = lanes / 2; step > 0; step /= 2)
    v = v + float2{__shfl_xor_sync(0xffffffffu, v.x, step), __shfl_xor_sync(0xffffffffu, v.y, step)};
  return v;
}
__device__ float warpSum(float x) { return warpSum(float2{x, 0}).x; }

// Adds up over each team of a block. Teams wider than a warp meet at a barrier of their own; the two halves of what they share take
// turns, so that one barrier a sum is enough.
template <int kTeam>
struct TeamSum {
  float2* shared;  // [2, teams, warps of a team]
  int turn = 0;

  __device__ float2 operator()(float2 v) {
    v = warpSum(v, kTeam < kWarp ? kTeam : kWarp);
    if constexpr (kTeam > kWarp) {
      constexpr int kTeams = kNormThreads / kTeam, kWarps = kTeam / kWarp;
      const int team = threadIdx.x / kTeam, lane = threadIdx.x % kTeam;
      float2* mine = shared + (turn * kTeams + team) * kWarps;
      turn ^= 1;
      if (lane % kWarp == 0) mine[lane / kWarp] = v;
      asm volatile("bar.sync %0, %1;" ::"r"(team + 1), "n"(kTeam) : "memory");
      v = mine[0];
#pragma unroll
      for (int w = 1; w < kWarps; w++) v = v + mine[w];
    }
    return v;
  }
};

// Where a row of x begins.
__device__ int64_t inX(const AddNorm& a, int64_t row) {
  if (a.run == a.rows) return row * a.width;
  const unsigned sample = static_cast<unsigned>(row) / static_cast<unsigned>(a.run);
  return sample * a.stride + (row - sample * a.run) * a.width;
}

template <class T, int kTeam, int kFours>
__global__ void __launch_bounds__(kNormThreads, 6) addNormKernel(AddNorm a) {
  constexpr int kTeams = kNormThreads / kTeam;
  __shared__ float2 shared[2 * kNormWarps];
  TeamSum<kTeam> teamSum{shared};
  const int lane = threadIdx.x % kTeam, D = static_cast<int>(a.width);
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kTeams + threadIdx.x / kTeam, at = row * D;
  const bool present = row < a.rows;  // other teams of the warp may be
  const float* x = a.x + inX(a, row);
  const T* delta = static_cast<const T*>(a.delta) + at;
  T* y = static_cast<T*>(a.y) + at;
  float4 given[kFours];
  Packed<T> change[kFours];
#pragma unroll
  for (int k = 0; k < kFours; k++) {
    const int i = (k * kTeam + lane) * 4;
    const bool has = present && i < D;
    given[k] = {};
    change[k] = {};
    if (has) given[k] = packed4(x + i);
    if (has && a.delta) change[k] = packed4(delta + i);
  }
  Four held[kFours];
  float total = 0;
#pragma unroll
  for (int k = 0; k < kFours; k++) {
    const int i = (k * kTeam + lane) * 4;
    const Four of = unpack(given[k]), more = unpack(change[k]);
#pragma unroll
    for (int j = 0; j < 4; j++) held[k].v[j] = of.v[j] + more.v[j];
    if (a.delta && present && i < D) store4(a.sum + at + i, held[k]);
#pragma unroll
    for (int j = 0; j < 4; j++) total += held[k].v[j];
  }
  const float mean = teamSum({total, 0}).x / D;
  float squares = 0;
#pragma unroll
  for (int k = 0; k < kFours; k++) {
    const bool has = (k * kTeam + lane) * 4 < D;
#pragma unroll
    for (int j = 0; j < 4; j++) squares += has ? (held[k].v[j] - mean) * (held[k].v[j] - mean) : 0;
  }
  const float scale = 1.0f / sqrtf(teamSum({squares, 0}).x / D + a.epsilon);
  if (!present) return;
  if (lane == 0) *reinterpret_cast<float2*>(a.statistics + 2 * row) = make_float2(mean, scale);
#pragma unroll
  for (int k = 0; k < kFours; k++) {
    const int i = (k * kTeam + lane) * 4;
    if (i >= D) continue;
    const Four w = load4(a.weight + i), b = load4(a.bias + i);
    Four out;
#pragma unroll
    for (int j = 0; j < 4; j++) out.v[j] = (held[k].v[j] - mean) * scale * w.v[j] + b.v[j];
    store4(y + i, out);
  }
}

// Each block takes a run of rows and leaves one partial sum for the weight and one for the bias. In shared memory, at the end:
// [groups, 2, width], what the warps (or teams, if these are wider) have added up.
template <class T, int kTeam, int kFours>
__global__ void __launch_bounds__(kNormThreads, kNormBlocks) addNormGradientKernel(AddNormGradient a) {
  constexpr int kTeams = kNormThreads / kTeam, kGroups = kTeam > kWarp ? kTeams : kNormWarps;
  extern __shared__ float sums[];
  __shared__ float2 shared[2 * kNormWarps];
  TeamSum<kTeam> teamSum{shared};
  const int lane = threadIdx.x % kTeam, team = threadIdx.x / kTeam, D = static_cast<int>(a.width);
  const T* g = static_cast<const T*>(a.y);
  T* delta = static_cast<T*>(a.delta);
  int64_t first = a.rows * blockIdx.x / gridDim.x;
  const int64_t end = a.rows * (blockIdx.x + 1) / gridDim.x;
  struct Row {
    float2 statistics;
    float4 sum[kFours], through[kFours];
    Packed<T> dy[kFours];
  };
  const auto fetch = [&](int64_t row, Row& to) {
    to.statistics = {};
    if (row < end) to.statistics = *reinterpret_cast<const float2*>(a.statistics + 2 * row);
#pragma unroll
    for (int k = 0; k < kFours; k++) {
      const int i = (k * kTeam + lane) * 4;
      const bool has = row < end && i < D;
      to.sum[k] = to.through[k] = {};
      to.dy[k] = {};
      if (has) to.sum[k] = packed4(a.sum + row * D + i);
      if (has) to.dy[k] = packed4(g + row * D + i);
      if (has && a.through) to.through[k] = packed4(a.through + row * D + i);
    }
  };
  Four weightSum[kFours], biasSum[kFours];
#pragma unroll
  for (int k = 0; k < kFours; k++) weightSum[k] = biasSum[k] = {};
  // Read again for every row, from the cache: registers are for what is under way. Nothing past the end.
  const auto weightAt = [&](int i) { return i < D ? load4(a.weight + i) : Four{}; };

  Row next;
  fetch(first + team, next);
  for (; first < end; first += kTeams) {
    const int64_t row = first + team, at = row * D;
    const Row now = next;
    fetch(row + kTeams, next);
    const auto [mean, scale] = now.statistics;
    float2 totals = {};
    Four hat[kFours];
#pragma unroll
    for (int k = 0; k < kFours; k++) {
      const Four s = unpack(now.sum[k]), w = weightAt((k * kTeam + lane) * 4);
      const Four dy = unpack(now.dy[k]);  // zero past the end, and so is all that follows from it
#pragma unroll
      for (int j = 0; j < 4; j++) {
        hat[k].v[j] = (s.v[j] - mean) * scale;
        const float weighted = dy.v[j] * w.v[j];
        totals.x += weighted;
        totals.y += weighted * hat[k].v[j];
        weightSum[k].v[j] += dy.v[j] * hat[k].v[j];
        biasSum[k].v[j] += dy.v[j];
      }
    }
    totals = teamSum(totals);
    const float c1 = totals.x / D, c2 = totals.y / D;
#pragma unroll
    for (int k = 0; k < kFours; k++) {
      const int i = (k * kTeam + lane) * 4;
      const Four dy = unpack(now.dy[k]), more = unpack(now.through[k]), w = weightAt(i);
      Four dx;
#pragma unroll
      for (int j = 0; j < 4; j++) dx.v[j] = (dy.v[j] * w.v[j] - c1 - hat[k].v[j] * c2) * scale + more.v[j];
      if (row >= end || i >= D) continue;
      store4(a.x + at + i, dx);
      if (delta) store4(delta + at + i, dx);
    }
  }

  const int group = threadIdx.x / (kTeam > kWarp ? kTeam : kWarp);
#pragma unroll
  for (int k = 0; k < kFours; k++) {
    const int i = (k * kTeam + lane) * 4;
#pragma unroll
    for (int j = 0; j < 4; j++)
      for (int step = kTeam; step < kWarp; step *= 2) {  // over the teams of a warp
        weightSum[k].v[j] += __shfl_xor_sync(0xffffffffu, weightSum[k].v[j], step);
        biasSum[k].v[j] += __shfl_xor_sync(0xffffffffu, biasSum[k].v[j], step);
      }
    if (i >= D || threadIdx.x % kWarp >= kTeam) continue;
    store4(sums + group * 2 * D + i, weightSum[k]);
    store4(sums + group * 2 * D + D + i, biasSum[k]);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < 2 * D; i += kNormThreads) {
    float total = 0;
    for (int from = 0; from < kGroups; from++) total += sums[from * 2 * D + i];
    a.partial[static_cast<int64_t>(blockIdx.x) * 2 * D + i] = total;
  }
}

// Of any width, one number at a time.
template <class T>
__global__ void addNormAnyKernel(AddNorm a) {
  const int lane = threadIdx.x % kWarp, D = static_cast<int>(a.width);
  const T* delta = static_cast<const T*>(a.delta);
  T* y = static_cast<T*>(a.y);
  const int64_t warps = static_cast<int64_t>(gridDim.x) * kNormWarps;
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * kNormWarps + threadIdx.x / kWarp; row < a.rows; row += warps) {
    const int64_t at = row * D;
    const float *x = a.x + inX(a, row), *s = delta ? a.sum + at : x;
    float total = 0;
    for (int i = lane; i < D; i += kWarp) {
      float v = x[i];
      if (delta) {
        v += toFloat(delta[at + i]);
        a.sum[at + i] = v;
      }
      total += v;
    }
    const float mean = warpSum(total) / D;
    float squares = 0;
    for (int i = lane; i < D; i += kWarp) squares += (s[i] - mean) * (s[i] - mean);
    const float scale = 1.0f / sqrtf(warpSum(squares) / D + a.epsilon);
    if (lane == 0) {
      a.statistics[2 * row] = mean;
      a.statistics[2 * row + 1] = scale;
    }
    for (int i = lane; i < D; i += kWarp) set(y + at + i, (s[i] - mean) * scale * a.weight[i] + a.bias[i]);
  }
}

// In shared memory: [kNormWarps, 2, width], what each warp has added up.
template <class T>
__global__ void addNormGradientAnyKernel(AddNormGradient a) {
  extern __shared__ float sums[];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, D = static_cast<int>(a.width);
  const T* g = static_cast<const T*>(a.y);
  T* delta = static_cast<T*>(a.delta);
  const int64_t begin = a.rows * blockIdx.x / gridDim.x, end = a.rows * (blockIdx.x + 1) / gridDim.x;
  float* mine = sums + warp * 2 * D;
  for (int i = lane; i < 2 * D; i += kWarp) mine[i] = 0;
  __syncwarp();  // what one lane cleared is another's below
  for (int64_t row = begin + warp; row < end; row += kNormWarps) {
    const int64_t at = row * D;
    const float mean = a.statistics[2 * row], scale = a.statistics[2 * row + 1];
    float2 totals = {};
    for (int i = lane; i < D; i += kWarp) {
      const float hat = (a.sum[at + i] - mean) * scale, dy = toFloat(g[at + i]), weighted = dy * a.weight[i];
      totals = totals + float2{weighted, weighted * hat};
      mine[i] += dy * hat;
      mine[D + i] += dy;
    }
    totals = warpSum(totals);
    const float c1 = totals.x / D, c2 = totals.y / D;
    for (int i = lane; i < D; i += kWarp) {
      const float hat = (a.sum[at + i] - mean) * scale;
      float dx = (toFloat(g[at + i]) * a.weight[i] - c1 - hat * c2) * scale;
      if (a.through) dx += a.through[at + i];
      a.x[at + i] = dx;
      if (delta) set(delta + at + i, dx);
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < 2 * D; i += kNormThreads) {
    float total = 0;
    for (int w = 0; w < kNormWarps; w++) total += sums[w * 2 * D + i];
    a.partial[static_cast<int64_t>(blockIdx.x) * 2 * D + i] = total;
  }
}

// The smallest team whose threads need at most three groups; a team of 16 is the smallest.
constexpr int teamOf(int64_t width) {
  int team = 16;
  while (team < kNormThreads && width > team * 12) team *= 2;
  return team;
}
static_assert(kMostWidth <= kNormThreads * 12);

template <int kTeam, int kFours>
struct Shape {
  static constexpr int team = kTeam, fours = kFours;
};
template <int kTeam, class Body>
void withFours(int64_t width, Body&& body) {
  return width > kTeam * 8 ? body(Shape<kTeam, 3>()) : body(Shape<kTeam, 2>());
}
// body(Shape<…>()) for rows of `width`.
template <class Body>
void withShape(int64_t width, Body&& body) {
  const int team = teamOf(width);
  if (team == 16) return withFours<16>(width, body);
  if (team == 32) return withFours<32>(width, body);
  if (team == 64) return withFours<64>(width, body);
  if (team == 128) return withFours<128>(width, body);
  return withFours<256>(width, body);
}

template <class T>
void launch(const AddNorm& a, cudaStream_t stream) {
  if (a.width % 4 != 0 || a.stride % 4 != 0 || !aligned(16, a.x, a.weight, a.bias, a.sum) || !aligned(4 * sizeof(T), a.delta, a.y)) {
    const int64_t blocks = std::min(8 * kMultiprocessors, (a.rows + kNormWarps - 1) / kNormWarps);
    addNormAnyKernel<T><<<static_cast<unsigned>(blocks), kNormThreads, 0, stream>>>(a);
    return;
  }
  withShape(a.width, [&](auto shape) {
    using S = decltype(shape);
    constexpr int kTeams = kNormThreads / S::team;
    addNormKernel<T, S::team, S::fours><<<static_cast<unsigned>((a.rows + kTeams - 1) / kTeams), kNormThreads, 0, stream>>>(a);
  });
}

template <class T>
void launch(const AddNormGradient& a, cudaStream_t stream) {
  const auto parts = static_cast<unsigned>(normParts(a.rows, a.width));
  const size_t each = 2 * a.width * sizeof(float);
  if (a.width % 4 != 0 || !aligned(16, a.sum, a.weight, a.through, a.x) || !aligned(4 * sizeof(T), a.delta, a.y)) {
    const size_t shared = kNormWarps * each;
    if (shared > 48 << 10)  // which a kernel must ask for
      cudaFuncSetAttribute(addNormGradientAnyKernel<T>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    addNormGradientAnyKernel<T><<<parts, kNormThreads, shared, stream>>>(a);
  } else {
    withShape(a.width, [&](auto shape) {
      using S = decltype(shape);
      constexpr int kGroups = S::team > kWarp ? kNormThreads / S::team : kNormWarps;
      addNormGradientKernel<T, S::team, S::fours><<<parts, kNormThreads, kGroups * each, stream>>>(a);  // at most 24 KiB
    });
  }
  sumParts(a.partial, a.sums, parts, 2 * a.width, stream);
}

}  // namespace

int64_t normParts(int64_t rows, int64_t width) {
  const int64_t teams = kNormThreads / teamOf(width);
  return std::max<int64_t>(1, std::min(kNormBlocks * kMultiprocessors, rows / teams));
}

cudaError_t addNorm(const AddNorm& a, Element element, cudaStream_t stream) {
  element == Element::float32 ? launch<float>(a, stream) : launch<__nv_bfloat16>(a, stream);
  return cudaGetLastError();
}

cudaError_t addNormGradient(const AddNormGradient& a, Element element, cudaStream_t stream) {
  element == Element::float32 ? launch<float>(a, stream) : launch<__nv_bfloat16>(a, stream);
  return cudaGetLastError();
}

}  // namespace sherd::cuda
