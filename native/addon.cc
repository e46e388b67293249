// The one door from Node to LibTorch: any operator of the c10 dispatcher by name, with its defaults and its autograd.
// Everything that knows what a vision transformer is lives in TypeScript; this file only moves values across and turns
// C++ exceptions into JavaScript errors. The same source builds against LibTorch 1.13 to 2.x.
#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <napi.h>
#include <torch/csrc/api/include/torch/version.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "convert.h"
#include "graph.h"
#include "handles.h"
#include "kernels/parallel.h"
#include "optimizer.h"
#include "process.h"

#define SHERD_TORCH_AT_LEAST(major, minor) \
  (TORCH_VERSION_MAJOR > (major) || (TORCH_VERSION_MAJOR == (major) && TORCH_VERSION_MINOR >= (minor)))

namespace sherd {
namespace {

// One per JavaScript environment (main thread or worker). Left alone at exit: freeing tensors while the process and its
// CUDA driver shut down is a well-known way to crash.
struct State {
  Handles handles;
  std::vector<c10::OperatorHandle> operators;
#if defined(SHERD_GRAPHS)
  Graphs graphs;
#endif
};

State& stateOf(const Napi::CallbackInfo& info) { return *info.Env().GetInstanceData<State>(); }

using Body = Napi::Value (*)(const Napi::CallbackInfo&);

// Every exported function runs inside this guard, so that no C++ exception ever crosses into V8.
template <Body body>
Napi::Value guarded(const Napi::CallbackInfo& info) {
  try {
    return body(info);
  } catch (const Napi::Error&) {
    throw;
  } catch (const c10::Error& error) {
    throw Napi::Error::New(info.Env(), error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    throw Napi::Error::New(info.Env(), "out of memory");
  } catch (const std::exception& error) {
    throw Napi::Error::New(info.Env(), error.what());
  } catch (...) {
    throw Napi::Error::New(info.Env(), "unknown C++ exception");
  }
}

std::string toText(const Napi::Value& value, const char* expected) {
  if (!value.IsString()) mismatch(expected, value);
  return value.As<Napi::String>().Utf8Value();
}

bool toFlag(const Napi::Value& value) {
  if (!value.IsBoolean()) mismatch("a boolean", value);
  return value.As<Napi::Boolean>().Value();
}

at::ScalarType toScalarType(const Napi::Value& value) {
  const int64_t code = toInteger(value);
  if (code < 0 || code >= static_cast<int64_t>(at::ScalarType::NumOptions)) mismatch("a dtype code", value);
  return static_cast<at::ScalarType>(code);
}

int64_t deviceCount(at::DeviceType type) {
  if (!c10::impl::hasDeviceGuardImpl(type)) return 0;
  return c10::impl::getDeviceGuardImpl(type)->deviceCount();
}

// operator(name, overload) → index for `call`, or -1 when this LibTorch has no such operator.
Napi::Value findOperator(const Napi::CallbackInfo& info) {
  State& state = stateOf(info);
  const std::string name = toText(info[0], "an operator name");
  const std::string overload = toText(info[1], "an overload name");
  const auto found = c10::Dispatcher::singleton().findSchema({name, overload});
  if (!found.has_value()) return Napi::Number::New(info.Env(), -1);
  state.operators.push_back(*found);
  return Napi::Number::New(info.Env(), static_cast<double>(state.operators.size() - 1));
}

// call(operator, arguments) → the result, an array of results, or null. Missing trailing arguments take their defaults.
Napi::Value call(const Napi::CallbackInfo& info) {
  State& state = stateOf(info);
  const int64_t index = toInteger(info[0]);
  if (index < 0 || index >= static_cast<int64_t>(state.operators.size())) throw std::runtime_error("no such operator");
  if (!info[1].IsArray()) mismatch("an array of arguments", info[1]);
  const c10::OperatorHandle& op = state.operators[index];
  const auto& schema = op.schema();
  const auto& expected = schema.arguments();
  const Napi::Array given = info[1].As<Napi::Array>();
  if (given.Length() > expected.size())
    throw std::runtime_error("takes " + std::to_string(expected.size()) + " arguments, got " +
                             std::to_string(given.Length()));
  torch::jit::Stack stack;
  stack.reserve(expected.size());
  for (size_t i = 0; i < expected.size(); i++) {
    const Napi::Value value = i < given.Length() ? given.Get(static_cast<uint32_t>(i)) : info.Env().Undefined();
    if (value.IsUndefined() && expected[i].default_value().has_value()) {
      stack.push_back(*expected[i].default_value());
      continue;
    }
    try {
      stack.push_back(toIValue(state.handles, value, expected[i].type()));
    } catch (const std::runtime_error& error) {
      throw std::runtime_error("argument \"" + expected[i].name() + "\": " + error.what());
    }
  }
  op.callBoxed(&stack);
  if (stack.empty()) return info.Env().Null();
  if (stack.size() == 1) return toJs(info.Env(), state.handles, stack[0]);
  Napi::Array results = Napi::Array::New(info.Env(), stack.size());
  for (size_t i = 0; i < stack.size(); i++)
    results.Set(static_cast<uint32_t>(i), toJs(info.Env(), state.handles, stack[i]));
  return results;
}

// One core does not fill the memory's bandwidth: a batch of 512 images of 224 × 224 took it 15 ms.
void copyBytes(void* to, const void* from, size_t bytes) {
  constexpr int64_t most = 1 << 20;
  if (bytes == 0) return;
  const int64_t length = static_cast<int64_t>(bytes);
  parallel((length + most - 1) / most, [&](int64_t i) {
    const int64_t begin = i * most;
    std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin, std::min(most, length - begin));
  });
}

// fromBytes(typed array, dtype code, shape, device) → a new tensor on the device that owns a copy. A GPU copies from pinned memory
// while this thread continues; LibTorch keeps that memory until the copy is done, and uses it again.
Napi::Value fromBytes(const Napi::CallbackInfo& info) {
  if (!info[0].IsTypedArray()) mismatch("a typed array", info[0]);
  const size_t byteLength = info[0].As<Napi::TypedArray>().ByteLength();
  void* data = nullptr;  // asked for directly, because batches lie in shared memory, which is no ArrayBuffer
  if (napi_get_typedarray_info(info.Env(), info[0], nullptr, nullptr, &data, nullptr, nullptr) != napi_ok)
    throw std::runtime_error("the typed array cannot be read");
  const at::ScalarType dtype = toScalarType(info[1]);
  const std::vector<int64_t> shape = toIntegers(info[2]);
  double bytes = static_cast<double>(c10::elementSize(dtype));
  for (const int64_t size : shape) bytes *= static_cast<double>(size);
  if (bytes != static_cast<double>(byteLength))
    throw std::runtime_error("the shape needs " + Napi::Number::New(info.Env(), bytes).ToString().Utf8Value() +
                             " bytes, got " + std::to_string(byteLength));
  const c10::Device device(toText(info[3], "a device"));
  const bool pinned = device.is_cuda() && byteLength > 0;
  if (pinned && deviceCount(device.type()) == 0) throw std::runtime_error("no " + device.str() + " device");
  at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(dtype).pinned_memory(pinned));
  copyBytes(tensor.data_ptr(), data, byteLength);
#if defined(SHERD_GRAPHS)
  constexpr size_t kWorthAStream = 1 << 18;
  if (pinned && byteLength >= kWorthAStream)
    return Napi::Number::New(info.Env(), stateOf(info).handles.add(uploadBeside(tensor, device)));
#endif
  if (!device.is_cpu()) tensor = tensor.to(device, dtype, /*non_blocking=*/pinned);
  return Napi::Number::New(info.Env(), stateOf(info).handles.add(std::move(tensor)));
}

// toBytes(tensor) → an ArrayBuffer with a row-major copy.
Napi::Value toBytes(const Napi::CallbackInfo& info) {
  const at::Tensor tensor = toTensor(stateOf(info).handles, info[0]).detach().to(at::kCPU).contiguous();
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(info.Env(), tensor.nbytes());
  if (tensor.nbytes() > 0) std::memcpy(buffer.Data(), tensor.data_ptr(), tensor.nbytes());
  return buffer;
}

// describe(tensor) → [dtype code, device, requires gradient, shape]
Napi::Value describe(const Napi::CallbackInfo& info) {
  const at::Tensor& tensor = toTensor(stateOf(info).handles, info[0]);
  Napi::Array shape = Napi::Array::New(info.Env(), tensor.dim());
  for (int64_t i = 0; i < tensor.dim(); i++)
    shape.Set(static_cast<uint32_t>(i), Napi::Number::New(info.Env(), static_cast<double>(tensor.size(i))));
  Napi::Array result = Napi::Array::New(info.Env(), 4);
  result.Set(0u, Napi::Number::New(info.Env(), static_cast<double>(tensor.scalar_type())));
  result.Set(1u, Napi::String::New(info.Env(), tensor.device().str()));
  result.Set(2u, Napi::Boolean::New(info.Env(), tensor.requires_grad()));
  result.Set(3u, shape);
  return result;
}

Napi::Value freeTensor(const Napi::CallbackInfo& info) {
  Handles& handles = stateOf(info).handles;
  const double handle = toNumber(info[0], "a tensor");
  if (handles.isLive(handle)) handles.free(handle);
  return info.Env().Undefined();
}

Napi::Value liveTensors(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(stateOf(info).handles.live()));
}

Napi::Value requireGradient(const Napi::CallbackInfo& info) {
  toTensor(stateOf(info).handles, info[0]).requires_grad_(toFlag(info[1]));
  return info.Env().Undefined();
}

// share(tensor) → a second handle of the same tensor, which outlives the first.
Napi::Value share(const Napi::CallbackInfo& info) {
  Handles& handles = stateOf(info).handles;
  at::Tensor tensor = toTensor(handles, info[0]);
  return Napi::Number::New(info.Env(), handles.add(std::move(tensor)));
}

// backward(tensors, gradients): from several tensors at once; a gradient may be null for a scalar, or where there is none.
Napi::Value backward(const Napi::CallbackInfo& info) {
  const Handles& handles = stateOf(info).handles;
  if (!info[0].IsArray() || !info[1].IsArray()) mismatch("two arrays", info[0]);
  const Napi::Array tensors = info[0].As<Napi::Array>(), gradients = info[1].As<Napi::Array>();
  torch::autograd::variable_list roots, given;
  for (uint32_t i = 0; i < tensors.Length(); i++) {
    roots.push_back(toTensor(handles, tensors.Get(i)));
    const Napi::Value gradient = gradients.Get(i);
    given.push_back(gradient.IsNull() ? at::Tensor() : toTensor(handles, gradient));
  }
  torch::autograd::backward(roots, given);
  return info.Env().Undefined();
}

// gradient(tensor) → the accumulated gradient, or null.
Napi::Value gradient(const Napi::CallbackInfo& info) {
  State& state = stateOf(info);
  const at::Tensor& grad = toTensor(state.handles, info[0]).grad();
  if (!grad.defined()) return info.Env().Null();
  return Napi::Number::New(info.Env(), state.handles.add(grad));
}

Napi::Value clearGradient(const Napi::CallbackInfo& info) {
  toTensor(stateOf(info).handles, info[0]).mutable_grad().reset();
  return info.Env().Undefined();
}

std::vector<at::Tensor> toTensors(const Handles& handles, const Napi::Value& value) {
  if (!value.IsArray()) mismatch("an array of tensors", value);
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<at::Tensor> tensors;
  for (uint32_t i = 0; i < array.Length(); i++) tensors.push_back(toTensor(handles, array.Get(i)));
  return tensors;
}

// norm(tensors) → the Euclidean norm over all of them together.
Napi::Value norm(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), normOf(toTensors(stateOf(info).handles, info[0])));
}

// adamW(parameters, gradients, first moments, second moments, [decay, β₁, β₂, rate, ε]): one step, in place.
Napi::Value adamWStep(const Napi::CallbackInfo& info) {
  const Handles& handles = stateOf(info).handles;
  if (!info[4].IsArray()) mismatch("an array of numbers", info[4]);
  const auto number = [&info](uint32_t i) {
    return static_cast<float>(toNumber(info[4].As<Napi::Array>().Get(i), "a number"));
  };
  const AdamWStep step = {number(0), number(1), number(2), number(3), number(4)};
  adamW({toTensors(handles, info[0]), toTensors(handles, info[1]), toTensors(handles, info[2]), toTensors(handles, info[3])},
        step);
  return info.Env().Undefined();
}

// setGradientMode(on) → what it was before.
Napi::Value setGradientMode(const Napi::CallbackInfo& info) {
  const bool before = c10::GradMode::is_enabled();
  c10::GradMode::set_enabled(toFlag(info[0]));
  return Napi::Boolean::New(info.Env(), before);
}

// setAutocast(device type, on, dtype code). Turning it off drops the cached casts of the weights.
Napi::Value setAutocast(const Napi::CallbackInfo& info) {
  const at::DeviceType device = c10::Device(toText(info[0], "a device")).type();
  const bool on = toFlag(info[1]);
  const at::ScalarType dtype = toScalarType(info[2]);
#if SHERD_TORCH_AT_LEAST(2, 4)
  at::autocast::set_autocast_dtype(device, dtype);
  at::autocast::set_autocast_enabled(device, on);
#else
  if (device == at::kCUDA) {
    at::autocast::set_autocast_gpu_dtype(dtype);
    at::autocast::set_enabled(on);
  } else {
    at::autocast::set_autocast_cpu_dtype(dtype);
    at::autocast::set_cpu_enabled(on);
  }
#endif
  if (!on) at::autocast::clear_cache();
  return info.Env().Undefined();
}

Napi::Value seed(const Napi::CallbackInfo& info) {
  at::manual_seed(static_cast<uint64_t>(toInteger(info[0])));
  return info.Env().Undefined();
}

Napi::Value setThreads(const Napi::CallbackInfo& info) {
  const int64_t threads = toInteger(info[0]);
  if (threads < 1 || threads > 4096) mismatch("a number of threads from 1 to 4096", info[0]);
  at::set_num_threads(static_cast<int>(threads));
  return info.Env().Undefined();
}

// Waits until the device has finished; a no-op on the CPU.
Napi::Value synchronize(const Napi::CallbackInfo& info) {
  const c10::Device device(toText(info[0], "a device"));
  if (device.is_cpu()) return info.Env().Undefined();
  if (deviceCount(device.type()) == 0) throw std::runtime_error("no " + device.str() + " device");
  const auto* guard = c10::impl::getDeviceGuardImpl(device.type());
  guard->getStream(device.has_index() ? device : guard->getDevice()).synchronize();
  return info.Env().Undefined();
}

// Graphs of work on the GPU (graph.h). beginGraph(); endGraph(keep) → its number; between them aside(on) for what runs at once.
#if defined(SHERD_GRAPHS)
Napi::Value beginGraph(const Napi::CallbackInfo& info) {
  stateOf(info).graphs.begin();
  return info.Env().Undefined();
}

Napi::Value endGraph(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(stateOf(info).graphs.end(toFlag(info[0]))));
}

Napi::Value asideOfGraph(const Napi::CallbackInfo& info) {
  stateOf(info).graphs.aside(toFlag(info[0]));
  return info.Env().Undefined();
}

Napi::Value replayGraph(const Napi::CallbackInfo& info) {
  stateOf(info).graphs.replay(toInteger(info[0]));
  return info.Env().Undefined();
}

Napi::Value freeGraph(const Napi::CallbackInfo& info) {
  stateOf(info).graphs.free(toInteger(info[0]));
  return info.Env().Undefined();
}
#endif

// lock(path) → a descriptor to unlock with, or null when another process has the lock.
Napi::Value lock(const Napi::CallbackInfo& info) {
  const int file = lockFile(toText(info[0], "a path"));
  if (file < 0) return info.Env().Null();
  return Napi::Number::New(info.Env(), file);
}

Napi::Value unlock(const Napi::CallbackInfo& info) {
  close(static_cast<int>(toInteger(info[0])));
  return info.Env().Undefined();
}

Napi::Value quitAtSecondSignalOf(const Napi::CallbackInfo& info) {
  quitAtSecondSignal();
  return info.Env().Undefined();
}

// build() → what this LibTorch is and can do.
Napi::Value build(const Napi::CallbackInfo& info) {
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("version", TORCH_VERSION);
  result.Set("configuration", at::show_config());
  result.Set("threads", at::get_num_threads());
  result.Set("cudaBuild", at::hasCUDA() || c10::impl::hasDeviceGuardImpl(at::kCUDA));
  result.Set("cudaDevices", static_cast<double>(deviceCount(at::kCUDA)));
  result.Set("oneDnn", at::hasMKLDNN());
#if defined(__AVX512BF16__)
  result.Set("bfloat16Kernels", true);
#else
  result.Set("bfloat16Kernels", false);
#endif
#if defined(SHERD_CUDA)
  result.Set("cudaKernels", true);
#else
  result.Set("cudaKernels", false);
#endif
#if defined(SHERD_GRAPHS)
  result.Set("graphs", true);
#else
  result.Set("graphs", false);
#endif
  return result;
}

void keepState(Napi::Env, State*) {}

// A training step asks for the same large tensors again and again. By default glibc hands each back to the system, which
// then clears every page of the next one: 3 to 15 % of a step. Freed memory stays with the process instead.
void keepFreedMemory() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

template <Body body>
void expose(Napi::Env env, Napi::Object& exports, const char* name) {
  exports.Set(name, Napi::Function::New<guarded<body>>(env, name));
}

// By default cuDNN rounds what a float32 convolution multiplies to 11 bits (TF32). float32 means float32 here.
void keepFloat32() { at::globalContext().setAllowTF32CuDNN(false); }

}  // namespace

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  keepFreedMemory();
  keepFloat32();
  env.SetInstanceData<State, keepState>(new State());
  expose<findOperator>(env, exports, "operator");
  expose<call>(env, exports, "call");
  expose<fromBytes>(env, exports, "fromBytes");
  expose<toBytes>(env, exports, "toBytes");
  expose<describe>(env, exports, "describe");
  expose<freeTensor>(env, exports, "free");
  expose<liveTensors>(env, exports, "liveTensors");
  expose<requireGradient>(env, exports, "requireGradient");
  expose<share>(env, exports, "share");
  expose<backward>(env, exports, "backward");
  expose<gradient>(env, exports, "gradient");
  expose<clearGradient>(env, exports, "clearGradient");
  expose<norm>(env, exports, "norm");
  expose<adamWStep>(env, exports, "adamW");
  expose<setGradientMode>(env, exports, "setGradientMode");
  expose<setAutocast>(env, exports, "setAutocast");
  expose<seed>(env, exports, "seed");
  expose<setThreads>(env, exports, "setThreads");
  expose<synchronize>(env, exports, "synchronize");
#if defined(SHERD_GRAPHS)
  expose<beginGraph>(env, exports, "beginGraph");
  expose<endGraph>(env, exports, "endGraph");
  expose<asideOfGraph>(env, exports, "asideOfGraph");
  expose<replayGraph>(env, exports, "replayGraph");
  expose<freeGraph>(env, exports, "freeGraph");
#endif
  expose<lock>(env, exports, "lock");
  expose<unlock>(env, exports, "unlock");
  expose<quitAtSecondSignalOf>(env, exports, "quitAtSecondSignal");
  expose<build>(env, exports, "build");
  return exports;
}

}  // namespace sherd

static Napi::Object Init(Napi::Env env, Napi::Object exports) { return sherd::initialise(env, exports); }
NODE_API_MODULE(sherd, Init)
