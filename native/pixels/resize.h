// Crop, antialiased resize and flip in one pass: Pillow's algorithm in Pillow's fixed-point arithmetic (22-bit weights, widths
// first, bytes between the passes), or without rounding. src/prepare/decode/resize.ts is the same in TypeScript, and every path
// to bytes gives its bytes: sums of whole numbers do not depend on their order.
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

// A sample's place in its image: the box is resized to `width` × `height`, and the sample begins at (left, top) in that; what of it lies
// outside has the colour `fill`.
struct Place {
  Box box;
  bool flip;
  int64_t width, height, left, top;
  int kernel;
  bool exact;  // the sample is of float32, without rounding
  double fill[3];
};

// Catmull-Rom, a = -0.5.
inline double cubic(double distance) {
  const double x = std::fabs(distance);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * -0.5;
  return 0;
}

inline double triangle(double distance) { return std::max(0.0, 1 - std::fabs(distance)); }

struct Kernel {
  double support;
  double (*weight)(double);
};

// In the order of `kernels` in resize.ts.
constexpr Kernel kKernels[] = {{2, cubic}, {1, triangle}};
constexpr int kKernelCount = 2;

// For each output position, the inputs it reads: count[o] of them from first[o], weighted by row o of `weights`. Rows
// are filled with zeros up to `stride`, a multiple of four.
struct Taps {
  // The part [from, to) of `inputs` values, which may begin and end within a value, resized to `resized` values, of which `outputs` from
  // `skip` on are wanted.
  struct Side {
    int64_t inputs = 0;
    double from = 0, to = 0;
    int64_t resized = 0, skip = 0, outputs = 0;
    int kernel = 0;
    bool exact = false;
    bool operator==(const Side& other) const {
      return inputs == other.inputs && from == other.from && to == other.to && resized == other.resized &&
             skip == other.skip && outputs == other.outputs && kernel == other.kernel && exact == other.exact;
    }
  };
  Side side;
  int64_t inputs = 0, outputs = 0;
  int stride = 0;
  std::vector<int32_t> first, count, weights;
  std::vector<double> exactWeights;  // in place of `weights`
#ifdef SHERD_X86
  // The weights as h * 2^11 + l, 16 bits each: what one multiply-add of pairs takes.
  std::vector<int16_t> high, low;
  // The same for `groups` times four taps of each output in the order of narrowRgb: 16 high parts, then 16 low ones. All
  // outputs take as many inputs, from `start`, so that no loop has a length to guess. None when there are too few inputs.
  int groups = 0;
  std::vector<int32_t> start;
  std::vector<int16_t> spread;
#endif

  void compute(const Side& wanted) {
    if (wanted == side) return;
    const Kernel kernel = kKernels[wanted.kernel];
    const double scale = (wanted.to - wanted.from) / static_cast<double>(wanted.resized);
    const double widening = std::max(scale, 1.0);
    const double support = kernel.support * widening;
    stride = (static_cast<int>(std::ceil(support)) * 2 + 1 + 3) & ~3;
    side = Side();  // what is kept is of no use until this is done
    inputs = wanted.inputs;
    outputs = wanted.outputs;
    first.assign(outputs, 0);
    count.assign(outputs, 0);
    weights.assign(wanted.exact ? 0 : outputs * stride, 0);
    exactWeights.assign(wanted.exact ? outputs * stride : 0, 0);
    std::vector<double> row(stride);
    for (int64_t o = 0; o < outputs; o++) {
      const double center = wanted.from + (static_cast<double>(wanted.skip + o) + 0.5) * scale;
      const int64_t start = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
      const int64_t taps = std::min<int64_t>(inputs, static_cast<int64_t>(center + support + 0.5)) - start;
      double sum = 0;
      for (int64_t i = 0; i < taps; i++) {
        row[i] = kernel.weight((i + start - center + 0.5) * (1 / widening));
        sum += row[i];
      }
      for (int64_t i = 0; i < taps; i++) {
        const double weight = row[i] / sum;
        if (wanted.exact) exactWeights[o * stride + i] = weight;
        else
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
    side = wanted;
  }

  // The inputs that are read at all.
  int64_t begin() const { return first.front(); }
  int64_t end() const { return first.back() + count.back(); }

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
  const uint8_t* lines = narrowed + (taps.first[y] - taps.begin()) * lineBytes;
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

// One line without rounding.
inline void narrowExactly(const uint8_t* line, float* out, const Taps& taps, int channels, bool flip) {
  for (int64_t x = 0; x < taps.outputs; x++) {
    const double* weights = &taps.exactWeights[x * taps.stride];
    const uint8_t* from = line + static_cast<int64_t>(taps.first[x]) * channels;
    float* to = out + (flip ? taps.outputs - 1 - x : x) * channels;
    for (int c = 0; c < channels; c++) {
      double sum = 0;
      for (int32_t i = 0; i < taps.count[x]; i++) sum += weights[i] * from[i * channels + c];
      to[c] = static_cast<float>(sum);
    }
  }
}

inline float lumaOf(const float* rgb) { return (rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471) / 65536; }

// A sample as it is made: lines of the box come in, from the top; then `finish` writes the sample. One for each thread,
// used again for the next sample. Memory: the lines of the box that count, of the sample's width.
class Resizer {
 public:
  // The box's lines as they come: their number, and the part of them that is the box.
  struct Span {
    int64_t inputs;
    double from, to;
  };
  void begin(const Span& across, const Span& down, const Place& place, int64_t width, int64_t height, int channels) {
    place_ = place;
    channels_ = channels;
    width_ = width;
    height_ = height;
    left_ = std::max<int64_t>(0, -place.left);
    top_ = std::max<int64_t>(0, -place.top);
    across_.compute(sideOf(across, place, place.width, place.left, width - left_));
#ifdef SHERD_X86
    if (channels == 3 && !place.exact) across_.prepareGroups();
#endif
    down_.compute(sideOf(down, place, place.height, place.top, height - top_));
    lineValues_ = across_.outputs * channels;
    const size_t values = static_cast<size_t>((down_.end() - down_.begin()) * lineValues_);
    if (place.exact) exact_.resize(values);
    else narrowed_.resize(values);
  }
  // `line` must be readable for kLinePadding bytes behind its end.
  void line(int64_t y, const uint8_t* line) {
    if (y < down_.begin() || y >= down_.end()) return;
    const int64_t at = (y - down_.begin()) * lineValues_;
    if (place_.exact) narrowExactly(line, exact_.data() + at, across_, channels_, place_.flip);
    else narrow(line, narrowed_.data() + at, across_, channels_, place_.flip);
  }
  // [height, width, channels], or [height, width] of luma when `luma` is set and there are three channels.
  void finish(uint8_t* out, bool luma) {
    const int64_t outChannels = luma ? 1 : channels_;
    const int64_t valueBytes = place_.exact ? sizeof(float) : 1;
    const int64_t left = place_.flip ? width_ - left_ - across_.outputs : left_;
    if (across_.outputs < width_ || down_.outputs < height_) paint(out, luma);
    for (int64_t y = 0; y < down_.outputs; y++) {
      uint8_t* to = out + ((top_ + y) * width_ + left) * outChannels * valueBytes;
      if (place_.exact) finishExactly(y, to, luma);
      else if (luma) {
        colour_.resize(lineValues_);
        shorten(narrowed_.data(), lineValues_, down_, y, colour_.data());
        toLuma(colour_.data(), to, across_.outputs);
      } else shorten(narrowed_.data(), lineValues_, down_, y, to);
    }
    if (narrowed_.capacity() > kKeptBytes) std::vector<uint8_t>().swap(narrowed_);
    if (exact_.capacity() * sizeof(float) > kKeptBytes) std::vector<float>().swap(exact_);
  }

 private:
  static constexpr size_t kKeptBytes = 16 << 20;

  static Taps::Side sideOf(const Span& span, const Place& place, int64_t resized, int64_t at, int64_t room) {
    const int64_t skip = std::max<int64_t>(0, at);
    return {span.inputs, span.from, span.to, resized, skip, std::min(room, resized - skip), place.kernel, place.exact};
  }

  // `to` may begin anywhere in memory.
  void finishExactly(int64_t y, uint8_t* to, bool luma) {
    const float* lines = exact_.data() + (down_.first[y] - down_.begin()) * lineValues_;
    const double* weights = &down_.exactWeights[y * down_.stride];
    exactLine_.resize(lineValues_);
    for (int64_t x = 0; x < lineValues_; x++) {
      double sum = 0;
      for (int32_t i = 0; i < down_.count[y]; i++) sum += weights[i] * lines[i * lineValues_ + x];
      exactLine_[x] = static_cast<float>(sum);
    }
    if (luma)
      for (int64_t x = 0; x < across_.outputs; x++) exactLine_[x] = lumaOf(&exactLine_[3 * x]);
    std::memcpy(to, exactLine_.data(), (luma ? across_.outputs : lineValues_) * sizeof(float));
  }

  void paint(uint8_t* out, bool luma) const {
    float colour[3];
    for (int c = 0; c < 3; c++) colour[c] = static_cast<float>(place_.fill[c]);
    if (luma) colour[0] = lumaOf(colour);
    const int64_t channels = luma ? 1 : channels_;
    for (int64_t i = 0; i < width_ * height_ * channels; i++) {
      const float value = colour[channels == 1 ? 0 : i % 3];
      if (place_.exact) std::memcpy(out + i * sizeof(float), &value, sizeof(float));
      else out[i] = static_cast<uint8_t>(value + 0.5f);
    }
  }

  Taps across_, down_;
  Place place_{};
  int channels_ = 3;
  int64_t width_ = 0, height_ = 0, left_ = 0, top_ = 0;
  int64_t lineValues_ = 0;
  std::vector<uint8_t> narrowed_, colour_;
  std::vector<float> exact_, exactLine_;
};

struct Image {
  const uint8_t* pixels;
  int64_t width, height;
  int channels;
};

// A box of an image in memory, of which nothing outside it decides anything and nothing behind its end is touched.
inline void resizeBox(const Image& image, const Place& place, int64_t width, int64_t height, bool luma, uint8_t* out,
                      Resizer& resizer) {
  const Box& box = place.box;
  resizer.begin({box.width, 0, static_cast<double>(box.width)}, {box.height, 0, static_cast<double>(box.height)}, place,
                width, height, image.channels);
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
