// One graph while it is traced into.
#pragma once
#include <map>
#include <string>

#include "frontend/value.h"
#include "ir/builder.h"
#include "ir/module.h"

namespace nncc {

struct GraphContext {
  enum class Kind : uint8_t {
    Entry,      // a model or a train
    Init,       // the entry that gives every variable its first value
    Composite,  // the body of a library function whose calls stay visible
  };

  GraphContext(Kind kind, EntryKind entry, std::string name, Graph& graph)
      : kind(kind), entry(entry), name(std::move(name)), builder(graph) {}
  GraphContext(const GraphContext&) = delete;
  GraphContext& operator=(const GraphContext&) = delete;

  bool training() const { return entry == EntryKind::Train; }
  Graph& graph() { return builder.graph(); }
  TensorValue tensor(Value v) { return {v, builder.type(v), this}; }
  // The node that reads a variable; one for each variable.
  Value variable(const Variable& v);
  // What the variable holds at this point of the entry: assigned, or as it was at the start.
  Value current(const Variable& v);

  const Kind kind;
  const EntryKind entry;
  const std::string name;
  GraphBuilder builder;
  std::map<std::string, Value> assigned;  // state -> its new value, which later reads see
  std::map<std::string, Value> trained;   // parameter -> its new value, which the next run sees

 private:
  std::map<std::string, Value> variables_;
};

}  // namespace nncc
