// Expressions and types.
#include <algorithm>
#include <limits>

#include "frontend/parser_impl.h"

namespace nncc {

using namespace ast;

namespace {

// Of one expression tree. Trees are walked recursively ever after.
constexpr int kMaxHeight = 1000;

// Binary operators that are left associative, by level, loosest first. Between `and` and `+` stand `not` and
// the comparisons; tighter than all are unary `-` and `**`.
constexpr int kOrLevel = 0, kAndLevel = 1, kSumLevel = 2, kProductLevel = 3;
struct LeveledOperator {
  int level;
  TokenKind token;
  std::string_view word;
  BinaryOp op;
};
constexpr LeveledOperator kOperators[] = {
    {kOrLevel, TokenKind::Word, "or", BinaryOp::Or},
    {kAndLevel, TokenKind::Word, "and", BinaryOp::And},
    {kSumLevel, TokenKind::Plus, "", BinaryOp::Add},
    {kSumLevel, TokenKind::Minus, "", BinaryOp::Sub},
    {kProductLevel, TokenKind::Star, "", BinaryOp::Mul},
    {kProductLevel, TokenKind::Slash, "", BinaryOp::Div},
    {kProductLevel, TokenKind::At, "", BinaryOp::MatMul},
};

std::optional<BinaryOp> comparison(TokenKind kind) {
  switch (kind) {
    case TokenKind::Eq:
      return BinaryOp::Eq;
    case TokenKind::Ne:
      return BinaryOp::Ne;
    case TokenKind::Lt:
      return BinaryOp::Lt;
    case TokenKind::Le:
      return BinaryOp::Le;
    case TokenKind::Gt:
      return BinaryOp::Gt;
    case TokenKind::Ge:
      return BinaryOp::Ge;
    default:
      return {};
  }
}

// The type that was probably meant, or empty.
std::string nearest_type(const std::string& word) {
  static constexpr std::pair<std::string_view, std::string_view> kElsewhere[] = {
      {"float32", "f32"}, {"float64", "f64"}, {"float16", "f16"}, {"bfloat16", "bf16"},
      {"double", "f64"},  {"half", "f16"},    {"int8", "i8"},     {"uint8", "u8"},
      {"int32", "i32"},   {"int64", "i64"},   {"str", "string"},  {"boolean", "bool"}};
  for (const auto& [elsewhere, here] : kElsewhere)
    if (word == elsewhere) return std::string(here);
  return nearest_name(
      word, {"f32", "f16", "bf16", "f64", "i8", "u8", "i32", "i64", "bool", "int", "float", "string", "fn"});
}

bool is_operator(TokenKind kind) {
  switch (kind) {
    case TokenKind::Plus:
    case TokenKind::Minus:
    case TokenKind::Star:
    case TokenKind::Slash:
    case TokenKind::At:
    case TokenKind::StarStar:
    case TokenKind::LeftBracket:
      return true;
    default:
      return comparison(kind).has_value();
  }
}

}  // namespace

template <typename Node>
ExprPtr Parser::make(SourceRange range, Node node, int height) {
  if (++height > kMaxHeight)
    fail(range, "the expression is too long; at most " + std::to_string(kMaxHeight) +
                    " operators can follow each other, so give its parts names");
  highest_ = std::max(highest_, height);
  auto expr = std::make_unique<Expr>();
  expr->range = range;
  expr->height = height;
  expr->node = std::move(node);
  return expr;
}

ExprPtr Parser::make_binary(BinaryOp op, const Token& token, ExprPtr left, ExprPtr right) {
  const int height = std::max(left->height, right->height);
  const SourceRange range{&file_, left->range.begin, right->range.end};
  return make(range, Binary{op, range_of(token), std::move(left), std::move(right)}, height);
}

// pipe = or {"|>" name ["(" arguments ")"]}
ExprPtr Parser::parse_expr() {
  const Nesting nesting(*this);
  ExprPtr left = parse_binary(kOrLevel);
  // A line that starts with |> goes on with the one before it.
  while (accept(TokenKind::Pipe)) {
    const uint32_t begin = left->range.begin;
    const int left_height = left->height;
    Call call;
    call.piped = true;
    call.parentheses = false;
    call.callee = expect_name("a function's name after `|>`");
    call.arguments.push_back({std::nullopt, std::move(left)});
    int height = left_height;
    if (at(TokenKind::LeftParen) && continues()) {
      call.parentheses = true;
      parse_arguments(call);
      for (const Argument& argument : call.arguments) height = std::max(height, argument.value->height);
    } else if (at(TokenKind::Dot) && continues()) {
      fail_expected("a function after `|>`");
    }
    left = make(range_from(begin), std::move(call), height);
    if (continues() && is_operator(peek().kind))
      fail(range_of(peek()), "`|>` binds looser than " + describe(peek()) +
                                 "; put what comes before into parentheses, as in `(x |> f) + 1`");
  }
  return left;
}

ExprPtr Parser::parse_binary(int level) {
  const auto operand = [&]() -> ExprPtr {
    switch (level) {
      case kOrLevel:
        return parse_binary(kAndLevel);
      case kAndLevel:
        return parse_not();
      case kSumLevel:
        return parse_binary(kProductLevel);
      default:
        return parse_unary();
    }
  };
  ExprPtr left = operand();
  while (continues()) {
    const Token token = peek();
    const auto* op =
        std::find_if(std::begin(kOperators), std::end(kOperators), [&](const LeveledOperator& o) {
          return o.level == level && o.token == token.kind &&
                 (o.word.empty() || o.word == lexer_.text(token));
        });
    if (op == std::end(kOperators)) break;
    take();
    if (at(TokenKind::Assign) && peek().begin == token.end)
      fail({&file_, token.begin, peek().end},
           "there is no `" + std::string(lexer_.text(token)) + "=`; write the name on both sides of `=`");
    if (token.kind == TokenKind::Slash && at(TokenKind::Star) && peek().begin == token.end)
      fail({&file_, token.begin, peek().end}, "a comment starts with `//` and ends with its line");
    left = make_binary(op->op, token, std::move(left), operand());
  }
  return left;
}

ExprPtr Parser::parse_not() {
  if (!at_word("not")) return parse_comparison();
  const Nesting nesting(*this);
  const Token token = take();
  ExprPtr operand = parse_not();
  const int height = operand->height;
  return make(range_from(token.begin), Unary{UnaryOp::Not, std::move(operand)}, height);
}

ExprPtr Parser::parse_comparison() {
  ExprPtr left = parse_binary(kSumLevel);
  if (!continues()) return left;
  const Token token = peek();
  const auto op = comparison(token.kind);
  if (!op) return left;
  take();
  ExprPtr result = make_binary(*op, token, std::move(left), parse_binary(kSumLevel));
  if (continues() && comparison(peek().kind))
    fail(range_of(peek()), "comparisons do not chain; write `a < b and b < c`");
  return result;
}

ExprPtr Parser::parse_unary() {
  if (!at(TokenKind::Minus) && !at(TokenKind::Plus)) return parse_power();
  const Nesting nesting(*this);
  const Token token = take();
  if (token.kind == TokenKind::Plus) return parse_unary();  // says nothing
  // The smallest integer is not the negative of another.
  if (at(TokenKind::Int) && peek().integer == uint64_t{1} << 63 && !at(TokenKind::StarStar, 1)) {
    take();
    return make(range_from(token.begin), IntLiteral{INT64_MIN}, 0);
  }
  ExprPtr operand = parse_unary();
  const int height = operand->height;
  return make(range_from(token.begin), Unary{UnaryOp::Neg, std::move(operand)}, height);
}

ExprPtr Parser::parse_power() {
  ExprPtr base = parse_postfix();
  if (!at(TokenKind::StarStar) || !continues()) return base;
  const Nesting nesting(*this);
  const Token token = take();
  return make_binary(BinaryOp::Pow, token, std::move(base), parse_unary());
}

ExprPtr Parser::parse_postfix() {
  ExprPtr base = parse_primary();
  while (at(TokenKind::LeftBracket) && continues()) {
    const uint32_t begin = base->range.begin;
    int height = base->height;
    Index index{std::move(base), {}};
    const Token open = peek();
    bracketed(TokenKind::LeftBracket, TokenKind::RightBracket, "`[`", [&] {
      Subscript s = parse_subscript();
      for (const ExprPtr* part : {&s.index, &s.start, &s.stop, &s.step})
        if (*part) height = std::max(height, (*part)->height);
      index.subscripts.push_back(std::move(s));
    });
    if (index.subscripts.empty()) fail(range_from(open.begin), "expected an index between `[` and `]`");
    base = make(range_from(begin), std::move(index), height);
  }
  if (at(TokenKind::LeftParen) && continues())
    fail(range_of(peek()),
         "expected an operator or the end of the statement, found `(`; only a name can be called");
  return base;
}

Subscript Parser::parse_subscript() {
  Subscript s;
  const uint32_t begin = peek().begin;
  if (accept(TokenKind::DotDot)) {
    s.kind = Subscript::Kind::Ellipsis;
  } else {
    ExprPtr first;
    if (!at(TokenKind::Colon)) first = parse_expr();
    if (accept(TokenKind::Colon)) {
      const auto ends = [&] {
        return at(TokenKind::Colon) || at(TokenKind::Comma) || at(TokenKind::RightBracket);
      };
      s.kind = Subscript::Kind::Range;
      s.start = std::move(first);
      if (!ends()) s.stop = parse_expr();
      if (accept(TokenKind::Colon) && !ends()) s.step = parse_expr();
    } else {
      s.index = std::move(first);
    }
  }
  s.range = range_from(begin);
  return s;
}

ExprPtr Parser::parse_primary() {
  const Token token = peek();
  if (!continues()) fail_expected("an expression");
  switch (token.kind) {
    case TokenKind::Int:
    case TokenKind::Float:
      return parse_number();
    case TokenKind::String:
      take();
      return make(range_of(token), StringLiteral{decode_string(lexer_.text(token))}, 0);
    case TokenKind::Word:
      return parse_name_or_call();
    case TokenKind::LeftBracket: {
      ListExpr list;
      int height = 0;
      bracketed(TokenKind::LeftBracket, TokenKind::RightBracket, "`[`", [&] {
        list.elements.push_back(parse_expr());
        height = std::max(height, list.elements.back()->height);
      });
      return make(range_from(token.begin), std::move(list), height);
    }
    case TokenKind::LeftParen: {
      take();
      ++brackets_;
      ExprPtr inner = parse_expr();
      if (at(TokenKind::Comma)) fail(range_of(peek()), "expected `)`, found `,`; a list is written `[a, b]`");
      if (!at(TokenKind::RightParen)) fail_expected("`)`", range_of(token));
      take();
      --brackets_;
      inner->parenthesized = true;
      inner->range = range_from(token.begin);
      return inner;
    }
    default:
      fail_expected("an expression");
  }
}

ExprPtr Parser::parse_number() {
  const Token token = take();
  if (token.kind == TokenKind::Float)
    return make(range_of(token), FloatLiteral{token.real, std::string(lexer_.text(token))}, 0);
  if (token.integer > static_cast<uint64_t>(INT64_MAX))
    fail(range_of(token), "the integer does not fit in 64 bits");
  return make(range_of(token), IntLiteral{static_cast<int64_t>(token.integer)}, 0);
}

ExprPtr Parser::parse_name_or_call() {
  const Token token = peek();
  const std::string word(lexer_.text(token));
  if (word == "true" || word == "false") {
    take();
    return make(range_of(token), BoolLiteral{word == "true"}, 0);
  }
  if (word == "inf") {
    take();
    return make(range_of(token), FloatLiteral{std::numeric_limits<double>::infinity(), word}, 0);
  }
  if (parse_dtype(word) || (word == "like" && at(TokenKind::LeftParen, 1))) return parse_type_literal();
  if (is_reserved(word)) {
    if (word == "not")
      fail(range_of(token), "expected an expression, found `not`; put `not …` into parentheses");
    fail_expected("an expression");
  }
  if (word == "scan" && at(TokenKind::Word, 1) && !peek(1).newline_before) return parse_scan();
  take();
  if (at(TokenKind::LeftParen) && continues()) {
    Call call;
    call.callee = {word, range_of(token)};
    parse_arguments(call);
    int height = 0;
    for (const Argument& argument : call.arguments) height = std::max(height, argument.value->height);
    return make(range_from(token.begin), std::move(call), height);
  }
  if (!at(TokenKind::Dot) || !continues()) return make(range_of(token), NameRef{word}, 0);
  Path path;
  path.parts.push_back({word, range_of(token)});
  while (continues() && accept(TokenKind::Dot)) path.parts.push_back(expect_name("a part of the path"));
  path.range = range_from(token.begin);
  if (at(TokenKind::LeftParen) && continues()) {
    const std::string& method = path.parts.back().text;
    fail(path.range, "values have no methods; write `" + method + "(" + word + ", …)` or `" + word + " |> " +
                         method + "(…)`");
  }
  const SourceRange range = path.range;
  return make(range, PathRef{std::move(path)}, 0);
}

void Parser::parse_arguments(Call& call) {
  SourceRange first_named;
  bracketed(TokenKind::LeftParen, TokenKind::RightParen, "`(`", [&] {
    Argument argument;
    const Token first = peek();
    if (first.kind == TokenKind::Word && at(TokenKind::Assign, 1)) {
      argument.name = Name{std::string(lexer_.text(take())), range_of(first)};
      take();
      for (const Argument& other : call.arguments)
        if (other.name && other.name->text == argument.name->text) {
          report(range_of(first), "argument `" + argument.name->text + "` is given twice")
              .note(other.name->range, "first given here");
          throw ParseError();
        }
      first_named = range_of(first);
    }
    argument.value = parse_expr();
    if (!argument.name && first_named) {
      report(argument.value->range,
             "expected `name = value`, found a value without a name; such arguments come first")
          .note(first_named, "the first argument with a name");
      throw ParseError();
    }
    call.arguments.push_back(std::move(argument));
  });
}

// scan a, b in x, y axis 1 [reverse] [carry (h = …)] { … }
ExprPtr Parser::parse_scan() {
  const Token token = take();
  ScanExpr scan;
  const int outer_highest = highest_;
  highest_ = 0;
  do scan.names.push_back(expect_name("a name for the elements of the sequence"));
  while (accept(TokenKind::Comma));
  expect_word("in");
  do scan.sequences.push_back(parse_expr());
  while (accept(TokenKind::Comma));
  expect_word("axis");
  scan.axis = parse_expr();
  if (continues()) scan.reverse = accept_word("reverse");
  if (continues() && accept_word("carry"))
    bracketed(TokenKind::LeftParen, TokenKind::RightParen, "`(` and the carried values", [&] {
      Name name = expect_name("the name of a carried value");
      expect(TokenKind::Assign, "`=` and the first value");
      scan.carry.emplace_back(std::move(name), parse_expr());
    });
  std::vector<Comment> outer = std::move(inner_comments_);
  scan.body = std::make_unique<Block>(parse_block("`scan`"));
  inner_comments_.insert(inner_comments_.begin(), outer.begin(), outer.end());
  const int height = highest_;
  highest_ = std::max(highest_, outer_highest);
  return make(range_from(token.begin), std::move(scan), height);
}

ExprPtr Parser::parse_type_literal() {
  const uint32_t begin = peek().begin;
  const int outer_highest = highest_;
  highest_ = 0;
  auto type = std::make_unique<TypeExpr>(parse_type());
  const int height = highest_;
  highest_ = std::max(highest_, outer_highest);
  return make(range_from(begin), TypeLiteral{std::move(type)}, height);
}

TypeExpr Parser::parse_type() {
  const Nesting nesting(*this);
  TypeExpr type;
  const Token token = peek();
  const auto done = [&]() -> TypeExpr&& {
    type.range = range_from(token.begin);
    return std::move(type);
  };
  if (at(TokenKind::LeftBracket)) {
    type.kind = TypeExpr::Kind::List;
    take();
    ++brackets_;
    type.element = std::make_unique<TypeExpr>(parse_type());
    if (!at(TokenKind::RightBracket)) fail_expected("`]`", range_of(token));
    take();
    --brackets_;
    return done();
  }
  if (!at(TokenKind::Word)) fail_expected("a type");
  const std::string word(lexer_.text(token));
  static const std::pair<std::string_view, TypeExpr::Kind> constant_types[] = {
      {"int", TypeExpr::Kind::Int},
      {"float", TypeExpr::Kind::Float},
      {"string", TypeExpr::Kind::String},
      {"fn", TypeExpr::Kind::Function}};
  for (const auto& [name, kind] : constant_types) {
    if (word != name) continue;
    take();
    type.kind = kind;
    return done();
  }
  if (word == "like") {
    take();
    const Token open = expect(TokenKind::LeftParen, "`(` and a tensor");
    ++brackets_;
    type.kind = TypeExpr::Kind::Like;
    type.like = parse_expr();
    if (!at(TokenKind::RightParen)) fail_expected("`)`", range_of(open));
    take();
    --brackets_;
    return done();
  }
  const auto dtype = parse_dtype(word);
  if (!dtype) {
    const std::string near = nearest_type(word);
    fail(range_of(token), "expected a type, found `" + word + "`" +
                              (near.empty() ? std::string() : "; did you mean `" + near + "`?"));
  }
  take();
  type.dtype = *dtype;
  type.kind = *dtype == DType::Bool ? TypeExpr::Kind::Bool : TypeExpr::Kind::Tensor;
  if (at(TokenKind::LeftBracket) && continues()) {
    type.kind = TypeExpr::Kind::Tensor;
    type.has_brackets = true;
    bracketed(TokenKind::LeftBracket, TokenKind::RightBracket, "`[`",
              [&] { type.dims.push_back(parse_dim()); });
  }
  return done();
}

Dim Parser::parse_dim() {
  Dim dim;
  const uint32_t begin = peek().begin;
  if (accept(TokenKind::DotDot)) {
    dim.kind = Dim::Kind::Spread;
    if (at(TokenKind::Word)) dim.name = expect_name("a name");
  } else {
    dim.extent = parse_expr();
  }
  dim.range = range_from(begin);
  return dim;
}

}  // namespace nncc
