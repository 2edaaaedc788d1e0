// Indices are looked at before they are used.
#include <cstdio>

#include "session.h"

namespace {

// The first element outside of [0, limit), or -1. Blocks are looked at as a whole: all is well nearly always.
template <class T>
int64_t first_outside(const T* data, int64_t count, int64_t limit) {
  constexpr int64_t kBlock = 1024;
  for (int64_t start = 0; start < count; start += kBlock) {
    const int64_t end = start + kBlock < count ? start + kBlock : count;
    unsigned outside = 0;
    for (int64_t i = start; i < end; ++i)
      outside |=
          static_cast<unsigned>(data[i] < 0) | static_cast<unsigned>(static_cast<int64_t>(data[i]) >= limit);
    if (outside == 0) continue;
    for (int64_t i = start; i < end; ++i)
      if (data[i] < 0 || static_cast<int64_t>(data[i]) >= limit) return i;
  }
  return -1;
}

int64_t element(const void* data, int32_t dtype, int64_t i) {
  switch (dtype) {
    case NN_I8:
      return static_cast<const int8_t*>(data)[i];
    case NN_U8:
      return static_cast<const uint8_t*>(data)[i];
    case NN_I32:
      return static_cast<const int32_t*>(data)[i];
    default:
      return static_cast<const int64_t*>(data)[i];
  }
}

}  // namespace

extern "C" int32_t nn_runtime_check_index(nn_context* context, const void* data, int32_t dtype, int32_t rank,
                                          const int64_t* shape, int64_t limit, const char* entry,
                                          const char* label) {
  int64_t count = 1;
  for (int32_t i = 0; i < rank; ++i) count *= shape[i];
  int64_t at;
  switch (dtype) {
    case NN_I8:
      at = first_outside(static_cast<const int8_t*>(data), count, limit);
      break;
    case NN_U8:
      at = first_outside(static_cast<const uint8_t*>(data), count, limit);
      break;
    case NN_I32:
      at = first_outside(static_cast<const int32_t*>(data), count, limit);
      break;
    default:
      at = first_outside(static_cast<const int64_t*>(data), count, limit);
  }
  if (at < 0) return NN_OK;
  // "[3, 17]", from the last axis to the first.
  char position[256];
  size_t begin = sizeof position - 1;
  position[begin] = 0;
  int64_t left = at;
  for (int32_t axis = rank - 1; axis >= 0; --axis) {
    char number[32];
    const int length = snprintf(number, sizeof number, "%s%lld%s", axis == 0 ? "[" : ", ",
                                static_cast<long long>(left % shape[axis]), axis == rank - 1 ? "]" : "");
    left /= shape[axis];
    if (begin < static_cast<size_t>(length)) break;
    for (int i = length; i-- > 0;) position[--begin] = number[i];
  }
  auto* session = static_cast<nn_session*>(context->session);
  session->error_taken = true;  // the text is this one
  return session->fail(NN_RUNTIME_ERROR, "%s: %s%s is %lld, and only 0 to %lld can be looked up", entry,
                       label, position + begin, static_cast<long long>(element(data, dtype, at)),
                       static_cast<long long>(limit - 1));
}
