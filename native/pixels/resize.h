// Crop, antialiased bicubic resize and flip in one pass: Pillow's algorithm in Pillow's fixed-point arithmetic (a = -0.5,
// 22-bit weights, widths first, bytes between the passes). src/prepare/resize.ts is the same in TypeScript, and every
// path here gives its bytes: sums of whole numbers do not depend on their order.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__)
#define SHERD_X86 1
#include <immintrin.h>
#endif

// The same loop compiled for several instruction sets, chosen when the addon is loaded. It takes glibc and GCC.
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__)
#define SHERD_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SHERD_CLONES
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
  // The weights as h * 2^11 + l, in 16 bits each and in pairs: what one multiply-add of bytes takes.
  std::vector<int16_t> high, low;

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
    high.resize(weights.size());
    low.resize(weights.size());
    for (size_t i = 0; i < weights.size(); i++) {
      high[i] = static_cast<int16_t>(weights[i] >> 11);
      low[i] = static_cast<int16_t>(weights[i] & 2047);
    }
    inputs = newInputs;
    from = newFrom;
    to = newTo;
    outputs = newOutputs;
  }
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
__attribute__((target("avx2"))) inline void narrowRgb(const uint8_t* line, uint8_t* out, const Taps& taps,
                                                      bool flip) {
  const __m256i spread = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,  //
                                          6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  const __m256i lanes = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
  const __m128i half = _mm_set1_epi32(kHalf);
  for (int64_t x = 0; x < taps.outputs; x++) {
    const uint8_t* from = line + static_cast<int64_t>(taps.first[x]) * 3;
    const int16_t* high = &taps.high[x * taps.stride];
    const int16_t* low = &taps.low[x * taps.stride];
    __m256i highs = _mm256_setzero_si256();
    __m256i lows = _mm256_setzero_si256();
    for (int32_t i = 0; i < taps.count[x]; i += 4) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * 3));
      const __m256i pixels = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), spread);
      const __m256i h = _mm256_permutevar8x32_epi32(
          _mm256_castsi128_si256(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(high + i))), lanes);
      const __m256i l = _mm256_permutevar8x32_epi32(
          _mm256_castsi128_si256(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(low + i))), lanes);
      highs = _mm256_add_epi32(highs, _mm256_madd_epi16(pixels, h));
      lows = _mm256_add_epi32(lows, _mm256_madd_epi16(pixels, l));
    }
    const __m256i both = _mm256_add_epi32(_mm256_slli_epi32(highs, 11), lows);
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    sum = _mm_srai_epi32(_mm_add_epi32(sum, half), kPrecisionBits);
    const __m128i words = _mm_packs_epi32(sum, sum);
    const uint32_t rgb = static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_packus_epi16(words, words)));
    uint8_t* to = out + (flip ? taps.outputs - 1 - x : x) * 3;
    const uint16_t redGreen = static_cast<uint16_t>(rgb);
    std::memcpy(to, &redGreen, 2);
    to[2] = static_cast<uint8_t>(rgb >> 16);
  }
}
inline const bool kHasAvx2 = __builtin_cpu_supports("avx2");
#endif

inline void narrow(const uint8_t* line, uint8_t* out, const Taps& taps, int channels, bool flip) {
#ifdef SHERD_X86
  if (channels == 3 && kHasAvx2) return narrowRgb(line, out, taps, flip);
#endif
  narrowAny(line, out, taps, channels, flip);
}

// Sixteen sums at once, on every machine: the compiler splits them where its vectors are shorter.
typedef uint32_t Sums __attribute__((vector_size(64)));
typedef int32_t SignedSums __attribute__((vector_size(64)));
typedef uint8_t Bytes __attribute__((vector_size(16)));

// `taps` lines, one below the other → one line.
SHERD_CLONES static void shorten(const uint8_t* lines, int64_t lineBytes, const int32_t* weights, int32_t taps,
                                 uint8_t* out) {
  constexpr int kVectors = 4;
  constexpr int64_t kBlock = 16 * kVectors;
  int64_t x = 0;
  for (; x + kBlock <= lineBytes; x += kBlock) {
    Sums sums[kVectors];
    for (int k = 0; k < kVectors; k++) sums[k] = Sums{} + static_cast<uint32_t>(kHalf);
    for (int32_t i = 0; i < taps; i++) {
      const uint8_t* line = lines + i * lineBytes + x;
      const uint32_t weight = static_cast<uint32_t>(weights[i]);
      for (int k = 0; k < kVectors; k++) {
        Bytes bytes;
        std::memcpy(&bytes, line + 16 * k, 16);
        sums[k] += __builtin_convertvector(bytes, Sums) * weight;
      }
    }
    for (int k = 0; k < kVectors; k++) {
      SignedSums values = reinterpret_cast<SignedSums>(sums[k]) >> kPrecisionBits;
      values &= ~(values >> 31);                       // below 0
      values |= (255 - values) >> 31;                  // above 255: every bit set
      const Bytes bytes = __builtin_convertvector(values & 255, Bytes);
      std::memcpy(out + x + 16 * k, &bytes, 16);
    }
  }
  for (; x < lineBytes; x++) {
    uint32_t sum = kHalf;
    for (int32_t i = 0; i < taps; i++) sum += lines[i * lineBytes + x] * static_cast<uint32_t>(weights[i]);
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
      shorten(narrowed_.data() + down_.first[y] * lineBytes_, lineBytes_, &down_.weights[y * down_.stride],
              down_.count[y], to);
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
