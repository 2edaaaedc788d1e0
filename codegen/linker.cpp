#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "codegen/codegen.h"
#include "codegen/output_file.h"
#include "lld/Common/CommonLinkerContext.h"
#include "lld/Common/Driver.h"
#include "llvm/Object/Archive.h"
#include "llvm/Object/ArchiveWriter.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

extern "C" {
extern const char nncc_runtime_x86_64[], nncc_runtime_x86_64_end[];
extern const char nncc_runtime_aarch64[], nncc_runtime_aarch64_end[];
}

namespace nncc {
namespace {

bool is_x86(const TargetInfo& target) { return target.llvm_triple.substr(0, 6) == "x86_64"; }

llvm::StringRef runtime_archive(const TargetInfo& target) {
  auto range = [](const char* begin, const char* end) {
    return llvm::StringRef(begin, static_cast<size_t>(end - begin));
  };
  return is_x86(target) ? range(nncc_runtime_x86_64, nncc_runtime_x86_64_end)
                        : range(nncc_runtime_aarch64, nncc_runtime_aarch64_end);
}

bool require_runtime(const TargetInfo& target, Diagnostics& diags) {
  if (!runtime_archive(target).empty()) return true;
  diags.error("this nncc has no runtime for `" + target.name + "`, so it can make no library for it")
      .note("for `" + target.name + "`, build nncc where `g++-aarch64-linux-gnu` is installed")
      .note("an object (`-o model.o`) needs none");
  return false;
}

// A file that lives in memory and goes with this object: what lld reads leaves nothing behind, however the
// process ends.
class MemoryFile {
 public:
  explicit MemoryFile(llvm::StringRef contents) : fd_(memfd_create("nncc", MFD_CLOEXEC)) {
    NNCC_CHECK(fd_ >= 0, std::string("no memory for the linker's files: ") + std::strerror(errno));
    while (!contents.empty()) {
      ssize_t written = write(fd_, contents.data(), contents.size());
      NNCC_CHECK(written > 0 || errno == EINTR,
                 std::string("no memory for the linker's files: ") + std::strerror(errno));
      if (written > 0) contents = contents.drop_front(static_cast<size_t>(written));
    }
  }
  MemoryFile(MemoryFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  MemoryFile& operator=(MemoryFile&&) = delete;
  ~MemoryFile() {
    if (fd_ >= 0) close(fd_);
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

llvm::StringRef as_text(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Where lld writes: a pipe with a thread at its end, for the same reason.
class OutputPipe {
 public:
  OutputPipe() {
    int ends[2];
    NNCC_CHECK(pipe2(ends, O_CLOEXEC) == 0,
               std::string("no pipe for the linker's output: ") + std::strerror(errno));
    read_end_ = ends[0];
    write_end_ = ends[1];
    reader_ = std::thread([this] {
      char buffer[1 << 16];
      for (ssize_t n; (n = read(read_end_, buffer, sizeof buffer)) != 0;)
        if (n > 0) contents_.append(buffer, static_cast<size_t>(n));
    });
  }
  OutputPipe(const OutputPipe&) = delete;
  OutputPipe& operator=(const OutputPipe&) = delete;
  ~OutputPipe() {
    if (reader_.joinable()) finish();
    close(read_end_);
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(write_end_); }
  // What was written; once.
  std::string finish() {
    close(write_end_);
    reader_.join();
    return std::move(contents_);
  }

 private:
  int read_end_ = -1, write_end_ = -1;
  std::string contents_;
  std::thread reader_;
};

// lld keeps its state in globals: one link at a time.
std::string run_lld(std::vector<std::string> arguments) {
  static std::mutex one_at_a_time;
  std::lock_guard lock(one_at_a_time);
  OutputPipe output;
  std::vector<std::string> all = {"ld.lld", "--threads=1", "-o", output.path()};
  all.insert(all.end(), std::make_move_iterator(arguments.begin()), std::make_move_iterator(arguments.end()));
  std::vector<const char*> raw;
  for (const std::string& argument : all) raw.push_back(argument.c_str());
  std::string messages;
  llvm::raw_string_ostream stream(messages);
  bool linked = lld::elf::link(raw, stream, stream, /*exitEarly=*/false, /*disableOutput=*/false);
  lld::CommonLinkerContext::destroy();
  NNCC_CHECK(linked, "linking failed:\n" + stream.str());
  return output.finish();
}

using Members = std::vector<llvm::NewArchiveMember>;

// The members must outlive what they were made from; so must `names`.
void add_objects(const CompiledModule& compiled, std::deque<std::string>& names, Members& members) {
  for (const auto& object : compiled.objects) {
    bool is_model = &object == &compiled.objects.back();
    names.push_back(compiled.model_symbol +
                    (is_model ? ".o" : ".kernel" + std::to_string(names.size()) + ".o"));
    members.emplace_back(llvm::MemoryBufferRef(as_text(object), names.back()));
  }
}

std::unique_ptr<llvm::MemoryBuffer> make_archive(const Members& members) {
  auto archive = llvm::writeArchiveToBuffer(members, /*WriteSymtab=*/true, llvm::object::Archive::K_GNU,
                                            /*Deterministic=*/true, /*Thin=*/false);
  NNCC_CHECK(static_cast<bool>(archive), "cannot make an archive: " + llvm::toString(archive.takeError()));
  return std::move(*archive);
}

// All objects in one file: a large model has more of them than a process may have open.
MemoryFile objects_file(const CompiledModule& compiled) {
  std::deque<std::string> names;
  Members members;
  add_objects(compiled, names, members);
  return MemoryFile(make_archive(members)->getBuffer());
}

const char* emulation(const TargetInfo& target) { return is_x86(target) ? "elf_x86_64" : "aarch64linux"; }

// The C library's own files, if this machine has them for the target: they give the library its DT_NEEDED
// entries and symbol versions. Without them the symbols stay open until loading, when the host program brings
// them.
std::vector<std::string> find_c_libraries(const TargetInfo& target) {
  std::vector<std::string> folders =
      is_x86(target) ? std::vector<std::string>{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu",
                                                "/lib64", "/usr/lib64", "/usr/lib"}
                     : std::vector<std::string>{"/usr/aarch64-linux-gnu/lib", "/lib/aarch64-linux-gnu",
                                                "/usr/lib/aarch64-linux-gnu"};
  if (!target.is_host_architecture)
    folders.erase(std::remove_if(folders.begin(), folders.end(),
                                 [](const std::string& f) {
                                   return f == "/lib64" || f == "/usr/lib64" || f == "/usr/lib";
                                 }),
                  folders.end());
  for (const std::string& folder : folders) {
    std::vector<std::string> files = {folder + "/libm.so.6", folder + "/libc.so.6"};
    if (std::all_of(files.begin(), files.end(),
                    [](const std::string& f) { return llvm::sys::fs::exists(f); }))
      return files;
  }
  return {};
}

std::string link_shared(const CompiledModule& compiled, const TargetInfo& target) {
  MemoryFile objects = objects_file(compiled);
  MemoryFile runtime(runtime_archive(target));
  MemoryFile exports("{ global: " + compiled.model_symbol + "; local: *; };\n");
  std::vector<std::string> arguments = {"-m",
                                        emulation(target),
                                        "-shared",
                                        "-Bsymbolic",
                                        "--gc-sections",
                                        "--hash-style=gnu",
                                        "--eh-frame-hdr",
                                        "--strip-debug",
                                        "--build-id=none",
                                        "-z",
                                        "relro",
                                        "-z",
                                        "noexecstack",
                                        "--version-script=" + exports.path(),
                                        "--whole-archive",
                                        objects.path(),
                                        "--no-whole-archive",
                                        runtime.path(),
                                        "--as-needed"};
  std::vector<std::string> libraries = find_c_libraries(target);
  arguments.push_back(libraries.empty() ? "--unresolved-symbols=ignore-all" : "--no-undefined");
  arguments.insert(arguments.end(), libraries.begin(), libraries.end());
  return run_lld(std::move(arguments));
}

}  // namespace

bool link_shared_library(const CompiledModule& compiled, const TargetInfo& target, const std::string& path,
                         Diagnostics& diags) {
  return require_runtime(target, diags) &&
         write_output(path, link_shared(compiled, target), /*executable=*/true, diags);
}

bool link_object(const CompiledModule& compiled, const TargetInfo& target, const std::string& path,
                 Diagnostics& diags) {
  MemoryFile objects = objects_file(compiled);
  std::string object = run_lld({"-m", emulation(target), "-r", "--whole-archive", objects.path()});
  return write_output(path, object, /*executable=*/false, diags);
}

bool link_archive(const CompiledModule& compiled, const TargetInfo& target, const std::string& path,
                  Diagnostics& diags) {
  if (!require_runtime(target, diags)) return false;
  std::deque<std::string> names;
  Members members;
  add_objects(compiled, names, members);
  auto runtime = llvm::object::Archive::create(llvm::MemoryBufferRef(runtime_archive(target), "runtime"));
  NNCC_CHECK(static_cast<bool>(runtime),
             "the embedded runtime is no archive: " + llvm::toString(runtime.takeError()));
  llvm::Error error = llvm::Error::success();
  for (const llvm::object::Archive::Child& child : (*runtime)->children(error)) {
    auto member = llvm::NewArchiveMember::getOldMember(child, /*Deterministic=*/true);
    NNCC_CHECK(static_cast<bool>(member),
               "the embedded runtime is damaged: " + llvm::toString(member.takeError()));
    members.push_back(std::move(*member));
  }
  NNCC_CHECK(!error, "the embedded runtime is damaged: " + llvm::toString(std::move(error)));
  return write_output(path, make_archive(members)->getBuffer(), /*executable=*/false, diags);
}

}  // namespace nncc
