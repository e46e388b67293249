// Work on a GPU that is recorded once and then launched as a whole (CUDA graphs), and uploads on a stream of their own, which go on while
// an earlier launch still runs.
#pragma once

#include <torch/csrc/api/include/torch/version.h>

#if defined(SHERD_CUDA) && (TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 1))
#define SHERD_GRAPHS 1

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace sherd {

// Recording is of one thread and one graph at a time. What is recorded does not run until `replay`.
class Graphs {
 public:
  void begin() {
    if (graph_) throw std::runtime_error("a graph is being recorded already");
    before_ = c10::cuda::getCurrentCUDAStream();
    own_ = c10::cuda::getStreamFromPool();
    before_->synchronize();
    c10::cuda::CUDACachingAllocator::emptyCache();  // what unrecorded steps held would lie there beside the graph's own memory
    graph_ = std::make_unique<at::cuda::CUDAGraph>();
    c10::cuda::setCurrentCUDAStream(*own_);
    try {
      // Relaxed: uploads of constants, on another stream, may allocate and wait.
      graph_->capture_begin({0, 0}, cudaStreamCaptureModeRelaxed);
    } catch (...) {
      leave();
      graph_.reset();
      throw;
    }
  }

  // The graph's number, or −1 if it was recorded in vain.
  int64_t end(bool keep) {
    if (!graph_) throw std::runtime_error("no graph is being recorded");
    std::unique_ptr<at::cuda::CUDAGraph> graph = std::move(graph_);
    try {
      c10::cuda::setCurrentCUDAStream(*own_);
      graph->capture_end();
    } catch (...) {
      c10::cuda::CUDACachingAllocator::endAllocateToPool(own_->device_index(), graph->pool());
      leave();
      cudaGetLastError();
      if (keep) throw;
      return -1;
    }
    leave();
    if (!keep) return -1;
    graphs_.push_back(std::move(graph));
    return static_cast<int64_t>(graphs_.size()) - 1;
  }

  // Between `begin` and `end`: what follows runs now, on another stream, until it is switched back.
  void aside(bool on) {
    if (!graph_) throw std::runtime_error("no graph is being recorded");
    if (on) {
      if (!aside_) aside_ = c10::cuda::getStreamFromPool();
      c10::cuda::setCurrentCUDAStream(*aside_);
    } else {
      aside_->synchronize();
      c10::cuda::setCurrentCUDAStream(*own_);
    }
  }

  void replay(int64_t number) { at(number).replay(); }
  void free(int64_t number) {
    at(number);
    c10::cuda::getCurrentCUDAStream().synchronize();
    graphs_[number].reset();
  }

 private:
  void leave() { c10::cuda::setCurrentCUDAStream(*before_); }
  at::cuda::CUDAGraph& at(int64_t number) {
    if (number < 0 || number >= static_cast<int64_t>(graphs_.size()) || !graphs_[number]) throw std::runtime_error("no such graph");
    return *graphs_[number];
  }

  std::vector<std::unique_ptr<at::cuda::CUDAGraph>> graphs_;
  std::unique_ptr<at::cuda::CUDAGraph> graph_;
  std::optional<c10::cuda::CUDAStream> before_, own_, aside_;
};

// A pinned tensor, copied to the GPU beside what runs there; what follows on the current stream waits for it.
inline at::Tensor uploadBeside(const at::Tensor& pinned, c10::Device device) {
  const c10::cuda::CUDAGuard guard(device);
  static thread_local std::vector<std::optional<c10::cuda::CUDAStream>> streams;
  const auto current = c10::cuda::getCurrentCUDAStream();
  const size_t index = static_cast<size_t>(current.device_index());
  if (streams.size() <= index) streams.resize(index + 1);
  if (!streams[index]) streams[index] = c10::cuda::getStreamFromPool();
  cudaEvent_t done = nullptr;
  C10_CUDA_CHECK(cudaEventCreateWithFlags(&done, cudaEventDisableTiming));
  at::Tensor made;
  {
    const c10::cuda::CUDAStreamGuard beside(*streams[index]);
    made = pinned.to(device, pinned.scalar_type(), /*non_blocking=*/true);
    C10_CUDA_CHECK(cudaEventRecord(done, *streams[index]));
  }
  C10_CUDA_CHECK(cudaStreamWaitEvent(current, done, 0));
  C10_CUDA_CHECK(cudaEventDestroy(done));  // once it has been reached
  made.record_stream(current);  // its memory is not used again before the current stream is done with it
  return made;
}

}  // namespace sherd
#endif
