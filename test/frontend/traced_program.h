// A program's text, traced with f32 meaning f64 and run by the reference evaluator.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "frontend/ast.h"
#include "frontend/frontend.h"
#include "ir/evaluate.h"
#include "passes/pass.h"

namespace nncc {

class TracedProgram {
 public:
  // Throws with the printed diagnostics where the program has errors.
  explicit TracedProgram(const std::string& text) {
    std::string path = (std::filesystem::temp_directory_path() / "nncc-test-XXXXXX.nn").string();
    const int file = mkstemps(path.data(), 3);
    if (file < 0) throw std::runtime_error("no temporary file");
    close(file);
    std::ofstream(path) << text;
    const auto program = parse_program(path, sources_, diags_);
    std::filesystem::remove(path);
    TraceOptions options;
    options.float_type = DType::F64;
    if (program) module_ = trace_program(*program, options, diags_);
    if (module_) {
      PipelineOptions pipeline;
      pipeline.verify_each = true;
      const auto passes = parse_pipeline("inline,autodiff,dce", diags_);
      run_pipeline(*module_, passes, pipeline, diags_, llvm::errs());
    }
    if (!module_ || diags_.has_errors()) throw std::runtime_error("in\n" + text + "\n" + messages());
    evaluator_ = std::make_unique<Evaluator>(*module_);
    evaluator_->initialize(1);
  }

  using Values = std::vector<double>;
  // All results of an entry, each in row-major order. Inputs are given in order; integers are rounded.
  std::vector<Values> run(const std::string& entry, const std::vector<Values>& inputs = {}) {
    const Entry* e = module_->find_entry(entry);
    if (!e) throw std::runtime_error("no entry " + entry);
    std::vector<Literal> arguments;
    for (size_t i = 0; i < e->graph.arguments.size(); ++i) {
      Literal literal(e->graph.type(e->graph.arguments[i].value));
      if (inputs.at(i).size() != static_cast<size_t>(literal.num_elements()))
        throw std::runtime_error("size of an input");
      for (int64_t k = 0; k < literal.num_elements(); ++k) {
        if (literal.is_float())
          literal.set(k, inputs[i][k]);
        else
          literal.set_int(k, static_cast<int64_t>(inputs[i][k]));
      }
      arguments.push_back(std::move(literal));
    }
    std::vector<Values> results;
    for (const Literal& literal : evaluator_->run(*e, arguments)) results.push_back(values(literal));
    return results;
  }

  Values variable(const std::string& name) { return values(evaluator_->variable(name)); }
  void set_variable(const std::string& name, const Values& to) {
    Literal literal = evaluator_->variable(name).dense();
    for (size_t i = 0; i < to.size(); ++i) literal.set(static_cast<int64_t>(i), to[i]);
    evaluator_->variable(name) = literal;
  }
  Shape shape_of_result(const std::string& entry, size_t i = 0) {
    const Graph& graph = module_->find_entry(entry)->graph;
    return graph.type(graph.results[i].value).shape;
  }
  void initialize(int64_t seed) { evaluator_->initialize(seed); }
  const Module& module() const { return *module_; }

 private:
  static Values values(const Literal& literal) {
    Values result;
    for (int64_t i = 0; i < literal.num_elements(); ++i) result.push_back(literal.real(i));
    return result;
  }
  std::string messages() const {
    std::string text;
    llvm::raw_string_ostream os(text);
    diags_.print(os);
    return os.str();
  }

  SourceManager sources_;
  Diagnostics diags_;
  std::unique_ptr<Module> module_;
  std::unique_ptr<Evaluator> evaluator_;
};

// Within `tolerance`, relative where above 1; NaN and infinities must be the same.
inline void expect_near(const TracedProgram::Values& found, const TracedProgram::Values& expected,
                        double tolerance = 1e-12) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    if (std::isnan(expected[i])) {
      EXPECT_TRUE(std::isnan(found[i])) << "element " << i << " is " << found[i];
    } else if (std::isinf(expected[i])) {
      EXPECT_EQ(found[i], expected[i]) << "element " << i;
    } else {
      EXPECT_NEAR(found[i], expected[i], tolerance * std::max(1.0, std::fabs(expected[i])))
          << "element " << i;
    }
  }
}

}  // namespace nncc
