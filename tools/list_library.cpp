#include "tools/list_library.h"

#include <algorithm>
#include <array>

#include "frontend/frontend.h"
#include "frontend/library.h"
#include "ir/op.h"
#include "llvm/Support/raw_ostream.h"
#include "passes/claimed_calls.h"
#include "passes/fusion_rules.h"
#include "passes/gradient_rules.h"
#include "passes/pass.h"

namespace nncc {
namespace {

constexpr DType kFloats[] = {DType::F32, DType::F64};
// Which of kFloats a function can be computed in, and its gradients of first and second order.
using Column = std::string;
using Columns = std::array<Column, 3>;
constexpr size_t kWidth = 10;

std::string line(const Columns& columns, const std::string& what) {
  std::string text;
  for (const Column& column : columns) {
    text += column.empty() ? "-" : column;
    text.append(kWidth - std::max<size_t>(column.size(), 1), ' ');
  }
  return text + what + "\n";
}

// Every rule is written for all types of floats, and a gradient is made of nodes that have gradients
// themselves.
Columns columns_of(const OpInfo& info) {
  const Column all = "f32 f64";
  const FusionRole role = fusion_role(info.op);
  Column kernel = all;
  if (role == FusionRole::Outside) kernel = "entry";  // done by the entry's own code
  if (role == FusionRole::Data || role == FusionRole::Unsupported) kernel = "";
  const bool has_gradient = gradient_rule(info.op).kind == GradientRule::Kind::Differentiable;
  return {kernel, has_gradient ? all : "", has_gradient ? all : ""};
}

// Whether the passes make kernels of it.
bool compiles(const std::string& program, DType float_type) {
  SourceManager sources;
  Diagnostics diags;
  TraceOptions options;
  options.float_type = float_type;
  options.kept_calls.insert(std::begin(kClaimedCalls), std::end(kClaimedCalls));
  const auto tree = parse_program_text("example", program, sources, diags);
  const auto module = tree ? trace_program(*tree, options, diags) : nullptr;
  return module && run_pipeline(*module, parse_pipeline("O2", diags), {}, diags, llvm::nulls());
}

// All examples with all float types, for as high an order as that goes.
Columns columns_of(const LibraryFunction& f) {
  Columns columns;
  for (const DType type : kFloats) {
    for (int order = 0; order < 3; ++order) {
      // What is no call of a function with float inputs has no gradient to ask for.
      bool all = true;
      for (const std::string& example : f.examples)
        all = all && (order == 0 || example_has_gradient(f, example, order)) &&
              compiles(example_program(f, example, order), type);
      if (!all) break;
      columns[order] += (columns[order].empty() ? "" : " ") + std::string(dtype_name(type));
    }
  }
  return columns;
}

}  // namespace

std::string list_primitives() {
  std::string text = line({"kernel", "gradient", "twice"}, "primitives");
  for (const OpInfo& info : all_ops()) {
    std::string what = std::string(info.name) + "(";
    for (int i = 0; i < info.num_operands; ++i)
      what += std::string(i > 0 ? ", " : "") + static_cast<char>('a' + i);
    what += info.num_operands == kVariadic ? "…)" : ")";
    for (const Attr attr : info.attributes)
      what += (attr == info.attributes[0] ? " {" : ", ") + std::string(attr_name(attr));
    text +=
        line(columns_of(info), what + (info.attributes.empty() ? "" : "}") + ": " + std::string(info.doc));
  }
  return text +
         "\nF: of floats alone. B: of truth values alone. Layers, losses and optimizers: --list-library.\n";
}

std::string list_library() {
  std::string text;
  for (const LibrarySection& section : library_sections()) {
    text += (text.empty() ? "" : "\n") + line({"kernel", "gradient", "twice"}, section.name);
    for (const LibraryFunction& f : section.functions) text += line(columns_of(f), f.signature);
  }
  return text;
}

}  // namespace nncc
