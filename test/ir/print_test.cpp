// The text form: what is printed reads back as it was.
#include "ir/print.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "ir/builder.h"
#include "ir/verify.h"
#include "test/ir/nnir.h"

namespace nncc {
namespace {

using Random = std::mt19937;

int64_t below(Random& random, int64_t n) { return std::uniform_int_distribution<int64_t>(0, n - 1)(random); }

// Names that need care: empty, numbers, keywords, suffixes, quotes, other alphabets.
std::string random_name(Random& random) {
  static const std::string kNames[] = {"",        "x",        "x",      "x.1", "x.1",   "x.1.1",
                                       "7",       "7.1",      "return", "a/b", "a//b",  "a b",
                                       "\"q\"\\", "\n\t\x01", "größe",  "h.w", "dense", "x.01"};
  return kNames[below(random, std::size(kNames))];
}

double random_double(Random& random) {
  switch (below(random, 6)) {
    case 0:
      return 0;
    case 1:
      return -0.0;
    case 2:
      return std::numeric_limits<double>::infinity();
    case 3:
      return std::numeric_limits<double>::denorm_min();
    case 4:
      return static_cast<double>(below(random, 100));
    default:
      return std::ldexp(std::uniform_real_distribution<double>(-1, 1)(random),
                        static_cast<int>(below(random, 600)) - 300);
  }
}

Literal random_literal(Random& random, const TensorType& type) {
  Literal literal(type);
  for (int64_t i = 0; i < literal.num_elements(); ++i) {
    if (literal.is_float())
      literal.set(i, random_double(random));
    else
      literal.set_int(i, below(random, 1000) - 500);
  }
  literal.round_to_type();
  return below(random, 3) ? literal : Literal::splat(type, 1);
}

TensorType random_type(Random& random) {
  TensorType type{static_cast<DType>(below(random, 9)), {}};
  for (int64_t rank = below(random, 4); rank > 0; --rank) type.shape.push_back(1 + below(random, 4));
  return type;
}

std::vector<Place> random_places(Random& random, size_t n) {
  std::vector<Place> places(n);
  for (Place& place : places) {
    place.space = static_cast<Space>(below(random, 5));
    if (place.space >= Space::Input) place.index = static_cast<int32_t>(below(random, 4));
    place.offset = below(random, 4096);
  }
  return places;
}

void fill(Random& random, Graph& graph, const Module& module, bool entry) {
  GraphBuilder builder(graph);
  std::vector<Value> values;
  const auto pick = [&] { return values[below(random, static_cast<int64_t>(values.size()))]; };
  std::set<std::string> names;
  for (int64_t i = 1 + below(random, 3); i > 0; --i) {
    const std::string name = random_name(random);
    if (name.empty() || names.insert(name).second)
      values.push_back(graph.add_argument(name, random_type(random)));
  }
  for (int64_t i = below(random, 20); i > 0; --i) {
    Value v;
    switch (below(random, entry ? 8 : 6)) {
      case 0:
        v = builder.constant(random_literal(random, random_type(random)));
        break;
      case 1:
        v = builder.cast(pick(), static_cast<DType>(below(random, 9)));
        break;
      case 2:
        v = builder.add(Op::StopGradient, {pick()});
        break;
      case 3: {
        const Value x = pick();
        v = builder.add(Op::Eq, {x, x});
        break;
      }
      case 4: {
        const Value x = pick();
        Shape shape = builder.type(x).shape;
        shape.insert(shape.begin(), 2);
        v = builder.broadcast_to(x, shape);
        break;
      }
      case 5: {
        const Value x = pick();
        v = builder.reshape(x, {builder.type(x).num_elements()});
        break;
      }
      case 6: {
        if (module.variables.empty()) continue;
        const Variable& variable =
            module.variables[below(random, static_cast<int64_t>(module.variables.size()))];
        v = builder.variable(variable.name, variable.type);
        break;
      }
      default: {
        if (module.functions.empty()) continue;
        const Function& function =
            module.functions[below(random, static_cast<int64_t>(module.functions.size()))];
        std::vector<Value> operands;
        for (const Graph::Argument& argument : function.body.arguments)
          operands.push_back(builder.constant(Literal::splat(function.body.type(argument.value), 1)));
        std::vector<TensorType> types;
        for (const Graph::Result& result : function.body.results)
          types.push_back(function.body.type(result.value));
        const Op op = function.kind == FunctionKind::Kernel ? Op::Kernel : Op::Call;
        const NodeId id = builder.add_multi(op, operands, types, {{Attr::Symbol, function.name}});
        graph.set_name(id, random_name(random));
        for (size_t r = 0; r < types.size(); ++r) values.push_back({id, static_cast<int32_t>(r)});
        continue;
      }
    }
    if (graph[v.node].op != Op::Input && graph[v.node].name.empty())
      graph.set_name(v.node, random_name(random));
    if (below(random, 2)) graph.set_places(v.node, random_places(random, graph[v.node].types.size()));
    values.push_back(v);
  }
  for (int64_t i = below(random, 4); i > 0; --i)
    graph.results.push_back({random_name(random) + std::to_string(i), pick()});
  // Erased nodes leave no trace in the text.
  if (below(random, 2)) graph.erase_dead();
  if (below(random, 2)) graph.compact();
}

Module random_module(Random& random) {
  Module module;
  module.name = "m" + random_name(random);
  module.variable_bytes = below(random, 2) * 64;
  for (int64_t i = below(random, 4); i > 0; --i) {
    Variable v;
    v.name = "v" + std::to_string(i) + random_name(random);
    v.type = random_type(random);
    v.kind = static_cast<VariableKind>(below(random, 4));
    if (below(random, 2)) v.initial = random_literal(random, v.type);
    if (below(random, 2)) v.slab = "slab " + random_name(random);
    if (below(random, 2)) v.offset = below(random, 1000);
    module.variables.push_back(std::move(v));
  }
  for (int64_t i = below(random, 3); i > 0; --i) {
    Function f;
    f.name = "f" + std::to_string(i) + random_name(random);
    f.kind = static_cast<FunctionKind>(below(random, 2));
    if (below(random, 2)) f.callee = random_name(random);
    fill(random, f.body, module, false);
    module.functions.push_back(std::move(f));
  }
  for (int64_t i = 1 + below(random, 2); i > 0; --i) {
    Entry e;
    e.name = "e" + std::to_string(i) + random_name(random);
    e.kind = EntryKind::Train;
    e.arena_bytes = below(random, 2) * 128;
    fill(random, e.graph, module, true);
    for (const Variable& v : module.variables) {
      GraphBuilder builder(e.graph);
      if (below(random, 2)) e.graph.updates.push_back({v.name, builder.splat(v.type, 0)});
    }
    if (below(random, 2)) {
      fill(random, e.prepare, module, true);
      e.prepare = Graph();
      GraphBuilder(e.prepare).scalar(DType::F32, 2);
    }
    module.entries.push_back(std::move(e));
  }
  return module;
}

// Node by node, with what the text keeps.
void expect_equal(const Graph& a, const Graph& b) {
  const std::vector<NodeId> of_a = a.topological_order(), of_b = b.topological_order();
  ASSERT_EQ(a.arguments.size(), b.arguments.size());
  ASSERT_EQ(a.results.size(), b.results.size());
  ASSERT_EQ(a.updates.size(), b.updates.size());
  ASSERT_EQ(of_a.size(), of_b.size());
  std::vector<NodeId> match(of_a.empty() ? 0 : a.nodes().back().index + 1);
  const auto in_b = [&](Value v) { return Value{match[v.node.index], v.result}; };
  for (size_t i = 0; i < a.arguments.size(); ++i) {
    match[a.arguments[i].value.node.index] = b.arguments[i].value.node;
    EXPECT_EQ(a.arguments[i].name, b.arguments[i].name);
  }
  // Arguments may stand anywhere in a, but come first in b; the others keep their order.
  std::vector<NodeId> rest_a, rest_b;
  for (NodeId id : of_a)
    if (a[id].op != Op::Input) rest_a.push_back(id);
  for (NodeId id : of_b)
    if (b[id].op != Op::Input) rest_b.push_back(id);
  ASSERT_EQ(rest_a.size(), rest_b.size());
  for (size_t i = 0; i < rest_a.size(); ++i) match[rest_a[i].index] = rest_b[i];
  for (NodeId id : of_a) {
    const Node &x = a[id], &y = b[match[id.index]];
    EXPECT_EQ(x.op, y.op);
    EXPECT_EQ(x.types, y.types);
    EXPECT_EQ(x.name, y.name);
    EXPECT_EQ(x.places, y.places);
    EXPECT_TRUE(x.attributes == y.attributes) << op_info(x.op).name;
    ASSERT_EQ(x.operands.size(), y.operands.size());
    for (size_t i = 0; i < x.operands.size(); ++i) EXPECT_EQ(in_b(x.operands[i]), y.operands[i]);
  }
  for (size_t i = 0; i < a.results.size(); ++i) {
    EXPECT_EQ(a.results[i].name, b.results[i].name);
    EXPECT_EQ(in_b(a.results[i].value), b.results[i].value);
  }
  for (size_t i = 0; i < a.updates.size(); ++i) {
    EXPECT_EQ(a.updates[i].variable, b.updates[i].variable);
    EXPECT_EQ(in_b(a.updates[i].value), b.updates[i].value);
  }
}

TEST(Print, ReadsBackAsItWas) {
  Random random(1);
  for (int i = 0; i < 500; ++i) {
    const Module module = random_module(random);
    const std::string text = to_string(module, {.large_constants = true});
    const test::Parsed parsed(text);
    ASSERT_EQ(parsed.error, "") << text;
    const Module& again = *parsed.module;
    EXPECT_EQ(to_string(again, {.large_constants = true}), text);
    EXPECT_EQ(again.name, module.name);
    EXPECT_EQ(again.variable_bytes, module.variable_bytes);
    ASSERT_EQ(again.variables.size(), module.variables.size());
    for (size_t v = 0; v < module.variables.size(); ++v) {
      EXPECT_EQ(again.variables[v].name, module.variables[v].name);
      EXPECT_EQ(again.variables[v].type, module.variables[v].type);
      EXPECT_EQ(again.variables[v].kind, module.variables[v].kind);
      EXPECT_EQ(again.variables[v].slab, module.variables[v].slab);
      EXPECT_EQ(again.variables[v].offset, module.variables[v].offset);
      EXPECT_EQ(again.variables[v].initial, module.variables[v].initial);
    }
    ASSERT_EQ(again.functions.size(), module.functions.size());
    for (size_t f = 0; f < module.functions.size(); ++f) {
      EXPECT_EQ(again.functions[f].name, module.functions[f].name);
      EXPECT_EQ(again.functions[f].kind, module.functions[f].kind);
      EXPECT_EQ(again.functions[f].callee, module.functions[f].callee);
      expect_equal(module.functions[f].body, again.functions[f].body);
    }
    ASSERT_EQ(again.entries.size(), module.entries.size());
    for (size_t e = 0; e < module.entries.size(); ++e) {
      EXPECT_EQ(again.entries[e].name, module.entries[e].name);
      EXPECT_EQ(again.entries[e].kind, module.entries[e].kind);
      EXPECT_EQ(again.entries[e].arena_bytes, module.entries[e].arena_bytes);
      expect_equal(module.entries[e].graph, again.entries[e].graph);
      expect_equal(module.entries[e].prepare, again.entries[e].prepare);
    }
    if (HasFailure()) FAIL() << text;
  }
}

// Whatever the text, the parser ends and either gives a module or says what is wrong.
TEST(Parse, SurvivesDamagedText) {
  Random random(2);
  for (int i = 0; i < 3000; ++i) {
    std::string text = to_string(random_module(random), {.large_constants = true});
    for (int64_t edits = 1 + below(random, 4); edits > 0; --edits) {
      const int64_t at = below(random, static_cast<int64_t>(text.size()));
      static constexpr std::string_view kCharacters = "{}[]()<>:=,#@%\"-+0987x \n\x01\xC3";
      switch (below(random, 4)) {
        case 0:
          text.erase(at, 1 + below(random, 20));
          break;
        case 1:
          text[at] = kCharacters[below(random, kCharacters.size())];
          break;
        case 2:
          text.insert(at, text.substr(below(random, static_cast<int64_t>(text.size())), 15));
          break;
        default:
          text.resize(at + 1);
          break;
      }
    }
    const test::Parsed parsed(text);
    EXPECT_NE(parsed.module != nullptr, parsed.diags.has_errors()) << text;
    if (parsed.module) verify(*parsed.module);
  }
}

TEST(Print, ElidesLargeLiteralsUnlessAsked) {
  Graph graph;
  GraphBuilder builder(graph);
  Literal literal(TensorType{DType::F32, {17}});
  graph.results.push_back({"r", builder.constant(literal)});
  std::string text;
  llvm::raw_string_ostream out(text);
  print(graph, "g", out);
  EXPECT_NE(text.find("dense<…17 elements, "), std::string::npos) << text;
  const test::Parsed parsed("module @m { composite " + text + "}");
  EXPECT_NE(parsed.error.find("--print-constants"), std::string::npos) << parsed.error;
}

TEST(Print, CanonicalTextForgetsNames) {
  const auto text = [](const std::string& x, const std::string& y, double value) {
    Graph graph;
    GraphBuilder builder(graph);
    const Value a = graph.add_argument(x, {DType::F32, {}});
    graph.results.push_back({y, builder.named(builder.add(a, value), y)});
    return canonical_text(graph);
  };
  EXPECT_EQ(text("a", "b", 1), text("c", "d", 1));
  EXPECT_NE(text("a", "b", 1), text("a", "b", 2));
}

TEST(Print, ShowsBrokenGraphs) {
  Graph graph;
  GraphBuilder builder(graph);
  const Value x = graph.add_argument("x", {DType::F32, {}});
  const Value a = builder.neg(x), b = builder.neg(a);
  graph.set_operand(a.node, 0, b);
  std::string text;
  llvm::raw_string_ostream out(text);
  print(graph, "g", out);
  EXPECT_NE(text.find("%0 = neg %1 : f32"), std::string::npos) << text;
}

}  // namespace
}  // namespace nncc
