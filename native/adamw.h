// AdamW (Loshchilov & Hutter 2019) over one parameter in one pass over memory: the composed form takes eight passes.
// Runs on LibTorch's own threads, through TensorIterator.
#pragma once

#include <ATen/ATen.h>
#include <ATen/TensorIterator.h>

#include <cmath>

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__)
#define SHERD_BEST_CPU __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SHERD_BEST_CPU
#endif

namespace sherd {

struct AdamWStep {
  float decay;    // 1 − learning rate · weight decay
  float beta1;
  float beta2;
  float rate;     // learning rate · √(1 − β₂ᵗ) / (1 − β₁ᵗ)
  float epsilon;  // ε · √(1 − β₂ᵗ)
};

SHERD_BEST_CPU inline void adamWLoop(float* __restrict__ parameter, float* __restrict__ first, float* __restrict__ second,
                                     const float* __restrict__ gradient, int64_t count, const AdamWStep step) {
  const float new1 = 1.0f - step.beta1;
  const float new2 = 1.0f - step.beta2;
  for (int64_t i = 0; i < count; i++) {
    const float g = gradient[i];
    const float m = first[i] * step.beta1 + new1 * g;
    const float v = second[i] * step.beta2 + new2 * (g * g);
    first[i] = m;
    second[i] = v;
    parameter[i] = parameter[i] * step.decay - step.rate * (m / (std::sqrt(v) + step.epsilon));
  }
}

struct AdamWTensors {
  at::Tensor parameter, gradient, first, second;
};

// All four are float32 on the CPU, contiguous and of one shape; anything else is refused.
inline void checkAdamW(const AdamWTensors& tensors) {
  for (const at::Tensor* tensor : {&tensors.parameter, &tensors.gradient, &tensors.first, &tensors.second}) {
    if (!tensor->device().is_cpu() || tensor->scalar_type() != at::kFloat || !tensor->is_contiguous() ||
        !tensor->sizes().equals(tensors.parameter.sizes()))
      throw std::runtime_error("adamW takes contiguous float32 tensors of one shape on the CPU");
  }
}

inline void adamW(const AdamWTensors& tensors, const AdamWStep& step) {
  const auto& [parameter, gradient, first, second] = tensors;
  at::NoGradGuard noGrad;
  auto iterator = at::TensorIteratorConfig()
                      .set_check_mem_overlap(false)
                      .check_all_same_dtype(true)
                      .resize_outputs(false)
                      .add_output(parameter)
                      .add_output(first)
                      .add_output(second)
                      .add_input(gradient)
                      .build();
  iterator.for_each([&step](char** data, const int64_t*, int64_t count) {
    adamWLoop(reinterpret_cast<float*>(data[0]), reinterpret_cast<float*>(data[1]), reinterpret_cast<float*>(data[2]),
              reinterpret_cast<const float*>(data[3]), count, step);
  });
  parameter.unsafeGetTensorImpl()->bump_version();
}

}  // namespace sherd
