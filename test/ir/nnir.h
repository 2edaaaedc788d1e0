// Graphs for tests, written as .nnir.
#pragma once
#include <memory>
#include <string>

#include "ir/diagnostic.h"
#include "ir/print.h"

namespace nncc::test {

// What parsing `text` gave: a module, or else the first error's message.
struct Parsed {
  SourceManager sources;
  Diagnostics diags;
  std::unique_ptr<Module> module;
  std::string error;

  explicit Parsed(std::string text) {
    module = parse_nnir(sources.add("test.nnir", std::move(text)), diags);
    if (!module) error = diags.all().empty() ? "no error was reported" : diags.all()[0].message;
  }
};

// A module with one composite @f of one op. `operands`: types, separated by semicolons. `op`: the op's name,
// `attributes`: in braces or empty, `results`: types, separated likewise; the first is the composite's.
inline std::string one_op(const std::string& operands, const std::string& op, const std::string& attributes,
                          const std::string& results) {
  std::string arguments, values;
  size_t begin = 0;
  for (int i = 0; begin < operands.size(); ++i) {
    const size_t end = std::min(operands.find(';', begin), operands.size());
    const std::string name = "%a" + std::to_string(i);
    arguments += (i ? ", " : "") + name + ": " + operands.substr(begin, end - begin);
    values += (i ? ", " : " ") + name;
    begin = end + 1;
  }
  std::string types = results;
  int count = 1;
  for (size_t at = types.find(';'); at != types.npos; at = types.find(';', at), ++count) types[at] = ',';
  const bool several = count > 1;
  return "module @m { composite @f(" + arguments + ") -> (r: " + results.substr(0, results.find(';')) +
         ") {\n%r" + (several ? ":" + std::to_string(count) : "") + " = " + op + values + " " + attributes +
         " : " + types + "\nreturn %r" + (several ? "#0" : "") + "\n} }";
}

}  // namespace nncc::test
