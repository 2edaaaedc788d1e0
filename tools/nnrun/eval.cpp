// nnrun eval: how good a trained network is on files of data.
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"
#include "tools/nnrun/common.h"
#include "tools/nnrun/dataset.h"
#include "tools/nnrun/evaluate.h"
#include "tools/nnrun/verbs.h"

namespace nncc {

int eval_verb(int argc, const char* const* argv) {
  SessionArguments arguments;
  Assignments data;
  Scaling scaling;
  std::string scaling_file;
  OptionParser line(argv[0], "MODEL.so --data NAME=FILE … [options]",
                    "Measures a network on files of data. A model entry is held against the data that isn't "
                    "its input: the share of labels that are\n"
                    "met, or the mean squared difference. Of a train entry the metrics are printed, from "
                    "calls whose changes are undone.");
  arguments.add_options(line);
  line.group("Data");
  add_assignments(line, "data", "NAME=FILE[:COLUMNS]", "rows for an input, or to measure by", data);
  scaling.add_options(line);
  line.text("scaling", "FILE.csv", "scale as in training: what train --save-scaling wrote", scaling_file);
  int status;
  if (!parse_verb(line, arguments, argc, argv, status)) return status;
  const nn::Library library = arguments.open();
  const nn_entry_info& entry = arguments.choose_entry(library);
  Dataset dataset(library, entry, data, scaling);
  const Rows rows = all_rows(dataset.rows());
  dataset.apply(scaling_file.empty() ? dataset.figures(library, scaling, rows) : read_figures(scaling_file));
  nn::Session session = arguments.make_session(library);
  Evaluator evaluator(session, dataset, entry);
  const Figures figures = evaluator.measure(rows);
  llvm::outs() << evaluator.description() << ", " << rows.size() << " rows\n";
  for (const auto& [name, value] : figures.values)
    llvm::outs() << name << ' ' << llvm::format("%.9g", value) << '\n';
  return 0;
}

}  // namespace nncc
