#include "ir/node_names.h"

#include <algorithm>
#include <unordered_set>

namespace nncc {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_char(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' ||
         c == '/' || c == '$';
}
bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

}  // namespace

bool is_bare_name(std::string_view name) {
  // A slash that begins a comment would end the name.
  return !name.empty() && std::all_of(name.begin(), name.end(), is_name_char) && name.find("//") == name.npos;
}

std::string quoted(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string result = "\"";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += {'\\', c};
    } else if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      result += {'\\', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      result += c;
    }
  }
  return result + "\"";
}

std::string symbol_text(std::string_view name) { return "@" + name_text(name); }
std::string name_text(std::string_view name) { return is_bare_name(name) ? std::string(name) : quoted(name); }

std::string word_text(std::string_view name) {
  const char first = name.empty() ? '0' : name[0];
  const bool is_word = first == '_' || (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z');
  return is_word ? name_text(name) : quoted(name);
}

std::string_view without_unique_suffix(std::string_view spelling) {
  const size_t dot = spelling.rfind('.');
  if (dot == spelling.npos || dot == 0 || !is_number(spelling.substr(dot + 1))) return {};
  return spelling.substr(0, dot);
}

std::vector<NodeId> print_order(const Graph& graph) {
  return graph.find_cycle().empty() ? graph.topological_order() : graph.nodes();
}

std::vector<std::string> node_names(const Graph& graph) {
  std::vector<std::string> names;
  std::unordered_set<std::string> taken;
  int unnamed = 0;
  const auto assign = [&](NodeId id, const std::string& name) {
    if (names.size() <= static_cast<size_t>(id.index)) names.resize(id.index + 1);
    if (!names[id.index].empty()) return;
    if (name.empty()) {
      names[id.index] = std::to_string(unnamed++);
      return;
    }
    std::string spelling = name_text(name);
    if (is_number(name) || taken.contains(std::string(without_unique_suffix(spelling))))
      spelling = quoted(name);
    std::string unique = spelling;
    for (int i = 1; !taken.insert(unique).second; ++i) unique = spelling + "." + std::to_string(i);
    names[id.index] = std::move(unique);
  };
  for (const Graph::Argument& argument : graph.arguments)
    if (graph.contains(argument.value.node)) assign(argument.value.node, argument.name);
  for (NodeId id : print_order(graph)) assign(id, graph[id].name);
  return names;
}

}  // namespace nncc
