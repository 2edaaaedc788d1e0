// Running pipelines: a pass that breaks the graph, one that throws, one that reports an error; and where
// inlined nodes come from.
#include "passes/inline.h"
#include "test/passes/graphs.h"

namespace nncc::test {
namespace {

Module small_module() {
  Module module;
  Entry& entry = module.entries.emplace_back();
  entry.name = "f";
  GraphBuilder b(entry.graph);
  const Value x = entry.graph.add_argument("x", {DType::F32, {4}});
  entry.graph.results.push_back({"y", b.neg(x)});
  return module;
}

// Makes the negation an operation on another type.
bool break_graph(Module& module, PassContext&) {
  Graph& graph = module.entries[0].graph;
  Node node = graph[graph.results[0].value.node];
  node.types[0].shape = {5};
  graph.results[0].value = {graph.add(node), 0};
  return true;
}
bool throw_error(Module&, PassContext&) { NNCC_UNREACHABLE("this cannot be"); }
bool report_error(Module&, PassContext& context) {
  context.diags.error("the program is wrong");
  return false;
}
bool rename_module(Module& module, PassContext& context) {
  module.name = "renamed";
  context.count("modules renamed");
  return true;
}

constexpr PassInfo kBreak{"break", "", break_graph}, kThrow{"throw", "", throw_error},
    kReport{"report", "", report_error}, kRename{"rename", "", rename_module};

// The message of the InternalError that running the passes ends in.
std::string internal_error_of(std::vector<const PassInfo*> passes) {
  Module module = small_module();
  Diagnostics diags;
  PipelineOptions options;
  options.verify_each = true;
  try {
    run_pipeline(module, passes, options, diags, llvm::nulls());
  } catch (const InternalError& error) {
    return error.what();
  }
  return "";
}

TEST(Pipeline, names_the_pass_that_broke_the_graph_and_shows_both) {
  const std::string message = internal_error_of({&kRename, &kBreak});
  EXPECT_NE(message.find("pass `break` broke the graph"), std::string::npos) << message;
  const size_t before = message.find("IR before break"), after = message.find("IR after break");
  ASSERT_NE(before, std::string::npos);
  ASSERT_NE(after, std::string::npos);
  EXPECT_LT(message.find("f32[4]", before), after);
  EXPECT_NE(message.find("f32[5]", after), std::string::npos);
}

TEST(Pipeline, names_the_pass_that_threw) {
  const std::string message = internal_error_of({&kThrow});
  EXPECT_NE(message.find("in pass `throw`: "), std::string::npos) << message;
  EXPECT_NE(message.find("this cannot be"), std::string::npos) << message;
}

TEST(Pipeline, stops_after_a_users_error) {
  Module module = small_module();
  Diagnostics diags;
  const std::vector<const PassInfo*> passes{&kReport, &kRename};
  EXPECT_FALSE(run_pipeline(module, passes, {}, diags, llvm::nulls()));
  EXPECT_EQ(module.name, "model");
  EXPECT_EQ(diags.error_count(), 1);
}

TEST(Pipeline, every_named_one_is_in_order) {
  for (const char* name : {"O0", "O1", "O2"}) {
    Diagnostics diags;
    EXPECT_FALSE(parse_pipeline(name, diags).empty()) << name;
    EXPECT_FALSE(diags.has_errors()) << name;
  }
}

TEST(Inline, keeps_places_and_adds_the_call_as_outermost_frame) {
  SourceManager sources;
  const SourceFile& library = sources.add("<std>/a.nn", "e = exp(x)\n", true);
  const SourceFile& program = sources.add("m.nn", "p = softmax(x)\n");
  Module module = small_module();
  Function& function = module.functions.emplace_back();
  function.name = "softmax.1";
  function.callee = "softmax";
  GraphBuilder body(function.body);
  const Value a = function.body.add_argument("a", {DType::F32, {4}});
  const auto inner = std::make_shared<CallFrame>(CallFrame{{&library, 0, 1}, "helper", nullptr});
  body.location = {{&library, 4, 10}, inner};
  function.body.results.push_back({"result", body.add(Op::Exp, {a})});

  Graph& graph = module.entries[0].graph;
  GraphBuilder b(graph);
  b.location = {{&program, 4, 14}, nullptr};
  const NodeId call = b.add_multi(Op::Call, std::vector{graph.arguments[0].value}, {{DType::F32, {4}}},
                                  {{Attr::Symbol, std::string("softmax.1")}});
  graph.results[0].value = {call, 0};
  run_passes(module, "inline");

  const Node& node = graph[graph.results[0].value.node];
  ASSERT_EQ(node.op, Op::Exp);
  EXPECT_EQ(node.location.range.file, &library);
  ASSERT_TRUE(node.location.frame);
  EXPECT_EQ(node.location.frame->callee, "helper");
  ASSERT_TRUE(node.location.frame->caller);
  EXPECT_EQ(node.location.frame->caller->callee, "softmax");
  EXPECT_EQ(node.location.frame->caller->call.file, &program);
  EXPECT_FALSE(node.location.frame->caller->caller);
  EXPECT_TRUE(module.functions.empty());
}

}  // namespace
}  // namespace nncc::test
