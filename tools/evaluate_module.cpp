#include "tools/evaluate_module.h"

#include <algorithm>
#include <map>

#include "ir/evaluate.h"
#include "ir/node_names.h"
#include "llvm/ADT/StringRef.h"
#include "tools/npy.h"

namespace nncc {
namespace {

std::string hint(const std::string& name, const std::vector<std::string>& known) {
  const std::string nearest = nearest_name(name, known);
  if (!nearest.empty()) return ", did you mean `" + nearest + "`?";
  std::string text;
  for (const std::string& k : known) text += (text.empty() ? ", there are `" : ", `") + k + "`";
  return text;
}

// "name=value" in two; the caller of evaluate_module() has checked that there is a `=`.
std::pair<std::string, std::string> split_assignment(const std::string& text) {
  const size_t equals = text.find('=');
  NNCC_CHECK(equals != std::string::npos, "an option of evaluate_module() lacks a `=`");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

class Run {
 public:
  Run(const Module& module, const EvaluateOptions& options, Diagnostics& diags)
      : module_(module), options_(options), diags_(diags), evaluator_(module, {.round = options.round}) {}

  bool start() {
    entry_ = module_.find_entry(options_.name);
    if (!entry_) function_ = module_.find_function(options_.name);
    if (!entry_ && !function_) {
      std::vector<std::string> known;
      for (const Entry& e : module_.entries) known.push_back(e.name);
      for (const Function& f : module_.functions) known.push_back(f.name);
      return fail("there is no entry or function `" + options_.name + "`" + hint(options_.name, known));
    }
    if (options_.steps && *options_.steps < 1) return fail("--steps must be at least 1");
    return check_evaluable() && read_outputs() && read_inputs();
  }

  bool run(llvm::raw_ostream& out) {
    if (entry_) evaluator_.initialize(options_.seed);
    for (const std::string& text : options_.set)
      if (!set_variable(text)) return false;
    const int64_t steps = options_.steps.value_or(1);
    for (int64_t step = 0; step < steps; ++step) {
      std::vector<Literal> arguments;
      for (const Graph::Argument& argument : graph().arguments) arguments.push_back(input_at(argument, step));
      const std::vector<Literal> results =
          entry_ ? evaluator_.run(*entry_, arguments) : evaluator_.call(*function_, arguments);
      for (size_t i = 0; i < results.size(); ++i) {
        const std::string& name = graph().results[i].name;
        if (const auto file = outputs_.find(name); file != outputs_.end()) {
          append(collected_[name], results[i]);
          continue;
        }
        if (options_.steps) out << "step " << step + 1 << ": ";
        out << word_text(name) << " : " << results[i].type().str() << " = " << results[i].str() << "\n";
      }
    }
    return write_outputs();
  }

 private:
  bool fail(std::string message) {
    diags_.error(std::move(message));
    return false;
  }
  const Graph& graph() const { return entry_ ? entry_->graph : function_->body; }

  // Any graph could be called by another, so all are looked at.
  bool check_evaluable() {
    const auto has_gradient = [](const Graph& g) {
      const std::vector<NodeId> ids = g.nodes();
      return std::any_of(ids.begin(), ids.end(), [&](NodeId id) { return g[id].op == Op::Gradient; });
    };
    bool gradient = false;
    for (const Entry& e : module_.entries) gradient |= has_gradient(e.graph) || has_gradient(e.prepare);
    for (const Function& f : module_.functions) gradient |= has_gradient(f.body);
    return !gradient || fail("a `gradient` cannot be evaluated, run --passes=autodiff first");
  }

  std::optional<Literal> read_literal(const std::string& path) {
    const auto array = read_npy(path, diags_);
    if (!array) return std::nullopt;
    return Literal::from_bytes(array->type, array->bytes);
  }

  // Between element types of one kind only, and only where no value changes.
  std::optional<Literal> converted(const std::string& name, const Literal& from, DType to) {
    const DType given = from.type().dtype;
    const TensorType type{to, from.type().shape};
    if (is_float(given) != is_float(to) || is_integer(given) != is_integer(to)) {
      fail("`" + name + "` is " + from.type().str() + ", expected " + std::string(dtype_name(to)));
      return std::nullopt;
    }
    Literal result(type);
    for (int64_t i = 0; i < from.num_elements(); ++i) {
      if (result.is_float())
        result.set(i, from.real(i));
      else
        result.set_int(i, from.integer(i));
    }
    const Literal exact = result;
    if (!result.is_float()) result.round_to_type();
    if (result.is_float() || result == exact) return result;
    fail("`" + name + "` holds values that " + std::string(dtype_name(to)) + " cannot");
    return std::nullopt;
  }

  bool read_inputs() {
    std::vector<std::string> known;
    for (const Graph::Argument& argument : graph().arguments) known.push_back(argument.name);
    for (const std::string& text : options_.inputs) {
      const std::pair<std::string, std::string> parts = split_assignment(text);
      const auto& [name, path] = parts;
      const auto argument = std::find(known.begin(), known.end(), name);
      if (argument == known.end()) return fail("there is no input `" + name + "`" + hint(name, known));
      const TensorType& wanted = graph().type(graph().arguments[argument - known.begin()].value);
      const auto read = read_literal(path);
      if (!read) return false;
      Shape per_step = read->type().shape;
      const bool has_steps =
          per_step != wanted.shape && options_.steps && !per_step.empty() && per_step[0] == *options_.steps;
      if (has_steps) per_step.erase(per_step.begin());
      if (per_step != wanted.shape)
        return fail(
            "`" + name + "` is " + read->type().str() + ", expected " + wanted.str() +
            (options_.steps ? " or one more leading axis of " + std::to_string(*options_.steps) : ""));
      const auto literal = converted(name, *read, wanted.dtype);
      if (!literal) return false;
      inputs_[name] = *literal;
    }
    for (const std::string& name : known)
      if (!inputs_.contains(name))
        return fail("the input `" + name + "` is missing: --input " + name + "=FILE.npy");
    return true;
  }

  Literal input_at(const Graph::Argument& argument, int64_t step) const {
    const Literal& whole = inputs_.at(argument.name);
    const TensorType& type = graph().type(argument.value);
    if (whole.type() == type) return whole;
    Literal part(type);
    const int64_t n = part.num_elements();
    for (int64_t i = 0; i < n; ++i) {
      if (part.is_float())
        part.set(i, whole.real(step * n + i));
      else
        part.set_int(i, whole.integer(step * n + i));
    }
    return part;
  }

  bool set_variable(const std::string& text) {
    const std::pair<std::string, std::string> parts = split_assignment(text);
    const auto& [name, value] = parts;
    const Variable* variable = module_.find_variable(name);
    if (!variable) return fail("there is no variable `" + name + "`" + hint(name, variable_names()));
    const TensorType& type = variable->type;
    double number;
    if (!llvm::StringRef(value).getAsDouble(number)) {
      evaluator_.variable(name) = Literal::splat(type, number).dense();
      return true;
    }
    const auto read = read_literal(value);
    if (!read) return false;
    if (read->type().shape != type.shape)
      return fail("`" + name + "` is " + read->type().str() + ", expected " + type.str());
    const auto literal = converted(name, *read, type.dtype);
    if (literal) evaluator_.variable(name) = *literal;
    return literal.has_value();
  }

  std::vector<std::string> variable_names() const {
    std::vector<std::string> names;
    for (const Variable& v : module_.variables) names.push_back(v.name);
    return names;
  }

  bool read_outputs() {
    std::vector<std::string> known = variable_names();
    for (const Graph::Result& result : graph().results) known.push_back(result.name);
    for (const std::string& text : options_.outputs) {
      const std::pair<std::string, std::string> parts = split_assignment(text);
      if (std::find(known.begin(), known.end(), parts.first) == known.end())
        return fail("there is no result or variable `" + parts.first + "`" + hint(parts.first, known));
      outputs_.insert(parts);
    }
    return true;
  }

  // Joins the steps of a result.
  static void append(Array& collected, const Literal& literal) {
    const std::vector<std::byte> bytes = literal.to_bytes();
    collected.type = literal.type();
    collected.bytes.insert(collected.bytes.end(), bytes.begin(), bytes.end());
  }

  bool write_outputs() {
    for (const auto& [name, path] : outputs_) {
      const bool is_result = collected_.contains(name);
      if (!is_result) append(collected_[name], evaluator_.variable(name));
      Array array = std::move(collected_[name]);
      if (is_result && options_.steps) array.type.shape.insert(array.type.shape.begin(), *options_.steps);
      if (!write_npy(path, array, diags_)) return false;
    }
    return true;
  }

  const Module& module_;
  const EvaluateOptions& options_;
  Diagnostics& diags_;
  Evaluator evaluator_;
  const Entry* entry_ = nullptr;
  const Function* function_ = nullptr;
  std::map<std::string, Literal> inputs_;
  std::map<std::string, std::string> outputs_;  // to files
  std::map<std::string, Array> collected_;
};

}  // namespace

bool evaluate_module(const Module& module, const EvaluateOptions& options, llvm::raw_ostream& out,
                     Diagnostics& diags) {
  try {
    Run run(module, options, diags);
    return run.start() && run.run(out);
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
  diags.error("there is not enough memory to evaluate `" + options.name + "`");
  return false;
}

}  // namespace nncc
