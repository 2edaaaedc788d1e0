#include "tools/pass_options.h"

#include <algorithm>

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
