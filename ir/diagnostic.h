// Errors in the user's program, and errors in nncc itself.
#pragma once
#include <deque>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "ir/source.h"
#include "llvm/Support/raw_ostream.h"

namespace nncc {

enum class Severity { Error, Warning, Note };

// One message and what belongs to it. Style: lower case, no full stop, code in backticks, says what was found and what
// was expected; a hint comes after the fact.
struct Diagnostic {
  Severity severity = Severity::Error;
  std::string message;
  SourceRange range;             // may be empty: then the message stands alone
  std::vector<Diagnostic> notes;  // second places, call stacks, suggestions; all of severity Note
};

// Collects diagnostics in the order they are reported. Past `limit` errors further ones are counted, not kept.
// Not thread-safe.
class Diagnostics {
 public:
  explicit Diagnostics(int limit = 20) : limit_(limit) {}

  // Returns the stored diagnostic so that notes can be added: diags.error(range, "…").note(other, "…").
  class Handle {
   public:
    Handle& note(SourceRange, std::string message);
    Handle& note(std::string message) { return note({}, std::move(message)); }
    // The calls that led to `location`, innermost first, as notes.
    Handle& call_stack(const Location& location);

   private:
    friend class Diagnostics;
    explicit Handle(Diagnostic* d) : d_(d) {}
    Diagnostic* d_;  // null past the limit
  };
  Handle error(SourceRange, std::string message);
  Handle error(std::string message) { return error(SourceRange{}, std::move(message)); }
  Handle warning(SourceRange, std::string message);

  bool has_errors() const { return errors_ > 0; }
  int error_count() const { return errors_; }
  const std::deque<Diagnostic>& all() const { return all_; }

  // Prints each as
  //   file:line:col: error: message
  //    12 |   y = dense(x, -1)
  //       |                ^~
  // then its notes; colours when the stream has them.
  void print(llvm::raw_ostream&) const;

 private:
  int limit_;
  int errors_ = 0;
  std::deque<Diagnostic> all_;
};

// A bug in nncc: exit status 70. Never for anything a user's input can cause.
class InternalError : public std::logic_error {
  using std::logic_error::logic_error;
};
[[noreturn]] void internal_error(std::string message, const char* file, int line);

// A condition that only a bug can break; kept in every build.
#define NNCC_CHECK(condition, message) \
  ((condition) ? (void)0 : ::nncc::internal_error((message), __FILE__, __LINE__))
#define NNCC_UNREACHABLE(message) ::nncc::internal_error((message), __FILE__, __LINE__)

// Runs a tool's body and turns what escapes it into an exit status: 70 with a request to report it for InternalError
// and every other exception.
int run_tool(const char* tool, const std::function<int()>& body);

// The candidate nearest to `name` by edit distance, or empty if none is near enough to suggest.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace nncc
