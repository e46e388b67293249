// A crop of a JPEG → a sample, by the system's libjpeg-turbo: only the lines and columns that the crop needs, at a half,
// a quarter or an eighth of the size where the sample is much smaller still, line by line into the resizer. Whatever fails
// here, fails quietly: the caller then asks sharp, which either can or says why not. Data that libjpeg decodes with a warning of
// damage is reported: what it makes of it is grey areas and noise.
#pragma once
#include "jpeg-header.h"
#include "resize.h"

#include <chrono>
#include <string>

#ifdef SHERD_JPEG
#include <csetjmp>
#include <cstdio>

#include <jpeglib.h>

#include <jerror.h>
#ifndef LIBJPEG_TURBO_VERSION_NUMBER
#undef SHERD_JPEG  // jpeg_crop_scanline and jpeg_skip_scanlines are libjpeg-turbo's
#endif
#endif

namespace sherd {

struct JpegRequest {
  const uint8_t* bytes;
  size_t length;
  JpegHeader header;
  Place place;
  int64_t width, height;
  bool luma;
  // The largest reduction allowed: 1 for the full resolution whatever the sample's size.
  int maxReduction;
  // Passes over damage instead of giving up at the first sign of it.
  bool keepsDamaged;
  // In milliseconds from the beginning.
  double timeLimit;
};

enum class JpegEnd { decoded, failed, damaged, late };

// How it ended, and what libjpeg said of the damage.
struct JpegOutcome {
  JpegEnd end = JpegEnd::failed;
  std::string damage;
};

#ifdef SHERD_JPEG

class JpegDecoder {
 public:
  JpegDecoder(const JpegRequest& request, Resizer& resizer) : request_(request), resizer_(resizer) {
    info_.err = jpeg_std_error(&errors_);
    errors_.error_exit = [](j_common_ptr info) { longjmp(static_cast<JpegDecoder*>(info->client_data)->escape_, 1); };
    errors_.emit_message = [](j_common_ptr info, int level) {
      if (level < 0) static_cast<JpegDecoder*>(info->client_data)->hear(info);
    };
    errors_.output_message = [](j_common_ptr) {};
    info_.client_data = this;
  }
  ~JpegDecoder() {
    if (created_) jpeg_destroy_decompress(&info_);
  }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  // libjpeg's errors jump back here. Between the setjmp and the end of this function no object lives that would have to
  // be destroyed: all state is in members.
  JpegEnd decode(uint8_t* out) {
    if (setjmp(escape_)) return end_;
    if (!start()) return end_;
    for (row_ = 0; row_ < rows_; row_++) {
      uint8_t* line = line_.data();
      if (jpeg_read_scanlines(&info_, &line, 1) != 1) return end_;
      if (row_ % kLinesBetweenLooks == 0) lookAtClock();
      resizer_.line(row_, line + skippedColumns_ * 3);
    }
    resizer_.finish(out, request_.luma);
    return JpegEnd::decoded;
  }

  const char* damage() const { return damage_; }

 private:
  static constexpr int64_t kLinesBetweenLooks = 64;
  // How much larger than the sample the reduced crop must still be. The JPEG's transform cuts frequencies off more
  // sharply than bicubic resizing fades them out: at 1 hard edges differ by up to 29 dB, at 1.5 by 37.
  static constexpr double kGap = 1.5;
  static constexpr int64_t kMargin = 8;  // columns beside the crop that smooth upsampling looks at, and more

  // What is decoded although it is not what was encoded. Bytes too many before a marker are none of it: cameras leave them.
  static bool isDamage(int message) {
    switch (message) {
      case JWRN_HIT_MARKER:
      case JWRN_HUFF_BAD_CODE:
      case JWRN_ARITH_BAD_CODE:
      case JWRN_MUST_RESYNC:
      case JWRN_BOGUS_PROGRESSION:
      case JWRN_JPEG_EOF:
        return true;
      default:
        return false;
    }
  }

  void hear(j_common_ptr info) {
    if (request_.keepsDamaged || !isDamage(info->err->msg_code)) return;
    info->err->format_message(info, damage_);
    giveUp(JpegEnd::damaged);
  }

  void lookAtClock() {
    const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - begun_;
    if (taken.count() > request_.timeLimit) giveUp(JpegEnd::late);
  }

  [[noreturn]] void giveUp(JpegEnd end) {
    end_ = end;
    longjmp(escape_, 1);
  }

  bool start() {
    jpeg_create_decompress(&info_);
    created_ = true;
    setSource();
    if (jpeg_read_header(&info_, TRUE) != JPEG_HEADER_OK) return false;
    const JpegHeader& header = request_.header;
    const Box& box = request_.place.box;
    if (info_.image_width != header.width || info_.image_height != header.height || info_.data_precision != 8 ||
        info_.arith_code || (info_.num_components != 1 && info_.num_components != 3))
      return false;
    if (jpeg_has_multiple_scans(&info_)) {
      progress_.progress_monitor = [](j_common_ptr info) {
        if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMostScans) ERREXIT(info, JERR_CANT_SUSPEND);
        static_cast<JpegDecoder*>(info->client_data)->lookAtClock();
      };
      info_.progress = &progress_;
    }
    info_.out_color_space = JCS_RGB;
    reduction_ = request_.maxReduction;
    const Place& place = request_.place;
    while (reduction_ > 1 &&
           (box.width < kGap * reduction_ * place.width || box.height < kGap * reduction_ * place.height))
      reduction_ /= 2;
    info_.scale_num = 1;
    info_.scale_denom = reduction_;
    if (!jpeg_start_decompress(&info_)) return false;
    placeBox();
    return true;
  }

  // The crop in pixels of the reduced image, where it may begin and end within a pixel, and what is read for it.
  void placeBox() {
    const Box& box = request_.place.box;
    const int64_t left = box.left / reduction_;
    const int64_t top = box.top / reduction_;
    const int64_t right = (box.left + box.width + reduction_ - 1) / reduction_;
    const int64_t bottom = (box.top + box.height + reduction_ - 1) / reduction_;
    int64_t firstColumn = 0;
    // A progressive image is in memory as a whole, and skipping in it is the less trodden path.
    const bool sequential = !jpeg_has_multiple_scans(&info_);
    if (sequential && right - left + 4 * kMargin < static_cast<int64_t>(info_.output_width)) {
      JDIMENSION from = static_cast<JDIMENSION>(std::max<int64_t>(0, left - kMargin));
      JDIMENSION columns = static_cast<JDIMENSION>(
          std::min<int64_t>(info_.output_width, right + kMargin) - static_cast<int64_t>(from));
      jpeg_crop_scanline(&info_, &from, &columns);
      firstColumn = from;
    }
    skippedColumns_ = left - firstColumn;
    rows_ = bottom - top;
    line_.resize(static_cast<size_t>(info_.output_width) * 3 + kLinePadding);
    const double scale = reduction_;
    resizer_.begin({right - left, box.left / scale - left, (box.left + box.width) / scale - left},
                   {rows_, box.top / scale - top, (box.top + box.height) / scale - top}, request_.place, request_.width,
                   request_.height, 3);
    if (sequential) jpeg_skip_scanlines(&info_, static_cast<JDIMENSION>(top));
    else
      for (row_ = 0; row_ < top; row_++) {
        uint8_t* line = line_.data();
        jpeg_read_scanlines(&info_, &line, 1);
      }
  }

  void setSource() {
    source_.next_input_byte = request_.bytes;
    source_.bytes_in_buffer = request_.length;
    source_.init_source = [](j_decompress_ptr) {};
    source_.term_source = [](j_decompress_ptr) {};
    source_.resync_to_restart = jpeg_resync_to_restart;
    // The end of the file while more is needed: a truncated image is an error, not a grey area.
    source_.fill_input_buffer = [](j_decompress_ptr info) -> boolean {
      ERREXIT(info, JERR_INPUT_EOF);
      return FALSE;
    };
    source_.skip_input_data = [](j_decompress_ptr info, long count) {
      if (count <= 0) return;
      if (static_cast<size_t>(count) > info->src->bytes_in_buffer) ERREXIT(info, JERR_INPUT_EOF);
      info->src->next_input_byte += count;
      info->src->bytes_in_buffer -= static_cast<size_t>(count);
    };
    info_.src = &source_;
  }

  const JpegRequest& request_;
  Resizer& resizer_;
  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_source_mgr source_{};
  jpeg_progress_mgr progress_{};
  jmp_buf escape_;
  bool created_ = false;
  JpegEnd end_ = JpegEnd::failed;
  char damage_[JMSG_LENGTH_MAX] = {};
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  int reduction_ = 1;
  int64_t row_ = 0, rows_ = 0, skippedColumns_ = 0;
  std::vector<uint8_t> line_;
};

inline JpegOutcome decodeJpeg(const JpegRequest& request, uint8_t* out, Resizer& resizer) {
  JpegDecoder decoder(request, resizer);
  const JpegEnd end = decoder.decode(out);
  return {end, decoder.damage()};
}

#else
inline JpegOutcome decodeJpeg(const JpegRequest&, uint8_t*, Resizer&) { return {}; }
#endif

}  // namespace sherd
