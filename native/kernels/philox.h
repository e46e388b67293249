// Philox4x32-10 (Salmon et al. 2011) for many addresses at once: the same draws as src/random/draws.ts, which explains them.
#pragma once

#include <cstdint>

#include "parallel.h"

namespace sherd {

struct PhiloxWords {
  uint32_t x[4];
};

inline PhiloxWords philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint64_t key) {
  uint32_t x[4] = {c0, c1, c2, c3}, key0 = static_cast<uint32_t>(key), key1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; round++) {
    const uint64_t a = static_cast<uint64_t>(0xd2511f53u) * x[0], b = static_cast<uint64_t>(0xcd9e8d57u) * x[2];
    const uint32_t next0 = static_cast<uint32_t>(b >> 32) ^ x[1] ^ key0, next2 = static_cast<uint32_t>(a >> 32) ^ x[3] ^ key1;
    x[0] = next0;
    x[1] = static_cast<uint32_t>(b);
    x[2] = next2;
    x[3] = static_cast<uint32_t>(a);
    key0 += 0x9e3779b9u;
    key1 += 0xbb67ae85u;
  }
  return {{x[0], x[1], x[2], x[3]}};
}

// out [rows, width]: row r has the uniforms in [0, 1) of 24 bits that belong to (key, stream, epochs[r], indices[r]).
inline void uniformRows(int64_t rows, int64_t width, uint64_t key, uint32_t stream, const int64_t* epochs, const int64_t* indices,
                        float* out) {
  parallelShares(rows, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++)
      for (int64_t i = 0; i < width; i += 4) {
        const PhiloxWords words = philox(static_cast<uint32_t>(i / 4), static_cast<uint32_t>(indices[r]),
                                         static_cast<uint32_t>(epochs[r]), stream, key);
        for (int64_t j = i; j < std::min(i + 4, width); j++)
          out[r * width + j] = static_cast<float>(words.x[j - i] >> 8) * (1.0f / (1 << 24));
      }
  });
}

}  // namespace sherd
