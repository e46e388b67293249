// Four neighbouring numbers at a time, which is how a GPU reads memory best. For nvcc alone.
#pragma once

#include <cuda_bf16.h>

namespace sherd::cuda {

struct Four {
  float v[4];
};

inline __device__ Four load4(const float* p) {
  const float4 x = *reinterpret_cast<const float4*>(p);
  return {x.x, x.y, x.z, x.w};
}
inline __device__ Four load4(const __nv_bfloat16* p) {
  const uint2 raw = *reinterpret_cast<const uint2*>(p);
  // A bfloat16 is the upper half of a float32.
  return {__uint_as_float(raw.x << 16), __uint_as_float(raw.x & 0xffff0000u), __uint_as_float(raw.y << 16),
          __uint_as_float(raw.y & 0xffff0000u)};
}
inline __device__ void store4(float* p, const Four& x) {
  *reinterpret_cast<float4*>(p) = make_float4(x.v[0], x.v[1], x.v[2], x.v[3]);
}
inline __device__ void store4(__nv_bfloat16* p, const Four& x) {
  const __nv_bfloat162 low = __floats2bfloat162_rn(x.v[0], x.v[1]), high = __floats2bfloat162_rn(x.v[2], x.v[3]);
  *reinterpret_cast<uint2*>(p) =
      make_uint2(*reinterpret_cast<const unsigned*>(&low), *reinterpret_cast<const unsigned*>(&high));
}

}  // namespace sherd::cuda
