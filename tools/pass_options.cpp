#include "tools/pass_options.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace nncc {
namespace {

OptionParser::Action names(std::vector<std::string>& list) {
  return [&list](const std::string& value) {
    for (size_t begin = 0; begin <= value.size();) {
      const size_t comma = std::min(value.find(',', begin), value.size());
      list.push_back(value.substr(begin, comma - begin));
      begin = comma + 1;
    }
    return std::string();
  };
}

// "64M": a number of bytes, of 1024, of 1024 x 1024, …
std::string parse_size(const std::string& text, int64_t& bytes) {
  const std::string expected =
      "a size above 0 is expected: bytes, or with K, M or G (each 1024 times the last)";
  const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string_view suffix = std::string_view(text).substr(digits);
  constexpr std::string_view kSuffixes = "KMG";
  const size_t power = suffix.empty() ? 0 : kSuffixes.find(suffix) + 1;  // npos + 1 is 0
  if (suffix.size() > 1 || (!suffix.empty() && power == 0)) return expected;
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, number);
  if (error != std::errc() || end != text.data() + digits) return expected;
  number *= std::pow(1024.0, static_cast<double>(power));
  if (!(number >= 1) || number >= 0x1p62) return expected;
  bytes = static_cast<int64_t>(number);
  return {};
}

}  // namespace

void add_pass_options(OptionParser& line, PipelineOptions& options) {
  line.each("print-ir-before", "PASS|all", "print the graph before a pass", names(options.print_before));
  line.each("print-ir-after", "PASS|all", "print the graph after a pass", names(options.print_after));
  line.flag("print-constants", "there, large literals whole: the text reads back then",
            options.print.large_constants);
  line.flag("print-locations", "there, where each node comes from", options.print.locations);
  line.text("stop-after", "PASS", "run no further pass", options.stop_after);
  line.flag("verify-each", "check the graph after every pass", options.verify_each);
  line.text("dump-dir", "DIR", "write the graph after every pass into a folder", options.dump_dir);
  line.flag("time-passes", "say what took how long", options.time_passes);
  line.flag("accurate", "nothing that costs digits", options.pass.accurate);
  line.each("memory-budget", "SIZE",
            "what an entry's workspace may take, such as 64M or 1.5G: values are computed again",
            [&options](const std::string& value) { return parse_size(value, options.pass.memory_budget); });
  line.flag("stats", "say what the passes did", options.stats);
}

std::string list_passes() {
  size_t width = 0;
  for (const PassInfo& pass : all_passes()) width = std::max(width, pass.name.size() + 2);
  std::string text;
  for (const PassInfo& pass : all_passes())
    text += std::string(pass.name) + std::string(width - pass.name.size(), ' ') +
            std::string(pass.description) + "\n";
  return text;
}

std::string list_ops() {
  std::string text = "| op | operands | attributes | meaning |\n|---|---|---|---|\n";
  for (const OpInfo& info : all_ops()) {
    const std::string operands = info.num_operands == kVariadic ? "any" : std::to_string(info.num_operands);
    std::string attributes;
    for (Attr attr : info.attributes)
      attributes += (attributes.empty() ? "`" : ", `") + std::string(attr_name(attr)) + "`";
    text += "| `" + std::string(info.name) + "` | " + operands + " | " + attributes + " | ";
    for (char c : info.doc) text += c == '|' ? std::string("\\|") : std::string(1, c);
    text += " |\n";
  }
  return text;
}

}  // namespace nncc
