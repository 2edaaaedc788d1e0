// The checker and tracer: an abstract interpreter that walks the tree with constants and values of the graph.
//
// A mistake is reported where it is found and thrown as Abort to the nearest statement, whose targets become
// poison; reading poison throws Abort without a word. So one run reports many mistakes and none of their
// consequences.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "frontend/builtins.h"
#include "frontend/frame.h"
#include "frontend/frontend.h"
#include "frontend/graph_context.h"
#include "frontend/purity.h"
#include "frontend/symbols.h"

namespace nncc {

// Unwinds to the nearest statement; what was wrong has been reported.
struct Abort {};

struct CallArgument {
  std::optional<ast::Name> name;
  AbstractValue value;
  SourceRange range;
};

// What a `minimize` has while its stages are traced (trace_minimize.cpp).
struct MinimizeState;

class Tracer {
 public:
  Tracer(const ast::Program&, const TraceOptions&, Diagnostics&);
  std::unique_ptr<Module> run();

  // For built-in functions.
  Value draw(const Shape&);  // uniform in [0, 1), of float_type
  AbstractValue gradient(const AbstractValue& loss, const AbstractValue& x);
  AbstractValue global_norm(const AbstractValue& x);
  // The parameters of rank 2 or more under a model; `who` asks.
  std::vector<Value> weights_under(const AbstractValue& model, std::string_view who);
  // Reports at the innermost call that stands in the user's text.
  [[noreturn]] void fail_in_user_text(const std::string& message);

 private:
  // --- trace.cpp: names, messages, the module
  void evaluate_constants();
  AbstractValue constant_value(const Symbol&);
  std::optional<AbstractValue> override_of(const Symbol&, const AbstractValue& written);
  void declare_hypers();
  Variable& add_variable(std::string name, TensorType type, VariableKind kind);
  void check_overrides();
  // An error at `range`, or, if that is in the library, at the call in the user's text. Throws Abort if the
  // same was reported before.
  Diagnostics::Handle report(SourceRange, const std::string& message);
  bool is_new_message(SourceRange, const std::string& message);
  [[noreturn]] void fail(SourceRange, const std::string& message);
  [[noreturn]] void fail(SourceRange, const OpError&);
  [[noreturn]] void fail_without_value(const ast::Expr&);
  // Runs `body`, reporting an OpError at `range`.
  template <typename F>
  auto at(SourceRange range, F&& body) -> decltype(body()) {
    set_location(range);
    try {
      return body();
    } catch (const OpError& e) {
      fail(range, e);
    }
  }
  void set_location(SourceRange);

  // --- trace_expr.cpp
  AbstractValue eval(const ast::Expr&);         // may be several results or nothing
  AbstractValue eval_single(const ast::Expr&);  // one value
  AbstractValue eval_name(const std::string& name, SourceRange);
  std::optional<AbstractValue> lookup(const std::string& name, SourceRange);
  [[noreturn]] void unknown_name(const std::string& name, SourceRange, std::string_view kind);
  AbstractValue read(Binding&, const std::string& name, SourceRange);
  AbstractValue special_name(const std::string& name, SourceRange, bool& found);
  AbstractValue eval_binary(const ast::Expr&, const ast::Binary&);
  AbstractValue eval_index(const ast::Expr&, const ast::Index&);
  IndexPart eval_range(const ast::Subscript&);
  AbstractValue index_list(const ast::Expr&, const ast::Index&, const AbstractValue& base);
  int64_t eval_int(const ast::Expr&, std::string_view what);
  bool eval_condition(const ast::Expr&);

  // --- trace_types.cpp
  TensorType eval_type(const ast::TypeExpr&);  // all extents known
  DType element_type(DType) const;
  void bind_type(const ast::TypeExpr&, const TensorType& found, SourceRange origin, const std::string& what);
  void bind_extent(const std::string& name, int64_t extent, SourceRange origin, const ast::Dim&,
                   const std::string& what);
  void check_computed_extents(const ast::TypeExpr&, const TensorType& found, SourceRange origin,
                              const std::string& what);
  // The value as the type wants it; what cannot be is reported at `origin`.
  AbstractValue coerce(const ast::TypeExpr&, AbstractValue, SourceRange origin, const std::string& what,
                       SourceRange declared);
  TensorValue coerce_exact(const AbstractValue&, const TensorType&, SourceRange, const std::string& what,
                           SourceRange declared);

  // --- trace_call.cpp
  AbstractValue eval_call(const ast::Expr&, const ast::Call&);
  FunctionValue resolve_callee(const ast::Name&);
  std::vector<CallArgument> eval_arguments(const ast::Call&, std::string& scope_name, const FunctionValue&);
  AbstractValue call(const FunctionValue&, std::vector<CallArgument>, SourceRange,
                     const std::string& scope_name);
  AbstractValue call_builtin(const Builtin&, std::vector<CallArgument>, SourceRange);
  AbstractValue call_symbol(const Symbol&, std::vector<CallArgument>, SourceRange,
                            const std::string& scope_name);
  // Matches arguments with parameters by position and name: the index of the argument for each parameter, or
  // -1.
  std::vector<int> match_arguments(const std::string& callee, const std::vector<std::string>& parameters,
                                   const std::vector<bool>& required, const std::vector<CallArgument>&,
                                   SourceRange call, SourceRange declared);
  // Into the current frame, which is the callee's.
  void bind_parameters(const Symbol&, const std::vector<CallArgument>&, SourceRange call);
  AbstractValue run_body(Frame&);
  AbstractValue check_results(const Symbol&, AbstractValue, SourceRange);
  AbstractValue call_kept(const Symbol&, Frame&, SourceRange);
  std::string add_composite(Function);
  bool can_keep(const Symbol&, const Frame&);
  void check_recursion(const Symbol&, SourceRange);

  // --- trace_stmt.cpp
  void exec(const ast::Block&);
  void exec(const ast::Statement&);
  void exec_assign(const ast::Assign&, SourceRange);
  void assign(const ast::Name&, const AbstractValue&, SourceRange);
  void assign_state(Binding&, const ast::Name&, const AbstractValue&, SourceRange);
  void exec_declaration(const ast::Declaration&, SourceRange);
  void exec_if(const ast::If&);
  void exec_for(const ast::For&);
  void exec_return(const ast::Return&, SourceRange);
  // After a statement failed: what it would have assigned is unknown.
  void poison_targets(const ast::Statement&);
  void poison_targets(const ast::Block&);
  void name_value(const std::string& name, const AbstractValue&);
  [[noreturn]] void fail_parameter_in_train(const ast::Declaration&);
  // The variable that a declaration means, made and initialized when it is new.
  Variable& declare_variable(const std::string& path, VariableKind, const TensorType&,
                             const ast::Declaration&, SourceRange);
  void initialize(const Variable&, const ast::Expr& initializer);

  // --- trace_scan.cpp
  AbstractValue eval_scan(const ast::ScanExpr&, SourceRange);
  std::vector<TensorValue> scanned_sequences(const ast::ScanExpr&, int64_t axis);
  std::vector<Value> finish_scan(GraphContext& body, Function&, std::vector<Value> first, bool reversed);
  void exec_yield(const ast::Yield&, SourceRange);
  // Whether a step that runs the block yields; an error if that depends on the path it takes.
  bool check_yields(const ast::Block&);
  TensorValue number_as_float(const AbstractValue& v);
  void check_scan_names(const ast::ScanExpr&);  // all differ

  // --- trace_entry.cpp
  void check_declarations();
  void trace_entry(const Symbol&);
  void bind_inputs(const Symbol&, Entry&);
  void set_results(const Symbol&, Entry&, const AbstractValue&, SourceRange);
  void finish_entry(Entry&);
  // A copy that returns the losses alone.
  void add_loss_entry(const Entry&);
  void finish_init(Entry&);
  Value draw_in(GraphContext&, const Shape&);
  Value step_counter();  // what the counter of the current entry holds
  Variable& counter_variable();

  // --- trace_minimize.cpp
  void exec_minimize(const ast::Minimize&, SourceRange);
  std::vector<Variable*> minimized_parameters(const ast::Minimize&, Value loss);
  void run_stage(MinimizeState&, const ast::Expr& stage);
  void run_stage_body(MinimizeState&, const Symbol& optimizer, const Frame& arguments, size_t parameter,
                      SourceRange call);
  void declare_optimizer_state(const ast::Declaration&, SourceRange);
  void assign_optimizer_name(const ast::Name&, const AbstractValue&, SourceRange);
  std::vector<Variable*> parameters_under(const std::string& path);
  [[noreturn]] void no_parameters(const std::string& path, SourceRange);
  Value step_value();  // `step` of a stage: 1 in the first step

  const ast::Program& program_;
  const TraceOptions& options_;
  Diagnostics& diags_;
  SymbolTable symbols_;
  PurityAnalysis purity_;
  std::unique_ptr<Module> module_;

  DType
      float_type_;  // what f32 means: options, or the element type of the parameter whose optimizer is traced
  GraphContext* context_ = nullptr;
  GraphContext* init_ = nullptr;
  Frame* frame_ = nullptr;
  SourceRange here_;
  MinimizeState* minimize_ = nullptr;
  int minimize_count_ = 0;             // of the entry
  int64_t next_stream_ = 0;            // of the module's random places
  int64_t unrolled_ = 0;               // iterations of all loops
  std::vector<const Symbol*> active_;  // functions being traced, outermost first

  std::set<const Symbol*> traced_;  // functions that were called

  std::map<const Symbol*, AbstractValue> constants_;
  std::set<const Symbol*> constants_in_progress_;
  std::set<std::string> reported_;                // place and message
  std::map<std::string, std::string> kept_;       // specialization -> name of the composite
  std::map<std::string, SourceRange> minimized_;  // parameters the entry has updated -> by which statement
  std::vector<Graph::Result> gradient_results_;
};

// Sets a variable for the length of a scope.
template <typename T>
class Restore {
 public:
  Restore(T& place, T value) : place_(place), old_(std::move(place)) { place_ = std::move(value); }
  ~Restore() { place_ = std::move(old_); }
  Restore(const Restore&) = delete;
  Restore& operator=(const Restore&) = delete;

 private:
  T& place_;
  T old_;
};

// Counts a function as being traced for the length of a scope.
class Activation {
 public:
  Activation(std::vector<const Symbol*>& active, const Symbol& symbol) : active_(active) {
    active_.push_back(&symbol);
  }
  ~Activation() { active_.pop_back(); }
  Activation(const Activation&) = delete;
  Activation& operator=(const Activation&) = delete;

 private:
  std::vector<const Symbol*>& active_;
};

}  // namespace nncc
