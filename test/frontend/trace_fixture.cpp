#include "trace_fixture.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "ir/verify.h"
#include "passes/pass.h"

namespace nncc {

Traced::Traced(const std::string& text, const TraceOptions& options) {
  std::string path = (std::filesystem::temp_directory_path() / "nncc-trace-XXXXXX").string();
  const int file = mkstemp(path.data());
  EXPECT_GE(file, 0);
  close(file);
  std::ofstream(path) << text;
  Diagnostics diags;
  const auto program = parse_program(path, sources_, diags);
  std::filesystem::remove(path);
  if (program) module = trace_program(*program, options, diags);
  for (const Diagnostic& d : diags.all())
    (d.severity == Severity::Error ? errors : warnings) += d.message + "\n";
  EXPECT_EQ(module == nullptr, diags.has_errors());
  if (!module) return;
  for (const std::string& violation : verify(*module)) ADD_FAILURE() << violation;
}

std::vector<std::string> Traced::variables(VariableKind kind) const {
  std::vector<std::string> names;
  for (const Variable& v : module->variables)
    if (v.kind == kind) names.push_back(v.name);
  return names;
}

int Traced::count(const std::string& entry, Op op) const {
  const Graph& graph = module->find_entry(entry)->graph;
  int n = 0;
  for (const NodeId id : graph.nodes()) n += graph[id].op == op;
  return n;
}

void Traced::differentiate() {
  Diagnostics diags;
  PassOptions options;
  PassContext context(options, diags);
  for (const char* pass : {"inline", "autodiff"}) find_pass(pass)->run(*module, context);
  for (const std::string& violation : verify(*module)) ADD_FAILURE() << violation;
}

Literal tensor_of(Shape shape, std::vector<double> values) {
  return Literal::floats({DType::F32, std::move(shape)}, std::move(values));
}

Literal vector_of(std::vector<double> values) {
  const auto n = static_cast<int64_t>(values.size());
  return tensor_of({n}, std::move(values));
}

Literal integers_of(Shape shape, std::vector<int64_t> values) {
  return Literal::ints({DType::I32, std::move(shape)}, std::move(values));
}

std::vector<double> reals(const Literal& literal) {
  std::vector<double> out;
  for (int64_t i = 0; i < literal.num_elements(); ++i) out.push_back(literal.real(i));
  return out;
}

std::vector<double> evaluate_body(const std::string& body, const std::vector<Literal>& arguments) {
  std::string text = "model f(";
  for (size_t i = 0; i < arguments.size(); ++i)
    text += std::string(i ? ", " : "") + static_cast<char>('a' + i) + ": " + arguments[i].type().str();
  Traced program(text + ") {\n" + body + "\n}\n");
  EXPECT_EQ(program.errors, "") << body;
  if (!program.module) return {};
  Evaluator evaluator(*program.module);
  evaluator.initialize(1);
  return reals(evaluator.run(*program.module->find_entry("f"), arguments).front());
}

}  // namespace nncc
