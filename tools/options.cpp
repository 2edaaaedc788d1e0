#include "tools/options.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace nncc {
namespace {

std::string dashed(const std::string& name) { return (name.size() == 1 ? "-" : "--") + name; }

}  // namespace

OptionParser::OptionParser(std::string tool, std::string usage, std::string summary)
    : tool_(std::move(tool)), usage_(std::move(usage)), summary_(std::move(summary)) {}

bool OptionParser::Option::has_name(const std::string& name) const {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void OptionParser::group(std::string title) { group_ = std::move(title); }

void OptionParser::add(std::string names, std::string placeholder, std::string help, Action action) {
  Option option{{}, std::move(placeholder), std::move(help), group_, std::move(action)};
  for (size_t begin = 0; begin <= names.size();) {
    size_t comma = std::min(names.find(',', begin), names.size());
    option.names.push_back(names.substr(begin, comma - begin));
    begin = comma + 1;
  }
  options_.push_back(std::move(option));
}

void OptionParser::flag(std::string names, std::string help, bool& value) {
  add(std::move(names), "", std::move(help), [&value](const std::string&) {
    value = true;
    return std::string();
  });
}

void OptionParser::text(std::string names, std::string placeholder, std::string help, std::string& value) {
  add(std::move(names), std::move(placeholder), std::move(help), [&value](const std::string& given) {
    value = given;
    return std::string();
  });
}

void OptionParser::count(std::string names, std::string placeholder, std::string help, int& value) {
  add(std::move(names), std::move(placeholder), std::move(help), [&value](const std::string& given) {
    int parsed = -1;
    auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), parsed);
    if (error != std::errc{} || end != given.data() + given.size() || parsed < 0)
      return std::string("a number from 0 on is expected");
    value = parsed;
    return std::string();
  });
}

void OptionParser::each(std::string names, std::string placeholder, std::string help, Action action) {
  add(std::move(names), std::move(placeholder), std::move(help), std::move(action));
}

const OptionParser::Option* OptionParser::find(const std::string& name) const {
  auto at = std::find_if(options_.begin(), options_.end(), [&](const Option& o) { return o.has_name(name); });
  return at == options_.end() ? nullptr : &*at;
}

void OptionParser::report_unknown(const std::string& argument, const std::string& name,
                                 Diagnostics& diags) const {
  std::vector<std::string> candidates;
  for (const Option& option : options_)
    for (const std::string& candidate : option.names)
      if (candidate.size() > 1) candidates.push_back(candidate);
  auto error = diags.error("unknown option `" + argument + "`");
  std::string nearest = nearest_name(name, candidates);
  if (nearest.empty())
    error.note("`" + tool_ + " --help` lists them");
  else
    error.note("did you mean `" + dashed(nearest) + "`?");
}

bool OptionParser::parse(int argc, const char* const* argv, Diagnostics& diags) const {
  bool ok = true;
  bool options_end = false;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    if (options_end || argument.size() < 2 || argument[0] != '-') {
      if (positional_) {
        positional_->push_back(std::move(argument));
      } else {
        diags.error("unexpected argument `" + argument + "`");
        ok = false;
      }
      continue;
    }
    if (argument == "--") {
      options_end = true;
      continue;
    }
    // --name[=value], or -n[value].
    bool is_long = argument[1] == '-';
    size_t name_end = is_long ? std::min(argument.find('='), argument.size()) : 2;
    std::string name = argument.substr(is_long ? 2 : 1, name_end - (is_long ? 2 : 1));
    bool has_value = name_end < argument.size();
    std::string value = has_value ? argument.substr(name_end + (is_long ? 1 : 0)) : "";
    const Option* option = is_long && name.size() == 1 ? nullptr : find(name);
    std::string shown = dashed(name);
    if (!option || (!is_long && has_value && option->placeholder.empty())) {
      report_unknown(argument, is_long ? name : argument.substr(1), diags);
      ok = false;
      continue;
    }
    if (option->placeholder.empty() && has_value) {
      diags.error("`" + shown + "` takes no value, but `" + value + "` is given");
      ok = false;
      continue;
    }
    if (!option->placeholder.empty() && !has_value) {
      if (i + 1 == argc) {
        diags.error("`" + shown + "` needs a value: `" + shown + " " + option->placeholder + "`");
        ok = false;
        continue;
      }
      value = argv[++i];
    }
    std::string error = option->action(value);
    if (!error.empty()) {
      diags.error("`" + shown + (is_long ? "=" : "") + value + "`: " + error);
      ok = false;
    }
  }
  return ok;
}

std::string OptionParser::help() const {
  constexpr size_t kColumn = 26;
  std::string text = "usage: " + tool_ + " " + usage_ + "\n\n" + summary_ + "\n";
  std::string group;
  for (const Option& option : options_) {
    if (option.group != group) text += "\n" + option.group + ":\n";
    group = option.group;
    std::string line = "  ";
    for (const std::string& name : option.names) {
      if (line.size() > 2) line += ", ";
      line += dashed(name);
    }
    // -O is joined with its value, as everywhere.
    if (!option.placeholder.empty()) {
      bool short_only = option.names.size() == 1 && option.names[0].size() == 1;
      line += (short_only ? "" : option.names.back().size() == 1 ? " " : "=") + option.placeholder;
    }
    line += line.size() + 1 < kColumn ? std::string(kColumn - line.size(), ' ')
                                      : "\n" + std::string(kColumn, ' ');
    // Further lines of a description are indented alike.
    for (char c : option.help) {
      line += c;
      if (c == '\n') line += std::string(kColumn, ' ');
    }
    text += line + "\n";
  }
  return text;
}

}  // namespace nncc
