// Reads the IDX files of MNIST, gzipped or not.
#pragma once
#include <zlib.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace example {

struct IdxFile {
  std::vector<int> shape;
  std::vector<uint8_t> bytes;
};

inline IdxFile read_idx(const std::string& path) {
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (!file) throw std::runtime_error("cannot open " + path);
  auto read = [&](void* to, size_t size) {
    if (gzread(file.get(), to, static_cast<unsigned>(size)) != static_cast<int>(size))
      throw std::runtime_error(path + " ends too early");
  };
  uint8_t head[4];
  read(head, 4);
  if (head[0] != 0 || head[1] != 0 || head[2] != 8)
    throw std::runtime_error(path + " is not an IDX file of bytes");
  IdxFile result;
  size_t size = 1;
  for (int i = 0; i < head[3]; ++i) {
    uint8_t extent[4];
    read(extent, 4);
    result.shape.push_back(extent[0] << 24 | extent[1] << 16 | extent[2] << 8 | extent[3]);
    size *= static_cast<size_t>(result.shape.back());
  }
  result.bytes.resize(size);
  read(result.bytes.data(), size);
  return result;
}

}  // namespace example
