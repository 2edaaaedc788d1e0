// Source files and places in them.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace nncc {

// One file's text, kept for as long as anything points into it.
struct SourceFile {
  std::string path;  // as the user wrote it; "<std>/layers.nn" for the built-in library
  std::string text;
  bool is_library = false;

  struct LineColumn {
    int line = 1;    // from 1
    int column = 1;  // from 1, in bytes
  };
  LineColumn locate(uint32_t offset) const;
  std::string_view line_text(int line) const;

 private:
  mutable std::vector<uint32_t> line_starts_;
};

// A range of bytes [begin, end) of a file. Default: no place.
struct SourceRange {
  const SourceFile* file = nullptr;
  uint32_t begin = 0;
  uint32_t end = 0;
  explicit operator bool() const { return file != nullptr; }
};

// A place and the calls that led there, innermost first: where a graph node comes from.
// Frames are shared between nodes and immutable.
struct CallFrame {
  SourceRange call;       // the call expression
  std::string callee;     // "dense"
  std::shared_ptr<const CallFrame> caller;
};
struct Location {
  SourceRange range;
  std::shared_ptr<const CallFrame> frame;  // null at the top level of an entry or model
};

// Owns the files. Addresses are stable.
class SourceManager {
 public:
  const SourceFile& add(std::string path, std::string text, bool is_library = false);

 private:
  std::deque<SourceFile> files_;
};

}  // namespace nncc
