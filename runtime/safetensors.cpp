// Checkpoints: https://huggingface.co/docs/safetensors, "format". 8 bytes of header length, the header, the
// tensors' bytes.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "safetensors_header.h"
#include "session.h"

namespace nn::runtime {
namespace {

constexpr uint64_t length_bytes = 8;
constexpr uint64_t max_header = 100'000'000;  // as the reference implementation
constexpr size_t max_path = 4096;

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() { close(); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }
  bool close() {
    int descriptor = descriptor_;
    descriptor_ = -1;
    return descriptor < 0 || ::close(descriptor) == 0;
  }

 private:
  int descriptor_;
};

nn_status io_error(nn_session* session, const char* what, const char* path) {
  return session->fail(NN_IO_ERROR, "cannot %s %s: %s", what, path, strerror(errno));
}

// Collects small writes. After a write failed (errno has why) it does nothing more. Without a file it only
// counts.
class Writer {
 public:
  explicit Writer(int descriptor = -1) : descriptor_(descriptor) {}
  uint64_t written() const { return written_; }

  void put(const void* data, size_t size) {
    written_ += size;
    if (descriptor_ < 0) return;
    if (size > sizeof buffer_ - used_) flush();
    if (size > sizeof buffer_) {
      write_all(data, size);
    } else {
      memcpy(buffer_ + used_, data, size);
      used_ += size;
    }
  }
  void put(const char* text) { put(text, strlen(text)); }
  void put(uint64_t number) {
    char text[24];
    put(text,
        static_cast<size_t>(snprintf(text, sizeof text, "%llu", static_cast<unsigned long long>(number))));
  }
  void put_escaped(const char* text) {
    put("\"", 1);
    for (; *text; text++) {
      auto c = static_cast<unsigned char>(*text);
      char escaped[8];
      if (c == '"' || c == '\\') {
        escaped[0] = '\\', escaped[1] = static_cast<char>(c);
        put(escaped, 2);
      } else if (c < 0x20) {
        put(escaped, static_cast<size_t>(snprintf(escaped, sizeof escaped, "\\u%04x", c)));
      } else {
        put(text, 1);
      }
    }
    put("\"", 1);
  }
  bool flush() {
    write_all(buffer_, used_);
    used_ = 0;
    return !failed_;
  }

 private:
  void write_all(const void* data, size_t size) {
    auto* at = static_cast<const unsigned char*>(data);
    while (size > 0 && !failed_) {
      ssize_t count = ::write(descriptor_, at, size);
      if (count < 0 && errno == EINTR) continue;
      failed_ = count < 0;
      if (failed_) return;
      at += count;
      size -= static_cast<size_t>(count);
    }
  }

  int descriptor_;
  bool failed_ = false;
  size_t used_ = 0;
  uint64_t written_ = 0;
  unsigned char buffer_[4096];
};

// Calls visit(variable, begin) for each saved variable in the order of the file: the widest elements first,
// so that every tensor is aligned for its type.
template <class Visitor>
void for_each_saved(const nn_model* model, Visitor visit) {
  uint64_t begin = 0;
  for (size_t size : {8, 4, 2, 1}) {
    for (int32_t i = 0; i < model->num_variables; i++) {
      const nn_variable_info& variable = model->variables[i];
      if (!is_saved(variable.kind) || element_size(variable.tensor.dtype) != size) continue;
      visit(i, begin);
      begin += variable.tensor.bytes;
    }
  }
}

void write_header(const nn_model* model, Writer& out) {
  out.put("{\"__metadata__\":{\"format\":\"nn\",\"model\":");
  out.put_escaped(model->name);
  out.put("}");
  for_each_saved(model, [&](int32_t i, uint64_t begin) {
    const nn_tensor_info& tensor = model->variables[i].tensor;
    out.put(",");
    out.put_escaped(tensor.name);
    out.put(":{\"dtype\":\"");
    out.put(safetensors_dtype(tensor.dtype));
    out.put("\",\"shape\":[");
    for (int32_t axis = 0; axis < tensor.rank; axis++) {
      if (axis > 0) out.put(",");
      out.put(static_cast<uint64_t>(tensor.shape[axis]));
    }
    out.put("],\"data_offsets\":[");
    out.put(begin);
    out.put(",");
    out.put(begin + tensor.bytes);
    out.put("]}");
  });
  out.put("}");
  while ((out.written() + length_bytes) % alignment != 0) out.put(" ");
}

bool write_checkpoint(nn_session* session, int descriptor) {
  Writer counter;
  write_header(session->model, counter);
  unsigned char length[length_bytes];
  for (size_t i = 0; i < length_bytes; i++)
    length[i] = static_cast<unsigned char>(counter.written() >> (8 * i));

  Writer prefix(descriptor);
  prefix.put(length, length_bytes);
  if (!prefix.flush()) return false;
  Writer out(descriptor);
  write_header(session->model, out);
  for_each_saved(session->model, [&](int32_t i, uint64_t) {
    out.put(session->bytes_of(i), session->model->variables[i].tensor.bytes);
  });
  return out.flush() && fsync(descriptor) == 0;
}

// Makes a new file beside `path` and puts its name into `name`. Negative, and errno has why, if that fails.
int create_beside(const char* path, char (&name)[max_path]) {
  // Sessions of one process may save to one place at the same time.
  for (int attempt = 0; attempt < 1000; attempt++) {
    int length = snprintf(name, sizeof name, "%s.%ld-%d.tmp", path, static_cast<long>(getpid()), attempt);
    if (length < 0 || static_cast<size_t>(length) >= sizeof name) {
      errno = ENAMETOOLONG;
      return -1;
    }
    int descriptor = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0 || errno != EEXIST) return descriptor;
  }
  return -1;
}

// So that the new name survives a power failure, too. What cannot be done here is not an error: the file
// itself is on disk.
void sync_directory_of(const char* path) {
  char directory[max_path];
  const char* slash = strrchr(path, '/');
  size_t length = slash ? static_cast<size_t>(slash - path) + 1 : 1;
  memcpy(directory, slash ? path : ".", length);
  directory[length] = 0;
  File file(open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.get() >= 0) fsync(file.get());
}

// Reads exactly `size` bytes from `offset`.
bool read_all(int descriptor, uint64_t offset, void* data, uint64_t size) {
  auto* at = static_cast<unsigned char*>(data);
  while (size > 0) {
    ssize_t count = pread(descriptor, at, size, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count == 0) errno = EIO;
    if (count <= 0) return false;
    at += count;
    offset += static_cast<uint64_t>(count);
    size -= static_cast<uint64_t>(count);
  }
  return true;
}

const FileTensor* find_tensor(const FileTensor* tensors, size_t count, const char* name) {
  size_t length = strlen(name);
  while (count > 0) {
    const FileTensor* middle = tensors + count / 2;
    int order = compare_names(middle->name, middle->name_length, name, length);
    if (order == 0) return middle;
    if (order < 0) tensors = middle + 1;
    count = order < 0 ? count - count / 2 - 1 : count / 2;
  }
  return nullptr;
}

// "F32[64, 10]"
struct TypeText {
  char text[160];
  TypeText(const char* dtype, int32_t rank, const int64_t* shape) {
    size_t used = static_cast<size_t>(snprintf(text, sizeof text, "%s[", dtype));
    for (int32_t i = 0; i < rank && used < sizeof text; i++)
      used += static_cast<size_t>(
          snprintf(text + used, sizeof text - used, i ? ", %lld" : "%lld", static_cast<long long>(shape[i])));
    if (used < sizeof text) snprintf(text + used, sizeof text - used, "]");
  }
};

bool same_type(const FileTensor& in_file, const nn_tensor_info& wanted) {
  return strcmp(in_file.dtype, safetensors_dtype(wanted.dtype)) == 0 && in_file.rank == wanted.rank &&
         (wanted.rank == 0 ||
          memcmp(in_file.shape, wanted.shape, sizeof(int64_t) * static_cast<size_t>(wanted.rank)) == 0);
}

// Checks the file's tensors against the model's saved variables, and reads those that fit into `staging`,
// laid out as the variables are.
nn_status stage(nn_session* session, const char* path, bool partial, int descriptor, uint64_t data_offset,
                const FileTensor* tensors, size_t num_tensors, unsigned char* staging) {
  const nn_model* model = session->model;
  size_t found = 0;
  for (int32_t i = 0; i < model->num_variables; i++) {
    const nn_variable_info& variable = model->variables[i];
    if (!is_saved(variable.kind)) continue;
    const nn_tensor_info& wanted = variable.tensor;
    const FileTensor* tensor = find_tensor(tensors, num_tensors, wanted.name);
    if (!tensor && partial) continue;
    if (!tensor) return session->fail(NN_IO_ERROR, "cannot load %s: it lacks %s", path, wanted.name);
    if (!same_type(*tensor, wanted)) {
      return session->fail(NN_IO_ERROR, "cannot load %s: %s is %s, the model's is %s", path, wanted.name,
                           TypeText(tensor->dtype, tensor->rank, tensor->shape).text,
                           TypeText(safetensors_dtype(wanted.dtype), wanted.rank, wanted.shape).text);
    }
    found++;
    unsigned char* bytes = staging + variable.offset;
    if (!read_all(descriptor, data_offset + tensor->begin, bytes, wanted.bytes))
      return io_error(session, "read", path);
    if (wanted.dtype != NN_BOOL) continue;
    for (uint64_t k = 0; k < wanted.bytes; k++) {
      if (bytes[k] > 1)
        return session->fail(NN_IO_ERROR, "cannot load %s: %s is neither true nor false somewhere", path,
                             wanted.name);
    }
  }
  if (found == 0 && num_tensors > 0)
    return session->fail(NN_IO_ERROR, "cannot load %s: it has none of the model's variables", path);
  if (partial || found == num_tensors) return NN_OK;
  for (size_t k = 0; k < num_tensors; k++) {
    bool known = false;
    for (int32_t i = 0; i < model->num_variables && !known; i++) {
      const nn_variable_info& variable = model->variables[i];
      known =
          is_saved(variable.kind) && compare_names(tensors[k].name, tensors[k].name_length,
                                                   variable.tensor.name, strlen(variable.tensor.name)) == 0;
    }
    if (!known) {
      return session->fail(NN_IO_ERROR, "cannot load %s: it has %.*s, which the model lacks", path,
                           static_cast<int>(tensors[k].name_length < 200 ? tensors[k].name_length : 200),
                           tensors[k].name);
    }
  }
  return NN_OK;
}

}  // namespace

nn_status save(nn_session* session, const char* path) {
  struct stat status;
  if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
    return session->fail(NN_IO_ERROR, "cannot write %s: it is not a file", path);
  char temporary[max_path];
  File file(create_beside(path, temporary));
  if (file.get() < 0) return io_error(session, "write", path);
  if (!write_checkpoint(session, file.get()) || !file.close() || rename(temporary, path) != 0) {
    nn_status failed = io_error(session, "write", path);
    unlink(temporary);
    return failed;
  }
  sync_directory_of(path);
  return NN_OK;
}

nn_status load(nn_session* session, const char* path, bool partial) {
  File file(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return io_error(session, "read", path);
  struct stat status;
  if (fstat(file.get(), &status) != 0) return io_error(session, "read", path);
  if (!S_ISREG(status.st_mode)) return session->fail(NN_IO_ERROR, "cannot read %s: it is not a file", path);

  auto refuse = [&](const char* reason) {
    return session->fail(NN_IO_ERROR, "%s is not a .safetensors file: %s", path, reason);
  };
  auto size = static_cast<uint64_t>(status.st_size);
  unsigned char length[length_bytes];
  if (size < length_bytes) return refuse("it is too short");
  if (!read_all(file.get(), 0, length, length_bytes)) return io_error(session, "read", path);
  uint64_t header_bytes = 0;
  for (size_t i = length_bytes; i-- > 0;) header_bytes = header_bytes << 8 | length[i];
  if (header_bytes > size - length_bytes) return refuse("its header is longer than the file");
  if (header_bytes > max_header) return refuse("its header is too long");

  Scratch header(session->allocator, header_bytes + 1);
  Scratch tensor_room(session->allocator, max_tensors(header_bytes) * sizeof(FileTensor));
  Scratch staging(session->allocator, session->model->variable_bytes + 1);
  if (!header.get() || !tensor_room.get() || !staging.get())
    return session->fail(NN_OUT_OF_MEMORY, "out of memory while loading %s", path);
  auto* text = reinterpret_cast<char*>(header.get());
  auto* tensors = reinterpret_cast<FileTensor*>(tensor_room.get());
  if (!read_all(file.get(), length_bytes, text, header_bytes)) return io_error(session, "read", path);
  uint64_t data_offset = length_bytes + header_bytes;
  size_t num_tensors;
  if (const char* wrong = parse_header(text, header_bytes, size - data_offset, tensors, &num_tensors))
    return refuse(wrong);

  // Everything is read and checked before anything is changed.
  const nn_model* model = session->model;
  if (model->variable_bytes > 0) memcpy(staging.get(), session->context.variables, model->variable_bytes);
  nn_status staged =
      stage(session, path, partial, file.get(), data_offset, tensors, num_tensors, staging.get());
  if (staged != NN_OK) return staged;
  if (model->variable_bytes > 0) memcpy(session->context.variables, staging.get(), model->variable_bytes);
  session->version++;
  return NN_OK;
}

}  // namespace nn::runtime
