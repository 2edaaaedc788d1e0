// The gradients of whole programs, in double precision, against differences along a random direction of all
// parameters.
#include <memory>

#include "frontend/ast.h"
#include "frontend/frontend.h"
#include "passes/claimed_calls.h"
#include "test/passes/graphs.h"

namespace nncc::test {
namespace {

struct Program {
  const char* file;
  double tolerance;  // larger where kinks are likely to be near
  std::map<std::string, std::string> constants;
};
void PrintTo(const Program& p, std::ostream* out) { *out << p.file; }

std::unique_ptr<Module> trace(const Program& program) {
  SourceManager sources;
  Diagnostics diags;
  const auto tree =
      parse_program(std::string(NNCC_SOURCE_DIR "/examples/zoo/") + program.file, sources, diags);
  TraceOptions options;
  options.constants = program.constants;
  options.float_type = DType::F64;
  options.kept_calls.insert(std::begin(kClaimedCalls), std::end(kClaimedCalls));
  options.gradient_entries = true;
  auto module = tree ? trace_program(*tree, options, diags) : nullptr;
  if (!module) diags.print(llvm::errs());
  return module;
}

// Numbers in [0, 1), and labels of two classes: every program has at least two.
std::vector<Literal> make_arguments(const Entry& entry, std::mt19937& random) {
  std::vector<Literal> arguments;
  for (const auto& argument : entry.graph.arguments) {
    Literal literal = random_literal(entry.graph.type(argument.value), random, 0, 1);
    if (!literal.is_float())
      for (int64_t i = 0; i < literal.num_elements(); ++i) literal.set_int(i, random() % 2);
    arguments.push_back(std::move(literal));
  }
  return arguments;
}

class EntryCheck {
 public:
  EntryCheck(const Module& module, const Entry& entry) : session_(module), entry_(entry) {
    session_.initialize(11);
    // Away from where initializers put ties: all zeros.
    for (const Variable& v : module.variables)
      if (v.kind == VariableKind::Parameter) shake(session_.variable(v.name));
    before_ = session_.variables();
    arguments_ = make_arguments(entry, random_);
    results_ = run(0, {});
  }

  // Each loss with the gradients that follow it.
  void check(double tolerance) {
    for (size_t i = 0; i < results_.size(); ++i) {
      if (name(i).rfind("gradient/", 0) == 0) continue;
      std::map<std::string, Literal> direction;
      double found = 0;
      for (size_t j = i + 1; j < results_.size() && name(j).rfind("gradient/", 0) == 0; ++j) {
        const Literal d = random_literal(results_[j].type(), random_, -1, 1);
        for (int64_t e = 0; e < d.num_elements(); ++e) found += d.real(e) * results_[j].real(e);
        direction[name(j).substr(9)] = d;
      }
      ASSERT_FALSE(direction.empty());
      const double h = 1e-6;  // few kinks lie this near
      const auto loss = [&](double step) { return run(step, direction)[i].real(0); };
      const double expected = (loss(h) - loss(-h)) / (2 * h);
      EXPECT_TRUE(close(expected, found, tolerance)) << entry_.name << ", " << name(i) << ": differences say "
                                                     << expected << ", the gradient says " << found;
      EXPECT_NE(found, 0);
    }
  }

 private:
  const std::string& name(size_t result) const { return entry_.graph.results[result].name; }
  void shake(Literal& literal) {
    literal = literal.dense();
    std::normal_distribution<double> normal(0, 0.05);
    for (int64_t i = 0; i < literal.num_elements(); ++i) literal.set(i, literal.real(i) + normal(random_));
  }
  std::vector<Literal> run(double step, const std::map<std::string, Literal>& direction) {
    for (const auto& [variable, value] : before_) session_.variable(variable) = value;
    for (const auto& [variable, d] : direction) {
      Literal moved = before_.at(variable).dense();
      for (int64_t e = 0; e < d.num_elements(); ++e) moved.set(e, moved.real(e) + step * d.real(e));
      session_.variable(variable) = moved;
    }
    return session_.run(entry_, arguments_);
  }

  std::mt19937 random_{5};
  Evaluator session_;
  const Entry& entry_;
  std::map<std::string, Literal> before_;
  std::vector<Literal> arguments_, results_;
};

class ZooGradients : public ::testing::TestWithParam<Program> {};

TEST_P(ZooGradients, agree_with_differences) {
  const auto module = trace(GetParam());
  ASSERT_TRUE(module);
  run_passes(*module,
             "fuse-softmax-cross-entropy,inline,canonicalize,cse,autodiff,canonicalize,fold-constants,cse,"
             "canonicalize,dce");
  int entries = 0;
  for (const Entry& entry : module->entries) {
    if (entry.kind != EntryKind::Train) continue;
    EntryCheck(*module, entry).check(GetParam().tolerance);
    ++entries;
  }
  EXPECT_GT(entries, 0);
}

const Program kPrograms[] = {
    {"backprop.nn", 1e-6, {{"samples", "3"}}},
    {"logistic.nn", 1e-6, {{"batch", "3"}}},
    {"svm.nn", 1e-3, {{"batch", "3"}}},
    {"mlp.nn", 1e-6, {{"batch", "2"}}},
    {"autoencoder.nn", 1e-6, {{"batch", "2"}}},
    {"multitask.nn", 1e-6, {{"batch", "2"}}},
    {"vae.nn", 1e-6, {{"batch", "2"}}},
    {"reinforce.nn", 1e-6, {{"batch", "3"}}},
    {"optimizers.nn", 1e-6, {}},
    {"wgan.nn", 1e-6, {{"batch", "2"}}},
};
INSTANTIATE_TEST_SUITE_P(Programs, ZooGradients, ::testing::ValuesIn(kPrograms), [](const auto& info) {
  const std::string file = info.param.file;
  return file.substr(0, file.find('.'));
});

}  // namespace
}  // namespace nncc::test
