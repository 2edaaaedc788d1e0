// Command lines of the tools: a table of options, parsed, checked and printed by --help.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "ir/diagnostic.h"

namespace nncc {

// Options are `--name`, `--name=value`, `--name value`, and with one letter `-n value` or `-nvalue`. `--`
// ends them.
class OptionParser {
 public:
  // `usage` follows the tool's name in the first line of the help, `summary` is its second paragraph.
  OptionParser(std::string tool, std::string usage, std::string summary);

  // Options listed from now on stand under this title.
  void group(std::string title);
  // `names`: one or two, separated by a comma, without dashes: "output,o". The variable keeps its value
  // unless the option is given, and must outlive parse().
  void flag(std::string names, std::string help, bool& value);
  void text(std::string names, std::string placeholder, std::string help, std::string& value);
  void count(std::string names, std::string placeholder, std::string help, int& value);  // 0 or more
  // Called for each time the option is given; what it returns is an error, unless empty.
  using Action = std::function<std::string(const std::string& value)>;
  void each(std::string names, std::string placeholder, std::string help, Action action);
  // Everything that is no option, in order.
  void positional(std::vector<std::string>& values) { positional_ = &values; }

  // Reports every unknown option, missing value and malformed value.
  bool parse(int argc, const char* const* argv, Diagnostics&) const;
  std::string help() const;

 private:
  struct Option {
    std::vector<std::string> names;
    std::string placeholder;  // empty: takes no value
    std::string help;
    std::string group;
    Action action;
    bool has_name(const std::string& name) const;
  };
  void add(std::string names, std::string placeholder, std::string help, Action action);
  const Option* find(const std::string& name) const;
  void report_unknown(const std::string& argument, const std::string& name, Diagnostics&) const;

  std::string tool_, usage_, summary_, group_;
  std::vector<Option> options_;
  std::vector<std::string>* positional_ = nullptr;
};

}  // namespace nncc
