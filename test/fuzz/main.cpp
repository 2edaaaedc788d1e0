// Random programs through the whole compiler, against the reference evaluator.
//
//   fuzz --count 300 --seed 1            so many programs, from that seed on; a failing one is made smaller
//   fuzz --out FOLDER …                  and written there
//   fuzz --compile-every 10 …            compiles one of ten, the others run as optimized on the evaluator
//                                        alone; 0: none
//   fuzz --seed 5 --stride 6 …           takes each sixth seed: these have numbers in half precision
//   fuzz --seconds 100 …                 ends after that time
//   fuzz --print --seed 7                shows a program
//   fuzz FILE.nn…                        programs that failed once
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>
#include <sstream>

#include "fuzz/check.h"
#include "fuzz/program.h"
#include "support/temporary_folder.h"

namespace nncc::fuzz {
namespace {

struct Options {
  uint64_t seed = 1, stride = 1, count = 0;
  bool print = false, shrink = true;
  uint64_t compile_every = 1;  // the others on the evaluator alone; 0: all of them
  std::string out = ".";
  double seconds = 1e9;
  std::vector<std::string> files;
};

CheckOptions options_for(const Program& program, const Options& options) {
  CheckOptions check;
  check.compiled =
      options.compile_every && program.seed / 2 % options.compile_every == 0;  // odd ones are f32
  // Numbers in f32 may fall on the other side of a bound.
  if (program.smooth && program.seed % 2) check.float_type = DType::F32;
  if (program.half) check.float_type = DType::F32;
  check.half = program.half;
  check.smooth = program.smooth;
  if (program.seed % 8 == 3) check.target = "x86-64-v3";
  if (program.seed % 16 == 9) check.target = "x86-64-v2";
  if (program.seed % 16 == 6) check.opt_level = 1;
  if (program.seed % 16 == 12) check.opt_level = 0;
  return check;
}

Finding try_program(const Program& program, const CheckOptions& options, bool lean,
                    const std::string& folder) {
  const bool unroll = program.unrollable && options.float_type == DType::F64;
  return check_apart(program.text(Form::Loops, lean), unroll ? program.text(Form::Unrolled, lean) : "",
                     options, folder);
}

std::string kind(const Finding& finding) {
  return finding.stage == "program"
             ? "program " + finding.message.substr(finding.message.find("error:") + 1, 40)
             : finding.stage;
}

// Statements become constants and results go, as long as it fails in the same way.
Finding shrink(Program& program, const CheckOptions& options, Finding finding, const std::string& folder) {
  const std::string wanted = kind(finding);
  const auto still_fails = [&](const Program& candidate) {
    const Finding now = try_program(candidate, options, true, folder);
    if (kind(now) != wanted) return false;
    finding = now;
    return true;
  };
  if (!still_fails(program)) return finding;
  const auto attempt = [&](const std::function<void()>& change, const std::function<void()>& undo) {
    change();
    if (!still_fails(program)) undo();
  };
  for (size_t i = program.sinks.size(); i-- > 0 && program.sinks.size() > 1;) {
    const Name sink = program.sinks[i];
    attempt([&] { program.sinks.erase(program.sinks.begin() + static_cast<int64_t>(i)); },
            [&] { program.sinks.insert(program.sinks.begin() + static_cast<int64_t>(i), sink); });
  }
  if (program.second_derivative)
    attempt([&] { program.second_derivative = false; }, [&] { program.second_derivative = true; });
  const auto simpler = [&](std::string& text, const std::string& other) {
    const std::string old = text;
    if (old != other) attempt([&] { text = other; }, [&] { text = old; });
  };
  simpler(program.other_optimizer, "");
  simpler(program.optimizer, "sgd(0.05)");
  const std::function<void(std::vector<Statement>&)> drop = [&](std::vector<Statement>& statements) {
    for (auto s = statements.rbegin(); s != statements.rend(); ++s) {
      if (s->dropped) continue;
      attempt([&] { s->dropped = true; }, [&] { s->dropped = false; });
      if (!s->dropped && s->loop) {
        for (size_t i = s->loop->carries.size(); i-- > 0;) {
          Loop::Carry& c = s->loop->carries[i];
          simpler(c.next, c.name.text);
        }
        drop(s->loop->body);
      }
    }
  };
  drop(program.statements);
  drop(program.statements);
  return finding;
}

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

int run(const Options& options) {
  const test::TemporaryFolder folder;
  uint64_t done = 0, compiled = 0, failed = 0;
  const auto start = std::chrono::steady_clock::now();
  for (const std::string& path : options.files) {
    const auto text = read_file(path);
    if (!text) {
      std::cerr << "cannot read " << path << "\n";
      return 1;
    }
    const std::string unrolled = read_file(path + ".unrolled").value_or("");
    for (const DType type : {DType::F64, DType::F32}) {
      CheckOptions check;
      check.float_type = type;
      ++done, ++compiled;
      if (const Finding finding =
              check_apart(*text, type == DType::F64 ? unrolled : "", check, folder.path())) {
        ++failed;
        std::cout << path << " " << dtype_name(type) << ": " << finding.stage << ": " << finding.message
                  << std::endl;
      }
    }
  }
  for (uint64_t i = 0; i < options.count; ++i) {
    const uint64_t seed = options.seed + i * options.stride;
    Program program = random_program(seed);
    if (options.print) {
      std::cout << "// seed " << seed << "\n" << program.text(Form::Loops) << "\n";
      continue;
    }
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (elapsed.count() > options.seconds) break;
    const CheckOptions check = options_for(program, options);
    ++done;
    compiled += check.compiled;
    Finding finding = try_program(program, check, false, folder.path());
    if (!finding) continue;
    ++failed;
    const std::string about = "seed " + std::to_string(seed) + " " +
                              std::string(dtype_name(check.float_type)) + " -O" +
                              std::to_string(check.opt_level);
    std::cout << about << ": " << finding.stage << ": " << finding.message << std::endl;
    if (!options.shrink) continue;
    finding = shrink(program, check, finding, folder.path());
    const std::string path = options.out + "/seed_" + std::to_string(seed) + ".nn";
    std::ofstream(path) << "// " << about << ": " << finding.stage << "\n" << program.text(Form::Loops, true);
    if (finding.stage == "unrolled") std::ofstream(path + ".unrolled") << program.text(Form::Unrolled, true);
    std::cout << about << ", smaller in " << path << ": " << finding.stage << ": " << finding.message
              << std::endl;
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  if (!options.print)
    std::cout << done << " programs, " << compiled << " compiled, " << failed << " failed, "
              << elapsed.count() << " seconds" << std::endl;
  return failed ? 1 : 0;
}

}  // namespace
}  // namespace nncc::fuzz

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  GTEST_FLAG_SET(throw_on_failure, true);
  nncc::fuzz::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto value = [&]() -> std::string { return i + 1 < argc ? argv[++i] : ""; };
    if (argument == "--seed")
      options.seed = std::stoull(value());
    else if (argument == "--stride")
      options.stride = std::stoull(value());
    else if (argument == "--count")
      options.count = std::stoull(value());
    else if (argument == "--seconds")
      options.seconds = std::stod(value());
    else if (argument == "--out")
      options.out = value();
    else if (argument == "--print")
      options.print = true, options.count = std::max<uint64_t>(options.count, 1);
    else if (argument == "--no-shrink")
      options.shrink = false;
    else if (argument == "--compile-every")
      options.compile_every = std::stoull(value());
    else if (argument[0] != '-')
      options.files.push_back(argument);
    else {
      std::cerr << "unknown option " << argument << "\n";
      return 1;
    }
  }
  return nncc::fuzz::run(options);
}
