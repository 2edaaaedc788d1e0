// The verbs, one file each. argv[0] is "nnrun VERB". They return the exit status and throw UserError and
// nn::Error.
#pragma once

namespace nncc {

int info_verb(int argc, const char* const* argv);
int run_verb(int argc, const char* const* argv);
int train_verb(int argc, const char* const* argv);
int eval_verb(int argc, const char* const* argv);
int predict_verb(int argc, const char* const* argv);
int bench_verb(int argc, const char* const* argv);
int check_gradients_verb(int argc, const char* const* argv);

}  // namespace nncc
