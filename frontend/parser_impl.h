// The parser's class, shared by parser.cpp (items and statements) and parse_expression.cpp (expressions and
// types).
#pragma once
#include <array>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/ast.h"
#include "frontend/lexer.h"
#include "ir/diagnostic.h"

namespace nncc {

// Recursive descent over a lazy stream of tokens. An error is reported where it is found and thrown as
// ParseError to the nearest statement or item, which skips to the next one and goes on.
class Parser {
 public:
  Parser(const SourceFile& file, Diagnostics& diags) : file_(file), diags_(diags), lexer_(file, diags) {}
  std::unique_ptr<ast::File> parse_file();

 private:
  struct ParseError {};
  // Bounds how deep the parser itself recurses.
  class Nesting {
   public:
    explicit Nesting(Parser& parser);
    ~Nesting() { --parser_.nesting_; }
    Nesting(const Nesting&) = delete;

   private:
    Parser& parser_;
  };

  // Tokens.
  const Token& peek(size_t ahead = 0);
  Token take();
  bool at(TokenKind kind, size_t ahead = 0) { return peek(ahead).kind == kind; }
  bool at_word(std::string_view word, size_t ahead = 0);
  bool accept(TokenKind kind);
  bool accept_word(std::string_view word);
  Token expect(TokenKind kind, std::string_view what);
  void expect_word(std::string_view word);
  ast::Name expect_name(std::string_view what);
  // Whether the next token belongs to the same statement: it stands on the same line, inside brackets, or
  // behind a comma or an operator.
  bool continues() {
    return brackets_ > 0 || last_joins_ || !peek().newline_before || peek().begin == started_at_;
  }
  bool joins_lines(const Token& t) const;
  uint32_t indentation(uint32_t offset) const;
  SourceRange range_from(uint32_t begin) const { return {&file_, begin, last_end_}; }
  SourceRange range_of(const Token& t) const { return {&file_, t.begin, t.end}; }
  std::string describe(const Token& t);

  // Errors.
  Diagnostics::Handle report(SourceRange range, std::string message);
  [[noreturn]] void fail(SourceRange range, std::string message);
  // "expected `what`, found …" at the next token, or behind the last one where the line ends.
  [[noreturn]] void fail_expected(std::string_view what, SourceRange opened = {}, std::string hint = {});
  void skip_to_statement(uint32_t started_at);
  void skip_to_item(uint32_t started_at);
  bool starts_item(size_t ahead = 0);
  bool starts_statement();

  // Comments.
  void take_comments(uint32_t before, std::vector<ast::Comment>& into);
  std::optional<ast::Comment> take_trailing_comment();
  template <typename Node>
  void begin_commented(Node& node);
  template <typename Node>
  void end_commented(Node& node);

  // `open` element {"," element} [","] `close`.
  template <typename Element>
  void bracketed(TokenKind open, TokenKind close, std::string_view what, Element element);

  // Items.
  ast::Item parse_item();
  ast::Import parse_import();
  ast::Const parse_const();
  ast::Hyper parse_hyper();
  ast::Function parse_function(ast::FunctionKind kind);
  void parse_parameters(std::vector<ast::Parameter>& into);
  void parse_returns(ast::Function& function);

  // Statements.
  ast::Block parse_block(std::string_view owner);
  std::unique_ptr<ast::Statement> parse_statement();
  void parse_statement_node(ast::Statement& statement);
  ast::Assign parse_assign();
  ast::Declaration parse_declaration(ast::DeclKind kind);
  ast::If parse_if();
  ast::For parse_for();
  ast::Minimize parse_minimize();
  ast::Path parse_path();
  std::vector<ast::ExprPtr> parse_values();

  // Expressions.
  ast::ExprPtr parse_expr();
  ast::ExprPtr parse_binary(int level);
  ast::ExprPtr parse_not();
  ast::ExprPtr parse_comparison();
  ast::ExprPtr parse_unary();
  ast::ExprPtr parse_power();
  ast::ExprPtr parse_postfix();
  ast::ExprPtr parse_primary();
  ast::ExprPtr parse_number();
  ast::ExprPtr parse_name_or_call();
  ast::ExprPtr parse_scan();
  ast::ExprPtr parse_type_literal();
  ast::Subscript parse_subscript();
  void parse_arguments(ast::Call& call);
  // Types.
  ast::TypeExpr parse_type();
  ast::Dim parse_dim();

  // A finished expression; `height` is that of its highest child.
  template <typename Node>
  ast::ExprPtr make(SourceRange range, Node node, int height);
  ast::ExprPtr make_binary(ast::BinaryOp op, const Token& token, ast::ExprPtr left, ast::ExprPtr right);

  const SourceFile& file_;
  Diagnostics& diags_;
  Lexer lexer_;
  std::deque<Token> ahead_;
  std::deque<LexedComment> comments_;         // met and not yet given to a node
  std::vector<ast::Comment> inner_comments_;  // met before the block of the current statement or item
  uint32_t last_end_ = 0;                     // of the last token taken
  bool last_joins_ = false;                   // that token was a comma or an operator
  uint32_t started_at_ = UINT32_MAX;          // where the innermost statement or item being parsed begins
  int brackets_ = 0;                          // open ( and [: inside them a newline is a blank
  int nesting_ = 0;
  int highest_ = 0;  // the highest expression made since the innermost scan began
  uint32_t unclosed_at_ = UINT32_MAX;
};

bool is_reserved(std::string_view word);

template <typename Element>
void Parser::bracketed(TokenKind open, TokenKind close, std::string_view what, Element element) {
  const Token opened = expect(open, what);
  ++brackets_;
  while (!at(close)) {
    element();
    if (!accept(TokenKind::Comma)) break;
  }
  if (!at(close))
    fail_expected(close == TokenKind::RightParen ? "`,` or `)`" : "`,` or `]`", range_of(opened));
  take();
  --brackets_;
}

}  // namespace nncc
