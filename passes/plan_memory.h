// plan-memory: decides where every tensor lies and in which order the kernels run.
// Requires: fuse-kernels: entry graphs hold inputs, variables, constants, kernels and movement.
// Ensures: every node of every entry graph has places; the graphs' order (that of creation) is right to
// execute, also where a kernel overwrites a variable; Variable::offset, Module::variable_bytes,
// Function::arena_bytes of steps and Entry::arena_bytes are set, and a scan has its workspace as one more
// result. Variables of a slab lie side by side. A new value of a variable is written over the old one where
// everything that reads the old one can run before, or reads each element just where the kernel writes it;
// results go straight to the caller's memory; pieces of a concat are written where they belong, and until
// then other values may lie there. Along an inner axis, where they lie between each other, only products and
// convolutions write them so, and only what nobody else reads (may_lie_in_rows() in
// passes/kernel_aliasing.h). Where that cannot be, a kernel copies. A kernel is never called with a result on
// an argument unless its body is one loop over elements that reads that argument only at the index it writes;
// such kernels must compute each element once. --stats says how many bytes each kernel moves, how many of
// them cross the entry's border (inputs, variables and constants at first sight; results and new values) and
// could not be saved, and in all (passes/memory_traffic.h).
//   variable @w : f32[4] parameter slab "fit"
//   variable @b : f32[2] parameter slab "fit"
//   entry @fit train (%x: f32[6]) -> () {
//     %w = variable {symbol = @w} : f32[4]
//     %b = variable {symbol = @b} : f32[2]
//     %all = concat %w, %b {axis = 0} : f32[6]
//     %new = kernel %all, %x {symbol = @k0} : f32[6]
//     %w.new = slice %new {starts = [0], strides = [1]} : f32[4]
//     %b.new = slice %new {starts = [4], strides = [1]} : f32[2]
//     update @w = %w.new
//     update @b = %b.new
//   }
// becomes, if k0 is elementwise,
//   variable @w : f32[4] parameter slab "fit" offset 0
//   variable @b : f32[2] parameter slab "fit" offset 16
//   entry @fit train (%x: f32[6]) -> () {
//     %w = variable {symbol = @w} : f32[4] at variables+0
//     %b = variable {symbol = @b} : f32[2] at variables+16
//     %all = concat %w, %b {axis = 0} : f32[6] at variables+0
//     %new = kernel %all, %x {symbol = @k0} : f32[6] at variables+0
//     %w.new = slice %new {starts = [0], strides = [1]} : f32[4] at variables+0
//     %b.new = slice %new {starts = [4], strides = [1]} : f32[2] at variables+16
//     update @w = %w.new
//     update @b = %b.new
//   }
#pragma once
#include "passes/graph_planner.h"
#include "passes/pass.h"

namespace nncc {

bool plan_memory(Module&, PassContext&);

// Its first part: Variable::offset and Module::variable_bytes. In the module's order; a slab lies where its
// first variable stands.
void place_variables(Module&);
// Its second: the bodies of the module's steps and what they take, Function::arena_bytes.
void plan_steps(Module&, KernelTable&, ConstantPool&);

}  // namespace nncc
