// Compiled kernels kept between runs, by content. Internal to codegen/.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nncc {

// SHA-256 in hexadecimal.
std::string content_hash(std::string_view text);

// What identifies this build of the compiler: code it generated may be reused by this very build alone.
const std::string& build_identity();

// A folder with one file for each object, named by its key. Several processes may use one folder at once:
// files appear complete or not at all, and one that is damaged, truncated or of another key is as good as
// none. Whatever the file system refuses is no error: the kernel is then compiled again.
class ObjectCache {
 public:
  // An empty folder name: never finds or keeps anything.
  explicit ObjectCache(std::string folder, uint64_t max_bytes = uint64_t{128} << 20);
  std::optional<std::vector<std::byte>> find(const std::string& key) const;
  void store(const std::string& key, std::span<const std::byte> object) const;
  // Removes what was not used for longest until the folder is a fifth below its bound. Also removes what
  // writers that died left behind. Worth calling after something was stored.
  void trim() const;

 private:
  std::string path(const std::string& key) const;
  std::string folder_;
  uint64_t max_bytes_;
};

}  // namespace nncc
