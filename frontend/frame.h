// The activation of one function while it is traced, and the scopes that name parameters.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "frontend/symbols.h"
#include "frontend/value.h"

namespace nncc {

// A segment of the paths of parameters: one call. It takes its name from its parent when the first parameter
// below it is made, so calls without parameters leave no trace.
class PathScope {
 public:
  // The scope of a model or train.
  PathScope(std::string path, bool allows_parameters)
      : allows_parameters(allows_parameters), path_(std::move(path)) {}
  PathScope(PathScope* parent, std::string wanted)
      : allows_parameters(parent->allows_parameters), parent_(parent), wanted_(std::move(wanted)) {}
  const bool allows_parameters;  // below a train there are states alone
  const std::string& path() {
    if (!path_) path_ = parent_->claim(wanted_);
    return *path_;
  }
  // The path of `wanted` in this scope, made unique: dense, dense_1, …
  std::string claim(const std::string& wanted) {
    std::string name = wanted;
    for (int i = 1; !used_.insert(name).second; ++i) name = wanted + "_" + std::to_string(i);
    return path() + "." + name;
  }

 private:
  PathScope* parent_ = nullptr;
  std::string wanted_;
  std::optional<std::string> path_;
  std::set<std::string> used_;
};

struct Binding {
  AbstractValue value;
  SourceRange origin;    // what gave it: an argument, a statement
  std::string variable;  // of a `state` or `memory`: reading and assigning go through the graph's context
};

struct Frame {
  const Symbol* function = nullptr;
  std::map<std::string, Binding> names;
  PathScope* scope = nullptr;             // null: no parameter can be made here
  std::shared_ptr<const CallFrame> call;  // how it was reached; null for an entry or model
  // While the body of a scan is traced: what the step has yielded.
  std::vector<std::pair<TensorValue, SourceRange>>* yields = nullptr;
  // While the initializer of a declaration is evaluated: the shape its calls take.
  std::optional<Shape> initializer_shape;
  bool failed = false;  // a statement was wrong
  bool returned = false;
  AbstractValue result;  // once returned
  SourceRange return_range;
  const ast::File& file() const { return *function->file; }
};

}  // namespace nncc
