// The one list of passes, the named pipelines, and what must come before what.
#include "passes/assign_layout.h"
#include "passes/autodiff.h"
#include "passes/block_statistics.h"
#include "passes/canonicalize.h"
#include "passes/cse.h"
#include "passes/dce.h"
#include "passes/distribute_scan.h"
#include "passes/flatten_updates.h"
#include "passes/fold_batch_norm.h"
#include "passes/fold_constants.h"
#include "passes/fuse_attention.h"
#include "passes/fuse_kernels.h"
#include "passes/fuse_softmax_cross_entropy.h"
#include "passes/hoist_weights.h"
#include "passes/inline.h"
#include "passes/pass.h"
#include "passes/pipelines.h"
#include "passes/plan_memory.h"
#include "passes/reduce_strength.h"
#include "passes/rematerialize.h"
#include "passes/simplify_scan.h"
#include "passes/sparse_updates.h"
#include "passes/widen_scalars.h"

namespace nncc {

std::span<const PassInfo> all_passes() {
  static constexpr PassInfo kPasses[] = {
      {"fuse-softmax-cross-entropy", "takes the logarithm of a softmax without computing the softmax",
       fuse_softmax_cross_entropy},
      {"fuse-attention", "computes attention block by block, without the matrix of its weights",
       fuse_attention},
      {"inline", "replaces calls of composites by their bodies", inline_calls},
      {"canonicalize", "rewrites to simpler forms, rule by rule", canonicalize},
      {"fold-constants", "computes at compile time what depends on constants alone", fold_constants},
      {"autodiff", "replaces gradient nodes by the computation of the derivatives", autodiff},
      {"simplify-scan", "leaves to a loop what only the loop can do", simplify_scan},
      {"distribute-scan", "computes for all steps at once what need not wait for the step before",
       distribute_scan},
      {"cse", "computes equal expressions once", cse},
      {"dce", "erases nodes and functions that nothing needs", dce},
      {"widen-scalars", "computes in f64 the scalars that a step knows before it starts", widen_scalars},
      {"sparse-updates", "updates of a variable only the rows that were looked up", sparse_updates},
      {"flatten-updates", "computes the new values of a slab's variables together", flatten_updates},
      {"reduce-strength", "multiplies instead of dividing by what is the same for many elements",
       reduce_strength},
      {"fold-batch-norm", "folds scales and shifts of channels into weights, in inference entries",
       fold_batch_norm},
      {"assign-layout",
       "keeps images with channels last where convolutions want them, and packs weights into panels",
       assign_layout},
      {"hoist-weights", "takes what depends on the weights alone out of inference entries", hoist_weights},
      {"block-statistics", "sums a convolution's result over blocks of its rows first, where its kernel can",
       block_statistics},
      {"fuse-kernels", "outlines groups of nodes into kernel functions", fuse_kernels},
      {"rematerialize", "computes values again where keeping them does not fit into --memory-budget",
       rematerialize},
      {"plan-memory", "places every tensor and orders the kernels", plan_memory},
  };
  return kPasses;
}

std::span<const NamedPipeline> named_pipelines() {
  static constexpr NamedPipeline kPipelines[] = {
      {"O0", "inline,autodiff,dce,fuse-kernels,rematerialize,plan-memory"},
      {"O1", "inline,canonicalize,cse,autodiff,canonicalize,cse,dce,fuse-kernels,rematerialize,plan-memory"},
      // Gradients of a simple graph, then a simple graph of the gradients, then kernels.
      {"O2",
       "fuse-softmax-cross-entropy,fuse-attention,inline,canonicalize,cse,simplify-scan,distribute-scan,"
       "canonicalize,cse,"
       "autodiff,canonicalize,fold-constants,cse,simplify-scan,distribute-scan,canonicalize,cse,simplify-"
       "scan,"
       "canonicalize,cse,dce,"
       "widen-scalars,sparse-updates,flatten-updates,reduce-strength,fold-batch-norm,assign-layout,simplify-"
       "scan,"
       "hoist-weights,fuse-kernels,rematerialize,plan-memory"},
  };
  return kPipelines;
}

std::span<const PassOrder> pass_orders() {
  static constexpr PassOrder kOrders[] = {
      {"fuse-softmax-cross-entropy", "inline", "it knows calls by their names"},
      {"fuse-attention", "inline", "it knows the softmax by its name"},
      {"inline", "autodiff", "gradients are made for primitives, not for calls"},
      {"simplify-scan", "fuse-kernels", "kernels hide what a step computes"},
      {"distribute-scan", "fuse-kernels", "kernels hide what a step computes"},
      {"autodiff", "sparse-updates", "updates are sums once gradients are"},
      {"sparse-updates", "flatten-updates", "vectors hide which parameter's rows were looked up"},
      {"autodiff", "flatten-updates", "updates are arithmetic once gradients are"},
      {"reduce-strength", "fuse-kernels", "kernels hide divisions"},
      {"flatten-updates", "fuse-kernels", "kernels hide the arithmetic of updates"},
      {"autodiff", "widen-scalars", "gradients are found before scalars change their type"},
      {"widen-scalars", "fuse-kernels", "kernels hide the arithmetic of scalars"},
      {"inline", "fold-batch-norm", "calls hide the arithmetic of batch_norm"},
      {"autodiff", "fold-batch-norm", "the gradient is that of the program's own weights"},
      {"fold-batch-norm", "assign-layout", "packed weights are not scaled"},
      {"inline", "assign-layout", "calls hide products"},
      {"autodiff", "assign-layout", "packed products have no gradient"},
      {"assign-layout", "hoist-weights", "the packing of weights is what is hoisted most"},
      {"assign-layout", "block-statistics", "the blocks are those of convolutions with channels last"},
      {"block-statistics", "fuse-kernels", "kernels hide sums"},
      {"hoist-weights", "fuse-kernels", "kernels hide what depends on weights"},
      {"inline", "fuse-kernels", "a kernel holds primitives alone"},
      {"autodiff", "fuse-kernels", "a kernel cannot be differentiated"},
      {"fuse-kernels", "rematerialize", "kernels are what is run again"},
      {"rematerialize", "plan-memory", "places are given to what is left"},
      {"fuse-kernels", "plan-memory", "kernels are what is ordered and given memory"},
  };
  return kOrders;
}

const PassInfo* find_pass(std::string_view name) {
  for (const PassInfo& pass : all_passes())
    if (pass.name == name) return &pass;
  return nullptr;
}

}  // namespace nncc
