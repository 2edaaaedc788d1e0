// Whole programs, traced, optimized and planned, on bytes: the same numbers as the reference evaluator's on
// the plain graphs.
#include <random>

#include "frontend/frontend.h"
#include "test/passes/planned_session.h"

namespace nncc::test {
namespace {

Module trace(const std::string& path) {
  Diagnostics diags;
  SourceManager sources;
  const auto program = parse_program(path, sources, diags);
  std::unique_ptr<Module> module;
  if (program) {
    TraceOptions options;
    options.float_type = DType::F64;  // so that only the order of sums can differ
    options.kept_calls = {"softmax", "cross_entropy"};
    module = trace_program(*program, options, diags);
  }
  if (!module) {
    diags.print(llvm::errs());
    ADD_FAILURE() << path << " does not compile";
    return {};
  }
  return std::move(*module);
}

std::vector<Literal> arguments_of(const Graph& graph, std::mt19937& random) {
  std::vector<Literal> arguments;
  for (const Graph::Argument& argument : graph.arguments) {
    const TensorType& type = graph.type(argument.value);
    Literal literal = random_literal(type, random, 0.1, 0.9);
    if (is_integer(type.dtype))  // classes
      for (int64_t i = 0; i < literal.num_elements(); ++i)
        literal.set_int(i, static_cast<int64_t>(random() % 2));
    arguments.push_back(std::move(literal));
  }
  return arguments;
}

class OnPrograms : public ::testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(OnPrograms, computes_the_same_in_memory) {
  const auto [path, passes] = GetParam();
  Module plain = trace(std::string(NNCC_SOURCE_DIR) + "/" + path);
  if (HasFailure()) return;
  Module planned = plain;
  run_passes(plain, "inline,autodiff");
  run_passes(planned, passes);
  Evaluator expected(plain);
  PlannedSession found(planned);
  expected.initialize(3);
  found.set("seed", Literal::splat_int({DType::I64, {}}, 3));
  found.run(*planned.find_entry("init"), {});
  std::mt19937 random(1);
  for (int step = 0; step < 2; ++step) {
    for (const Entry& entry : plain.entries) {
      if (entry.kind == EntryKind::Init) continue;
      SCOPED_TRACE(entry.name + ", round " + std::to_string(step));
      const auto arguments = arguments_of(entry.graph, random);
      const auto a = expected.run(entry, arguments);
      const auto b = found.run(*planned.find_entry(entry.name), arguments);
      ASSERT_EQ(a.size(), b.size());
      for (size_t i = 0; i < a.size(); ++i) expect_close(a[i], b[i], 1e-9, entry.graph.results[i].name);
      for (const Variable& variable : plain.variables)
        expect_close(expected.variable(variable.name), found.variable(variable.name), 1e-9, variable.name);
      if (HasFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Zoo, OnPrograms,
    ::testing::Combine(::testing::Values("examples/zoo/backprop.nn", "examples/zoo/logistic.nn",
                                         "examples/zoo/svm.nn", "examples/zoo/optimizers.nn",
                                         "examples/zoo/reinforce.nn", "test/passes/Inputs/updates.nn"),
                       ::testing::Values("O0", "O2")),
    [](const auto& info) {
      std::string name = std::get<0>(info.param);
      name = name.substr(name.rfind('/') + 1);
      return name.substr(0, name.find('.')) + "_" + std::get<1>(info.param);
    });

}  // namespace
}  // namespace nncc::test
