#include "frontend/parser.h"

#include <gtest/gtest.h>

#include "dump_tree.h"

namespace nncc {
namespace {

using ast::Function;

struct Parsed {
  SourceManager sources;
  Diagnostics diags;
  std::unique_ptr<ast::File> file;
  explicit Parsed(std::string text) : file(parse_file(sources.add("test.nn", std::move(text)), diags)) {}

  std::vector<std::string> errors() const {
    std::vector<std::string> result;
    for (const Diagnostic& d : diags.all()) {
      const auto at = d.range.file->locate(d.range.begin);
      result.push_back(std::to_string(at.line) + ":" + std::to_string(at.column) + " " + d.message);
    }
    return result;
  }
};

// The tree of an expression, or the first error.
std::string tree(const std::string& expression) {
  const Parsed p("const x = " + expression + "\n");
  if (p.diags.has_errors()) return "error: " + p.diags.all().front().message;
  return ast::dump(*std::get<ast::Const>(p.file->items.at(0).node).value);
}

// The tree of a body's statements, one a line.
std::string body(const std::string& statements) {
  const Parsed p("fn f(x) {\n" + statements + "\n}\n");
  if (p.diags.has_errors()) return "error: " + p.errors().front();
  std::string text = ast::dump(*p.file);
  const size_t begin = text.find("{\n") + 2;
  return text.substr(begin, text.rfind('}') - begin);
}

std::vector<std::string> errors(const std::string& text) { return Parsed(text).errors(); }
using Texts = std::vector<std::string>;

TEST(Precedence, IsThatOfPython) {
  EXPECT_EQ(tree("-a ** 2"), "(neg (** a 2))");
  EXPECT_EQ(tree("a ** -b"), "(** a (neg b))");
  EXPECT_EQ(tree("a ** b ** c"), "(** a (** b c))");
  EXPECT_EQ(tree("-a * b"), "(* (neg a) b)");
  EXPECT_EQ(tree("a * -b"), "(* a (neg b))");
  EXPECT_EQ(tree("a - b - c"), "(- (- a b) c)");
  EXPECT_EQ(tree("a / b * c @ d"), "(@ (* (/ a b) c) d)");
  EXPECT_EQ(tree("a + b * c"), "(+ a (* b c))");
  EXPECT_EQ(tree("a + b < c * d"), "(< (+ a b) (* c d))");
  EXPECT_EQ(tree("not a == b"), "(not (== a b))");
  EXPECT_EQ(tree("not a and not b or c"), "(or (and (not a) (not b)) c)");
  EXPECT_EQ(tree("a or b and c"), "(or a (and b c))");
  EXPECT_EQ(tree("a or b or c"), "(or (or a b) c)");
  EXPECT_EQ(tree("a ** b[0]"), "(** a (index b 0))");
  EXPECT_EQ(tree("-f(a)[1] ** 2"), "(neg (** (index (call f a) 1) 2))");
}

TEST(Precedence, PipeIsLoosest) {
  EXPECT_EQ(tree("a + b |> f"), "(|> f (+ a b) ~)");
  EXPECT_EQ(tree("a or b |> f(c) |> g"), "(|> g (|> f (or a b) c) ~)");
  EXPECT_EQ(tree("(x |> f) + 1"), "(+ #(|> f x ~) 1)");
  EXPECT_EQ(
      tree("x |> f + 1"),
      "error: `|>` binds looser than `+`; put what comes before into parentheses, as in `(x |> f) + 1`");
  EXPECT_EQ(tree("x |> 3"), "error: expected a function's name after `|>`, found `3`");
}

TEST(Expressions, Literals) {
  EXPECT_EQ(tree("[1, 2.5, true, false, inf, \"s\",]"), "[ 1 2.5 true false inf \"s\" ]");
  EXPECT_EQ(tree("[]"), "[ ]");
  EXPECT_EQ(tree("-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(tree("9223372036854775808"), "error: the integer does not fit in 64 bits");
  EXPECT_EQ(tree("cast(x, f32) + zeros(f32[2, n])"),
            "(+ (call cast x (type 0 f32)) (call zeros (type 0 f32 [] 2 n)))");
  EXPECT_EQ(tree("a.b.c"), "(path a b c)");
}

TEST(Expressions, CallsAndIndices) {
  EXPECT_EQ(tree("f(a, b = 1, c = [2],)"), "(call f a b=1 c=[ 2 ])");
  EXPECT_EQ(tree("x[0, 1:3, :, ::2, -1:, .., i]"), "(index x 0 1:3:_ _:_:_ _:_:2 (neg 1):_:_ .. i)");
  EXPECT_EQ(tree("x[0][1]"), "(index (index x 0) 1)");
  EXPECT_EQ(tree("f(a = 1, 2)"),
            "error: expected `name = value`, found a value without a name; such arguments come first");
  EXPECT_EQ(tree("f(a = 1, a = 2)"), "error: argument `a` is given twice");
  EXPECT_EQ(tree("x[]"), "error: expected an index between `[` and `]`");
  EXPECT_EQ(tree("x.sum()"), "error: values have no methods; write `sum(x, …)` or `x |> sum(…)`");
  EXPECT_EQ(tree("a < b < c"), "error: comparisons do not chain; write `a < b and b < c`");
}

TEST(Expressions, WordsOfTheGrammarAreNames) {
  EXPECT_EQ(
      tree("axis + reverse + carry + over + with + state + memory + param + model + train + scan + step"),
      "(+ (+ (+ (+ (+ (+ (+ (+ (+ (+ (+ axis reverse) carry) over) with) state) memory) param) model) train) "
      "scan) step)");
  EXPECT_EQ(body("state = 1\nmodel = memory(state)"), "(= state 1)\n(= model (call memory state))\n");
}

TEST(Statements, NewlinesEndThem) {
  EXPECT_EQ(body("a = 1\nb = 2"), "(= a 1)\n(= b 2)\n");
  EXPECT_EQ(body("a = f(1,\n  2)\nb = [\n1\n]"), "(= a (call f 1 2))\n(= b [ 1 ])\n");
  EXPECT_EQ(body("a = b +\n c and\n not\n d"), "(= a (and (+ b c) (not d)))\n");
  EXPECT_EQ(body("return a,\n  b"), "(return a b)\n");
  EXPECT_EQ(body("a = x\n  // between\n\n  |> f\n  |> g(1)"),
            "(comment between)\n(= a (|> g (|> f x ~) 1))\n");
  EXPECT_EQ(body("a = b\n-c"), "(= a b)\n(neg c)\n");
  EXPECT_EQ(body("a = b\n(c)"), "(= a b)\n#c\n");
  EXPECT_EQ(body("a =\n b"), "error: 2:4 expected an expression, found the end of the line");
  EXPECT_EQ(body("a = b c"), "error: 2:7 expected the end of the statement, found `c`");
}

TEST(Statements, OfEveryKind) {
  EXPECT_EQ(body("a, b = f(x)"), "(= a b (call f x))\n");
  EXPECT_EQ(body("param w: f32[k, n] = init()\nstate m: like(w) = zeros()\nmemory k: bool = false"),
            "(decl 0 w (type 0 f32 [] k n) (call init))\n(decl 1 m (type 1 w) (call zeros))\n(decl 2 k (type "
            "4) false)\n");
  EXPECT_EQ(body("if a { return } else if b { x = 1 } else { x = 2 }"),
            "(if a {\n(return)\n} else-if {\n(if b {\n(= x 1)\n} else {\n(= x 2)\n})\n})\n");
  EXPECT_EQ(body("for i in 0..n { x = i }\nfor c in [1, 2] {}"),
            "(for i 0 n {\n(= x i)\n})\n(for c [ 1 2 ] _ {\n})\n");
  EXPECT_EQ(body("minimize loss over a, b.c with clip(1) |> adam"),
            "(minimize loss (path a) (path b c) with (|> adam (call clip 1) ~))\n");
  EXPECT_EQ(body("minimize a + b with sgd"), "(minimize (+ a b) with sgd)\n");
  EXPECT_EQ(body("hs = scan a, b in x, y axis 1 reverse carry (h = z, c = z) {\nyield h, c\n}"),
            "(= hs (scan a b in x y axis 1 reverse (h z) (c z) {\n(yield h c)\n}))\n");
  EXPECT_EQ(body("f(x)"), "(call f x)\n");
}

TEST(Items, Signatures) {
  const Parsed p(
      "fn f(q, k, v: f32[..s, .., n + 1], sizes: [int], eps = 1e-5, act: fn = relu,) -> (a: f32, [int]) "
      "{}\n");
  ASSERT_FALSE(p.diags.has_errors());
  const auto& f = std::get<Function>(p.file->items.at(0).node);
  ASSERT_EQ(f.parameters.size(), 6u);
  EXPECT_EQ(f.parameters[0].type, f.parameters[2].type);
  EXPECT_TRUE(f.parameters[0].joined);
  EXPECT_FALSE(f.parameters[2].joined);
  EXPECT_EQ(f.parameters[4].type, nullptr);
  EXPECT_TRUE(f.parameters[4].default_value);
  EXPECT_EQ(f.returns.size(), 2u);
  EXPECT_TRUE(f.returns_parenthesized);
}

TEST(Errors, StatementsRecoverOneByOne) {
  EXPECT_EQ(errors("fn f(x) {\n  a = (x +\n  b = 2\n  c = 3 $ 4\n  x[0] = 1\n  y += 2\n  return )\n}\nfn g( "
                   "{}\nconst z = 1\n"),
            (Texts{"3:5 expected `)`, found `=`", "4:9 unexpected character `$`",
                   "5:8 only names can be assigned to; a value never changes",
                   "6:5 there is no `+=`; write the name on both sides of `=`",
                   "7:10 expected an expression, found `)`", "9:7 expected a parameter's name, found `{`"}));
}

TEST(Errors, MissingBraceIsReportedOnce) {
  EXPECT_EQ(errors("fn f(x) {\n  if x {\n    return 1\n\nfn g(x) { return x }\n"),
            (Texts{"5:1 expected `}` to close the body of `if`, found `fn`"}));
  EXPECT_EQ(errors("}\nconst a = 1\n"), (Texts{"1:1 unexpected `}`; no block is open here"}));
}

TEST(Errors, Hints) {
  EXPECT_EQ(errors("modle m() {}\n"),
            (Texts{"1:1 expected `const`, `hyper`, `fn`, `model`, `train`, `optimizer` or `import`, found "
                   "`modle`; did you mean `model`?"}));
  EXPECT_EQ(errors("fn f(x: f34) {}\n"), (Texts{"1:9 expected a type, found `f34`; did you mean `f32`?"}));
  EXPECT_EQ(
      errors("fn f(x) {\n  y: f32 = x\n}\n"),
      (Texts{
          "2:3 expected `param`, `state` or `memory` before `y`; other names take the type of their value"}));
  EXPECT_EQ(
      errors("fn f(x) {\n  param w: f32\n}\n"),
      (Texts{"2:15 expected `=` and an initializer, found the end of the line; for example `= zeros()`"}));
  EXPECT_EQ(errors("fn f(f32) {}\n"),
            (Texts{"1:6 expected a parameter's name, found `f32`, which is a type"}));
}

TEST(Errors, NothingOverflowsTheStack) {
  const auto repeat = [](std::string_view s, int n) {
    std::string result;
    for (int i = 0; i < n; ++i) result += s;
    return result;
  };
  const Texts deep[] = {
      errors("const a = " + repeat("(", 100000) + "1" + repeat(")", 100000) + "\n"),
      errors("const a = " + repeat("[", 100000) + "\n"),
      errors("const a = " + repeat("-", 100000) + "1\n"),
      errors("const a = " + repeat("not ", 100000) + "b\n"),
      errors("const a = 1" + repeat(" + 1", 100000) + "\n"),
      errors("const a = 1" + repeat(" ** 1", 100000) + "\n"),
      errors("const a = x" + repeat(" |> f", 100000) + "\n"),
      errors("const a = x" + repeat("[0]", 100000) + "\n"),
      errors("const a = " + repeat("f(", 100000) + "\n"),
      errors("fn f(x: " + repeat("[", 100000) + ") {}\n"),
      errors("fn f(x) {" + repeat("if a {", 100000) + "}\n"),
      errors("fn f(x) { if a {} " + repeat("else if a {}", 100000) + "}\n"),
      errors("fn f(x) {" + repeat("y = scan a in b axis 0 {\n", 100000) + "}\n"),
  };
  for (const Texts& found : deep) {
    ASSERT_FALSE(found.empty());
    EXPECT_TRUE(found.front().find("nested too deeply") != std::string::npos ||
                found.front().find("the expression is too long") != std::string::npos)
        << found.front().substr(0, 200);
  }
}

TEST(Errors, AreLimited) {
  std::string text = "fn f(x) {\n";
  for (int i = 0; i < 1000; ++i) text += "  y = )\n";
  const Parsed p(text + "}\n");
  EXPECT_EQ(p.diags.all().size(), 20u);
  EXPECT_EQ(p.diags.error_count(), 1000);
}

}  // namespace
}  // namespace nncc
