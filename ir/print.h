// The text form of the IR, `.nnir`: print and parse. parse(print(m)) is m, up to erased nodes and locations.
//
//   module @mlp {
//     variable @mlp.dense.weight : f32[784, 256] parameter slab "fit" offset 0
//     variable @lr : f32 hyper = 0.001
//
//     composite @softmax(%x: f32[64, 10]) -> (result: f32[64, 10]) {
//       %0 = reduce_max %x {axes = [1]} : f32[64]
//       …
//       return %7
//     }
//     kernel @k0(%a: f32[64, 784], …) -> (result: f32[64, 256]) { … }
//
//     entry @fit train arena 4096 (%image: f32[64, 784], %label: i32[64]) -> (loss: f32, accuracy: f32) {
//       %w = variable {symbol = @mlp.dense.weight} : f32[784, 256]
//       %h = matmul %image, %w {transpose_a = false, transpose_b = false} : f32[64, 256]
//       %p = call %h {symbol = @softmax} : f32[64, 10]
//       %u:2 = kernel %h, %p {symbol = @k0} : f32[784, 256], f32 at variables+0, arena+128
//       update @mlp.dense.weight = %u#0
//       return %loss, %accuracy
//     } prepare { … }
//   }
//
// Names: a node's own name, made unique with .1, .2, …; unnamed nodes are numbered. A name that would read otherwise stands in quotes:
// %"x.1", @"odd name". `//` starts a comment.
// A place is arena+128, variables+0, constants+64, input[1]+0 or output[0]+0. Once memory is planned: `module @mlp variables 4096 {`.
// A composite whose name was made unique: `composite @softmax.1 callee "softmax" (…)`.
#pragma once
#include <memory>
#include <string>

#include "ir/diagnostic.h"
#include "ir/module.h"

namespace nncc {

struct PrintOptions {
  bool locations = false;        // a trailing `// file:line:col` on each node
  bool large_constants = false;  // else literals over 16 elements are elided as dense<…N elements, hash…>, which does not parse back
};
void print(const Module&, llvm::raw_ostream&, const PrintOptions& = {});
// One graph as the body of `name`, for messages and tests.
void print(const Graph&, std::string_view name, llvm::raw_ostream&, const PrintOptions& = {});
std::string to_string(const Module&, const PrintOptions& = {});
// The body of a function with canonical names and no locations: equal texts mean equal code.
std::string canonical_text(const Graph&);

// Every graph of the module in Graphviz's language.
std::string graphviz(const Module&);

// Nothing if there were errors, which are then in `diags`. Checks types by the shape rules; verify() checks the rest.
// Nodes and variables are located in `file`, which must outlive the module.
std::unique_ptr<Module> parse_nnir(const SourceFile&, Diagnostics& diags);

}  // namespace nncc
