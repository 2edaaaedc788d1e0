#include "ir/print.h"

#include "ir/node_names.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/xxhash.h"

namespace nncc {
namespace {

constexpr int64_t kShownElements = 16;

std::string_view space_name(Space space) {
  switch (space) {
    case Space::Arena:
      return "arena";
    case Space::Variables:
      return "variables";
    case Space::Constants:
      return "constants";
    case Space::Input:
      return "input";
    case Space::Output:
      return "output";
  }
  return "?";
}

std::string place_text(const Place& place) {
  std::string text(space_name(place.space));
  if (place.space == Space::Input || place.space == Space::Output)
    text += "[" + std::to_string(place.index) + "]";
  return text + "+" + std::to_string(place.offset);
}

class Printer {
 public:
  Printer(llvm::raw_ostream& out, const PrintOptions& options) : out_(out), options_(options) {}

  void module(const Module& m);
  // "(arguments) -> (results) { … }", or without the signature.
  void body(const Graph& graph, bool signature, std::string_view indent);
  std::string literal_text(const Literal& literal) const;

 private:
  void variable(const Variable& v);
  void node(const Graph& graph, NodeId id);
  void places(const std::vector<Place>& places);
  std::string value_text(const Graph& graph, Value v) const;
  std::string attribute_text(Attr key, const AttrValue& value) const;

  llvm::raw_ostream& out_;
  const PrintOptions& options_;
  std::vector<std::string> names_;  // of the graph being printed
};

std::string Printer::literal_text(const Literal& literal) const {
  if (options_.large_constants || literal.is_splat() || literal.num_elements() <= kShownElements)
    return literal.str();
  const std::vector<std::byte> bytes = literal.to_bytes();
  const uint64_t hash = llvm::xxHash64({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  std::string text;
  llvm::raw_string_ostream(text) << "dense<…" << literal.num_elements() << " elements, "
                                 << llvm::format_hex_no_prefix(hash, 16) << "…>";
  return text;
}

std::string Printer::value_text(const Graph& graph, Value v) const {
  const auto i = static_cast<size_t>(v.node.index);
  // Broken graphs are printed too, to show what broke.
  if (!graph.contains(v.node)) return "%<erased>";
  std::string text = "%" + names_[i];
  if (graph[v.node].types.size() != 1) text += "#" + std::to_string(v.result);
  return text;
}

std::string Printer::attribute_text(Attr key, const AttrValue& value) const {
  std::string text = std::string(attr_name(key)) + " = ";
  if (const auto* i = std::get_if<int64_t>(&value)) {
    text += std::to_string(*i);
  } else if (const auto* b = std::get_if<bool>(&value)) {
    text += *b ? "true" : "false";
  } else if (const auto* s = std::get_if<std::string>(&value)) {
    text += symbol_text(*s);
  } else if (const auto* list = std::get_if<std::vector<int64_t>>(&value)) {
    text += "[";
    for (size_t n = 0; n < list->size(); ++n) text += (n ? ", " : "") + std::to_string((*list)[n]);
    text += "]";
  } else {
    text += literal_text(std::get<Literal>(value));
  }
  return text;
}

void Printer::places(const std::vector<Place>& places) {
  for (size_t i = 0; i < places.size(); ++i) out_ << (i ? ", " : " at ") << place_text(places[i]);
}

void Printer::node(const Graph& graph, NodeId id) {
  const Node& n = graph[id];
  const OpInfo& info = op_info(n.op);
  out_ << "%" << names_[id.index];
  if (n.types.size() != 1) out_ << ":" << n.types.size();
  out_ << " = " << info.name;
  for (size_t i = 0; i < n.operands.size(); ++i) out_ << (i ? ", " : " ") << value_text(graph, n.operands[i]);

  std::vector<std::string> attributes;
  for (Attr key : info.attributes)
    if (const AttrValue* value = n.attributes.find(key)) attributes.push_back(attribute_text(key, *value));
  for (size_t i = 0; i < attributes.size(); ++i) out_ << (i ? ", " : " {") << attributes[i];
  if (!attributes.empty()) out_ << "}";

  out_ << " : ";
  for (size_t i = 0; i < n.types.size(); ++i) out_ << (i ? ", " : "") << n.types[i].str();
  if (n.types.empty()) out_ << "()";
  places(n.places);
  if (options_.locations && n.location.range) {
    const SourceRange& range = n.location.range;
    const auto [line, column] = range.file->locate(range.begin);
    out_ << "  // " << range.file->path << ":" << line << ":" << column;
  }
  out_ << "\n";
}

void Printer::body(const Graph& graph, bool signature, std::string_view indent) {
  names_ = node_names(graph);
  if (signature) {
    out_ << "(";
    for (size_t i = 0; i < graph.arguments.size(); ++i) {
      const Graph::Argument& argument = graph.arguments[i];
      out_ << (i ? ", " : "") << value_text(graph, argument.value);
      if (!graph.contains(argument.value.node)) continue;
      out_ << ": " << graph.type(argument.value).str();
      places(graph[argument.value.node].places);
    }
    out_ << ") -> (";
    for (size_t i = 0; i < graph.results.size(); ++i) {
      const Graph::Result& result = graph.results[i];
      out_ << (i ? ", " : "") << word_text(result.name);
      if (graph.contains(result.value.node)) out_ << ": " << graph.type(result.value).str();
    }
    out_ << ") ";
  }
  out_ << "{\n";
  std::vector<bool> in_signature(names_.size(), false);
  for (const Graph::Argument& argument : graph.arguments)
    if (signature && graph.contains(argument.value.node)) in_signature[argument.value.node.index] = true;
  for (NodeId id : print_order(graph)) {
    if (in_signature[id.index]) continue;
    out_ << indent << "  ";
    node(graph, id);
  }
  for (const Graph::Update& update : graph.updates)
    out_ << indent << "  update " << symbol_text(update.variable) << " = " << value_text(graph, update.value)
         << "\n";
  if (!graph.results.empty()) {
    out_ << indent << "  return ";
    for (size_t i = 0; i < graph.results.size(); ++i)
      out_ << (i ? ", " : "") << value_text(graph, graph.results[i].value);
    out_ << "\n";
  }
  out_ << indent << "}";
}

void Printer::variable(const Variable& v) {
  out_ << "  variable " << symbol_text(v.name) << " : " << v.type.str() << " " << variable_kind_name(v.kind);
  if (!v.slab.empty()) out_ << " slab " << quoted(v.slab);
  if (v.offset) out_ << " offset " << *v.offset;
  if (v.initial) out_ << " = " << literal_text(*v.initial);
  out_ << "\n";
}

void Printer::module(const Module& m) {
  out_ << "module " << symbol_text(m.name) << " ";
  if (m.variable_bytes) out_ << "variables " << m.variable_bytes << " ";
  out_ << "{\n";
  bool separate = false;  // an empty line between the parts
  for (const Variable& v : m.variables) {
    variable(v);
    separate = true;
  }
  const auto begin_part = [&] {
    if (separate) out_ << "\n";
    separate = true;
  };
  for (const Function& f : m.functions) {
    begin_part();
    const bool composite = f.kind == FunctionKind::Composite;
    out_ << "  " << function_kind_name(f.kind) << " " << symbol_text(f.name);
    if (f.arena_bytes) out_ << " arena " << f.arena_bytes << " ";
    if (f.callee != (composite ? f.name : "")) out_ << " callee " << quoted(f.callee) << " ";
    body(f.body, true, "  ");
    out_ << "\n";
  }
  for (const Entry& e : m.entries) {
    begin_part();
    out_ << "  entry " << symbol_text(e.name) << " " << entry_kind_name(e.kind);
    if (e.arena_bytes) out_ << " arena " << e.arena_bytes;
    out_ << " ";
    body(e.graph, true, "  ");
    if (e.prepare.num_nodes() > 0 || !e.prepare.updates.empty()) {
      out_ << " prepare ";
      body(e.prepare, false, "  ");
    }
    out_ << "\n";
  }
  out_ << "}\n";
}

}  // namespace

void print(const Module& module, llvm::raw_ostream& out, const PrintOptions& options) {
  Printer(out, options).module(module);
}

void print(const Graph& graph, std::string_view name, llvm::raw_ostream& out, const PrintOptions& options) {
  out << symbol_text(name);
  Printer(out, options).body(graph, true, "");
  out << "\n";
}

std::string to_string(const Module& module, const PrintOptions& options) {
  std::string text;
  llvm::raw_string_ostream out(text);
  print(module, out, options);
  return text;
}

std::string canonical_text(const Graph& graph) {
  Graph canonical = graph;
  for (NodeId id : canonical.nodes()) {
    canonical.set_name(id, "");
    canonical.set_places(id, {});
  }
  for (Graph::Argument& argument : canonical.arguments) argument.name.clear();
  for (Graph::Result& result : canonical.results) result.name = "result";
  std::string text;
  llvm::raw_string_ostream out(text);
  Printer(out, {.locations = false, .large_constants = true}).body(canonical, true, "");
  return text;
}

std::string graphviz(const Module& module) {
  std::string text;
  const auto append = [&](const std::string& title, const Graph& graph) {
    text += "// " + title + "\n" + graph.graphviz([&](NodeId id) {
      const Node& node = graph[id];
      std::string label = (node.name.empty() ? "" : node.name + " = ") + std::string(op_info(node.op).name);
      if (const AttrValue* symbol = node.attributes.find(Attr::Symbol))
        label += " " + symbol_text(std::get<std::string>(*symbol));
      for (const TensorType& type : node.types) label += "\n" + type.str();
      return label;
    });
  };
  for (const Function& function : module.functions) append("function " + function.name, function.body);
  for (const Entry& entry : module.entries) {
    append(std::string(entry_kind_name(entry.kind)) + " " + entry.name, entry.graph);
    if (entry.prepare.num_nodes() > 0) append("prepare of " + entry.name, entry.prepare);
  }
  return text;
}

}  // namespace nncc
