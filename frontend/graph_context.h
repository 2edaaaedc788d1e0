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
    Scan,       // the step function of a scan
  };

  GraphContext(Kind kind, EntryKind entry, std::string name, Graph& graph)
      : kind(kind), entry(entry), name(std::move(name)), builder(graph) {}
  // Of a scan in `parent`, which must live as long.
  GraphContext(GraphContext& parent, int64_t steps, Graph& graph)
      : kind(Kind::Scan),
        entry(parent.entry),
        name(parent.name),
        builder(graph),
        parent(&parent),
        steps(steps) {}
  GraphContext(const GraphContext&) = delete;
  GraphContext& operator=(const GraphContext&) = delete;

  bool training() const { return entry == EntryKind::Train; }
  Graph& graph() { return builder.graph(); }
  // Throws OpError if it has more elements than kernels can count.
  TensorValue tensor(Value v);
  // The node that reads a variable; one for each variable.
  Value variable(const Variable& v);
  // What the variable holds at this point of the entry: assigned, or as it was at the start.
  Value current(const Variable& v);

  // The context that all scans around this one stand in; itself where there is none.
  GraphContext& root() { return parent ? parent->root() : *this; }
  bool in_entry() { return root().kind == Kind::Entry; }
  // Tensors of the contexts around a scan as tensors of this one; everything else as it is.
  AbstractValue capture(const AbstractValue&);
  // What a step has of `stacked`, a value of the parent.
  Value add_sequence(Value stacked, const std::string& name);

  const Kind kind;
  const EntryKind entry;
  const std::string name;
  GraphBuilder builder;
  std::map<std::string, Value> assigned;  // state -> its new value, which later reads see
  std::map<std::string, Value> trained;   // parameter -> its new value, which the next run sees

  // Scan alone.
  struct Passed {
    Value outer;  // of the parent
    Value inner;  // an argument of the step
  };
  GraphContext* const parent = nullptr;
  const int64_t steps = 0;
  std::vector<Passed> sequences;
  std::vector<Passed> others;

 private:
  Value captured(Value of_parent);
  std::map<std::string, Value> variables_;
};

}  // namespace nncc
