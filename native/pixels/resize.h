// Crop, antialiased bicubic resize and flip in one pass: Pillow's algorithm in Pillow's fixed-point arithmetic (a = -0.5,
// 22-bit weights, widths first, bytes between the passes). src/prepare/decode/resize.ts is the same in TypeScript, and every
// path here gives its bytes: sums of whole numbers do not depend on their order.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__)
#define SHERD_X86 1
#include <immintrin.h>
#endif

namespace sherd {

constexpr int kPrecisionBits = 22;
constexpr int32_t kHalf = 1 << (kPrecisionBits - 1);

struct Box {
  int64_t left, top, width, height;
};

inline double cubic(double distance) {
  const double x = std::fabs(distance);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * -0.5;
  return 0;
}

// For each output position, the inputs it reads: count[o] of them from first[o], weighted by row o of `weights`. Rows
// are filled with zeros up to `stride`, a multiple of four.
struct Taps {
  int64_t inputs = 0, outputs = 0;
  double from = 0, to = 0;
  int stride = 0;
  std::vector<int32_t> first, count, weights;
#ifdef SHERD_X86
  // The weights as h * 2^11 + l, 16 bits each: what one multiply-add of pairs takes.
  std::vector<int16_t> high, low;
  // The same for `groups` times four taps of each output in the order of narrowRgb: 16 high parts, then 16 low ones. All
  // outputs take as many inputs, from `start`, so that no loop has a length to guess. None when there are too few inputs.
  int groups = 0;
  std::vector<int32_t> start;
  std::vector<int16_t> spread;
#endif

  // The part [newFrom, newTo) of newInputs values, which may begin and end within a value → newOutputs values.
  void compute(int64_t newInputs, double newFrom, double newTo, int64_t newOutputs) {
    if (newInputs == inputs && newFrom == from && newTo == to && newOutputs == outputs) return;
    const double scale = (newTo - newFrom) / static_cast<double>(newOutputs);
    const double widening = std::max(scale, 1.0);
    const double support = 2 * widening;
    stride = (static_cast<int>(std::ceil(support)) * 2 + 1 + 3) & ~3;
    inputs = outputs = 0;  // what is kept is of no use until this is done
    first.assign(newOutputs, 0);
    count.assign(newOutputs, 0);
    weights.assign(newOutputs * stride, 0);
    std::vector<double> row(stride);
    for (int64_t o = 0; o < newOutputs; o++) {
      const double center = newFrom + (o + 0.5) * scale;
      const int64_t start = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
      const int64_t taps = std::min<int64_t>(newInputs, static_cast<int64_t>(center + support + 0.5)) - start;
      double sum = 0;
      for (int64_t i = 0; i < taps; i++) {
        row[i] = cubic((i + start - center + 0.5) * (1 / widening));
        sum += row[i];
      }
      for (int64_t i = 0; i < taps; i++) {
        const double weight = row[i] / sum;
        weights[o * stride + i] =
            static_cast<int32_t>(weight * (1 << kPrecisionBits) + (weight < 0 ? -0.5 : 0.5));
      }
      first[o] = static_cast<int32_t>(start);
      count[o] = static_cast<int32_t>(taps);
    }
#ifdef SHERD_X86
    high.resize(weights.size());
    low.resize(weights.size());
    for (size_t i = 0; i < weights.size(); i++) {
      high[i] = static_cast<int16_t>(weights[i] >> 11);
      low[i] = static_cast<int16_t>(weights[i] & 2047);
    }
    groups = 0;
#endif
    inputs = newInputs;
    from = newFrom;
    to = newTo;
    outputs = newOutputs;
  }

#ifdef SHERD_X86
  // Fills `start` and `spread`, which only the pass across needs.
  void prepareGroups() {
    if (groups > 0) return;
    const int32_t most = *std::max_element(count.begin(), count.end());
    const int needed = (most + 3) / 4;
    if (needed * 4 > inputs) return;
    start.resize(outputs);
    spread.assign(outputs * needed * 32, 0);
    for (int64_t o = 0; o < outputs; o++) {
      start[o] = std::min<int32_t>(first[o], static_cast<int32_t>(inputs - needed * 4));
      int16_t* to = &spread[o * needed * 32];
      for (int32_t i = 0; i < count[o]; i++) {
        const int32_t tap = first[o] - start[o] + i;
        const int32_t place = tap / 4 * 32 + (tap % 4 / 2) * 8 + tap % 2;
        for (int32_t colour = 0; colour < 8; colour += 2) {
          to[place + colour] = high[o * stride + i];
          to[place + 16 + colour] = low[o * stride + i];
        }
      }
    }
    groups = needed;
  }
#endif
};

inline uint8_t toByte(int32_t sum) {
  const int32_t value = sum >> kPrecisionBits;
  return value < 0 ? 0 : value > 255 ? 255 : static_cast<uint8_t>(value);
}

// What a line must have behind its end: the fast path reads whole vectors.
constexpr int64_t kLinePadding = 16;

// One line of `taps.inputs` pixels → taps.outputs pixels, mirrored or not.
inline void narrowAny(const uint8_t* line, uint8_t* out, const Taps& taps, int channels, bool flip) {
  for (int64_t x = 0; x < taps.outputs; x++) {
    const int32_t* weights = &taps.weights[x * taps.stride];
    const uint8_t* from = line + static_cast<int64_t>(taps.first[x]) * channels;
    uint8_t* to = out + (flip ? taps.outputs - 1 - x : x) * channels;
    for (int c = 0; c < channels; c++) {
      uint32_t sum = kHalf;  // unsigned, so that it may wrap as Int32 does in JavaScript
      for (int32_t i = 0; i < taps.count[x]; i++)
        sum += static_cast<uint32_t>(from[i * channels + c]) * static_cast<uint32_t>(weights[i]);
      to[c] = toByte(static_cast<int32_t>(sum));
    }
  }
}

#ifdef SHERD_X86
// Four pixels of three channels a step: their bytes are spread to pairs of 16 bits (pixels 0 and 1 in the lower half, 2
// and 3 in the upper), multiplied by the high and the low parts of their weights and summed in 32 bits, exactly.
template <int kGroups>
__attribute__((target("avx2"), always_inline)) inline __m256i sumRgb(const uint8_t* line, const Taps& taps, int64_t x) {
  const __m256i order = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,  //
                                         6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  const int groups = kGroups > 0 ? kGroups : taps.groups;
  const uint8_t* from = line + static_cast<int64_t>(taps.start[x]) * 3;
  const __m256i* weights = reinterpret_cast<const __m256i*>(taps.spread.data() + x * groups * 32);
  __m256i highs = _mm256_setzero_si256();
  __m256i lows = _mm256_setzero_si256();
  for (int i = 0; i < groups; i++) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 12 * i));
    const __m256i pixels = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), order);
    highs = _mm256_add_epi32(highs, _mm256_madd_epi16(pixels, _mm256_loadu_si256(weights + 2 * i)));
    lows = _mm256_add_epi32(lows, _mm256_madd_epi16(pixels, _mm256_loadu_si256(weights + 2 * i + 1)));
  }
  return _mm256_add_epi32(_mm256_slli_epi32(highs, 11), lows);
}

// Two pixels of the result a step.
template <int kGroups>
__attribute__((target("avx2"))) inline void narrowRgb(const uint8_t* line, uint8_t* out, const Taps& taps, bool flip) {
  const __m256i half = _mm256_set1_epi32(kHalf);
  for (int64_t x = 0; x < taps.outputs; x += 2) {
    const int64_t second = std::min(x + 1, taps.outputs - 1);  // the last one twice where they are odd
    const __m256i a = sumRgb<kGroups>(line, taps, x);
    const __m256i b = sumRgb<kGroups>(line, taps, second);
    const __m256i sums =
        _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
    const __m256i values = _mm256_srai_epi32(_mm256_add_epi32(sums, half), kPrecisionBits);
    const __m256i words = _mm256_packs_epi32(values, values);
    const __m256i bytes = _mm256_packus_epi16(words, words);
    const uint32_t rgb[2] = {static_cast<uint32_t>(_mm256_extract_epi32(bytes, 0)),
                             static_cast<uint32_t>(_mm256_extract_epi32(bytes, 4))};
    for (int k = 0; k < 2; k++) {
      const int64_t column = k == 0 ? x : second;
      uint8_t* to = out + (flip ? taps.outputs - 1 - column : column) * 3;
      const uint16_t redGreen = static_cast<uint16_t>(rgb[k]);
      std::memcpy(to, &redGreen, 2);
      to[2] = static_cast<uint8_t>(rgb[k] >> 16);
    }
  }
}

// Lines in pairs, 32 bytes a step; the bytes of a pair are laid beside each other and multiplied as above. Gives how
// many bytes were done.
__attribute__((target("avx2"))) inline int64_t shortenBy32(const uint8_t* lines, int64_t lineBytes, const Taps& taps,
                                                           int64_t y, uint8_t* out) {
  const __m256i zero = _mm256_setzero_si256();
  const __m256i half = _mm256_set1_epi32(kHalf);
  const int16_t* high = &taps.high[y * taps.stride];
  const int16_t* low = &taps.low[y * taps.stride];
  const int32_t count = taps.count[y];
  int64_t x = 0;
  for (; x + 32 <= lineBytes; x += 32) {
    __m256i highs[4] = {zero, zero, zero, zero};
    __m256i lows[4] = {zero, zero, zero, zero};
    for (int32_t i = 0; i < count; i += 2) {
      const uint8_t* line = lines + i * lineBytes + x;
      const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(line));
      // A pair that has no second line takes the first again: its weight is 0.
      const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(i + 1 < count ? line + lineBytes : line));
      int32_t pair;
      std::memcpy(&pair, high + i, 4);
      const __m256i h = _mm256_set1_epi32(pair);
      std::memcpy(&pair, low + i, 4);
      const __m256i l = _mm256_set1_epi32(pair);
      const __m256i left = _mm256_unpacklo_epi8(a, b);
      const __m256i right = _mm256_unpackhi_epi8(a, b);
      const __m256i pixels[4] = {_mm256_unpacklo_epi8(left, zero), _mm256_unpackhi_epi8(left, zero),
                                 _mm256_unpacklo_epi8(right, zero), _mm256_unpackhi_epi8(right, zero)};
      for (int k = 0; k < 4; k++) {
        highs[k] = _mm256_add_epi32(highs[k], _mm256_madd_epi16(pixels[k], h));
        lows[k] = _mm256_add_epi32(lows[k], _mm256_madd_epi16(pixels[k], l));
      }
    }
    __m256i values[4];
    for (int k = 0; k < 4; k++) {
      const __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(highs[k], 11), lows[k]);
      values[k] = _mm256_srai_epi32(_mm256_add_epi32(sum, half), kPrecisionBits);
    }
    const __m256i bytes = _mm256_packus_epi16(_mm256_packs_epi32(values[0], values[1]),
                                              _mm256_packs_epi32(values[2], values[3]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + x), bytes);
  }
  return x;
}
// Settable, so that a test can compare the paths.
inline std::atomic<bool> useAvx2{__builtin_cpu_supports("avx2") != 0};
#endif

inline void narrow(const uint8_t* line, uint8_t* out, const Taps& taps, int channels, bool flip) {
#ifdef SHERD_X86
  if (channels == 3 && useAvx2.load(std::memory_order_relaxed) && taps.groups > 0) {
    if (taps.groups == 1) return narrowRgb<1>(line, out, taps, flip);
    if (taps.groups == 2) return narrowRgb<2>(line, out, taps, flip);
    if (taps.groups == 3) return narrowRgb<3>(line, out, taps, flip);
    return narrowRgb<0>(line, out, taps, flip);
  }
#endif
  narrowAny(line, out, taps, channels, flip);
}

// The lines that output line `y` reads, one below the other → that line.
inline void shorten(const uint8_t* narrowed, int64_t lineBytes, const Taps& taps, int64_t y, uint8_t* out) {
  const uint8_t* lines = narrowed + taps.first[y] * lineBytes;
  const int32_t* weights = &taps.weights[y * taps.stride];
  int64_t x = 0;
#ifdef SHERD_X86
  if (useAvx2.load(std::memory_order_relaxed)) x = shortenBy32(lines, lineBytes, taps, y, out);
#endif
  constexpr int64_t kBlock = 16;  // what a compiler turns into vectors by itself
  for (; x + kBlock <= lineBytes; x += kBlock) {
    uint32_t sums[kBlock];
    for (int64_t k = 0; k < kBlock; k++) sums[k] = kHalf;
    for (int32_t i = 0; i < taps.count[y]; i++) {
      const uint8_t* line = lines + i * lineBytes + x;
      for (int64_t k = 0; k < kBlock; k++) sums[k] += line[k] * static_cast<uint32_t>(weights[i]);
    }
    for (int64_t k = 0; k < kBlock; k++) out[x + k] = toByte(static_cast<int32_t>(sums[k]));
  }
  for (; x < lineBytes; x++) {
    uint32_t sum = kHalf;
    for (int32_t i = 0; i < taps.count[y]; i++)
      sum += lines[i * lineBytes + x] * static_cast<uint32_t>(weights[i]);
    out[x] = toByte(static_cast<int32_t>(sum));
  }
}

// ITU-R 601 in the whole-number arithmetic of Pillow's convert("L").
inline void toLuma(const uint8_t* rgb, uint8_t* out, int64_t pixels) {
  for (int64_t i = 0; i < pixels; i++)
    out[i] = static_cast<uint8_t>((rgb[3 * i] * 19595 + rgb[3 * i + 1] * 38470 + rgb[3 * i + 2] * 7471 + 0x8000) >> 16);
}

// A sample as it is made: lines of the box come in, from the top; then `finish` writes the sample. One for each thread,
// used again for the next sample. Memory: box.height lines of the target's width.
class Resizer {
 public:
  struct Span {
    int64_t inputs;
    double from, to;
    int64_t outputs;
  };
  void begin(const Span& across, const Span& down, int channels, bool flip) {
    across_.compute(across.inputs, across.from, across.to, across.outputs);
#ifdef SHERD_X86
    if (channels == 3) across_.prepareGroups();
#endif
    down_.compute(down.inputs, down.from, down.to, down.outputs);
    channels_ = channels;
    flip_ = flip;
    lineBytes_ = across.outputs * channels;
    narrowed_.resize(down.inputs * lineBytes_);
  }
  // `line` must be readable for kLinePadding bytes behind its end.
  void line(int64_t y, const uint8_t* line) {
    narrow(line, narrowed_.data() + y * lineBytes_, across_, channels_, flip_);
  }
  // [height, width, channels], or [height, width] of luma when `luma` is set and there are three channels.
  void finish(uint8_t* out, bool luma) {
    const int64_t outLine = luma ? lineBytes_ / 3 : lineBytes_;
    if (luma) colour_.resize(lineBytes_);
    for (int64_t y = 0; y < down_.outputs; y++) {
      uint8_t* to = luma ? colour_.data() : out + y * outLine;
      shorten(narrowed_.data(), lineBytes_, down_, y, to);
      if (luma) toLuma(to, out + y * outLine, outLine);
    }
    if (narrowed_.capacity() > kKeptBytes) std::vector<uint8_t>().swap(narrowed_);
  }

 private:
  static constexpr size_t kKeptBytes = 16 << 20;
  Taps across_, down_;
  int channels_ = 3;
  bool flip_ = false;
  int64_t lineBytes_ = 0;
  std::vector<uint8_t> narrowed_, colour_;
};

struct Image {
  const uint8_t* pixels;
  int64_t width, height;
  int channels;
};

// A box of an image in memory, of which nothing outside it decides anything and nothing behind its end is touched.
inline void resizeBox(const Image& image, const Box& box, int64_t width, int64_t height, bool flip, bool luma,
                      uint8_t* out, Resizer& resizer) {
  resizer.begin({box.width, 0, static_cast<double>(box.width), width},
                {box.height, 0, static_cast<double>(box.height), height}, image.channels, flip);
  const int64_t lineBytes = image.width * image.channels;
  const uint8_t* end = image.pixels + image.height * lineBytes;
  std::vector<uint8_t> last;
  for (int64_t y = 0; y < box.height; y++) {
    const uint8_t* line = image.pixels + (box.top + y) * lineBytes + box.left * image.channels;
    const int64_t bytes = box.width * image.channels;
    if (line + bytes + kLinePadding > end) {
      last.assign(bytes + kLinePadding, 0);
      std::memcpy(last.data(), line, bytes);
      line = last.data();
    }
    resizer.line(y, line);
  }
  resizer.finish(out, luma);
}

}  // namespace sherd
