// The operators `sherd::tokens`, `append_rows`, `take_rows`, `rows_from` and `patch_loss` on a GPU, each one pass over memory. Their checks are of
// shapes alone: a look at the indices would make the CPU wait for the GPU.
#pragma once

#include "operators.h"
#include "tokens.h"

namespace sherd::cuda {

// The numbers of rows, [samples, K], each sample's in one piece.
inline Tensor rowNumbers(const Tensor& numbers, const Tensor& of) {
  TORCH_CHECK(numbers.device() == of.device() && numbers.scalar_type() == at::kLong && numbers.dim() == 2 &&
                  numbers.size(0) == of.size(0),
              "expected int64 numbers [", of.size(0), ", K] on ", of.device(), ", got ", numbers.scalar_type(), " ", numbers.sizes(),
              " on ", numbers.device());
  return numbers.stride(1) == 1 ? numbers : numbers.contiguous();
}
inline Which whichOf(const Tensor& numbers) {
  return {static_cast<const int64_t*>(numbers.data_ptr()), numbers.size(1), numbers.stride(0)};
}

struct MakeTokensOf : torch::autograd::Function<MakeTokensOf> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& where, const Tensor& kept, const MaybeTensor& cls) {
    const c10::DeviceGuard guard(input.device());
    const at::ScalarType type = computeType();
    const Tensor x = ready(input, type), positions = ready(where, at::kFloat), c = cls ? ready(*cls, at::kFloat) : Tensor();
    TORCH_CHECK(x.dim() == 3 && positions.dim() == 2 && positions.size(1) == x.size(2),
                "sherd::tokens: expected x [B, K, D] and positions [N, D], got ", x.sizes(), " and ", positions.sizes());
    const Tensor k = rowNumbers(kept, x);
    const int64_t B = x.size(0), D = x.size(2), K = k.size(1);
    TORCH_CHECK(x.size(1) == K + (c.defined() ? 0 : 1) && (!c.defined() || c.numel() == D), "sherd::tokens: ", x.sizes(),
                " does not fit ", K, " kept patches");
    const Tensor out = at::empty({B, 1 + K, D}, positions.options());
    succeeded(makeTokens({B, positions.size(0), D, elements(x), floats(positions), whichOf(k), floats(c), floats(out)}, elementOf(type),
                         c10::cuda::getCurrentCUDAStream()),
              "sherd::tokens");
    ctx->saved_data["type"] = static_cast<int64_t>(type);
    ctx->saved_data["cls"] = c.defined() ? c.sizes().vec() : std::vector<int64_t>();
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto type = static_cast<at::ScalarType>(ctx->saved_data["type"].toInt());
    const auto clsShape = ctx->saved_data["cls"].toIntVector();
    const Tensor g = ready(gradients[0], at::kFloat);
    const c10::DeviceGuard guard(g.device());
    const int64_t B = g.size(0), length = g.size(1), D = g.size(2);
    const bool hasCls = !clsShape.empty();
    const Tensor cls = hasCls ? at::empty(clsShape, g.options()) : Tensor();
    const Tensor partial = hasCls ? at::empty({clsParts(B), D}, g.options()) : Tensor();
    const Tensor x = at::empty({B, length - (hasCls ? 1 : 0), D}, g.options().dtype(type));
    succeeded(tokensGradient({B, length, D, floats(g), elements(x), floats(partial), floats(cls)}, elementOf(type),
                             c10::cuda::getCurrentCUDAStream()),
              "the gradient of sherd::tokens");
    return {x, Tensor(), Tensor(), cls};
  }
};

struct AppendRowsOf : torch::autograd::Function<AppendRowsOf> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& source, const Tensor& which) {
    const c10::DeviceGuard guard(input.device());
    const Tensor x = ready(input, input.scalar_type()), table = ready(source, x.scalar_type());
    TORCH_CHECK(x.dim() == 3 && table.dim() == 2 && table.size(1) == x.size(2),
                "sherd::append_rows: expected x [B, K, D] and a table [S, D], got ", x.sizes(), " and ", table.sizes());
    elementOf(x.scalar_type());
    const Tensor rows = rowNumbers(which, x);
    const int64_t B = x.size(0), K = x.size(1), D = x.size(2);
    const Tensor out = at::empty({B, K + rows.size(1), D}, x.options());
    succeeded(copyRows({B, K, table.size(0), D * static_cast<int64_t>(x.element_size()), elements(x), elements(table), true,
                        whichOf(rows), elements(out)},
                       c10::cuda::getCurrentCUDAStream()),
              "sherd::append_rows");
    ctx->save_for_backward({rows});
    ctx->saved_data["table"] = table.size(0);
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const Tensor rows = ctx->get_saved_variables()[0], g = ready(gradients[0], gradients[0].scalar_type());
    const c10::DeviceGuard guard(g.device());
    const int64_t B = g.size(0), K = g.size(1) - rows.size(1), D = g.size(2), S = ctx->saved_data["table"].toInt();
    const auto whole = g.options().dtype(at::kFloat);
    const Tensor x = at::empty({B, K, D}, g.options()), table = at::empty({S, D}, whole);
    const Tensor partial = at::empty({tableParts(B, S, D), S, D}, whole);
    succeeded(copyRowsGradient({B, K, S, D, elements(g), whichOf(rows), elements(x), floats(partial), floats(table)},
                               elementOf(g.scalar_type()), c10::cuda::getCurrentCUDAStream()),
              "the gradient of sherd::append_rows");
    return {x, table.to(g.scalar_type()), Tensor()};
  }
};

// x [B, N, …] of any type at rows [B, K].
struct TakeRows : torch::autograd::Function<TakeRows> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& which) {
    const c10::DeviceGuard guard(input.device());
    TORCH_CHECK(input.dim() == 3, "sherd::take_rows: expected x [B, N, D], got ", input.sizes());
    const bool isShared = input.stride(0) == 0;  // such as positions, expanded
    const Tensor x = isShared ? input[0].contiguous() : input.contiguous(), rows = rowNumbers(which, input);
    const int64_t B = input.size(0), D = input.size(2);
    const Tensor out = at::empty({B, rows.size(1), D}, x.options());
    succeeded(copyRows({B, 0, input.size(1), D * static_cast<int64_t>(x.element_size()), nullptr, elements(x), isShared, whichOf(rows),
                        elements(out)},
                       c10::cuda::getCurrentCUDAStream()),
              "sherd::take_rows");
    ctx->save_for_backward({rows});
    ctx->saved_data["N"] = input.size(1);
    return out;
  }

  // Rows may be there twice, which only LibTorch's operator adds up.
  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const Tensor rows = ctx->get_saved_variables()[0], &g = gradients[0];
    const Tensor x = at::zeros({g.size(0), ctx->saved_data["N"].toInt(), g.size(2)}, g.options());
    return {x.scatter_add_(1, rows.unsqueeze(-1).expand(g.sizes()), g), Tensor()};
  }
};

// The tokens of each sample from one on, a view. Its gradient is one pass, where that of `narrow` clears all of it first.
struct RowsFrom : torch::autograd::Function<RowsFrom> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, int64_t from) {
    TORCH_CHECK(x.dim() == 3 && from >= 0 && from < x.size(1), "sherd::rows_from: expected x [B, N, D] and from < N, got ", x.sizes(),
                " and ", from);
    ctx->saved_data["from"] = from;
    return x.narrow(1, from, x.size(1) - from);
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const Tensor g = ready(gradients[0], gradients[0].scalar_type());
    const c10::DeviceGuard guard(g.device());
    const int64_t B = g.size(0), from = ctx->saved_data["from"].toInt(), count = g.size(1), D = g.size(2);
    const Tensor x = at::empty({B, from + count, D}, g.options());
    succeeded(behindZeros(elements(g), elements(x), B, from, count, D * static_cast<int64_t>(g.element_size()),
                          c10::cuda::getCurrentCUDAStream()),
              "the gradient of sherd::rows_from");
    return {x, Tensor()};
  }
};

struct LossOfPatches : torch::autograd::Function<LossOfPatches> {
  static PatchLoss of(const Tensor& prediction, const Tensor& patches, const Tensor& hidden, bool normalize) {
    return {patches.size(0), patches.size(1), patches.size(2), elements(prediction), floats(patches), whichOf(hidden), normalize};
  }

  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& image, const Tensor& where, bool normalize) {
    const c10::DeviceGuard guard(input.device());
    const Tensor prediction = ready(input, input.scalar_type()), patches = ready(image, at::kFloat);
    TORCH_CHECK(prediction.dim() == 3 && patches.dim() == 3 && prediction.size(0) == patches.size(0) &&
                    prediction.size(2) == patches.size(2) && where.dim() == 2 && where.size(1) == prediction.size(1),
                "sherd::patch_loss: a prediction ", prediction.sizes(), " does not fit patches ", patches.sizes());
    const Tensor hidden = rowNumbers(where, patches);
    const Tensor loss = at::empty({}, patches.options()), partial = at::empty({lossParts(patches.size(0), hidden.size(1))}, patches.options());
    succeeded(patchLoss(of(prediction, patches, hidden, normalize), floats(partial), floats(loss), elementOf(prediction.scalar_type()),
                        c10::cuda::getCurrentCUDAStream()),
              "sherd::patch_loss");
    ctx->save_for_backward({prediction, patches, hidden});
    ctx->saved_data["normalize"] = normalize;
    return loss;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &prediction = saved[0], g = ready(gradients[0], at::kFloat), gradient = at::empty_like(prediction);
    const c10::DeviceGuard guard(prediction.device());
    succeeded(patchLossGradient(of(prediction, saved[1], saved[2], ctx->saved_data["normalize"].toBool()), floats(g), elements(gradient),
                                elementOf(prediction.scalar_type()), c10::cuda::getCurrentCUDAStream()),
              "the gradient of sherd::patch_loss");
    return {gradient, Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace sherd::cuda
