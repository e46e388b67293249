#include "tokens.h"

#include <algorithm>
#include <cmath>

#include "four.h"
#include "parts.h"

namespace sherd::cuda {
namespace {

constexpr int kTokenThreads = 256;

// A block's threads side by side along a row of `units`, and rows below each other.
dim3 along(int64_t units) {
  const int64_t turns = (units + 127) / 128, across = std::max<int64_t>(1, (units + turns - 1) / std::max<int64_t>(1, turns));
  return dim3(static_cast<unsigned>(across), static_cast<unsigned>(kTokenThreads / across));
}
unsigned blocksFor(int64_t rows, dim3 threads) { return static_cast<unsigned>((rows + threads.y - 1) / threads.y); }

// Row r of sample b, for the thread's number among all rows (of which there are fewer than 2³²).
struct Place {
  int64_t row, sample, r;
  __device__ Place(int64_t perSample) {
    const unsigned at = blockIdx.x * blockDim.y + threadIdx.y, b = at / static_cast<unsigned>(perSample);
    row = at;
    sample = b;
    r = at - b * static_cast<unsigned>(perSample);
  }
};

template <class Unit>
__device__ Unit allOnes() {
  Unit x;
  for (size_t i = 0; i < sizeof(Unit); i++) reinterpret_cast<unsigned char*>(&x)[i] = 0xff;  // NaN, in every type
  return x;
}

template <class Unit>
__global__ void copyRowsKernel(CopyRows a, int units) {
  const Place at(a.own + a.which.count);
  if (at.sample >= a.samples) return;
  const Unit* from;
  if (at.r < a.own) {
    from = static_cast<const Unit*>(a.x) + (at.sample * a.own + at.r) * units;
  } else {
    const int64_t row = a.which.at[at.sample * a.which.stride + at.r - a.own];
    const int64_t table = a.shared ? 0 : at.sample * a.tableRows;
    from = row >= 0 && row < a.tableRows ? static_cast<const Unit*>(a.table) + (table + row) * units : nullptr;
  }
  Unit* out = static_cast<Unit*>(a.out) + at.row * units;
  for (int i = threadIdx.x; i < units; i += blockDim.x) out[i] = from ? from[i] : allOnes<Unit>();
}

// x [samples, own, units] from the first rows of [samples, length, units].
template <class Unit>
__global__ void firstRowsKernel(const Unit* from, Unit* x, int64_t samples, int64_t own, int64_t length, int units) {
  const Place at(own);
  if (at.sample >= samples) return;
  const Unit* source = from + (at.sample * length + at.r) * units;
  for (int i = threadIdx.x; i < units; i += blockDim.x) x[at.row * units + i] = source[i];
}

// x [samples, before + count, units]: zeros, and behind them in each sample the rows of [samples, count, units].
template <class Unit>
__global__ void behindZerosKernel(const Unit* from, Unit* x, int64_t samples, int64_t before, int64_t count, int units) {
  const Place at(before + count);
  if (at.sample >= samples) return;
  const Unit* source = from + (at.sample * count + at.r - before) * units;
  for (int i = threadIdx.x; i < units; i += blockDim.x) x[at.row * units + i] = at.r < before ? Unit{} : source[i];
}

// body(Unit()) for the largest unit of which rows and pointers are whole multiples.
template <class Body, class... P>
void withUnit(int64_t rowBytes, Body&& body, const P*... p) {
  const auto fits = [&](int64_t bytes) { return rowBytes % bytes == 0 && aligned(bytes, p...); };
  if (fits(16)) return body(uint4());
  if (fits(8)) return body(uint2());
  if (fits(4)) return body(unsigned());
  if (fits(2)) return body(static_cast<unsigned short>(0));
  body(static_cast<unsigned char>(0));
}

// A block has a run of samples, some of the table's rows and 32 vectors of neighbouring columns. Each of its warps has every
// sixteenth of these rows to itself, so that sums in shared memory need no order but that of the samples.
constexpr int kTableWarps = 16;
constexpr int kTableRows = 64;

template <class T>
struct Vector;
template <>
struct Vector<float> {
  static constexpr int count = 4;
  using Raw = float4;
  using Values = Four;
};
template <>
struct Vector<__nv_bfloat16> {
  static constexpr int count = 8;
  using Raw = uint4;
  using Values = Eight;
};

template <class T>
__global__ void __launch_bounds__(kTableWarps * 32) tableGradientKernel(CopyRowsGradient a) {
  using V = Vector<T>;
  using Raw = typename V::Raw;
  extern __shared__ float4 tableSums[];  // [rows here, count / 4, 32]
  constexpr int kParts = V::count / 4;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * 32 + lane) * V::count, first = static_cast<int64_t>(blockIdx.y) * kTableRows;
  const int rows = static_cast<int>(min(static_cast<int64_t>(kTableRows), a.tableRows - first)), count = static_cast<int>(a.which.count);
  const bool has = column < a.width;
  for (int row = warp; row < rows; row += kTableWarps)
    for (int part = 0; part < kParts; part++) tableSums[(row * kParts + part) * 32 + lane] = {};
  const int64_t begin = a.samples * blockIdx.z / gridDim.z, end = a.samples * (blockIdx.z + 1) / gridDim.z;
  const int64_t length = a.own + count;
  for (int64_t b = begin; b < end; b++) {
    const T* from = static_cast<const T*>(a.gradient) + (b * length + a.own) * a.width + column;
    for (int m = 0; m < count; m += 32) {
      const int64_t at = m + lane < count ? a.which.at[b * a.which.stride + m + lane] - first : -1;
      const int row = at >= 0 && at < rows ? static_cast<int>(at) : -1;
      unsigned left = __ballot_sync(0xffffffffu, row >= 0 && row % kTableWarps == warp);
      while (left) {
        constexpr int kAtOnce = 4;
        Raw raw[kAtOnce];
        int to[kAtOnce];
#pragma unroll
        for (int q = 0; q < kAtOnce; q++) {
          to[q] = -1;
          if (!left) continue;
          const int which = __ffs(left) - 1;
          left &= left - 1;
          to[q] = __shfl_sync(0xffffffffu, row, which);
          raw[q] = {};
          if (has) raw[q] = *reinterpret_cast<const Raw*>(from + (m + which) * a.width);
        }
#pragma unroll
        for (int q = 0; q < kAtOnce; q++) {
          if (to[q] < 0) continue;
          const typename V::Values v = unpack(raw[q]);
#pragma unroll
          for (int part = 0; part < kParts; part++) {
            float4& sum = tableSums[(to[q] * kParts + part) * 32 + lane];
            sum.x += v.v[4 * part];
            sum.y += v.v[4 * part + 1];
            sum.z += v.v[4 * part + 2];
            sum.w += v.v[4 * part + 3];
          }
        }
      }
    }
  }
  if (!has) return;
  for (int row = warp; row < rows; row += kTableWarps)
    for (int part = 0; part < kParts; part++)
      *reinterpret_cast<float4*>(a.partial + (blockIdx.z * a.tableRows + first + row) * a.width + column + 4 * part) =
          tableSums[(row * kParts + part) * 32 + lane];
}

// Of any width: a thread has one column, and a block all of the table's rows one after the other.
template <class T>
__global__ void tableGradientAnyKernel(CopyRowsGradient a) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x, row = blockIdx.y;
  if (column >= a.width) return;
  const int64_t begin = a.samples * blockIdx.z / gridDim.z, end = a.samples * (blockIdx.z + 1) / gridDim.z;
  float total = 0;
  for (int64_t b = begin; b < end; b++)
    for (int64_t m = 0; m < a.which.count; m++)
      if (a.which.at[b * a.which.stride + m] == row)
        total += toFloat(static_cast<const T*>(a.gradient)[(b * (a.own + a.which.count) + a.own + m) * a.width + column]);
  a.partial[(blockIdx.z * a.tableRows + row) * a.width + column] = total;
}

int64_t tableBlocks(int64_t tableRows, int64_t width) { return (width + 255) / 256 * ((tableRows + kTableRows - 1) / kTableRows); }

template <class T>
void launch(const CopyRowsGradient& a, cudaStream_t stream) {
  const int64_t rowBytes = a.width * sizeof(T), length = a.own + a.which.count;
  if (a.own > 0)
    withUnit(
        rowBytes,
        [&](auto unit) {
          using Unit = decltype(unit);
          const int units = static_cast<int>(rowBytes / sizeof(Unit));
          const dim3 threads = along(units);
          firstRowsKernel<Unit><<<blocksFor(a.samples * a.own, threads), threads, 0, stream>>>(
              static_cast<const Unit*>(a.gradient), static_cast<Unit*>(a.x), a.samples, a.own, length, units);
        },
        a.gradient, a.x);
  const auto parts = static_cast<unsigned>(tableParts(a.samples, a.tableRows, a.width));
  constexpr int kCount = Vector<T>::count;
  if (a.width % kCount == 0 && aligned(16, a.gradient)) {
    const size_t shared = std::min<int64_t>(kTableRows, a.tableRows) * 32 * kCount * sizeof(float);  // at most 64 KiB
    cudaFuncSetAttribute(tableGradientKernel<T>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    const dim3 blocks(static_cast<unsigned>((a.width + 32 * kCount - 1) / (32 * kCount)),
                      static_cast<unsigned>((a.tableRows + kTableRows - 1) / kTableRows), parts);
    tableGradientKernel<T><<<blocks, kTableWarps * 32, shared, stream>>>(a);
  } else {
    tableGradientAnyKernel<T><<<dim3(static_cast<unsigned>((a.width + 63) / 64), static_cast<unsigned>(a.tableRows), parts), 64, 0, stream>>>(a);
  }
  sumParts(a.partial, a.table, parts, a.tableRows * a.width, stream);
}

template <class T>
__global__ void makeTokensKernel(MakeTokens a, bool inFours) {
  const Place at(1 + a.kept.count);
  if (at.sample >= a.samples) return;
  float* out = a.out + at.row * a.width;
  const int64_t inX = a.kept.count + (a.cls ? 0 : 1);
  const int D = static_cast<int>(a.width);
  if (at.r == 0) {
    for (int i = threadIdx.x; i < D; i += blockDim.x)
      out[i] = a.cls ? a.cls[i] : toFloat(static_cast<const T*>(a.x)[at.sample * inX * D + i]);
    return;
  }
  const T* x = static_cast<const T*>(a.x) + (at.sample * inX + at.r - (a.cls ? 1 : 0)) * D;
  const int64_t where = a.kept.at[at.sample * a.kept.stride + at.r - 1];
  const bool known = where >= 0 && where < a.patches;
  const float* position = a.positions + where * D;
  if (inFours) {
    for (int i = threadIdx.x * 4; i < D; i += blockDim.x * 4) {
      Four v = load4(x + i);
      const Four p = known ? load4(position + i) : Four{NAN, NAN, NAN, NAN};
#pragma unroll
      for (int j = 0; j < 4; j++) v.v[j] += p.v[j];
      store4(out + i, v);
    }
  } else {
    for (int i = threadIdx.x; i < D; i += blockDim.x) out[i] = toFloat(x[i]) + (known ? position[i] : NAN);
  }
}

template <class T>
__global__ void tokensGradientKernel(TokensGradient a, int64_t inX, int64_t skip, bool inFours) {
  const Place at(inX);
  if (at.sample >= a.samples) return;
  const int D = static_cast<int>(a.width);
  const float* from = a.gradient + (at.sample * a.length + at.r + skip) * D;
  T* to = static_cast<T*>(a.x) + at.row * D;
  if (inFours) {
    for (int i = threadIdx.x * 4; i < D; i += blockDim.x * 4) store4(to + i, load4(from + i));
  } else {
    for (int i = threadIdx.x; i < D; i += blockDim.x) set(to + i, from[i]);
  }
}

// partial [parts, width]: the sums of runs of rows that are `stride` numbers apart.
__global__ void sumStridedKernel(const float* rows, float* partial, int64_t count, int64_t width, int64_t stride) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * 32 + threadIdx.x;
  if (i >= width) return;
  float total = 0;
#pragma unroll 8
  for (int64_t row = count * blockIdx.y / gridDim.y; row < count * (blockIdx.y + 1) / gridDim.y; row++) total += rows[row * stride + i];
  partial[blockIdx.y * width + i] = total;
}

// A team of threads has a patch, each of them up to kFours times four of its numbers; none of them for patches of any other width,
// which go through memory three times, where the cache holds them.
template <int kTeam>
__device__ float teamSum(float x) {
#pragma unroll
  for (int step = kTeam / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}

// visit(i, target − prediction of number i, or of four from i on) for each patch that the team has.
template <class T, int kTeam, int kFours, class Visit>
__device__ void visitPatches(const PatchLoss& a, Visit&& visit) {
  constexpr int kTeams = kTokenThreads / kTeam;
  const int lane = threadIdx.x % kTeam, P = static_cast<int>(a.width);
  const int64_t total = a.samples * a.hidden.count;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * kTeams; first < total; first += static_cast<int64_t>(gridDim.x) * kTeams) {
    const int64_t row = first + threadIdx.x / kTeam, sample = row / a.hidden.count;
    const bool present = row < total;
    const int64_t where = present ? a.hidden.at[sample * a.hidden.stride + row - sample * a.hidden.count] : -1;
    const bool known = where >= 0 && where < a.patches;
    const float* patch = a.image + (sample * a.patches + where) * P;
    const T* prediction = static_cast<const T*>(a.prediction) + row * P;
    float mean = 0, scale = known ? 1 : NAN;
    if constexpr (kFours > 0) {
      Four v[kFours], said[kFours];
      float sum = 0, squares = 0;
#pragma unroll
      for (int k = 0; k < kFours; k++) {
        const int i = (k * kTeam + lane) * 4;
        v[k] = said[k] = {};
        if (known && i < P) v[k] = load4(patch + i);
        if (present && i < P) said[k] = load4(prediction + i);
#pragma unroll
        for (int j = 0; j < 4; j++) sum += v[k].v[j];
      }
      if (a.normalize) {
        mean = teamSum<kTeam>(sum) / P;
#pragma unroll
        for (int k = 0; k < kFours; k++)
#pragma unroll
          for (int j = 0; j < 4; j++)
            if ((k * kTeam + lane) * 4 < P) squares += (v[k].v[j] - mean) * (v[k].v[j] - mean);
        scale *= rsqrtf(teamSum<kTeam>(squares) / (P - 1) + 1e-6f);
      }
#pragma unroll
      for (int k = 0; k < kFours; k++) {
        const int i = (k * kTeam + lane) * 4;
        if (!present || i >= P) continue;
        Four difference;
#pragma unroll
        for (int j = 0; j < 4; j++) difference.v[j] = (v[k].v[j] - mean) * scale - said[k].v[j];
        visit(row * P + i, difference);
      }
    } else {
      if (!present) continue;  // a whole warp
      if (a.normalize && known) {
        float sum = 0, squares = 0;
        for (int i = lane; i < P; i += kTeam) sum += patch[i];
        mean = teamSum<kTeam>(sum) / P;
        for (int i = lane; i < P; i += kTeam) squares += (patch[i] - mean) * (patch[i] - mean);
        scale = rsqrtf(teamSum<kTeam>(squares) / (P - 1) + 1e-6f);
      }
      for (int i = lane; i < P; i += kTeam) visit(row * P + i, (known ? patch[i] - mean : 0) * scale - toFloat(prediction[i]));
    }
  }
}

__device__ float squared(float x) { return x * x; }
__device__ float squared(const Four& x) { return x.v[0] * x.v[0] + x.v[1] * x.v[1] + x.v[2] * x.v[2] + x.v[3] * x.v[3]; }

template <class T, int kTeam, int kFours>
__global__ void __launch_bounds__(kTokenThreads) patchLossKernel(PatchLoss a, float* partial) {
  __shared__ float sums[kTokenThreads / 32];
  float total = 0;
  visitPatches<T, kTeam, kFours>(a, [&](int64_t, const auto& difference) { total += squared(difference); });
  total = teamSum<32>(total);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = total;
  __syncthreads();
  if (threadIdx.x > 0) return;
  for (int w = 1; w < kTokenThreads / 32; w++) total += sums[w];
  partial[blockIdx.x] = total;
}

template <class T>
__device__ void storeScaled(T* p, float x, float by) {
  set(p, x * by);
}
template <class T>
__device__ void storeScaled(T* p, const Four& x, float by) {
  store4(p, Four{x.v[0] * by, x.v[1] * by, x.v[2] * by, x.v[3] * by});
}

template <class T, int kTeam, int kFours>
__global__ void __launch_bounds__(kTokenThreads) patchLossGradientKernel(PatchLoss a, const float* gradient, T* prediction, float scale) {
  const float by = *gradient * scale;
  visitPatches<T, kTeam, kFours>(a, [&](int64_t at, const auto& difference) { storeScaled(prediction + at, difference, by); });
}

template <int kTeam, int kFours>
struct PatchShape {
  static constexpr int team = kTeam, fours = kFours;
};
template <class Body>
void withPatchShape(int64_t width, bool isAligned, Body&& body) {
  if (width % 4 != 0 || !isAligned || width > 1024) return body(PatchShape<32, 0>());
  if (width <= 64) return body(PatchShape<16, 1>());
  if (width <= 128) return body(PatchShape<32, 1>());
  if (width <= 256) return body(PatchShape<32, 2>());
  if (width <= 512) return body(PatchShape<32, 4>());
  if (width <= 768) return body(PatchShape<32, 6>());
  return body(PatchShape<32, 8>());
}

double lossCount(const PatchLoss& a) { return static_cast<double>(a.samples) * a.hidden.count * a.width; }

template <class T>
void launch(const PatchLoss& a, float* partial, float* loss, cudaStream_t stream) {
  const int64_t parts = lossParts(a.samples, a.hidden.count);
  withPatchShape(a.width, aligned(16, a.prediction, a.image), [&](auto shape) {
    using S = decltype(shape);
    patchLossKernel<T, S::team, S::fours><<<static_cast<unsigned>(parts), kTokenThreads, 0, stream>>>(a, partial);
  });
  sumParts(partial, loss, parts, 1, stream, static_cast<float>(1 / lossCount(a)));
}

template <class T>
void launch(const PatchLoss& a, const float* gradient, T* prediction, cudaStream_t stream) {
  withPatchShape(a.width, aligned(16, a.prediction, a.image, prediction), [&](auto shape) {
    using S = decltype(shape);
    constexpr int kTeams = kTokenThreads / S::team;
    const auto blocks = static_cast<unsigned>(std::min((a.samples * a.hidden.count + kTeams - 1) / kTeams, 32 * kMultiprocessors));
    patchLossGradientKernel<T, S::team, S::fours>
        <<<blocks, kTokenThreads, 0, stream>>>(a, gradient, prediction, static_cast<float>(-2 / lossCount(a)));
  });
}

// body(T()) for the element type.
template <class Body>
cudaError_t withElement(Element element, Body&& body) {
  element == Element::float32 ? body(float()) : body(__nv_bfloat16());
  return cudaGetLastError();
}

}  // namespace

cudaError_t copyRows(const CopyRows& a, cudaStream_t stream) {
  if (a.samples * (a.own + a.which.count) * a.rowBytes == 0) return cudaSuccess;
  withUnit(
      a.rowBytes,
      [&](auto unit) {
        using Unit = decltype(unit);
        const int units = static_cast<int>(a.rowBytes / sizeof(Unit));
        const dim3 threads = along(units);
        copyRowsKernel<Unit><<<blocksFor(a.samples * (a.own + a.which.count), threads), threads, 0, stream>>>(a, units);
      },
      a.x, a.table, a.out);
  return cudaGetLastError();
}

cudaError_t behindZeros(const void* from, void* x, int64_t samples, int64_t before, int64_t count, int64_t rowBytes,
                        cudaStream_t stream) {
  withUnit(
      rowBytes,
      [&](auto unit) {
        using Unit = decltype(unit);
        const int units = static_cast<int>(rowBytes / sizeof(Unit));
        const dim3 threads = along(units);
        behindZerosKernel<Unit><<<blocksFor(samples * (before + count), threads), threads, 0, stream>>>(
            static_cast<const Unit*>(from), static_cast<Unit*>(x), samples, before, count, units);
      },
      from, x);
  return cudaGetLastError();
}

int64_t tableParts(int64_t samples, int64_t tableRows, int64_t width) {
  return std::max<int64_t>(1, std::min(samples, 3 * kMultiprocessors / tableBlocks(tableRows, width)));
}

cudaError_t copyRowsGradient(const CopyRowsGradient& a, Element element, cudaStream_t stream) {
  return withElement(element, [&](auto zero) { launch<decltype(zero)>(a, stream); });
}

cudaError_t makeTokens(const MakeTokens& a, Element element, cudaStream_t stream) {
  return withElement(element, [&](auto zero) {
    const dim3 threads = along(a.width / 4);
    makeTokensKernel<decltype(zero)><<<blocksFor(a.samples * (1 + a.kept.count), threads), threads, 0, stream>>>(
        a, a.width % 4 == 0 && aligned(16, a.x, a.positions, a.out));
  });
}

int64_t clsParts(int64_t samples) { return std::max<int64_t>(1, std::min<int64_t>(128, samples / 8)); }

cudaError_t tokensGradient(const TokensGradient& a, Element element, cudaStream_t stream) {
  const int64_t skip = a.cls ? 1 : 0, inX = a.length - skip;
  if (a.cls) {
    const dim3 blocks(static_cast<unsigned>((a.width + 31) / 32), static_cast<unsigned>(clsParts(a.samples)));
    sumStridedKernel<<<blocks, 32, 0, stream>>>(a.gradient, a.partial, a.samples, a.width, a.length * a.width);
    sumParts(a.partial, a.cls, clsParts(a.samples), a.width, stream);
  }
  return withElement(element, [&](auto zero) {
    const dim3 threads = along(a.width / 4);
    tokensGradientKernel<decltype(zero)><<<blocksFor(a.samples * inX, threads), threads, 0, stream>>>(
        a, inX, skip, a.width % 4 == 0 && aligned(16, a.gradient, a.x));
  });
}

int64_t lossParts(int64_t samples, int64_t hidden) {
  return std::max<int64_t>(1, std::min(8 * kMultiprocessors, samples * hidden / 16));
}

cudaError_t patchLoss(const PatchLoss& a, float* partial, float* loss, Element element, cudaStream_t stream) {
  return withElement(element, [&](auto zero) { launch<decltype(zero)>(a, partial, loss, stream); });
}

cudaError_t patchLossGradient(const PatchLoss& a, const float* gradient, void* prediction, Element element, cudaStream_t stream) {
  return withElement(element, [&](auto zero) {
    using T = decltype(zero);
    launch<T>(a, gradient, static_cast<T*>(prediction), stream);
  });
}

}  // namespace sherd::cuda
