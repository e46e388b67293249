// Four or eight neighbouring numbers at a time, which is how a GPU reads memory best. For nvcc alone.
#pragma once

#include <cuda_bf16.h>

namespace sherd::cuda {

struct Four {
  float v[4];
};

// Four numbers of a type as memory holds them.
template <class T>
struct PackedFour;
template <>
struct PackedFour<float> {
  using type = float4;
};
template <>
struct PackedFour<__nv_bfloat16> {
  using type = uint2;
};
template <class T>
using Packed = typename PackedFour<T>::type;

inline __device__ Four unpack(const float4& x) { return {x.x, x.y, x.z, x.w}; }
inline __device__ Four unpack(const uint2& x) {
  // A bfloat16 is the upper half of a float32.
  return {__uint_as_float(x.x << 16), __uint_as_float(x.x & 0xffff0000u), __uint_as_float(x.y << 16),
          __uint_as_float(x.y & 0xffff0000u)};
}
inline __device__ unsigned packTwo(float low, float high) {
  const __nv_bfloat162 two = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const unsigned*>(&two);
}

struct Eight {
  float v[8];
};
inline __device__ Eight unpack(const uint4& x) {
  const Four low = unpack(make_uint2(x.x, x.y)), high = unpack(make_uint2(x.z, x.w));
  return {low.v[0], low.v[1], low.v[2], low.v[3], high.v[0], high.v[1], high.v[2], high.v[3]};
}
inline __device__ Eight load8(const __nv_bfloat16* p) { return unpack(*reinterpret_cast<const uint4*>(p)); }
inline __device__ void store8(__nv_bfloat16* p, const Eight& x) {
  *reinterpret_cast<uint4*>(p) =
      make_uint4(packTwo(x.v[0], x.v[1]), packTwo(x.v[2], x.v[3]), packTwo(x.v[4], x.v[5]), packTwo(x.v[6], x.v[7]));
}

template <class T>
inline __device__ Packed<T> packed4(const T* p) {
  return *reinterpret_cast<const Packed<T>*>(p);
}
template <class T>
inline __device__ Four load4(const T* p) {
  return unpack(packed4(p));
}
inline __device__ void store4(float* p, const Four& x) {
  *reinterpret_cast<float4*>(p) = make_float4(x.v[0], x.v[1], x.v[2], x.v[3]);
}
inline __device__ void store4(__nv_bfloat16* p, const Four& x) {
  *reinterpret_cast<uint2*>(p) = make_uint2(packTwo(x.v[0], x.v[1]), packTwo(x.v[2], x.v[3]));
}

inline __device__ float toFloat(float x) { return x; }
inline __device__ float toFloat(__nv_bfloat16 x) { return __bfloat162float(x); }
inline __device__ void set(float* p, float x) { *p = x; }
inline __device__ void set(__nv_bfloat16* p, float x) { *p = __float2bfloat16_rn(x); }

// Whether all of the pointers, of which each may be null, are multiples of `bytes`.
template <class... P>
inline bool aligned(size_t bytes, const P*... p) {
  return ((reinterpret_cast<size_t>(p) % bytes == 0) && ...);
}

}  // namespace sherd::cuda
