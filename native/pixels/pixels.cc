// Pixels without LibTorch: reads and decodes JPEG files, crops, resizes and flips, alone or a whole batch of packed
// images at once. It knows nothing of samples, epochs or seeds; where a crop lies is decided in TypeScript.
#include <napi.h>

#include <atomic>
#include <cmath>
#include <memory>
#include <thread>
#include <vector>

#include "jpeg.h"
#include "mapped.h"
#include "resize.h"

namespace sherd {
namespace {

using Body = Napi::Value (*)(const Napi::CallbackInfo&);

// Every exported function runs inside this guard, so that no C++ exception ever crosses into V8.
template <Body body>
Napi::Value guarded(const Napi::CallbackInfo& info) {
  try {
    return body(info);
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw Napi::Error::New(info.Env(), "out of memory");
  } catch (const std::exception& error) {
    throw Napi::Error::New(info.Env(), error.what());
  } catch (...) {
    throw Napi::Error::New(info.Env(), "unknown C++ exception");
  }
}

// A thread's own, used again for its next image.
Resizer& resizer() {
  thread_local Resizer one;
  return one;
}

constexpr int64_t kMostPixels = 1LL << 31;
constexpr int64_t kMostResized = 1LL << 40;  // of which only the sample is made

int64_t whole(double value, int64_t least, int64_t most, const char* what) {
  if (!(value >= static_cast<double>(least) && value <= static_cast<double>(most)) || value != std::floor(value))
    throw std::invalid_argument(std::string(what) + " is out of range");
  return static_cast<int64_t>(value);
}

double numberAt(const Napi::CallbackInfo& info, size_t i) {
  if (!info[i].IsNumber()) throw std::invalid_argument("argument " + std::to_string(i) + " is not a number");
  return info[i].As<Napi::Number>().DoubleValue();
}

struct BytesView {
  uint8_t* data;
  size_t length;
};

bool isBytes(const Napi::Value& value) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
}

// By the C function: the array may lie in shared memory, which the C++ wrapper does not expect.
BytesView bytesOf(const Napi::Value& value) {
  void* data;
  size_t length;
  if (napi_get_typedarray_info(value.Env(), value, nullptr, &length, &data, nullptr, nullptr) != napi_ok)
    throw std::invalid_argument("an array cannot be read");
  return {static_cast<uint8_t*>(data), length};
}

BytesView bytesAt(const Napi::CallbackInfo& info, size_t i) {
  if (!isBytes(info[i])) throw std::invalid_argument("argument " + std::to_string(i) + " is not a Uint8Array");
  return bytesOf(info[i]);
}

// An array of numbers: the arguments of one image, or of many.
std::vector<double> numbersAt(const Napi::CallbackInfo& info, size_t i) {
  if (!info[i].IsTypedArray() || info[i].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array)
    throw std::invalid_argument("argument " + std::to_string(i) + " is not a Float64Array");
  const auto array = info[i].As<Napi::Float64Array>();
  return std::vector<double>(array.Data(), array.Data() + array.ElementLength());
}

Box boxOf(const double* numbers, int64_t width, int64_t height) {
  Box box;
  box.width = whole(numbers[2], 1, width, "the box's width");
  box.height = whole(numbers[3], 1, height, "the box's height");
  box.left = whole(numbers[0], 0, width - box.width, "the box's left side");
  box.top = whole(numbers[1], 0, height - box.height, "the box's top");
  return box;
}

struct Target {
  int64_t width, height;
  int channels;  // of the sample
  int64_t bytes(bool exact) const { return width * height * channels * (exact ? sizeof(float) : 1); }
};

// left, top, width, height of the box, flip; width and height that it is resized to, left and top of the sample in that; kernel, whether
// values are exact, and three of `fill`: placeNumbers of src/prepare/decode/resample-pixels.ts.
constexpr size_t kPlaceNumbers = 14;

Place placeOf(const double* numbers, int64_t width, int64_t height) {
  Place place;
  place.box = boxOf(numbers, width, height);
  place.flip = numbers[4] != 0;
  place.width = whole(numbers[5], 1, kMostResized, "the resized width");
  place.height = whole(numbers[6], 1, kMostResized, "the resized height");
  place.left = whole(numbers[7], -kMostPixels, place.width - 1, "the sample's left side");
  place.top = whole(numbers[8], -kMostPixels, place.height - 1, "the sample's top");
  place.kernel = static_cast<int>(whole(numbers[9], 0, kKernelCount - 1, "the kernel"));
  place.exact = numbers[10] != 0;
  for (int c = 0; c < 3; c++) place.fill[c] = static_cast<double>(numbers[11 + c]);
  return place;
}

// What of the sample is the image must not be empty.
void expectOverlap(const Place& place, int64_t width, int64_t height) {
  if (-place.left >= width || -place.top >= height) throw std::invalid_argument("the sample lies outside of the image");
}

Target targetAt(const Napi::CallbackInfo& info, size_t i) {
  Target target;
  target.width = whole(numberAt(info, i), 1, 1 << 20, "the sample's width");
  target.height = whole(numberAt(info, i + 1), 1, 1 << 20, "the sample's height");
  target.channels = static_cast<int>(whole(numberAt(info, i + 2), 1, 1 << 10, "the number of channels"));
  return target;
}

// Whether an image of `from` channels becomes luma; any other change of the number of channels is refused.
bool isLuma(int from, int to) {
  if (from == to) return false;
  if (from != 3 || to != 1) throw std::invalid_argument("channels do not fit");
  return true;
}

// resize(pixels, width, height, channels, place, targetWidth, targetHeight, targetChannels,
// out)
Napi::Value resize(const Napi::CallbackInfo& info) {
  const BytesView pixels = bytesAt(info, 0);
  Image image;
  image.pixels = pixels.data;
  image.width = whole(numberAt(info, 1), 1, kMostPixels, "the width");
  image.height = whole(numberAt(info, 2), 1, kMostPixels, "the height");
  image.channels = static_cast<int>(whole(numberAt(info, 3), 1, 1 << 10, "the number of channels"));
  const std::vector<double> numbers = numbersAt(info, 4);
  const Target target = targetAt(info, 5);
  const BytesView out = bytesAt(info, 8);
  if (numbers.size() != kPlaceNumbers) throw std::invalid_argument("a place has other numbers");
  const Place place = placeOf(numbers.data(), image.width, image.height);
  expectOverlap(place, target.width, target.height);
  if (pixels.length / image.width / image.channels < static_cast<size_t>(image.height) ||
      out.length != static_cast<size_t>(target.bytes(place.exact)))
    throw std::invalid_argument("the pixels do not have their size");
  resizeBox(image, place, target.width, target.height, isLuma(image.channels, target.channels), out.data, resizer());
  return info.Env().Undefined();
}

// A file in memory. JavaScript holds it as an opaque value.
struct ImageFile {
  std::unique_ptr<uint8_t[]> bytes;
  size_t length = 0;
  JpegHeader header;
  bool isPlainJpeg = false;
};

bool readFile(const std::string& path, size_t mostBytes, ImageFile& file) {
  // Opening a pipe without O_NONBLOCK waits until something writes into it.
  const int handle = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (handle < 0) return false;
  struct stat status;
  bool isRead = false;
  if (fstat(handle, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
      static_cast<size_t>(status.st_size) <= mostBytes) {
    file.length = static_cast<size_t>(status.st_size);
    file.bytes.reset(new (std::nothrow) uint8_t[file.length]);
    size_t done = 0;
    while (file.bytes && done < file.length) {
      const ssize_t got = read(handle, file.bytes.get() + done, file.length - done);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      done += static_cast<size_t>(got);
    }
    isRead = file.bytes && done == file.length;
  }
  close(handle);
  return isRead;
}

// Work for libuv's threads, and a promise of its result. `run` must not touch JavaScript.
class Work {
 public:
  explicit Work(Napi::Env env) : env_(env), deferred_(Napi::Promise::Deferred::New(env)) {}
  virtual ~Work() = default;
  virtual void run() = 0;
  virtual Napi::Value result() = 0;

  static Napi::Value start(std::unique_ptr<Work> work) {
    const Napi::Env env = work->env_;
    const Napi::Value promise = work->deferred_.Promise();
    if (napi_create_async_work(env, nullptr, Napi::String::New(env, "sherd pixels"), execute, complete, work.get(),
                               &work->handle_) != napi_ok)
      throw std::runtime_error("cannot create work");
    if (napi_queue_async_work(env, work->handle_) != napi_ok) throw std::runtime_error("cannot queue work");
    work.release();
    return promise;
  }

 protected:
  Napi::Env env_;

 private:
  static void execute(napi_env, void* data) {
    try {
      static_cast<Work*>(data)->run();
    } catch (...) {  // without memory there is no result, and sharp will say so
    }
  }
  static void complete(napi_env env, napi_status, void* data) {
    std::unique_ptr<Work> work(static_cast<Work*>(data));
    try {
      work->deferred_.Resolve(work->result());
    } catch (...) {  // the environment is ending
    }
    napi_delete_async_work(env, work->handle_);
  }

  Napi::Promise::Deferred deferred_;
  napi_async_work handle_ = nullptr;
};

// What a plain JPEG says of itself, and the file, which lives as long as JavaScript holds it.
Napi::Value plainJpeg(Napi::Env env, std::unique_ptr<ImageFile> file) {
  const auto length = static_cast<int64_t>(file->length);
  auto result = Napi::Object::New(env);
  result["width"] = file->header.width;
  result["height"] = file->header.height;
  Napi::MemoryManagement::AdjustExternalMemory(env, length);
  result["file"] = Napi::External<ImageFile>::New(env, file.release(), [length](Napi::Env env, ImageFile* file) {
    delete file;
    Napi::MemoryManagement::AdjustExternalMemory(env, -length);
  });
  return result;
}

// Several files in one piece of work: to wake a thread costs more than to read and decode a small image.
class ReadWork : public Work {
 public:
  ReadWork(Napi::Env env, std::vector<std::string> paths, size_t mostBytes, Napi::Value place, int32_t* at)
      : Work(env), paths_(std::move(paths)), mostBytes_(mostBytes), at_(at) {
    napi_create_reference(env, place, 1, &place_);
  }
  ~ReadWork() override { napi_delete_reference(env_, place_); }
  void run() override {
    size_t bytes = 0;
    for (const auto& path : paths_) {
      __atomic_store_n(at_, static_cast<int32_t>(files_.size()), __ATOMIC_SEQ_CST);
      auto file = std::make_unique<ImageFile>();
      if (readFile(path, mostBytes_, *file)) {
        file->isPlainJpeg = readJpegHeader(file->bytes.get(), file->length, file->header);
        bytes += file->length;
      } else
        file.reset();
      files_.push_back(std::move(file));
      if (bytes > kMostTogether) break;
    }
  }
  Napi::Value result() override {
    auto results = Napi::Array::New(env_, files_.size());
    for (uint32_t i = 0; i < files_.size(); i++) results.Set(i, resultOf(files_[i]));
    return results;
  }

 private:
  static constexpr size_t kMostTogether = 4 << 20;

  Napi::Value resultOf(std::unique_ptr<ImageFile>& file) {
    if (!file) return env_.Null();
    if (file->isPlainJpeg) return plainJpeg(env_, std::move(file));
    auto bytes = Napi::Uint8Array::New(env_, file->length);
    std::memcpy(bytes.Data(), file->bytes.get(), file->length);
    return bytes;
  }

  std::vector<std::string> paths_;
  size_t mostBytes_;
  int32_t* at_;  // the place of the file that is read, for a message when it takes too long
  napi_ref place_ = nullptr;
  std::vector<std::unique_ptr<ImageFile>> files_;
};

// readImages(paths, mostBytes, at) → for each what a plain JPEG says of itself, or the bytes of another file, or null when it
// cannot be read. Fewer than there are paths, at least one, when they are large.
Napi::Value readImages(const Napi::CallbackInfo& info) {
  if (!info[0].IsArray()) throw std::invalid_argument("an array of paths is expected");
  const auto given = info[0].As<Napi::Array>();
  std::vector<std::string> paths;
  for (uint32_t i = 0; i < given.Length(); i++) paths.push_back(given.Get(i).ToString().Utf8Value());
  const auto most = static_cast<size_t>(std::min(std::max(numberAt(info, 1), 0.0), 9e15));
  void* at;
  size_t length;
  napi_typedarray_type type;
  if (!info[2].IsTypedArray() ||
      napi_get_typedarray_info(info.Env(), info[2], &type, &length, &at, nullptr, nullptr) != napi_ok ||
      type != napi_int32_array || length != 1)
    throw std::invalid_argument("an Int32Array of one number is expected");
  return Work::start(
      std::make_unique<ReadWork>(info.Env(), std::move(paths), most, info[2], static_cast<int32_t*>(at)));
}

// openImage(bytes): as readImages has it for a file of these bytes, which are copied; null for anything but a plain JPEG.
Napi::Value openImage(const Napi::CallbackInfo& info) {
  const BytesView given = bytesAt(info, 0);
  auto file = std::make_unique<ImageFile>();
  if (!readJpegHeader(given.data, given.length, file->header)) return info.Env().Null();
  file->length = given.length;
  file->bytes = std::make_unique<uint8_t[]>(given.length);
  std::memcpy(file->bytes.get(), given.data, given.length);
  file->isPlainJpeg = true;
  return plainJpeg(info.Env(), std::move(file));
}

// "decoded", "failed", "late", or what is damaged.
Napi::Value outcomeOf(Napi::Env env, const JpegOutcome& outcome) {
  switch (outcome.end) {
    case JpegEnd::decoded: return Napi::String::New(env, "decoded");
    case JpegEnd::failed: return Napi::String::New(env, "failed");
    case JpegEnd::late: return Napi::String::New(env, "late");
    default: break;
  }
  auto result = Napi::Object::New(env);
  result["damage"] = outcome.damage;
  return result;
}

class DecodeWork : public Work {
 public:
  DecodeWork(Napi::Env env, std::unique_ptr<uint8_t[]> bytes, JpegRequest request, Napi::Value out, uint8_t* to)
      : Work(env), bytes_(std::move(bytes)), request_(request), to_(to) {
    napi_create_reference(env, out, 1, &out_);
  }
  ~DecodeWork() override { napi_delete_reference(env_, out_); }
  void run() override { outcome_ = decodeJpeg(request_, to_, resizer()); }
  Napi::Value result() override { return outcomeOf(env_, outcome_); }

 private:
  std::unique_ptr<uint8_t[]> bytes_;
  JpegRequest request_;
  uint8_t* to_;
  napi_ref out_ = nullptr;
  JpegOutcome outcome_;
};

// decodeJpeg(file, place, targetWidth, targetHeight, targetChannels, out, maxReduction,
// isLarge, keepsDamaged, timeLimit) → how it ended, for a large one as a promise. The file's bytes are freed.
Napi::Value decodeJpegFile(const Napi::CallbackInfo& info) {
  if (!info[0].IsExternal()) throw std::invalid_argument("a file is expected");
  ImageFile& file = *info[0].As<Napi::External<ImageFile>>().Data();
  if (!file.bytes) throw std::invalid_argument("this file was decoded before");
  const std::vector<double> numbers = numbersAt(info, 1);
  const Target target = targetAt(info, 2);
  const BytesView out = bytesAt(info, 5);
  if (numbers.size() != kPlaceNumbers) throw std::invalid_argument("a place has other numbers");
  JpegRequest request;
  request.bytes = file.bytes.get();
  request.length = file.length;
  request.header = file.header;
  request.place = placeOf(numbers.data(), file.header.width, file.header.height);
  expectOverlap(request.place, target.width, target.height);
  if (out.length != static_cast<size_t>(target.bytes(request.place.exact)))
    throw std::invalid_argument("the sample has another size");
  request.width = target.width;
  request.height = target.height;
  request.luma = isLuma(3, target.channels);
  request.maxReduction = static_cast<int>(whole(numberAt(info, 6), 1, 8, "the reduction"));
  request.keepsDamaged = info[8].ToBoolean();
  request.timeLimit = numberAt(info, 9);
  std::unique_ptr<uint8_t[]> bytes = std::move(file.bytes);
  if (!info[7].ToBoolean()) return outcomeOf(info.Env(), decodeJpeg(request, out.data, resizer()));
  return Work::start(std::make_unique<DecodeWork>(info.Env(), std::move(bytes), request, info[5], out.data));
}

struct Files : std::vector<std::unique_ptr<MappedFile>> {
  std::vector<Napi::Reference<Napi::Value>> held;  // arrays in memory live as long
};

// map(paths, or bytes in memory) → an opaque value; the files stay mapped until `unmap`, or as long as it lives.
Napi::Value map(const Napi::CallbackInfo& info) {
  if (!info[0].IsArray()) throw std::invalid_argument("an array of paths is expected");
  const auto given = info[0].As<Napi::Array>();
  auto files = std::make_unique<Files>();
  for (uint32_t i = 0; i < given.Length(); i++) {
    const Napi::Value file = given.Get(i);
    if (!isBytes(file)) {
      files->push_back(std::make_unique<MappedFile>(file.ToString().Utf8Value()));
      continue;
    }
    const BytesView bytes = bytesOf(file);
    files->push_back(std::make_unique<MappedFile>(bytes.data, bytes.length));
    files->held.push_back(Napi::Reference<Napi::Value>::New(file, 1));
  }
  return Napi::External<Files>::New(info.Env(), files.release(), [](Napi::Env, Files* old) { delete old; });
}

// unmap(files): now, and not when JavaScript happens to collect its garbage. What asks for them later finds none.
Napi::Value unmap(const Napi::CallbackInfo& info) {
  if (!info[0].IsExternal()) throw std::invalid_argument("mapped files are expected");
  Files& files = *info[0].As<Napi::External<Files>>().Data();
  files.clear();
  files.held.clear();
  return info.Env().Undefined();
}

struct PackedRow {
  Image image;
  Place place;
  size_t to;
};
constexpr size_t kRowNumbers = 4 + kPlaceNumbers + 1;

PackedRow packedRow(const Files& files, const double* numbers, int channels, size_t places) {
  const auto& file = *files[whole(numbers[0], 0, static_cast<int64_t>(files.size()) - 1, "the file")];
  const int64_t length = static_cast<int64_t>(file.length());
  const int64_t offset = whole(numbers[1], 0, length, "the offset");
  PackedRow row;
  row.image.width = whole(numbers[2], 1, kMostPixels, "the width");
  row.image.height = whole(numbers[3], 1, kMostPixels, "the height");
  row.image.channels = channels;
  if (row.image.width > (length - offset) / channels / row.image.height)
    throw std::out_of_range("an image does not lie within its file");
  row.image.pixels = file.bytes() + offset;
  row.place = placeOf(numbers + 4, row.image.width, row.image.height);
  row.to = static_cast<size_t>(whole(numbers[4 + kPlaceNumbers], 0, static_cast<double>(places) - 1, "the place in the batch"));
  return row;
}

// cropBatch(files, [file, offset, width, height, its place, its row in the batch] of each sample, all of them exact or none, channels, targetWidth, targetHeight, targetChannels, out, threads)
Napi::Value cropBatch(const Napi::CallbackInfo& info) {
  if (!info[0].IsExternal()) throw std::invalid_argument("mapped files are expected");
  const Files& files = *info[0].As<Napi::External<Files>>().Data();
  const std::vector<double> numbers = numbersAt(info, 1);
  const int channels = static_cast<int>(whole(numberAt(info, 2), 1, 1 << 10, "the number of channels"));
  const Target target = targetAt(info, 3);
  const BytesView out = bytesAt(info, 6);
  const size_t count = numbers.size() / kRowNumbers;
  const bool exact = count > 0 && numbers[4 + 10] != 0;
  const size_t bytes = static_cast<size_t>(target.bytes(exact));
  const size_t places = out.length / bytes;
  if (numbers.size() % kRowNumbers != 0 || out.length % bytes != 0)
    throw std::invalid_argument("the samples do not have their size");
  const size_t most = static_cast<size_t>(whole(numberAt(info, 7), 1, 1024, "the number of threads"));
  const bool luma = isLuma(channels, target.channels);
  for (const auto& file : files) file->expectWhole();
  std::vector<PackedRow> rows;
  for (size_t i = 0; i < count; i++) {
    rows.push_back(packedRow(files, numbers.data() + i * kRowNumbers, channels, places));
    expectOverlap(rows.back().place, target.width, target.height);
    if (rows.back().place.exact != exact) throw std::invalid_argument("some samples are exact, others not");
  }

  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  const auto work = [&] {
    try {
      Resizer& own = resizer();
      for (size_t i = next++; i < count; i = next++)
        resizeBox(rows[i].image, rows[i].place, target.width, target.height, luma, out.data + rows[i].to * bytes, own);
    } catch (...) {
      failed = true;
    }
  };
  std::vector<std::thread> helpers;
  try {
    while (helpers.size() + 1 < std::min(most, count)) helpers.emplace_back(work);
  } catch (const std::system_error&) {  // no more threads: the ones that are there do it
  }
  work();
  for (auto& helper : helpers) helper.join();
  if (failed) throw std::bad_alloc();
  return info.Env().Undefined();
}

// quit(status): without waiting for threads, and without what is left to be written.
Napi::Value quit(const Napi::CallbackInfo& info) {
  _exit(static_cast<int>(whole(numberAt(info, 0), 0, 255, "the status")));
}

// useVectors(on): whether the code for AVX2 runs where the processor has it.
Napi::Value useVectors(const Napi::CallbackInfo& info) {
#ifdef SHERD_X86
  useAvx2 = info[0].ToBoolean() && __builtin_cpu_supports("avx2");
#endif
  return info.Env().Undefined();
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports["resize"] = Napi::Function::New<guarded<resize>>(env);
  exports["readImages"] = Napi::Function::New<guarded<readImages>>(env);
  exports["openImage"] = Napi::Function::New<guarded<openImage>>(env);
  exports["decodeJpeg"] = Napi::Function::New<guarded<decodeJpegFile>>(env);
  exports["quit"] = Napi::Function::New<guarded<quit>>(env);
  exports["useVectors"] = Napi::Function::New<guarded<useVectors>>(env);
  exports["map"] = Napi::Function::New<guarded<map>>(env);
  exports["unmap"] = Napi::Function::New<guarded<unmap>>(env);
  exports["cropBatch"] = Napi::Function::New<guarded<cropBatch>>(env);
#ifdef SHERD_JPEG
  const int version = LIBJPEG_TURBO_VERSION_NUMBER;
  exports["jpeg"] = std::to_string(version / 1000000) + "." + std::to_string(version / 1000 % 1000) + "." +
                    std::to_string(version % 1000);
#else
  exports["jpeg"] = env.Null();
#endif
  return exports;
}

}  // namespace
}  // namespace sherd

static Napi::Object initPixels(Napi::Env env, Napi::Object exports) { return sherd::init(env, exports); }
NODE_API_MODULE(sherd_pixels, initPixels)
