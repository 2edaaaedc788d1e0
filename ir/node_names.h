// How .nnir names things; shared by the printer, the parser and the verifier's messages.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace nncc {

// May stand after % or @ without quotes: letters, digits and _ . / $.
bool is_bare_name(std::string_view);
// In quotes, with \" \\ \n \t and \xx for other control characters.
std::string quoted(std::string_view);
// "@mlp.dense.weight", or in quotes after the @.
std::string symbol_text(std::string_view);
// `name` as it stands after % or @: bare, or else quoted.
std::string name_text(std::string_view);
// `name` as it stands alone, as of a result: bare if it begins like a word, or else quoted.
std::string word_text(std::string_view);
// "x" of "x.1", or nothing: what a name's spelling may have been made unique from.
std::string_view without_unique_suffix(std::string_view);

// The spelling of each node after the %, indexed by id (empty for erased ones). A node's own name, in quotes
// where the bare form would read as a number or as another name made unique; then .1, .2, … as far as needed.
// Unnamed nodes are numbered.
std::vector<std::string> node_names(const Graph&);
// Operands before users, as printed; in order of creation if the graph is broken.
std::vector<NodeId> print_order(const Graph&);

}  // namespace nncc
