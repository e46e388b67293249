// What a JPEG says of itself before its pixels begin. Only what the fast path may decode by itself passes: 8 bits, one or
// three channels, Huffman codes, no colour profile, no rotation, not too many scans. Everything else, and everything odd, is
// left to sharp.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sherd {

struct JpegHeader {
  uint32_t width = 0, height = 0;
  bool progressive = false;
};

// A file of some kilobytes can have thousands of scans, each of which goes over the whole image.
constexpr int kMostScans = 100;

inline uint32_t big16(const uint8_t* at) { return at[0] << 8 | at[1]; }

// Whether the first directory of an EXIF block says "as it is stored", or nothing, about the orientation.
inline bool isUpright(const uint8_t* exif, size_t length) {
  if (length < 8) return false;
  const bool little = exif[0] == 'I' && exif[1] == 'I';
  if (!little && !(exif[0] == 'M' && exif[1] == 'M')) return false;
  const auto u16 = [&](size_t at) -> uint32_t {
    return little ? exif[at] | exif[at + 1] << 8 : exif[at] << 8 | exif[at + 1];
  };
  const auto u32 = [&](size_t at) -> uint64_t {
    return little ? u16(at) | static_cast<uint64_t>(u16(at + 2)) << 16
                  : static_cast<uint64_t>(u16(at)) << 16 | u16(at + 2);
  };
  const uint64_t directory = u32(4);
  if (directory + 2 > length) return false;
  const uint64_t entries = u16(directory);
  if (directory + 2 + entries * 12 > length) return false;
  for (uint64_t i = 0; i < entries; i++) {
    const size_t at = directory + 2 + i * 12;
    if (u16(at) == 0x112 && (u16(at + 2) != 3 || u32(at + 4) != 1 || u16(at + 8) != 1)) return false;
  }
  return true;
}

// The scans from the marker of the first one on, `at` its length; no more are counted than one too many. Within the codes of a
// scan only zeros, restarts and fill bytes follow 0xff.
inline int countScans(const uint8_t* bytes, size_t length, size_t at) {
  for (int scans = 1;; scans++) {
    if (scans > kMostScans) return scans;
    for (bool isScan = false; !isScan;) {
      if (at >= length) return scans;
      const auto* found = static_cast<const uint8_t*>(std::memchr(bytes + at, 0xff, length - at));
      if (!found) return scans;
      at = static_cast<size_t>(found - bytes);
      while (at < length && bytes[at] == 0xff) at++;
      if (at >= length) return scans;
      const uint8_t marker = bytes[at++];
      if (marker == 0 || marker == 1 || (marker >= 0xd0 && marker <= 0xd7)) continue;
      if (marker == 0xd8 || marker == 0xd9 || at + 2 > length) return scans;
      at += big16(bytes + at);
      isScan = marker == 0xda;
    }
  }
}

// Reads the markers up to the first scan, as forgiving of stray bytes between them as libjpeg is.
inline bool readJpegHeader(const uint8_t* bytes, size_t length, JpegHeader& header) {
  if (length < 4 || bytes[0] != 0xff || bytes[1] != 0xd8) return false;
  size_t at = 2;
  bool hasFrame = false;
  uint32_t components = 0;
  for (;;) {
    while (at < length && bytes[at] != 0xff) at++;
    while (at < length && bytes[at] == 0xff) at++;
    if (at >= length) return false;
    const uint8_t marker = bytes[at++];
    if (marker == 0 || marker == 1 || (marker >= 0xd0 && marker <= 0xd7)) continue;  // stuffing, or without content
    if (marker == 0xd8 || marker == 0xd9) return false;
    if (marker == 0xda) {
      // Those of one scan for all components have no other.
      const bool hasMore = header.progressive || (at + 2 < length && bytes[at + 2] < components);
      return hasFrame && (!hasMore || countScans(bytes, length, at) <= kMostScans);
    }
    if (at + 2 > length) return false;
    const size_t size = big16(bytes + at);
    if (size < 2 || at + size > length) return false;
    const uint8_t* content = bytes + at + 2;
    const size_t contentSize = size - 2;
    at += size;
    if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8) {
      if (marker > 0xc2 || hasFrame || contentSize < 6) return false;  // lossless, arithmetic, hierarchical
      header.height = big16(content + 1);
      header.width = big16(content + 3);
      header.progressive = marker == 0xc2;
      components = content[5];
      hasFrame = content[0] == 8 && header.width > 0 && header.height > 0 && (content[5] == 1 || content[5] == 3);
      if (!hasFrame) return false;
    }
    if (marker == 0xe1 && contentSize >= 6 && std::memcmp(content, "Exif\0", 6) == 0 &&
        !isUpright(content + 6, contentSize - 6))
      return false;
    if (marker == 0xe2 && contentSize >= 12 && std::memcmp(content, "ICC_PROFILE", 12) == 0) return false;
  }
}

}  // namespace sherd
