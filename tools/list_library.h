// What --list-ops and --list-library print.
#pragma once
#include <string>

namespace nncc {

// A line for each primitive: whether it can be compiled, differentiated and differentiated twice, in f32 and
// in f64, as the tables of gradient rules and of fusion say.
std::string list_primitives();

// The same for each function of the standard library, as what becomes of its examples under the passes of
// -O2 says.
std::string list_library();

}  // namespace nncc
