// Reading a program's files and following its imports.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>

#include "frontend/frontend.h"
#include "frontend/parser.h"
#include "frontend/std_library.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/JSON.h"

namespace nncc {

using namespace ast;
namespace fs = std::filesystem;

namespace {

// A program is text that people write; what is longer is the wrong file.
constexpr size_t kMaxFileBytes = size_t{16} << 20;

struct CloseFile {
  void operator()(std::FILE* f) const {
    if (f != stdin) std::fclose(f);
  }
};

// Why a file could not be read, or empty.
std::string read_file(const std::string& path, std::string& text) {
  if (path != "-") {
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) return "it is a directory";
  }
  const std::unique_ptr<std::FILE, CloseFile> file(path == "-" ? stdin : std::fopen(path.c_str(), "rb"));
  if (!file) return std::strerror(errno);
  char buffer[1 << 16];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, file.get())) {
    text.append(buffer, n);
    if (text.size() > kMaxFileBytes)
      return "it is larger than " + std::to_string(kMaxFileBytes >> 20) + " MB, the most a program may have";
  }
  if (std::ferror(file.get())) return std::strerror(errno);
  return {};
}

class Loader {
 public:
  Loader(SourceManager& sources, Diagnostics& diags, Program& program)
      : sources_(sources), diags_(diags), program_(program) {}

  void library() {
    for (const LibraryFile& file : library_files())
      program_.files.push_back(parse_file(
          sources_.add(std::string(file.path), std::string(file.text), /*is_library=*/true), diags_));
  }

  // Parses the file after all that it imports.
  void load(const std::string& path, SourceRange imported_at) {
    std::string text;
    const std::string problem = read_file(path, text);
    if (!problem.empty()) {
      diags_.error(imported_at, "cannot read `" + path + "`: " + problem);
      return;
    }
    load_text(path, std::move(text), path == "-" ? "<stdin>" : path, imported_at);
  }

  void load_text(const std::string& path, std::string text, const std::string& name,
                 SourceRange imported_at) {
    const SourceFile& source = sources_.add(name, std::move(text));
    size_t bad = 0;
    if (!llvm::json::isUTF8(source.text, &bad)) {
      const auto at = static_cast<uint32_t>(bad);
      diags_.error({&source, at, at + 1}, "the file is not UTF-8 text");
      return;
    }
    std::unique_ptr<File> file = parse_file(source, diags_);
    chain_.push_back({identity(path), path, imported_at});
    for (const Item& item : file->items)
      if (const auto* import = std::get_if<Import>(&item.node)) follow(*import, path);
    chain_.pop_back();
    program_.files.push_back(std::move(file));
  }

 private:
  struct Open {
    std::string identity;
    std::string path;
    SourceRange imported_at;
  };

  // The same for every way to name a file.
  static std::string identity(const std::string& path) {
    if (path == "-") return path;
    std::error_code error;
    const fs::path real = fs::canonical(path, error);
    return error ? path : real.string();
  }

  void follow(const Import& import, const std::string& importer) {
    if (import.path.empty()) {
      diags_.error(import.path_range, "expected a file's name, found an empty string");
      return;
    }
    const fs::path folder = importer == "-" ? fs::path() : fs::path(importer).parent_path();
    const std::string path = (folder / import.path).lexically_normal().string();
    const std::string id = identity(path);
    const auto open =
        std::find_if(chain_.begin(), chain_.end(), [&](const Open& o) { return o.identity == id; });
    if (open != chain_.end()) {
      auto error = diags_.error(import.path_range, "the import of `" + import.path + "` closes a cycle");
      for (auto link = open + 1; link != chain_.end(); ++link)
        error.note(link->imported_at, "`" + link->path + "` is imported here");
      return;
    }
    if (!done_.insert(id).second) return;
    if (chain_.size() >= kMaxChain) {
      diags_.error(import.path_range, "imports are nested too deeply");
      return;
    }
    load(path, import.path_range);
  }

  static constexpr size_t kMaxChain = 200;
  SourceManager& sources_;
  Diagnostics& diags_;
  Program& program_;
  std::vector<Open> chain_;     // files whose imports are being followed
  std::set<std::string> done_;  // files that were imported
};

}  // namespace

std::shared_ptr<const Program> parse_program(const std::string& path, SourceManager& sources,
                                             Diagnostics& diags) {
  auto program = std::make_shared<Program>();
  Loader loader(sources, diags, *program);
  loader.library();
  loader.load(path, {});
  if (diags.has_errors()) return nullptr;
  return program;
}

std::shared_ptr<const Program> parse_program_text(const std::string& name, std::string text,
                                                  SourceManager& sources, Diagnostics& diags) {
  auto program = std::make_shared<Program>();
  Loader loader(sources, diags, *program);
  loader.library();
  loader.load_text("-", std::move(text), name, {});
  if (diags.has_errors()) return nullptr;
  return program;
}

}  // namespace nncc
