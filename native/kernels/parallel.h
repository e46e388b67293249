// Parallel work on LibTorch's own threads. at::parallel_for is a template whose threads belong to whoever compiles it; an
// iteration of TensorIterator runs inside LibTorch, so no second pool of threads appears.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>

#include <atomic>

namespace sherd {

inline int64_t threadCount() { return at::in_parallel_region() ? 1 : at::get_num_threads(); }

// body(0) … body(count − 1), spread over the threads in contiguous runs. An exception of a body arrives here.
template <class Body>
void parallel(int64_t count, const Body& body) {
  if (count == 1 || threadCount() == 1) {
    for (int64_t i = 0; i < count; i++) body(i);
    return;
  }
  thread_local at::Tensor cells;  // one byte a task: its address says which one it is
  if (!cells.defined() || cells.numel() < count) cells = at::zeros({count}, at::kByte);
  const at::Tensor mine = cells.numel() == count ? cells : cells.narrow(0, 0, count);
  const char* first = static_cast<const char*>(mine.data_ptr());
  auto iterator = at::TensorIteratorConfig()
                      .set_check_mem_overlap(false)
                      .check_all_same_dtype(false)
                      .resize_outputs(false)
                      .add_output(mine)
                      .build();
  iterator.for_each(
      [&](char** data, const int64_t*, int64_t length) {
        for (int64_t i = data[0] - first, end = i + length; i < end; i++) body(i);
      },
      /*grain_size=*/1);
}

// Tasks that each thread takes as it gets on, because cores are never equally fast. worker(next) runs on every thread;
// next() is the next task, in order, or −1 when none is left. What a task computes must not depend on who takes it.
template <class Worker>
void parallelTasks(int64_t tasks, const Worker& worker) {
  std::atomic<int64_t> taken{0};
  const auto next = [&] {
    const int64_t task = taken.fetch_add(1, std::memory_order_relaxed);
    return task < tasks ? task : -1;
  };
  parallel(std::min(tasks, threadCount()), [&](int64_t) { worker(next); });
}

// body(begin, end) for one contiguous share of 0 … count − 1 a thread.
template <class Body>
void parallelShares(int64_t count, const Body& body) {
  const int64_t shares = std::max<int64_t>(1, std::min(threadCount(), count));
  parallel(shares, [&](int64_t i) { body(count * i / shares, count * (i + 1) / shares); });
}

}  // namespace sherd
