// Reads `.nnir`. After an error the parser goes on at the next statement; names that a broken statement
// defines are known but poisoned, so that their uses say nothing more.
#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "ir/builder.h"
#include "ir/nnir_lexer.h"
#include "ir/node_names.h"
#include "ir/print.h"

namespace nncc {
namespace {

// More elements than any machine holds, and few enough that byte sizes do not overflow.
constexpr int64_t kMaxElements = int64_t{1} << 48;

SourceRange join(SourceRange a, SourceRange b) { return {a.file, a.begin, std::max(a.end, b.end)}; }

// A literal as written; its type comes later in the text.
struct LiteralText {
  std::vector<NnirToken> elements;
  SourceRange range;
};

class Parser {
 public:
  Parser(const SourceFile& file, Diagnostics& diags) : file_(file), lexer_(file), diags_(diags) { advance(); }
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

  void advance() {
    previous_ = token_.range;
    token_ = lexer_.next();
  }
  // All of these report what they miss and return false or nothing.
  bool fail(SourceRange range, std::string message) {
    diags_.error(range, std::move(message));
    return false;
  }
  bool unexpected(const std::string& expected);
  bool accept(std::string_view text);
  bool expect(std::string_view text);
  bool parse_int(int64_t& value);
  bool parse_name(std::string& name);
  bool parse_string(std::string& text);
  bool parse_symbol(std::string& name);
  bool parse_type(TensorType& type);
  bool parse_types(std::vector<TensorType>& types);
  bool parse_places(std::vector<Place>& places, size_t num_results);
  bool parse_int_list(std::vector<int64_t>& list);
  bool parse_literal_text(LiteralText& text);
  bool make_literal(const LiteralText& text, const TensorType& type, Literal& literal);
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

  const SourceFile& file_;
  NnirLexer lexer_;
  Diagnostics& diags_;
  NnirToken token_;
  SourceRange previous_;
};

// Small pieces.

bool Parser::unexpected(const std::string& expected) {
  std::string found = token_.kind == NnirToken::End ? "the end of the file"
                                                    : "`" + std::string(token_.text.substr(0, 40)) + "`";
  return fail(token_.range, "expected " + expected + ", found " + found);
}

bool Parser::accept(std::string_view text) {
  if (!token_.is(text)) return false;
  advance();
  return true;
}

bool Parser::expect(std::string_view text) {
  return accept(text) || unexpected("`" + std::string(text) + "`");
}

bool Parser::parse_int(int64_t& value) {
  if (token_.kind != NnirToken::Number) return unexpected("an integer");
  const char* end = token_.text.data() + token_.text.size();
  const auto [rest, error] = std::from_chars(token_.text.data(), end, value);
  if (error != std::errc() || rest != end) return unexpected("an integer of 64 bits");
  advance();
  return true;
}

bool Parser::parse_string(std::string& text) {
  if (token_.kind != NnirToken::String) return unexpected("a string");
  text = unquoted(token_.text);
  advance();
  return true;
}

// Of a result.
bool Parser::parse_name(std::string& name) {
  if (token_.kind == NnirToken::String) return parse_string(name);
  if (token_.kind != NnirToken::Word) return unexpected("a name");
  name = token_.text;
  advance();
  return true;
}

bool Parser::parse_symbol(std::string& name) {
  if (token_.kind != NnirToken::Symbol) return unexpected("a symbol such as `@name`");
  name = token_.text[0] == '"' ? unquoted(token_.text) : std::string(token_.text);
  advance();
  return true;
}

bool Parser::parse_type(TensorType& type) {
  const SourceRange begin = token_.range;
  const auto dtype = token_.kind == NnirToken::Word ? parse_dtype(token_.text) : std::nullopt;
  if (!dtype) return unexpected("a type");
  type = {*dtype, {}};
  advance();
  if (!accept("[")) return true;
  int64_t elements = 1;
  do {
    const SourceRange range = token_.range;
    int64_t extent;
    if (!parse_int(extent)) return false;
    if (extent < 1) return fail(range, "an extent is " + std::to_string(extent) + ", expected at least 1");
    if (extent > kMaxElements / elements) return fail(join(begin, range), "the tensor is too large");
    elements *= extent;
    type.shape.push_back(extent);
  } while (accept(","));
  return expect("]");
}

bool Parser::parse_types(std::vector<TensorType>& types) {
  if (accept("(")) return expect(")");
  do {
    if (!parse_type(types.emplace_back())) return false;
  } while (accept(","));
  return true;
}

bool Parser::parse_places(std::vector<Place>& places, size_t num_results) {
  const SourceRange begin = token_.range;
  if (!accept("at")) return true;
  static const std::unordered_map<std::string_view, Space> kSpaces{{"arena", Space::Arena},
                                                                   {"variables", Space::Variables},
                                                                   {"constants", Space::Constants},
                                                                   {"input", Space::Input},
                                                                   {"output", Space::Output}};
  do {
    const auto space = token_.kind == NnirToken::Word ? kSpaces.find(token_.text) : kSpaces.end();
    if (space == kSpaces.end()) return unexpected("`arena`, `variables`, `constants`, `input` or `output`");
    advance();
    Place place{space->second, 0, 0};
    if (place.space == Space::Input || place.space == Space::Output) {
      int64_t index;
      const SourceRange range = token_.range;
      if (!expect("[") || !parse_int(index) || !expect("]")) return false;
      if (index < 0 || index > INT32_MAX) return fail(range, "there is no argument or result of that number");
      place.index = static_cast<int32_t>(index);
    }
    if (!expect("+") || !parse_int(place.offset)) return false;
    places.push_back(place);
  } while (places.size() < num_results && accept(","));  // in a signature the next comma is not ours
  if (places.size() != num_results)
    return fail(join(begin, previous_),
                std::to_string(places.size()) + " places for " + std::to_string(num_results) + " results");
  return true;
}

bool Parser::parse_int_list(std::vector<int64_t>& list) {
  if (!expect("[")) return false;
  if (accept("]")) return true;
  do {
    if (!parse_int(list.emplace_back())) return false;
  } while (accept(","));
  return expect("]");
}

// Literals.

bool Parser::parse_literal_text(LiteralText& text) {
  const SourceRange begin = token_.range;
  const auto element = [&] {
    if (token_.kind != NnirToken::Number && token_.kind != NnirToken::Word) return unexpected("a number");
    text.elements.push_back(token_);
    advance();
    return true;
  };
  if (accept("dense")) {
    if (!expect("<")) return false;
    if (token_.kind == NnirToken::Invalid && token_.text == "…")
      return fail(
          token_.range,
          "the elements of this literal were left out when it was printed; print with --print-constants");
    do {
      if (!element()) return false;
    } while (accept(","));
    if (!expect(">")) return false;
  } else if (!element()) {
    return false;
  }
  text.range = join(begin, previous_);
  return true;
}

bool Parser::make_literal(const LiteralText& text, const TensorType& type, Literal& literal) {
  const size_t n = text.elements.size();
  if (n != 1 && static_cast<int64_t>(n) != type.num_elements())
    return fail(text.range, "the literal has " + std::to_string(n) + " elements, expected " +
                                std::to_string(type.num_elements()) + " for " + type.str());
  Literal::Floats floats;
  Literal::Ints ints;
  for (const NnirToken& token : text.elements) {
    const char *begin = token.text.data(), *end = begin + token.text.size();
    std::from_chars_result result{begin, std::errc::invalid_argument};
    if (is_float(type.dtype)) {
      result = std::from_chars(begin, end, floats.emplace_back());
    } else if (type.dtype == DType::Bool) {
      ints.push_back(token.text == "true");
      if (token.text == "true" || token.text == "false") result = {end, std::errc()};
    } else {
      result = std::from_chars(begin, end, ints.emplace_back());
    }
    if (result.ec != std::errc() || result.ptr != end)
      return fail(token.range,
                  "`" + std::string(token.text) + "` is no " + std::string(dtype_name(type.dtype)));
  }
  if (is_float(type.dtype)) {
    literal = Literal::floats(type, std::move(floats));
    return true;
  }
  literal = Literal::ints(type, ints);
  Literal wrapped = literal;
  wrapped.round_to_type();
  if (wrapped != literal)
    return fail(text.range, "the literal does not fit " + std::string(dtype_name(type.dtype)));
  return true;
}

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
  function.kind = token_.is("kernel") ? FunctionKind::Kernel : FunctionKind::Composite;
  advance();
  const SourceRange name = token_.range;
  if (!parse_symbol(function.name)) return false;
  if (function.kind == FunctionKind::Composite) function.callee = function.name;
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
  const auto is_item = [&] {
    return token_.is("variable") || token_.is("composite") || token_.is("kernel") || token_.is("entry");
  };
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
    else if (token_.is("composite") || token_.is("kernel"))
      ok = parse_function(*module);
    else if (token_.is("entry"))
      ok = parse_entry(*module);
    else
      ok = unexpected("`variable`, `composite`, `kernel`, `entry` or `}`");
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
