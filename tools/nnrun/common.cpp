#include "tools/nnrun/common.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>

#include "llvm/Support/raw_ostream.h"

namespace nncc {
namespace {

std::string printed(double value, const char* unit) {
  char text[48];
  std::snprintf(text, sizeof text, value < 10 ? "%.2f %s" : value < 100 ? "%.1f %s" : "%.0f %s", value, unit);
  return text;
}

// `value` in the largest of `units` that leaves it at least 1; each is `step` times the one before.
std::string scaled(double value, double step, std::initializer_list<const char*> units) {
  auto unit = units.begin();
  for (; std::abs(value) >= step && unit + 1 != units.end(); ++unit) value /= step;
  return printed(value, *unit);
}

}  // namespace

void add_assignments(OptionParser& line, const std::string& option, const std::string& placeholder,
                     const std::string& help, Assignments& values) {
  line.each(option, placeholder, help, [&values, placeholder](const std::string& given) {
    const size_t equals = given.find('=');
    if (equals == 0 || equals == std::string::npos) return "`" + placeholder + "` is expected";
    values.emplace_back(given.substr(0, equals), given.substr(equals + 1));
    return std::string();
  });
}

void add_number(OptionParser& line, const std::string& option, const std::string& placeholder,
                const std::string& help, double& value) {
  line.each(option, placeholder, help, [&value](const std::string& given) {
    auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value);
    const bool good = error == std::errc{} && end == given.data() + given.size() && std::isfinite(value);
    return std::string(good ? "" : "a number is expected");
  });
}

void SessionArguments::add_options(OptionParser& line) {
  add_library(line);
  line.group("The session");
  line.text("entry", "NAME", "the entry to call (default: the only one)", entry);
  line.each("seed", "N", "of all randomness (default: 0)", [this](const std::string& given) {
    auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), seed);
    const bool good = error == std::errc{} && end == given.data() + given.size();
    return std::string(good ? "" : "a whole number is expected");
  });
  line.count("threads", "N", "threads to use (default: as many as this process may)", threads);
  add_assignments(line, "set", "NAME=VALUE", "sets a hyper or another scalar variable; may be repeated", set);
  line.text("load", "FILE", "begin with the variables of this .safetensors file", load);
  line.flag("load-partial", "take those variables that the file has", partial);
}

// Most often the value of an option that takes none.
static void report_second_model(const std::vector<std::string>& found, int argc, const char* const* argv,
                                Diagnostics& diags) {
  std::string all;
  for (const std::string& name : found) all += (all.empty() ? "`" : ", `") + name + "`";
  auto error = diags.error("one model is expected, found " + all);
  for (int i = 2; i < argc; ++i) {
    const std::string option = argv[i - 1];
    if (option.starts_with("-") && option.find('=') == std::string::npos &&
        std::find(found.begin(), found.end(), argv[i]) != found.end())
      error.note("`" + option + "` takes no value: `" + argv[i] + "` is not part of it");
  }
  error.note("`" + std::string(argv[0]) + " --help` says more");
}

bool parse_verb(OptionParser& line, SessionArguments& arguments, int argc, const char* const* argv,
                int& status) {
  bool help = false;
  Diagnostics diags;
  line.group("Help");
  line.flag("help,h", "prints this", help);
  const bool good = line.parse(argc, argv, diags);
  status = 0;
  if (help) {
    llvm::outs() << line.help();
    return false;
  }
  if (good && arguments.positional_.empty())
    diags.error("no model is named").note("`" + std::string(argv[0]) + " --help` says more");
  else if (good && arguments.positional_.size() > 1)
    report_second_model(arguments.positional_, argc, argv, diags);
  diags.print(llvm::errs());
  status = 1;
  if (diags.has_errors()) return false;
  arguments.library = arguments.positional_[0];
  return true;
}

nn::Library SessionArguments::open() const { return nn::Library::open(library); }

nn::Session SessionArguments::make_session(const nn::Library& library) const {
  nn::Session session(library, {.seed = seed, .threads = threads});
  if (!load.empty()) partial ? session.load_partial(load) : session.load(load);
  for (const auto& [name, value] : set) session.set(name, parse_number(value, "--set " + name));
  return session;
}

const nn_entry_info& SessionArguments::choose_entry(const nn::Library& library,
                                                    std::optional<nn_entry_kind> kind) const {
  if (!entry.empty()) return library.entry(entry);
  const nn_entry_info* only = nullptr;
  std::string names;
  for (const nn_entry_info& e : library.entries()) {
    if (kind && e.kind != *kind) continue;
    names += (only ? ", " : "") + std::string(e.name);
    only = &e;
  }
  const char* what = !kind ? "entry" : *kind == NN_ENTRY_TRAIN ? "train entry" : "model entry";
  if (!only) throw UserError("the model has no " + std::string(what));
  if (names != only->name) throw UserError("which entry is meant? --entry can be " + names);
  return *only;
}

double parse_number(const std::string& text, const std::string& what) {
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    throw UserError(what + ": `" + text + "` is not a number");
  return value;
}

void throw_errors(const Diagnostics& diags) {
  std::string text;
  for (const Diagnostic& d : diags.all()) text += (text.empty() ? "" : "\n") + d.message;
  throw UserError(text);
}

Array read_array(const std::string& path) {
  Diagnostics diags;
  auto array = read_npy(path, diags);
  if (!array) throw_errors(diags);
  return std::move(*array);
}

void write_array(const std::string& path, const Array& array) {
  Diagnostics diags;
  if (!write_npy(path, array, diags)) throw_errors(diags);
}

size_t find_tensor(std::span<const nn_tensor_info> tensors, const std::string& name,
                   const std::string& owner) {
  std::string names;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].name == name) return i;
    names += (i ? ", " : "") + std::string(tensors[i].name);
  }
  throw UserError("there is no " + name + " among " + owner + (names.empty() ? "" : ": " + names));
}

std::string entry_kind(const nn_entry_info& entry) {
  constexpr const char* names[] = {"model", "train", "init"};
  return names[entry.kind];
}

std::string variable_kind(nn_variable_kind kind) {
  constexpr const char* names[] = {"parameter", "state", "memory", "optimizer_state",
                                   "counter",   "seed",  "hyper",  "hoisted"};
  return names[kind];
}

std::string byte_text(double bytes) {
  return bytes < 1000 ? std::to_string(static_cast<int>(bytes)) + " B"
                      : scaled(bytes / 1000, 1000, {"kB", "MB", "GB"});
}
std::string flop_text(double flops) {
  return scaled(flops / 1000, 1000, {"kFLOP", "MFLOP", "GFLOP", "TFLOP"});
}
std::string time_text(double seconds) {
  return seconds < 1 ? scaled(seconds * 1e9, 1000, {"ns", "us", "ms"}) : printed(seconds, "s");
}

void Generator::add_options(OptionParser& line) {
  line.group("Inputs");
  line.each("range", "LOW,HIGH", "generated floats lie between these (default: -1,1)",
            [this](const std::string& given) {
              const size_t comma = given.find(',');
              if (comma == std::string::npos) return std::string("`LOW,HIGH` is expected");
              try {
                low = parse_number(given.substr(0, comma), "--range");
                high = parse_number(given.substr(comma + 1), "--range");
              } catch (const UserError& error) {
                return std::string(error.what());
              }
              return std::string(
                  low < high && std::isfinite(high - low) ? "" : "the first number must be below the second");
            });
  line.each("classes", "N",
            "generated integers lie below this (default: 2, which fits every axis to look up in)",
            [this](const std::string& given) {
              auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), classes);
              const bool good = error == std::errc{} && end == given.data() + given.size() && classes > 0;
              return std::string(good ? "" : "a number above 0 is expected");
            });
}

Array Generator::make(const TensorType& type, uint64_t stream) const {
  std::mt19937_64 random(seed * 0x9e3779b97f4a7c15 + stream);
  std::uniform_real_distribution<double> real(low, high);
  const int below = type.dtype == DType::Bool ? 2
                    : type.dtype == DType::I8 ? std::min(classes, 127)
                    : type.dtype == DType::U8 ? std::min(classes, 256)
                                              : classes;
  std::uniform_int_distribution<int> integer(0, below - 1);
  const auto size = static_cast<size_t>(dtype_size(type.dtype));
  Array array{type, std::vector<std::byte>(static_cast<size_t>(type.byte_size()))};
  const std::string owner = "generated";
  for (size_t i = 0; i < array.bytes.size(); i += size) {
    nn::detail::Slot slot;
    const nn_tensor_info element{"input", static_cast<nn_dtype>(type.dtype), 0, nullptr, size};
    if (is_float(type.dtype))
      nn::detail::convert_scalar(element, real(random), slot, owner.c_str());
    else
      nn::detail::convert_scalar(element, integer(random), slot, owner.c_str());
    std::memcpy(&array.bytes[i], slot.bytes, size);
  }
  return array;
}

std::vector<Array> make_inputs(const nn_entry_info& entry, const Assignments& files,
                               const Generator& generator) {
  std::vector<Array> arrays;
  for (const auto& file : files)
    find_tensor(inputs_of(entry), file.first, std::string("the inputs of ") + entry.name);
  for (const nn_tensor_info& tensor : inputs_of(entry)) {
    const TensorType type = type_of(tensor);
    const std::string* path = nullptr;
    for (const auto& file : files)
      if (file.first == tensor.name) path = &file.second;
    arrays.push_back(path ? read_array(*path) : generator.make(type, arrays.size()));
    if (arrays.back().type != type)
      throw UserError("input " + std::string(tensor.name) + " is " + type.str() + ", but " + *path + " has " +
                      arrays.back().type.str());
  }
  return arrays;
}

std::vector<nn::View> views_of(const std::vector<Array>& arrays) {
  std::vector<nn::View> views;
  for (const Array& array : arrays)
    views.emplace_back(static_cast<nn_dtype>(array.type.dtype), array.bytes.data(), array.type.shape);
  return views;
}

}  // namespace nncc
