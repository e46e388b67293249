// The table of tensors that JavaScript holds. A handle is a number: slot + generation, so a handle whose tensor was freed
// is recognised and refused instead of reading memory that now belongs to another tensor. Generations start at 1, so that
// no small number is a handle.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <stdexcept>
#include <vector>

namespace sherd {

class Handles {
 public:
  double add(at::Tensor tensor) {
    uint32_t slot;
    if (free_.empty()) {
      slot = static_cast<uint32_t>(slots_.size());
      if (slot >= kSlots) throw std::runtime_error("more than 16 million live tensors: a scope is missing");
      slots_.push_back({});
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    slots_[slot].tensor = std::move(tensor);
    slots_[slot].live = true;
    live_++;
    return static_cast<double>(slots_[slot].generation) * kSlots + slot;
  }

  const at::Tensor& get(double handle) const { return slots_[find(handle)].tensor; }

  void free(double handle) {
    Slot& slot = slots_[find(handle)];
    slot.tensor.reset();
    slot.live = false;
    slot.generation = (slot.generation + 1) & kLastGeneration;
    live_--;
    free_.push_back(static_cast<uint32_t>(&slot - slots_.data()));
  }

  bool isLive(double handle) const { return index(handle) >= 0; }
  size_t live() const { return live_; }

 private:
  struct Slot {
    at::Tensor tensor;
    uint32_t generation = 1;
    bool live = false;
  };

  static constexpr uint32_t kSlots = 1u << 24;
  static constexpr uint32_t kLastGeneration = (1u << 28) - 1;  // slot and generation fit the 53 bits of a double

  int64_t index(double handle) const {
    if (!(handle >= 0) || handle > 9007199254740991.0) return -1;
    const uint64_t bits = static_cast<uint64_t>(handle);
    if (static_cast<double>(bits) != handle) return -1;
    const uint64_t slot = bits % kSlots;
    if (slot >= slots_.size() || !slots_[slot].live || slots_[slot].generation != bits / kSlots) return -1;
    return static_cast<int64_t>(slot);
  }

  size_t find(double handle) const {
    const int64_t slot = index(handle);
    if (slot < 0) throw std::runtime_error("the tensor was already freed (its scope has ended, or it was disposed)");
    return static_cast<size_t>(slot);
  }

  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  size_t live_ = 0;
};

}  // namespace sherd
