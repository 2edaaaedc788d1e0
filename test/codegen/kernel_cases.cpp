#include "test/codegen/kernel_cases.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "codegen/kernel.h"
#include "ir/print.h"
#include "llvm/Support/raw_ostream.h"
#include "passes/kernel_aliasing.h"

namespace nncc::testing {
namespace {

double epsilon(DType dtype) {
  switch (dtype) {
    case DType::F64:
      return std::ldexp(1.0, -52);
    case DType::F16:
      return std::ldexp(1.0, -10);
    case DType::BF16:
      return std::ldexp(1.0, -7);
    default:
      return std::ldexp(1.0, -23);
  }
}

double smallest_normal(DType dtype) {
  if (dtype == DType::F64) return std::numeric_limits<double>::min();
  return dtype == DType::F16 ? std::ldexp(1.0, -14) : std::ldexp(1.0, -126);
}

double largest(DType dtype) {
  if (dtype == DType::F64) return std::numeric_limits<double>::max();
  return dtype == DType::F16 ? 65504 : std::numeric_limits<float>::max();
}

bool agrees(double got, double exact, DType dtype, const Tolerance& tolerance) {
  if (std::isnan(exact)) return std::isnan(got);
  if (std::isinf(exact)) return got == exact;
  const double allowed = tolerance.ulp * epsilon(dtype) * std::abs(exact) + tolerance.absolute;
  if (std::isinf(got))
    return std::signbit(got) == std::signbit(exact) && std::abs(exact) + allowed >= largest(dtype);
  // Results below the smallest normal number may be flushed to zero where digits are lost at all.
  return std::abs(got - exact) <= allowed + (tolerance.ulp > 0 ? smallest_normal(dtype) : 0);
}

void compare(const std::string& name, const Literal& got, const Literal& exact, const Tolerance& tolerance) {
  ASSERT_EQ(got.type(), exact.type()) << name;
  const DType dtype = got.type().dtype;
  for (int64_t i = 0; i < got.num_elements(); ++i) {
    if (is_float(dtype)) {
      const double g = got.real(i), e = exact.real(i);
      ASSERT_TRUE(agrees(g, e, dtype, tolerance))
          << name << ": element " << i << " of " << got.type().str() << " is " << g << " instead of " << e
          << " (" << std::abs(g - e) / std::abs(e) / epsilon(dtype) << " ulp)";
    } else {
      ASSERT_EQ(got.integer(i), exact.integer(i)) << name << ": element " << i << " of " << got.type().str();
    }
  }
}

}  // namespace

void KernelCases::add(
    std::string name, std::vector<Literal> arguments, Tolerance tolerance,
    const std::function<std::vector<Value>(GraphBuilder&, const std::vector<Value>&)>& build) {
  Function function;
  function.name = std::move(name);
  function.kind = FunctionKind::Kernel;
  GraphBuilder builder(function.body);
  std::vector<Value> values;
  for (size_t i = 0; i < arguments.size(); ++i) {
    arguments[i].round_to_type();
    values.push_back(function.body.add_argument("x" + std::to_string(i), arguments[i].type()));
  }
  int index = 0;
  for (Value v : build(builder, values)) function.body.results.push_back({"r" + std::to_string(index++), v});
  functions_.push_back(std::move(function));
  cases_.push_back({std::move(arguments), tolerance, {}});
}

void KernelCases::run() { run({}); }

void KernelCases::run_in_rows() {
  std::vector<KernelLibrary::Layouts> layouts;
  for (const Function& function : functions_) {
    bool has_rows = false;
    layouts.emplace_back();
    for (size_t r = 0; r < function.body.results.size(); ++r) {
      const Shape& shape = function.body.type(function.body.results[r].value).shape;
      const int64_t row = shape.empty() ? 1 : shape.back();
      layouts.back().emplace_back();
      if (!may_lie_in_rows(function, static_cast<int>(r), row)) continue;
      layouts.back().back() = {row, row + 3};
      has_rows = true;
    }
    EXPECT_TRUE(has_rows) << function.name;
  }
  run(std::move(layouts));
}

void KernelCases::run(std::vector<KernelLibrary::Layouts> layouts) {
  const KernelLibrary library(functions_, options_, std::move(layouts));
  for (const std::string& symbol : library.undefined_symbols())
    EXPECT_TRUE(symbol.find("halide") == std::string::npos || symbol == "halide_do_par_for")
        << "kernels refer to " << symbol;
  const Module module;
  Evaluator evaluator(module);
  for (size_t i = 0; i < functions_.size(); ++i) {
    const std::vector<Literal> exact = evaluator.call(functions_[i], cases_[i].arguments);
    const std::vector<Literal> got = library.call(i, cases_[i].arguments, cases_[i].in_place);
    ASSERT_EQ(got.size(), exact.size());
    for (size_t r = 0; r < got.size(); ++r)
      compare(functions_[i].name, got[r], exact[r], cases_[i].tolerance);
    if (::testing::Test::HasFatalFailure()) {
      std::string text;
      llvm::raw_string_ostream stream(text);
      print(functions_[i].body, functions_[i].name, stream);
      ADD_FAILURE() << stream.str();
      return;
    }
  }
}

std::vector<std::vector<Literal>> KernelCases::results() const {
  const KernelLibrary library(functions_, options_);
  std::vector<std::vector<Literal>> results;
  for (size_t i = 0; i < functions_.size(); ++i)
    results.push_back(library.call(i, cases_[i].arguments, cases_[i].in_place));
  return results;
}

std::vector<std::byte> KernelCases::compile() const {
  std::vector<KernelSource> sources;
  for (const Function& f : functions_) sources.push_back({&f, "nn_kernel_" + std::to_string(sources.size())});
  return compile_kernels_to_object(sources, options_);
}

void expect_same_bits_for_any_threads(const Function& kernel, std::span<const Literal> arguments) {
  std::vector<std::vector<std::byte>> results;
  for (const int threads : {1, 2, 8}) {
    CodegenOptions options;
    options.threads = threads;
    options.target = &host_target();
    const KernelLibrary library(std::span(&kernel, 1), options);
    results.push_back(library.call(0, arguments)[0].to_bytes());
    EXPECT_EQ(library.undefined_symbols().empty(), threads == 1);
    EXPECT_EQ(results.back(), results.front());
  }
}

bool is_well_typed(Op op, const std::vector<TensorType>& operands, const Attributes& attributes) {
  std::string error;
  return !infer_types(op, operands, attributes, {}, error).empty();
}

Literal random_literal(TensorType type, std::mt19937_64& random, double low, double high) {
  Literal literal(type);
  for (int64_t i = 0; i < type.num_elements(); ++i) {
    if (is_float(type.dtype))
      literal.set(i, std::uniform_real_distribution<double>(low, high)(random));
    else if (type.dtype == DType::Bool)
      literal.set_int(i, static_cast<int64_t>(random() % 2));
    else if (type.dtype == DType::U8)
      literal.set_int(i, static_cast<int64_t>(random() % 256));
    else if (type.dtype == DType::I8)
      literal.set_int(i, static_cast<int64_t>(random() % 256) - 128);
    else
      literal.set_int(i, static_cast<int64_t>(random() % 41) - 20);
  }
  literal.round_to_type();
  return literal;
}

std::vector<double> special_values(DType dtype) {
  switch (dtype) {
    case DType::Bool:
      return {0, 1};
    case DType::U8:
      return {0, 1, 2, 100, 127, 128, 254, 255};
    case DType::I8:
      return {-128, -127, -100, -2, -1, 0, 1, 3, 100, 127};
    case DType::I32:
      return {-2147483647.0, -1000000, -7, -2, -1, 0, 1, 2, 3, 1000000, 2147483647.0};
    case DType::I64:
      return {-4503599627370496.0, -7, -2, -1, 0, 1, 2, 3, 1000000, 4503599627370496.0};
    default:
      break;
  }
  const double inf = std::numeric_limits<double>::infinity();
  std::vector<double> values{std::nan(""),
                             inf,
                             -inf,
                             0.0,
                             -0.0,
                             1,
                             -1,
                             0.5,
                             -0.5,
                             1.5,
                             -1.5,
                             2,
                             -2,
                             2.5,
                             3,
                             -3,
                             1e-3,
                             -1e-3,
                             1e-7,
                             -1e-7,
                             0.1,
                             -0.1,
                             0.3,
                             -0.3,
                             0.41,
                             -0.28,
                             0.7,
                             7,
                             -7,
                             20,
                             -20,
                             40,
                             87,
                             -87,
                             88.5,
                             -88.5,
                             100,
                             -100,
                             1000,
                             4097,
                             1e5,
                             -1e5,
                             smallest_normal(dtype),
                             -smallest_normal(dtype),
                             largest(dtype),
                             -largest(dtype)};
  if (dtype == DType::F32) values.insert(values.end(), {1e-40, -1e-40, 1e30, -1e30});
  if (dtype == DType::F64)
    values.insert(values.end(), {1e-310, -1e-310, 700, -700, 710, -745, 1e200, -1e200});
  return values;
}

}  // namespace nncc::testing
