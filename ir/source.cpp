#include "ir/source.h"

#include <algorithm>

namespace nncc {

SourceFile::LineColumn SourceFile::locate(uint32_t offset) const {
  if (line_starts_.empty()) {
    line_starts_.push_back(0);
    for (uint32_t i = 0; i < text.size(); ++i)
      if (text[i] == '\n') line_starts_.push_back(i + 1);
  }
  const auto after = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
  const auto line = after - line_starts_.begin();
  return {static_cast<int>(line), static_cast<int>(offset - line_starts_[line - 1]) + 1};
}

std::string_view SourceFile::line_text(int line) const {
  locate(0);
  if (line < 1 || line > static_cast<int>(line_starts_.size())) return {};
  const uint32_t begin = line_starts_[line - 1];
  const size_t newline = text.find('\n', begin);
  std::string_view all(text);
  auto result = all.substr(begin, newline == std::string::npos ? std::string_view::npos : newline - begin);
  if (!result.empty() && result.back() == '\r') result.remove_suffix(1);
  return result;
}

const SourceFile& SourceManager::add(std::string path, std::string text, bool is_library) {
  SourceFile& file = files_.emplace_back();
  file.path = std::move(path);
  file.text = std::move(text);
  file.is_library = is_library;
  return file;
}

}  // namespace nncc
