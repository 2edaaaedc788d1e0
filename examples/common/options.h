// The command line of an example: files, and options that have a value each.
#pragma once
#include <charconv>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace example {

// Something is wrong with the command line: the usage is shown.
struct UsageError : std::runtime_error {
  using runtime_error::runtime_error;
};

// Where the value of `name` goes; a number is at least `least`.
struct Option {
  const char* name;
  std::variant<int*, double*, std::string*> value;
  int least = 0;
};

template <class Number>
void parse_number(const Option& option, const char* what, const std::string& text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value >= option.least))
    throw UsageError(std::string(option.name) + " needs " + what + " of at least " +
                     std::to_string(option.least) + ", got " + text);
}

// Sets the options that `arguments` name and returns the other arguments: the files.
inline std::vector<std::string> parse(const std::vector<std::string>& arguments,
                                      const std::vector<Option>& options) {
  std::vector<std::string> files;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!argument.starts_with("--")) {
      files.push_back(argument);
      continue;
    }
    const Option* option = nullptr;
    for (const Option& known : options)
      if (argument == known.name) option = &known;
    if (!option) throw UsageError("there is no option " + argument);
    if (++i == arguments.size()) throw UsageError(argument + " needs a value");
    if (int* const* integer = std::get_if<int*>(&option->value))
      parse_number(*option, "an integer", arguments[i], **integer);
    else if (double* const* number = std::get_if<double*>(&option->value))
      parse_number(*option, "a number", arguments[i], **number);
    else
      *std::get<std::string*>(option->value) = arguments[i];
  }
  return files;
}

// The `main` of an example: `run` gets the arguments. Errors go to the standard error output; exit status 1.
template <class Run>
int guarded_main(int argc, char** argv, const char* usage, const Run& run) {
  try {
    run(std::vector<std::string>(argv + 1, argv + argc));
    return 0;
  } catch (const UsageError& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    std::fprintf(stderr, usage, argv[0]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
  }
  return 1;
}

}  // namespace example
