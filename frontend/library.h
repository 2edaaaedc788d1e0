// The standard library as a list: what --list-library and docs/library.md are made of.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace nncc {

// A public function or optimizer. All text is UTF-8, as it stands in the library's own file.
struct LibraryFunction {
  std::string name;       // "dense"
  std::string signature;  // "fn dense(x: f32[..s, k], units: int, …) -> f32[..s, units]"
  // The lines of the comment before it, without slashes, without its examples.
  std::vector<std::string> comment;
  // What stands behind `Example:` in its comment, one for each. In one of three forms:
  //   softmax(x, axis = 0) of x: f32[3, 4], …    a call, and what it is given
  //   param w: f32[4, 3] = he_normal()           an initializer
  //   minimize with sgd(0.1)                     an optimizer, a stage or a schedule
  std::vector<std::string> examples;
  // The declarations in its own body: "param weight: f32[k, units]".
  std::vector<std::string> variables;
  size_t num_results = 1;
};

struct LibrarySection {
  std::string name;                  // of its file: "layers"
  std::vector<std::string> comment;  // at the top of the file
  std::vector<LibraryFunction> functions;
};
// In the order of their names. Parses the library anew.
std::vector<LibrarySection> library_sections();

// A program that does what an example of a function says. Its model `example` has the float inputs as parameters, so that what
// differentiates with respect to parameters differentiates with respect to them, and takes the others. Of a call it returns the
// results; with `order` 1 a scalar that depends on all their elements, with `order` 2 one that depends on all elements of the
// gradients of that with respect to the float inputs. `train step` minimizes these, or what the example says; an initializer, and a
// call with order 0, have none.
std::string example_program(const LibraryFunction&, const std::string& example, int order);
// Whether an example has gradients of that order to ask for: it is a call, with float inputs or, for the first order, parameters.
bool example_has_gradient(const LibraryFunction&, const std::string& example, int order);

}  // namespace nncc
