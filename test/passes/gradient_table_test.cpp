// The table of gradients in docs/ops.md: for every primitive and every differentiable function of the
// library, how far its gradient and the gradient of its gradient are from differences, in double precision.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "frontend/ast.h"
#include "frontend/frontend.h"
#include "frontend/library.h"
#include "passes/gradient_rules.h"
#include "test/passes/gradient_cases.h"

namespace nncc::test {
namespace {

constexpr double kSmoothBound = 1e-6, kKinkBound = 1e-3;
constexpr int kDirections = 3;

struct Row {
  std::string name;
  int cases = 0;
  bool kinks = false;        // made of what has kinks
  double error[2] = {0, 0};  // of the gradient, of the double gradient
  bool has[2] = {false, false};
};

bool has_kink(const Op op) {
  return op == Op::Abs || op == Op::Max || op == Op::Min || op == Op::ReduceMax || op == Op::ReduceMin ||
         op == Op::WindowMax;
}

// Whether what the first result depends on, other than through stop_gradient, has kinks: an op that has, or a
// choice by comparing floats.
bool has_kink(const Graph& graph) {
  std::set<NodeId> seen;
  std::vector<Value> open{graph.results[0].value};
  while (!open.empty()) {
    const Node& node = graph[open.back().node];
    const bool is_new = seen.insert(open.back().node).second;
    open.pop_back();
    if (!is_new || node.op == Op::StopGradient) continue;
    if (has_kink(node.op)) return true;
    if (node.op == Op::Select) {
      const Node& condition = graph[node.operands[0].node];
      if (!condition.operands.empty() && is_float(graph.type(condition.operands[0]).dtype)) return true;
    }
    for (const Value v : node.operands)
      if (is_float(graph.type(v).dtype)) open.push_back(v);
  }
  return false;
}

// An example of a library function, with its float inputs as parameters.
class Example {
 public:
  Example(const LibraryFunction& f, const std::string& text, int order) {
    SourceManager sources;
    Diagnostics diags;
    const std::string program = example_program(f, text, order);
    const auto tree = parse_program_text(f.name, program, sources, diags);
    TraceOptions options;
    options.float_type = DType::F64;
    options.gradient_entries = true;
    if (tree) module_ = trace_program(*tree, options, diags);
    if (!module_) {
      diags.print(llvm::errs());
      ADD_FAILURE() << program;
      return;
    }
    run_passes(*module_, "inline");
    kinks_ = has_kink(module_->find_entry("step")->graph);
    run_passes(*module_, "autodiff,dce");
  }
  bool ok() const { return module_ && !::testing::Test::HasFatalFailure(); }
  bool kinks() const { return kinks_; }

  // The largest error over some directions of all parameters.
  double error() {
    const Entry& entry = *module_->find_entry("step");
    Evaluator session(*module_);
    session.initialize(3);
    std::vector<Literal> arguments;
    for (const auto& argument : entry.graph.arguments) {
      Literal literal(entry.graph.type(argument.value));
      for (int64_t i = 0; i < literal.num_elements(); ++i) literal.set_int(i, random_() % 2);
      arguments.push_back(std::move(literal));
    }
    // Away from where initializers put ties.
    for (const Variable& v : module_->variables) {
      if (v.kind != VariableKind::Parameter) continue;
      Literal value = session.variable(v.name).dense();
      for (int64_t i = 0; i < value.num_elements(); ++i)
        value.set(i, value.real(i) + 0.1 * std::sin(1.0 + 7.0 * i));
      session.variable(v.name) = value;
    }
    const auto before = session.variables();
    const auto run = [&](double step, const std::map<std::string, Literal>& direction) {
      for (const auto& [name, value] : before) session.variable(name) = value;
      for (const auto& [name, d] : direction) {
        Literal moved = before.at(name).dense();
        for (int64_t i = 0; i < d.num_elements(); ++i) moved.set(i, moved.real(i) + step * d.real(i));
        session.variable(name) = moved;
      }
      return session.run(entry, arguments);
    };
    const std::vector<Literal> results = run(0, {});
    double worst = 0;
    for (int i = 0; i < kDirections; ++i) {
      std::map<std::string, Literal> direction;
      double found = 0;
      for (size_t r = 1; r < results.size(); ++r) {
        const Literal d = random_literal(results[r].type(), random_, -1, 1);
        for (int64_t e = 0; e < d.num_elements(); ++e) found += d.real(e) * results[r].real(e);
        direction[entry.graph.results[r].name.substr(std::string("gradient/").size())] = d;
      }
      EXPECT_FALSE(direction.empty());
      const auto loss = [&](double step) { return run(step, direction)[0].real(0); };
      worst = std::max(worst, Slopes{difference(loss), found}.error());
    }
    return worst;
  }

 private:
  // Of several step lengths the one where two differences of fourth order agree best: no kink is within it.
  // The gradient has no say.
  template <typename F>
  static double difference(const F& loss) {
    double best = 0, doubt = HUGE_VAL;
    for (const double step : {1e-2, 1e-3, 1e-4, 1e-5}) {
      const auto fourth_order = [&](double h) {
        return (8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h);
      };
      const double whole = fourth_order(step), half = fourth_order(step / 2);
      if (std::abs(whole - half) >= doubt) continue;
      doubt = std::abs(whole - half);
      best = half;
    }
    return best;
  }

  std::mt19937 random_{5};
  std::unique_ptr<Module> module_;
  bool kinks_ = false;
};

void measure(Row& row, const LibraryFunction& f) {
  for (const std::string& text : f.examples) {
    if (!example_has_gradient(f, text, 1)) continue;
    ++row.cases;
    for (const int order : {1, 2}) {
      if (!example_has_gradient(f, text, order)) continue;
      Example example(f, text, order);
      if (!example.ok()) return;
      row.kinks = row.kinks || (order == 1 && example.kinks());
      row.has[order - 1] = true;
      row.error[order - 1] = std::max(row.error[order - 1], example.error());
    }
  }
}

std::vector<Row> primitives() {
  std::vector<Row> rows;
  const std::vector<Case> cases = gradient_cases();
  for (const OpInfo& info : all_ops()) {
    // An index has no gradient; a gradient goes by it.
    if (gradient_rule(info.op).kind != GradientRule::Kind::Differentiable || info.op == Op::CheckIndex)
      continue;
    Row row{.name = std::string(info.name), .kinks = has_kink(info.op), .has = {true, true}};
    for (const Case& c : cases) {
      if (c.op != info.op) continue;
      ++row.cases;
      for (const int order : {1, 2})
        row.error[order - 1] = std::max(row.error[order - 1], slopes_of(c, order).error());
    }
    if (info.op == Op::Scan) {
      LibraryFunction loop;
      loop.name = "scan";
      for (const char* reverse : {"", "reverse "})
        loop.examples.push_back(
            "scan v, u in x, y axis 1 " + std::string(reverse) +
            "carry (h = h0) {\n    h = tanh(0.5 * v + h * u)\n    yield h * v\n  } + sum(h0) of "
            "x: f32[2, 4, 3], y: f32[2, 4, 3], h0: f32[2, 3]");
      measure(row, loop);
    }
    rows.push_back(row);
  }
  return rows;
}

std::vector<Row> library() {
  std::vector<Row> rows;
  for (const LibrarySection& section : library_sections()) {
    if (section.name == "metrics") continue;  // they count
    for (const LibraryFunction& f : section.functions) {
      Row row{.name = f.name};
      measure(row, f);
      if (row.cases > 0) rows.push_back(row);
    }
  }
  return rows;
}

std::string number(const Row& row, int order) {
  if (!row.has[order - 1]) return "";
  char text[32];
  std::snprintf(text, sizeof text, row.error[order - 1] == 0 ? "0" : "%.0e", row.error[order - 1]);
  return text;
}

// What does not depend on rounding.
std::string beginning(const Row& row) {
  return "| `" + row.name + "` | " + std::to_string(row.cases) + " | " + (row.kinks ? "yes" : "") + " | ";
}

std::string table(const std::vector<Row>& rows) {
  std::string text = "| | cases | kinks | gradient | double gradient |\n|---|---|---|---|---|\n";
  for (const Row& row : rows) text += beginning(row) + number(row, 1) + " | " + number(row, 2) + " |\n";
  return text;
}

TEST(Documentation, of_gradients_is_up_to_date) {
  const std::vector<Row> ops = primitives(), functions = library();
  EXPECT_GT(ops.size(), 40u);
  EXPECT_GT(functions.size(), 60u);
  const std::string path = NNCC_SOURCE_DIR "/docs/ops.md";
  std::stringstream in;
  in << std::ifstream(path).rdbuf();
  const std::string page = in.str(), begin = "<!-- gradients -->\n", end = "<!-- end of gradients -->\n";
  const size_t from = page.find(begin), to = page.find(end);
  ASSERT_TRUE(from != page.npos && to != page.npos);
  const std::string found = page.substr(from, to - from);
  const bool update = std::getenv("NNCC_UPDATE_DOCS") != nullptr;
  for (const auto* rows : {&ops, &functions})
    for (const Row& row : *rows) {
      EXPECT_GT(row.cases, 0) << row.name;
      for (const int order : {1, 2})
        EXPECT_LE(row.error[order - 1], row.kinks ? kKinkBound : kSmoothBound)
            << row.name << ", order " << order;
      EXPECT_TRUE(update || found.find(beginning(row)) != found.npos)
          << "docs/ops.md lacks " << beginning(row)
          << "\nrun NNCC_UPDATE_DOCS=1 build/release/test/bin/passes_test --gtest_filter='Documentation.*'";
    }
  if (update)
    std::ofstream(path) << page.substr(0, from) << begin << "\n"
                        << table(ops) << "\n"
                        << table(functions) << "\n"
                        << page.substr(to);
}

}  // namespace
}  // namespace nncc::test
