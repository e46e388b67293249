// What a long run needs of the process and Node does not offer: a lock that ends with its owner, and a second Ctrl-C that is
// heard in the middle of a step.
#pragma once
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace sherd {

// Opens `path` and locks it for this process: the descriptor, or -1 when another process has it. The system lets go of the
// lock when the process ends, however it ends.
inline int lockFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) throw std::runtime_error(std::strerror(errno));
  if (flock(file, LOCK_EX | LOCK_NB) == 0) return file;
  const int error = errno;
  close(file);
  if (error == EWOULDBLOCK) return -1;
  throw std::runtime_error(std::strerror(error));
}

namespace signals {
struct sigaction before[64];
volatile sig_atomic_t heard = 0;
pid_t sender = 0;
timespec since = {};

inline double secondsSince(const timespec& start) {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec - start.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec - start.tv_nsec);
}

// The first signal goes to Node's own handler, which JavaScript hears when the step is over; the second ends the process.
// Whoever stops a whole job signals each of its processes, and a supervisor hands on what it gets: the same wish from two
// senders within a second is one.
inline void handle(int signal, siginfo_t* info, void* context) {
  if (heard != 0) {
    if (info->si_pid == sender || secondsSince(since) > 1) _exit(128 + signal);
    return;
  }
  heard = 1;
  sender = info->si_pid;
  clock_gettime(CLOCK_MONOTONIC, &since);
  const struct sigaction& node = before[signal];
  if (node.sa_flags & SA_SIGINFO)
    node.sa_sigaction(signal, info, context);
  else if (node.sa_handler != SIG_DFL && node.sa_handler != SIG_IGN)
    node.sa_handler(signal);
}
}  // namespace signals

// From now on the second SIGINT, SIGTERM or SIGHUP ends the process at once, even inside an operator. Handlers of JavaScript must
// be there already.
inline void quitAtSecondSignal() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction now = {};
    if (sigaction(signal, nullptr, &now) != 0) continue;
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == signals::handle) continue;
    signals::before[signal] = now;
    struct sigaction ours = {};
    ours.sa_sigaction = signals::handle;
    ours.sa_flags = SA_SIGINFO | SA_RESTART;
    sigfillset(&ours.sa_mask);
    sigaction(signal, &ours, nullptr);
  }
}

}  // namespace sherd
