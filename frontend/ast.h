// The syntax tree of a program: exactly what was written, nothing resolved. Nodes keep their source range. Comments and blank lines stay with
// the statement or item they stand before, so that a tree prints back (--emit=nn). A comment inside a statement counts as standing before it.
//
// Lists in ( ) and [ ] may end in a comma. Reserved words: and else false for if in inf minimize not or return true yield, and the names of
// element types. All other words of the grammar are words only where the grammar wants them, and names elsewhere.
//
//   program   = { item }
//   item      = "import" string | "const" name "=" expr | "hyper" name [":" type] "=" expr
//             | ("fn" | "model" | "train" | "optimizer") name "(" [param {"," param}] ")" ["->" returns] block
//   param     = name {"," name} [":" type] ["=" expr]
//   type      = tensor | "int" | "float" | "bool" | "string" | "fn" | "[" type "]"
//   tensor    = dtype ["[" dim {"," dim} "]"] | "like" "(" expr ")"
//   dim       = ".." [name] | expr
//   returns   = [name ":"] type | "(" [name ":"] type {"," [name ":"] type} ")"
//   block     = "{" { statement } "}"
//   statement = target {"," target} "=" expr | ("param" | "state" | "memory") name ":" type "=" expr
//             | "if" expr block ["else" (if | block)] | "for" name "in" (expr ".." expr | expr) block
//             | "return" [expr {"," expr}] | "yield" expr {"," expr}
//             | "minimize" expr ["over" path {"," path}] "with" expr | expr
//   path      = name {"." name}
//   expr      = pipe; loosest first, all left associative but "**" and the prefixes:
//   pipe      = or {"|>" name ["(" arguments ")"]}         or  = and {"or" and}          and   = not {"and" not}
//   not       = "not" not | comparison                     comparison = sum [("==" | "!=" | "<" | "<=" | ">" | ">=") sum]
//   sum       = product {("+" | "-") product}              product = unary {("*" | "/" | "@") unary}
//   unary     = "-" unary | power                          power = postfix ["**" unary]
//   postfix   = primary {"[" subscript {"," subscript} "]"}
//   primary   = number | string | "true" | "false" | "inf" | path | name "(" arguments ")" | "[" [expr {"," expr}] "]"
//             | "(" expr ")" | scan | tensor
//   arguments = [[name "="] expr {"," [name "="] expr}]    subscript = ".." | expr | [expr] ":" [expr] [":" [expr]]
//   scan      = "scan" name {"," name} "in" expr {"," expr} "axis" expr ["reverse"] ["carry" "(" name "=" expr {"," …} ")"] block
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ir/source.h"
#include "ir/type.h"

namespace nncc::ast {

// One function for each kind of node, for std::visit.
template <typename... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};
template <typename... Functions>
Overloaded(Functions...) -> Overloaded<Functions...>;

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

enum class UnaryOp : uint8_t { Neg, Not };
enum class BinaryOp : uint8_t { Or, And, Eq, Ne, Lt, Le, Gt, Ge, Add, Sub, Mul, Div, MatMul, Pow };
std::string_view spelling(BinaryOp);

struct Name {
  std::string text;
  SourceRange range;
};

struct IntLiteral { int64_t value; };
struct FloatLiteral { double value; std::string text; };  // as written; `inf`
struct BoolLiteral { bool value; };
struct StringLiteral { std::string value; };
struct NameRef { std::string name; };
struct Path { std::vector<Name> parts; SourceRange range; };
struct PathRef { Path path; };  // a.b, at least two parts: only what takes parameter paths (l1, l2) accepts it
struct ListExpr { std::vector<ExprPtr> elements; };
struct Unary { UnaryOp op; ExprPtr operand; };
struct Binary { BinaryOp op; SourceRange op_range; ExprPtr left, right; };
struct Argument {
  std::optional<Name> name;  // named argument
  ExprPtr value;
};
// f(a, b = c). A call written `x |> f(a)` has `piped` set and x as its first argument; `x |> f` has no parentheses.
struct Call {
  Name callee;
  std::vector<Argument> arguments;
  bool piped = false;
  bool parentheses = true;
};
// One position between the brackets of x[...].
struct Subscript {
  enum class Kind : uint8_t { Index, Range, Ellipsis } kind = Kind::Index;
  ExprPtr index;               // Index
  ExprPtr start, stop, step;   // Range; each may be null
  SourceRange range;
};
struct Index { ExprPtr base; std::vector<Subscript> subscripts; };

struct Block;
struct ScanExpr {
  std::vector<Name> names;         // one step's elements
  std::vector<ExprPtr> sequences;
  ExprPtr axis;
  bool reverse = false;
  std::vector<std::pair<Name, ExprPtr>> carry;
  std::unique_ptr<Block> body;
};

// `like(x)` and dtype names are types; they also stand in expressions: cast(x, f32), zeros(...).
struct TypeExpr;
struct TypeLiteral { std::unique_ptr<TypeExpr> type; };

struct Expr {
  SourceRange range;
  bool parenthesized = false;
  int height = 1;  // levels of the tree below and with this one; the parser bounds it, so recursion over trees is safe
  std::variant<IntLiteral, FloatLiteral, BoolLiteral, StringLiteral, NameRef, ListExpr, Unary, Binary, Call, Index, ScanExpr, TypeLiteral,
               PathRef>
      node;
};

struct Dim {
  enum class Kind : uint8_t { Extent, Spread } kind = Kind::Extent;
  ExprPtr extent;            // Extent: a NameRef that may bind, or any constant expression
  std::optional<Name> name;  // Spread: `..name`, or `..` without
  SourceRange range;
};
struct TypeExpr {
  enum class Kind : uint8_t { Tensor, Like, Int, Float, Bool, String, Function, List } kind = Kind::Tensor;
  DType dtype = DType::F32;            // Tensor. `bool` without brackets is Kind::Bool: the context decides whether a tensor is meant
  bool has_brackets = false;           // Tensor: f32[] and f32 are both scalars
  std::vector<Dim> dims;
  ExprPtr like;                        // Like
  std::unique_ptr<TypeExpr> element;   // List
  SourceRange range;
};

// One `// …`, without the slashes.
struct Comment {
  std::string text;
  bool blank_before = false;  // an empty line separates it from what comes before
};

struct Statement;
struct Block {
  std::vector<std::unique_ptr<Statement>> statements;
  SourceRange range;                       // with the braces
  std::optional<Comment> opening_comment;  // behind the opening brace
  std::vector<Comment> trailing_comments;  // before the closing brace
};

struct Assign { std::vector<Name> targets; ExprPtr value; };
enum class DeclKind : uint8_t { Param, State, Memory };
struct Declaration { DeclKind kind; Name name; TypeExpr type; ExprPtr initializer; };
struct If { ExprPtr condition; Block then_block; std::unique_ptr<Block> else_block; bool else_is_if = false; };
struct For { Name name; ExprPtr first; ExprPtr limit; Block body; };  // limit null: `first` is a list
struct Return { std::vector<ExprPtr> values; };
struct Yield { std::vector<ExprPtr> values; };
struct Minimize { ExprPtr loss; std::vector<Path> over; ExprPtr stages; };  // stages: a call, a name, or these joined by |> (left to right)
struct ExprStatement { ExprPtr value; };

struct Statement {
  SourceRange range;
  std::vector<Comment> comments;            // before it
  bool blank_before = false;                // an empty line separates it from what comes before, its own comments included
  std::optional<Comment> trailing_comment;  // on its last line
  std::variant<Assign, Declaration, If, For, Return, Yield, Minimize, ExprStatement> node;
};

struct Parameter {
  Name name;
  std::shared_ptr<TypeExpr> type;  // null: takes any constant. Shared by names that were listed together.
  ExprPtr default_value;           // may be null; of `a, b: int = 1` it is b's alone
  bool joined = false;             // shares its type with the next parameter: `q, k: f32[n]`
};
struct ReturnType {
  std::optional<Name> name;
  TypeExpr type;
};

struct Import { std::string path; SourceRange path_range; };
struct Const { Name name; ExprPtr value; };
struct Hyper { Name name; std::optional<TypeExpr> type; ExprPtr value; };
enum class FunctionKind : uint8_t { Fn, Model, Train, Optimizer };
struct Function {
  FunctionKind kind;
  Name name;
  std::vector<Parameter> parameters;
  std::vector<ReturnType> returns;   // empty: not declared
  bool returns_parenthesized = false;
  Block body;
};

struct Item {
  SourceRange range;
  std::vector<Comment> comments;
  bool blank_before = false;
  std::optional<Comment> trailing_comment;
  std::variant<Import, Const, Hyper, Function> node;
};

struct File {
  const SourceFile* source = nullptr;
  std::vector<Item> items;
  std::vector<Comment> trailing_comments;
};

// All files that take part: the library, what was imported, and last the user's own. A file reached twice is there once.
struct Program {
  std::vector<std::unique_ptr<File>> files;
};

}  // namespace nncc::ast
