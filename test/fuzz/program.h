// Random programs: statements with the type of what they give, printed as text, made smaller one statement at
// a time.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ir/type.h"

namespace nncc::fuzz {

struct Name {
  std::string text;
  DType dtype = DType::F32;  // F32 stands for whatever --float says
  Shape shape = {};
};

struct Loop;

// `results = text`, or a loop.
struct Statement {
  std::vector<Name> results;
  std::string text;
  std::string declaration = {};  // of a parameter; stands at the top of the model
  std::shared_ptr<Loop> loop = {};
  bool dropped = false;  // its results are constants instead
};

struct Loop {
  struct Carry {
    Name name;
    std::string first, next;  // names, or for `first` any expression
  };
  std::vector<Name> names;             // of an element
  std::vector<std::string> sequences;  // gone over
  std::vector<int> ranks;              // of the sequences
  int64_t axis = 0, steps = 1;         // counted from the front, or, if negative, from the back
  bool reverse = false;
  std::vector<Carry> carries;
  std::vector<Statement> body;
  std::vector<std::string> yields;  // one for each result of the statement
  bool yields_before = false;       // the carried values, if yielded, are those of the step before
};

enum class Form { Loops, Unrolled };

struct Program {
  uint64_t seed = 0;
  std::vector<Name> inputs;
  std::vector<Statement> statements;
  std::vector<Name> sinks;  // results of the model
  std::string optimizer, other_optimizer;
  bool second_derivative = false;
  bool smooth = true;              // no result jumps where a number crosses a bound
  bool unrollable = true;          // as a loop of the compiler, the same numbers
  std::optional<DType> half = {};  // F16 or BF16: what some of it is computed in

  // Without statements that nothing needs if `lean`.
  std::string text(Form form, bool lean = false) const;
};

Program random_program(uint64_t seed);

// Every identifier in a text.
std::set<std::string> identifiers(const std::string& text);
std::string str(const Shape& shape);  // "[2, 3]"

}  // namespace nncc::fuzz
