// nnrun train: epochs over files of data.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "llvm/Support/raw_ostream.h"
#include "tools/nnrun/common.h"
#include "tools/nnrun/dataset.h"
#include "tools/nnrun/evaluate.h"
#include "tools/nnrun/progress.h"
#include "tools/nnrun/verbs.h"

namespace nncc {
namespace {

volatile std::sig_atomic_t interrupted = 0;

struct TrainArguments {
  SessionArguments session;
  Assignments data, held_out_data;
  Scaling scaling;
  int epochs = 10, patience = 0, held_out_rows = 0;
  double held_out = 0;
  bool in_order = false;
  std::string eval_entry, save, save_scaling, checkpoint, resume, log;
};

bool parse(TrainArguments& a, int argc, const char* const* argv, int& status) {
  OptionParser line(argv[0], "MODEL.so --data INPUT=FILE … [options]",
                    "Trains on files of data: .npy, IDX or CSV, each possibly gzipped. The leading axis "
                    "counts the rows; an entry takes as many at a\n"
                    "time as its inputs say, and rows that do not fill a last batch wait for another epoch, "
                    "in which the order is another.\n"
                    "Ctrl-C ends after the step; --checkpoint then has the last weights.");
  a.session.add_options(line);
  line.group("Data");
  add_assignments(line, "data", "INPUT=FILE[:COLUMNS]",
                  "rows for an input; columns of CSV are chosen by number or name: x.csv:0-3,5", a.data);
  a.scaling.add_options(line);
  line.text("save-scaling", "FILE.csv",
            "where factors and shifts of --scale and --standardize go, for eval and predict", a.save_scaling);
  line.flag("in-order", "do not shuffle", a.in_order);
  line.group("Training");
  line.count("epochs", "N", "how often to go over the data (default: 10)", a.epochs);
  line.text("save", "FILE", "where the best weights go, by what is held out; without that the last", a.save);
  line.text("checkpoint", "FILE", "where to keep the last weights after every epoch, for --resume",
            a.checkpoint);
  line.text("resume", "FILE", "go on from this file as if never stopped, up to --epochs in all", a.resume);
  line.text("log", "FILE.csv", "a line of figures for every epoch", a.log);
  line.group("Held-out data");
  add_number(line, "hold-out", "F", "keep this share of the rows, chosen by the seed, for measuring",
             a.held_out);
  line.count("hold-out-last", "N", "keep the last N rows", a.held_out_rows);
  add_assignments(line, "hold-out-data", "INPUT=FILE", "measure on other files", a.held_out_data);
  line.text("eval-entry", "NAME",
            "the entry to measure (default: a model whose output labels of the data fit, else the train "
            "entry, undone)",
            a.eval_entry);
  line.count("patience", "N", "stop after N epochs that were not the best", a.patience);
  return parse_verb(line, a.session, argc, argv, status);
}

// Which rows are trained on and which are measured.
struct Split {
  Rows training, held_out;
};

Split split_rows(const TrainArguments& a, size_t rows) {
  const int ways = (a.held_out > 0) + (a.held_out_rows > 0) + !a.held_out_data.empty();
  if (ways > 1) throw UserError("--hold-out, --hold-out-last and --hold-out-data exclude each other");
  if (a.held_out < 0 || a.held_out >= 1)
    throw UserError("--hold-out is a share of the rows, from 0 to below 1");
  const size_t held_out = a.held_out > 0
                              ? static_cast<size_t>(std::llround(a.held_out * static_cast<double>(rows)))
                              : static_cast<size_t>(a.held_out_rows);
  if (held_out >= rows)
    throw UserError("there are " + std::to_string(rows) + " rows, too few to hold out " +
                    std::to_string(held_out));
  // Another stream than any epoch's.
  Rows all = a.held_out > 0 ? shuffled(all_rows(rows), a.session.seed, ~uint64_t{0}) : all_rows(rows);
  const auto middle = all.end() - static_cast<ptrdiff_t>(held_out);
  return {Rows(all.begin(), middle), Rows(middle, all.end())};
}

// One line for each epoch; goes on with an existing file when training is resumed.
class Log {
 public:
  Log(const std::string& path, bool resumed) : path_(path) {
    if (path.empty()) return;
    has_header_ = resumed && std::ifstream(path).peek() != std::ifstream::traits_type::eof();
    out_.open(path, has_header_ ? std::ios::app : std::ios::trunc);
    if (!out_) throw UserError("cannot write " + path);
  }
  void write(size_t epoch, int64_t step, const Figures& training, const std::optional<Figures>& held_out,
             double seconds) {
    if (path_.empty()) return;
    if (!has_header_) {
      out_ << "epoch,step";
      for (const auto& value : training.values) out_ << ',' << value.first;
      if (held_out)
        for (const auto& value : held_out->values) out_ << ",held-out " << value.first;
      out_ << ",seconds\n";
      has_header_ = true;
    }
    out_ << epoch << ',' << step;
    out_.precision(9);
    for (const auto& value : training.values) out_ << ',' << value.second;
    if (held_out)
      for (const auto& value : held_out->values) out_ << ',' << value.second;
    out_ << ',' << seconds << std::endl;
    if (!out_) throw UserError("cannot write " + path_);
  }

 private:
  std::string path_;
  std::ofstream out_;
  bool has_header_ = false;
};

class Trainer {
 public:
  Trainer(const TrainArguments& arguments, const nn::Library& library)
      : a_(arguments),
        library_(library),
        entry_(arguments.session.choose_entry(library, NN_ENTRY_TRAIN)),
        data_(library, entry_, a_.data, a_.scaling),
        split_(split_rows(a_, data_.rows())),
        session_(make_session()),
        call_(session_.entry(entry_.name)),
        batcher_(prepare_data(), entry_) {
    if (split_.training.size() < batcher_.size())
      throw UserError("a batch takes " + std::to_string(batcher_.size()) + " rows, but there are " +
                      std::to_string(split_.training.size()) + " to train on");
    steps_ = split_.training.size() / batcher_.size();
    if (entry_.kind != NN_ENTRY_TRAIN)
      throw UserError(std::string(entry_.name) + " is a model entry: it trains nothing");
    for (const nn_tensor_info& output : outputs_of(entry_))
      if (output.bytes == nn::dtype_size(output.dtype)) metrics_.push_back(output.name);
    if (split_.held_out.empty()) return;
    const Dataset& measured = other_ ? *other_ : data_;
    const nn_entry_info& eval_entry =
        a_.eval_entry.empty() ? Evaluator::choose(library_, measured, entry_) : library_.entry(a_.eval_entry);
    evaluator_.emplace(session_, measured, eval_entry);
  }

  void run() {
    for (const std::string& path : {a_.save, a_.checkpoint}) check_writable(path);
    describe();
    Log log(a_.log, !a_.resume.empty());
    int64_t step = steps_done();
    size_t epoch = static_cast<size_t>(step) / steps_;
    std::optional<Figures> best;
    if (evaluator_ && step > 0) best = evaluator_->measure(split_.held_out);
    int since_best = 0;
    for (; epoch < static_cast<size_t>(a_.epochs) && !interrupted; ++epoch) {
      char label[32];
      std::snprintf(label, sizeof label, "epoch %zu/%d", epoch + 1, a_.epochs);
      const size_t first = static_cast<size_t>(step) % steps_;
      Progress progress(label, steps_ - first, batcher_.size());
      const Figures training = train(epoch, first, step, progress);
      const double seconds = progress.seconds(), speed = progress.rows_per_second();
      if (!a_.checkpoint.empty()) session_.save(a_.checkpoint);
      std::optional<Figures> held_out;
      if (evaluator_ && !interrupted) held_out = evaluator_->measure(split_.held_out);
      const bool is_best = held_out && (!best || held_out->better_than(*best));
      if (is_best) best = held_out;
      since_best = is_best ? 0 : since_best + 1;
      if (!a_.save.empty() && (is_best || !evaluator_)) session_.save(a_.save);
      log.write(epoch + 1, step, training, held_out, seconds);
      char rate[32];
      std::snprintf(rate, sizeof rate, "  %.0f rows/s", speed);
      progress.finish(training.str() + (held_out ? "  held-out " + held_out->str() : "") + rate +
                      (is_best ? "  best" : ""));
      if (!training.values.empty() && !std::isfinite(training.values[0].second))
        throw UserError("the " + training.values[0].first +
                        " is no longer finite: training has diverged; a smaller learning rate may help");
      if (a_.patience > 0 && evaluator_ && since_best >= a_.patience) {
        std::printf("no better for %d epochs: stopped\n", since_best);
        break;
      }
    }
    if (interrupted) std::printf("interrupted after step %lld\n", static_cast<long long>(step));
    if (best) std::printf("best held-out %s\n", best->str().c_str());
  }

 private:
  nn::Session make_session() const {
    nn::Session session = a_.session.make_session(library_);
    if (!a_.resume.empty()) session.load(a_.resume);
    return session;
  }

  // Scaled by what is in the rows to train on.
  const Dataset& prepare_data() {
    if (!a_.held_out_data.empty()) {
      other_.emplace(library_, entry_, a_.held_out_data, scaling_of_held_out());
      split_.held_out = all_rows(other_->rows());
    }
    const ScalingFigures figures = data_.figures(library_, a_.scaling, split_.training);
    data_.apply(figures);
    if (other_) other_->apply(figures);
    if (!a_.save_scaling.empty()) write_figures(a_.save_scaling, figures);
    return data_;
  }
  Scaling scaling_of_held_out() const {
    Scaling scaling;
    scaling.one_hot = a_.scaling.one_hot;
    return scaling;
  }

  // So that nobody waits for an epoch to learn of a wrong name.
  static void check_writable(const std::string& path) {
    if (path.empty()) return;
    const auto folder = std::filesystem::path(path).parent_path();
    if (access(folder.empty() ? "." : folder.c_str(), W_OK) != 0)
      throw UserError("cannot write " + path + ": " + std::strerror(errno));
    if (std::filesystem::is_directory(path)) throw UserError("cannot write " + path + ": it is a directory");
  }

  // Steps that the weights have been trained for: what --resume goes on from.
  int64_t steps_done() const {
    const std::string counter = std::string(entry_.name) + ".step";
    if (a_.resume.empty() || library_.find_variable(counter) < 0) return 0;
    return session_.get(counter).item<int64_t>();
  }

  void describe() const {
    std::printf("%s: %zu rows, %zu steps of %zu an epoch", entry_.name, split_.training.size(), steps_,
                batcher_.size());
    const size_t left = split_.training.size() - steps_ * batcher_.size();
    if (left > 0) std::printf(", the last %zu rows of each epoch's order dropped", left);
    std::printf("\n");
    if (evaluator_)
      std::printf("held out: %zu rows, %s\n", split_.held_out.size(), evaluator_->description().c_str());
  }

  // The steps of an epoch from `first` on; the means of the metrics.
  Figures train(size_t epoch, size_t first, int64_t& step, Progress& progress) {
    const Rows order = a_.in_order ? split_.training : shuffled(split_.training, a_.session.seed, epoch);
    std::vector<double> sums(metrics_.size());
    size_t done = 0;
    for (size_t batch = first; batch < steps_ && !interrupted; ++batch, ++step, ++done) {
      const nn::Outputs results = call_.call(batcher_.fill(order, batch * batcher_.size()));
      for (size_t i = 0; i < metrics_.size(); ++i) sums[i] += results[metrics_[i]];
      progress.step(metrics_.empty() ? 0 : double(results[metrics_[0]]));
    }
    Figures figures;
    for (size_t i = 0; i < metrics_.size(); ++i)
      figures.values.emplace_back(metrics_[i], sums[i] / static_cast<double>(std::max<size_t>(done, 1)));
    return figures;
  }

  const TrainArguments& a_;
  nn::Library library_;
  const nn_entry_info& entry_;
  Dataset data_;
  std::optional<Dataset> other_;
  Split split_;
  nn::Session session_;
  nn::Entry<-1> call_;
  Batcher batcher_;
  std::optional<Evaluator> evaluator_;
  std::vector<std::string> metrics_;
  size_t steps_ = 0;
};

}  // namespace

int train_verb(int argc, const char* const* argv) {
  TrainArguments arguments;
  int status;
  if (!parse(arguments, argc, argv, status)) return status;
  const nn::Library library = arguments.session.open();
  Trainer trainer(arguments, library);
  interrupted = 0;
  std::signal(SIGINT, [](int) { interrupted = 1; });
  trainer.run();
  std::signal(SIGINT, SIG_DFL);
  return interrupted ? 130 : 0;
}

}  // namespace nncc
