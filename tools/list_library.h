// What --list-library prints.
#pragma once
#include <string>

namespace nncc {

// A line for each primitive, and for each function of the standard library: whether it can be compiled, differentiated and
// differentiated twice, in f32 and in f64. Of primitives the tables of gradient rules and of fusion say so; of a function, what becomes of its
// examples under the passes of -O2.
std::string list_library();

}  // namespace nncc
