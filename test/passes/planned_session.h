// Runs planned entries on bytes, as compiled code does: every value is where its node's place says.
#pragma once
#include <cstring>
#include <optional>

#include "ir/row_layout.h"
#include "test/passes/graphs.h"

namespace nncc::test {

class PlannedSession {
 public:
  explicit PlannedSession(const Module& module)
      : module_(module), evaluator_(module), variables_(static_cast<size_t>(module.variable_bytes)) {
    for (const Variable& variable : module.variables)
      if (variable.initial) write({Space::Variables, 0, *variable.offset}, variable.initial->dense());
  }

  // Arguments and variables, from and to literals.
  std::vector<Literal> run(const Entry& entry, std::span<const Literal> arguments) {
    execute(entry, entry.prepare, {});
    return execute(entry, entry.graph, arguments);
  }
  void set(const std::string& name, const Literal& value) {
    write({Space::Variables, 0, *module_.find_variable(name)->offset}, value.dense());
  }
  Literal variable(const std::string& name) const {
    const Variable& variable = *module_.find_variable(name);
    return Literal::from_bytes(variable.type, std::span(variables_)
                                                  .subspan(static_cast<size_t>(*variable.offset),
                                                           static_cast<size_t>(variable.type.byte_size())));
  }

 private:
  using Bytes = std::vector<std::byte>;

  std::vector<Literal> execute(const Entry& entry, const Graph& graph, std::span<const Literal> arguments) {
    // What nobody has written must not matter.
    arena_.assign(static_cast<size_t>(entry.arena_bytes), std::byte{0x7f});
    inputs_.clear();
    outputs_.clear();
    for (const Literal& argument : arguments) inputs_.push_back(argument.dense().to_bytes());
    for (const Graph::Result& result : graph.results)
      outputs_.emplace_back(static_cast<size_t>(graph.type(result.value).byte_size()), std::byte{0x7f});
    for (NodeId id : graph.nodes()) {
      const Node& node = graph[id];
      EXPECT_EQ(node.places.size(), node.types.size());
      if (node.op == Op::Constant) {
        const Literal& literal = node.attributes.literal(Attr::Value);
        const size_t end = static_cast<size_t>(node.places[0].offset + literal.type().byte_size());
        if (constants_.size() < end) constants_.resize(end);
        write(node.places[0], literal.dense());
      }
      if (node.op != Op::Kernel) continue;
      std::vector<Literal> operands;
      for (Value operand : node.operands)
        operands.push_back(read(graph[operand.node].places[operand.result], graph.type(operand)));
      const Function& kernel = *module_.find_function(node.attributes.string(Attr::Symbol));
      const std::vector<Literal> results = evaluator_.call(kernel, operands);
      for (size_t i = 0; i < results.size(); ++i)
        write(node.places[i], results[i].dense(), row_layout(graph, {id, static_cast<int>(i)}));
    }
    for (const Graph::Update& update : graph.updates) {
      const Place expected{Space::Variables, 0, *module_.find_variable(update.variable)->offset};
      EXPECT_EQ(graph[update.value.node].places[update.value.result], expected) << update.variable;
    }
    std::vector<Literal> results;
    for (size_t i = 0; i < graph.results.size(); ++i)
      results.push_back(Literal::from_bytes(graph.type(graph.results[i].value), outputs_[i]));
    return results;
  }

  std::span<std::byte> memory(const Place& place, int64_t bytes) {
    Bytes* space = nullptr;
    switch (place.space) {
      case Space::Arena:
        space = &arena_;
        break;
      case Space::Variables:
        space = &variables_;
        break;
      case Space::Constants:
        space = &constants_;
        break;
      case Space::Input:
        space = &inputs_.at(static_cast<size_t>(place.index));
        break;
      case Space::Output:
        space = &outputs_.at(static_cast<size_t>(place.index));
        break;
    }
    EXPECT_LE(place.offset + bytes, static_cast<int64_t>(space->size()));
    return std::span(*space).subspan(static_cast<size_t>(place.offset), static_cast<size_t>(bytes));
  }
  Literal read(const Place& place, const TensorType& type) {
    return Literal::from_bytes(type, memory(place, type.byte_size()));
  }
  void write(Place place, const Literal& literal, std::optional<RowLayout> rows = {}) {
    const Bytes bytes = literal.to_bytes();
    if (!rows) rows = {literal.num_elements(), literal.num_elements()};
    const int64_t element = dtype_size(literal.type().dtype);
    const auto row = static_cast<size_t>(rows->row * element);
    for (size_t done = 0; done < bytes.size(); done += row, place.offset += rows->pitch * element)
      std::memcpy(memory(place, rows->row * element).data(), bytes.data() + done, row);
  }

  const Module& module_;
  Evaluator evaluator_;
  Bytes variables_, arena_, constants_;
  std::vector<Bytes> inputs_, outputs_;
};

}  // namespace nncc::test
