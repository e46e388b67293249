// Files of packed pixels, mapped into memory and never shown to JavaScript, or memory that JavaScript holds: every access is checked here against the
// length of the file. A file that is cut while it is mapped would end the process with SIGBUS, so its length is asked
// again before each batch; who cuts it in between gets what he asked for.
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace sherd {

class MappedFile {
 public:
  explicit MappedFile(const std::string& path) : path_(path) {
    file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);  // a pipe would wait for a writer
    if (file_ < 0) fail("cannot open");
    length_ = lengthNow();
    if (length_ == 0) return;
    void* at = mmap(nullptr, length_, PROT_READ, MAP_SHARED, file_, 0);
    if (at == MAP_FAILED) fail("cannot map");
    bytes_ = static_cast<const uint8_t*>(at);
  }
  // Memory that outlives this.
  MappedFile(const uint8_t* bytes, size_t length) : isMapped_(false), bytes_(bytes), length_(length) {}
  ~MappedFile() { close(); }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const uint8_t* bytes() const { return bytes_; }
  size_t length() const { return length_; }
  void expectWhole() const {
    if (isMapped_ && lengthNow() < length_) throw std::runtime_error(path_ + " was cut while it was in use");
  }

 private:
  void close() {
    if (bytes_ && isMapped_) munmap(const_cast<uint8_t*>(bytes_), length_);
    if (file_ >= 0) ::close(file_);
  }
  [[noreturn]] void fail(const char* what) {
    const std::string message = std::string(what) + " " + path_ + ": " + std::strerror(errno);
    close();
    throw std::runtime_error(message);
  }
  size_t lengthNow() const {
    struct stat status;
    if (fstat(file_, &status) != 0) throw std::runtime_error("cannot examine " + path_);
    return static_cast<size_t>(status.st_size);
  }

  std::string path_;
  bool isMapped_ = true;
  int file_ = -1;
  const uint8_t* bytes_ = nullptr;
  size_t length_ = 0;
};

}  // namespace sherd
