#include "frontend/library.h"

#include "frontend/ast.h"
#include "frontend/parser.h"
#include "frontend/std_library.h"
#include "ir/diagnostic.h"

namespace nncc {

namespace {

constexpr std::string_view kExample = "Example: ";

std::string without_blank(const std::string& comment) {
  return comment.starts_with(' ') ? comment.substr(1) : comment;
}

// The declarations of a block, those of its branches too.
void add_variables(const ast::Block& block, std::vector<std::string>& variables) {
  static const char* const words[] = {"param", "state", "memory"};
  for (const auto& statement : block.statements) {
    if (const auto* d = std::get_if<ast::Declaration>(&statement->node))
      variables.push_back(words[static_cast<int>(d->kind)] + (" " + d->name.text) + ": " +
                          print_type(d->type));
    if (const auto* branch = std::get_if<ast::If>(&statement->node)) {
      add_variables(branch->then_block, variables);
      if (branch->else_block) add_variables(*branch->else_block, variables);
    }
  }
}

LibraryFunction describe(const ast::Item& item, const ast::Function& f) {
  LibraryFunction result{f.name.text, print_signature(f), {}, {}, {}, std::max<size_t>(1, f.returns.size())};
  if (!item.blank_before)
    for (const ast::Comment& comment : item.comments) {
      // Of several paragraphs the last is about the item.
      if (comment.blank_before) result.comment.clear();
      result.comment.push_back(without_blank(comment.text));
    }
  std::erase_if(result.comment, [&](const std::string& line) {
    const bool is_example = line.starts_with(kExample);
    if (is_example) result.examples.push_back(line.substr(kExample.size()));
    return is_example;
  });
  add_variables(f.body, result.variables);
  return result;
}

// Splits "x: f32[3, 4], t: i32[3]" at its outer commas.
std::vector<std::string> split_inputs(std::string_view text) {
  std::vector<std::string> parts(1);
  int open = 0;
  for (const char c : text) {
    open += (c == '[') - (c == ']');
    if (c == ',' && open == 0)
      parts.emplace_back();
    else if (c != ' ' || !parts.back().empty())
      parts.back() += c;
  }
  return parts;
}

std::string listed(const std::vector<std::string>& parts, const std::string& between) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : between) + part;
  return text;
}

// A scalar that depends on every element, and whose gradient does too.
constexpr const char* kSummary =
    "fn summary(y) {\n"
    "  return sum(sin(y + 0.7) * reshape(cos(1.7 * cast(iota(prod(shape(y))), f32) + 0.3), shape(y)))\n"
    "}\n";

std::string training(const std::string& inputs, const std::string& arguments, const std::string& stages) {
  return "train step(" + inputs + ") {\n  loss = example(" + arguments + ")\n  minimize loss with " + stages +
         "\n  return loss\n}\n";
}

}  // namespace

std::vector<LibrarySection> library_sections() {
  SourceManager sources;
  Diagnostics diags;
  std::vector<LibrarySection> sections;
  for (const LibraryFile& library : library_files()) {
    const SourceFile& source = sources.add(std::string(library.path), std::string(library.text), true);
    const auto file = parse_file(source, diags);
    const size_t begin = library.path.find('/') + 1;
    LibrarySection section{std::string(library.path.substr(begin, library.path.rfind('.') - begin)), {}, {}};
    if (!file->items.empty())
      for (const ast::Comment& comment : file->items[0].comments) {
        if (comment.blank_before && !section.comment.empty()) break;
        section.comment.push_back(without_blank(comment.text));
      }
    for (const ast::Item& item : file->items) {
      const auto* f = std::get_if<ast::Function>(&item.node);
      if (f && !f->name.text.starts_with('_')) section.functions.push_back(describe(item, *f));
    }
    sections.push_back(std::move(section));
  }
  return sections;
}

bool example_has_gradient(const LibraryFunction& function, const std::string& example, int order) {
  if (example.starts_with("minimize with ") || example.starts_with("param ")) return false;
  const size_t of = example.rfind(" of ");
  const bool has_floats = of != std::string::npos && example.find(": f32", of) != std::string::npos;
  return has_floats || (order == 1 && !function.variables.empty());
}

std::string example_program(const LibraryFunction& function, const std::string& example, int order) {
  if (example.starts_with("minimize with "))
    return "model example() {\n  param w: f32[4, 3] = normal()\n  return sum(w * w)\n}\n" +
           training("", "", example.substr(std::string("minimize with ").size()));
  if (example.starts_with("param ")) return "model example() {\n  " + example + "\n  return w\n}\n";
  const size_t of = example.rfind(" of ");
  std::vector<std::string> floats, integers, names, parameters;
  for (const std::string& input : split_inputs(of == std::string::npos ? "" : example.substr(of + 4))) {
    if (input.empty()) continue;
    const std::string name = input.substr(0, input.find(':'));
    if (input.find(": f32") != std::string::npos) {
      floats.push_back(name);
      parameters.push_back("  param " + input + " = uniform(-2, 2)\n");
    } else {
      integers.push_back(input);
      names.push_back(name);
    }
  }
  std::vector<std::string> results, summaries;
  for (size_t i = 0; i < function.num_results; ++i) {
    results.push_back("y" + std::to_string(i));
    summaries.push_back("summary(y" + std::to_string(i) + ")");
  }
  const std::string inputs = listed(integers, ", ");
  std::string text = kSummary;
  text += "model example(" + inputs + ") {\n" + listed(parameters, "") + "  " + listed(results, ", ") +
          " = " + example.substr(0, of) + "\n";
  if (order == 0) return text + "  return " + listed(results, ", ") + "\n}\n";
  text += "  l = " + listed(summaries, " + ") + "\n";
  if (order == 2) {
    std::vector<std::string> slopes;
    for (const std::string& x : floats) slopes.push_back("summary(grad(l, " + x + "))");
    text += "  l = " + listed(slopes, " + ") + "\n";
  }
  return text + "  return l\n}\n" + training(inputs, listed(names, ", "), "sgd(1)");
}

}  // namespace nncc
