#include "tools/files.h"

#include "llvm/Support/Errc.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"

namespace nncc {
namespace {

// Offsets into sources have 32 bits.
constexpr uint64_t kMaxSourceBytes = UINT32_MAX;

bool fail(const char* what, const std::string& path, std::error_code reason, Diagnostics& diags) {
  diags.error(std::string(what) + " `" + path + "`: " + reason.message());
  return false;
}

}  // namespace

std::optional<std::string> read_file(const std::string& path, Diagnostics& diags) {
  if (path != "-" && llvm::sys::fs::is_directory(path)) {
    fail("cannot read", path, llvm::make_error_code(llvm::errc::is_a_directory), diags);
    return std::nullopt;
  }
  const auto buffer =
      llvm::MemoryBuffer::getFileOrSTDIN(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer) {
    fail("cannot read", path, buffer.getError(), diags);
    return std::nullopt;
  }
  return (*buffer)->getBuffer().str();
}

const SourceFile* read_source(const std::string& path, SourceManager& sources, Diagnostics& diags) {
  auto text = read_file(path, diags);
  if (!text) return nullptr;
  if (text->size() > kMaxSourceBytes) {
    diags.error("cannot read `" + path + "`: it is larger than 4 GB");
    return nullptr;
  }
  return &sources.add(path == "-" ? "<stdin>" : path, std::move(*text));
}

bool write_file(const std::string& path, std::string_view content, Diagnostics& diags) {
  if (path == "-") {
    llvm::outs() << llvm::StringRef(content.data(), content.size());
    llvm::outs().flush();
    if (!llvm::outs().has_error()) return true;
    const std::error_code reason = llvm::outs().error();
    llvm::outs().clear_error();
    return fail("cannot write to", "standard output", reason, diags);
  }
  // What is not a plain file (/dev/null, a pipe) cannot be replaced.
  llvm::sys::fs::file_status status;
  if (!llvm::sys::fs::status(path, status) && status.type() != llvm::sys::fs::file_type::regular_file) {
    std::error_code error;
    llvm::raw_fd_ostream out(path, error);
    if (error) return fail("cannot write", path, error, diags);
    out << llvm::StringRef(content.data(), content.size());
    out.close();
    if (!out.has_error()) return true;
    error = out.error();
    out.clear_error();
    return fail("cannot write", path, error, diags);
  }
  llvm::Expected<llvm::sys::fs::TempFile> temporary =
      llvm::sys::fs::TempFile::create(path + ".%%%%%%.tmp", 0666);
  if (!temporary) return fail("cannot write", path, llvm::errorToErrorCode(temporary.takeError()), diags);
  std::error_code error;
  {
    llvm::raw_fd_ostream out(temporary->FD, /*shouldClose=*/false);
    out << llvm::StringRef(content.data(), content.size());
    out.flush();
    error = out.error();
    out.clear_error();
  }
  if (!error) {
    error = llvm::errorToErrorCode(temporary->keep(path));
    if (!error) return true;
  } else {
    llvm::consumeError(temporary->discard());
  }
  return fail("cannot write", path, error, diags);
}

}  // namespace nncc
