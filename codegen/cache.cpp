#include "codegen/cache.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <utility>

#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/raw_ostream.h"

namespace nncc {
namespace {

namespace fs = std::filesystem;

// A cached file: this line, the key, the hash of the object, the object.
constexpr std::string_view kMagic = "nncc object 1\n";
constexpr std::string_view kSuffix = ".o";
constexpr std::string_view kTemporary = ".tmp";

std::string hash_of(llvm::StringRef bytes) {
  llvm::SHA256 sha;
  sha.update(bytes);
  return llvm::toHex(sha.final(), /*LowerCase=*/true);
}

llvm::StringRef as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The linker's build id of the running program, from its notes in memory.
int read_build_id(dl_phdr_info* info, size_t, void* result) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    auto* at = reinterpret_cast<const char*>(info->dlpi_addr + segment.p_vaddr);
    const char* end = at + segment.p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      ElfW(Nhdr) note;
      std::memcpy(&note, at, sizeof note);
      const char* name = at + sizeof note;
      const char* description = name + (note.n_namesz + 3) / 4 * 4;
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0)
        *static_cast<std::string*>(result) = llvm::toHex(llvm::StringRef(description, note.n_descsz), true);
      at = description + (note.n_descsz + 3) / 4 * 4;
    }
  }
  return 1;  // the first object is the program itself
}

}  // namespace

std::string content_hash(std::string_view text) { return hash_of(text); }

const std::string& build_identity() {
  static const std::string identity = [] {
    std::string id;
    dl_iterate_phdr(read_build_id, &id);
    if (id.empty()) {  // linked without one: the program file's size and time stand in for it
      struct stat s {};
      if (stat("/proc/self/exe", &s) == 0)
        id = std::to_string(s.st_size) + "-" + std::to_string(s.st_mtim.tv_sec) + "." +
             std::to_string(s.st_mtim.tv_nsec);
    }
    return "nncc " NNCC_VERSION ", LLVM " LLVM_VERSION_STRING ", build " + id;
  }();
  return identity;
}

ObjectCache::ObjectCache(std::string folder, uint64_t max_bytes)
    : folder_(std::move(folder)), max_bytes_(max_bytes) {}

std::string ObjectCache::path(const std::string& key) const {
  return folder_ + "/" + key + std::string(kSuffix);
}

std::optional<std::vector<std::byte>> ObjectCache::find(const std::string& key) const {
  if (folder_.empty()) return std::nullopt;
  std::string file = path(key);
  auto buffer = llvm::MemoryBuffer::getFile(file, /*IsText=*/false, /*RequiresNullTerminator=*/false,
                                            /*IsVolatile=*/true);
  if (!buffer) return std::nullopt;
  llvm::StringRef rest = (*buffer)->getBuffer();
  auto take = [&](llvm::StringRef wanted) { return rest.consume_front(wanted); };
  if (!take({kMagic.data(), kMagic.size()}) || !take(key)) return std::nullopt;
  llvm::StringRef hash = rest.take_front(64);
  rest = rest.drop_front(hash.size());
  if (hash_of(rest) != hash) return std::nullopt;
  utimensat(AT_FDCWD, file.c_str(), nullptr, 0);  // used now: trim() goes by this
  auto* data = reinterpret_cast<const std::byte*>(rest.data());
  return std::vector<std::byte>(data, data + rest.size());
}

void ObjectCache::store(const std::string& key, std::span<const std::byte> object) const {
  if (folder_.empty() || llvm::sys::fs::create_directories(folder_)) return;
  int fd = -1;
  llvm::SmallString<128> temporary;
  if (llvm::sys::fs::createUniqueFile(folder_ + "/%%%%%%%%" + std::string(kTemporary), fd, temporary)) return;
  llvm::raw_fd_ostream out(fd, /*shouldClose=*/true);
  out << llvm::StringRef(kMagic.data(), kMagic.size()) << key << hash_of(as_text(object)) << as_text(object);
  out.close();
  bool written = !out.has_error();
  out.clear_error();
  if (!written || llvm::sys::fs::rename(temporary, path(key))) llvm::sys::fs::remove(temporary);
}

void ObjectCache::trim() const {
  if (folder_.empty()) return;
  struct File {
    fs::path path;
    uint64_t size;
    fs::file_time_type used;
  };
  std::vector<File> files;
  uint64_t total = 0;
  std::error_code error;
  auto now = fs::file_time_type::clock::now();
  for (fs::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    File file{at->path(), at->file_size(ignored), at->last_write_time(ignored)};
    if (ignored) continue;
    if (file.path.extension() == kTemporary && now - file.used > std::chrono::hours(1))
      fs::remove(file.path, ignored);
    if (file.path.extension() != kSuffix) continue;
    total += file.size;
    files.push_back(std::move(file));
  }
  if (total <= max_bytes_) return;
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.used < b.used; });
  for (const File& file : files) {
    if (total <= max_bytes_ / 5 * 4) break;
    std::error_code ignored;
    if (fs::remove(file.path, ignored)) total -= file.size;
  }
}

}  // namespace nncc
