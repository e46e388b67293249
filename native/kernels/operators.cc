// The fused kernels as operators of the dispatcher, `sherd::…`, each with its own gradient. CPU only; float32, or bfloat16
// under autocast where the CPU multiplies it. Weights, statistics and sums are float32 in both. The composed forms, which
// give the same numbers on any device, are in src/tensor/fused.ts.
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/api/include/torch/version.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "attention.h"
#include "mlp.h"
#include "norm.h"

namespace sherd {
namespace {

using at::Tensor;
using MaybeTensor = c10::optional<at::Tensor>;
using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

at::ScalarType computeType() {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  return at::autocast::is_autocast_enabled(at::kCPU) ? at::autocast::get_autocast_dtype(at::kCPU) : at::kFloat;
#else
  return at::autocast::is_cpu_enabled() ? at::autocast::get_autocast_cpu_dtype() : at::kFloat;
#endif
}

template <class T>
constexpr at::ScalarType kTypeOf = std::is_same_v<T, float> ? at::kFloat : at::kBFloat16;

// body(T()) for the type that products are taken in.
template <class Body>
void withType(at::ScalarType type, Body&& body) {
  if (type == at::kFloat) return body(float{});
#if defined(__AVX512BF16__)
  if (type == at::kBFloat16) return body(BFloat16{});
#endif
  TORCH_CHECK(false, "sherd's kernels do not take ", type, " on this CPU");
}

Tensor ready(const Tensor& x, at::ScalarType type) {
  TORCH_CHECK(x.device().is_cpu(), "sherd's kernels take tensors on the CPU, got one on ", x.device());
  return x.to(type).contiguous();
}
Tensor weights(const Tensor& w) { return ready(w, at::kFloat); }

template <class T>
T* data(const Tensor& x) {
  return x.defined() ? static_cast<T*>(x.data_ptr()) : nullptr;
}

Tensor like(const Tensor& x, int64_t width) {
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = width;
  return at::empty(shape, x.options());
}

void expectWidth(const char* what, const Tensor& weight, int64_t width) {
  TORCH_CHECK(weight.size(-1) == width, what, ": expected a weight for rows of ", width, " numbers, got ", weight.sizes());
}

struct Linear : torch::autograd::Function<Linear> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& weight, const MaybeTensor& bias) {
    const Tensor x = ready(input, computeType()), w = weights(weight), b = bias ? weights(*bias) : Tensor();
    const int64_t N = w.size(0), K = w.size(1);
    expectWidth("sherd::linear", w, x.size(-1));
    const Tensor y = like(x, N);
    withType(x.scalar_type(), [&](auto t) {
      using T = decltype(t);
      linear<T>(x.numel() / K, N, K, data<T>(x), data<float>(w), data<float>(b), data<T>(y));
    });
    ctx->save_for_backward({x, weight});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], w = weights(saved[1]);
    const int64_t N = w.size(0), K = w.size(1), M = x.numel() / K;
    const Tensor g = ready(gradients[0], x.scalar_type());
    const Tensor dw = at::empty_like(w), db = at::empty({N}, w.options());
    Tensor dx;
    withType(x.scalar_type(), [&](auto t) {
      using T = decltype(t);
      if (ctx->needs_input_grad(0)) {
        dx = at::empty_like(x);
        linearInput<T>(M, N, K, data<T>(g), data<float>(w), data<T>(dx));
      }
      multiplyTransposed<T>(M, N, K, data<T>(g), N, data<T>(x), K, data<float>(dw), data<float>(db));
    });
    return {dx, dw, db};
  }
};

struct Mlp : torch::autograd::Function<Mlp> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& weight1, const Tensor& bias1,
                        const Tensor& weight2, const Tensor& bias2) {
    const Tensor x = ready(input, computeType()), w1 = weights(weight1), w2 = weights(weight2);
    const Tensor b1 = weights(bias1), b2 = weights(bias2);
    const int64_t H = w1.size(0), K = w1.size(1), N = w2.size(0), M = x.numel() / K;
    expectWidth("sherd::mlp", w1, x.size(-1));
    expectWidth("sherd::mlp", w2, H);
    const bool learns = input.requires_grad() || weight1.requires_grad() || weight2.requires_grad();
    const Tensor before = learns ? like(x, H) : Tensor(), hidden = like(x, H), y = like(x, N);
    withType(x.scalar_type(), [&](auto t) {
      using T = decltype(t);
      linearGelu<T>(M, H, K, data<T>(x), data<float>(w1), data<float>(b1), data<T>(before), data<T>(hidden));
      linear<T>(M, N, H, data<T>(hidden), data<float>(w2), data<float>(b2), data<T>(y));
    });
    ctx->save_for_backward({x, before, weight1, weight2});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], w1 = weights(saved[2]), w2 = weights(saved[3]);
    const Tensor before = saved[1].clone();  // a second backward must find it as it was
    const int64_t H = w1.size(0), K = w1.size(1), N = w2.size(0), M = x.numel() / K;
    const Tensor g = ready(gradients[0], x.scalar_type());
    const Tensor dx = at::empty_like(x), dw1 = at::empty_like(w1), dw2 = at::empty_like(w2);
    const Tensor db1 = at::empty({H}, w1.options()), db2 = at::empty({N}, w2.options());
    withType(x.scalar_type(), [&](auto t) {
      using T = decltype(t);
      Tensor hidden = at::empty_like(before);
      linearGeluGradient<T>(M, N, H, data<T>(g), data<float>(w2), data<T>(before), data<T>(hidden));
      multiplyTransposed<T>(M, N, H, data<T>(g), N, data<T>(hidden), H, data<float>(dw2), data<float>(db2));
      hidden.reset();
      linearInput<T>(M, H, K, data<T>(before), data<float>(w1), data<T>(dx));
      multiplyTransposed<T>(M, H, K, data<T>(before), H, data<T>(x), K, data<float>(dw1), data<float>(db1));
    });
    return {dx, dw1, db1, dw2, db2};
  }
};

struct NormOf : torch::autograd::Function<NormOf> {
  // Without `change` the result is {y}, with it {sum, y}.
  static variable_list forward(AutogradContext* ctx, const Tensor& input, const MaybeTensor& change,
                               const Tensor& weight, const Tensor& bias, double epsilon) {
    const at::ScalarType type = computeType();
    const Tensor x = ready(input, at::kFloat), w = weights(weight), b = weights(bias);
    const Tensor delta = change ? ready(*change, type) : Tensor();
    const int64_t D = x.size(-1), rows = x.numel() / D;
    expectWidth("sherd::layer_norm", w, D);
    TORCH_CHECK(!delta.defined() || delta.sizes() == x.sizes(), "sherd::add_layer_norm: expected two tensors of one shape, got ",
                x.sizes(), " and ", delta.sizes());
    const Tensor total = delta.defined() ? at::empty_like(x) : x, y = at::empty(x.sizes(), x.options().dtype(type));
    const Tensor statistics = at::empty({rows, 2}, x.options());
    withType(type, [&](auto t) {
      using T = decltype(t);
      addNorm<T>({rows, D, data<float>(x), data<T>(delta), data<float>(w), data<float>(b), static_cast<float>(epsilon),
                  data<float>(total), data<T>(y), data<float>(statistics)});
    });
    ctx->set_materialize_grads(false);
    ctx->save_for_backward({total, statistics, weight});
    ctx->saved_data["type"] = static_cast<int64_t>(type);
    ctx->saved_data["adds"] = delta.defined();
    if (delta.defined()) return {total, y};
    return {y};
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &total = saved[0], &statistics = saved[1], w = weights(saved[2]);
    const auto type = static_cast<at::ScalarType>(ctx->saved_data["type"].toInt());
    const bool adds = ctx->saved_data["adds"].toBool();
    const Tensor& dy = gradients[adds ? 1 : 0];
    const Tensor through = adds && gradients[0].defined() ? ready(gradients[0], at::kFloat) : Tensor();
    if (!dy.defined()) return {through, adds && through.defined() ? through.to(type) : Tensor(), Tensor(), Tensor(), Tensor()};
    const int64_t D = total.size(-1);
    const Tensor g = ready(dy, type), dx = at::empty_like(total), dw = at::empty_like(w), db = at::empty_like(w);
    // float32 needs no second copy: both get the same tensor.
    Tensor delta = adds && type != at::kFloat ? at::empty(total.sizes(), total.options().dtype(type)) : Tensor();
    withType(type, [&](auto t) {
      using T = decltype(t);
      addNormGradient<T>({total.numel() / D, D, data<float>(total), data<float>(statistics), data<float>(w), data<T>(g),
                          data<float>(through), data<float>(dx), data<T>(delta), data<float>(dw), data<float>(db)});
    });
    if (adds && !delta.defined()) delta = dx;
    return {dx, delta, dw, db, Tensor()};
  }
};

struct Attend : torch::autograd::Function<Attend> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, int64_t heads) {
    const Tensor qkv = ready(input, computeType());
    TORCH_CHECK(qkv.dim() == 3 && heads > 0 && qkv.size(2) % (3 * heads) == 0 &&
                    (qkv.scalar_type() == at::kFloat || qkv.size(2) / (3 * heads) % 2 == 0),
                "sherd::attention: expected [B, N, 3·D] with D a multiple of ", heads,
                " heads, an even one in bfloat16, got ", qkv.sizes());
    const Tensor out = like(qkv, qkv.size(2) / 3);
    withType(qkv.scalar_type(), [&](auto t) {
      using T = decltype(t);
      attention<T>({qkv.size(0), qkv.size(1), heads, out.size(2) / heads, data<T>(qkv), data<T>(out)});
    });
    ctx->save_for_backward({qkv});
    ctx->saved_data["heads"] = heads;
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const Tensor qkv = ctx->get_saved_variables()[0];
    const int64_t heads = ctx->saved_data["heads"].toInt();
    const Tensor g = ready(gradients[0], qkv.scalar_type()), dqkv = at::empty_like(qkv);
    withType(qkv.scalar_type(), [&](auto t) {
      using T = decltype(t);
      attentionGradient<T>(
          {qkv.size(0), qkv.size(1), heads, g.size(2) / heads, data<T>(qkv), data<T>(g), data<T>(dqkv)});
    });
    return {dqkv, Tensor()};
  }
};

}  // namespace

TORCH_LIBRARY(sherd, library) {
  library.def("linear(Tensor x, Tensor weight, Tensor? bias=None) -> Tensor",
              [](const Tensor& x, const Tensor& weight, const MaybeTensor& bias) {
                return Linear::apply(x, weight, bias);
              });
  library.def("mlp(Tensor x, Tensor weight1, Tensor bias1, Tensor weight2, Tensor bias2) -> Tensor",
              [](const Tensor& x, const Tensor& weight1, const Tensor& bias1, const Tensor& weight2, const Tensor& bias2) {
                return Mlp::apply(x, weight1, bias1, weight2, bias2);
              });
  library.def("layer_norm(Tensor x, Tensor weight, Tensor bias, float eps) -> Tensor",
              [](const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
                return NormOf::apply(x, MaybeTensor(), weight, bias, eps)[0];
              });
  library.def("add_layer_norm(Tensor x, Tensor delta, Tensor weight, Tensor bias, float eps) -> (Tensor, Tensor)",
              [](const Tensor& x, const Tensor& delta, const Tensor& weight, const Tensor& bias, double eps) {
                const auto both = NormOf::apply(x, MaybeTensor(delta), weight, bias, eps);
                return std::make_tuple(both[0], both[1]);
              });
  library.def("attention(Tensor qkv, int heads) -> Tensor",
              [](const Tensor& qkv, int64_t heads) { return Attend::apply(qkv, heads); });
}

}  // namespace sherd
