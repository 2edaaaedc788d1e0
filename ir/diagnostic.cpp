#include "ir/diagnostic.h"

#include <algorithm>
#include <cstdlib>
#include <unordered_set>

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Unicode.h"

namespace nncc {

namespace {

constexpr int kMaxSnippetColumns = 110;  // of one source line shown
constexpr int kContextColumns = 30;      // shown before a range in a line that is cut
constexpr size_t kMaxMessageBytes = 2000;
constexpr int kMaxFramesShown = 12;
constexpr int kTabStop = 4;
constexpr size_t kMaxWarnings = 100;

bool is_continuation_byte(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Bytes of the character that starts `text`: a whole UTF-8 sequence, or one byte that starts none.
size_t character_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t wanted = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
  if (wanted > text.size()) return 1;
  for (size_t i = 1; i < wanted; ++i)
    if (!is_continuation_byte(text[i])) return 1;
  return wanted;
}

// What a terminal is given for one character, and how many columns that takes. Characters that would move the
// cursor, change colours or turn the direction of writing are shown by their code.
struct Glyph {
  std::string text;
  int columns = 1;
};

Glyph glyph_of(std::string_view character, int column) {
  if (character == "\t") {
    const int columns = kTabStop - column % kTabStop;
    return {std::string(columns, ' '), columns};
  }
  const int columns = llvm::sys::unicode::columnWidthUTF8({character.data(), character.size()});
  if (columns >= 0) return {std::string(character), columns};
  static const char digits[] = "0123456789ABCDEF";
  std::string code = "<";
  for (unsigned char c : character) {
    code += digits[c >> 4];
    code += digits[c & 15];
  }
  code += '>';
  const int width = static_cast<int>(code.size());
  return {std::move(code), width};
}

// The part of one line that is worth showing, ready for a terminal, and where the range lies in it.
struct Snippet {
  std::string text;
  int underline_begin = 0;  // columns
  int underline_end = 0;
};

// `line` is the whole line, however long; only the part around [begin, end) (bytes of the line) is looked at.
Snippet make_snippet(std::string_view line, size_t begin, size_t end) {
  begin = std::min(begin, line.size());
  end = std::clamp(end, begin, line.size());
  size_t first = 0;
  if (line.size() > kMaxSnippetColumns && begin > kContextColumns) {
    // Keep the start of the line if that still shows all of the range.
    if (end > static_cast<size_t>(kMaxSnippetColumns)) {
      first = begin - kContextColumns;
      while (first > 0 && is_continuation_byte(line[first])) --first;
    }
  }
  Snippet snippet;
  int column = 0;
  if (first > 0) {
    snippet.text = "... ";
    column = 4;
  }
  bool started = false, ended = false;
  size_t i = first;
  while (i < line.size() && column < kMaxSnippetColumns) {
    if (!started && i >= begin) {
      snippet.underline_begin = column;
      started = true;
    }
    if (!ended && started && i >= end && i > begin) {
      snippet.underline_end = column;
      ended = true;
    }
    const size_t length = character_length(line.substr(i));
    const Glyph glyph = glyph_of(line.substr(i, length), column);
    snippet.text += glyph.text;
    column += glyph.columns;
    i += length;
  }
  if (!started) snippet.underline_begin = column;
  if (!ended) snippet.underline_end = column;
  if (i < line.size()) snippet.text += " ...";
  snippet.underline_end = std::max(snippet.underline_end, snippet.underline_begin + 1);
  return snippet;
}

std::string_view severity_name(Severity severity) {
  switch (severity) {
    case Severity::Error:
      return "error";
    case Severity::Warning:
      return "warning";
    case Severity::Note:
      return "note";
  }
  return "error";
}

llvm::raw_ostream::Colors severity_color(Severity severity) {
  switch (severity) {
    case Severity::Error:
      return llvm::raw_ostream::RED;
    case Severity::Warning:
      return llvm::raw_ostream::MAGENTA;
    case Severity::Note:
      return llvm::raw_ostream::CYAN;
  }
  return llvm::raw_ostream::RED;
}

// A message may quote the program: what a terminal would act on is shown by its code, and no message is
// endless.
std::string printable(std::string_view message) {
  std::string result;
  for (size_t i = 0; i < message.size();) {
    if (result.size() > kMaxMessageBytes) return result + " ...";
    if (message[i] == '\n') {
      result += message[i++];
      continue;
    }
    const size_t length = character_length(message.substr(i));
    result += glyph_of(message.substr(i, length), 0).text;
    i += length;
  }
  return result;
}

// Prints to a stream whose colours are switched on already, if it has any.
class Printer {
 public:
  explicit Printer(llvm::raw_ostream& os) : os_(os) {}

  void print(const Diagnostic& d) {
    header(d);
    if (d.range) snippet(d);
    for (const Diagnostic& note : d.notes) print(note);
  }

 private:
  void header(const Diagnostic& d) {
    os_.changeColor(llvm::raw_ostream::SAVEDCOLOR, /*Bold=*/true);
    if (d.range) {
      const auto at = d.range.file->locate(d.range.begin);
      os_ << printable(d.range.file->path) << ':' << at.line << ':' << at.column << ": ";
    }
    os_.changeColor(severity_color(d.severity), /*Bold=*/true);
    os_ << llvm::StringRef(severity_name(d.severity).data(), severity_name(d.severity).size()) << ": ";
    os_.resetColor();
    if (d.severity != Severity::Note) os_.changeColor(llvm::raw_ostream::SAVEDCOLOR, /*Bold=*/true);
    os_ << printable(d.message);
    os_.resetColor();
    os_ << '\n';
  }

  void snippet(const Diagnostic& d) {
    const SourceFile& file = *d.range.file;
    if (file.text.empty()) return;
    const auto at = file.locate(d.range.begin);
    const size_t begin = static_cast<size_t>(at.column) - 1;
    const size_t length = d.range.end > d.range.begin ? d.range.end - d.range.begin : 0;
    const Snippet shown = make_snippet(file.line_text(at.line), begin, begin + length);
    const std::string number = std::to_string(at.line);
    os_.indent(number.size() < 4 ? 4 - number.size() : 0) << number << " | " << shown.text << '\n';
    os_.indent(std::max<size_t>(number.size(), 4)) << " | ";
    os_.indent(shown.underline_begin);
    os_.changeColor(llvm::raw_ostream::GREEN, /*Bold=*/true);
    os_ << '^' << std::string(shown.underline_end - shown.underline_begin - 1, '~');
    os_.resetColor();
    os_ << '\n';
  }

  llvm::raw_ostream& os_;
};

}  // namespace

Diagnostics::Handle& Diagnostics::Handle::note(SourceRange range, std::string message) {
  if (d_) d_->notes.push_back({Severity::Note, std::move(message), range, {}});
  return *this;
}

Diagnostics::Handle& Diagnostics::Handle::call_stack(const Location& location) {
  int depth = 0;
  for (const CallFrame* frame = location.frame.get(); frame; frame = frame->caller.get()) ++depth;
  int i = 0;
  for (const CallFrame* frame = location.frame.get(); frame; frame = frame->caller.get(), ++i) {
    // Of a deep stack: the innermost and the outermost calls.
    const int hidden = depth - kMaxFramesShown;
    if (hidden > 0 && i >= kMaxFramesShown / 2 && i < kMaxFramesShown / 2 + hidden) {
      if (i == kMaxFramesShown / 2) note({}, "(" + std::to_string(hidden) + " more calls)");
      continue;
    }
    note(frame->call, "in the call of `" + frame->callee + "`");
  }
  return *this;
}

Diagnostics::Handle Diagnostics::error(SourceRange range, std::string message) {
  if (++errors_ > limit_) return Handle(nullptr);
  return Handle(&all_.emplace_back(Diagnostic{Severity::Error, std::move(message), range, {}}));
}

Diagnostics::Handle Diagnostics::warning(SourceRange range, std::string message) {
  if (all_.size() >= kMaxWarnings + static_cast<size_t>(limit_)) return Handle(nullptr);
  return Handle(&all_.emplace_back(Diagnostic{Severity::Warning, std::move(message), range, {}}));
}

void Diagnostics::print(llvm::raw_ostream& os) const {
  const bool had_colors = os.colors_enabled();
  os.enable_colors(os.has_colors() && !std::getenv("NO_COLOR"));
  // An unrolled loop may report the same thing again and again.
  std::unordered_set<std::string> printed;
  for (const Diagnostic& d : all_) {
    std::string text;
    llvm::raw_string_ostream plain(text);
    Printer(plain).print(d);
    if (printed.insert(std::move(plain.str())).second) Printer(os).print(d);
  }
  if (errors_ > limit_) os << "and " << errors_ - limit_ << " more errors\n";
  os.enable_colors(had_colors);
}

void internal_error(std::string message, const char* file, int line) {
  // The last two components: the folder and the file.
  llvm::StringRef path(file);
  const size_t slash = path.rfind('/');
  if (slash != llvm::StringRef::npos) {
    const size_t before = path.substr(0, slash).rfind('/');
    if (before != llvm::StringRef::npos) path = path.substr(before + 1);
  }
  throw InternalError(path.str() + ":" + std::to_string(line) + ": " + message);
}

int run_tool(const char* tool, const std::function<int()>& body) {
  const auto report = [&](const std::string& what) {
    llvm::errs() << tool << ": internal error: " << what << "\n"
                 << tool << ": this is a bug; please report it together with the input that shows it\n";
    return 70;
  };
  try {
    return body();
  } catch (const std::exception& e) {
    return report(e.what());
  } catch (...) {
    return report("an exception of unknown type");
  }
}

namespace {

// `sdg` and `sgd`: two neighbours changed places, the most common slip of fingers.
bool swaps_neighbours(llvm::StringRef a, llvm::StringRef b) {
  if (a.size() != b.size()) return false;
  const size_t i = std::mismatch(a.begin(), a.end(), b.begin()).first - a.begin();
  return i + 1 < a.size() && a[i] == b[i + 1] && a[i + 1] == b[i] && a.substr(i + 2) == b.substr(i + 2);
}

}  // namespace

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  constexpr size_t kLongestName = 64;
  if (name.empty() || name.size() > kLongestName) return {};
  const llvm::StringRef wanted(name.data(), name.size());
  // A third of the letters may be wrong; a name of one or two must agree but for case.
  const unsigned allowed = name.size() < 3 ? 0 : static_cast<unsigned>(name.size() + 2) / 3;
  std::string best;
  unsigned best_distance = allowed + 1;
  for (const std::string& candidate : candidates) {
    if (candidate == name || candidate.size() > 2 * kLongestName) continue;
    const unsigned distance = wanted.equals_insensitive(candidate) ? 0
                              : swaps_neighbours(wanted, candidate)
                                  ? 1
                                  : wanted.edit_distance(candidate, true, best_distance);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace nncc
