// What an optimizer does to all parameters at once, each in one pass over memory and in one parallel region: the norm of the
// gradients, and AdamW (Loshchilov & Hutter 2019; composed of tensor operators it takes eight passes).
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <vector>

#include "kernels/parallel.h"
#include "kernels/vector.h"

namespace sherd {

// Part of a tensor: what one task works on.
struct Stretch {
  size_t tensor;
  int64_t begin, end;
};

inline std::vector<Stretch> stretches(const std::vector<at::Tensor>& tensors) {
  constexpr int64_t most = 1 << 16;
  std::vector<Stretch> all;
  for (size_t i = 0; i < tensors.size(); i++)
    for (int64_t begin = 0; begin < tensors[i].numel(); begin += most)
      all.push_back({i, begin, std::min(begin + most, tensors[i].numel())});
  return all;
}

template <class Body>
void forEachStretch(const std::vector<Stretch>& all, const Body& body) {
  parallelTasks(all.size(), [&](const auto& next) {
    for (int64_t i = next(); i >= 0; i = next()) body(all[i], i);
  });
}

inline void expectPlain(const char* what, const at::Tensor& tensor) {
  if (!tensor.device().is_cpu() || tensor.scalar_type() != at::kFloat || !tensor.is_contiguous())
    throw std::runtime_error(std::string(what) + " takes contiguous float32 tensors on the CPU");
}

// Tensors that are only read may lie in any order.
inline void makeContiguous(std::vector<at::Tensor>& tensors) {
  at::NoGradGuard noGrad;
  for (at::Tensor& tensor : tensors) tensor = tensor.contiguous();
}

// The Euclidean norm over all tensors together. Added up in one order, whatever the number of threads.
inline double normOf(std::vector<at::Tensor> tensors) {
  makeContiguous(tensors);
  for (const at::Tensor& tensor : tensors) expectPlain("norm", tensor);
  const std::vector<Stretch> all = stretches(tensors);
  std::vector<double> parts(all.size());
  forEachStretch(all, [&](const Stretch& part, int64_t index) {
    const float* x = tensors[part.tensor].data_ptr<float>();
    double total = 0;
    for (int64_t from = part.begin; from < part.end;) {
      const int64_t end = std::min<int64_t>(from + 1024, part.end);
      Vector sums[4] = {};
      for (; from + 4 * kLanes <= end; from += 4 * kLanes)
        for (int i = 0; i < 4; i++) {
          const Vector v = load(x + from + i * kLanes);
          sums[i] += v * v;
        }
      for (; from < end; from += kLanes) {
        const Vector v = load(x + from, end - from);
        sums[0] += v * v;
      }
      total += sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
      from = end;
    }
    parts[index] = total;
  });
  double total = 0;
  for (const double part : parts) total += part;
  return std::sqrt(total);
}

struct AdamWStep {
  float decay;    // 1 − learning rate · weight decay
  float beta1;
  float beta2;
  float rate;     // learning rate · √(1 − β₂ᵗ) / (1 − β₁ᵗ)
  float epsilon;  // ε · √(1 − β₂ᵗ)
};

// Lists of tensors; those of one parameter have one shape.
struct AdamWTensors {
  std::vector<at::Tensor> parameters, gradients, first, second;
};

inline void adamWLoop(float* __restrict__ parameter, float* __restrict__ first, float* __restrict__ second,
                      const float* __restrict__ gradient, int64_t count, const AdamWStep& step) {
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

// One step, in place. A wrong tensor is found before any has changed.
inline void adamW(AdamWTensors tensors, const AdamWStep& step) {
  makeContiguous(tensors.gradients);
  const auto& [parameters, gradients, first, second] = tensors;
  for (const auto* list : {&gradients, &first, &second})
    if (list->size() != parameters.size()) throw std::runtime_error("adamW takes four lists of one length");
  for (const auto* list : {&parameters, &gradients, &first, &second})
    for (size_t i = 0; i < list->size(); i++) {
      expectPlain("adamW", (*list)[i]);
      if (!(*list)[i].sizes().equals(parameters[i].sizes()))
        throw std::runtime_error("adamW takes contiguous float32 tensors of one shape on the CPU");
    }
  forEachStretch(stretches(parameters), [&](const Stretch& part, int64_t) {
    const auto from = [&](const std::vector<at::Tensor>& list) { return list[part.tensor].data_ptr<float>() + part.begin; };
    adamWLoop(from(parameters), from(first), from(second), from(gradients), part.end - part.begin, step);
  });
  for (const at::Tensor& parameter : parameters) parameter.unsafeGetTensorImpl()->bump_version();
}

}  // namespace sherd
