// Opening a shared library that may be anything: what can be told from the file is checked before the dynamic
// linker touches it, which runs code of a library that isn't a model and dies of a file that is cut off.
#pragma once
#include <dlfcn.h>
#include <elf.h>
#include <nn/tensor.h>

#include <sys/stat.h>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

namespace nn::detail {

class SharedObject {
 public:
  explicit SharedObject(const std::string& path) {
    check_file(path);
    // Without a slash the name would be looked for among the system's libraries.
    std::string name = path.find('/') == std::string::npos ? "./" + path : path;
    handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle_) throw Error(NN_IO_ERROR, "cannot load " + path + ": " + dlerror());
  }
  ~SharedObject() { dlclose(handle_); }
  SharedObject(const SharedObject&) = delete;
  SharedObject& operator=(const SharedObject&) = delete;

  const void* symbol(const char* name) const { return dlsym(handle_, name); }

 private:
  static constexpr Elf64_Half host_machine() {
#if defined(__x86_64__)
    return EM_X86_64;
#elif defined(__aarch64__)
    return EM_AARCH64;
#else
    return EM_NONE;
#endif
  }

  static void check_file(const std::string& path) {
    auto refuse = [&](const std::string& why) { throw Error(NN_IO_ERROR, path + why); };
    struct stat status;
    std::ifstream file(path, std::ios::binary);
    if (stat(path.c_str(), &status) != 0 || !file)
      throw Error(NN_IO_ERROR, "cannot open " + path + ": " + std::strerror(errno));
    if (!S_ISREG(status.st_mode)) refuse(" is not a file");
    auto size = static_cast<uint64_t>(status.st_size);
    auto fits = [&](uint64_t offset, uint64_t bytes) { return offset <= size && bytes <= size - offset; };

    Elf64_Ehdr header;
    bool is_elf = size >= sizeof header && file.read(reinterpret_cast<char*>(&header), sizeof header) &&
                  std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64;
    if (!is_elf || header.e_type != ET_DYN) refuse(" is not a shared library");
    if (header.e_machine != host_machine()) refuse(" is for another kind of processor");
    bool whole = fits(header.e_shoff, uint64_t{header.e_shnum} * header.e_shentsize) &&
                 header.e_phentsize == sizeof(Elf64_Phdr);
    file.seekg(static_cast<std::streamoff>(header.e_phoff));
    for (int i = 0; whole && i < header.e_phnum; i++) {
      Elf64_Phdr segment;
      whole = file.read(reinterpret_cast<char*>(&segment), sizeof segment) &&
              fits(segment.p_offset, segment.p_filesz);
    }
    if (!whole) refuse(" is damaged: it ends before its contents do");
  }

  void* handle_;
};

}  // namespace nn::detail
