// The operators `sherd::linear`, `mlp`, `layer_norm`, `add_layer_norm` and `attention` on a GPU. Products and the attention of long
// sequences (flash attention, Dao 2023) are LibTorch's; what is ours is which type each tensor has and what is kept: activations
// in the type of the products, sums, statistics and the gradients of weights in float32, so that no pass over memory only converts.
// Residual additions with their layer norm, the GELU, the attention of short sequences and the gradients of biases are kernels of ours.
#pragma once

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/csrc/api/include/torch/version.h>
#include <torch/csrc/autograd/custom_function.h>

#include <tuple>
#include <vector>

#include "attention.h"
#include "gelu.h"
#include "norm.h"

namespace sherd::cuda {

using at::Tensor;
using MaybeTensor = c10::optional<at::Tensor>;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

inline at::ScalarType computeType() {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  return at::autocast::is_autocast_enabled(at::kCUDA) ? at::autocast::get_autocast_dtype(at::kCUDA) : at::kFloat;
#else
  return at::autocast::is_enabled() ? at::autocast::get_autocast_gpu_dtype() : at::kFloat;
#endif
}

// Contiguous rows of the type.
inline Tensor ready(const Tensor& x, at::ScalarType type) {
  TORCH_CHECK(x.is_cuda(), "expected a tensor on a GPU, got one on ", x.device());
  return x.to(type).contiguous();
}
inline Tensor rowsOf(const Tensor& x, at::ScalarType type) { return ready(x, type).view({-1, x.size(-1)}); }

// a b in float32, whatever their type is.
inline Tensor product32(const Tensor& a, const Tensor& b) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 9)
  return a.scalar_type() == at::kFloat ? at::mm(a, b) : at::mm(a, b, at::kFloat);
#else
  return at::mm(a, b).to(at::kFloat);
#endif
}

inline void succeeded(cudaError_t status, const char* what) {
  TORCH_CHECK(status == cudaSuccess, what, ": ", cudaGetErrorString(status));
}
inline float* floats(const Tensor& x) { return x.defined() ? static_cast<float*>(x.data_ptr()) : nullptr; }
inline void* elements(const Tensor& x) { return x.defined() ? x.data_ptr() : nullptr; }

// The sums of the columns of x [rows, width], contiguous, in float32: the gradient of a bias. With `before`, what a GELU got, x is the
// gradient of what it gave, and first becomes the gradient of what it got, in its place.
inline Tensor columnSums(const Tensor& x, const Tensor& before = Tensor()) {
  if (x.scalar_type() != at::kBFloat16) {
    if (before.defined()) x.copy_(at::gelu_backward(x, before));
    return at::sum(x, at::IntArrayRef{0}, false, at::kFloat);
  }
  const c10::DeviceGuard guard(x.device());
  const int64_t rows = x.size(0), width = x.size(1);
  const auto whole = x.options().dtype(at::kFloat);
  const Tensor partial = at::empty({columnParts(rows, width), width}, whole), sums = at::empty({width}, whole);
  succeeded(columnSums({rows, width, elements(x), elements(before), elements(before.defined() ? x : Tensor()), floats(partial),
                        floats(sums)},
                       c10::cuda::getCurrentCUDAStream()),
            "the gradient of a bias");
  return sums;
}

// The exact GELU of x, contiguous.
inline Tensor geluOf(const Tensor& x) {
  if (x.scalar_type() != at::kBFloat16) return at::gelu(x);
  const Tensor y = at::empty_like(x);
  succeeded(gelu(elements(x), elements(y), x.numel(), c10::cuda::getCurrentCUDAStream()), "a GELU");
  return y;
}

inline std::vector<int64_t> withWidth(const Tensor& x, int64_t width) {
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = width;
  return shape;
}

inline void expectLinear(const char* what, const Tensor& weight, const Tensor& bias, int64_t width) {
  TORCH_CHECK(weight.dim() == 2 && weight.size(1) == width, what, ": expected a weight for rows of ", width, " numbers, got ",
              weight.sizes());
  TORCH_CHECK(!bias.defined() || (bias.dim() == 1 && bias.size(0) == weight.size(0)), what, ": expected a bias of ",
              weight.size(0), " numbers, got ", bias.sizes());
}

struct Linear : torch::autograd::Function<Linear> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& weight, const MaybeTensor& bias) {
    const c10::DeviceGuard guard(input.device());
    const at::ScalarType type = computeType();
    const Tensor x = rowsOf(input, type), w = ready(weight, type), b = bias ? ready(*bias, type) : Tensor();
    expectLinear("sherd::linear", w, b, x.size(1));
    const Tensor y = b.defined() ? at::addmm(b, x, w.t()) : at::mm(x, w.t());
    ctx->save_for_backward({x, w});
    ctx->saved_data["shape"] = input.sizes().vec();
    ctx->saved_data["bias"] = b.defined();
    return y.view(withWidth(input, w.size(0)));
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &w = saved[1], g = rowsOf(gradients[0], x.scalar_type());
    Tensor dx;
    if (ctx->needs_input_grad(0)) dx = at::mm(g, w).view(ctx->saved_data["shape"].toIntVector());
    const Tensor dw = ctx->needs_input_grad(1) ? product32(g.t(), x) : Tensor();
    return {dx, dw, ctx->saved_data["bias"].toBool() ? columnSums(g) : Tensor()};
  }
};

struct Mlp : torch::autograd::Function<Mlp> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& weight1, const Tensor& bias1,
                        const Tensor& weight2, const Tensor& bias2) {
    const c10::DeviceGuard guard(input.device());
    const at::ScalarType type = computeType();
    const Tensor x = rowsOf(input, type), w1 = ready(weight1, type), w2 = ready(weight2, type);
    const Tensor b1 = ready(bias1, type), b2 = ready(bias2, type);
    expectLinear("sherd::mlp", w1, b1, x.size(1));
    expectLinear("sherd::mlp", w2, b2, w1.size(0));
    const Tensor before = at::addmm(b1, x, w1.t()), hidden = geluOf(before);
    ctx->save_for_backward({x, before, hidden, w1, w2});
    ctx->saved_data["shape"] = input.sizes().vec();
    return at::addmm(b2, hidden, w2.t()).view(withWidth(input, w2.size(0)));
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &before = saved[1], &hidden = saved[2], &w1 = saved[3], &w2 = saved[4];
    const Tensor g = rowsOf(gradients[0], x.scalar_type());
    const Tensor inner = at::mm(g, w2), db1 = columnSums(inner, before);
    Tensor dx, dw1, dw2;  // a frozen weight costs no product
    if (ctx->needs_input_grad(0)) dx = at::mm(inner, w1).view(ctx->saved_data["shape"].toIntVector());
    if (ctx->needs_input_grad(1)) dw1 = product32(inner.t(), x);
    if (ctx->needs_input_grad(3)) dw2 = product32(g.t(), hidden);
    return {dx, dw1, db1, dw2, columnSums(g)};
  }
};

inline Element elementOf(at::ScalarType type) {
  TORCH_CHECK(type == at::kFloat || type == at::kBFloat16, "sherd's layer norm on a GPU takes float32 or bfloat16, not ", type);
  return type == at::kFloat ? Element::float32 : Element::bfloat16;
}
// float32, contiguous or, as the last tokens of each sample are, of whole rows [B, N, D].
inline Tensor inRuns(const Tensor& x) {
  const bool isRuns = x.dim() == 3 && x.scalar_type() == at::kFloat && x.is_cuda() && x.stride(2) == 1 && x.stride(1) == x.size(2);
  return isRuns ? x : ready(x, at::kFloat);
}
struct NormOf : torch::autograd::Function<NormOf> {
  // Without `change` the result is {y}, with it {sum, y}.
  static variable_list forward(AutogradContext* ctx, const Tensor& input, const MaybeTensor& change, const Tensor& weight,
                               const Tensor& bias, double epsilon) {
    const c10::DeviceGuard guard(input.device());
    const at::ScalarType type = computeType();
    const Tensor x = inRuns(input), w = ready(weight, at::kFloat), b = ready(bias, at::kFloat);
    const Tensor delta = change ? ready(*change, type) : Tensor();
    const int64_t D = x.size(-1);
    TORCH_CHECK(x.numel() > 0 && D <= kMostWidth, "sherd::layer_norm: expected rows of 1 to ", kMostWidth, " numbers, got ",
                x.sizes());
    TORCH_CHECK(w.dim() == 1 && w.size(0) == D && b.sizes() == w.sizes(), "sherd::layer_norm: expected a weight and a bias of ",
                D, " numbers, got ", w.sizes(), " and ", b.sizes());
    TORCH_CHECK(!delta.defined() || delta.sizes() == x.sizes(), "sherd::add_layer_norm: expected two tensors of one shape, got ",
                x.sizes(), " and ", delta.sizes());
    const int64_t rows = x.numel() / D;
    const int64_t run = x.is_contiguous() ? rows : x.size(1), stride = x.is_contiguous() ? 0 : x.stride(0);
    const Tensor total = delta.defined() ? at::empty(x.sizes(), x.options()) : x.contiguous(), y = at::empty(x.sizes(), x.options().dtype(type));
    const Tensor statistics = at::empty({rows, 2}, x.options());
    succeeded(addNorm({rows, D, floats(x), run, stride, elements(delta), floats(w), floats(b), static_cast<float>(epsilon),
                       delta.defined() ? floats(total) : nullptr, elements(y), floats(statistics)},
                      elementOf(type), c10::cuda::getCurrentCUDAStream()),
              "sherd::layer_norm");
    ctx->set_materialize_grads(false);
    ctx->save_for_backward({total, statistics, w});
    ctx->saved_data["type"] = static_cast<int64_t>(type);
    ctx->saved_data["adds"] = delta.defined();
    if (delta.defined()) return {total, y};
    return {y};
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &total = saved[0], &statistics = saved[1], &w = saved[2];
    const auto type = static_cast<at::ScalarType>(ctx->saved_data["type"].toInt());
    const bool adds = ctx->saved_data["adds"].toBool();
    const Tensor& dy = gradients[adds ? 1 : 0];
    const Tensor through = adds && gradients[0].defined() ? ready(gradients[0], at::kFloat) : Tensor();
    if (!dy.defined()) return {through, adds && through.defined() ? through.to(type) : Tensor(), Tensor(), Tensor(), Tensor()};
    const c10::DeviceGuard guard(total.device());
    const int64_t D = total.size(-1), rows = total.numel() / D;
    const Tensor g = ready(dy, type), dx = at::empty_like(total);
    const Tensor partial = at::empty({normParts(rows, D), 2, D}, total.options()), sums = at::empty({2, D}, total.options());
    // float32 needs no second copy: both get the same tensor.
    Tensor delta = adds && type != at::kFloat ? at::empty(total.sizes(), total.options().dtype(type)) : Tensor();
    succeeded(addNormGradient({rows, D, floats(total), floats(statistics), floats(w), elements(g), floats(through), floats(dx),
                               elements(delta), floats(partial), floats(sums)},
                              elementOf(type), c10::cuda::getCurrentCUDAStream()),
              "the gradient of sherd::layer_norm");
    if (adds && !delta.defined()) delta = dx;
    return {dx, delta, sums[0], sums[1], Tensor()};
  }
};

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 5)
#define SHERD_FLASH_ATTENTION 1

// bfloat16, heads of a multiple of 8 numbers.
struct FlashAttend : torch::autograd::Function<FlashAttend> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, int64_t heads, int64_t from) {
    const c10::DeviceGuard guard(input.device());
    const Tensor qkv = ready(input, at::kBFloat16);
    const int64_t B = qkv.size(0), N = qkv.size(1), D = qkv.size(2) / 3;
    const auto [q, k, v] = parts(qkv, heads, from);
    const auto made = at::_scaled_dot_product_flash_attention(q, k, v);
    const Tensor& out = std::get<0>(made);  // [B, A, N − from, d]
    ctx->save_for_backward({qkv, out, std::get<1>(made), std::get<2>(made), std::get<3>(made), std::get<6>(made),
                            std::get<7>(made)});
    ctx->saved_data["heads"] = heads;
    ctx->saved_data["from"] = from;
    return out.transpose(1, 2).reshape({B, N - from, D});
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &qkv = saved[0], &out = saved[1];
    const int64_t heads = ctx->saved_data["heads"].toInt(), from = ctx->saved_data["from"].toInt();
    const int64_t B = qkv.size(0), N = qkv.size(1), D = qkv.size(2) / 3;
    const auto [q, k, v] = parts(qkv, heads, from);
    const Tensor g = ready(gradients[0], at::kBFloat16).view({B, N - from, heads, D / heads}).transpose(1, 2);
    const auto made = at::_scaled_dot_product_flash_attention_backward(g, q, k, v, out, saved[2], saved[3], saved[4], N - from, N,
                                                                       0.0, false, saved[5], saved[6]);
    const auto across = [](const Tensor& x) { return x.transpose(1, 2); };  // [B, N, A, d]
    const Tensor &dq = std::get<0>(made), &dk = std::get<1>(made), &dv = std::get<2>(made);
    if (from == 0) return {at::stack({across(dq), across(dk), across(dv)}, 2).view({B, N, 3 * D}), Tensor(), Tensor()};
    const Tensor dqkv = at::empty({B, N, 3, heads, D / heads}, qkv.options());
    dqkv.select(2, 0).narrow(1, 0, from).zero_();
    dqkv.select(2, 0).narrow(1, from, N - from).copy_(across(dq));
    dqkv.select(2, 1).copy_(across(dk));
    dqkv.select(2, 2).copy_(across(dv));
    return {dqkv.view({B, N, 3 * D}), Tensor(), Tensor()};
  }

 private:
  // q [B, A, N − from, d], k and v [B, A, N, d], all of them views.
  static std::tuple<Tensor, Tensor, Tensor> parts(const Tensor& qkv, int64_t heads, int64_t from) {
    const int64_t B = qkv.size(0), N = qkv.size(1), d = qkv.size(2) / (3 * heads);
    const Tensor apart = qkv.view({B, N, 3, heads, d}).permute({2, 0, 3, 1, 4});
    return {apart[0].narrow(2, from, N - from), apart[1], apart[2]};
  }
};

// bfloat16, whole heads in the memory of a multiprocessor.
struct ShortAttend : torch::autograd::Function<ShortAttend> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, int64_t heads, int64_t from) {
    const c10::DeviceGuard guard(input.device());
    const Tensor qkv = ready(input, at::kBFloat16);
    const int64_t B = qkv.size(0), N = qkv.size(1), D = qkv.size(2) / 3;
    const Tensor out = at::empty({B, N - from, D}, qkv.options());
    const Tensor logarithms = at::empty({B, heads, N - from}, qkv.options().dtype(at::kFloat));
    succeeded(attention({B, N, heads, D / heads, from, elements(qkv), elements(out), floats(logarithms)},
                        c10::cuda::getCurrentCUDAStream()),
              "sherd::attention");
    ctx->save_for_backward({qkv, out, logarithms});
    ctx->saved_data["heads"] = heads;
    ctx->saved_data["from"] = from;
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &qkv = saved[0], &out = saved[1], &logarithms = saved[2];
    const c10::DeviceGuard guard(qkv.device());
    const int64_t heads = ctx->saved_data["heads"].toInt(), from = ctx->saved_data["from"].toInt();
    const Tensor g = ready(gradients[0], at::kBFloat16), dqkv = at::empty_like(qkv);
    succeeded(attentionGradient({qkv.size(0), qkv.size(1), heads, qkv.size(2) / (3 * heads), from, elements(qkv), elements(out),
                                 floats(logarithms), elements(g), elements(dqkv)},
                                c10::cuda::getCurrentCUDAStream()),
              "the gradient of sherd::attention");
    return {dqkv, Tensor(), Tensor()};
  }
};

inline Tensor attend(const Tensor& qkv, int64_t heads, int64_t from) {
  TORCH_CHECK(qkv.dim() == 3 && heads > 0 && qkv.size(2) % (24 * heads) == 0 && from >= 0 && from < qkv.size(1) && qkv.size(0) > 0,
              "sherd::attention: expected [B, N, 3·D] with heads of a multiple of 8 numbers and from < N, got ", qkv.sizes(), ", ",
              heads, " heads and ", from);
  const c10::DeviceGuard guard(qkv.device());
  return attentionFits(qkv.size(1), qkv.size(2) / (3 * heads)) ? ShortAttend::apply(qkv, heads, from)
                                                               : FlashAttend::apply(qkv, heads, from);
}
#endif

}  // namespace sherd::cuda
