// Kernels with arguments, compared with the reference evaluator. All cases of a test are compiled into one
// object.
#pragma once
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "ir/builder.h"
#include "ir/evaluate.h"
#include "test/codegen/kernel_library.h"

namespace nncc::testing {

// How far results of each element type may be from the exact ones: |got - exact| <= ulp * epsilon * |exact| +
// absolute.
struct Tolerance {
  double ulp = 0;
  double absolute = 0;
};

using Values = std::vector<Value>;

class KernelCases {
 public:
  explicit KernelCases(int threads = 1, const TargetInfo& target = host_target()) {
    options_.threads = threads;
    options_.target = &target;
  }

  // A kernel whose body `build` makes from its arguments.
  void add(std::string name, std::vector<Literal> arguments, Tolerance tolerance,
           const std::function<Values(GraphBuilder&, const Values&)>& build);
  // Result r of the case added last lies on an argument.
  void in_place(std::vector<int> argument_of_result) {
    cases_.back().in_place = std::move(argument_of_result);
  }
  // Compiles all, calls each and compares. EXPECTs.
  void run();
  // The same with results of products and convolutions in rows of their last axis, with gaps between them, as
  // plan-memory writes pieces of a concat. Each case must have such a result.
  void run_in_rows();
  // What each returns.
  std::vector<std::vector<Literal>> results() const;
  // The object alone.
  std::vector<std::byte> compile() const;

 private:
  struct Case {
    std::vector<Literal> arguments;
    Tolerance tolerance;
    std::vector<int> in_place;
  };
  void run(std::vector<KernelLibrary::Layouts> layouts);
  CodegenOptions options_;
  std::vector<Function> functions_;
  std::vector<Case> cases_;
};

inline const std::vector<DType> kAllTypes = {DType::F32, DType::F64, DType::F16, DType::BF16, DType::I8,
                                             DType::U8,  DType::I32, DType::I64, DType::Bool};

// Compiles the kernel for 1, 2 and 8 threads: its first result has the same bits each time, and more than one
// share a loop. EXPECTs.
void expect_same_bits_for_any_threads(const Function& kernel, std::span<const Literal> arguments);

// Whether the op takes such operands.
bool is_well_typed(Op op, const std::vector<TensorType>& operands, const Attributes& attributes = {});

// Random elements of a type: floats in [low, high), integers over a few dozen values or, for i8 and u8, all.
Literal random_literal(TensorType type, std::mt19937_64& random, double low = -2, double high = 2);
// NaN, infinities, zeros of both signs, denormals, huge and ordinary numbers; for integers the borders of the
// type.
std::vector<double> special_values(DType dtype);

}  // namespace nncc::testing
