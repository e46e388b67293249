// The fused kernels as operators of the dispatcher, `sherd::…`, each with its own gradient: on the CPU in float32, or in bfloat16
// under autocast where the CPU multiplies it; on a GPU those of ../cuda/operators.h, where the CUDA toolkit was there to compile
// them. Weights, statistics and sums are float32 everywhere. The composed forms, which give the same numbers on any device, are in
// src/tensor/fused.ts.
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/api/include/torch/version.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "attention.h"
#include "mlp.h"
#include "norm.h"
#include "philox.h"
#include "tokens.h"

#if defined(SHERD_CUDA)
#include "../cuda/operators.h"
#include "../cuda/token-operators.h"
#endif

namespace sherd {
namespace {

using at::Tensor;
using MaybeTensor = c10::optional<at::Tensor>;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::ScalarType computeType() {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  return at::autocast::is_autocast_enabled(at::kCPU) ? at::autocast::get_autocast_dtype(at::kCPU) : at::kFloat;
#else
  return at::autocast::is_cpu_enabled() ? at::autocast::get_autocast_cpu_dtype() : at::kFloat;
#endif
}

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
  TORCH_CHECK(x.dim() > 0 && x.numel() > 0, "sherd's kernels take tensors with elements, got the shape ", x.sizes());
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

// The weight [out, in] and the bias [out] of a linear map of rows of `width` numbers.
void expectLinear(const char* what, const Tensor& weight, const Tensor& bias, int64_t width) {
  TORCH_CHECK(weight.dim() == 2 && weight.size(1) == width, what, ": expected a weight for rows of ", width, " numbers, got ",
              weight.sizes());
  TORCH_CHECK(!bias.defined() || (bias.dim() == 1 && bias.size(0) == weight.size(0)), what, ": expected a bias of ",
              weight.size(0), " numbers, got ", bias.sizes());
}

// Which gradients of a linear map are wanted: a frozen weight costs no product.
struct Wanted {
  bool weight, bias;
};
struct LinearGradients {
  Tensor weight, bias;
};

// From the gradient of its results [M, N], and its input x [M, xStride], of which K count.
template <class T>
LinearGradients linearGradients(Wanted wanted, const Tensor& w, const Tensor& gradient, const Tensor& x, int64_t K) {
  const int64_t M = x.size(0), N = w.size(0);
  if (!wanted.weight) return {Tensor(), wanted.bias ? at::sum(gradient.narrow(1, 0, N), at::IntArrayRef{0}, false, at::kFloat) : Tensor()};
  const Tensor dw = at::empty_like(w), db = at::empty({N}, w.options());
  multiplyTransposed<T>(M, N, K, data<T>(gradient), gradient.size(1), data<T>(x), x.size(1), data<float>(dw), data<float>(db));
  return {dw, db};
}

struct Linear : torch::autograd::Function<Linear> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& weight, const MaybeTensor& bias) {
    const Tensor x = ready(input, computeType()), w = weights(weight), b = bias ? weights(*bias) : Tensor();
    expectLinear("sherd::linear", w, b, x.size(-1));
    const int64_t N = w.size(0), K = w.size(1);
    const Tensor y = like(x, N);
    withType(x.scalar_type(), [&](auto t) {
      using T = decltype(t);
      linear<T>(x.numel() / K, N, K, data<T>(x), K, data<float>(w), data<float>(b), data<T>(y));
    });
    ctx->save_for_backward({x, weight});
    ctx->saved_data["bias"] = b.defined();
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], w = weights(saved[1]);
    const int64_t N = w.size(0), K = w.size(1), M = x.numel() / K;
    const Tensor g = ready(gradients[0], x.scalar_type());
    Tensor dx;
    LinearGradients d;
    withType(x.scalar_type(), [&](auto t) {
      using T = decltype(t);
      if (ctx->needs_input_grad(0)) {
        dx = at::empty_like(x);
        linearInput<T>(M, N, K, data<T>(g), N, data<float>(w), data<T>(dx));
      }
      const bool bias = ctx->saved_data["bias"].toBool() && ctx->needs_input_grad(2);
      d = linearGradients<T>({ctx->needs_input_grad(1), bias}, w, g.view({M, N}), x.view({M, K}), K);
    });
    return {dx, d.weight, d.bias};
  }
};

// Of what lies between the two maps, both results of the GELU are kept: what it gave, and its slope.
struct Mlp : torch::autograd::Function<Mlp> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& weight1, const Tensor& bias1,
                        const Tensor& weight2, const Tensor& bias2, bool learns) {
    const Tensor x = ready(input, computeType()), w1 = weights(weight1), w2 = weights(weight2);
    const Tensor b1 = weights(bias1), b2 = weights(bias2);
    expectLinear("sherd::mlp", w1, b1, x.size(-1));
    expectLinear("sherd::mlp", w2, b2, w1.size(0));
    const int64_t H = w1.size(0), K = w1.size(1), N = w2.size(0), M = x.numel() / K;
    Tensor slope, hidden;
    const Tensor y = like(x, N);
    withType(x.scalar_type(), [&](auto t) {
      using T = decltype(t);
      const int64_t stride = hiddenStride<T>(H);
      hidden = at::empty({M, stride}, x.options());
      if (learns) slope = at::empty_like(hidden);
      linearGelu<T>(M, H, K, data<T>(x), data<float>(w1), data<float>(b1), data<T>(slope), data<T>(hidden));
      linear<T>(M, N, H, data<T>(hidden), stride, data<float>(w2), data<float>(b2), data<T>(y));
    });
    if (learns) ctx->save_for_backward({x, hidden, slope, weight1, weight2});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &hidden = saved[1], w1 = weights(saved[3]), w2 = weights(saved[4]);
    const Tensor& inner = saved[2];  // the slope, and then the gradient of what the GELU got: a graph is used once
    const int64_t H = w1.size(0), K = w1.size(1), N = w2.size(0), M = x.numel() / K, stride = hidden.size(1);
    const Tensor g = ready(gradients[0], x.scalar_type());
    const Wanted first{ctx->needs_input_grad(1), ctx->needs_input_grad(2)};
    const Wanted second{ctx->needs_input_grad(3), ctx->needs_input_grad(4)};
    const bool back = ctx->needs_input_grad(0);
    Tensor dx;
    LinearGradients d1, d2;
    withType(x.scalar_type(), [&](auto t) {
      using T = decltype(t);
      d2 = linearGradients<T>(second, w2, g.view({M, N}), hidden, H);
      if (!back && !first.weight && !first.bias) return;
      linearGeluGradient<T>(M, N, H, data<T>(g), data<float>(w2), data<T>(inner));
      if (back) {
        dx = at::empty_like(x);
        linearInput<T>(M, H, K, data<T>(inner), stride, data<float>(w1), data<T>(dx));
      }
      d1 = linearGradients<T>(first, w1, inner, x.view({M, K}), K);
    });
    return {dx, d1.weight, d1.bias, d2.weight, d2.bias, Tensor()};
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
    TORCH_CHECK(w.dim() == 1 && w.size(0) == D && b.sizes() == w.sizes(), "sherd::layer_norm: expected a weight and a bias of ",
                D, " numbers, got ", w.sizes(), " and ", b.sizes());
    TORCH_CHECK(!delta.defined() || delta.sizes() == x.sizes(), "sherd::add_layer_norm: expected two tensors of one shape, got ",
                x.sizes(), " and ", delta.sizes());
    const Tensor total = delta.defined() ? at::empty_like(x) : x, y = at::empty(x.sizes(), x.options().dtype(type));
    const Tensor statistics = at::empty({rows, 2}, x.options());
    withType(type, [&](auto t) {
      using T = decltype(t);
      addNorm(AddNorm<T>{rows, D, data<float>(x), data<T>(delta), data<float>(w), data<float>(b), static_cast<float>(epsilon),
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

// sherd::add_layer_norm whose normed rows are float32, whatever `change` is. Without a gradient.
std::tuple<Tensor, Tensor> addNormWhole(const Tensor& input, const Tensor& change, const Tensor& weight, const Tensor& bias,
                                        double epsilon) {
  const Tensor x = ready(input, at::kFloat), delta = ready(change, change.scalar_type()), w = weights(weight), b = weights(bias);
  const int64_t D = x.size(-1), rows = x.numel() / D;
  TORCH_CHECK(w.dim() == 1 && w.size(0) == D && b.sizes() == w.sizes() && delta.sizes() == x.sizes(),
              "sherd::add_layer_norm_whole: expected two tensors of one shape, a weight and a bias of ", D, " numbers, got ",
              x.sizes(), ", ", delta.sizes(), ", ", w.sizes(), " and ", b.sizes());
  TORCH_CHECK(!at::GradMode::is_enabled() || !(input.requires_grad() || change.requires_grad() || weight.requires_grad()),
              "sherd::add_layer_norm_whole has no gradient");
  const Tensor total = at::empty_like(x), y = at::empty_like(x), statistics = at::empty({rows, 2}, x.options());
  withType(delta.scalar_type(), [&](auto t) {
    using T = decltype(t);
    addNorm(AddNorm<T, float>{rows, D, data<float>(x), data<T>(delta), data<float>(w), data<float>(b),
                              static_cast<float>(epsilon), data<float>(total), data<float>(y), data<float>(statistics)});
  });
  return std::make_tuple(total, y);
}

struct Attend : torch::autograd::Function<Attend> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, int64_t heads, int64_t from) {
    const Tensor qkv = ready(input, computeType());
    TORCH_CHECK(qkv.dim() == 3 && heads > 0 && qkv.size(2) % (3 * heads) == 0 &&
                    (qkv.scalar_type() == at::kFloat || qkv.size(2) / (3 * heads) % 2 == 0),
                "sherd::attention: expected [B, N, 3·D] with D a multiple of ", heads,
                " heads, an even one in bfloat16, got ", qkv.sizes());
    TORCH_CHECK(from >= 0 && from < qkv.size(1), "sherd::attention: expected from < N = ", qkv.size(1), ", got ", from);
    const Tensor out = at::empty({qkv.size(0), qkv.size(1) - from, qkv.size(2) / 3}, qkv.options());
    withType(qkv.scalar_type(), [&](auto t) {
      using T = decltype(t);
      const int64_t D = out.size(2);
      const T* q = data<T>(qkv);
      attention(Attention<T>{qkv.size(0), qkv.size(1), heads, D / heads, from, q, q + D, 3 * D, q + 2 * D, 3 * D, data<T>(out)});
    });
    ctx->save_for_backward({qkv});
    ctx->saved_data["heads"] = heads;
    ctx->saved_data["from"] = from;
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const Tensor qkv = ctx->get_saved_variables()[0];
    const int64_t heads = ctx->saved_data["heads"].toInt(), from = ctx->saved_data["from"].toInt();
    const Tensor g = ready(gradients[0], qkv.scalar_type()), dqkv = at::empty_like(qkv);
    withType(qkv.scalar_type(), [&](auto t) {
      using T = decltype(t);
      attentionGradient<T>(
          {qkv.size(0), qkv.size(1), heads, g.size(2) / heads, from, data<T>(qkv), data<T>(g), data<T>(dqkv)});
    });
    return {dqkv, Tensor(), Tensor()};
  }
};

// The same of queries and keys [B, N, 2·D], which stay float32, and values [B, N, D]. Without a gradient.
Tensor attendApart(const Tensor& queriesAndKeys, const Tensor& values, int64_t heads, int64_t from) {
  const Tensor qk = ready(queriesAndKeys, at::kFloat), v = ready(values, computeType());
  TORCH_CHECK(v.dim() == 3 && heads > 0 && v.size(2) % heads == 0 && qk.dim() == 3 && qk.size(0) == v.size(0) &&
                  qk.size(1) == v.size(1) && qk.size(2) == 2 * v.size(2),
              "sherd::attention_apart: expected [B, N, 2·D] and [B, N, D] with D a multiple of ", heads, " heads, got ", qk.sizes(),
              " and ", v.sizes());
  TORCH_CHECK(from >= 0 && from < v.size(1), "sherd::attention_apart: expected from < N = ", v.size(1), ", got ", from);
  TORCH_CHECK(!at::GradMode::is_enabled() || !(queriesAndKeys.requires_grad() || values.requires_grad()),
              "sherd::attention_apart has no gradient");
  const int64_t B = v.size(0), N = v.size(1), D = v.size(2);
  const Tensor out = at::empty({B, N - from, D}, v.options());
  withType(v.scalar_type(), [&](auto t) {
    using T = decltype(t);
    const float* q = data<float>(qk);
    attention(Attention<T, float>{B, N, heads, D / heads, from, q, q + D, 2 * D, data<T>(v), D, data<T>(out)});
  });
  return out;
}

// Patch numbers [B, K] of which each row lies in one piece, all of them from 0 to `patches` − 1.
Tensor patchNumbers(const Tensor& numbers, int64_t samples, int64_t patches) {
  TORCH_CHECK(numbers.device().is_cpu() && numbers.scalar_type() == at::kLong && numbers.dim() == 2 &&
                  numbers.size(0) == samples,
              "expected int64 patch numbers [", samples, ", K], got ", numbers.sizes());
  const Tensor rows = numbers.stride(1) == 1 ? numbers : numbers.contiguous();
  for (int64_t b = 0; b < samples; b++) {
    const int64_t* row = data<int64_t>(rows) + b * rows.stride(0);
    for (int64_t k = 0; k < rows.size(1); k++)
      TORCH_CHECK_INDEX(row[k] >= 0 && row[k] < patches, "patch ", row[k], " of ", patches);
  }
  return rows;
}

struct MakeTokens : torch::autograd::Function<MakeTokens> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& where, const Tensor& kept,
                        const MaybeTensor& cls) {
    const at::ScalarType type = computeType();
    const Tensor x = ready(input, type), positions = ready(where, at::kFloat);
    TORCH_CHECK(x.dim() == 3 && positions.dim() == 2 && positions.size(1) == x.size(2),
                "sherd::tokens: expected x [B, K, D] and positions [N, D], got ", x.sizes(), " and ", positions.sizes());
    const int64_t B = x.size(0), D = x.size(2);
    const Tensor k = patchNumbers(kept, B, positions.size(0)), c = cls ? weights(*cls) : Tensor();
    const int64_t K = k.size(1);
    TORCH_CHECK(x.size(1) == K + (cls ? 0 : 1) && (!cls || c.numel() == D), "sherd::tokens: ", x.sizes(), " does not fit ",
                K, " kept patches");
    const Tensor out = at::empty({B, 1 + K, D}, positions.options());
    withType(type, [&](auto zero) {
      using T = decltype(zero);
      makeTokens<T>({B, K, D, data<T>(x), data<float>(positions), data<int64_t>(k), data<float>(c), k.stride(0)},
                    data<float>(out));
    });
    ctx->saved_data["type"] = static_cast<int64_t>(type);
    ctx->saved_data["cls"] = c.defined() ? c.sizes().vec() : std::vector<int64_t>();
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto type = static_cast<at::ScalarType>(ctx->saved_data["type"].toInt());
    const auto clsShape = ctx->saved_data["cls"].toIntVector();
    const Tensor g = ready(gradients[0], at::kFloat);
    const int64_t B = g.size(0), D = g.size(2), K = g.size(1) - 1;
    const Tensor cls = clsShape.empty() ? Tensor() : at::empty(clsShape, g.options());
    const Tensor x = at::empty({B, K + (cls.defined() ? 0 : 1), D}, g.options().dtype(type));
    withType(type, [&](auto zero) {
      using T = decltype(zero);
      tokensGradient<T>(B, K, D, data<float>(g), data<T>(x), data<float>(cls));
    });
    return {x, Tensor(), Tensor(), cls};
  }
};

struct WithRows : torch::autograd::Function<WithRows> {
  static AppendRows of(const Tensor& x, const Tensor& table, const Tensor& rows) {
    return {x.size(0), x.size(1), rows.size(1), table.size(0), x.size(2), data<int64_t>(rows), rows.stride(0)};
  }

  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& source, const Tensor& which) {
    const Tensor x = ready(input, input.scalar_type()), table = ready(source, x.scalar_type());
    TORCH_CHECK(x.dim() == 3 && table.dim() == 2 && table.size(1) == x.size(2),
                "sherd::append_rows: expected x [B, K, D] and a table [S, D], got ", x.sizes(), " and ", table.sizes());
    const Tensor rows = patchNumbers(which, x.size(0), table.size(0));
    const Tensor out = at::empty({x.size(0), x.size(1) + rows.size(1), x.size(2)}, x.options());
    withType(x.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      appendRows<T>(of(x, table, rows), data<T>(x), data<T>(table), data<T>(out));
    });
    ctx->save_for_backward({rows});
    ctx->saved_data["table"] = table.size(0);
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const Tensor rows = ctx->get_saved_variables()[0], g = ready(gradients[0], gradients[0].scalar_type());
    const int64_t D = g.size(2);
    const Tensor x = at::empty({g.size(0), g.size(1) - rows.size(1), D}, g.options());
    const Tensor table = at::empty({ctx->saved_data["table"].toInt(), D}, g.options());
    withType(g.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      appendRowsGradient<T>(of(x, table, rows), data<T>(g), data<T>(x), data<T>(table));
    });
    return {x, table, Tensor()};
  }
};

template <class T>
PatchLoss<T> patchLossOf(const Tensor& prediction, const Tensor& patches, const Tensor& hidden, bool normalize) {
  return {prediction.size(0), prediction.size(1), patches.size(1),  prediction.size(2), data<T>(prediction),
          data<float>(patches), data<int64_t>(hidden), hidden.stride(0), normalize};
}

struct LossOfPatches : torch::autograd::Function<LossOfPatches> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& image, const Tensor& where, bool normalize) {
    const Tensor prediction = ready(input, input.scalar_type()), patches = ready(image, at::kFloat);
    TORCH_CHECK(prediction.dim() == 3 && patches.dim() == 3 && prediction.size(0) == patches.size(0) &&
                    prediction.size(2) == patches.size(2) && where.dim() == 2 && where.size(1) == prediction.size(1),
                "sherd::patch_loss: a prediction ", prediction.sizes(), " does not fit patches ", patches.sizes());
    const Tensor hidden = patchNumbers(where, patches.size(0), patches.size(1));
    Tensor loss = at::empty({}, patches.options());
    withType(prediction.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      *data<float>(loss) = patchLoss<T>(patchLossOf<T>(prediction, patches, hidden, normalize));
    });
    ctx->save_for_backward({prediction, patches, hidden});
    ctx->saved_data["normalize"] = normalize;
    return loss;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const bool normalize = ctx->saved_data["normalize"].toBool();
    const Tensor gradient = at::empty_like(saved[0]);
    const float g = gradients[0].item<float>();
    withType(saved[0].scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      patchLossGradient<T>(patchLossOf<T>(saved[0], saved[1], saved[2], normalize), g, data<T>(gradient));
    });
    return {gradient, Tensor(), Tensor(), Tensor()};
  }
};

Tensor uniform(const Tensor& epochs, const Tensor& indices, int64_t seed, int64_t stream, int64_t width) {
  TORCH_CHECK(epochs.dim() == 1 && epochs.sizes() == indices.sizes() && width >= 0 && seed >= 0,
              "sherd::uniform: expected an epoch and an index for each row, got ", epochs.sizes(), " and ", indices.sizes());
  const Tensor e = epochs.to(at::kLong).contiguous(), i = indices.to(at::kLong).contiguous();
  const Tensor out = at::empty({e.numel(), width}, at::TensorOptions().dtype(at::kFloat));
  uniformRows(e.numel(), width, static_cast<uint64_t>(seed), static_cast<uint32_t>(stream), data<int64_t>(e), data<int64_t>(i),
              data<float>(out));
  return out;
}

}  // namespace

// What runs on a GPU where it was compiled, and else refuses by saying that it takes tensors on the CPU.
#if defined(SHERD_CUDA)
#define SHERD_ON_GPU(x, ...) \
  if ((x).is_cuda()) return __VA_ARGS__
#else
#define SHERD_ON_GPU(x, ...)
#endif

TORCH_LIBRARY(sherd, library) {
  library.def("linear(Tensor x, Tensor weight, Tensor? bias=None) -> Tensor",
              [](const Tensor& x, const Tensor& weight, const MaybeTensor& bias) {
                SHERD_ON_GPU(x, cuda::Linear::apply(x, weight, bias));
                return Linear::apply(x, weight, bias);
              });
  library.def("mlp(Tensor x, Tensor weight1, Tensor bias1, Tensor weight2, Tensor bias2) -> Tensor",
              [](const Tensor& x, const Tensor& weight1, const Tensor& bias1, const Tensor& weight2, const Tensor& bias2) {
                SHERD_ON_GPU(x, cuda::Mlp::apply(x, weight1, bias1, weight2, bias2));
                const bool learns = at::GradMode::is_enabled() && (x.requires_grad() || weight1.requires_grad() ||
                                                                   bias1.requires_grad() || weight2.requires_grad() ||
                                                                   bias2.requires_grad());
                return Mlp::apply(x, weight1, bias1, weight2, bias2, learns);
              });
  library.def("layer_norm(Tensor x, Tensor weight, Tensor bias, float eps) -> Tensor",
              [](const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
                SHERD_ON_GPU(x, cuda::NormOf::apply(x, MaybeTensor(), weight, bias, eps)[0]);
                return NormOf::apply(x, MaybeTensor(), weight, bias, eps)[0];
              });
  library.def("add_layer_norm(Tensor x, Tensor delta, Tensor weight, Tensor bias, float eps) -> (Tensor, Tensor)",
              [](const Tensor& x, const Tensor& delta, const Tensor& weight, const Tensor& bias, double eps) {
                const auto both = [&] {
                  SHERD_ON_GPU(x, cuda::NormOf::apply(x, MaybeTensor(delta), weight, bias, eps));
                  return NormOf::apply(x, MaybeTensor(delta), weight, bias, eps);
                }();
                return std::make_tuple(both[0], both[1]);
              });
  library.def("attention(Tensor qkv, int heads, int from=0) -> Tensor",
              [](const Tensor& qkv, int64_t heads, int64_t from) {
#if defined(SHERD_FLASH_ATTENTION)
                SHERD_ON_GPU(qkv, cuda::attend(qkv, heads, from));
#endif
                return Attend::apply(qkv, heads, from);
              });
  library.def("add_layer_norm_whole(Tensor x, Tensor delta, Tensor weight, Tensor bias, float eps) -> (Tensor, Tensor)", addNormWhole);
  library.def("attention_apart(Tensor qk, Tensor v, int heads, int from=0) -> Tensor", attendApart);
  library.def("uniform(Tensor epochs, Tensor indices, int seed, int stream, int width) -> Tensor", uniform);
  library.def("tokens(Tensor x, Tensor positions, Tensor kept, Tensor? cls=None) -> Tensor",
              [](const Tensor& x, const Tensor& positions, const Tensor& kept, const MaybeTensor& cls) {
                SHERD_ON_GPU(x, cuda::MakeTokensOf::apply(x, positions, kept, cls));
                return MakeTokens::apply(x, positions, kept, cls);
              });
  library.def("append_rows(Tensor x, Tensor table, Tensor rows) -> Tensor",
              [](const Tensor& x, const Tensor& table, const Tensor& rows) {
                SHERD_ON_GPU(x, cuda::AppendRowsOf::apply(x, table, rows));
                return WithRows::apply(x, table, rows);
              });
  library.def("take_rows(Tensor x, Tensor rows) -> Tensor", [](const Tensor& x, const Tensor& rows) {
    SHERD_ON_GPU(x, cuda::TakeRows::apply(x, rows));
    return at::gather(x, 1, rows.unsqueeze(-1).expand({-1, -1, x.size(-1)}));
  });
  library.def("rows_from(Tensor(a) x, int from) -> Tensor(a)", [](const Tensor& x, int64_t from) {
    SHERD_ON_GPU(x, cuda::RowsFrom::apply(x, from));
    return x.narrow(1, from, x.size(1) - from);
  });
  library.def("patch_loss(Tensor prediction, Tensor patches, Tensor hidden, bool normalize) -> Tensor",
              [](const Tensor& prediction, const Tensor& patches, const Tensor& hidden, bool normalize) {
                SHERD_ON_GPU(prediction, cuda::LossOfPatches::apply(prediction, patches, hidden, normalize));
                return LossOfPatches::apply(prediction, patches, hidden, normalize);
              });
}

}  // namespace sherd
