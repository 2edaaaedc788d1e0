#include "codegen/cache.h"

#include <sys/stat.h>
#include <sys/time.h>

#include <filesystem>
#include <fstream>

#include "support/compiled_model.h"

namespace nncc::test {
namespace {

std::vector<std::byte> bytes(size_t count, int value) {
  return std::vector<std::byte>(count, std::byte(value));
}
std::string key(int i) { return content_hash(std::to_string(i)); }

TEST(ObjectCache, FindsWhatWasStored) {
  TemporaryFolder folder;
  ObjectCache cache(folder.file("new/cache"));
  EXPECT_FALSE(cache.find(key(1)));
  cache.store(key(1), bytes(100, 1));
  cache.store(key(2), bytes(0, 0));
  EXPECT_EQ(cache.find(key(1)), bytes(100, 1));
  EXPECT_EQ(cache.find(key(2)), bytes(0, 0));
  EXPECT_FALSE(cache.find(key(3)));
}

TEST(ObjectCache, IgnoresWhatIsDamaged) {
  TemporaryFolder folder;
  ObjectCache cache(folder.file("cache"));
  cache.store(key(1), bytes(100, 1));
  std::filesystem::path file;
  for (const auto& entry : std::filesystem::directory_iterator(folder.file("cache"))) file = entry.path();
  const auto size = std::filesystem::file_size(file);
  std::string whole(size, '\0');
  std::ifstream(file, std::ios::binary).read(whole.data(), static_cast<std::streamsize>(size));
  auto write = [&](const std::string& content) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
  };
  for (size_t length = 0; length < size; ++length) {
    write(whole.substr(0, length));
    EXPECT_FALSE(cache.find(key(1))) << length << " of " << size << " bytes";
  }
  for (size_t at = 0; at < size; at += 7) {
    std::string changed = whole;
    changed[at] ^= 4;
    write(changed);
    EXPECT_FALSE(cache.find(key(1))) << "byte " << at;
  }
  write(whole);
  EXPECT_TRUE(cache.find(key(1)));
  // Another kernel's file under this name.
  cache.store(key(2), bytes(100, 2));
  std::filesystem::rename(folder.file("cache/") + key(2) + ".o", file);
  EXPECT_FALSE(cache.find(key(1)));
}

TEST(ObjectCache, ForgetsWhatWasNotUsedForLongest) {
  TemporaryFolder folder;
  ObjectCache cache(folder.file("cache"), 10'000);
  for (int i = 0; i < 20; ++i) {
    cache.store(key(i), bytes(800, i));
    // One second apart, oldest first; 3 is used again below.
    timeval times[2] = {{1'000'000 + i, 0}, {1'000'000 + i, 0}};
    ASSERT_EQ(utimes((folder.file("cache/") + key(i) + ".o").c_str(), times), 0);
  }
  EXPECT_TRUE(cache.find(key(3)));
  cache.trim();
  uint64_t total = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.file("cache")))
    total += entry.file_size();
  EXPECT_LE(total, 8'000u);
  EXPECT_GT(total, 6'000u);
  EXPECT_TRUE(cache.find(key(3)));
  EXPECT_TRUE(cache.find(key(19)));
  EXPECT_FALSE(cache.find(key(0)));
  EXPECT_FALSE(cache.find(key(4)));
}

TEST(ObjectCache, LeavesNoTemporaryFiles) {
  TemporaryFolder folder;
  ObjectCache cache(folder.file("cache"));
  for (int i = 0; i < 5; ++i) cache.store(key(i), bytes(100, i));
  for (const auto& entry : std::filesystem::directory_iterator(folder.file("cache")))
    EXPECT_EQ(entry.path().extension(), ".o");
}

TEST(ObjectCache, WithoutAFolderKeepsNothing) {
  ObjectCache cache("");
  cache.store(key(1), bytes(10, 1));
  EXPECT_FALSE(cache.find(key(1)));
  ObjectCache unwritable("/dev/null/cache");
  unwritable.store(key(1), bytes(10, 1));
  EXPECT_FALSE(unwritable.find(key(1)));
  unwritable.trim();
}

TEST(BuildIdentity, NamesThisVeryProgram) {
  EXPECT_NE(build_identity().find("build "), std::string::npos);
  EXPECT_FALSE(build_identity().ends_with("build "));
}

}  // namespace
}  // namespace nncc::test
