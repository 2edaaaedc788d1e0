#include "frontend/parser.h"

#include <algorithm>
#include <span>
#include <utility>

#include "frontend/parser_impl.h"

namespace nncc {

using namespace ast;

namespace {

constexpr int kMaxNesting = 256;

constexpr std::string_view kItemWords[] = {"import", "const", "hyper", "fn", "model", "train", "optimizer"};
constexpr std::string_view kReservedWords[] = {"and",      "else", "false", "for",    "if",   "in",   "inf",
                                               "minimize", "not",  "or",    "return", "true", "yield"};

bool contains(std::span<const std::string_view> words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

bool is_reserved(std::string_view word) { return contains(kReservedWords, word) || parse_dtype(word); }

Parser::Nesting::Nesting(Parser& parser) : parser_(parser) {
  if (++parser_.nesting_ > kMaxNesting) {
    --parser_.nesting_;  // no destructor will run
    parser_.fail(parser_.range_of(parser_.peek()),
                 "nested too deeply; at most " + std::to_string(kMaxNesting) + " levels can be open");
  }
}

const Token& Parser::peek(size_t ahead) {
  while (ahead_.size() <= ahead) ahead_.push_back(lexer_.next(comments_));
  return ahead_[ahead];
}

Token Parser::take() {
  const Token token = peek();
  ahead_.pop_front();
  last_end_ = token.end;
  last_joins_ = joins_lines(token);
  return token;
}

// Whether the statement goes on in the next line.
bool Parser::joins_lines(const Token& t) const {
  switch (t.kind) {
    case TokenKind::Comma:
    case TokenKind::Pipe:
    case TokenKind::Eq:
    case TokenKind::Ne:
    case TokenKind::Lt:
    case TokenKind::Le:
    case TokenKind::Gt:
    case TokenKind::Ge:
    case TokenKind::Plus:
    case TokenKind::Minus:
    case TokenKind::Star:
    case TokenKind::Slash:
    case TokenKind::At:
    case TokenKind::StarStar:
      return true;
    case TokenKind::Word: {
      const std::string_view word = lexer_.text(t);
      return word == "and" || word == "or" || word == "not";
    }
    default:
      return false;
  }
}

bool Parser::at_word(std::string_view word, size_t ahead) {
  const Token& token = peek(ahead);
  return token.kind == TokenKind::Word && lexer_.text(token) == word;
}

bool Parser::accept(TokenKind kind) {
  if (!at(kind)) return false;
  take();
  return true;
}

bool Parser::accept_word(std::string_view word) {
  if (!at_word(word)) return false;
  take();
  return true;
}

Token Parser::expect(TokenKind kind, std::string_view what) {
  if (!at(kind)) fail_expected(what);
  return take();
}

void Parser::expect_word(std::string_view word) {
  if (!at_word(word) || !continues()) fail_expected("`" + std::string(word) + "`");
  take();
}

Name Parser::expect_name(std::string_view what) {
  if (!at(TokenKind::Word)) fail_expected(what);
  const std::string text(lexer_.text(peek()));
  if (is_reserved(text))
    fail(range_of(peek()), "expected " + std::string(what) + ", found `" + text + "`, which is " +
                               (parse_dtype(text) ? "a type" : "a reserved word"));
  const Token token = take();
  return {text, range_of(token)};
}

std::string Parser::describe(const Token& t) {
  if (t.kind == TokenKind::End) return "the end of the file";
  return "`" + std::string(lexer_.text(t)) + "`";
}

Diagnostics::Handle Parser::report(SourceRange range, std::string message) {
  return diags_.error(range, std::move(message));
}

void Parser::fail(SourceRange range, std::string message) {
  report(range, std::move(message));
  throw ParseError();
}

void Parser::fail_expected(std::string_view what, SourceRange opened, std::string hint) {
  const Token& found = peek();
  if (found.kind == TokenKind::Invalid) throw ParseError();  // reported by the lexer
  const bool line_ended = !continues() && found.kind != TokenKind::End;
  const SourceRange range = line_ended ? SourceRange{&file_, last_end_, last_end_} : range_of(found);
  std::string message = "expected " + std::string(what) + ", found ";
  message += line_ended ? "the end of the line" : describe(found);
  if (!hint.empty()) message += "; " + hint;
  auto handle = report(range, std::move(message));
  if (opened) handle.note(opened, "opened here");
  throw ParseError();
}

bool Parser::starts_item(size_t ahead) {
  const Token token = peek(ahead);
  if (token.kind != TokenKind::Word || !contains(kItemWords, lexer_.text(token))) return false;
  if (peek(ahead + 1).newline_before) return false;
  return at(lexer_.text(token) == "import" ? TokenKind::String : TokenKind::Word, ahead + 1);
}

bool Parser::starts_statement() {
  if (!at(TokenKind::Word)) return false;
  const std::string_view word = lexer_.text(peek());
  if (contains(std::array<std::string_view, 5>{"if", "for", "return", "yield", "minimize"}, word))
    return true;
  return contains(std::array<std::string_view, 3>{"param", "state", "memory"}, word) &&
         at(TokenKind::Word, 1);
}

uint32_t Parser::indentation(uint32_t offset) const {
  const size_t newline = file_.text.rfind('\n', offset);
  return newline == std::string::npos ? offset : offset - static_cast<uint32_t>(newline) - 1;
}

void Parser::skip_to_statement(uint32_t started_at) {
  const uint32_t column = indentation(started_at);
  int braces = 0;
  int brackets = brackets_;
  bool moved = peek().begin > started_at;
  for (; !at(TokenKind::End); take(), moved = true) {
    const Token token = peek();
    if (token.first_in_line && starts_item()) return;
    if (braces == 0 && token.kind == TokenKind::RightBrace) return;
    // Inside brackets that may never be closed, what stands below the statement's first word starts the next
    // one.
    if (moved && braces == 0 && token.newline_before &&
        (brackets == 0 || starts_statement() || indentation(token.begin) <= column))
      return;
    switch (token.kind) {
      case TokenKind::LeftBrace:
        ++braces;
        break;
      case TokenKind::RightBrace:
        --braces;
        break;
      case TokenKind::LeftParen:
      case TokenKind::LeftBracket:
        ++brackets;
        break;
      case TokenKind::RightParen:
      case TokenKind::RightBracket:
        brackets = std::max(0, brackets - 1);
        break;
      default:
        break;
    }
  }
}

void Parser::skip_to_item(uint32_t started_at) {
  int braces = 0;
  bool moved = peek().begin > started_at;
  for (; !at(TokenKind::End); take(), moved = true) {
    const Token token = peek();
    if (moved && token.newline_before && (braces == 0 || token.first_in_line) && starts_item()) return;
    // What else stands at the start of a line was meant as an item, too.
    if (moved && token.first_in_line && braces == 0 && token.kind == TokenKind::Word) return;
    if (token.kind == TokenKind::LeftBrace) ++braces;
    if (token.kind == TokenKind::RightBrace) braces = std::max(0, braces - 1);
  }
}

void Parser::take_comments(uint32_t before, std::vector<Comment>& into) {
  while (!comments_.empty() && comments_.front().begin < before) {
    into.push_back({std::move(comments_.front().text), comments_.front().blank_before});
    comments_.pop_front();
  }
}

std::optional<Comment> Parser::take_trailing_comment() {
  const uint32_t next = peek().begin;
  if (comments_.empty() || comments_.front().own_line || comments_.front().begin >= next) return {};
  Comment comment{std::move(comments_.front().text), false};
  comments_.pop_front();
  return comment;
}

// An empty line before the first thing in a block or file means nothing.
template <typename Node>
void drop_blank_before(std::vector<Comment>& comments, Node* node) {
  if (!comments.empty())
    comments.front().blank_before = false;
  else if (node)
    node->blank_before = false;
}

template <typename Node>
void Parser::begin_commented(Node& node) {
  const Token first = peek();
  started_at_ = first.begin;
  take_comments(first.begin, node.comments);
  node.blank_before = first.blank_before;
}

// Comments inside the node go before it: there is no better place that a tree could keep.
template <typename Node>
void Parser::end_commented(Node& node) {
  node.range.end = last_end_;
  std::vector<Comment> inner = std::move(inner_comments_);
  inner_comments_.clear();
  take_comments(last_end_, inner);
  for (Comment& comment : inner) {
    comment.blank_before = std::exchange(node.blank_before, false);
    node.comments.push_back(std::move(comment));
  }
  node.trailing_comment = take_trailing_comment();
}

// Items.

std::unique_ptr<File> Parser::parse_file() {
  auto file = std::make_unique<File>();
  file->source = &file_;
  while (!at(TokenKind::End)) {
    const uint32_t start = peek().begin;
    try {
      file->items.push_back(parse_item());
      if (file->items.size() == 1) drop_blank_before(file->items.front().comments, &file->items.front());
    } catch (const ParseError&) {
      skip_to_item(start);
      brackets_ = 0;
    }
  }
  take_comments(UINT32_MAX, file->trailing_comments);
  if (file->items.empty()) drop_blank_before<Item>(file->trailing_comments, nullptr);
  return file;
}

Item Parser::parse_item() {
  Item item;
  begin_commented(item);
  const Token first = peek();
  item.range = {&file_, first.begin, first.begin};
  const std::string word(first.kind == TokenKind::Word ? lexer_.text(first) : std::string_view());
  const auto function = [&](FunctionKind kind) {
    take();
    return parse_function(kind);
  };
  if (word == "import")
    item.node = parse_import();
  else if (word == "const")
    item.node = parse_const();
  else if (word == "hyper")
    item.node = parse_hyper();
  else if (word == "fn")
    item.node = function(FunctionKind::Fn);
  else if (word == "model")
    item.node = function(FunctionKind::Model);
  else if (word == "train")
    item.node = function(FunctionKind::Train);
  else if (word == "optimizer")
    item.node = function(FunctionKind::Optimizer);
  else if (first.kind == TokenKind::RightBrace)
    fail(range_of(first), "unexpected `}`; no block is open here");
  else {
    std::string hint;
    if (at(TokenKind::Assign, 1)) {
      hint = "a constant is written `const " + word + " = …`";
    } else if (starts_statement()) {
      hint = "`" + word + "` stands inside the body of a function";
    } else if (word == "def" || word == "func" || word == "function") {
      hint = "did you mean `fn`?";
    } else {
      const std::string near = nearest_name(word, {std::begin(kItemWords), std::end(kItemWords)});
      if (!near.empty()) hint = "did you mean `" + near + "`?";
    }
    fail_expected("`const`, `hyper`, `fn`, `model`, `train`, `optimizer` or `import`", {}, hint);
  }
  if (!at(TokenKind::End) && !peek().newline_before) fail_expected("the end of the line");
  end_commented(item);
  return item;
}

Import Parser::parse_import() {
  take();
  if (!continues()) fail_expected("the file's name in quotes");
  const Token path = expect(TokenKind::String, "the file's name in quotes");
  return {decode_string(lexer_.text(path)), range_of(path)};
}

Const Parser::parse_const() {
  take();
  Const item{expect_name("the constant's name"), nullptr};
  if (at(TokenKind::Colon)) fail_expected("`=`", {}, "a constant's type is that of its value");
  expect(TokenKind::Assign, "`=` and the constant's value");
  item.value = parse_expr();
  return item;
}

Hyper Parser::parse_hyper() {
  take();
  Hyper item{expect_name("the hyper's name"), std::nullopt, nullptr};
  if (accept(TokenKind::Colon)) item.type = parse_type();
  expect(TokenKind::Assign, "`=` and the default value");
  item.value = parse_expr();
  return item;
}

Function Parser::parse_function(FunctionKind kind) {
  Function function;
  function.kind = kind;
  function.name = expect_name("a name");
  bracketed(TokenKind::LeftParen, TokenKind::RightParen, "`(` and the parameters",
            [&] { parse_parameters(function.parameters); });
  if (at(TokenKind::Arrow)) parse_returns(function);
  function.body = parse_block("`" + function.name.text + "`");
  return function;
}

// One parameter, or several names that share a type. With a default it is the last name's alone, but for a
// type with extents: in `units, activation: fn = relu` nobody means `units` to be a function.
void Parser::parse_parameters(std::vector<Parameter>& into) {
  const size_t first = into.size();
  do {
    if (into.size() > first && at(TokenKind::RightParen)) break;  // trailing comma
    Parameter& parameter = into.emplace_back();
    parameter.name = expect_name("a parameter's name");
  } while (!at(TokenKind::Colon) && !at(TokenKind::Assign) && at(TokenKind::Comma) &&
           at(TokenKind::Word, 1) && (take(), true));
  if (accept(TokenKind::Colon)) {
    const auto type = std::make_shared<TypeExpr>(parse_type());
    const bool is_shared = type->has_brackets || !at(TokenKind::Assign);
    for (size_t i = is_shared ? first : into.size() - 1; i < into.size(); ++i) {
      into[i].type = type;
      into[i].joined = i + 1 < into.size();
    }
  }
  if (accept(TokenKind::Assign)) into.back().default_value = parse_expr();
}

void Parser::parse_returns(Function& function) {
  take();
  const auto one = [&] {
    ReturnType& type = function.returns.emplace_back();
    if (at(TokenKind::Word) && at(TokenKind::Colon, 1)) {
      type.name = expect_name("the result's name");
      take();
    }
    type.type = parse_type();
  };
  if (!at(TokenKind::LeftParen)) return one();
  function.returns_parenthesized = true;
  const Token open = peek();
  bracketed(TokenKind::LeftParen, TokenKind::RightParen, "`(`", one);
  if (function.returns.empty())
    fail(range_from(open.begin), "expected the types of the results between `(` and `)`");
}

// Statements.

Block Parser::parse_block(std::string_view owner) {
  const Nesting nesting(*this);
  if (!at(TokenKind::LeftBrace)) fail_expected("`{` and the body of " + std::string(owner));
  Block block;
  std::vector<Comment> before;
  take_comments(peek().begin, before);
  const Token open = take();
  const int outer_brackets = brackets_;
  brackets_ = 0;
  block.opening_comment = take_trailing_comment();
  while (!at(TokenKind::RightBrace)) {
    const Token first = peek();
    if (first.kind == TokenKind::End || (first.first_in_line && starts_item())) {
      if (unclosed_at_ != first.begin)
        report(range_of(first),
               "expected `}` to close the body of " + std::string(owner) + ", found " + describe(first))
            .note(range_of(open), "opened here");
      unclosed_at_ = first.begin;
      break;
    }
    try {
      block.statements.push_back(parse_statement());
      if (block.statements.size() == 1)
        drop_blank_before(block.statements.front()->comments, block.statements.front().get());
    } catch (const ParseError&) {
      skip_to_statement(first.begin);
      brackets_ = 0;
      inner_comments_.clear();
    }
  }
  take_comments(peek().begin, block.trailing_comments);
  if (block.statements.empty()) drop_blank_before<Statement>(block.trailing_comments, nullptr);
  accept(TokenKind::RightBrace);
  brackets_ = outer_brackets;
  block.range = range_from(open.begin);
  inner_comments_ = std::move(before);
  return block;
}

std::unique_ptr<Statement> Parser::parse_statement() {
  auto statement = std::make_unique<Statement>();
  begin_commented(*statement);
  statement->range = {&file_, peek().begin, peek().begin};
  parse_statement_node(*statement);
  const Token& next = peek();
  if (!next.newline_before && next.kind != TokenKind::RightBrace) {
    if (next.kind == TokenKind::Assign)
      fail(range_of(next), "only names can be assigned to; a value never changes");
    fail_expected("the end of the statement");
  }
  end_commented(*statement);
  return statement;
}

void Parser::parse_statement_node(Statement& statement) {
  const Token first = peek();
  const std::string_view word = first.kind == TokenKind::Word ? lexer_.text(first) : std::string_view();
  const Token second = word.empty() ? Token() : peek(1);
  const bool word_follows = second.kind == TokenKind::Word && !second.newline_before;
  if (word == "if") {
    statement.node = parse_if();
  } else if (word == "for") {
    statement.node = parse_for();
  } else if (word == "return") {
    take();
    Return node;
    if (!peek().newline_before && !at(TokenKind::RightBrace)) node.values = parse_values();
    statement.node = std::move(node);
  } else if (word == "yield") {
    take();
    statement.node = Yield{parse_values()};
  } else if (word == "minimize") {
    statement.node = parse_minimize();
  } else if (word == "param" && word_follows) {
    statement.node = parse_declaration(DeclKind::Param);
  } else if (word == "state" && word_follows) {
    statement.node = parse_declaration(DeclKind::State);
  } else if (word == "memory" && word_follows) {
    statement.node = parse_declaration(DeclKind::Memory);
  } else if (word == "else") {
    fail(range_of(first), "`else` without an `if` before it");
  } else if (contains(kItemWords, word) && word_follows) {
    fail(range_of(first),
         "`" + std::string(word) + "` cannot stand inside a body; write it at the top level");
  } else if ((word == "let" || word == "var") && word_follows) {
    fail(range_of(first),
         "a name needs no `" + std::string(word) + "`; write `" + std::string(lexer_.text(second)) + " = …`");
  } else if (second.kind == TokenKind::Colon) {
    fail(range_of(first), "expected `param`, `state` or `memory` before `" + std::string(word) +
                              "`; other names take the type of their value");
  } else if (second.kind == TokenKind::Assign || second.kind == TokenKind::Comma) {
    statement.node = parse_assign();
  } else {
    statement.node = ExprStatement{parse_expr()};
  }
}

Assign Parser::parse_assign() {
  Assign assign;
  do assign.targets.push_back(expect_name("a name to assign to"));
  while (accept(TokenKind::Comma));
  if (!continues()) fail_expected("`=` and a value");
  expect(TokenKind::Assign, "`=` and a value");
  assign.value = parse_expr();
  return assign;
}

Declaration Parser::parse_declaration(DeclKind kind) {
  const std::string word(lexer_.text(take()));
  Declaration declaration{kind, expect_name("a name"), {}, nullptr};
  if (!continues() || !at(TokenKind::Colon)) fail_expected("`:` and a type");
  take();
  declaration.type = parse_type();
  if (!continues() || !at(TokenKind::Assign))
    fail_expected("`=` and an initializer", {}, "for example `= zeros()`");
  take();
  declaration.initializer = parse_expr();
  return declaration;
}

If Parser::parse_if() {
  take();
  If node;
  node.condition = parse_expr();
  node.then_block = parse_block("`if`");
  if (!accept_word("else")) return node;
  node.else_block = std::make_unique<Block>();
  std::vector<Comment> inner = std::move(inner_comments_);
  inner_comments_.clear();
  if (at_word("if")) {
    // `else if` is an `else` whose block holds one `if`.
    const Nesting nesting(*this);
    node.else_is_if = true;
    auto statement = std::make_unique<Statement>();
    const uint32_t begin = peek().begin;
    statement->range = {&file_, begin, begin};
    statement->node = parse_if();
    statement->range.end = last_end_;
    node.else_block->range = statement->range;
    node.else_block->statements.push_back(std::move(statement));
  } else {
    *node.else_block = parse_block("`else`");
  }
  inner_comments_.insert(inner_comments_.begin(), inner.begin(), inner.end());
  return node;
}

For Parser::parse_for() {
  take();
  For node{expect_name("the loop's name"), nullptr, nullptr, {}};
  expect_word("in");
  node.first = parse_expr();
  if (continues() && accept(TokenKind::DotDot)) node.limit = parse_expr();
  node.body = parse_block("`for`");
  return node;
}

Minimize Parser::parse_minimize() {
  take();
  Minimize node;
  node.loss = parse_expr();
  if (at_word("over") && continues()) {
    do {
      take();
      node.over.push_back(parse_path());
    } while (at(TokenKind::Comma));
  }
  expect_word("with");
  node.stages = parse_expr();
  return node;
}

Path Parser::parse_path() {
  Path path;
  path.parts.push_back(expect_name("a model's name or a parameter's path"));
  while (continues() && accept(TokenKind::Dot)) path.parts.push_back(expect_name("a part of the path"));
  path.range = range_from(path.parts.front().range.begin);
  return path;
}

std::vector<ExprPtr> Parser::parse_values() {
  std::vector<ExprPtr> values;
  do values.push_back(parse_expr());
  while (accept(TokenKind::Comma));
  return values;
}

std::unique_ptr<File> parse_file(const SourceFile& file, Diagnostics& diags) {
  return Parser(file, diags).parse_file();
}

}  // namespace nncc
