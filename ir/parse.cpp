// Reads `.nnir`. After an error the parser goes on at the next statement; names that a broken statement
// defines are known but poisoned, so that their uses say nothing more.
#include <algorithm>
#include <unordered_map>

#include "ir/builder.h"
#include "ir/nnir_reader.h"
#include "ir/node_names.h"
#include "ir/print.h"

namespace nncc {
namespace {

class Parser : NnirReader {
 public:
  using NnirReader::NnirReader;
  std::unique_ptr<Module> parse_module();

 private:
  // A name of the graph being read. An empty value: poisoned.
  struct Definition {
    SourceRange range;
    int num_results = 0;
    NodeId node;
  };
  struct Body {
    Graph* graph = nullptr;
    std::unordered_map<std::string, Definition> names;
  };

  bool parse_attributes(const OpInfo& info, Attributes& attributes, LiteralText& literal);
  bool parse_value_use(Body& body, Value& value, bool& poisoned);
  void define(Body& body, const NnirToken& name, NodeId node, int num_results);

  void skip_to_statement();
  bool parse_variable(Module& module);
  bool parse_function(Module& module);
  bool parse_entry(Module& module);
  bool parse_signature(Body& body, std::vector<TensorType>& result_types);
  bool parse_block(Body& body, std::span<const TensorType> result_types);
  bool parse_node(Body& body);
  bool parse_node_after_name(Body& body, const NnirToken& name, int64_t num_results, NodeId& id);
  bool parse_update(Body& body);
  bool parse_return(Body& body, std::span<const TensorType> result_types);
  std::string node_name(const Body& body, std::string_view spelling) const;
};

// Names.

std::string Parser::node_name(const Body& body, std::string_view spelling) const {
  const bool quotes = spelling[0] == '"';
  if (quotes && spelling.back() == '"') return unquoted(spelling);
  const std::string_view base = without_unique_suffix(spelling);
  if (quotes) return unquoted(base);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (std::all_of(spelling.begin(), spelling.end(), is_digit)) return "";
  const bool was_made_unique = !base.empty() && !std::all_of(base.begin(), base.end(), is_digit) &&
                               body.names.contains(std::string(base));
  return std::string(was_made_unique ? base : spelling);
}

void Parser::define(Body& body, const NnirToken& name, NodeId node, int num_results) {
  const auto [at, added] =
      body.names.try_emplace(std::string(name.text), Definition{name.range, num_results, node});
  if (!added)
    diags_.error(name.range, "`%" + at->first + "` is defined twice")
        .note(at->second.range, "the first definition is here");
}

bool Parser::parse_value_use(Body& body, Value& value, bool& poisoned) {
  if (token_.kind != NnirToken::Value) return unexpected("a value such as `%name`");
  const NnirToken name = token_;
  advance();
  int64_t result = 0;
  SourceRange range = name.range;
  const bool has_result = accept("#");
  if (has_result && !parse_int(result)) return false;
  range = join(range, previous_);
  const auto found = body.names.find(std::string(name.text));
  if (found == body.names.end()) {
    std::vector<std::string> known;
    if (body.names.size() < 10000)
      for (const auto& [spelling, definition] : body.names) known.push_back(spelling);
    std::sort(known.begin(), known.end());
    const std::string nearest = nearest_name(name.text, known);
    return fail(range, "unknown value `%" + std::string(name.text) + "`" +
                           (nearest.empty() ? "" : ", did you mean `%" + nearest + "`?"));
  }
  const Definition& definition = found->second;
  if (!definition.node) {
    poisoned = true;
    return true;
  }
  if (!has_result && definition.num_results != 1)
    return fail(range, "`%" + found->first + "` has " + std::to_string(definition.num_results) +
                           " results, write `%" + found->first + "#0`");
  if (result < 0 || result >= definition.num_results)
    return fail(range, "`%" + found->first + "` has " + std::to_string(definition.num_results) + " results");
  value = {definition.node, static_cast<int32_t>(result)};
  return true;
}

// Nodes.

bool Parser::parse_attributes(const OpInfo& info, Attributes& attributes, LiteralText& literal) {
  if (!accept("{")) return true;
  if (accept("}")) return true;
  do {
    const NnirToken key = token_;
    const auto attr = key.kind == NnirToken::Word ? parse_attr(key.text) : std::nullopt;
    if (!attr || std::find(info.attributes.begin(), info.attributes.end(), *attr) == info.attributes.end()) {
      std::string known;
      for (Attr a : info.attributes)
        known += (known.empty() ? "" : ", ") + ("`" + std::string(attr_name(a)) + "`");
      return unexpected(known.empty() ? "no attribute"
                                      : "an attribute of `" + std::string(info.name) + "`: " + known);
    }
    if (attributes.find(*attr) || (attr_kind(*attr) == AttrKind::Literal && !literal.elements.empty()))
      return fail(key.range, "the attribute `" + std::string(key.text) + "` is given twice");
    advance();
    if (!expect("=")) return false;
    switch (attr_kind(*attr)) {
      case AttrKind::Integer: {
        int64_t value;
        if (!parse_int(value)) return false;
        attributes.set(*attr, value);
        break;
      }
      case AttrKind::Boolean: {
        if (!token_.is("true") && !token_.is("false")) return unexpected("`true` or `false`");
        attributes.set(*attr, token_.is("true"));
        advance();
        break;
      }
      case AttrKind::String: {
        std::string name;
        if (!parse_symbol(name)) return false;
        attributes.set(*attr, std::move(name));
        break;
      }
      case AttrKind::Integers: {
        std::vector<int64_t> list;
        if (!parse_int_list(list)) return false;
        attributes.set(*attr, std::move(list));
        break;
      }
      case AttrKind::Literal:
        if (!parse_literal_text(literal)) return false;
        break;
    }
  } while (accept(","));
  return expect("}");
}

bool Parser::parse_node_after_name(Body& body, const NnirToken& name, int64_t num_results, NodeId& id) {
  if (!expect("=")) return false;
  const NnirToken op_token = token_;
  const auto op = op_token.kind == NnirToken::Word ? parse_op(op_token.text) : std::nullopt;
  if (!op) {
    std::vector<std::string> known;
    for (const OpInfo& info : all_ops()) known.emplace_back(info.name);
    const std::string nearest = op_token.kind == NnirToken::Word ? nearest_name(op_token.text, known) : "";
    return unexpected("an op" + (nearest.empty() ? "" : " (`" + nearest + "`?)"));
  }
  advance();
  Node node;
  node.op = *op;
  bool poisoned = false;
  if (token_.kind == NnirToken::Value) {
    do {
      if (!parse_value_use(body, node.operands.emplace_back(), poisoned)) return false;
    } while (accept(","));
  }
  LiteralText literal_text;
  std::vector<TensorType> types;
  if (!parse_attributes(op_info(*op), node.attributes, literal_text)) return false;
  if (!expect(":") || !parse_types(types)) return false;
  if (static_cast<int64_t>(types.size()) != num_results)
    return fail(name.range, "`%" + std::string(name.text) + "` stands for " + std::to_string(num_results) +
                                " results where there are " + std::to_string(types.size()) + " types");
  if (!parse_places(node.places, types.size())) return false;
  node.location.range = join(name.range, previous_);
  if (!literal_text.elements.empty()) {
    Literal literal;
    if (types.size() != 1) return fail(literal_text.range, "a literal needs one result type");
    if (!make_literal(literal_text, types[0], literal)) return false;
    node.attributes.set(Attr::Value, std::move(literal));
  }
  if (poisoned) return false;

  std::vector<TensorType> operand_types;
  for (Value operand : node.operands) operand_types.push_back(body.graph->type(operand));
  std::string error;
  node.types = infer_types(*op, operand_types, node.attributes, types, error);
  if (!error.empty()) return fail(node.location.range, "`" + std::string(op_token.text) + "`: " + error);
  node.name = node_name(body, name.text);
  id = body.graph->add(std::move(node));
  return true;
}

bool Parser::parse_node(Body& body) {
  const NnirToken name = token_;
  advance();
  int64_t num_results = 1;
  NodeId id;
  const bool ok =
      (!accept(":") || parse_int(num_results)) && parse_node_after_name(body, name, num_results, id);
  define(body, name, id, ok ? static_cast<int>(num_results) : 0);
  return ok;
}

bool Parser::parse_update(Body& body) {
  const SourceRange begin = token_.range;
  advance();
  Graph::Update update;
  bool poisoned = false;
  if (!parse_symbol(update.variable) || !expect("=") || !parse_value_use(body, update.value, poisoned))
    return false;
  if (poisoned) return true;
  for (const Graph::Update& other : body.graph->updates)
    if (other.variable == update.variable)
      return fail(join(begin, previous_), "`@" + update.variable + "` is updated twice");
  body.graph->updates.push_back(std::move(update));
  return true;
}

bool Parser::parse_return(Body& body, std::span<const TensorType> result_types) {
  const SourceRange begin = token_.range;
  advance();
  std::vector<Value> values;
  bool poisoned = false;
  if (token_.kind == NnirToken::Value) {
    do {
      if (!parse_value_use(body, values.emplace_back(), poisoned)) return false;
    } while (accept(","));
  }
  if (values.size() != result_types.size())
    return fail(join(begin, previous_), std::to_string(values.size()) + " values are returned, expected " +
                                            std::to_string(result_types.size()));
  if (poisoned) return true;
  for (size_t i = 0; i < values.size(); ++i) {
    const TensorType& type = body.graph->type(values[i]);
    if (type != result_types[i])
      return fail(join(begin, previous_), "result " + std::to_string(i) + " is " + type.str() +
                                              ", expected " + result_types[i].str());
    body.graph->results[i].value = values[i];
  }
  return true;
}

// Blocks and what has them.

// To the next line that begins a statement or closes the block. A brace inside a line may be that of
// attributes.
void Parser::skip_to_statement() {
  while (token_.kind != NnirToken::End) {
    const bool begins = token_.kind == NnirToken::Value || token_.kind == NnirToken::Word || token_.is("}");
    if (token_.first_on_line && begins) return;
    advance();
  }
}

// "(%x: f32[2], …) -> (name: f32, …)". The results' values are filled in by `return`.
bool Parser::parse_signature(Body& body, std::vector<TensorType>& result_types) {
  if (!expect("(")) return false;
  if (!token_.is(")")) {
    do {
      if (token_.kind != NnirToken::Value) return unexpected("an argument such as `%x: f32[2]`");
      const NnirToken name = token_;
      advance();
      TensorType type;
      std::vector<Place> places;
      if (!expect(":") || !parse_type(type) || !parse_places(places, 1)) return false;
      const Value value = body.graph->add_argument(node_name(body, name.text), std::move(type),
                                                   {.range = join(name.range, previous_), .frame = nullptr});
      body.graph->set_places(value.node, std::move(places));
      define(body, name, value.node, 1);
    } while (accept(","));
  }
  if (!expect(")") || !expect("->") || !expect("(")) return false;
  if (!token_.is(")")) {
    do {
      Graph::Result result;
      if (!parse_name(result.name) || !expect(":") || !parse_type(result_types.emplace_back())) return false;
      body.graph->results.push_back(std::move(result));
    } while (accept(","));
  }
  return expect(")");
}

bool Parser::parse_block(Body& body, std::span<const TensorType> result_types) {
  if (!expect("{")) return false;
  bool returned = false;
  while (!token_.is("}")) {
    if (token_.kind == NnirToken::End) return unexpected("`}`");
    bool ok;
    if (returned) {
      ok = unexpected("`}` after `return`");
      advance();
    } else if (token_.kind == NnirToken::Value) {
      ok = parse_node(body);
    } else if (token_.is("update")) {
      ok = parse_update(body);
    } else if (token_.is("return")) {
      ok = parse_return(body, result_types);
      returned = true;
    } else {
      ok = unexpected("a node, `update`, `return` or `}`");
      advance();
    }
    if (!ok) skip_to_statement();
  }
  if (!returned && !result_types.empty())
    fail(token_.range, "`return` is missing: there are " + std::to_string(result_types.size()) + " results");
  advance();
  return true;
}

bool Parser::parse_variable(Module& module) {
  advance();
  const SourceRange begin = token_.range;
  Variable variable;
  if (!parse_symbol(variable.name)) return false;
  const SourceRange name = previous_;
  if (!expect(":") || !parse_type(variable.type)) return false;
  const auto kind = token_.kind == NnirToken::Word ? parse_variable_kind(token_.text) : std::nullopt;
  if (!kind) return unexpected("the kind of the variable");
  variable.kind = *kind;
  advance();
  if (accept("slab") && !parse_string(variable.slab)) return false;
  if (accept("offset") && !parse_int(variable.offset.emplace())) return false;
  if (accept("=")) {
    LiteralText text;
    if (!parse_literal_text(text) || !make_literal(text, variable.type, variable.initial.emplace()))
      return false;
  }
  variable.location.range = join(begin, previous_);
  if (const Variable* other = module.find_variable(variable.name)) {
    diags_.error(name, "the variable `@" + variable.name + "` is defined twice")
        .note(other->location.range, "the first definition is here");
    return true;
  }
  module.variables.push_back(std::move(variable));
  return true;
}

bool Parser::parse_function(Module& module) {
  Function function;
  function.kind = *parse_function_kind(token_.text);
  advance();
  const SourceRange name = token_.range;
  if (!parse_symbol(function.name)) return false;
  if (function.kind == FunctionKind::Composite) function.callee = function.name;
  if (accept("arena") && !parse_int(function.arena_bytes)) return false;
  if (accept("callee") && !parse_string(function.callee)) return false;
  Body body;
  body.graph = &function.body;
  std::vector<TensorType> result_types;
  if (!parse_signature(body, result_types) || !parse_block(body, result_types)) return false;
  if (module.find_function(function.name))
    return fail(name, "the function `@" + function.name + "` is defined twice");
  module.functions.push_back(std::move(function));
  return true;
}

bool Parser::parse_entry(Module& module) {
  advance();
  Entry entry;
  const SourceRange name = token_.range;
  if (!parse_symbol(entry.name)) return false;
  const auto kind = token_.kind == NnirToken::Word ? parse_entry_kind(token_.text) : std::nullopt;
  if (!kind) return unexpected("`model`, `train` or `init`");
  entry.kind = *kind;
  advance();
  if (accept("arena") && !parse_int(entry.arena_bytes)) return false;
  Body body;
  body.graph = &entry.graph;
  std::vector<TensorType> result_types;
  if (!parse_signature(body, result_types) || !parse_block(body, result_types)) return false;
  if (accept("prepare")) {
    Body prepare;
    prepare.graph = &entry.prepare;
    if (!parse_block(prepare, {})) return false;
  }
  if (module.find_entry(entry.name)) return fail(name, "the entry `@" + entry.name + "` is defined twice");
  module.entries.push_back(std::move(entry));
  return true;
}

std::unique_ptr<Module> Parser::parse_module() {
  auto module = std::make_unique<Module>();
  const int errors_before = diags_.error_count();
  const auto is_function = [&] {
    return token_.kind == NnirToken::Word && parse_function_kind(token_.text).has_value();
  };
  const auto is_item = [&] { return token_.is("variable") || is_function() || token_.is("entry"); };
  if (!expect("module") || !parse_symbol(module->name)) return nullptr;
  if (accept("variables") && !parse_int(module->variable_bytes)) return nullptr;
  if (!expect("{")) return nullptr;
  while (!token_.is("}")) {
    if (token_.kind == NnirToken::End) {
      if (diags_.error_count() == errors_before) unexpected("`}`");
      break;
    }
    bool ok;
    if (token_.is("variable"))
      ok = parse_variable(*module);
    else if (is_function())
      ok = parse_function(*module);
    else if (token_.is("entry"))
      ok = parse_entry(*module);
    else
      ok = unexpected("`variable`, `composite`, `kernel`, `step`, `entry` or `}`");
    // A broken item may end inside its block, so only the next line that begins an item counts.
    if (!ok)
      while (token_.kind != NnirToken::End && !(token_.first_on_line && is_item())) advance();
  }
  if (accept("}") && token_.kind != NnirToken::End) unexpected("the end of the file after the module");
  if (diags_.error_count() > errors_before) return nullptr;
  return module;
}

}  // namespace

std::unique_ptr<Module> parse_nnir(const SourceFile& file, Diagnostics& diags) {
  return Parser(file, diags).parse_module();
}

}  // namespace nncc
