// What the compiler makes of one program, against the evaluator on the program as traced.
#pragma once
#include <optional>
#include <string>

#include "ir/type.h"

namespace nncc::fuzz {

struct CheckOptions {
  DType float_type = DType::F64;
  int opt_level = 2;
  int threads = 2;       // of a session; another has one thread, and gives the same bits
  bool compiled = true;  // or only what the passes make, on the evaluator
  // F16 or BF16: computed in by some of the program, which is then compared as far as rounding leaves digits.
  std::optional<DType> half = {};
  bool smooth = true;  // no result jumps where a number crosses a bound; a half's numbers alone may
  std::string target = "host";
};

struct Finding {
  std::string stage;  // "unrolled", "pass fuse-kernels", "compiled", "program", "internal error", "crash",
                      // "timeout"; empty: none
  std::string message;
  explicit operator bool() const { return !stage.empty(); }
};

// `unrolled`: the program with every loop written out, or empty. Uses files of that folder.
Finding check(const std::string& text, const std::string& unrolled, const CheckOptions&,
              const std::string& folder);
// The same in a process of its own, which may crash or hang.
Finding check_apart(const std::string& text, const std::string& unrolled, const CheckOptions&,
                    const std::string& folder);

}  // namespace nncc::fuzz
