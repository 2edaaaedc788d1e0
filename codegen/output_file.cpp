#include "codegen/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Signals.h"

namespace nncc {
namespace {

bool write_all(int fd, std::string_view contents) {
  while (!contents.empty()) {
    ssize_t written = ::write(fd, contents.data(), contents.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    contents.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

}  // namespace

bool write_output(const std::string& path, std::string_view contents, bool executable, Diagnostics& diags) {
  auto fail = [&](int error) {
    diags.error("cannot write `" + path + "`: " + std::strerror(error));
    return false;
  };
  if (path == "-") return write_all(STDOUT_FILENO, contents) || fail(errno);

  struct stat s {};
  if (stat(path.c_str(), &s) == 0) {
    if (S_ISDIR(s.st_mode)) return fail(EISDIR);
    if (access(path.c_str(), W_OK) != 0) return fail(errno);
    if (!S_ISREG(s.st_mode)) {
      int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
      if (fd < 0) return fail(errno);
      bool written = write_all(fd, contents);
      int error = errno;
      close(fd);
      return written || fail(error);
    }
  }
  llvm::SmallString<128> temporary;
  int fd = -1;
  if (auto error = llvm::sys::fs::createUniqueFile(path + ".%%%%%%.tmp", fd, temporary))
    return fail(error.value());
  llvm::sys::RemoveFileOnSignal(temporary);
  // As a compiler's output would be: readable and, if it can be loaded, executable by whom the umask allows.
  mode_t mask = umask(0);
  umask(mask);
  bool written = write_all(fd, contents) && fchmod(fd, (executable ? 0777 : 0666) & ~mask) == 0;
  int error = errno;
  written = close(fd) == 0 && written;
  if (written && rename(temporary.c_str(), path.c_str()) != 0) {
    error = errno;
    written = false;
  }
  if (!written) unlink(temporary.c_str());
  llvm::sys::DontRemoveFileOnSignal(temporary);
  return written || fail(error);
}

}  // namespace nncc
